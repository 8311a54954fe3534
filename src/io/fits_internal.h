/* What the FITS sources share. Private to io. */
#ifndef NOSLIT_SRC_IO_FITS_INTERNAL_H
#define NOSLIT_SRC_IO_FITS_INTERNAL_H

#include <fitsio.h>

#include "noslit/io/fits.h"

struct nsl_fits {
  fitsfile *file;
  char *path;
};

/* Turns a cfitsio status into err and a noslit status: "<path>: HDU <hdu>: cannot <what>: <reasons>"; clears cfitsio's message
 * stack. hdu 0 leaves the HDU out. Call it with errno as the failed call left it. */
nsl_status nsl_fits_fail(nsl_error *err, int status, const char *path, int hdu, const char *what);

/* NSL_E_CORRUPT when a header says sizes that cannot be. Files that are compressed as a whole pass unseen. */
nsl_status nsl_fits_check_headers(const char *path, nsl_error *err);

/* Makes hdu (1-based) the current one. */
nsl_status nsl_fits_move(nsl_fits *f, int hdu, nsl_error *err);

/* An error when the first n bytes of the current HDU's data are not all in the file. */
nsl_status nsl_fits_require_data(nsl_fits *f, int hdu, int64_t n, nsl_error *err);

#endif
