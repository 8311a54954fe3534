/* PDFs against closed forms and a brute-force oracle; rows: the columns that every product shares. */
#include "unit/test_support.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "noslit/model/pdf.h"
#include "noslit/model/rows.h"

#define assert_near(a, b, tol)                                                                                      \
  do {                                                                                                              \
    double a_ = (a), b_ = (b);                                                                                      \
    if (!(fabs(a_ - b_) <= (tol))) { fail_msg("%s = %.12g, expected %.12g within %g", #a, a_, b_, (double)(tol)); } \
  } while (0)

enum { N = 700 };
static const nsl_pdf_grid grid = {N, 0.01, 0.0015};

static void gaussian(double u, double sigma, double weight, float *prob)
{
  for (int i = 0; i < N; i++) {
    double a = grid.u0 + i * grid.du, s = sigma * sqrt(2);
    prob[i] += (float)(weight * 0.5 * (erf((a + grid.du - u) / s) - erf((a - u) / s)));
  }
}

static void test_gaussian_has_its_moments(void **state)
{
  (void)state;
  float prob[N] = {0};
  double u = log1p(0.7321), sigma = 0.004;
  gaussian(u, sigma, 1, prob);
  nsl_pdf_summary s;
  nsl_pdf_summarise(&grid, prob, &s);
  assert_near(s.z_median, 0.7321, 2e-5);
  assert_near(s.z_mode, 0.7321, 3e-4); /* 11 bins are about +-2 sigma here: a bias of the window's asymmetry only */
  assert_near(s.z_mean, exp(u + sigma * sigma / 2) - 1, 2e-5);
  double straight = grid.du * grid.du / 8 / sigma; /* a straight line for the CDF inside a bin is off by at most this */
  assert_near(log1p(s.z_lo68), u - 0.994458 * sigma, straight);
  assert_near(log1p(s.z_hi68), u + 0.994458 * sigma, straight);
  assert_near(s.sigma_u, sqrt(sigma * sigma + grid.du * grid.du / 6), 2e-6); /* binning adds du^2/12 twice */
  assert_near(s.odds, 0.5 * (erf(log1p(0.01) / sigma / sqrt(2)) - erf(log1p(-0.01) / sigma / sqrt(2))), 3e-3);
  assert_near(s.entropy, 0.5 * log(2 * M_PI * exp(1) * (sigma * sigma + grid.du * grid.du / 12)) - log(grid.du), 1e-4);
}

static void test_likelier_peak_wins_over_a_higher_one(void **state)
{
  (void)state;
  float prob[N] = {0};
  nsl_pdf_summary s;
  gaussian(log1p(0.3), 0.0008, 0.3, prob); /* 0.3 in three bins or so */
  gaussian(log1p(0.9), 0.0040, 0.7, prob); /* 0.7 in fifteen: lower, but more of it within 0.01 (1+z) */
  nsl_pdf_summarise(&grid, prob, &s);
  assert_near(s.z_mode, 0.9, 2e-3);
  assert_near(s.odds, 0.69, 0.01);
  memset(prob, 0, sizeof prob);
  gaussian(log1p(0.3), 0.0008, 0.3, prob);
  gaussian(log1p(0.9), 0.0400, 0.7, prob); /* now so broad that 0.14 is within */
  nsl_pdf_summarise(&grid, prob, &s);
  assert_near(s.z_mode, 0.3, 1e-3);
}

/* Whatever the shape, no other redshift of the grid has much more probability near it. */
static void test_odds_are_the_best_there_are(void **state)
{
  (void)state;
  for (unsigned seed = 1; seed <= 20; seed++) {
    float prob[N] = {0};
    nsl_pdf_summary s;
    srand(seed);
    for (int k = 0; k < 6; k++) {
      gaussian(0.05 + 0.9 * rand() / RAND_MAX, 0.001 + 0.01 * rand() / RAND_MAX, 0.1 + rand() % 3, prob);
    }
    double sum = 0, most = 0;
    for (int i = 0; i < N; i++) { sum += (double)prob[i]; }
    nsl_pdf_summarise(&grid, prob, &s);
    for (int i = 7; i + 7 < N; i++) {
      double within = 0;
      for (int j = i - 6; j <= i + 6; j++) { within += (double)prob[j] / sum; }
      most = fmax(most, within);
    }
    assert_true(s.odds <= most + 0.1 && s.odds >= 0.7 * most);
  }
}

static void test_single_bin_is_exact(void **state)
{
  (void)state;
  float prob[N] = {0};
  nsl_pdf_summary s;
  for (int b = 0; b < N; b += N - 1) {
    memset(prob, 0, sizeof prob);
    prob[b] = 1;
    nsl_pdf_summarise(&grid, prob, &s);
    double centre = grid.u0 + (b + 0.5) * grid.du;
    assert_near(log1p(s.z_mode), centre, 1e-12);
    assert_near(log1p(s.z_median), centre, 1e-12);
    assert_near(log1p(s.z_lo68), centre - 0.34 * grid.du, 1e-12);
    assert_near(s.z_mean, (exp(centre + grid.du / 2) - exp(centre - grid.du / 2)) / grid.du - 1, 1e-12);
    assert_near(s.sigma_u, grid.du / sqrt(12), 1e-12);
    assert_near(s.odds, 1, 1e-12);
    assert_near(s.entropy, 0, 1e-12);
    assert_near(nsl_pdf_quantile_u(&grid, prob, 0), grid.u0 + b * grid.du, 1e-12);
    assert_near(nsl_pdf_quantile_u(&grid, prob, 1), grid.u0 + (b + 1) * grid.du, 1e-12);
  }
}

static void test_mode_ignores_the_second_peak(void **state)
{
  (void)state;
  float prob[N] = {0};
  gaussian(log1p(0.3), 0.003, 0.6, prob);
  gaussian(log1p(1.2), 0.003, 0.4, prob);
  nsl_pdf_summary s;
  nsl_pdf_summarise(&grid, prob, &s);
  assert_near(s.z_mode, 0.3, 3e-4);
  assert_near(s.odds, 0.6, 2e-3);
  assert_true(s.z_mean > 0.6 && s.z_mean < 0.7 && s.z_hi68 > 1.1);
}

static void test_cdf_and_quantile_are_inverse(void **state)
{
  (void)state;
  float prob[N] = {0};
  gaussian(log1p(0.3), 0.02, 0.5, prob);
  gaussian(log1p(0.9), 0.05, 0.5, prob);
  for (double q = 0.01; q < 1; q += 0.07) {
    assert_near(nsl_pdf_cdf(&grid, prob, expm1(nsl_pdf_quantile_u(&grid, prob, q))), q, 1e-12);
  }
  assert_near(nsl_pdf_cdf(&grid, prob, nsl_pdf_edge_z(&grid, 0)), 0, 1e-12);
  assert_near(nsl_pdf_cdf(&grid, prob, -5), 0, 0);
  assert_near(nsl_pdf_cdf(&grid, prob, 100), 1, 0);
}

static void test_density_integrates_to_one_and_comes_back(void **state)
{
  (void)state;
  float prob[N] = {0}, density[N], back[N];
  gaussian(log1p(0.8), 0.01, 1, prob);
  nsl_pdf_density_z(&grid, prob, density);
  nsl_pdf_from_density_z(&grid, density, back);
  double integral = 0;
  for (int i = 0; i < N; i++) {
    integral += (double)density[i] * (nsl_pdf_edge_z(&grid, i + 1) - nsl_pdf_edge_z(&grid, i));
    assert_near(back[i], prob[i], 3e-7 * (double)prob[i]);
  }
  assert_near(integral, 1, 1e-6);
}

/* What products lose: the bits that are dropped are zero, the KL divergence is that of 2^-13, the integral stays 1, and rounding
 * what was rounded changes nothing. */
static void test_rounding_loses_hardly_anything(void **state)
{
  (void)state;
  for (double sigma = 0.001; sigma < 1; sigma *= 3) {
    float prob[N] = {0}, density[N], rounded[N], twice[N], back[N];
    gaussian(0.7, sigma, 0.8, prob);
    gaussian(0.4, 0.7 * sigma, 0.2, prob);
    nsl_pdf_density_z(&grid, prob, density);
    memcpy(rounded, density, sizeof density);
    nsl_pdf_round(rounded, N);
    memcpy(twice, rounded, sizeof twice);
    nsl_pdf_round(twice, N);
    assert_memory_equal(twice, rounded, sizeof twice);
    nsl_pdf_from_density_z(&grid, rounded, back);
    double sum = 0, sum_back = 0, kl = 0;
    int changed = 0;
    for (int i = 0; i < N; i++) {
      uint32_t bits;
      memcpy(&bits, &rounded[i], sizeof bits);
      assert_int_equal(bits & 0x7ff, 0);
      assert_true(fabsf(rounded[i] - density[i]) <= ldexpf(fabsf(density[i]), -NSL_PDF_MANTISSA_BITS - 1) + FLT_MIN);
      changed += rounded[i] != density[i];
      sum += (double)prob[i];
      sum_back += (double)back[i];
    }
    for (int i = 0; i < N; i++) {
      double p = (double)prob[i] / sum, q = (double)back[i] / sum_back;
      if (p > 1e-30) { kl += p * log(p / q); }
    }
    assert_true(changed > 4);
    assert_true(kl > -1e-9 && kl < 5e-8);
    assert_near(sum_back, sum, 1e-4);
  }
  float odd[] = {0, INFINITY, NAN, 1.0f + 0x1p-13f, 1.0f + 0x3p-13f, 1.9999999f};
  nsl_pdf_round(odd, 6);
  assert_true(odd[0] == 0 && isinf(odd[1]) && isnan(odd[2]));
  assert_true(odd[3] == 1.0f && odd[4] == 1.0f + 0x2p-12f && odd[5] == 2.0f);
}

static void test_unnormalised_and_empty(void **state)
{
  (void)state;
  float prob[N] = {0}, twice[N];
  nsl_pdf_summary a, b;
  nsl_pdf_summarise(&grid, prob, &a);
  assert_true(isnan(a.z_mode) && isnan(a.z_median) && isnan(a.sigma_u) && isnan(a.odds) && isnan(a.entropy));
  gaussian(log1p(0.8), 0.01, 1, prob);
  for (int i = 0; i < N; i++) { twice[i] = 2 * prob[i]; }
  nsl_pdf_summarise(&grid, prob, &a);
  nsl_pdf_summarise(&grid, twice, &b);
  assert_memory_equal(&a, &b, sizeof a);
}

static void test_rows_columns_are_distinct_and_described(void **state)
{
  (void)state;
  nsl_rows rows;
  assert_true(nsl_rows_alloc(&rows, 3, &grid));
  assert_int_equal(nsl_n_row_columns, 25);
  for (int c = 0; c < nsl_n_row_columns; c++) {
    assert_non_null(nsl_rows_column(&rows, c));
    assert_true(*nsl_row_columns[c].description && *nsl_row_columns[c].ucd);
    for (int d = 0; d < c; d++) {
      assert_string_not_equal(nsl_row_columns[c].name, nsl_row_columns[d].name);
      assert_ptr_not_equal(nsl_rows_column(&rows, c), nsl_rows_column(&rows, d));
    }
    memset(nsl_rows_column(&rows, c), 1, rows.n * nsl_col_size(nsl_row_columns[c].type)); /* ASan: sizes are right */
  }
  assert_string_equal(nsl_row_columns[0].name, "object_id");
  assert_ptr_equal(nsl_rows_column(&rows, 1), rows.ra);
  nsl_rows_free(&rows);
  assert_null(rows.pdf);
}

static void test_rows_start_as_not_measured(void **state)
{
  (void)state;
  nsl_rows rows;
  assert_true(nsl_rows_alloc(&rows, 2, &grid));
  assert_true(isnan(rows.z_mode[1]) && isnan(rows.odds[0]) && isnan(rows.mutual_info[1]));
  assert_true(rows.snr_gi[0] == 0 && rows.flags[1] == 0 && rows.pdf[2 * N - 1] == 0);
  nsl_rows_free(&rows);
  assert_true(nsl_rows_alloc(&rows, 0, NULL));
  assert_null(rows.pdf);
  assert_non_null(rows.object_id);
  nsl_rows_free(&rows);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gaussian_has_its_moments),
      cmocka_unit_test(test_likelier_peak_wins_over_a_higher_one),
      cmocka_unit_test(test_odds_are_the_best_there_are),
      cmocka_unit_test(test_single_bin_is_exact),
      cmocka_unit_test(test_mode_ignores_the_second_peak),
      cmocka_unit_test(test_cdf_and_quantile_are_inverse),
      cmocka_unit_test(test_density_integrates_to_one_and_comes_back),
      cmocka_unit_test(test_rounding_loses_hardly_anything),
      cmocka_unit_test(test_unnormalised_and_empty),
      cmocka_unit_test(test_rows_columns_are_distinct_and_described),
      cmocka_unit_test(test_rows_start_as_not_measured),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
