/* Electrons: the sky's, a source's true signal to noise, which beams a source is rendered by. */
#include <math.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/vectorised.h"

#define SKY_TABLE_MAG 22.1
#define BRIGHT_MAG 21.0  /* fainter sources are rendered by first and zeroth order alone: the others are below 0.01 e-/px */
#define BOX_HALF_PX 13.5 /* the 2 arcsec extraction box: 27 rows */

/* Zodiacal light, 1e-18 erg/s/cm2/A/arcsec2 at V = 22.1 (facts A2). */
static const double sky_lambda[] = {2500, 3000, 3500, 4000, 4500, 5000, 5500,  6000, 6500,
                                    7000, 7500, 8000, 8500, 9000, 9500, 10000, 11000};
static const double sky_flam[] = {.20,  1.88, 3.36, 7.24, 7.85, 7.34, 7.88, 7.66, 6.85,
                                  6.36, 5.89, 5.40, 4.71, 4.33, 3.98, 3.69, 3.2};

static double interpolate(const double *x, const double *y, int n, double at)
{
  if (at <= x[0] || at >= x[n - 1]) { return 0; }
  int k = 0;
  while (at > x[k + 1]) { k++; }
  return y[k] + (y[k + 1] - y[k]) * (at - x[k]) / (x[k + 1] - x[k]);
}

double nsl_mock_sky_rate(const nsl_instrument *inst, const nsl_trace_conf *conf, double sky_mag)
{
  const nsl_beam *a = nsl_trace_conf_beam(conf, 'A');
  double sum = 0, step = 5;
  if (!a) { return 0; }
  for (double l = 2500 + step / 2; l < 11000; l += step) {
    sum += step * interpolate(sky_lambda, sky_flam, sizeof sky_flam / sizeof *sky_flam, l) * nsl_sensitivity_at(&a->sensitivity, l);
  }
  return 1e-18 * sum * inst->pixel_scale_arcsec * inst->pixel_scale_arcsec * pow(10, -0.4 * (sky_mag - SKY_TABLE_MAG));
}

const nsl_trace_conf *nsl_mock_band_conf(const nsl_instrument *inst, int band)
{
  for (int d = 0; d < inst->n_detectors; d++) {
    const nsl_detector *det = &inst->detectors[d];
    if (det->band == band && det->n_gratings > 0) { return &inst->confs[det->gratings[0].conf]; }
  }
  return NULL;
}

/* Light per canonical column: the integral of F_lambda x sensitivity, e-/s. */
static void columns_of(const nsl_band *band, const double *response, const double *flam, int x0, int x1, double *out)
{
  /* Cumulative integral on the spectrum's grid, read at the columns' edges. */
  double sum = 0;
  int k = 0;
  double previous_edge = 0;
  for (int x = x0; x <= x1; x++) {
    double at = (band->lambda0_a + band->dlambda_a * (x - 0.5) - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A;
    at = at < 0 ? 0 : at > NSL_SPECTRUM_N - 1.001 ? NSL_SPECTRUM_N - 1.001 : at;
    for (; k + 1 <= at; k++) { sum += 0.5 * (flam[k] * response[k] + flam[k + 1] * response[k + 1]); }
    double t = at - k, f0 = flam[k] * response[k], f1 = flam[k + 1] * response[k + 1];
    double edge = (sum + t * (f0 + 0.5 * t * (f1 - f0))) * NSL_SPECTRUM_STEP_A;
    if (x > x0) { out[x - 1 - x0] = edge - previous_edge; }
    previous_edge = edge;
  }
}

enum { REACH = 24 /* px of a profile along the dispersion */ };

/* out[i] = sum of k[t] in[i - t], t from -REACH to REACH; in has REACH values more on both sides. */
NSL_VECTORISED static void convolve(const double *k, const double *restrict in, int n, double *restrict out)
{
  memset(out, 0, (size_t)n * sizeof *out);
  for (int t = -REACH; t <= REACH; t++) {
    const double *restrict from = in - t;
    double weight = k[t + REACH];
    for (int i = 0; i < n; i++) { out[i] += weight * from[i]; }
  }
}

/* Smears n columns by the profile along the dispersion; the first and the last go on beyond the ends. */
static void smear(const nsl_mix *mix, const double *in, int n, double *out)
{
  double k[2 * REACH + 1] = {0}, padded[NSL_STAMP_NX + 2 * REACH], sum = 0;
  for (int g = 0; g < mix->n; g++) {
    double v = mix->g[g].xx + 1.0 / 12, norm = mix->g[g].flux / sqrt(2 * M_PI * v);
    for (int t = -REACH; t <= REACH; t++) { k[t + REACH] += norm * exp(-0.5 * (t - mix->g[g].dx) * (t - mix->g[g].dx) / v); }
  }
  for (int t = 0; t <= 2 * REACH; t++) { sum += k[t]; }
  for (int j = 0; j < n + 2 * REACH; j++) { padded[j] = in[j < REACH ? 0 : j - REACH > n - 1 ? n - 1 : j - REACH]; }
  convolve(k, padded + REACH, n, out);
  for (int i = 0; i < n; i++) { out[i] /= sum; }
}

double nsl_mock_true_snr(nsl_mock *m, int slot, const double *flam, const nsl_mix *mix, int n_exp)
{
  const nsl_band *band = &m->inst->bands[m->inst->stamp_band[slot]];
  double light[NSL_STAMP_NX], seen[NSL_STAMP_NX], box = 0, snr = 0, t = m->exptime_s * n_exp;
  int x0, x1;
  nsl_band_columns(band, NSL_STAMP_NX, &x0, &x1);
  if (n_exp < 1 || x1 <= x0) { return 0; }
  columns_of(band, m->response[slot], flam, x0, x1, light);
  smear(mix, light, x1 - x0, seen);
  for (int g = 0; g < mix->n; g++) {
    double s = sqrt(2 * (mix->g[g].yy + 1.0 / 12));
    box += 0.5 * mix->g[g].flux * (erf((BOX_HALF_PX - mix->g[g].dy) / s) + erf((BOX_HALF_PX + mix->g[g].dy) / s));
  }
  double rn = m->detector.read_noise_e, rows = 2 * BOX_HALF_PX;
  double floor_e2 = rows * ((m->sky_rate[m->inst->stamp_band[slot]] + m->detector.dark_e_s) * t + n_exp * rn * rn);
  for (int x = 0; x < x1 - x0; x++) {
    double f = box * seen[x] * t;
    snr += f > 0 ? f / sqrt(f + floor_e2) : 0;
  }
  return snr / (x1 - x0);
}

nsl_status nsl_mock_render(nsl_mock *m, const nsl_trace_conf *conf, double x_px, double y_px, const nsl_mix *mix,
                           const nsl_sed *light, double mag, double scale_seconds, nsl_window *window, nsl_error *err)
{
  nsl_sed sed = *light;
  if (!(sed.hash.hi | sed.hash.lo)) { sed.hash = nsl_sed_hash(&sed); }
  for (int b = 0; b < conf->n_beams; b++) {
    const nsl_beam *beam = &conf->beams[b];
    if (mag > BRIGHT_MAG && beam->name != 'A' && beam->name != 'B') { continue; }
    nsl_status st = nsl_render_beam(m->renderer, beam, x_px, y_px, mix, &sed, scale_seconds, window, err);
    if (st != NSL_OK) { return st; }
  }
  return NSL_OK;
}

nsl_status nsl_mock_render_galaxy(nsl_mock *m, const nsl_trace_conf *conf, double x_px, double y_px, const nsl_mock_source *s,
                                  const nsl_psf *psf, const double map[4], double *flam, const double *of_lines, nsl_window *window,
                                  nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mix continuum, lines;
  nsl_sed sed = {NSL_SPECTRUM_N, nsl_spectra_lambda(m->spectra), flam, {0, 0}};
  int apart = nsl_mock_profiles(m, s, psf->sigma_px, map, &continuum, &lines);
  continuum.psf = lines.psf = *psf;
  if (!apart) { return nsl_mock_render(m, conf, x_px, y_px, &continuum, &sed, s->mag, m->exptime_s, window, err); }
  for (int i = 0; i < NSL_SPECTRUM_N; i++) { flam[i] -= of_lines[i]; }
  NSL_TRY(nsl_mock_render(m, conf, x_px, y_px, &continuum, &sed, s->mag, m->exptime_s, window, err));
  sed.flam = of_lines;
  NSL_TRY(nsl_mock_render(m, conf, x_px, y_px, &lines, &sed, s->mag, m->exptime_s, window, err));
cleanup:
  for (int i = 0; i < NSL_SPECTRUM_N; i++) { flam[i] += of_lines[i]; }
  return st;
}
