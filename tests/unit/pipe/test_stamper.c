/* From exposures on disk to stamps: a small sky rendered through the shipped gratings, four dithers in two bands. */
#include <math.h>

#include "noslit/base/rng.h"
#include "noslit/model/flags.h"
#include "noslit/model/render.h"
#include "noslit/pipe/stamper.h"
#include "unit/pipe/exposure_support.h"

enum { N_SOURCES = 6, N_NEIGHBOURS = 2, N_EXPOSURES = 8 };
#define SKY_RATE 0.4f
#define EXPTIME 150.0
#define LINE_A 7500.0
#define LINE_FLUX 6e-15 /* erg/s/cm2 */

enum { TARGET, CROSSING, REVERSED, UNDER_ZEROTH, NOT_A_NUMBER, OUTSIDE, BESIDE, ZEROTH_GIVER };

static char *dir;
static nsl_instrument *inst;
static nsl_config *cfg;
static nsl_source sources[N_SOURCES + N_NEIGHBOURS];
static nsl_exposure_info exposures[N_EXPOSURES];
static nsl_tile_task task;

/* Pixel positions when the dither is zero. */
static const struct {
  double x, y, mag, re;
} places[N_SOURCES + N_NEIGHBOURS] = {
    [TARGET] = {87, 90, 20, 0.3},        [CROSSING] = {400, 190, 21, 0.2},   [REVERSED] = {900, 50, 20, 0.3},
    [UNDER_ZEROTH] = {1150, 140, 21, 0}, [NOT_A_NUMBER] = {500, 100, 20, 0}, [OUTSIDE] = {4000, 100, 20, 0},
    [BESIDE] = {90, 112, 18.5, 0.3},     [ZEROTH_GIVER] = {490, 150, 16, 0},
};

static double crpix1(int exposure) { return 600.5 + 3.3 * (exposure / 2); }
static double crpix2(int exposure) { return 120.5 + 4.6 * (exposure / 2); }

static void place_sources(void)
{
  const double deg = 0.074 / 3600;
  for (int i = 0; i < N_SOURCES + N_NEIGHBOURS; i++) {
    nsl_source *s = &sources[i];
    *s = (nsl_source){.id = 100 + i, .mag = places[i].mag, .shape = {places[i].re, 0.7, 30, 1}};
    s->dec_deg = TOY_DEC + (places[i].y - 120.5) * deg;
    s->ra_deg = TOY_RA - (places[i].x - 600.5) * deg / cos(s->dec_deg * M_PI / 180);
    if (i == NOT_A_NUMBER) { s->ra_deg = NAN; }
  }
}

/* flat F_nu, the target with a line */
static void render_source(nsl_renderer *r, const nsl_detector *det, nsl_wcs *wcs, int i, nsl_window *w)
{
  static double lambda[4001], flam[4001];
  double x, y, m[4];
  if (i == NOT_A_NUMBER) { return; }
  for (int k = 0; k <= 4000; k++) {
    lambda[k] = 2500 + 2.5 * k;
    flam[k] = nsl_flat_fnu_flam(sources[i].mag, lambda[k]);
    if (i == TARGET && lambda[k] == LINE_A) { flam[k] += LINE_FLUX / 2.5; }
  }
  nsl_sed sed = {4001, lambda, flam, {0, 0}};
  assert_ok(nsl_wcs_sky_to_pixel(wcs, 1, &sources[i].ra_deg, &sources[i].dec_deg, &x, &y, &test_err));
  const nsl_grating *g = nsl_detector_grating(det, x);
  if (!g) { return; }
  assert_ok(nsl_wcs_jacobian(wcs, TOY_RA, TOY_DEC, m, &test_err));
  nsl_mix mix;
  nsl_mix_from_shape(&sources[i].shape, nsl_psf_sigma_px(0.19, 0.074), m, &mix);
  assert_ok(nsl_render_source(r, &inst->confs[g->conf], x, y, &mix, &sed, 1.0, w, &test_err));
}

static void write_exposure(int k)
{
  char name[64];
  snprintf(name, sizeof name, "CSST_MSC_MS_SCI_1_2_%09d_%02d_L1_1.fits", 1 + k / 2, 1 + k % 2);
  toy_exposure t = {.name = name, .exptime_s = EXPTIME, .crpix1 = crpix1(k), .crpix2 = crpix2(k), .unit = "e-/s"};
  char *path = toy_write(dir, &t); /* once without light, for its WCS */
  nsl_exposure *e;
  assert_ok(nsl_exposure_open(path, inst, &e, &test_err));
  enum { N = TOY_NX * TOY_NY };
  float *sci = calloc(N, sizeof *sci), *err = malloc(N * sizeof *err), *noise = malloc(N * sizeof *noise);
  nsl_window w = {1, 1, TOY_NX, TOY_NY, sci};
  nsl_renderer *r = nsl_renderer_new();
  for (int i = 0; i < N_SOURCES + N_NEIGHBOURS; i++) { render_source(r, nsl_exposure_detector(e), nsl_exposure_wcs(e), i, &w); }
  nsl_renderer_free(r);
  nsl_exposure_close(e);
  nsl_rng rng = nsl_rng_make(3, NSL_RNG_TEST, (uint64_t)k, 0);
  nsl_rng_normals_f32(&rng, noise, N);
  for (int i = 0; i < N; i++) {
    err[i] = (float)(sqrt(EXPTIME * (sci[i] + SKY_RATE) + 25) / EXPTIME);
    sci[i] += SKY_RATE + 0.2f * noise[i] * err[i]; /* quiet, so that light can be measured to a per cent */
  }
  t.sci = sci;
  t.err = err;
  free(path);
  path = toy_write(dir, &t);
  nsl_exposure_info_free(&exposures[k]);
  assert_ok(nsl_exposure_inspect(path, inst, &exposures[k], &test_err));
  free(path);
  free(sci);
  free(err);
  free(noise);
}

static int set_up(void **state)
{
  (void)state;
  dir = toy_directory("stamper");
  inst = toy_instrument(dir);
  nsl_kvlist doc = {.file = nsl_strdup("test.yaml")};
  assert_ok(nsl_config_new(&doc, ".", &cfg, &test_err));
  nsl_kvlist_free(&doc);
  place_sources();
  for (int k = 0; k < N_EXPOSURES; k++) { write_exposure(k); }
  task = (nsl_tile_task){.n_sources = N_SOURCES,
                         .sources = sources,
                         .n_neighbours = N_NEIGHBOURS,
                         .neighbours = sources + N_SOURCES,
                         .n_exposures = N_EXPOSURES,
                         .exposures = exposures};
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  int rc = toy_remove(dir);
  for (int k = 0; k < N_EXPOSURES; k++) { nsl_exposure_info_free(&exposures[k]); }
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  return rc;
}

static void make_stamps(nsl_stamp_set *set, size_t batch, const nsl_log *log)
{
  nsl_stamper *s;
  nsl_stamp_set part;
  assert_true(nsl_stamp_set_alloc(set, N_SOURCES) && nsl_stamp_set_alloc(&part, batch));
  assert_ok(nsl_stamper_new(cfg, inst, &task, NULL, log, &s, &test_err));
  for (size_t i = 0; i < N_SOURCES; i += batch) {
    size_t n = N_SOURCES - i < batch ? N_SOURCES - i : batch;
    assert_ok(nsl_stamper_make(s, i, n, &part, &test_err));
    assert_int_equal(part.n, n);
    for (size_t k = 0; k < n; k++) {
      nsl_stamp *to = &set->stamps[i + k], own = *to, *from = &part.stamps[k];
      *to = *from;
      to->flux = own.flux;
      to->variance = own.variance;
      to->contamination = own.contamination;
      memcpy(to->flux, from->flux, NSL_STAMP_PIXELS * sizeof(float));
      memcpy(to->variance, from->variance, NSL_STAMP_PIXELS * sizeof(float));
      memcpy(to->contamination, from->contamination, NSL_STAMP_PIXELS * sizeof(float));
    }
  }
  set->n = N_SOURCES;
  assert_true(nsl_stamper_spent(s)->bytes_read > 0);
  nsl_stamper_free(s);
  nsl_stamp_set_free(&part);
}

/* Light of a flat source in the columns between two wavelengths, from the sensitivity alone. */
static double expected_light(const nsl_trace_conf *conf, const nsl_band *band, double mag, double lo, double hi)
{
  const nsl_sensitivity *s = &nsl_trace_conf_beam(conf, 'A')->sensitivity;
  double sum = 0;
  for (int x = 0; x < NSL_STAMP_NX; x++) {
    double l = band->lambda0_a + x * band->dlambda_a;
    if (l >= lo && l < hi) { sum += nsl_sensitivity_at(s, l) * nsl_flat_fnu_flam(mag, l) * band->dlambda_a; }
  }
  return sum * 4 * EXPTIME;
}

static double box_light(const float *plane, const nsl_band *band, double lo, double hi)
{
  double sum = 0;
  for (int x = 0; x < NSL_STAMP_NX; x++) {
    double l = band->lambda0_a + x * band->dlambda_a;
    if (l < lo || l >= hi) { continue; }
    for (int y = 0; y < NSL_STAMP_NY; y++) { sum += nsl_stamp_box_weight(y) * plane[y * NSL_STAMP_NX + x]; }
  }
  return sum;
}

static void assert_ratio(double value, double expect, double tolerance, const char *what)
{
  if (!(fabs(value / expect - 1) <= tolerance)) {
    fail_msg("%s: %g, expected %g within %g %%", what, value, expect, 100 * tolerance);
  }
}

static void light_arrives_where_it_should(void **state)
{
  (void)state;
  nsl_stamp_set set;
  make_stamps(&set, N_SOURCES, NULL);
  const nsl_band *gv = &inst->bands[0], *gi = &inst->bands[1];
  for (int i = TARGET; i <= REVERSED; i += REVERSED - TARGET) {
    const nsl_stamp *s = &set.stamps[i];
    assert_int_equal(s->source_id, 100 + i);
    assert_true(s->band[0].n_exp == 4 && s->band[1].n_exp == 4 && s->band[0].exptime_s == 600 && s->band[1].coverage == 1);
    assert_int_equal(s->flags & ~(uint32_t)(NSL_FLAG_CONTAMINATED | NSL_FLAG_ZEROTH_ORDER), 0);
    const nsl_trace_conf *v = &inst->confs[inst->detectors[1].gratings[0].conf],
                         *r = &inst->confs[inst->detectors[0].gratings[0].conf];
    double own_v = box_light(s->flux, gv, 4500, 6200) - box_light(s->contamination, gv, 4500, 6200);
    double own_i =
        box_light(s->flux + NSL_STAMP_PLANE, gi, 7700, 9000) - box_light(s->contamination + NSL_STAMP_PLANE, gi, 7700, 9000);
    /* 2 arcsec hold 98.5 % of this galaxy */
    assert_ratio(own_v, 0.985 * expected_light(v, gv, places[i].mag, 4500, 6200), 0.02, "GV light");
    assert_ratio(own_i, 0.985 * expected_light(r, gi, places[i].mag, 7700, 9000), 0.02, "GI light");
  }
  /* the neighbour 22 rows up is known for what it gives: without it the box has more light */
  const nsl_stamp *t = &set.stamps[TARGET];
  assert_true(t->band[1].contamination > 0.03 && t->band[1].snr > 2);
  assert_true(box_light(t->contamination + NSL_STAMP_PLANE, gi, 7700, 9000) >
              0.03 * box_light(t->flux + NSL_STAMP_PLANE, gi, 7700, 9000));
  /* the line, above the mean of 20 columns on either side */
  double sum = 0, moment = 0, columns[101];
  int middle = (int)lround((LINE_A - gi->lambda0_a) / gi->dlambda_a);
  for (int d = -50; d <= 50; d++) {
    columns[d + 50] = 0;
    for (int y = NSL_STAMP_BOX_FIRST; y <= NSL_STAMP_BOX_LAST; y++) {
      columns[d + 50] += t->flux[NSL_STAMP_PLANE + (size_t)(y * NSL_STAMP_NX + middle + d)];
    }
  }
  double continuum = 0;
  for (int d = 30; d < 50; d++) { continuum += (columns[50 - d] + columns[50 + d]) / 40; }
  for (int d = -12; d <= 12; d++) {
    sum += columns[d + 50] - continuum;
    moment += (columns[d + 50] - continuum) * (middle + d);
  }
  const nsl_sensitivity *sens = &nsl_trace_conf_beam(&inst->confs[inst->detectors[0].gratings[0].conf], 'A')->sensitivity;
  assert_ratio(sum, 0.98 * LINE_FLUX * nsl_sensitivity_at(sens, LINE_A) * 600, 0.06, "line flux");
  if (fabs(moment / sum - (LINE_A - gi->lambda0_a) / gi->dlambda_a) > 0.2) { fail_msg("line at column %g", moment / sum); }
  nsl_stamp_set_free(&set);
}

static void flags_tell_what_is_special(void **state)
{
  (void)state;
  nsl_stamp_set set;
  make_stamps(&set, N_SOURCES, NULL);
  const nsl_stamp *s = set.stamps;
  assert_true(s[CROSSING].flags & NSL_FLAG_SPLIT);
  assert_false(s[TARGET].flags & NSL_FLAG_SPLIT);
  assert_true(s[UNDER_ZEROTH].flags & NSL_FLAG_ZEROTH_ORDER);
  assert_false(s[TARGET].flags & NSL_FLAG_ZEROTH_ORDER);
  assert_true(s[TARGET].flags & NSL_FLAG_CONTAMINATED || s[TARGET].band[1].contamination < 0.2);
  uint32_t nothing = NSL_FLAG_NO_GV | NSL_FLAG_NO_GI | NSL_FLAG_NO_PDF;
  assert_int_equal(s[NOT_A_NUMBER].flags, nothing | NSL_FLAG_BAD_INPUT);
  assert_int_equal(s[OUTSIDE].flags, nothing);
  assert_true(s[OUTSIDE].flux[5] == 0 && s[OUTSIDE].variance[5] == 0 && s[OUTSIDE].band[0].n_exp == 0);
  assert_true(s[TARGET].re_px > 3 && s[TARGET].q < 0.75f && s[TARGET].sersic_n == 1);
  nsl_stamp_set_free(&set);
}

static void batches_do_not_matter(void **state)
{
  (void)state;
  nsl_stamp_set all, ones, pairs;
  make_stamps(&all, N_SOURCES, NULL);
  make_stamps(&ones, 1, NULL);
  make_stamps(&pairs, 4, NULL);
  for (int i = 0; i < N_SOURCES; i++) {
    const nsl_stamp *a = &all.stamps[i], *others[] = {&ones.stamps[i], &pairs.stamps[i]};
    for (int k = 0; k < 2; k++) {
      assert_memory_equal(a->flux, others[k]->flux, NSL_STAMP_PIXELS * sizeof(float));
      assert_memory_equal(a->variance, others[k]->variance, NSL_STAMP_PIXELS * sizeof(float));
      assert_memory_equal(a->contamination, others[k]->contamination, NSL_STAMP_PIXELS * sizeof(float));
      assert_memory_equal(a->band, others[k]->band, sizeof a->band);
      assert_int_equal(a->flags, others[k]->flags);
    }
  }
  nsl_stamp_set_free(&all);
  nsl_stamp_set_free(&ones);
  nsl_stamp_set_free(&pairs);
}

/* One exposure gone, one cut short in the last plane: stamps are made of the rest, with a flag and one line of log each. */
static void lost_exposures_are_flagged_and_logged(void **state)
{
  (void)state;
  char *text = NULL;
  size_t size = 0;
  FILE *stream = open_memstream(&text, &size);
  nsl_log log = {.level = NSL_LOG_WARN, .stream = stream, .rank = -1};
  unlink(exposures[0].path);          /* GI */
  toy_cut(exposures[3].path, 200000); /* GV: the upper rows of DQ */
  nsl_stamp_set set;
  make_stamps(&set, N_SOURCES, &log);
  fclose(stream);
  const nsl_stamp *s = set.stamps;
  assert_int_equal(s[TARGET].band[1].n_exp, 3);
  assert_true(s[TARGET].flags & NSL_FLAG_EXPOSURE_LOST);
  assert_int_equal(s[CROSSING].band[0].n_exp, 3); /* high on the detector */
  assert_true(s[CROSSING].flags & NSL_FLAG_EXPOSURE_LOST);
  assert_int_equal(s[REVERSED].band[0].n_exp, 4); /* low on it */
  assert_false(s[OUTSIDE].flags & NSL_FLAG_EXPOSURE_LOST);
  assert_non_null(strstr(text, nsl_path_base(exposures[0].path)));
  assert_non_null(strstr(text, nsl_path_base(exposures[3].path)));
  int lines = 0;
  for (const char *c = text; *c; c++) { lines += *c == '\n'; }
  assert_int_equal(lines, 2);
  free(text);
  nsl_stamp_set_free(&set);
  write_exposure(0);
  write_exposure(3);
}

static void nothing_makes_nothing(void **state)
{
  (void)state;
  nsl_tile_task empty = {0}, unseen = {.n_sources = 1, .sources = sources};
  nsl_stamper *s;
  nsl_stamp_set set;
  assert_true(nsl_stamp_set_alloc(&set, 1));
  assert_ok(nsl_stamper_new(cfg, inst, &empty, NULL, NULL, &s, &test_err));
  assert_ok(nsl_stamper_make(s, 0, 0, &set, &test_err));
  assert_int_equal(set.n, 0);
  assert_int_equal(nsl_stamper_make(s, 0, 1, &set, &test_err), NSL_E_BUG);
  nsl_stamper_free(s);
  assert_ok(nsl_stamper_new(cfg, inst, &unseen, NULL, NULL, &s, &test_err));
  assert_ok(nsl_stamper_make(s, 0, 1, &set, &test_err));
  assert_int_equal(set.stamps[0].flags, NSL_FLAG_NO_GV | NSL_FLAG_NO_GI | NSL_FLAG_NO_PDF);
  nsl_stamper_free(s);
  nsl_stamp_set_free(&set);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(light_arrives_where_it_should), cmocka_unit_test(flags_tell_what_is_special),
      cmocka_unit_test(batches_do_not_matter),         cmocka_unit_test(lost_exposures_are_flagged_and_logged),
      cmocka_unit_test(nothing_makes_nothing),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
