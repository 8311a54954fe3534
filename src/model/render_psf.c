/* The PSF's width and its change with wavelength. */
#include "noslit/base/vectorised.h"
#include "render_internal.h"

#define DARK 1e-3       /* of the peak: less sensitivity does not count */
#define SHORT_PX 24.0   /* shorter beams do not tell wavelengths apart: the PSF is wider than their parts */
#define KNOT_COLUMNS 32 /* the variance is linear between */

nsl_psf nsl_psf_of_band(const nsl_band *band, double pixel_scale_arcsec)
{
  return (nsl_psf){.sigma_px = nsl_psf_sigma_px(band->psf_ree80_arcsec, pixel_scale_arcsec),
                   .lambda_a = 0.5 * (band->lambda_min_a + band->lambda_max_a),
                   .exponent = band->psf_exponent};
}

double nsl_psf_variance_px2(const nsl_psf *psf, double lambda_a)
{
  double s2 = psf->sigma_px * psf->sigma_px;
  return psf->exponent == 0 || !(lambda_a > 0) ? s2 : s2 * pow(lambda_a / psf->lambda_a, 2 * psf->exponent);
}

double nsl_psf_least_px2(const nsl_psf *psf, const nsl_sensitivity *sens)
{
  if (psf->exponent == 0) { return psf->sigma_px * psf->sigma_px; }
  double peak = 0;
  size_t a = 0, b = sens->n - 1;
  for (size_t i = 0; i < sens->n; i++) { peak = sens->value[i] > peak ? sens->value[i] : peak; }
  while (a + 1 < sens->n && sens->value[a + 1] < DARK * peak) { a++; }
  while (b > a + 1 && sens->value[b - 1] < DARK * peak) { b--; }
  double blue = nsl_psf_variance_px2(psf, sens->lambda_a[a]), red = nsl_psf_variance_px2(psf, sens->lambda_a[b]);
  return fmax(fmin(blue, red), fmax(blue, red) - NSL_DELTA_MAX_PX2);
}

void nsl_mix_with_psf(const nsl_mix *mix, double variance_px2, nsl_mix *out)
{
  double more = variance_px2 - mix->psf.sigma_px * mix->psf.sigma_px;
  *out = *mix;
  for (int i = 0; i < out->n; i++) {
    out->g[i].xx += more;
    out->g[i].yy += more;
  }
}

static double delta_at(const nsl_psf *psf, double least, const nsl_trace *t, double dx)
{
  dx = fmin(fmax(dx, t->dx_min), t->dx_max);
  return fmin(fmax(nsl_psf_variance_px2(psf, nsl_trace_lambda(t, dx)) - least, 0), NSL_DELTA_MAX_PX2);
}

void nsl_psf_delta(const nsl_psf *psf, double least, const nsl_trace *t, double mean_a, double x_first, int n, float *delta)
{
  if (t->dx_max - t->dx_min < SHORT_PX) {
    double d = fmin(fmax(nsl_psf_variance_px2(psf, mean_a) - least, 0), NSL_DELTA_MAX_PX2);
    for (int i = 0; i < n; i++) { delta[i] = (float)d; }
    return;
  }
  double a = delta_at(psf, least, t, x_first - t->x0);
  for (int i = 0; i < n; i += KNOT_COLUMNS) {
    double b = delta_at(psf, least, t, x_first + i + KNOT_COLUMNS - t->x0);
    float from = (float)a, slope = (float)((b - a) / KNOT_COLUMNS);
    for (int k = 0; k < KNOT_COLUMNS && i + k < n; k++) { delta[i + k] = from + slope * (float)k; }
    a = b;
  }
}

/* What each column keeps, and sends to the next and to those after. */
NSL_VECTORISED static void blur(float *restrict line, const float *restrict delta, int n, float *restrict next,
                                float *restrict after)
{
  for (int i = 0; i < n; i++) {
    float d = delta[i], b = (3 * d * d - d) * (1.0f / 24), a = 0.5f * d - 4 * b, light = line[i];
    next[i] = a * light;
    after[i] = b * light;
    line[i] = (1 - 2 * a - 2 * b) * light;
  }
  for (int i = 2; i < n - 2; i++) { line[i] += (next[i - 1] + next[i + 1]) + (after[i - 2] + after[i + 2]); }
}

void nsl_line_blur(float *line, const float *delta, int n, float *work) { blur(line, delta, n, work, work + n); }
