/* Views made by formula: a straight tilted trace with lines of known wavelength and flux, Gaussian profile, any direction. */
#ifndef VIEW_SUPPORT_H
#define VIEW_SUPPORT_H

#include <math.h>
#include <stdlib.h>

#include "noslit/base/rng.h"
#include "noslit/pipe/stamper.h"

static const nsl_band fake_band = {
    .name = "GI", .lambda0_a = 6257.065, .dlambda_a = 8.53, .lambda_min_a = 6300, .lambda_max_a = 10000, .psf_ree80_arcsec = 0.19};
static const nsl_dq_bits fake_bits = {.bad = 1 | 8 | 16, .saturated = 8, .cosmic = 16};

typedef struct {
  nsl_view view;
  float *sci, *err, *neighbours;
  int32_t *dq;
} fake_view;

enum { FRAME_NX = 1200, FRAME_NY = 300 };

/* direction +1 or -1; the direct position's fraction is the dither. Empty planes, error `sigma` electrons everywhere. */
static inline fake_view fake_view_new(int direction, double x, double y, double tilt, double dispersion, double exptime_s,
                                      float sigma, const nsl_view_settings *settings)
{
  fake_view f = {.sci = NULL};
  f.view.trace = (nsl_trace){.x0 = x, .y0 = y, .n_dydx = 2, .dydx = {0.3, tilt}, .n_dldp = 3};
  double path = sqrt(1 + tilt * tilt);
  f.view.trace.dldp[0] = 7000;
  f.view.trace.dldp[1] = direction * dispersion / path;
  f.view.trace.dldp[2] = 1e-5;
  f.view.trace.dx_min = direction > 0 ? -110 : -410;
  f.view.trace.dx_max = direction > 0 ? 410 : 110;
  long x0, y0, w, h;
  if (!nsl_view_window(&f.view.trace, &fake_band, settings, FRAME_NX, FRAME_NY, &x0, &y0, &w, &h)) { return f; }
  f.view.x0 = (double)x0 + 1;
  f.view.y0 = (double)y0 + 1;
  f.view.w = (int)w;
  f.view.h = (int)h;
  f.view.exptime_s = exptime_s;
  size_t n = (size_t)w * (size_t)h;
  f.view.sci = f.sci = calloc(n, sizeof *f.sci);
  f.view.err = f.err = malloc(n * sizeof *f.err);
  f.view.dq = f.dq = calloc(n, sizeof *f.dq);
  f.view.neighbours = f.neighbours = calloc(n, sizeof *f.neighbours);
  for (size_t i = 0; i < n; i++) { f.err[i] = sigma; }
  return f;
}

static inline void fake_view_free(fake_view *f)
{
  free(f->sci);
  free(f->err);
  free(f->neighbours);
  free(f->dq);
}

/* Light of a Gaussian inside one pixel. */
static inline double in_pixel(double d, double sigma)
{
  return 0.5 * (erf((d + 0.5) / (sigma * M_SQRT2)) - erf((d - 0.5) / (sigma * M_SQRT2)));
}

/* Adds a line of `electrons` at a wavelength, `offset` px above the trace in the frame's y. */
static inline void fake_line(fake_view *f, float *plane, double lambda, double electrons, double sigma_px, double offset)
{
  double dx;
  if (!nsl_trace_dx_of_lambda(&f->view.trace, lambda, &dx)) { return; }
  double x = f->view.trace.x0 + dx - f->view.x0, y = f->view.trace.y0 + nsl_trace_dy(&f->view.trace, dx) + offset - f->view.y0;
  for (int j = 0; j < f->view.h; j++) {
    for (int i = 0; i < f->view.w; i++) {
      plane[(size_t)j * (size_t)f->view.w + (size_t)i] +=
          (float)(electrons * in_pixel(i - x, sigma_px) * in_pixel(j - y, sigma_px));
    }
  }
}

static inline void fake_noise(fake_view *f, uint64_t id, uint64_t sub)
{
  nsl_rng rng = nsl_rng_make(11, NSL_RNG_TEST, id, sub);
  size_t n = (size_t)f->view.w * (size_t)f->view.h;
  float *noise = malloc(n * sizeof *noise);
  nsl_rng_normals_f32(&rng, noise, n);
  for (size_t i = 0; i < n; i++) { f->sci[i] += noise[i] * f->err[i]; }
  free(noise);
}

/* The pixel that holds a wavelength's trace. */
static inline size_t fake_pixel(const fake_view *f, double lambda, int right, int up)
{
  double dx = 0;
  nsl_trace_dx_of_lambda(&f->view.trace, lambda, &dx);
  long i = lround(f->view.trace.x0 + dx - f->view.x0) + right;
  long j = lround(f->view.trace.y0 + nsl_trace_dy(&f->view.trace, dx) - f->view.y0) + up;
  return (size_t)j * (size_t)f->view.w + (size_t)i;
}

typedef struct {
  float flux[NSL_STAMP_PLANE], variance[NSL_STAMP_PLANE], contamination[NSL_STAMP_PLANE];
  nsl_stamp_band_info info;
  uint32_t flags;
} fake_stamp;

static inline nsl_status fake_combine(const fake_view *f, int n, const nsl_view_settings *settings, fake_stamp *out, nsl_error *err)
{
  nsl_view views[16];
  for (int v = 0; v < n; v++) { views[v] = f[v].view; }
  out->flags = 0;
  return nsl_views_combine(views, n, &fake_band, &fake_bits, settings, out->flux, out->variance, out->contamination, &out->info,
                           &out->flags, err);
}

static inline double column_of(double lambda) { return (lambda - fake_band.lambda0_a) / fake_band.dlambda_a; }

/* Sum and centroid of a plane within `half` pixels of (x, y). */
static inline double spot(const float *plane, double x, double y, int half, double *cx, double *cy)
{
  double sum = 0, sx = 0, sy = 0;
  for (int j = 0; j < NSL_STAMP_NY; j++) {
    for (int i = 0; i < NSL_STAMP_NX; i++) {
      if (fabs(i - x) > half || fabs(j - y) > half) { continue; }
      double v = plane[j * NSL_STAMP_NX + i];
      sum += v;
      sx += v * i;
      sy += v * j;
    }
  }
  *cx = sx / sum;
  *cy = sy / sum;
  return sum;
}

#endif
