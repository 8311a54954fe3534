/* chi2 over redshift, and the PDF that it makes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "noslit/model/fit.h"

#define COARSE 0.003    /* in ln(1+z), between the first trials: about the width of an unresolved line */
#define REFINE_BELOW 30 /* minima that are worse than the best by more are not looked at closely */
#define PRIOR_Z 0.48
#define APART 0.01 /* in ln(1+z): farther is another redshift */

nsl_status nsl_fit_bank_new(const nsl_pdf_grid *grid, int n, nsl_fit_bank *out, nsl_error *err)
{
  *out = (nsl_fit_bank){.grid = *grid, .n = n};
  if (n < 1 || n > NSL_FIT_TEMPLATES_MAX) { return nsl_fail(err, NSL_E_VALUE, "%d templates: 1 to %d", n, NSL_FIT_TEMPLATES_MAX); }
  out->made = calloc((size_t)grid->n, sizeof *out->made);
  out->nodes = calloc((size_t)grid->n * (size_t)n * NSL_STAMP_BANDS * NSL_FIT_NODES, sizeof *out->nodes);
  if (out->nodes && out->made) { return NSL_OK; }
  nsl_fit_bank_free(out);
  return nsl_fail(err, NSL_E_NOMEM, "%d templates at %d redshifts", n, grid->n);
}

void nsl_fit_bank_free(nsl_fit_bank *bank)
{
  free(bank->nodes);
  free(bank->made);
  *bank = (nsl_fit_bank){0};
}

void nsl_fit_bank_clear(nsl_fit_bank *bank)
{
  memset(bank->made, 0, (size_t)bank->grid.n);
  memset(bank->nodes, 0, (size_t)bank->grid.n * (size_t)bank->n * NSL_STAMP_BANDS * NSL_FIT_NODES * sizeof *bank->nodes);
}

float *nsl_fit_bank_nodes(const nsl_fit_bank *bank, int bin, int template, int band)
{
  return bank->nodes + (((size_t)bin * (size_t)bank->n + (size_t) template) * NSL_STAMP_BANDS + (size_t)band) * NSL_FIT_NODES;
}

/* out = G f. */
NSL_VECTORISED static void apply(const nsl_fit_normal *g, const float *restrict f, float *restrict out)
{
  for (int j = 0; j < NSL_FIT_NODES; j++) { out[j] = g->diagonal[0][j] * f[j]; }
  for (int d = 1; d <= 2 * g->reach; d++) {
    const float *restrict c = g->diagonal[d];
    for (int j = 0; j < NSL_FIT_NODES - d; j++) { out[j] += c[j] * f[j + d]; }
    for (int j = 0; j < NSL_FIT_NODES - d; j++) { out[j + d] += c[j] * f[j]; }
  }
}

NSL_VECTORISED static double dot(const float *restrict a, const float *restrict b)
{
  enum { LANES = 16 };
  float part[LANES] = {0};
  for (int j = 0; j < NSL_FIT_NODES / LANES * LANES; j += LANES) {
    for (int l = 0; l < LANES; l++) { part[l] += a[j + l] * b[j + l]; }
  }
  double sum = 0;
  for (int j = NSL_FIT_NODES / LANES * LANES; j < NSL_FIT_NODES; j++) { sum += (double)(a[j] * b[j]); }
  for (int l = 0; l < LANES; l++) { sum += (double)part[l]; }
  return sum;
}

double nsl_fit_chi2(const nsl_fit_normal *const band[2], nsl_fit_bank *bank, int bin)
{
  double m[NSL_FIT_TEMPLATES_MAX * NSL_FIT_TEMPLATES_MAX] = {0}, c[NSL_FIT_TEMPLATES_MAX] = {0}, a[NSL_FIT_TEMPLATES_MAX];
  float through[NSL_FIT_NODES];
  int n = bank->n;
  if (bank->make && !bank->made[bin]) {
    bank->make(bank->ctx, bin);
    bank->made[bin] = 1;
  }
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    if (!band[b]) { continue; }
    for (int i = 0; i < n; i++) {
      const float *f = nsl_fit_bank_nodes(bank, bin, i, b);
      apply(band[b], f, through);
      c[i] += dot(f, band[b]->b);
      for (int j = 0; j <= i; j++) { m[i * n + j] += dot(nsl_fit_bank_nodes(bank, bin, j, b), through); }
    }
  }
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < i; j++) { m[j * n + i] = m[i * n + j]; }
  }
  return nsl_nnls(n, m, c, a);
}

static void try_bins(const nsl_fit_normal *const band[2], nsl_fit_bank *bank, int first, int last, double *chi2)
{
  for (int i = first < 0 ? 0 : first; i <= last && i < bank->grid.n; i++) {
    if (isnan(chi2[i])) { chi2[i] = nsl_fit_chi2(band, bank, i); }
  }
}

/* Straight lines between the bins that were tried; the last bin is one of them. */
static void fill_between(double *chi2, int n)
{
  for (int left = 0; left < n - 1;) {
    int right = left + 1;
    while (isnan(chi2[right])) { right++; }
    for (int i = left + 1; i < right; i++) { chi2[i] = chi2[left] + (chi2[right] - chi2[left]) * (i - left) / (right - left); }
    left = right;
  }
}

void nsl_fit_prior(const nsl_pdf_grid *grid, double *prior)
{
  double sum = 0;
  for (int i = 0; i < grid->n; i++) {
    double z = expm1(grid->u0 + (i + 0.5) * grid->du);
    prior[i] = z > 0 ? z * exp(-pow(z / PRIOR_Z, 1.5)) * (1 + z) : 0;
    sum += prior[i];
  }
  for (int i = 0; i < grid->n; i++) { prior[i] /= sum; }
}

double nsl_fit_pdf(const nsl_fit_normal *const band[2], nsl_fit_bank *bank, const double *prior, double *chi2, float *prob)
{
  int n = bank->grid.n, best = 0, coarse = (int)fmax(1, lround(COARSE / bank->grid.du));
  double least = INFINITY, second = 0, sum = 0;
  for (int i = 0; i < n; i++) { chi2[i] = NAN; }
  for (int i = 0; i < n; i += coarse) {
    try_bins(band, bank, i, i, chi2);
    least = fmin(least, chi2[i]);
  }
  try_bins(band, bank, n - 1, n - 1, chi2);
  for (int i = 0; i < n; i += coarse) {
    int minimum = (i < coarse || chi2[i] <= chi2[i - coarse]) && (i + coarse >= n || chi2[i] <= chi2[i + coarse]);
    if (minimum && chi2[i] < least + REFINE_BELOW) { try_bins(band, bank, i - coarse, i + coarse, chi2); }
  }
  fill_between(chi2, n);
  for (int i = 1; i < n; i++) { best = chi2[i] < chi2[best] ? i : best; }
  for (int i = 0; i < n; i++) {
    if (abs(i - best) * bank->grid.du > APART) { second = fmin(second, chi2[i]); }
    prob[i] = (float)(exp(-0.5 * (chi2[i] - chi2[best])) * (prior ? prior[i] * n : 1));
    sum += (double)prob[i];
  }
  for (int i = 0; i < n; i++) { prob[i] = (float)((double)prob[i] / sum); }
  return second - chi2[best];
}
