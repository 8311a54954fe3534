/* Template fits: non-negative least squares against all subsets, normal equations against pixels, redshifts at the Fisher bound. */
#include "unit/test_support.h"

#include <math.h>
#include <stdlib.h>

#include "noslit/base/rng.h"
#include "noslit/model/fit.h"

/* --- non-negative least squares --- */

enum { N = 6 };

/* Unconstrained solution on a subset by Gauss elimination; 0 when an amplitude is negative. */
static int subset(const double *m, const double *c, unsigned mask, double *value)
{
  double a[N][N + 1];
  int at[N], n = 0;
  for (int i = 0; i < N; i++) {
    if (mask >> i & 1) { at[n++] = i; }
  }
  for (int i = 0; i < n; i++) {
    for (int j = 0; j < n; j++) { a[i][j] = m[at[i] * N + at[j]]; }
    a[i][n] = c[at[i]];
  }
  for (int k = 0; k < n; k++) {
    for (int i = 0; i < n; i++) {
      if (i == k) { continue; }
      double f = a[i][k] / a[k][k];
      for (int j = k; j <= n; j++) { a[i][j] -= f * a[k][j]; }
    }
  }
  *value = 0;
  for (int i = 0; i < n; i++) {
    double x = a[i][n] / a[i][i];
    if (x < 0) { return 0; }
    *value -= x * c[at[i]]; /* at the optimum a'Ma = a'c */
  }
  return 1;
}

static void test_nnls_against_all_subsets(void **state)
{
  (void)state;
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 0, 0);
  for (int trial = 0; trial < 300; trial++) {
    double x[10][N], y[10], m[N * N] = {0}, c[N] = {0}, a[N], best = 0;
    for (int k = 0; k < 10; k++) {
      y[k] = nsl_rng_normal(&r);
      for (int i = 0; i < N; i++) { x[k][i] = nsl_rng_normal(&r) + (i < 3 ? 2 : 0); }
      for (int i = 0; i < N; i++) {
        c[i] += x[k][i] * y[k];
        for (int j = 0; j < N; j++) { m[i * N + j] += x[k][i] * x[k][j]; }
      }
    }
    for (unsigned mask = 1; mask < 1u << N; mask++) {
      double value;
      if (subset(m, c, mask, &value) && value < best) { best = value; }
    }
    double found = nsl_nnls(N, m, c, a);
    for (int i = 0; i < N; i++) { assert_true(a[i] >= 0); }
    if (fabs(found - best) > 1e-6 * (1 + fabs(best))) { fail_msg("trial %d: %.9g, all subsets %.9g", trial, found, best); }
  }
}

static void test_nnls_of_nothing(void **state)
{
  (void)state;
  const double m[4] = {1, 0, 0, 0}, c[2] = {-1, 0};
  double a[2];
  assert_true(nsl_nnls(2, m, c, a) == 0 && a[0] == 0 && a[1] == 0);
}

/* --- normal equations --- */

typedef struct {
  float flux[NSL_STAMP_PLANE], variance[NSL_STAMP_PLANE], light[NSL_STAMP_PLANE];
} band_planes;

static const nsl_mix leaning = {.n = 2, .g = {{0.7, 0, 0, 6, 3, 5}, {0.3, 1, -0.5, 3, -1, 2}}};

/* The profile with the pixel and the interpolation, as fit.h promises. */
static double profile(const nsl_mix *mix, double u, double v)
{
  double p = 0;
  for (int g = 0; g < mix->n; g++) {
    double xx = mix->g[g].xx + 0.25, yy = mix->g[g].yy + 0.25, xy = mix->g[g].xy, det = xx * yy - xy * xy;
    double a = u - mix->g[g].dx, b = v - mix->g[g].dy;
    p += mix->g[g].flux * exp(-0.5 * (yy * a * a - 2 * xy * a * b + xx * b * b) / det) / (2 * M_PI * sqrt(det));
  }
  return p;
}

/* Image of electrons per node. */
static void draw_image(const float *nodes, const nsl_mix *mix, double scale, double *image)
{
  for (int i = 0; i < (int)NSL_STAMP_PLANE; i++) { image[i] = 0; }
  for (int j = 0; j < NSL_FIT_NODES; j++) {
    for (int y = 0; y < NSL_STAMP_NY && nodes[j] != 0; y++) {
      for (int x = 0; x < NSL_STAMP_NX; x++) {
        double u = x - (j - NSL_FIT_REACH);
        if (fabs(u) < 40) { image[y * NSL_STAMP_NX + x] += scale * (double)nodes[j] * profile(mix, u, y - NSL_STAMP_YC); }
      }
    }
  }
}

static void test_chi2_is_that_of_the_pixels(void **state)
{
  (void)state;
  band_planes *p = calloc(1, sizeof *p);
  nsl_fit_normal *g = malloc(sizeof *g);
  double *image = malloc(NSL_STAMP_PLANE * sizeof *image), chi2[2] = {0, 0};
  nsl_fit_bank bank;
  const nsl_pdf_grid grid = {1, 0.01, 0.001};
  const double k = 0.5, seconds = 3;
  nsl_rng r = nsl_rng_make(2, NSL_RNG_TEST, 0, 0);
  assert_ok(nsl_fit_bank_new(&grid, 1, &bank, &test_err));
  float *nodes = nsl_fit_bank_nodes(&bank, 0, 0, 1);
  for (int i = 0; i < 60; i++) { nsl_fit_deposit(nsl_rng_range(&r, -20, 500), nsl_rng_range(&r, 0, 900), nodes); }
  draw_image(nodes, &leaning, seconds, image);
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    p->variance[i] = i % 11 == 0 ? 0 : (float)nsl_rng_range(&r, 100, 400);
    p->light[i] = i % 5 == 0 ? 30 : 0;
    p->flux[i] = p->variance[i] > 0 ? p->light[i] + (float)(0.8 * image[i] + 15 * nsl_rng_normal(&r)) : 1e9f;
  }
  nsl_fit_normal_make(p->flux, p->variance, p->light, k, &leaning, seconds, g);
  const nsl_fit_normal *const band[2] = {NULL, g};
  double found = nsl_fit_chi2(band, &bank, 0), dd = 0, dm = 0, mm = 0;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    if (!(p->variance[i] > 0)) { continue; }
    double w = 1 / ((double)p->variance[i] + k * k * (double)(p->light[i] * p->light[i])), d = (double)(p->flux[i] - p->light[i]);
    dd += w * d * d;
    dm += w * d * image[i];
    mm += w * image[i] * image[i];
  }
  chi2[0] = dd;
  chi2[1] = dd - dm * dm / mm; /* of the best amplitude */
  if (fabs(found - (chi2[1] - chi2[0])) > 0.01 * (chi2[0] - chi2[1])) { fail_msg("%g, pixels say %g", found, chi2[1] - chi2[0]); }
  nsl_fit_bank_free(&bank);
  free(image);
  free(g);
  free(p);
}

static void test_deposit_keeps_moments(void **state)
{
  (void)state;
  for (double at = 100; at < 101; at += 0.07) {
    float nodes[NSL_FIT_NODES] = {0};
    double sum = 0, mean = 0, square = 0;
    nsl_fit_deposit(at, 5, nodes);
    for (int j = 0; j < NSL_FIT_NODES; j++) {
      double x = j - NSL_FIT_REACH - at;
      sum += (double)nodes[j];
      mean += (double)nodes[j] * x;
      square += (double)nodes[j] * x * x;
    }
    assert_true(fabs(sum - 5) < 1e-5 && fabs(mean) < 1e-4 && fabs(square) < 1e-4);
  }
  float nodes[NSL_FIT_NODES] = {0};
  nsl_fit_deposit(-1000, 1, nodes);
  nsl_fit_deposit(1e9, 1, nodes);
  nsl_fit_deposit(NAN, 1, nodes);
  for (int j = 0; j < NSL_FIT_NODES; j++) { assert_true(nodes[j] == 0); }
}

/* --- redshifts --- */

/* Two lines and a continuum with a break at every redshift; the scatter of the PDF's mode is what the Fisher information allows. */
static void test_redshift_at_the_fisher_bound(void **state)
{
  (void)state;
  const nsl_pdf_grid grid = {1200, 0.2, 0.0002};
  const double per_u = 900; /* columns per ln(1+z) */
  enum { TRIALS = 100, TRUE_BIN = 600, SIGMA = 5 };
  nsl_fit_bank bank;
  assert_ok(nsl_fit_bank_new(&grid, 2, &bank, &test_err));
  for (int bin = 0; bin < grid.n; bin++) {
    double shift = per_u * grid.du * (bin - TRUE_BIN);
    nsl_fit_deposit(200 + shift, 100, nsl_fit_bank_nodes(&bank, bin, 0, 0));
    nsl_fit_deposit(260 + shift, 60, nsl_fit_bank_nodes(&bank, bin, 0, 0));
    for (int i = -500; i < 700; i++) { nsl_fit_deposit(i + shift, i < 120 ? 2 : 5, nsl_fit_bank_nodes(&bank, bin, 1, 0)); }
  }
  band_planes *p = calloc(1, sizeof *p);
  nsl_fit_normal *g = malloc(sizeof *g);
  double *image = malloc(NSL_STAMP_PLANE * sizeof *image), *chi2 = malloc((size_t)grid.n * sizeof *chi2);
  float *prob = malloc((size_t)grid.n * sizeof *prob), nodes[NSL_FIT_NODES];
  const float *lines = nsl_fit_bank_nodes(&bank, TRUE_BIN, 0, 0), *stars = nsl_fit_bank_nodes(&bank, TRUE_BIN, 1, 0);
  for (int j = 0; j < NSL_FIT_NODES; j++) { nodes[j] = 4 * lines[j] + stars[j]; }
  draw_image(nodes, &leaning, 1, image);
  nsl_rng r = nsl_rng_make(3, NSL_RNG_TEST, 0, 0);
  double sum2 = 0, claimed = 0;
  for (int trial = 0; trial < TRIALS; trial++) {
    for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
      p->variance[i] = SIGMA * SIGMA;
      p->flux[i] = (float)(image[i] + SIGMA * nsl_rng_normal(&r));
    }
    nsl_fit_normal_make(p->flux, p->variance, p->light, 0, &leaning, 1, g);
    const nsl_fit_normal *const band[2] = {g, NULL};
    double gap = nsl_fit_pdf(band, &bank, NULL, chi2, prob), total = 0, mean = 0, square = 0;
    for (int i = 0; i < grid.n; i++) {
      total += (double)prob[i];
      mean += (double)prob[i] * (i - TRUE_BIN);
      square += (double)prob[i] * (i - TRUE_BIN) * (i - TRUE_BIN);
    }
    assert_true(fabs(total - 1) < 1e-5 && gap > 10);
    sum2 += mean * mean;
    claimed += square - mean * mean;
  }
  double scatter = sqrt(sum2 / TRIALS), width = sqrt(claimed / TRIALS);
  /* Fisher: derivative of the image by the redshift, here a shift of everything, with amplitudes known (they hardly matter). */
  double fisher = 0;
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    for (int x = 1; x < NSL_STAMP_NX - 1; x++) {
      double slope = 0.5 * (image[y * NSL_STAMP_NX + x + 1] - image[y * NSL_STAMP_NX + x - 1]) * per_u * grid.du;
      fisher += slope * slope / (SIGMA * SIGMA);
    }
  }
  double bound = 1 / sqrt(fisher);
  print_message("scatter %.2f bins, claimed %.2f, bound %.2f\n", scatter, width, bound);
  assert_true(bound > 1 && scatter < 1.35 * bound && scatter > 0.7 * bound);
  assert_true(width > 0.85 * bound && width < 1.25 * bound);
  nsl_fit_bank_free(&bank);
  free(image);
  free(chi2);
  free(prob);
  free(g);
  free(p);
}

/* Where the pixels say nothing the prior is the PDF. */
static void test_nothing_seen_is_the_prior(void **state)
{
  (void)state;
  const nsl_pdf_grid grid = {640, 0.010, 0.0015};
  nsl_fit_bank bank;
  double prior[640], chi2[640], sum = 0, most = 0;
  float prob[640];
  assert_ok(nsl_fit_bank_new(&grid, 1, &bank, &test_err));
  for (int i = 0; i < grid.n; i++) { nsl_fit_deposit(100 + i * 0.3, 10, nsl_fit_bank_nodes(&bank, i, 0, 0)); }
  nsl_fit_normal *none = calloc(1, sizeof *none);
  const nsl_fit_normal *const band[2] = {none, NULL};
  nsl_fit_prior(&grid, prior);
  assert_true(nsl_fit_pdf(band, &bank, prior, chi2, prob) == 0);
  for (int i = 0; i < grid.n; i++) {
    assert_true(prior[i] > 0 && fabs((double)prob[i] - prior[i]) < 1e-6);
    sum += prior[i];
    most = fmax(most, prior[i]);
  }
  assert_true(fabs(sum - 1) < 1e-9 && most < 5.0 / grid.n); /* broad */
  nsl_fit_pdf(band, &bank, NULL, chi2, prob);
  for (int i = 0; i < grid.n; i++) { assert_true(fabs((double)prob[i] - 1.0 / grid.n) < 1e-6); }
  nsl_fit_bank_free(&bank);
  free(none);
}

static void test_bad_banks(void **state)
{
  (void)state;
  const nsl_pdf_grid grid = {10, 0.01, 0.001};
  nsl_fit_bank bank;
  assert_int_equal(nsl_fit_bank_new(&grid, 0, &bank, &test_err), NSL_E_VALUE);
  assert_int_equal(nsl_fit_bank_new(&grid, NSL_FIT_TEMPLATES_MAX + 1, &bank, &test_err), NSL_E_VALUE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_nnls_against_all_subsets),
      cmocka_unit_test(test_nnls_of_nothing),
      cmocka_unit_test(test_chi2_is_that_of_the_pixels),
      cmocka_unit_test(test_deposit_keeps_moments),
      cmocka_unit_test(test_redshift_at_the_fisher_bound),
      cmocka_unit_test(test_nothing_seen_is_the_prior),
      cmocka_unit_test(test_bad_banks),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
