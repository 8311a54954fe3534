/* Spectra of a library: laid on the rest-frame grid, and drawn in non-negative mixtures. */
#include <math.h>
#include <stdlib.h>

#include "noslit/base/rng.h"
#include "spectrum_internal.h"

#define NORM_MIN_A 5400.0
#define NORM_MAX_A 5600.0

/* Mean of a piecewise linear spectrum over [a, b], so that narrow features keep their strength on a coarser grid; k: where the last
 * call began. */
static double mean_over(size_t n, const double *x, const float *y, double a, double b, size_t *k)
{
  if (b <= x[0]) { return (double)y[0]; }
  if (a >= x[n - 1]) { return (double)y[n - 1]; }
  a = a > x[0] ? a : x[0];
  b = b < x[n - 1] ? b : x[n - 1];
  while (*k + 2 < n && x[*k + 1] <= a) { ++*k; }
  double sum = 0;
  for (size_t i = *k; i + 1 < n && x[i] < b; i++) {
    double lo = a > x[i] ? a : x[i], hi = b < x[i + 1] ? b : x[i + 1], middle = 0.5 * (lo + hi);
    if (!(hi > lo)) { continue; }
    sum += (hi - lo) * ((double)y[i] + (double)(y[i + 1] - y[i]) * (middle - x[i]) / (x[i + 1] - x[i]));
  }
  return sum / (b - a);
}

nsl_status nsl_added_make(nsl_added *a, nsl_kind kind, int has_lines, size_t n, const double *lambda_a, const float *flam,
                          nsl_error *err)
{
  for (size_t i = 0; i < n; i++) {
    if (!isfinite(flam[i]) || !(lambda_a[i] > 0) || (i > 0 && !(lambda_a[i] > lambda_a[i - 1]))) {
      return nsl_fail(err, NSL_E_VALUE, "wavelength %zu is %g A, flux %g: wavelengths must increase, fluxes be finite", i,
                      lambda_a[i], (double)flam[i]);
    }
  }
  if (n < 2 || lambda_a[0] > NORM_MIN_A || lambda_a[n - 1] < NORM_MAX_A) {
    return nsl_fail(err, NSL_E_VALUE, "it does not cover %g to %g A", NORM_MIN_A, NORM_MAX_A);
  }
  *a = (nsl_added){kind, has_lines, malloc(REST_N * sizeof(float))};
  if (!a->flux) { return nsl_fail(err, NSL_E_NOMEM, "spectrum library"); }
  size_t k = 0, at_norm = 0;
  double norm = mean_over(n, lambda_a, flam, NORM_MIN_A, NORM_MAX_A, &at_norm);
  if (!(norm > 0)) {
    free(a->flux);
    return nsl_fail(err, NSL_E_VALUE, "its mean flux over %g to %g A is %g: it must be positive", NORM_MIN_A, NORM_MAX_A, norm);
  }
  for (int i = 0; i < REST_N; i++) {
    double l = REST_LAMBDA0_A + REST_STEP_A * i;
    a->flux[i] = (float)fmax(mean_over(n, lambda_a, flam, l - 0.5 * REST_STEP_A, l + 0.5 * REST_STEP_A, &k) / norm, 0);
  }
  return NSL_OK;
}

/* The wanted-th spectrum of the kind among those of the part (part < 0: of all); -1 if there are not so many. *count: how many. */
static int find(const nsl_added *added, int n, nsl_kind kind, int part, int n_parts, int wanted, int *count)
{
  int of_kind = 0, found = -1;
  *count = 0;
  for (int k = 0; k < n; k++) {
    if (added[k].kind != kind) { continue; }
    int mine = part < 0 || of_kind % n_parts == part;
    of_kind++;
    if (!mine) { continue; }
    if (*count == wanted) { found = k; }
    ++*count;
  }
  return found;
}

void nsl_added_mix(const nsl_added *added, int n, uint64_t seed, uint64_t id, int part, int n_parts, nsl_sed_params *p)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_SPECTRUM, id, 1);
  int all, count;
  (void)find(added, n, p->kind, -1, 1, -1, &all);
  if (all == 0) { return; }
  int only = all >= n_parts ? part : -1;
  (void)find(added, n, p->kind, only, n_parts, -1, &count);
  /* Half of the sources are one spectrum as it is, the others mixtures. */
  double u = nsl_rng_uniform(&r), sum = 0;
  p->n_mixed = u < 0.5 ? 1 : u < 0.8 ? 2 : 3;
  for (int k = 0; k < p->n_mixed; k++) {
    p->mixed[k] = find(added, n, p->kind, only, n_parts, (int)nsl_rng_below(&r, (uint64_t)count), &count);
    p->share[k] = -log(1 - nsl_rng_uniform(&r)) + 1e-6;
    sum += p->share[k];
  }
  for (int k = 0; k < p->n_mixed; k++) { p->share[k] /= sum; }
  p->ebv_old = -(p->kind == NSL_KIND_RED ? 0.02 : 0.08) * log(1 - nsl_rng_uniform(&r)); /* on top of what the spectrum has */
}
