/* Errors of calibration: what is asked for is what happens to the light, and what the truth says. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "mock_support.h"
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

/* In both directions of dispersion a line lands so many px to the red, and the rest stays: against the file's trace. */
static void test_shift_scale_and_trace(void **state)
{
  (void)state;
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_mock_optics *o = malloc(sizeof *o);
  nsl_config *cfg;
  nsl_mock *m = open_mock("shift",
                          "  clean: true\n  error_wave_shape: fixed\n  error_wave_grating: 0.7\n  error_wave_exposure: -0.2\n"
                          "  error_dispersion: 0.001\n  error_trace: 0.3\n",
                          &cfg, inst);
  assert_true(m->errors.psf == 0 && m->errors.sky == 0); /* clean, and not asked for */
  int directions = 0;
  for (int d = 0; d < inst->n_detectors; d++) {
    const nsl_detector *det = &inst->detectors[d];
    const nsl_band *band = &inst->bands[det->band];
    double middle = 0.5 * (band->lambda_min_a + band->lambda_max_a);
    nsl_mock_optics_draw(m, det, 7, 0, 3, o);
    for (int g = 0; g < det->n_gratings; g++) {
      const nsl_beam *file = nsl_trace_conf_beam(&inst->confs[det->gratings[g].conf], 'A'),
                     *sky = nsl_trace_conf_beam(&o->conf[g], 'A');
      nsl_trace a, b;
      nsl_trace_at(file, 320, 110, &a);
      nsl_trace_at(sky, 320, 110, &b);
      const nsl_grating_error *e = &o->grating[g];
      assert_true(fabs(e->wave_px - 0.5) < 1e-12);
      assert_true(e->dispersion != 0 && fabs(e->dispersion) < 0.006 && e->trace_px != 0 && fabs(e->trace_px) < 1.8);
      double x0, x1;
      for (double l = band->lambda_min_a; l <= band->lambda_max_a; l += 500) {
        double middle_dx;
        assert_true(nsl_trace_dx_of_lambda(&a, l, &x0) && nsl_trace_dx_of_lambda(&b, l, &x1));
        assert_true(nsl_trace_dx_of_lambda(&a, middle, &middle_dx));
        double to_red = nsl_trace_dlambda(&a, x0) > 0 ? 1 : -1;
        assert_true(fabs(x1 - (middle_dx + (1 + e->dispersion) * (x0 + to_red * 0.5 - middle_dx))) < 0.002);
      }
      directions |= nsl_trace_dlambda(&a, 0) > 0 ? 1 : 2;
      assert_true(fabs(b.y0 - a.y0 - e->trace_px) < 1e-12);
    }
  }
  assert_int_equal(directions, 3);
  close_mock(m, cfg, inst);
  free(o);
  free(inst);
}

/* One band alone is shifted. */
static void test_one_band(void **state)
{
  (void)state;
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_mock_optics *o = malloc(sizeof *o);
  nsl_config *cfg;
  nsl_mock *m =
      open_mock("band", "  clean: true\n  error_wave_shape: fixed\n  error_wave_grating: 2\n  error_wave_bands: GI\n", &cfg, inst);
  int bands = 0;
  for (int d = 0; d < inst->n_detectors; d++) {
    const nsl_detector *det = &inst->detectors[d];
    int is_gi = strcmp(inst->bands[det->band].name, "GI") == 0;
    nsl_mock_optics_draw(m, det, 7, 0, 3, o);
    for (int g = 0; g < det->n_gratings; g++) { assert_true(fabs(o->grating[g].wave_px - (is_gi ? 2 : 0)) < 1e-12); }
    bands |= is_gi ? 1 : 2;
  }
  assert_int_equal(bands, 3);
  close_mock(m, cfg, inst);
  free(o);
  free(inst);
}

/* The sky's structure has the asked size, and its mean is the sky. */
static void test_sky_structure(void **state)
{
  (void)state;
  enum { W = 900, H = 800 };
  nsl_sky_pattern p = {.amplitude = 0.01 * sqrt(2.0 / NSL_SKY_WAVES), .slope_x = 0.2, .nx = W, .ny = H};
  for (int k = 0; k < NSL_SKY_WAVES; k++) {
    p.wave[k].kx = 2 * M_PI / (40 + 25 * k);
    p.wave[k].ky = -2 * M_PI / (90 - 20 * k);
    p.wave[k].phase = k;
  }
  float *img = calloc(W * H, sizeof *img);
  nsl_window w = {1, 1, W, H, img};
  assert_ok(nsl_mock_add_sky(&p, 50, 0, &w, &test_err));
  double sum = 0, sum2 = 0, left = 0;
  for (int j = 0; j < H; j++) {
    for (int i = 0; i < W; i++) {
      double v = (double)img[j * W + i] / 50 - 1, flat = v - 0.2 * ((i + 1.0) / W - 0.5);
      sum += v;
      sum2 += flat * flat;
      if (i < 90) { left += v / (90 * H); }
    }
  }
  assert_true(fabs(sum / (W * H)) < 2e-3);
  assert_true(fabs(sqrt(sum2 / (W * H)) / 0.01 - 1) < 0.05);
  assert_true(fabs(left + 0.09) < 2e-3);
  double here = (double)img[400 * W + 300] / 50, beside = ((double)img[374 * W + 300] + (double)img[426 * W + 300]) / 100;
  assert_true(fabs(nsl_mock_sky_error(&p, 301, 401) - (here - beside)) < 1e-5);
  free(img);
}

/* Stamps carry what they met; sizes are those of the configuration; a stamp's two bands have their own. */
static void test_labels(void **state)
{
  (void)state;
  enum { N = 60 };
  nsl_instrument *inst = malloc(sizeof *inst);
  nsl_config *cfg;
  char *path = nsl_strf("%s/labels.h5", dir);
  nsl_mock *m = open_mock(
      "labels",
      "  density: 1\n  dither: 0.2\n  snr_min: 2\n  error_wave_grating: 0.4\n  error_wave_exposure: 0\n  error_psf: 0.05\n"
      "  astrometric_error: 0.03\n",
      &cfg, inst);
  assert_ok(nsl_mock_make_stamps(m, 0, N, path, &test_err));
  nsl_stamp_reader *r;
  const char *paths[] = {path};
  assert_ok(nsl_stamp_reader_open(paths, 1, 0, 1, &r, &test_err));
  double wave = 0, psf = 0, product = 0, position = 0, sky = 0, *flam = malloc(NSL_SPECTRUM_N * sizeof *flam);
  int with_lines = 0;
  for (size_t i = 0; i < N; i++) {
    const nsl_stamp_label *l = nsl_stamp_reader_label(r, i);
    wave += (double)(l->wave_error_gi * l->wave_error_gi) / N;
    product += (double)(l->wave_error_gi * l->wave_error_gv) / N;
    psf += (double)(l->psf_error * l->psf_error) / N;
    position += (double)(l->astrometric_error * l->astrometric_error) / N;
    sky += fabs((double)l->sky_error) / N;
    /* lines and sizes are those of the source */
    nsl_mock_source src;
    nsl_line_fluxes lines;
    (void)nsl_mock_target(m, l->source_id, &src);
    nsl_mock_spectrum(m, &src, flam, NULL, &lines);
    assert_true(l->flux_ha == (float)lines.ha && l->flux_hb == (float)lines.hb && l->flux_nii == (float)lines.nii6585);
    assert_true(l->flux_oiii == (float)lines.oiii5008 && l->flux_oii == (float)lines.oii3728);
    assert_true(l->re_arcsec == (float)src.shape.re_arcsec && (src.shape.re_arcsec > 0 || l->axis_ratio == 1));
    assert_true(!(src.shape.re_arcsec > 0) || (l->axis_ratio == (float)src.shape.q && l->pa_deg == (float)src.shape.pa_deg));
    with_lines += l->flux_ha > 1e-18f && l->flux_nii > 0 && l->flux_ha < 1e-12f;
  }
  print_message("rms: wave %.3f px, PSF %.3f, position %.4f, sky %.4f\n", sqrt(wave), sqrt(psf), sqrt(position), sky);
  assert_true(sqrt(wave) > 0.28 && sqrt(wave) < 0.5 && fabs(product) < 0.6 * wave);
  assert_true(sqrt(psf) > 0.022 && sqrt(psf) < 0.055); /* the mean of two bands */
  assert_true(sqrt(position) > 0.03 && sqrt(position) < 0.055);
  assert_true(sky > 0.0005 && sky < 0.02);
  assert_true(with_lines > N / 2);
  free(flam);
  nsl_stamp_reader_close(r);
  close_mock(m, cfg, inst);
  free(inst);
  free(path);
}

/* Charge is kept, full pixels are flagged, columns carry it; a satellite's light is flagged. */
static void test_bleeding_and_satellite(void **state)
{
  (void)state;
  enum { W = 40, H = 60 };
  nsl_mock_detector d = {.saturation_e = 1000, .bit_saturated = 8, .bit_trail = 32};
  float e[W * H];
  int32_t dq[W * H] = {0};
  for (int i = 0; i < W * H; i++) { e[i] = 100; }
  e[30 * W + 7] = 1000 + 9 * 900; /* fills four pixels and a half each way */
  nsl_mock_bleed(&d, W, H, e, dq);
  double sum = 0;
  int flagged = 0;
  for (int i = 0; i < W * H; i++) {
    sum += (double)e[i];
    flagged += dq[i] == 8;
    assert_true(e[i] <= 1000 && (i % W == 7 || e[i] == 100));
  }
  assert_true(fabs(sum - (100.0 * (W * H - 1) + 1000 + 9 * 900)) < 1);
  assert_int_equal(flagged, 1 + 2 * 4);
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 1, 1);
  memset(dq, 0, sizeof dq);
  nsl_mock_satellite(&d, 0, &r, W, H, e, dq);
  for (int i = 0; i < W * H; i++) { assert_int_equal(dq[i], 0); }
  nsl_mock_satellite(&d, 1, &r, W, H, e, dq);
  flagged = 0;
  for (int i = 0; i < W * H; i++) { flagged += dq[i] == 32; }
  assert_in_range(flagged, 50, W * H);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_shift_scale_and_trace),  cmocka_unit_test(test_one_band),
      cmocka_unit_test(test_sky_structure),          cmocka_unit_test(test_labels),
      cmocka_unit_test(test_bleeding_and_satellite),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
