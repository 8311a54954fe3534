/* Inputs of the network, and the mean of Monte Carlo samples, against plain double-precision formulae. */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/base/clock.h"
#include "noslit/base/rng.h"
#include "noslit/pipe/infer.h"
#include "pipe/infer_samples.h"
#include "unit/pipe/stamp_support.h"

static nsl_model model_with(int bins, double temperature)
{
  return (nsl_model){.flux_scale = {17, 21}, .contamination_k = 0.5, .grid = {bins, 0.01, 0.96 / bins}, .temperature = temperature};
}

/* A narrow peak on a floor, moving a little from sample to sample. */
static void make_logits(nsl_rng *r, int n, float *l)
{
  double centre = 0.3 * n + nsl_rng_normal(r), width = 2 + nsl_rng_uniform(r);
  for (int i = 0; i < n; i++) {
    double t = (i - centre) / width;
    l[i] = (float)(20 * exp(-0.5 * t * t) - 6 + 0.3 * nsl_rng_normal(r));
  }
}

static void compare_with_reference(int bins, double temperature, int n_samples)
{
  nsl_model m = model_with(bins, temperature);
  nsl_sample_kernel k;
  assert_ok(nsl_sample_kernel_init(&k, &m, &test_err));
  float *l = malloc((size_t)bins * sizeof *l), *prob = malloc((size_t)bins * sizeof *prob);
  nsl_samples s = {.sum = malloc((size_t)bins * sizeof(float)), .odd = malloc((size_t)bins * sizeof(float))};
  double *mean = calloc((size_t)bins, sizeof *mean), *p = malloc((size_t)bins * sizeof *p);
  double m1 = 0, m2 = 0, var = 0, entropy = 0;
  nsl_samples_clear(&k, &s);
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, (uint64_t)bins, 0);
  for (int t = 0; t < n_samples; t++) {
    make_logits(&r, bins, l);
    nsl_samples_add(&k, &s, l);
    double sum = 0, a = 0, b = 0;
    for (int i = 0; i < bins; i++) { sum += p[i] = exp((double)l[i] / temperature); }
    for (int i = 0; i < bins; i++) {
      p[i] /= sum;
      mean[i] += p[i] / n_samples;
      double u = m.grid.u0 + (i + 0.5) * m.grid.du;
      a += p[i] * u;
      b += p[i] * u * u;
      entropy -= p[i] * log(p[i]) / n_samples;
    }
    m1 += a / n_samples;
    m2 += a * a / n_samples;
    var += (b - a * a) / n_samples;
  }
  nsl_samples_spread spread;
  assert_true(nsl_samples_finish(&k, &s, prob, &spread));
  for (int i = 0; i < bins; i++) { assert_true(fabs((double)prob[i] - mean[i]) < 2e-6 * mean[i] + 1e-9); }
  assert_true(fabs(spread.mean_entropy - entropy) < 1e-5);
  assert_true(fabs(spread.sigma_aleatoric / sqrt(var) - 1) < 1e-4);
  assert_true(fabs(spread.sigma_epistemic - sqrt(fmax(m2 - m1 * m1, 0))) < 1e-6);
  nsl_sample_kernel_free(&k);
  free(l);
  free(prob);
  free(s.sum);
  free(s.odd);
  free(mean);
  free(p);
}

static void test_mean_of_softmaxes(void **state)
{
  (void)state;
  compare_with_reference(640, 1, 32);
  compare_with_reference(640, 0.85, 5);
  compare_with_reference(101, 1.3, 7); /* not a multiple of the vector length */
  compare_with_reference(640, 1, 1);
}

static void test_extreme_and_bad_logits(void **state)
{
  (void)state;
  nsl_model m = model_with(64, 1);
  nsl_sample_kernel k;
  assert_ok(nsl_sample_kernel_init(&k, &m, &test_err));
  float sum[64], odd[64], prob[64], l[64];
  nsl_samples s = {.sum = sum, .odd = odd};
  nsl_samples_spread spread;
  for (int i = 0; i < 64; i++) { l[i] = i == 9 ? 3000 : -3000; }
  nsl_samples_clear(&k, &s);
  nsl_samples_add(&k, &s, l);
  assert_true(nsl_samples_finish(&k, &s, prob, &spread));
  assert_true(prob[9] == 1 && spread.sigma_epistemic == 0 && spread.mean_entropy < 1e-6);
  const float bad[] = {NAN, INFINITY};
  for (int b = 0; b < 2; b++) {
    for (int at = 0; at < 64; at += 63) {
      for (int i = 0; i < 64; i++) { l[i] = i == at ? bad[b] : 1; }
      nsl_samples_clear(&k, &s);
      nsl_samples_add(&k, &s, l);
      assert_false(nsl_samples_finish(&k, &s, prob, &spread));
    }
  }
  nsl_samples_clear(&k, &s);
  assert_false(nsl_samples_finish(&k, &s, prob, &spread)); /* no sample at all */
  nsl_sample_kernel_free(&k);
}

static void test_gaussian_samples_become_a_mixture(void **state)
{
  (void)state;
  nsl_model m = model_with(640, 1);
  m.head = NSL_HEAD_GAUSSIAN;
  nsl_sample_kernel k;
  assert_ok(nsl_sample_kernel_init(&k, &m, &test_err));
  float sum[640], odd[640], prob[640];
  nsl_samples s = {.sum = sum, .odd = odd};
  nsl_samples_spread spread;
  const float outputs[2][2] = {{0.5f, -9.f}, {0.6f, -8.f}};
  nsl_samples_clear(&k, &s);
  for (int t = 0; t < 2; t++) { nsl_samples_add(&k, &s, outputs[t]); }
  assert_true(nsl_samples_finish(&k, &s, prob, &spread));
  for (int i = 0; i < 640; i++) {
    double expected = 0;
    for (int t = 0; t < 2; t++) {
      double sigma = exp(0.5 * (double)outputs[t][1]) * sqrt(2), mu = (double)outputs[t][0];
      expected += 0.25 * (erf((nsl_pdf_edge_z(&m.grid, i + 1) - mu) / sigma) - erf((nsl_pdf_edge_z(&m.grid, i) - mu) / sigma));
    }
    assert_true(fabs((double)prob[i] - expected) < 1e-6);
  }
  assert_true(fabs(spread.sigma_epistemic - 0.5 * log(1.6 / 1.5)) < 2e-4);
  nsl_samples_clear(&k, &s);
  nsl_samples_add(&k, &s, (const float[]){-40, -9}); /* far outside: the first bin */
  assert_true(nsl_samples_finish(&k, &s, prob, &spread) && prob[0] == 1);
  nsl_samples_clear(&k, &s);
  nsl_samples_add(&k, &s, (const float[]){NAN, 0});
  assert_false(nsl_samples_finish(&k, &s, prob, &spread));
  nsl_sample_kernel_free(&k);
}

static void test_inputs_follow_their_formulae(void **state)
{
  (void)state;
  nsl_model m = model_with(640, 1);
  nsl_stamp_set set;
  stamps_make(&set, 1);
  nsl_stamp *s = &set.stamps[0];
  float *x = malloc(NSL_STAMP_PIXELS * sizeof *x), *v = malloc(NSL_STAMP_PIXELS * sizeof *v), aux[NSL_AUX];
  nsl_rng r = nsl_rng_make(2, NSL_RNG_TEST, 0, 0);
  for (size_t i = 0; i < NSL_STAMP_PIXELS; i++) {
    s->variance[i] = i % 7 == 0 ? 0 : (float)nsl_rng_range(&r, 100, 1000);
    s->flux[i] = s->variance[i] > 0 ? (float)nsl_rng_range(&r, -50, 500) : 0;
    s->contamination[i] = i % 5 == 0 ? (float)nsl_rng_range(&r, 0, 200) : 0;
  }
  s->re_px = 4;
  s->q = 0.5f;
  s->pa_x_deg = 45;
  s->sersic_n = 4;
  s->band[0] = (nsl_stamp_band_info){4, 600, 1, 3, 0.1f, 0};
  s->band[1] = (nsl_stamp_band_info){2, 300, 1, 3, 0.3f, 0};
  nsl_infer_inputs(&m, s, x, v, aux);
  double depth[2]; /* inverse of the background's variance: the harmonic mean over every fifth row */
  for (size_t b = 0; b < 2; b++) {
    double sum = 0, n = 0;
    for (size_t i = b * NSL_STAMP_PLANE; i < (b + 1) * NSL_STAMP_PLANE; i++) {
      if (s->variance[i] > 0 && i / NSL_STAMP_NX % NSL_STAMP_NY % 5 == 0) {
        sum += 1 / (double)s->variance[i];
        n++;
      }
    }
    depth[b] = m.flux_scale[b] * m.flux_scale[b] * sum / n;
  }
  for (size_t i = 0; i < NSL_STAMP_PIXELS; i++) {
    double var = (double)s->variance[i], c = (double)s->contamination[i], scale = m.flux_scale[i / NSL_STAMP_PLANE];
    double ex = var > 0 ? ((double)s->flux[i] - c) / scale : 0,
           ev = var > 0 ? depth[i / NSL_STAMP_PLANE] / (1 + 0.25 * c * c / var) : 0;
    assert_true(fabs((double)x[i] - ex) < 1e-4 && fabs((double)v[i] - ev) < 1e-6);
  }
  const float expected[NSL_AUX] = {0, 0.5f, 0, 1 / 3.f, 1, 1, 0.5f, 0.3f};
  for (int i = 0; i < NSL_AUX; i++) { assert_true(fabsf(aux[i] - expected[i]) < 1e-5f); }
  s->re_px = s->q = s->pa_x_deg = s->sersic_n = NAN;
  nsl_infer_inputs(&m, s, x, v, aux);
  for (int i = 0; i < NSL_AUX; i++) { assert_true(isfinite(aux[i]) && fabsf(aux[i]) < 4); }
  m.input = NSL_INPUT_ELECTRONS;
  nsl_infer_inputs(&m, s, x, NULL, aux);
  assert_true(fabsf(x[1] - s->flux[1] / 17) < 1e-4f);
  free(x);
  free(v);
  stamps_drop(&set);
}

/* The error that the samples themselves tell is, on average, the divergence from the mean of very many. */
static void test_error_is_the_divergence_from_endless_samples(void **state)
{
  (void)state;
  enum { BINS = 40, ENDLESS = 40000, REPEATS = 600 };
  nsl_model m = model_with(BINS, 1);
  nsl_sample_kernel k;
  nsl_samples_spread spread;
  float sum[BINS], odd[BINS], truth[BINS], prob[BINS], l[BINS];
  nsl_samples s = {.sum = sum, .odd = odd};
  nsl_rng r = nsl_rng_make(9, NSL_RNG_TEST, 0, 0);
  assert_ok(nsl_sample_kernel_init(&k, &m, &test_err));
  double last = 0;
  for (int n = 0; n <= 128; n = n ? 2 * n : 16) {
    double told = 0, is = 0;
    for (int repeat = 0; repeat < (n ? REPEATS : 1); repeat++) {
      nsl_samples_clear(&k, &s);
      assert_true(isinf(nsl_samples_error(&k, &s)));
      for (int t = 0; t < (n ? n : ENDLESS); t++) {
        double centre = 20 + 1.5 * nsl_rng_normal(&r);
        for (int i = 0; i < BINS; i++) { l[i] = (float)(-0.5 * (i - centre) * (i - centre) / 9); }
        nsl_samples_add(&k, &s, l);
      }
      assert_true(nsl_samples_finish(&k, &s, prob, &spread));
      if (!n) {
        memcpy(truth, prob, sizeof truth);
        assert_true(spread.mc_error < 1e-4);
        continue;
      }
      told += spread.mc_error / REPEATS;
      for (int i = 0; i < BINS; i++) { is += (double)truth[i] * log((double)(truth[i] / prob[i])) / REPEATS; }
    }
    if (n && fabs(told / is - 1) > 0.2) { fail_msg("%d samples: told %.5f, is %.5f", n, told, is); }
    if (n > 16) { assert_true(told < 0.7 * last); }
    last = told;
  }
  nsl_sample_kernel_free(&k);
}

static void test_speed_of_softmaxes(void **state)
{
  (void)state;
  enum { SAMPLES = 128, BINS = 640 };
  nsl_model m = model_with(BINS, 1);
  nsl_sample_kernel k;
  assert_ok(nsl_sample_kernel_init(&k, &m, &test_err));
  float *l = malloc(SAMPLES * BINS * sizeof *l), sum[BINS], odd[BINS];
  nsl_samples s = {.sum = sum, .odd = odd};
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 0, 0);
  for (int t = 0; t < SAMPLES; t++) { make_logits(&r, BINS, l + t * BINS); }
  double best = 1;
  for (int repeat = 0; repeat < 20; repeat++) {
    double t0 = nsl_clock_s();
    nsl_samples_clear(&k, &s);
    for (int t = 0; t < SAMPLES; t++) { nsl_samples_add(&k, &s, l + t * BINS); }
    double dt = nsl_clock_s() - t0;
    best = dt < best ? dt : best;
  }
  assert_true(best < 0.01); /* generous: a busy machine, a sanitizer */
  print_message("%d softmaxes over %d bins: %.0f us\n", SAMPLES, BINS, 1e6 * best);
  nsl_sample_kernel_free(&k);
  free(l);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_mean_of_softmaxes),
      cmocka_unit_test(test_extreme_and_bad_logits),
      cmocka_unit_test(test_gaussian_samples_become_a_mixture),
      cmocka_unit_test(test_inputs_follow_their_formulae),
      cmocka_unit_test(test_error_is_the_divergence_from_endless_samples),
      cmocka_unit_test(test_speed_of_softmaxes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
