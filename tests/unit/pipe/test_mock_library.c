/* Spectrum libraries: what is in the file is what sources get, sets share nothing, bad files are refused by name. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "mock_support.h"
#include "noslit/io/h5.h"
#include "pipe/mock_internal.h"
#include "unit/pipe/scratch_dir.h"

enum { N = 16, W = 2200 };

/* Spectrum k is flat with one dip at 4000 + 150 k Angstrom. */
static void write_library(const char *path, const char *format, int bad_class)
{
  nsl_h5 *f;
  double *lambda = malloc(W * sizeof *lambda);
  float *flux = malloc(N * W * sizeof *flux);
  int32_t kind[N], lines[N];
  for (int i = 0; i < W; i++) { lambda[i] = 2000 + 4 * i; }
  for (int k = 0; k < N; k++) {
    kind[k] = k == bad_class ? 9 : NSL_KIND_RED;
    lines[k] = 1;
    for (int i = 0; i < W; i++) { flux[k * W + i] = (float)(7 * (1 - 0.8 * exp(-0.5 * pow((lambda[i] - 4000 - 150 * k) / 8, 2)))); }
  }
  const size_t dims[2] = {N, W}, n_lambda = W, n = N;
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "format", format, &test_err));
  assert_ok(nsl_h5_put_i64(f, "/", "version", 1, &test_err));
  assert_ok(nsl_h5_write(f, "/wavelength", NSL_H5_F64, 1, &n_lambda, lambda, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/flux", NSL_H5_F32, 2, dims, flux, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/class", NSL_H5_I32, 1, &n, kind, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/lines", NSL_H5_I32, 1, &n, lines, NULL, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  free(lambda);
  free(flux);
}

static void test_sources_get_the_librarys_light(void **state)
{
  (void)state;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_config *cfg;
  nsl_mock *m;
  char *path = nsl_strf("%s/good.h5", dir), *settings = nsl_strf("  library: %s\n", path), *sub = nsl_path_join(dir, "good");
  write_library(path, "noslit-spectra", -1);
  assert_ok(tiny_mock(sub, settings, &cfg, inst, &test_err));
  assert_ok(nsl_mock_new(cfg, inst, NULL, &m, &test_err));
  double *flam = malloc(NSL_SPECTRUM_N * sizeof *flam);
  int seen[5][N] = {{0}}, mixtures = 0;
  for (int set = 0; set < 5; set++) {
    for (int i = 0; i < 120; i++) {
      nsl_sed_params p;
      nsl_line_fluxes lines;
      nsl_mock_sed(m, set * NSL_MOCK_SET_STRIDE + i, NSL_KIND_RED, 0.4, &p);
      assert_in_range(p.n_mixed, 1, NSL_SED_MIXED);
      double sum = 0;
      for (int k = 0; k < p.n_mixed; k++) {
        seen[set][p.mixed[k]] = 1;
        sum += p.share[k];
      }
      assert_true(fabs(sum - 1) < 1e-12);
      mixtures += p.n_mixed > 1;
      if (p.n_mixed > 1) { continue; }
      p.ebv_old = p.tilt[0] = p.tilt[1] = p.tilt[2] = 0;
      nsl_spectra_make(m->spectra, &p, 20, flam, &lines);
      assert_true(lines.ha == 0); /* the library has its own */
      double at = (4000 + 150 * p.mixed[0]) * 1.4;
      int dip = (int)((at - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A + 0.5), side = dip + 80;
      assert_true(fabs(flam[dip] / flam[side] - 0.2) < 0.03 && fabs(flam[dip - 80] / flam[side] - 1) < 0.01);
    }
  }
  assert_true(mixtures > 200 && mixtures < 400);
  for (int k = 0; k < N; k++) { /* survey and test share; train, validation and calibration have their own */
    int owners = (seen[NSL_SET_TRAIN][k] != 0) + (seen[NSL_SET_VALIDATION][k] != 0) + (seen[NSL_SET_CALIBRATION][k] != 0) +
                 (seen[NSL_SET_TEST][k] || seen[NSL_SET_SURVEY][k]);
    assert_int_equal(owners, 1);
  }
  nsl_sed_params p;
  nsl_mock_sed(m, 5, NSL_KIND_ELG, 0.4, &p); /* the library has none */
  assert_int_equal(p.n_mixed, 0);
  free(flam);
  nsl_mock_free(m);
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  free(path);
  free(settings);
  free(sub);
}

static void test_bad_libraries(void **state)
{
  (void)state;
  nsl_spectra *s;
  nsl_error err = NSL_ERROR_INIT;
  char *path = nsl_strf("%s/bad.h5", dir);
  assert_ok(nsl_spectra_new(&s, &test_err));
  write_library(path, "something", -1);
  assert_int_equal(nsl_mock_read_library(path, s, &err), NSL_E_FORMAT);
  assert_non_null(strstr(err.text, "make_library.py"));
  write_library(path, "noslit-spectra", 3);
  assert_int_equal(nsl_mock_read_library(path, s, &err), NSL_E_VALUE);
  assert_non_null(strstr(err.text, "spectrum 3"));
  const double lambda[3] = {5000, 5500, 5200};
  const float flux[3] = {1, 1, 1};
  assert_int_equal(nsl_spectra_add(s, NSL_KIND_RED, 0, 3, lambda, flux, &err), NSL_E_VALUE);
  nsl_spectra_free(s);
  free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sources_get_the_librarys_light),
      cmocka_unit_test(test_bad_libraries),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
