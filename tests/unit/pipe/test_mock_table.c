/* Populations from tables, and redshift distributions that are asked for. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "mock_support.h"
#include "noslit/io/h5.h"
#include "pipe/mock_internal.h"
#include "unit/pipe/scratch_dir.h"

enum { N = 2000 };

typedef struct {
  nsl_instrument *inst;
  nsl_config *cfg;
  nsl_mock *mock;
} made;

static made make(const char *name, const char *key, const char *file)
{
  made a = {.inst = calloc(1, sizeof(nsl_instrument))};
  char *settings = nsl_strf("  %s: %s\n", key, file), *sub = nsl_path_join(dir, name);
  assert_ok(tiny_mock(sub, settings, &a.cfg, a.inst, &test_err));
  assert_ok(nsl_mock_new(a.cfg, a.inst, NULL, &a.mock, &test_err));
  free(settings);
  free(sub);
  return a;
}

static void unmake(made *a)
{
  nsl_mock_free(a->mock);
  nsl_config_free(a->cfg);
  nsl_instrument_free(a->inst);
  free(a->inst);
}

/* Galaxies between 18 and 22.4 mag with z = (mag - 17) / 5, red when brighter than 20, re = 0.5 z; 40 quasars at 1.2; 40 stars of
 * 17 mag. */
static char *write_table(const char *name, int with_mag, int bad_row)
{
  nsl_h5 *f;
  int32_t kind[N];
  double z[N], mag[N], re[N];
  for (int i = 0; i < N; i++) {
    mag[i] = 18 + 4.4 * (i + 0.5) / N;
    z[i] = (mag[i] - 17) / 5;
    kind[i] = mag[i] < 20 ? NSL_KIND_RED : NSL_KIND_FIELD;
    re[i] = 0.5 * z[i];
    if (i % 50 == 7) {
      kind[i] = NSL_KIND_QUASAR;
      z[i] = 1.2;
      re[i] = NAN;
    }
    if (i % 50 == 8) {
      kind[i] = NSL_KIND_STAR;
      mag[i] = 17;
      z[i] = 0;
      re[i] = NAN;
    }
  }
  if (bad_row >= 0) { z[bad_row] = NAN; }
  const size_t n = N;
  char *path = nsl_path_join(dir, name);
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "format", "noslit-population", &test_err));
  assert_ok(nsl_h5_put_i64(f, "/", "version", 1, &test_err));
  assert_ok(nsl_h5_write(f, "/class", NSL_H5_I32, 1, &n, kind, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/z", NSL_H5_F64, 1, &n, z, NULL, &test_err));
  if (with_mag) {
    assert_ok(nsl_h5_write(f, "/mag", NSL_H5_F64, 1, &n, mag, NULL, &test_err));
    assert_ok(nsl_h5_write(f, "/re", NSL_H5_F64, 1, &n, re, NULL, &test_err));
  }
  assert_ok(nsl_h5_close(f, &test_err));
  return path;
}

static void test_joint_rows(void **state)
{
  (void)state;
  char *path = write_table("joint.h5", 1, -1);
  made a = make("joint", "population", path);
  double previous = -1, mean[2] = {0, 0};
  int n = 0, n_red = 0;
  for (int steep = 0; steep < 2; steep++) {
    for (int i = 0; i < 4000; i++) {
      nsl_mock_source s;
      nsl_population_draw(&a.mock->population, a.mock->seed, i, 1, steep ? NSL_MOCK_COUNT_SLOPE : 0.05, &s);
      if (s.kind == NSL_KIND_STAR) {
        assert_true(fabs(s.mag - 17) < 0.2 && s.z == 0);
      } else if (s.kind == NSL_KIND_QUASAR) {
        assert_true(fabs(s.z - 1.2) < 0.1 && s.shape.re_arcsec == 0);
      } else {
        assert_true(fabs(s.z - (s.mag - 17) / 5) < 0.25); /* red: kernels of 0.07 mag and 0.006 in ln(1+z); field: a little more */
        assert_true(s.mag >= 17.5 && s.mag <= 22.5 && s.z != previous);
        assert_true(fabs(log(s.shape.re_arcsec / (0.5 * s.z))) < 0.5);
        previous = s.z;
        mean[steep] += s.mag;
        n += steep;
        n_red += steep && s.kind == NSL_KIND_RED;
      }
    }
  }
  assert_true(fabs(n_red / (double)n - 2 / 4.4) < 0.03); /* at the sky's slope: the table's own proportions */
  assert_true(fabs(mean[1] / n - 20.2) < 0.06);
  assert_true(mean[0] / n < 19.6); /* flatter: brighter ones */
  unmake(&a);
  free(path);
}

static void test_redshifts_by_type(void **state)
{
  (void)state;
  char *path = write_table("types.h5", 0, -1);
  made a = make("types", "population", path);
  int n[5] = {0};
  for (int i = 0; i < 3000; i++) {
    nsl_mock_source s;
    nsl_population_draw(&a.mock->population, a.mock->seed, i, 1, 0.35, &s);
    n[s.kind]++;
    if (s.kind == NSL_KIND_RED) { assert_true(s.z > 0.15 && s.z < 0.65); }
    if (s.kind == NSL_KIND_FIELD) { assert_true(s.z > 0.5 && s.z < 1.2); }
  }
  assert_true(n[NSL_KIND_ELG] > 100); /* not in the table: built in */
  unmake(&a);
  free(path);
}

static void test_bad_tables(void **state)
{
  (void)state;
  nsl_mock_table *t = NULL;
  nsl_error err = NSL_ERROR_INIT;
  char *path = write_table("bad.h5", 1, 31);
  assert_int_equal(nsl_mock_table_read(path, 17, 22, 0, 2, &t, &err), NSL_E_VALUE);
  assert_non_null(strstr(err.text, "row 31"));
  free(path);
  path = write_table("dim.h5", 1, -1);
  assert_int_equal(nsl_mock_table_read(path, 23, 24, 0, 2, &t, &err), NSL_E_VALUE);
  assert_non_null(strstr(err.text, "no galaxy within"));
  free(path);
}

/* A triangle from 0.2 over 0.8 to 1. */
static double triangle(double z) { return z < 0.2 || z > 1 ? 0 : z < 0.8 ? (z - 0.2) / 0.6 : (1 - z) / 0.2; }

static void test_stamps_follow_a_wanted_distribution(void **state)
{
  (void)state;
  char *path = nsl_path_join(dir, "nz.txt");
  const char *text = "# z density\n0.2 0\n0.8 10\n1.0 0\n";
  assert_ok(nsl_write_file(path, text, strlen(text), &test_err));
  made a = make("nz", "target_nz", path);
  enum { BINS = 16, DRAWS = 4000 };
  int count[BINS] = {0}, n = 0, near = 0, elg = 0, elg_near = 0;
  for (int i = 0; i < DRAWS; i++) {
    nsl_mock_source s;
    nsl_stamp_type type = nsl_mock_target(a.mock, NSL_SET_TEST * NSL_MOCK_SET_STRIDE + i * 1000, &s);
    if (type == NSL_STAMP_STAR || type == NSL_STAMP_QUASAR) { continue; }
    assert_true(s.z >= 0.2 && s.z <= 1);
    count[(int)fmin((s.z - 0.2) / 0.8 * BINS, BINS - 1)]++;
    elg += s.kind == NSL_KIND_ELG;
    near += s.z < 0.42;
    elg_near += s.z < 0.42 && s.kind == NSL_KIND_ELG;
    n++;
  }
  double chi2 = 0;
  for (int b = 0; b < BINS; b++) {
    double expected = n * triangle(0.2 + 0.8 * (b + 0.5) / BINS) * 0.8 / BINS / 0.4;
    chi2 += (count[b] - expected) * (count[b] - expected) / expected;
  }
  assert_true(chi2 < 40);                                /* 15 degrees of freedom */
  assert_true(near > 100 && elg > 500 && elg_near == 0); /* types stay those of their redshift */
  unmake(&a);
  free(path);
}

static void bad_nz(const char *text, const char *words)
{
  nsl_mock_nz nz = {0};
  nsl_error err = NSL_ERROR_INIT;
  char *path = nsl_path_join(dir, "bad.txt");
  assert_ok(nsl_write_file(path, text, strlen(text), &test_err));
  assert_true(nsl_mock_nz_read(path, 0, 1.5, &nz, &err) != NSL_OK);
  assert_non_null(strstr(err.text, words));
  assert_non_null(strstr(err.text, path));
  free(path);
}

static void test_distribution_files(void **state)
{
  (void)state;
  bad_nz("0.1 1\n0.1 2\n", "line 2");
  bad_nz("0.1 1\n0.2 x\n", "line 2");
  bad_nz("0.1 1\n", "two lines");
  bad_nz("1.6 1\n1.9 1\n", "no density");
  nsl_mock_nz nz = {0};
  char *path = nsl_path_join(dir, "wide.txt");
  const char *text = "0 1\n3 1\n"; /* cut to the limits */
  assert_ok(nsl_write_file(path, text, strlen(text), &test_err));
  assert_ok(nsl_mock_nz_read(path, 0.5, 1.5, &nz, &test_err));
  assert_true(fabs(nsl_mock_nz_draw(&nz, 0) - 0.5) < 1e-12 && fabs(nsl_mock_nz_draw(&nz, 0.25) - 0.75) < 1e-12);
  nsl_mock_nz_free(&nz);
  free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_joint_rows),         cmocka_unit_test(test_redshifts_by_type),
      cmocka_unit_test(test_bad_tables),         cmocka_unit_test(test_stamps_follow_a_wanted_distribution),
      cmocka_unit_test(test_distribution_files),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
