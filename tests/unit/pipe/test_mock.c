/* Is the mock honest? Zero points, sky, noise against ERR, positions through conf and WCS, SNR, disjoint sets, same bits. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "mock_support.h"
#include "noslit/base/hash.h"
#include "noslit/io/table.h"
#include "noslit/pipe/exposure.h"
#include "noslit/pipe/stamp_file.h"
#include "pipe/mock_internal.h"
#include "unit/pipe/scratch_dir.h"

static nsl_mock *open_mock(const char *sub, const char *simulate, nsl_config **cfg, nsl_instrument *inst)
{
  nsl_mock *m = NULL;
  char *path = nsl_path_join(dir, sub);
  memset(inst, 0, sizeof *inst);
  assert_ok(tiny_mock(path, simulate, cfg, inst, &test_err));
  assert_ok(nsl_mock_new(*cfg, inst, NULL, &m, &test_err));
  free(path);
  return m;
}

static void close_mock(nsl_mock *m, nsl_config *cfg, nsl_instrument *inst)
{
  nsl_mock_free(m);
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
}

/* Facts A2: AB magnitude that gives 1 e-/s, and e-/s/px of a sky of V = 22.1. */
static void test_zero_points_and_sky(void **state)
{
  (void)state;
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_config *cfg;
  nsl_mock *m = open_mock("zero", "", &cfg, inst);
  const double zero_point[2] = {26.23, 26.11}, sky[2] = {0.314, 0.458};
  enum { W = 900, H = 200 };
  float *img = calloc(W * H, sizeof *img);
  for (int slot = 0; slot < 2; slot++) {
    int band = inst->stamp_band[slot];
    const nsl_beam *a = nsl_trace_conf_beam(nsl_mock_band_conf(inst, band), 'A');
    nsl_window w = {-100, 0, W, H, img};
    nsl_mix star;
    const nsl_shape point = {0, 1, 0, 1};
    const double map[4] = {-13.5, 0, 0, 13.5};
    nsl_mix_from_shape(&point, m->psf_px[band], map, &star);
    memset(img, 0, W * H * sizeof *img);
    assert_ok(nsl_render_beam(m->renderer, a, 200, 100, &star, nsl_sed_flat_fnu(), 1, &w, &test_err));
    double rate = 0;
    for (int i = 0; i < W * H; i++) { rate += (double)img[i]; }
    print_message("%s: AB zero point %.3f, sky %.3f e-/s/px\n", inst->bands[band].name, 2.5 * log10(rate), m->sky_rate[band]);
    assert_true(fabs(rate / pow(10, 0.4 * zero_point[slot]) - 1) < 0.02);
    assert_true(fabs(m->sky_rate[band] / sky[slot] - 1) < 0.03);
  }
  free(img);
  close_mock(m, cfg, inst);
  free(inst);
}

static void test_normals(void **state)
{
  (void)state;
  enum { N = 1000000 };
  float *x = malloc(N * sizeof *x), *y = malloc(N * sizeof *y);
  nsl_rng a = nsl_rng_make(1, NSL_RNG_TEST, 2, 3), b = nsl_rng_make(1, NSL_RNG_TEST, 2, 3);
  nsl_mock_normals g, h;
  nsl_mock_normals_start(&g, &a);
  nsl_mock_normals_next(&g, x, N);
  nsl_mock_normals_start(&h, &b);
  nsl_mock_normals_next(&h, y, 7 * NSL_MOCK_NORMALS_STEP); /* in several calls the same */
  nsl_mock_normals_next(&h, y + 7 * NSL_MOCK_NORMALS_STEP, N - 777 - 7 * NSL_MOCK_NORMALS_STEP);
  assert_memory_equal(x, y, (N - 777) * sizeof *x);
  double m = 0, v = 0, k = 0, r = 0;
  int three = 0, four = 0;
  for (int i = 0; i < N; i++) {
    double d = (double)x[i];
    assert_true(isfinite(d));
    m += d / N;
    v += d * d / N;
    k += d * d * d * d / N;
    if (i) { r += d * (double)x[i - 1] / N; }
    three += fabs(d) > 3;
    four += fabs(d) > 4;
  }
  assert_true(fabs(m) < 0.004 && fabs(v - 1) < 0.006 && fabs(k - 3) < 0.04 && fabs(r) < 0.004);
  assert_true(abs(three - 2700) < 220 && abs(four - 63) < 35);
  free(x);
  free(y);
}

/* A frame read back as `run` reads it: SCI scatters about the sky with the variance that ERR says (on average: the pipeline's ERR
 * knows only the measured counts); flagged pixels are as many as they should be. */
static void test_noise_matches_err(void **state)
{
  (void)state;
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_config *cfg;
  nsl_mock *m =
      open_mock("noise", "  density: 0.001\n  cosmic_rays: 5\n  exposures: 1\n  error_sky: 0\n  stray_light: 0\n", &cfg, inst);
  assert_int_equal(nsl_mock_n_frames(m), 2);
  for (int frame = 0; frame < 2; frame++) {
    nsl_mock_frame f = nsl_mock_frame_at(m, frame);
    assert_ok(nsl_mock_write_frame(m, frame, &test_err));
    char *name = nsl_mock_frame_name(m, &f), *path = nsl_strf("%s/noise/exposures/%s", dir, name);
    nsl_exposure *e;
    assert_ok(nsl_exposure_open(path, inst, &e, &test_err));
    size_t n = 640 * 220, used = 0, cosmic = 0;
    float *sci = malloc(n * sizeof *sci), *err = malloc(n * sizeof *err);
    int32_t *dq = malloc(n * sizeof *dq);
    assert_ok(nsl_exposure_read(e, 0, 0, 640, 220, sci, err, dq, &test_err));
    double sum = 0, sum2 = 0, variance = 0;
    for (size_t i = 0; i < n; i++) {
      double d = (double)sci[i] - m->sky_rate[f.det->band];
      cosmic += (dq[i] & 16) != 0;
      if (dq[i] || fabs(d) > 6 * (double)err[i]) { continue; } /* beyond: cosmic rays without a flag */
      sum += d;
      sum2 += d * d;
      variance += (double)(err[i] * err[i]);
      used++;
    }
    double mean = sum / (double)used, sigma = sqrt((sum2 / (double)used - mean * mean) / (variance / (double)used));
    print_message("%s: mean %.5f e-/s off, sigma %.4f of ERR; cosmic rays on %.4f\n", inst->bands[f.det->band].name, mean, sigma,
                  (double)cosmic / (double)n);
    assert_true(fabs(mean) < 0.002);
    assert_true(fabs(sigma - 1) < 0.01);
    assert_true(cosmic > n / 2000 && cosmic < n / 100);
    free(sci);
    free(err);
    free(dq);
    free(name);
    free(path);
    nsl_exposure_close(e);
  }
  close_mock(m, cfg, inst);
  free(inst);
}

/* A bright emission-line galaxy: [OIII] 5008 in the file lies where the file's WCS and the conf put it. */
static void test_line_positions_in_frames(void **state)
{
  (void)state;
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_config *cfg;
  nsl_mock *m = open_mock("lines", "  density: 0.001\n  clean: true\n  exposures: 2\n  rotation: 2\n", &cfg, inst);
  assert_ok(nsl_mock_draw_sky(m, &test_err));
  free(m->sources);
  m->sources = calloc(1, sizeof *m->sources);
  m->n_sources = 1;
  m->sources[0] =
      (nsl_mock_source){.id = 12, .kind = NSL_KIND_ELG, .catalogued = 1, .z = 0.62, .mag = 15.5, .shape = {0.05, 1, 0, 1}};
  m->sources[0].ra_deg = nsl_config_real(cfg, "simulate.ra") + 3.0 / 3600;
  m->sources[0].dec_deg = nsl_config_real(cfg, "simulate.dec") - 1.0 / 3600;
  for (int frame = 0; frame < nsl_mock_n_frames(m); frame++) {
    nsl_mock_frame f = nsl_mock_frame_at(m, frame);
    if (nsl_instrument_stamp_slot(inst, f.det->band) != 1) { continue; }
    assert_ok(nsl_mock_write_frame(m, frame, &test_err));
    char *name = nsl_mock_frame_name(m, &f), *path = nsl_strf("%s/lines/exposures/%s", dir, name);
    nsl_exposure *e;
    assert_ok(nsl_exposure_open(path, inst, &e, &test_err));
    double x, y, dx;
    assert_ok(nsl_wcs_sky_to_pixel(nsl_exposure_wcs(e), 1, &m->sources[0].ra_deg, &m->sources[0].dec_deg, &x, &y, &test_err));
    nsl_trace t;
    nsl_trace_at(nsl_trace_conf_beam(&inst->confs[nsl_detector_grating(f.det, x)->conf], 'A'), x, y, &t);
    assert_true(nsl_trace_dx_of_lambda(&t, 5008.24 * 1.62, &dx));
    double lx = t.x0 + dx, ly = t.y0 + nsl_trace_dy(&t, dx);
    enum { R = 24 };
    long x0 = lround(lx) - 1 - R, y0 = lround(ly) - 1 - R;
    float sci[(2 * R + 1) * (2 * R + 1)], err[(2 * R + 1) * (2 * R + 1)];
    int32_t dq[(2 * R + 1) * (2 * R + 1)];
    assert_ok(nsl_exposure_read(e, x0, y0, 2 * R + 1, 2 * R + 1, sci, err, dq, &test_err));
    /* Sum the rows of the trace; the continuum from the columns beside. */
    double column[2 * R + 1] = {0}, side = 0, s = 0, sx = 0, row = 0, all = 0;
    for (int j = R - 8; j <= R + 8; j++) {
      for (int i = 0; i <= 2 * R; i++) {
        double v = (double)sci[j * (2 * R + 1) + i] - m->sky_rate[f.det->band];
        column[i] += v;
        if (abs(i - R) <= 5) {
          row += v * j;
          all += v;
        }
      }
    }
    for (int i = 0; i < 2 * R + 1; i++) {
      if (abs(i - R) >= 18) { side += column[i] / (2 * (R - 17)); }
    }
    for (int i = R - 5; i <= R + 5; i++) {
      s += column[i] - side;
      sx += (column[i] - side) * i;
    }
    print_message("line %.3f px from where it should be, trace %.3f\n", sx / s + (double)x0 + 1 - lx,
                  row / all + (double)y0 + 1 - ly);
    assert_true(fabs(sx / s + (double)x0 + 1 - lx) < 0.1);
    assert_true(fabs(row / all + (double)y0 + 1 - ly) < 0.1);
    free(name);
    free(path);
    nsl_exposure_close(e);
  }
  close_mock(m, cfg, inst);
  free(inst);
}

static nsl_hash file_hash(const char *path)
{
  nsl_hash h;
  assert_ok(nsl_hash_file(path, &h, &test_err));
  return h;
}

/* Frames, tables and stamps are the same whatever was made before them. */
static void test_same_bits_in_any_order(void **state)
{
  (void)state;
  const char *settings = "  density: 20\n  exposures: 2\n  stamps: 6\n";
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_hash frames[2][4], tables[2][2], stamps[2][2];
  for (int run = 0; run < 2; run++) {
    nsl_config *cfg;
    nsl_mock *m = open_mock(run ? "b" : "a", settings, &cfg, inst);
    int n = nsl_mock_n_frames(m);
    assert_int_equal(n, 4);
    char path[2][128];
    for (int k = 0; k < 2; k++) { snprintf(path[k], sizeof path[k], "%s/%s/stamps%d.h5", dir, run ? "b" : "a", k); }
    for (int i = 0; i < n; i++) {
      int frame = run ? n - 1 - i : i;
      assert_ok(nsl_mock_write_frame(m, frame, &test_err));
      if (run && i < 2) { assert_ok(nsl_mock_make_stamps(m, 3 * i, 3, path[i], &test_err)); }
      nsl_mock_frame f = nsl_mock_frame_at(m, frame);
      char *name = nsl_mock_frame_name(m, &f), *file = nsl_strf("%s/%s/exposures/%s", dir, run ? "b" : "a", name);
      frames[run][frame] = file_hash(file);
      free(name);
      free(file);
    }
    for (int k = 1; k >= 0 && !run; k--) { assert_ok(nsl_mock_make_stamps(m, 3 * k, 3, path[k], &test_err)); }
    assert_ok(nsl_mock_write_tables(m, &test_err));
    for (int k = 0; k < 2; k++) {
      char *file = nsl_strf("%s/%s/%s", dir, run ? "b" : "a", k ? "truth.fits" : "catalogue.fits");
      tables[run][k] = file_hash(file);
      stamps[run][k] = file_hash(path[k]);
      free(file);
    }
    close_mock(m, cfg, inst);
  }
  for (int k = 0; k < 4; k++) { assert_true(nsl_hash_equal(frames[0][k], frames[1][k])); }
  for (int k = 0; k < 2; k++) {
    assert_true(nsl_hash_equal(tables[0][k], tables[1][k]));
    assert_true(nsl_hash_equal(stamps[0][k], stamps[1][k]));
  }
  free(inst);
}

/* The truth table has one row for each of the catalogue's, with exposures and SNR where the source was seen. */
static void test_tables(void **state)
{
  (void)state;
  nsl_table *c, *t;
  char *catalogue = nsl_strf("%s/a/catalogue.fits", dir), *truth = nsl_strf("%s/a/truth.fits", dir);
  assert_ok(nsl_table_open(catalogue, NULL, &c, &test_err));
  assert_ok(nsl_table_open(truth, NULL, &t, &test_err));
  int64_t n = nsl_table_rows(c);
  assert_true(n > 5 && n == nsl_table_rows(t));
  int64_t *id = malloc((size_t)n * sizeof *id), *target = malloc((size_t)n * sizeof *target);
  double *z = malloc((size_t)n * sizeof *z), *snr = malloc((size_t)n * sizeof *snr), *n_exp = malloc((size_t)n * sizeof *n_exp);
  const struct {
    nsl_table *table;
    const char *name;
    double *out;
  } wanted[] = {{t, "Z", z}, {t, "SNR_GI", snr}, {t, "N_EXP_GI", n_exp}};
  for (int k = 0; k < 3; k++) {
    int column;
    assert_ok(nsl_table_require(wanted[k].table, wanted[k].name, &column, &test_err));
    assert_ok(nsl_table_read_f64(wanted[k].table, column, 0, n, wanted[k].out, &test_err));
  }
  assert_ok(nsl_table_read_i64(c, nsl_table_find(c, "ID"), 0, n, id, &test_err));
  assert_ok(nsl_table_read_i64(t, nsl_table_find(t, "TARGETID"), 0, n, target, &test_err));
  assert_memory_equal(id, target, (size_t)n * sizeof *id);
  int seen = 0;
  for (int64_t i = 0; i < n; i++) {
    assert_true(z[i] >= 0 && z[i] <= 1.55);
    assert_true((snr[i] > 0) == (n_exp[i] > 0));
    seen += n_exp[i] > 0;
  }
  assert_true(seen >= 3);
  nsl_table_close(c);
  nsl_table_close(t);
  free(id);
  free(target);
  free(z);
  free(snr);
  free(n_exp);
  free(catalogue);
  free(truth);
}

/* All of the extraction box of GI has data. */
static int whole_box(const nsl_stamp *stamp)
{
  int x0 = 10, x1 = NSL_STAMP_NX - 50;
  for (int y = NSL_STAMP_BOX_FIRST; y <= NSL_STAMP_BOX_LAST; y++) {
    for (int x = x0; x < x1; x++) {
      if (!(stamp->variance[NSL_STAMP_PLANE + (size_t)y * NSL_STAMP_NX + (size_t)x] > 0)) { return 0; }
    }
  }
  return 1;
}

/* Stamps of different sets are of different galaxies; measured SNR is the true one within its noise. */
static void test_sets_and_snr(void **state)
{
  (void)state;
  const char *const sets[] = {"train", "validation", "calibration", "test"};
  enum { N = 24 };
  int64_t ids[4 * N];
  double ratio = 0;
  int n_ratio = 0;
  nsl_stamp_set set;
  assert_true(nsl_stamp_set_alloc(&set, 1));
  for (int s = 0; s < 4; s++) {
    nsl_instrument *inst = malloc(sizeof *inst);
    nsl_config *cfg;
    char *settings = nsl_strf("  clean: true\n  dither: 0.5\n  snr_min: 2\n  set: %s\n", sets[s]),
         *path = nsl_strf("%s/%s.h5", dir, sets[s]);
    nsl_mock *m = open_mock(sets[s], settings, &cfg, inst);
    assert_ok(nsl_mock_make_stamps(m, 0, N, path, &test_err));
    nsl_stamp_reader *r;
    const char *paths[] = {path};
    assert_ok(nsl_stamp_reader_open(paths, 1, 0, 1, &r, &test_err));
    assert_int_equal(nsl_stamp_reader_count(r), N);
    for (size_t i = 0; i < N; i++) {
      const nsl_stamp_label *l = nsl_stamp_reader_label(r, i);
      ids[s * N + (int)i] = l->source_id;
      assert_true(l->snr_gi_true >= 2);
      assert_true(l->contamination == 0);
      nsl_stamp_reader_get(r, i, &set.stamps[0]);
      if (set.stamps[0].band[1].n_exp == 4 && whole_box(&set.stamps[0])) {
        ratio += (double)(l->snr_gi / l->snr_gi_true);
        n_ratio++;
      }
    }
    nsl_stamp_reader_close(r);
    close_mock(m, cfg, inst);
    free(inst);
    free(settings);
    free(path);
  }
  for (int i = 0; i < 4 * N; i++) {
    for (int j = 0; j < i; j++) { assert_true(ids[i] != ids[j]); }
  }
  nsl_stamp_set_free(&set);
  print_message("measured / true SNR_GI: %.3f of %d\n", ratio / n_ratio, n_ratio);
  assert_true(n_ratio > N / 4 && fabs(ratio / n_ratio - 1) < 0.03);
}

static void test_nonsense_is_refused(void **state)
{
  (void)state;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_config *cfg;
  nsl_mock *m = NULL;
  nsl_error err = NSL_ERROR_INIT;
  char *path = nsl_path_join(dir, "nonsense");
  assert_ok(tiny_mock(path, "  mag_min: 23\n  mag_max: 22\n", &cfg, inst, &test_err));
  assert_int_equal(nsl_mock_new(cfg, inst, NULL, &m, &err), NSL_E_CONFIG);
  assert_non_null(strstr(err.text, "simulate.mag_max"));
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_zero_points_and_sky),    cmocka_unit_test(test_normals),
      cmocka_unit_test(test_noise_matches_err),      cmocka_unit_test(test_line_positions_in_frames),
      cmocka_unit_test(test_same_bits_in_any_order), cmocka_unit_test(test_tables),
      cmocka_unit_test(test_sets_and_snr),           cmocka_unit_test(test_nonsense_is_refused),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
