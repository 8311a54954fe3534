/* PDFs that are wrong in a known way come out right. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/calibration_internal.h"
#include "noslit/base/rng.h"
#include "unit/test_support.h"

#define assert_near(a, b, tol)                                                                                      \
  do {                                                                                                              \
    double a_ = (a), b_ = (b);                                                                                      \
    if (!(fabs(a_ - b_) <= (tol))) { fail_msg("%s = %.12g, expected %.12g within %g", #a, a_, b_, (double)(tol)); } \
  } while (0)

enum { N = 3000, BINS = 400 };
static const nsl_pdf_grid grid = {BINS, 0.0, 0.0025};

typedef struct {
  float *prob;
  double *z;
  nsl_calibration_facts *facts;
} sample;

static void add_gaussian(float *prob, double u, double sigma, double weight)
{
  for (int b = 0; b < BINS; b++) {
    double lo = (grid.u0 + b * grid.du - u) / sigma, hi = lo + grid.du / sigma;
    prob[b] += (float)(weight * 0.5 * (erf(hi * M_SQRT1_2) - erf(lo * M_SQRT1_2)));
  }
}

static void normalise(float *prob)
{
  double sum = 0;
  for (int b = 0; b < BINS; b++) { sum += (double)prob[b]; }
  for (int b = 0; b < BINS; b++) { prob[b] = (float)((double)prob[b] / sum); }
}

/* Errors of width sigma(snr); PDFs `wide` times as wide at high SNR and moved by `shift` of their width. A quarter of the faint
 * ones has a second peak, where the truth is as often as the weight says. */
static sample make(uint64_t seed, double wide, double shift)
{
  sample s = {calloc((size_t)N * BINS, sizeof(float)), malloc(N * sizeof(double)), calloc(N, sizeof(nsl_calibration_facts))};
  for (size_t i = 0; i < N; i++) {
    nsl_rng r = nsl_rng_make(seed, NSL_RNG_TEST, i, 0);
    double snr = exp(nsl_rng_range(&r, 0, 3)), sigma = 0.02 / sqrt(snr), u = nsl_rng_range(&r, 0.15, 0.55);
    double factor = exp(log(wide) * log(snr) / 3), other = nsl_rng_uniform(&r) < 0.25 && snr < 3 ? 0.3 : 0;
    double truth = u + sigma * nsl_rng_normal(&r) + (nsl_rng_uniform(&r) < other ? 0.3 : 0);
    float *prob = s.prob + i * BINS;
    add_gaussian(prob, u + shift * sigma, factor * sigma, 1 - other);
    if (other > 0) { add_gaussian(prob, u + 0.3 + shift * sigma, factor * sigma, other); }
    normalise(prob);
    s.z[i] = expm1(truth);
    s.facts[i] = (nsl_calibration_facts){.snr_gi = snr,
                                         .snr_gv = 0.5 * snr * exp(0.2 * nsl_rng_normal(&r)),
                                         .mutual_info = 0.02 * exp(0.3 * nsl_rng_normal(&r)) / snr,
                                         .coverage = 1};
  }
  return s;
}

static void drop(sample *s)
{
  free(s->prob);
  free(s->z);
  free(s->facts);
}

typedef struct {
  double nll, ks, ks_bright, good_claimed, good_found;
  int unusual;
} scores;

static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static double ks_of(double *pit, int n)
{
  double worst = 0;
  qsort(pit, (size_t)n, sizeof *pit, ascending);
  for (int i = 0; i < n; i++) { worst = fmax(worst, fabs(pit[i] - (i + 0.5) / n)); }
  return worst;
}

static scores score(const nsl_calibration *c, const sample *s)
{
  static double pit[N], bright[N];
  scores out = {0};
  int n_bright = 0;
  for (size_t i = 0; i < N; i++) {
    float prob[BINS];
    nsl_pdf_summary raw, after;
    memcpy(prob, s->prob + i * BINS, sizeof prob);
    nsl_pdf_summarise(&grid, prob, &raw);
    nsl_calibration_point at = nsl_calibration_locate(&grid, &raw, s->facts[i].snr_gi);
    nsl_calibration_correct(c, &grid, at, prob);
    nsl_pdf_summarise(&grid, prob, &after);
    double sum = 0;
    for (int b = 0; b < BINS; b++) { sum += (double)prob[b]; }
    assert_near(sum, 1, 1e-5);
    pit[i] = nsl_pdf_cdf(&grid, prob, s->z[i]);
    if (s->facts[i].snr_gi > 8) { bright[n_bright++] = pit[i]; }
    out.nll -= log(fmax((double)prob[(int)((log1p(s->z[i]) - grid.u0) / grid.du)], 1e-10)) / N;
    double p = nsl_calibration_p_good(c, at, &s->facts[i], after.odds);
    out.good_claimed += p / N;
    out.good_found += (fabs(after.z_mode - s->z[i]) < NSL_P_GOOD_E * (1 + s->z[i])) / (double)N;
    out.unusual += nsl_calibration_is_unusual(c, at, &s->facts[i]);
  }
  out.ks = ks_of(pit, N);
  out.ks_bright = ks_of(bright, n_bright);
  return out;
}

static void test_wide_and_shifted_pdfs_are_put_right(void **state)
{
  (void)state;
  const nsl_calibration none = {0};
  nsl_calibration c;
  sample fitted = make(1, 2.5, 0.4), other = make(2, 2.5, 0.4);
  assert_ok(nsl_calibration_fit(&grid, N, fitted.prob, fitted.facts, fitted.z, &c, &test_err));
  scores before = score(&none, &other), after = score(&c, &other);
  assert_true(before.ks > 0.08 && before.ks_bright > 0.12);
  assert_true(after.ks < 0.03 && after.ks_bright < 0.05);
  assert_true(after.nll < before.nll - 0.1);
  assert_true(isnan(before.good_claimed) && fabs(after.good_claimed - after.good_found) < 0.02);
  assert_true(before.unusual == 0 && after.unusual > 3 && after.unusual < 35);
  drop(&fitted);
  drop(&other);
}

static void test_good_pdfs_stay(void **state)
{
  (void)state;
  const nsl_calibration none = {0};
  nsl_calibration c;
  sample fitted = make(3, 1, 0), other = make(4, 1, 0);
  assert_ok(nsl_calibration_fit(&grid, N, fitted.prob, fitted.facts, fitted.z, &c, &test_err));
  scores before = score(&none, &other), after = score(&c, &other);
  if (!(after.nll < before.nll + 0.01 && after.ks < 0.05)) { /* two samples of 3000 differ by 0.035 in 5 % of the cases */
    fail_msg("nll %g before, %g after, KS %g before, %g after", before.nll, after.nll, before.ks, after.ks);
  }
  drop(&fitted);
  drop(&other);
}

static void test_strange_sources_are_unusual(void **state)
{
  (void)state;
  nsl_calibration c;
  sample s = make(5, 1, 0);
  assert_ok(nsl_calibration_fit(&grid, N, s.prob, s.facts, s.z, &c, &test_err));
  nsl_pdf_summary raw;
  nsl_pdf_summarise(&grid, s.prob, &raw);
  nsl_calibration_point at = nsl_calibration_locate(&grid, &raw, 5);
  nsl_calibration_facts facts = {.snr_gi = 5, .snr_gv = 2.5, .mutual_info = 0.004, .coverage = 1};
  assert_false(nsl_calibration_is_unusual(&c, at, &facts));
  facts.mutual_info = 0.1;
  assert_true(nsl_calibration_is_unusual(&c, at, &facts));
  facts.mutual_info = 0.004;
  facts.snr_gv = 50;
  assert_true(nsl_calibration_is_unusual(&c, at, &facts));
  drop(&s);
}

static void test_nothing_that_goes_in_makes_a_pdf_infinite(void **state)
{
  (void)state;
  nsl_calibration c;
  sample s = make(6, 2, 0.2);
  assert_int_equal(nsl_calibration_fit(&grid, NSL_CAL_MIN - 1, s.prob, s.facts, s.z, &c, &test_err), NSL_E_VALUE);
  assert_ok(nsl_calibration_fit(&grid, N, s.prob, s.facts, s.z, &c, &test_err));
  const double odd[] = {NAN, INFINITY, -INFINITY, 0, -5, 1e30};
  for (size_t k = 0; k < sizeof odd / sizeof *odd; k++) {
    float prob[BINS] = {0};
    prob[k * 70] = 1;
    nsl_pdf_summary raw;
    nsl_pdf_summarise(&grid, prob, &raw);
    nsl_calibration_point at = nsl_calibration_locate(&grid, &raw, odd[k]);
    nsl_calibration_correct(&c, &grid, at, prob);
    double sum = 0;
    for (int b = 0; b < BINS; b++) { sum += (double)prob[b]; }
    assert_near(sum, 1, 1e-5);
    nsl_calibration_facts facts = {odd[k], odd[k], odd[k], odd[k], odd[k]};
    double p = nsl_calibration_p_good(&c, at, &facts, odd[k]);
    assert_true(p >= 0 && p <= 1);
  }
  drop(&s);
}

static void test_solve(void **state)
{
  (void)state;
  double a[9] = {4, 0, 0, 2, 5, 0, 1, 3, 6}, b[3] = {4 + 4 + 3, 2 + 10 + 9, 1 + 6 + 18}; /* x = 1, 2, 3 */
  assert_true(nsl_cal_solve(3, a, b));
  for (int i = 0; i < 3; i++) { assert_near(b[i], i + 1, 1e-12); }
  double bad[4] = {1, 0, 2, 1}, x[2] = {1, 1};
  assert_false(nsl_cal_solve(2, bad, x));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_wide_and_shifted_pdfs_are_put_right),
      cmocka_unit_test(test_good_pdfs_stay),
      cmocka_unit_test(test_strange_sources_are_unusual),
      cmocka_unit_test(test_nothing_that_goes_in_makes_a_pdf_infinite),
      cmocka_unit_test(test_solve),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
