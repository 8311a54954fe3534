/* The light of a stamp is rendered once and moved from exposure to exposure: against rendering it for each of them. */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/base/fsio.h"
#include "noslit/pipe/config_load.h"
#include "pipe/mock_studio.h"
#include "unit/pipe/scratch_dir.h"

enum { TARGETS = 12 };

typedef struct {
  double worst, sum, light; /* over the noise and 2 % of the light of the pixel; over the noise: squares, the direct one's light */
  size_t n;
} difference;

static void compare(const float *moved, const float *direct, size_t n, double sky_e, difference *d)
{
  for (size_t i = 0; i < n; i++) {
    double sigma = sqrt((double)direct[i] + sky_e), over = ((double)moved[i] - (double)direct[i]) / sigma;
    d->worst = fmax(d->worst, fabs(over * sigma) / (sigma + 0.02 * (double)direct[i]));
    d->sum += over * over;
    d->light += (double)direct[i] / sigma;
  }
  d->n += n;
}

/* Two exposures at both ends of the dither; the second, moved and rendered. */
static void look_twice(nsl_studio *s, int slot, const nsl_mock_source *src, difference d[2])
{
  nsl_mock *m = s->m;
  int b = m->inst->stamp_band[slot];
  const nsl_band *band = &m->inst->bands[b];
  nsl_mock_setting g = {.n_exp = 2};
  for (int k = 0; k < m->inst->n_detectors; k++) { g.det = m->inst->detectors[k].band == b ? &m->inst->detectors[k] : g.det; }
  nsl_mock_local_map(m, 0.3, g.j);
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, (uint64_t)src->id, (uint64_t)slot);
  /* Away from the boundary between gratings, where neighbours come and go with the dither. */
  double x = nsl_rng_range(&r, 0.65 * (double)g.det->nx, 0.8 * (double)g.det->nx),
         y = nsl_rng_range(&r, 40, (double)g.det->ny - 40);
  float *plane[2][2] = {{NULL}};
  size_t n = 0;
  int shown = 0;
  nsl_plates_forget(s);
  for (int e = 0; e < 3; e++) { /* the third is the second, rendered */
    double dx = e ? nsl_rng_range(&r, 40, 67) : -60, dy = e ? nsl_rng_range(&r, 40, 67) : -30;
    if (e == 2) {
      nsl_rng again = nsl_rng_make(1, NSL_RNG_TEST, (uint64_t)src->id, (uint64_t)slot);
      for (int k = 0; k < 2; k++) { (void)nsl_rng_uniform(&again); }
      dx = nsl_rng_range(&again, 40, 67);
      dy = nsl_rng_range(&again, 40, 67);
      nsl_plates_forget(s);
    }
    nsl_mock_sight at = {.x = x + dx, .y = y + dy, .cx = x + dx + 0.3, .cy = y + dy - 0.2};
    at.grating = nsl_mock_grating_at(g.det, at.cx);
    if (at.grating < 0 || (e == 1 && !s->plates[at.grating].made)) { break; } /* the dither crosses gratings */
    nsl_trace_at(nsl_trace_conf_beam(&m->inst->confs[g.det->gratings[at.grating].conf], 'A'), at.cx, at.cy, &at.trace);
    long x0, y0, w, h;
    if (!nsl_view_window(&at.trace, band, &s->settings, g.det->nx, g.det->ny, &x0, &y0, &w, &h)) { break; }
    if (e == 1) {
      n = (size_t)w * (size_t)h;
      for (int k = 0; k < 4; k++) { plane[k / 2][k % 2] = malloc(n * sizeof(float)); }
    }
    if (!nsl_studio_reserve(s, (size_t)w * (size_t)h)) { fail(); }
    nsl_window light = {(double)x0 + 1, (double)y0 + 1, (int)w, (int)h, e ? plane[0][e - 1] : s->sci}, near = light;
    near.img = e ? plane[1][e - 1] : s->near;
    nsl_mock_optics_draw(m, g.det, (uint64_t)src->id, 1 + (uint64_t)slot, (uint64_t)(e > 0), &s->optics);
    assert_ok(nsl_plates_show(s, &g, src, &at, &light, &near, &test_err));
    shown = e;
  }
  for (int k = 0; k < 2; k++) {
    if (shown == 2) { compare(plane[k][0], plane[k][1], n, 75, &d[k]); }
    free(plane[k][0]);
    free(plane[k][1]);
  }
}

static void light_moves_as_it_is_rendered(void **state)
{
  (void)state;
  nsl_config *cfg;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_mock *m;
  nsl_studio s;
  const char *instrument = TEST_SOURCE_DIR "/configs/instruments/csst.yaml";
  char *path = nsl_path_join(dir, "config.yaml");
  char *text = nsl_strf("survey: {name: plate, workdir: ., seed: 5}\ninstrument: {file: %s}\nsimulate:\n"
                        "  density: 30\n  mag_min: 17\n  mag_max: 22\n  snr_min: 1\n",
                        instrument);
  assert_ok(nsl_write_file(path, text, strlen(text), &test_err));
  assert_ok(nsl_config_load(path, NULL, 0, &cfg, &test_err));
  assert_ok(nsl_instrument_load(instrument, inst, &test_err));
  assert_ok(nsl_mock_new(cfg, inst, NULL, &m, &test_err));
  assert_ok(nsl_studio_open(m, &s, &test_err));
  difference d[2] = {{0}};
  for (int i = 0; i < TARGETS; i++) {
    nsl_mock_source src;
    double snr[2];
    assert_ok(nsl_studio_draw_target(&s, i, &src, snr, &test_err));
    assert_ok(nsl_studio_draw_neighbours(&s, &src, &test_err));
    for (int slot = 0; slot < 2; slot++) { look_twice(&s, slot, &src, d); }
  }
  for (int k = 0; k < 2; k++) {
    double rms = sqrt(d[k].sum / (double)d[k].n);
    print_message("%s: %zu pixels, light %.2f sigma, moved less rendered: rms %.4f sigma, worst %.3f\n", k ? "expected" : "light",
                  d[k].n, d[k].light / (double)d[k].n, rms, d[k].worst);
    assert_true(d[k].n > 400000 && d[k].light / (double)d[k].n > 0.05); /* there is something to compare */
    assert_true(rms < 0.01);
    assert_true(d[k].worst < 2); /* in cores of bright stars and zeroth orders */
  }
  nsl_studio_close(&s);
  nsl_mock_free(m);
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  free(path);
  free(text);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(light_moves_as_it_is_rendered)};
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
