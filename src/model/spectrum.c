/* Puts a source's spectrum together: stars, dust, lines, redshift, magnitude. */
#include "noslit/model/spectrum.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fast_exp.h"
#include "noslit/base/vectorised.h"
#include "spectrum_internal.h"

#define LIGHT_SPEED_KM_S 299792.458

struct nsl_spectra {
  nsl_added *added;
  int n_added;
  nsl_star_table star[N_STARS];
  float dust[REST_N]; /* 0.4 ln 10 k(lambda) */
  float old[REST_N], young[REST_N];
  /* What `old` holds between stars_i0 and stars_i1 (the same: nothing): fits ask for one source at many redshifts. */
  nsl_sed_params stars_of;
  int stars_i0, stars_i1;
  double lambda[NSL_SPECTRUM_N], of_lines[NSL_SPECTRUM_N];
};

nsl_status nsl_spectra_new(nsl_spectra **out, nsl_error *err)
{
  nsl_spectra *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "spectrum library"); }
  for (int k = 0; k < N_STARS; k++) {
    nsl_status st = nsl_star_table_make(k, &s->star[k], err);
    if (st != NSL_OK) {
      nsl_spectra_free(s);
      return st;
    }
  }
  for (int i = 0; i < REST_N; i++) { s->dust[i] = (float)(0.4 * M_LN10 * nsl_calzetti_k(REST_LAMBDA0_A + REST_STEP_A * i)); }
  for (int i = 0; i < NSL_SPECTRUM_N; i++) { s->lambda[i] = NSL_SPECTRUM_LAMBDA0_A + NSL_SPECTRUM_STEP_A * i; }
  *out = s;
  return NSL_OK;
}

void nsl_spectra_free(nsl_spectra *s)
{
  if (!s) { return; }
  for (int k = 0; k < N_STARS; k++) { nsl_star_table_free(&s->star[k]); }
  for (int k = 0; k < s->n_added; k++) { free(s->added[k].flux); }
  free(s->added);
  free(s);
}

nsl_status nsl_spectra_add(nsl_spectra *s, nsl_kind kind, int has_lines, size_t n, const double *lambda_a, const float *flam,
                           nsl_error *err)
{
  nsl_added *grown = realloc(s->added, (size_t)(s->n_added + 1) * sizeof *grown);
  if (!grown) { return nsl_fail(err, NSL_E_NOMEM, "spectrum library"); }
  s->added = grown;
  nsl_status st = nsl_added_make(&s->added[s->n_added], kind, has_lines, n, lambda_a, flam, err);
  s->n_added += st == NSL_OK;
  return st;
}

int nsl_spectra_n_added(const nsl_spectra *s) { return s->n_added; }

void nsl_spectra_mix(const nsl_spectra *s, uint64_t seed, uint64_t id, int part, int n_parts, nsl_sed_params *p)
{
  nsl_added_mix(s->added, s->n_added, seed, id, part, n_parts, p);
}

const double *nsl_spectra_lambda(const nsl_spectra *s) { return s->lambda; }

NSL_VECTORISED static void add_flux(float *restrict to, const float *restrict from, float f, int n)
{
  for (int i = 0; i < n; i++) { to[i] += f * from[i]; }
}

NSL_VECTORISED static void add_star(float *restrict old, float *restrict young, const float *restrict continuum,
                                    const float *restrict depth, float w_old, float w_young, int n)
{
  for (int i = 0; i < n; i++) {
    float f = continuum[i] * nsl_fast_exp(-depth[i]);
    old[i] += w_old * f;
    young[i] += w_young * f;
  }
}

NSL_VECTORISED static void screen(float *restrict f, const float *restrict dust, float ebv, int n)
{
  for (int i = 0; i < n; i++) { f[i] *= nsl_fast_exp(-ebv * dust[i]); }
}

enum { BLOCK = 1024 /* values of a spectrum at a time: their depths stay in the cache */ };

/* Stellar light in the rest frame, rest pixels [i0, i1) only, into s->old. */
static void stars(nsl_spectra *s, const nsl_sed_params *p, const double w_old[N_STARS], const double w_young[N_STARS], int i0,
                  int i1)
{
  int n = i1 - i0;
  memset(s->old + i0, 0, (size_t)n * sizeof(float));
  memset(s->young + i0, 0, (size_t)n * sizeof(float));
  for (int k = 0; k < N_STARS; k++) {
    if (w_old[k] < 1e-4 && w_young[k] < 1e-4) { continue; }
    for (int i = i0; i < i1; i += BLOCK) {
      float depth[BLOCK] = {0};
      int m = i1 - i < BLOCK ? i1 - i : BLOCK;
      for (int g = 0; g < NSL_SED_GROUPS; g++) {
        if (s->star[k].depth[g]) { add_flux(depth, s->star[k].depth[g] + i, (float)p->strength[g], m); }
      }
      add_star(s->old + i, s->young + i, s->star[k].continuum + i, depth, (float)w_old[k], (float)w_young[k], m);
    }
  }
  screen(s->old + i0, s->dust + i0, (float)p->ebv_old, n);
  screen(s->young + i0, s->dust + i0, (float)p->ebv_young, n);
  for (int i = i0; i < i1; i++) { s->old[i] += s->young[i]; }
}

static void population_weights(const nsl_sed_params *p, double w_old[N_STARS], double w_young[N_STARS])
{
  for (int a = 0; a < 3; a++) {
    double w[N_STARS];
    nsl_age_weights(p->log_age[a], w);
    for (int k = 0; k < N_STARS; k++) { *(a < 2 ? &w_old[k] : &w_young[k]) += p->fraction[a] * w[k]; }
  }
}

static void star_weights(double temperature_k, double w[N_STARS])
{
  memset(w, 0, N_STARS * sizeof *w);
  int k = 0;
  while (k < N_STARS - 2 && temperature_k < nsl_star_temperature_k[k + 1]) { k++; }
  double t = (temperature_k - nsl_star_temperature_k[k]) / (nsl_star_temperature_k[k + 1] - nsl_star_temperature_k[k]);
  t = t < 0 ? 0 : t > 1 ? 1 : t;
  w[k] = 1 - t;
  w[k + 1] = t;
}

/* Stellar light of [i0, i1) into s->old, unless it is there; of all the rest frame when only the redshift is another than before.
 */
static void starlight(nsl_spectra *s, const nsl_sed_params *p, int i0, int i1)
{
  double w_old[N_STARS] = {0}, w_young[N_STARS] = {0};
  nsl_sed_params now = *p;
  now.z = 0;
  int same = s->stars_i1 > s->stars_i0 && memcmp(&now, &s->stars_of, sizeof now) == 0;
  if (same && i0 >= s->stars_i0 && i1 <= s->stars_i1) { return; }
  s->stars_i0 = same ? 0 : i0;
  s->stars_i1 = same ? REST_N : i1;
  memcpy(&s->stars_of, &now, sizeof now);
  if (p->kind == NSL_KIND_STAR) {
    star_weights(p->temperature_k, w_old);
  } else {
    population_weights(p, w_old, w_young);
  }
  stars(s, p, w_old, w_young, s->stars_i0, s->stars_i1);
}

static void continuum(nsl_spectra *s, const nsl_sed_params *p, double *flam)
{
  double scale = 1 / (1 + p->z);
  int i0 = (int)((NSL_SPECTRUM_LAMBDA0_A * scale - REST_LAMBDA0_A) / REST_STEP_A),
      i1 = (int)((s->lambda[NSL_SPECTRUM_N - 1] * scale - REST_LAMBDA0_A) / REST_STEP_A) + 3;
  int ha = (int)((nsl_line_list[LINE_HA].lambda_a - REST_LAMBDA0_A) / REST_STEP_A) + 2; /* its continuum sets the lines */
  if (i1 < ha) { i1 = ha; }
  if (i0 < 0) { i0 = 0; }
  if (i1 > REST_N) { i1 = REST_N; }
  int built_in = p->n_mixed == 0 && p->kind != NSL_KIND_QUASAR;
  if (!built_in) { s->stars_i0 = s->stars_i1 = 0; }
  if (p->n_mixed > 0) {
    memset(s->old + i0, 0, (size_t)(i1 - i0) * sizeof(float));
    for (int k = 0; k < p->n_mixed; k++) { add_flux(s->old + i0, s->added[p->mixed[k]].flux + i0, (float)p->share[k], i1 - i0); }
    screen(s->old + i0, s->dust + i0, (float)p->ebv_old, i1 - i0);
  } else if (p->kind == NSL_KIND_QUASAR) {
    for (int i = i0; i < i1; i++) { s->old[i] = powf((float)(REST_LAMBDA0_A + REST_STEP_A * i) / 5500.0f, (float)p->slope); }
  } else {
    starlight(s, p, i0, i1);
  }
  for (int i = 0; i < NSL_SPECTRUM_N; i++) {
    double x = (s->lambda[i] * scale - REST_LAMBDA0_A) / REST_STEP_A;
    int k = x < i0 ? i0 : x > i1 - 2 ? i1 - 2 : (int)x;
    double t = x - k, u = (s->lambda[i] - 7000) / 4500;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    double tilt = 1 + p->tilt[0] * u + p->tilt[1] * (2 * u * u - 1) + p->tilt[2] * (4 * u * u * u - 3 * u);
    flam[i] = ((1 - t) * (double)s->old[k] + t * (double)s->old[k + 1]) * tilt;
  }
}

/* Adds a line of the given observed flux (per A of the grid's unit); the width is kept above 0.8 grid steps, where the sum over the
 * grid is still the flux. */
static void add_line(double *flam, double lambda_obs, double flux, double sigma_km_s)
{
  double sigma = lambda_obs * sigma_km_s / LIGHT_SPEED_KM_S, floor_a = 0.8 * NSL_SPECTRUM_STEP_A;
  if (sigma < floor_a) { sigma = floor_a; }
  double c = (lambda_obs - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A, s = sigma / NSL_SPECTRUM_STEP_A;
  int a = (int)floor(c - 5 * s), b = (int)ceil(c + 5 * s);
  if (a < 0) { a = 0; }
  if (b > NSL_SPECTRUM_N - 1) { b = NSL_SPECTRUM_N - 1; }
  double norm = flux / (sigma * sqrt(2 * M_PI));
  for (int i = a; i <= b; i++) { flam[i] += norm * exp(-0.5 * (i - c) * (i - c) / (s * s)); }
}

/* Emission lines on top of the continuum, in its unit. */
static void emission(const nsl_spectra *s, const nsl_sed_params *p, double *flam, nsl_line_fluxes *out)
{
  memset(out, 0, sizeof *out);
  if (p->kind == NSL_KIND_STAR) { return; }
  double at_ha = (double)s->old[(int)((nsl_line_list[LINE_HA].lambda_a - REST_LAMBDA0_A) / REST_STEP_A)];
  double without = 1; /* share of the light whose spectra have no lines of their own */
  for (int k = 0; k < p->n_mixed; k++) { without -= s->added[p->mixed[k]].has_lines ? p->share[k] : 0; }
  double ha = without * p->ew_ha_a * (1 + p->z) * at_ha, flux[NSL_SED_LINES];
  int quasar = p->kind == NSL_KIND_QUASAR;
  for (int i = 0; i < NSL_SED_LINES; i++) {
    double lambda = nsl_line_list[i].lambda_a * (1 + p->z),
           broad = quasar ? ha * nsl_line_list[i].broad / nsl_line_list[LINE_HA].broad : 0;
    flux[i] = (quasar ? 0.12 : 1) * ha * p->line[i];
    if (!(ha > 0)) { continue; }
    if (flux[i] > 0) { add_line(flam, lambda, flux[i], p->sigma_v_km_s); }
    if (broad > 0) { add_line(flam, lambda, broad, p->broad_km_s); }
    flux[i] += broad;
  }
  out->ha = flux[LINE_HA];
  out->hb = flux[LINE_HB];
  out->nii6585 = flux[LINE_NII];
  out->oiii5008 = flux[LINE_OIII];
  out->oii3728 = flux[LINE_OII_A] + flux[LINE_OII_B];
}

double nsl_spectrum_mag(const double *flam, double lo_a, double hi_a)
{
  double sum = 0, flat = 0;
  int first = (int)fmax((lo_a - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A, 0);
  for (int i = first; i < NSL_SPECTRUM_N; i++) {
    double lambda = NSL_SPECTRUM_LAMBDA0_A + NSL_SPECTRUM_STEP_A * i;
    if (lambda > hi_a) { break; }
    if (lambda < lo_a) { continue; }
    sum += flam[i] * lambda;
    flat += nsl_flat_fnu_flam(0, lambda) * lambda;
  }
  return sum > 0 ? -2.5 * log10(sum / flat) : INFINITY;
}

void nsl_spectra_make(nsl_spectra *s, const nsl_sed_params *p, double mag, double *flam, nsl_line_fluxes *lines)
{
  nsl_spectra_make_parts(s, p, mag, flam, s->of_lines, lines);
}

void nsl_spectra_make_parts(nsl_spectra *s, const nsl_sed_params *p, double mag, double *flam, double *of_lines,
                            nsl_line_fluxes *lines)
{
  nsl_line_fluxes made;
  continuum(s, p, flam);
  memset(of_lines, 0, NSL_SPECTRUM_N * sizeof *of_lines);
  emission(s, p, of_lines, &made);
  for (int i = 0; i < NSL_SPECTRUM_N; i++) { flam[i] += of_lines[i]; }
  double scale = pow(10, -0.4 * (mag - nsl_spectrum_mag(flam, NSL_MAG_BAND_MIN_A, NSL_MAG_BAND_MAX_A)));
  for (int i = 0; i < NSL_SPECTRUM_N; i++) {
    flam[i] *= scale;
    of_lines[i] *= scale;
  }
  if (lines) {
    *lines = (nsl_line_fluxes){.ha = made.ha * scale,
                               .hb = made.hb * scale,
                               .oiii5008 = made.oiii5008 * scale,
                               .oii3728 = made.oii3728 * scale,
                               .nii6585 = made.nii6585 * scale};
  }
}
