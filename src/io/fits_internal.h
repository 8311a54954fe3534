/* What the FITS sources share. Private to io. */
#ifndef NOSLIT_SRC_IO_FITS_INTERNAL_H
#define NOSLIT_SRC_IO_FITS_INTERNAL_H

#include <fitsio.h>

#include "noslit/io/fits.h"

enum { NSL_FITS_PLAIN_HDUS = 8 };

/* Where the pixels of a plain image lie. */
typedef struct {
  int looked, usable, bitpix, bytes;
  long nx, ny;
  int64_t start;
} nsl_fits_plain;

struct nsl_fits {
  fitsfile *file;
  char *path;
  int fd; /* for pixels of plain images; -1 until needed */
  nsl_fits_plain plain[NSL_FITS_PLAIN_HDUS];
};

/* Opens f->fd where it is not open yet; 0 when that fails. */
int nsl_fits_has_fd(nsl_fits *f);
/* NULL when the HDU's pixels cannot be read straight from the file. */
const nsl_fits_plain *nsl_fits_plain_of(nsl_fits *f, int hdu);
int64_t nsl_fits_plain_place(const nsl_fits_plain *p, long x, long y); /* of a pixel in the file */
/* A window inside the image as 4-byte floats or ints in the machine's order; 0 when the file fails. */
int nsl_fits_plain_read(const nsl_fits *f, const nsl_fits_plain *p, long x0, long y0, long w, long h, void *out);

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
