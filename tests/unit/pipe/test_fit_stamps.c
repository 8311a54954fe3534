/* Fits of stamps that the mock made: redshifts and what is claimed of them, stars, stamps of another simulation. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "mock_support.h"
#include "noslit/pipe/fit_stamps.h"
#include "unit/pipe/scratch_dir.h"

typedef struct {
  nsl_config *cfg;
  nsl_instrument *inst;
  nsl_mock *mock;
  nsl_stamp_reader *reader;
} scene;

/* n stamps of the CSST instrument. overrides: "key=value" beside simulate.clean. */
static void open_scene(scene *s, const char *name, int64_t n, const char *const *overrides, int n_overrides)
{
  char *config = nsl_path_join(dir, "config.yaml"), *path = nsl_path_join(dir, name ? name : "");
  const char *text = "survey: {name: fit, workdir: ., seed: 5}\ninstrument: {file: " TEST_SOURCE_DIR
                     "/configs/instruments/csst.yaml}\nsimulate: {set: test, clean: true, density: 8, mag_max: 22.5}\n";
  *s = (scene){.inst = calloc(1, sizeof *s->inst)};
  assert_ok(tiny_write(dir, "config.yaml", text, &test_err));
  assert_ok(nsl_config_load(config, overrides, n_overrides, &s->cfg, &test_err));
  assert_ok(nsl_instrument_load(TEST_SOURCE_DIR "/configs/instruments/csst.yaml", s->inst, &test_err));
  assert_ok(nsl_mock_new(s->cfg, s->inst, NULL, &s->mock, &test_err));
  if (n > 0) {
    const char *const paths[] = {path};
    assert_ok(nsl_mock_make_stamps(s->mock, 0, n, path, &test_err));
    assert_ok(nsl_stamp_reader_open(paths, 1, 0, 1, &s->reader, &test_err));
  }
  free(config);
  free(path);
}

static void close_scene(scene *s)
{
  nsl_stamp_reader_close(s->reader);
  nsl_mock_free(s->mock);
  nsl_config_free(s->cfg);
  nsl_instrument_free(s->inst);
  free(s->inst);
}

/* Errors in ln(1+z) over what the PDF claims, and their size; returns how many are within 0.01. */
static int errors_of(const scene *s, const nsl_rows *r, double *rms_claimed, double *rms)
{
  int near = 0;
  double sum = 0, sum_claimed = 0;
  for (size_t i = 0; i < r->n; i++) {
    double d = log1p((double)r->z_mode[i]) - log1p(nsl_stamp_reader_label(s->reader, i)->z), sigma = (double)r->sigma_aleatoric[i];
    if (!(fabs(d) < 0.01)) { continue; }
    near++;
    sum += d * d;
    sum_claimed += d * d / (sigma * sigma);
  }
  *rms = sqrt(sum / near);
  *rms_claimed = sqrt(sum_claimed / near);
  return near;
}

/* Noise as drawn: errors are as large as claimed, and the width claimed is the Fisher bound (test_fit.c). A tenth of the noise: the
 * profile, the dispersion and the resampling of the fit are those of the stamps to a fraction of the noise. */
static void test_oracle_is_as_sharp_as_it_says(void **state)
{
  (void)state;
  static const char *const noisy[] = {"simulate.snr_min=8"}, *const quiet[] = {"simulate.snr_min=8", "simulate.noise=0.1"};
  enum { N = 30 };
  scene s;
  nsl_rows r;
  double claimed, rms;
  open_scene(&s, "noisy.h5", N, noisy, 1);
  assert_ok(nsl_fit_rows(s.inst, s.mock, s.reader, 0, NULL, &r, &test_err));
  int near = errors_of(&s, &r, &claimed, &rms);
  print_message("oracle: %d of %d, rms %.5f, %.2f of what is claimed\n", near, N, rms, claimed);
  assert_true(r.n == N && near >= N - 1 && claimed > 0.65 && claimed < 1.45);
  nsl_rows_free(&r);
  close_scene(&s);
  open_scene(&s, "quiet.h5", N, quiet, 2);
  assert_ok(nsl_fit_rows(s.inst, s.mock, s.reader, 0, NULL, &r, &test_err));
  near = errors_of(&s, &r, &claimed, &rms);
  print_message("a tenth of the noise: %d of %d, rms %.5f, %.2f of what is claimed\n", near, N, rms, claimed);
  assert_true(near == N && claimed < 0.45);
  nsl_rows_free(&r);
  close_scene(&s);
}

static void test_templates_find_bright_galaxies(void **state)
{
  (void)state;
  static const char *const bright[] = {"simulate.snr_min=8"};
  enum { N = 25, LIMIT = 24 };
  scene s;
  nsl_rows r;
  double claimed, rms;
  open_scene(&s, "bright.h5", N, bright, 1);
  assert_ok(nsl_fit_rows(s.inst, NULL, s.reader, LIMIT, NULL, &r, &test_err));
  assert_int_equal(r.n, LIMIT);
  int near = errors_of(&s, &r, &claimed, &rms);
  print_message("templates: %d of %d, rms %.5f, %.2f of what is claimed\n", near, LIMIT, rms, claimed);
  assert_true(near >= LIMIT - 2 && rms < 0.003);
  for (size_t i = 0; i < r.n; i++) {
    double sum = 0;
    for (int b = 0; b < r.grid.n; b++) {
      sum += (double)r.pdf[i * (size_t)r.grid.n + (size_t)b] * (nsl_pdf_edge_z(&r.grid, b + 1) - nsl_pdf_edge_z(&r.grid, b));
    }
    assert_true(fabs(sum - 1) < 1e-4);
  }
  nsl_rows_free(&r);
  close_scene(&s);
}

static void test_stars_have_no_redshift(void **state)
{
  (void)state;
  static const char *const stars[] = {"simulate.snr_min=8", "simulate.stamp_stars=1"};
  scene s;
  nsl_rows r;
  open_scene(&s, "stars.h5", 2, stars, 2);
  assert_ok(nsl_fit_rows(s.inst, s.mock, s.reader, 0, NULL, &r, &test_err));
  for (size_t i = 0; i < r.n; i++) { assert_true(isnan(r.z_mode[i]) && r.flags[i] != 0); }
  nsl_rows_free(&r);
  close_scene(&s);
}

static void test_oracle_of_another_simulation(void **state)
{
  (void)state;
  static const char *const bright[] = {"simulate.snr_min=8"}, *const other[] = {"simulate.snr_min=8", "survey.seed=6"};
  scene s, o;
  nsl_rows r = {0};
  open_scene(&s, "mine.h5", 1, bright, 1);
  open_scene(&o, NULL, 0, other, 2);
  assert_int_equal(nsl_fit_rows(s.inst, o.mock, s.reader, 0, NULL, &r, &test_err), NSL_E_MISMATCH);
  assert_non_null(strstr(test_err.text, "--config"));
  assert_true(r.n == 0);
  close_scene(&o);
  close_scene(&s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_oracle_is_as_sharp_as_it_says),
      cmocka_unit_test(test_templates_find_bright_galaxies),
      cmocka_unit_test(test_stars_have_no_redshift),
      cmocka_unit_test(test_oracle_of_another_simulation),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
