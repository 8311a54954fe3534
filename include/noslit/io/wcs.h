/* World coordinates of an image header (wcslib): TAN, TPV, ... to ICRS degrees and back. Pixels are FITS, 1-based. Local. */
#ifndef NOSLIT_IO_WCS_H
#define NOSLIT_IO_WCS_H

#include <stddef.h>

#include "noslit/base/status.h"

typedef struct nsl_wcs nsl_wcs;

/* cards: n_cards header records of 80 characters. name is for messages. Not celestial, or singular: NSL_E_FORMAT. */
nsl_status nsl_wcs_new(const char *cards, int n_cards, const char *name, nsl_wcs **out, nsl_error *err);
void nsl_wcs_free(nsl_wcs *w);

/* Arrays of n; points that cannot be projected get NaN and do not fail the call. */
nsl_status nsl_wcs_sky_to_pixel(nsl_wcs *w, size_t n, const double *ra_deg, const double *dec_deg, double *x_px, double *y_px,
                                nsl_error *err);
nsl_status nsl_wcs_pixel_to_sky(nsl_wcs *w, size_t n, const double *x_px, const double *y_px, double *ra_deg, double *dec_deg,
                                nsl_error *err);

/* Local linear map at a sky position: pixels per arcsec. m = {dx/deast, dx/dnorth, dy/deast, dy/dnorth}. */
nsl_status nsl_wcs_jacobian(nsl_wcs *w, double ra_deg, double dec_deg, double m[4], nsl_error *err);

#endif
