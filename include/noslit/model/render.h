/* From a source to dispersed light on a detector window: used by the mock (frames and training stamps) and by the
 * contamination model of `run`, so that both speak of the same sky. Pure.
 *
 * A profile (PSF included) is a mixture of elliptical Gaussians (Hogg & Lang 2013) in detector pixels. */
#ifndef NOSLIT_MODEL_RENDER_H
#define NOSLIT_MODEL_RENDER_H

#include <stddef.h>

#include "noslit/base/hash.h"
#include "noslit/base/status.h"
#include "noslit/model/instrument.h"
#include "noslit/model/source.h"
#include "noslit/model/trace.h"

#define NSL_MIX_MAX 24

/* The width of the Gaussian PSF: sigma_px (lambda / lambda_a)^exponent. */
typedef struct {
  double sigma_px, lambda_a, exponent; /* exponent 0: the same at all wavelengths */
} nsl_psf;

typedef struct {
  nsl_psf psf; /* the one whose variance at lambda_a the covariances hold; all 0 where that does not matter */
  int n;
  struct {
    double flux;       /* fractions; sum 1 */
    double dx, dy;     /* centre relative to the source, px (clumps) */
    double xx, xy, yy; /* covariance, px^2, PSF included */
  } g[NSL_MIX_MAX];
} nsl_mix;

/* Sersic profile convolved with a round Gaussian PSF of the given sigma. sky_to_px: local linear map {dx/deast, dx/dnorth,
 * dy/deast, dy/dnorth} in px per arcsec (nsl_wcs_jacobian). re_arcsec 0 gives the PSF. Never fails: q, n are clamped.
 * out->psf is all 0: set it for light whose PSF changes with wavelength. */
void nsl_mix_from_shape(const nsl_shape *shape, double psf_sigma_px, const double sky_to_px[4], nsl_mix *out);

/* How far the light of a row lies to the right of that of the row below it, px: the mean of x at given y of an ellipse is linear in
 * y (cov(x, y) / var(y)); of several Gaussians, the mean by their peaks. */
double nsl_mix_tilt(const nsl_mix *mix);

/* rms width of the Gaussian PSF that has this radius of 80 % encircled energy (facts A2: FWHM = 1.3126 x it). */
double nsl_psf_sigma_px(double ree80_arcsec, double pixel_scale_arcsec);

/* A band's PSF; lambda_a is the middle of the band's range. */
nsl_psf nsl_psf_of_band(const nsl_band *band, double pixel_scale_arcsec);
/* Its variance at a wavelength, px^2. */
double nsl_psf_variance_px2(const nsl_psf *psf, double lambda_a);

/* The half-light ellipse in detector axes, PSF not included: half axis along the major axis (0 for a point source), axis ratio,
 * angle of the major axis from +x towards +y, in (-90, 90]. For the shape fields of a stamp. */
void nsl_shape_to_pixels(const nsl_shape *shape, const double sky_to_px[4], float *re_px, float *q, float *pa_x_deg);

/* A spectrum as seen at the telescope: F_lambda in erg/s/cm2/A on increasing vacuum wavelengths; zero outside. */
typedef struct {
  size_t n;
  const double *lambda_a; /* borrowed */
  const double *flam;     /* borrowed */
  nsl_hash hash;          /* nsl_sed_hash of flam; 0: taken each time it is rendered */
} nsl_sed;

nsl_hash nsl_sed_hash(const nsl_sed *sed);

/* F_lambda at lambda of a source that is flat in F_nu with AB magnitude mag. */
double nsl_flat_fnu_flam(double mag, double lambda_a);
/* A ready flat-F_nu spectrum of mag 0 on 2000..12000 A; scale by 10^(-0.4 mag). Static constant data. */
const nsl_sed *nsl_sed_flat_fnu(void);

/* A window of a detector: pixel (i, j) of img[h][w] has FITS coordinates (x0 + i, y0 + j). */
typedef struct {
  double x0, y0;
  int w, h;
  float *img; /* added to */
} nsl_window;

typedef struct nsl_renderer nsl_renderer; /* scratch memory, reused between calls */
nsl_renderer *nsl_renderer_new(void);
void nsl_renderer_free(nsl_renderer *r);
/* From now on the wings of faint sources are cut off where they have fewer electrons than this in all rows of a column together,
 * and their light put inside; 0, as at first: not more than 1e-3 of any source's light. */
void nsl_renderer_neglect(nsl_renderer *r, double electrons);

/* Adds scale * seconds * e-/s of one beam of one source at direct position (x, y) to the window: the integral of F_lambda x
 * SENSITIVITY, laid along the trace (exact for lines narrower than a pixel), spread by the profile with the PSF of each wavelength.
 * Beams that miss the window cost nothing. What is added does not depend on earlier calls. */
nsl_status nsl_render_beam(nsl_renderer *r, const nsl_beam *beam, double x_px, double y_px, const nsl_mix *mix, const nsl_sed *sed,
                           double scale_seconds, nsl_window *window, nsl_error *err);
/* All beams of a conf. */
nsl_status nsl_render_source(nsl_renderer *r, const nsl_trace_conf *conf, double x_px, double y_px, const nsl_mix *mix,
                             const nsl_sed *sed, double scale_seconds, nsl_window *window, nsl_error *err);

#endif
