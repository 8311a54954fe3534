/* Image libraries: sources get shapes of their size and magnitude, turned to their position angle; sets share nothing. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "mock_support.h"
#include "noslit/io/h5.h"
#include "pipe/mock_internal.h"
#include "unit/pipe/scratch_dir.h"

enum { N = 240 };

/* Image k: a Gaussian of axis ratio 0.4 along PA 30 and a spot a tenth as bright on its major axis; sizes and magnitudes on a grid.
 */
static void write_library(const char *path, const char *format, size_t n, int broken)
{
  nsl_h5 *f;
  float *mixture = calloc(N * NSL_MIX_MAX * 6, sizeof *mixture);
  double re[N], q[N], pa[N], index[N], mag[N];
  for (int k = 0; k < N; k++) {
    float *g = mixture + (size_t)k * NSL_MIX_MAX * 6;
    double a = 30 * M_PI / 180, ex = sin(a), ey = cos(a), big, small;
    re[k] = 0.1 * pow(1.5, k / 24 % 10);
    mag[k] = 18 + k % 24 * 0.2;
    q[k] = 0.4;
    pa[k] = 30;
    index[k] = 1 + 0.01 * k;
    big = re[k] * re[k] / 1.386;
    small = big * 0.16;
    g[0] = 20;
    g[3] = (float)(big * ex * ex + small * ey * ey);
    g[4] = (float)((big - small) * ex * ey);
    g[5] = (float)(big * ey * ey + small * ex * ex);
    g[6] = k == broken ? -1 : 2;
    g[7] = (float)(re[k] * ex);
    g[8] = (float)(re[k] * ey);
    g[9] = g[11] = 1e-4f;
  }
  const size_t dims[3] = {n, NSL_MIX_MAX, 6};
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "format", format, &test_err));
  assert_ok(nsl_h5_put_i64(f, "/", "version", 1, &test_err));
  assert_ok(nsl_h5_write(f, "/mixture", NSL_H5_F32, 3, dims, mixture, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/re", NSL_H5_F64, 1, dims, re, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/q", NSL_H5_F64, 1, dims, q, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/pa", NSL_H5_F64, 1, dims, pa, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/sersic_n", NSL_H5_F64, 1, dims, index, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/mag", NSL_H5_F64, 1, dims, mag, NULL, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  free(mixture);
}

/* Set that owns an image: training 0, validation 1, calibration 2, test and survey 3. */
static int owner(int image) { return image % 8 < 5 ? 0 : image % 8 - 4; }

static void test_sources_get_shapes_of_real_galaxies(void **state)
{
  (void)state;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_config *cfg;
  nsl_mock *m;
  char *path = nsl_strf("%s/good.h5", dir), *settings = nsl_strf("  images: %s\n", path), *sub = nsl_path_join(dir, "good");
  write_library(path, "noslit-images", N, -1);
  assert_ok(tiny_mock(sub, settings, &cfg, inst, &test_err));
  assert_ok(nsl_mock_new(cfg, inst, NULL, &m, &test_err));
  const int sets[] = {NSL_SET_TRAIN, NSL_SET_VALIDATION, NSL_SET_CALIBRATION, NSL_SET_TEST, NSL_SET_SURVEY};
  const double map[4] = {-13.5, 0, 0, 13.5};
  int n = 0, n_mirrored = 0, used[N] = {0}, n_used = 0;
  double off_mag = 0, off_size = 0;
  for (int k = 0; k < 5; k++) {
    for (int i = 0; i < 300; i++) {
      nsl_mock_source s;
      nsl_mix c, l;
      nsl_population_draw(&m->population, m->seed, sets[k] * NSL_MOCK_SET_STRIDE + i, 1, 0.35, &s);
      if (!(s.shape.re_arcsec > 0)) {
        assert_int_equal(s.image, 0);
        continue;
      }
      int image = s.image - 1;
      assert_in_range(image, 0, N - 1);
      assert_int_equal(owner(image), k < 4 ? k : 3);
      used[image] = 1;
      assert_true(s.shape.q == 0.4 && fabs(s.shape.sersic_n - 1 - 0.01 * image) < 1e-12);
      if (k == 0) { /* enough images to choose from */
        double re = 0.1 * pow(1.5, image / 24 % 10);
        off_mag += fabs(18 + image % 24 * 0.2 - s.mag);
        off_size += fabs(log(re / s.shape.re_arcsec));
        n++;
      }
      assert_int_equal(nsl_mock_profiles(m, &s, 0.001, map, &c, &l), 0); /* lines as the continuum */
      assert_int_equal(c.n, 2);
      assert_true(fabs(c.g[0].flux - 10 / 11.0) < 1e-6 && fabs(c.g[1].flux - 1 / 11.0) < 1e-6);
      assert_true(hypot(c.g[0].dx * c.g[0].flux + c.g[1].dx * c.g[1].flux, c.g[0].dy * c.g[0].flux + c.g[1].dy * c.g[1].flux) <
                  1e-3);
      /* The major axis is where the shape says (x grows to the west), and as long. */
      double pa = s.shape.pa_deg * M_PI / 180, ux = -sin(pa), uy = cos(pa);
      double along = ux * ux * c.g[0].xx + 2 * ux * uy * c.g[0].xy + uy * uy * c.g[0].yy;
      double across = uy * uy * c.g[0].xx - 2 * ux * uy * c.g[0].xy + ux * ux * c.g[0].yy;
      double want = s.shape.re_arcsec * 13.5;
      assert_true(fabs(sqrt(along) / (want / sqrt(1.386)) - 1) < 1e-3 && fabs(sqrt(across / along) - 0.4) < 1e-3);
      double sx = c.g[1].dx - c.g[0].dx, sy = c.g[1].dy - c.g[0].dy;
      assert_true(fabs(hypot(sx, sy) / want - 1) < 1e-3 && fabs(fabs(sx * ux + sy * uy) / want - 1) < 1e-3);
      n_mirrored += sx * ux + sy * uy < 0;
      /* A wider PSF adds to both. */
      double thin = c.g[1].xx;
      (void)nsl_mock_profiles(m, &s, 2, map, &c, &l);
      assert_true(fabs(c.g[1].xx - thin - 4) < 1e-3);
    }
  }
  for (int k = 0; k < N; k++) { n_used += used[k]; }
  assert_true(n_used > 100 && n > 200);
  assert_true(off_mag / n < 0.6 && off_size / n < 0.25); /* without matching 1.9 and 0.9 */
  assert_true(n_mirrored > 500 && n_mirrored < 900);
  nsl_mock_source faint;
  nsl_population_draw(&m->population, m->seed, NSL_MOCK_FAINT_OFFSET + 1, 0, 0.35, &faint);
  assert_int_equal(faint.image, 0);
  nsl_mock_free(m);
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  free(path);
  free(settings);
  free(sub);
}

static void refused(const char *format, size_t n, int broken, nsl_status status, const char *words)
{
  nsl_images *im = NULL;
  nsl_error err = NSL_ERROR_INIT;
  char *path = nsl_strf("%s/bad.h5", dir);
  write_library(path, format, n, broken);
  assert_int_equal(nsl_images_read(path, &im, &err), status);
  assert_non_null(strstr(err.text, words));
  assert_non_null(strstr(err.text, path));
  free(path);
}

static void test_bad_libraries(void **state)
{
  (void)state;
  refused("noslit-spectra", N, -1, NSL_E_FORMAT, "make_images.py");
  refused("noslit-images", N, 17, NSL_E_VALUE, "image 17");
  refused("noslit-images", 5, -1, NSL_E_VALUE, "at least 8");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sources_get_shapes_of_real_galaxies),
      cmocka_unit_test(test_bad_libraries),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
