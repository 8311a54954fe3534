/* Metrics against numpy, scipy and qp (metrics_numbers.h), and against what must hold. */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/model/metrics.h"
#include "unit/model/metrics_numbers.h"

enum { N = 240, BINS = 64, UNITS = 12 };
static const nsl_pdf_grid grid = {BINS, 0.01, 0.015};

static double frac(int i, double step)
{
  double x = (i + 1) * step;
  return x - floor(x);
}

/* The rows of make_metrics_numbers.py. */
static void make_scores(nsl_score *scores)
{
  nsl_scorer scorer;
  assert_ok(nsl_scorer_init(&scorer, &grid, &test_err));
  for (int i = 0; i < N; i++) {
    double a = frac(i, 0.6180339887498949), b = frac(i, 0.7548776662466927), c = frac(i, 0.5698402909980532);
    double z_true = 0.05 + 1.4 * a, sd = 0.01 + 0.03 * b;
    double centre = log1p(z_true) + 3 * sd * (c - 0.5) + (i % 17 == 0 ? 0.2 : 0);
    if (i % 60 == 59) { z_true = 2; }
    float density[BINS];
    for (int k = 0; k < BINS; k++) {
      double u = grid.u0 + (k + 0.5) * grid.du, x = (u - centre) / sd, y = (u - 0.5) / 0.1;
      density[k] = (float)(exp(-0.5 * x * x) + 0.02 * exp(-0.5 * y * y));
    }
    assert_true(nsl_scorer_run(&scorer, density, z_true, &scores[i]));
    scores[i].z_point = (float)expm1(centre);
    scores[i].z_median = (float)expm1(centre + 0.1 * sd);
    scores[i].unit = (uint32_t)(i % UNITS);
  }
  nsl_scorer_free(&scorer);
}

static void assert_near(double got, double want, const char *what)
{
  if (!(fabs(got - want) <= 2e-6 * fmax(fabs(want), 0.01))) { fail_msg("%s: %.12g instead of %.12g", what, got, want); }
}

static void test_numbers_agree_with_numpy_scipy_and_qp(void **state)
{
  (void)state;
  nsl_score scores[N];
  make_scores(scores);
  nsl_metrics m;
  assert_ok(nsl_metrics_compute(scores, NULL, N, NULL, &m, &test_err));
  assert_int_equal(sizeof expected / sizeof *expected, NSL_N_METRICS); /* none is left out */
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    assert_near(m.value[expected[i].metric], expected[i].value, nsl_metric_key(expected[i].metric));
    assert_true(isnan(m.error[expected[i].metric]));
  }
}

/* Two draws, the sample itself and unit u taken u % 3 times: their standard deviation is the distance over sqrt(2), so every
 * weighted statistic is compared with numpy's on repeated rows. */
static void test_draws_agree_with_repeated_rows(void **state)
{
  (void)state;
  nsl_score scores[N];
  make_scores(scores);
  uint16_t count[2 * UNITS];
  for (int u = 0; u < UNITS; u++) {
    count[u] = 1;
    count[UNITS + u] = (uint16_t)(u % 3);
  }
  nsl_bootstrap two = {2, UNITS, count};
  nsl_metrics m;
  assert_ok(nsl_metrics_compute(scores, NULL, N, &two, &m, &test_err));
  for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
    assert_int_equal(expected[i].metric, expected_draw[i].metric);
    double want = fabs(expected[i].value - expected_draw[i].value) / sqrt(2);
    assert_near(m.error[expected[i].metric], want, nsl_metric_key(expected[i].metric));
  }
}

static void test_a_subset_is_the_metrics_of_its_rows(void **state)
{
  (void)state;
  nsl_score scores[N], own[N / 3];
  make_scores(scores);
  uint32_t rows[N / 3];
  for (int i = 0; i < N / 3; i++) {
    rows[i] = (uint32_t)(3 * i + 1);
    own[i] = scores[3 * i + 1];
  }
  nsl_metrics a, b;
  assert_ok(nsl_metrics_compute(scores, rows, N / 3, NULL, &a, &test_err));
  assert_ok(nsl_metrics_compute(own, NULL, N / 3, NULL, &b, &test_err));
  assert_memory_equal(a.value, b.value, sizeof a.value);
}

static void test_bootstrap_error_of_a_mean_is_the_standard_error(void **state)
{
  (void)state;
  enum { UNIT_COUNT = 400 };
  nsl_score *scores = calloc(UNIT_COUNT, sizeof *scores);
  double sum = 0, square = 0;
  for (int i = 0; i < UNIT_COUNT; i++) {
    double x = 0.01 * (frac(i, 0.6180339887498949) - 0.5);
    scores[i] = (nsl_score){.z_true = 0.5, .pit = 0.5, .z_point = (float)(0.5 + 1.5 * x), .sigma_z = 0.01f, .unit = (uint32_t)i};
    sum += x;
    square += x * x;
  }
  nsl_bootstrap b;
  assert_ok(nsl_bootstrap_init(&b, 400, UNIT_COUNT, 5, &test_err));
  for (int d = 0; d < 400; d++) {
    int drawn = 0;
    for (int u = 0; u < UNIT_COUNT; u++) { drawn += b.count[d * UNIT_COUNT + u]; }
    assert_int_equal(drawn, UNIT_COUNT);
  }
  nsl_metrics m;
  assert_ok(nsl_metrics_compute(scores, NULL, UNIT_COUNT, &b, &m, &test_err));
  double mean = sum / UNIT_COUNT, want = sqrt((square / UNIT_COUNT - mean * mean) / UNIT_COUNT);
  assert_true(fabs(m.error[NSL_METRIC_BIAS_MEAN] / want - 1) < 0.15);
  nsl_metrics again;
  assert_ok(nsl_metrics_compute(scores, NULL, UNIT_COUNT, &b, &again, &test_err));
  assert_memory_equal(&m, &again, sizeof m);
  nsl_bootstrap_free(&b);
  free(scores);
}

static void test_small_numbers_of_sources(void **state)
{
  (void)state;
  nsl_score scores[N];
  make_scores(scores);
  nsl_metrics m;
  assert_ok(nsl_metrics_compute(scores, NULL, 0, NULL, &m, &test_err));
  assert_int_equal(m.n, 0);
  assert_true(isnan(m.value[NSL_METRIC_SIGMA_NMAD]) && isnan(m.value[NSL_METRIC_CRPS]));
  assert_ok(nsl_metrics_compute(scores, NULL, 1, NULL, &m, &test_err));
  assert_true(m.value[NSL_METRIC_SIGMA_NMAD] == 0);
  double dz = (double)scores[0].z_point - scores[0].z_true;
  assert_near(m.value[NSL_METRIC_BIAS], dz / (1 + scores[0].z_true), "bias of one");
}

static void test_a_pdf_without_mass_is_refused(void **state)
{
  (void)state;
  nsl_scorer scorer;
  assert_ok(nsl_scorer_init(&scorer, &grid, &test_err));
  float density[BINS] = {0};
  nsl_score score;
  assert_int_equal(nsl_scorer_run(&scorer, density, 0.5, &score), 0);
  density[3] = NAN;
  assert_int_equal(nsl_scorer_run(&scorer, density, 0.5, &score), 0);
  nsl_scorer_free(&scorer);
}

/* All mass in one bin: everything is known in closed form. */
static void test_scores_of_a_single_bin(void **state)
{
  (void)state;
  nsl_scorer scorer;
  assert_ok(nsl_scorer_init(&scorer, &grid, &test_err));
  float density[BINS] = {0};
  density[20] = 3; /* any height */
  double lo = nsl_pdf_edge_z(&grid, 20), w = nsl_pdf_edge_z(&grid, 21) - lo;
  nsl_score s;
  assert_int_equal(nsl_scorer_run(&scorer, density, lo + 0.25 * w, &s), 1);
  assert_near(s.pit, 0.25, "pit");
  assert_near(s.sigma_z / w, 1 / sqrt(12.0), "sigma");
  assert_near(s.ln_p, -log(w), "ln p");
  assert_near(s.ln_p_u, -log(grid.du), "ln p(u)");
  assert_near(s.crps / w, (0.25 * 0.25 * 0.25 + 0.75 * 0.75 * 0.75) / 3, "crps");
  assert_near(s.brier, 0, "brier");
  assert_near(s.hpd, 0.5, "hpd");
  assert_near(s.cde * w, -1, "cde");
  assert_int_equal(nsl_scorer_run(&scorer, density, 0.0, &s), 1); /* below the grid */
  assert_near(s.pit, 0, "pit below");
  assert_near(s.crps, lo + w / 3, "crps below");
  assert_near(s.ln_p, log(1e-10), "floor");
  nsl_scorer_free(&scorer);
}

static void test_purity_curve(void **state)
{
  (void)state;
  /* confidence: ties must pass a cut together */
  const float confidence[8] = {0.9f, 0.8f, 0.8f, 0.7f, 0.6f, 0.5f, 0.5f, 0.1f};
  const uint8_t good[8] = {1, 1, 0, 1, 1, 0, 0, 0};
  uint32_t order[8];
  nsl_cut_point points[8], cut;
  int n = nsl_purity_curve(confidence, good, 8, 10, order, points, 8);
  assert_int_equal(n, 6);
  assert_near(points[1].threshold, 0.8, "threshold");
  assert_near(points[1].purity, 2.0 / 3, "purity");
  assert_near(points[1].completeness, 0.2, "completeness");
  assert_near(points[5].efficiency, 0.8, "efficiency");
  assert_int_equal(nsl_purity_cut(confidence, good, 8, 10, order, 0.8, &cut), 1);
  assert_near(cut.threshold, 0.6, "threshold of purity 0.8");
  assert_near(cut.completeness, 0.4, "completeness at purity 0.8");
  assert_int_equal(nsl_purity_cut(confidence + 5, good + 5, 3, 10, order, 0.5, &cut), 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_numbers_agree_with_numpy_scipy_and_qp),
      cmocka_unit_test(test_draws_agree_with_repeated_rows),
      cmocka_unit_test(test_a_subset_is_the_metrics_of_its_rows),
      cmocka_unit_test(test_bootstrap_error_of_a_mean_is_the_standard_error),
      cmocka_unit_test(test_small_numbers_of_sources),
      cmocka_unit_test(test_a_pdf_without_mass_is_refused),
      cmocka_unit_test(test_scores_of_a_single_bin),
      cmocka_unit_test(test_purity_curve),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
