/* The shipped instruments, whole: YAML, confs, sensitivities; and what is said when a piece is missing. */
#include <math.h>

#include "noslit/model/render.h"
#include "unit/pipe/exposure_support.h"

/* e-/s of a flat source of magnitude 26.23 (GV), 26.11 (GI), 25.41 (GU) in the first order: 1, by facts A2. */
static void zero_points_are_those_of_the_throughputs(void **state)
{
  (void)state;
  static const struct {
    const char *band;
    double mag;
  } zero_points[] = {{"GU", 25.41}, {"GV", 26.23}, {"GI", 26.11}};
  static const char *const files[] = {"csst.yaml", "csst_mini.yaml"};
  for (int f = 0; f < 2; f++) {
    char *path = nsl_strf(TEST_SOURCE_DIR "/configs/instruments/%s", files[f]);
    nsl_instrument *inst = calloc(1, sizeof *inst);
    assert_ok(nsl_instrument_load(path, inst, &test_err));
    assert_int_equal(inst->n_detectors, f == 0 ? 12 : 2);
    assert_int_equal(inst->n_confs, f == 0 ? 6 : 4);
    assert_string_equal(inst->bands[inst->stamp_band[0]].name, "GV");
    for (int d = 0; d < inst->n_detectors; d++) {
      const nsl_detector *det = &inst->detectors[d];
      const nsl_band *band = &inst->bands[det->band];
      assert_int_equal(det->n_gratings, 2);
      assert_int_equal(nsl_detector_grating(det, 0.39 * (double)det->nx)->conf, det->gratings[0].conf);
      assert_int_equal(nsl_detector_grating(det, 0.41 * (double)det->nx)->conf, det->gratings[1].conf);
      for (int g = 0; g < 2; g++) {
        const nsl_trace_conf *conf = &inst->confs[det->gratings[g].conf];
        const nsl_sensitivity *s = &nsl_trace_conf_beam(conf, 'A')->sensitivity, *z = &nsl_trace_conf_beam(conf, 'B')->sensitivity;
        double rate = 0;
        for (double l = 2000; l < 11000; l += 2) { rate += 2 * nsl_sensitivity_at(s, l) * nsl_flat_fnu_flam(0, l); }
        for (int k = 0; k < 3; k++) {
          if (!strcmp(zero_points[k].band, band->name)) { assert_true(fabs(2.5 * log10(rate) - zero_points[k].mag) < 0.03); }
        }
        double middle = 0.5 * (band->lambda_min_a + band->lambda_max_a);
        assert_true(fabs(nsl_sensitivity_at(z, middle) / nsl_sensitivity_at(s, middle) - 0.1) < 1e-3);
      }
    }
    nsl_instrument_free(inst);
    free(inst);
    free(path);
  }
}

static void expect_failure(const char *dir, const char *conf, const char *expect)
{
  char *path = nsl_path_join(dir, "broken.yaml"), *conf_path = nsl_path_join(dir, "broken.conf");
  const char *text =
      "name: Toy\npixel_scale_arcsec: 0.074\ncollecting_area_cm2: 3e4\ndark_e_s: 0.02\nread_noise_e: 5\ngain_e_adu: 1\n"
      "saturation_e: 90000\ndq: {bad: [1], saturated: 8, cosmic: 16}\nstamp: [V, V]\nbands: [{name: V, lambda0_a: 3495, "
      "dlambda_a: 7, lambda_min_a: 3900, lambda_max_a: 6400, psf_ree80_arcsec: 0.19}]\ndetectors: [{id: 1, band: V, nx: "
      "100, ny: 100, offset_arcsec: [0, 0], gratings: [{columns: [0, 101], conf: broken.conf}]}]\n";
  assert_ok(nsl_write_file(path, text, strlen(text), &test_err));
  if (conf) { assert_ok(nsl_write_file(conf_path, conf, strlen(conf), &test_err)); }
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_error err = NSL_ERROR_INIT;
  nsl_status st = nsl_instrument_load(path, inst, &err);
  if (!expect) {
    if (st != NSL_OK) { fail_msg("%s", err.text); }
    assert_float_equal(nsl_sensitivity_at(&inst->confs[0].beams[0].sensitivity, 4500), 1.5e15, 1e3);
    nsl_instrument_free(inst);
  } else if (st == NSL_OK || !strstr(err.text, expect)) {
    fail_msg("expected '%s', got '%s'", expect, err.text);
  }
  free(inst);
  free(path);
  free(conf_path);
}

static void missing_pieces_are_named(void **state)
{
  (void)state;
  char *dir = toy_directory("load"), *table = nsl_path_join(dir, "s.dat");
  const char *conf = "BEAMA 0 400\nDISP_ORDER_A 1\nDLDP_A_0 3700\nDLDP_A_1 7\nSENSITIVITY_A s.dat\n";
  expect_failure(dir, NULL, "broken.conf");
  expect_failure(dir, "BEAMB 0 400\nDISP_ORDER_B 0\nDLDP_B_0 3700\n", "BEAMA is missing");
  expect_failure(dir, "BEAMA 0\n", "broken.conf:1: BEAMA must have two values");
  expect_failure(dir, conf, "s.dat");
  assert_ok(nsl_write_file(table, "# A, e-/s\n4000 1e15\n5000\n", 24, &test_err));
  expect_failure(dir, conf, "s.dat:3: expected two numbers");
  assert_ok(nsl_write_file(table, "5000 1e15\n4000 2e15\n", 20, &test_err));
  expect_failure(dir, conf, "wavelengths must increase");
  assert_ok(nsl_write_file(table, "# A, e-/s\n4000 1e15\n5000 2e15\n", 30, &test_err));
  expect_failure(dir, conf, NULL); /* two-column text is as good as FITS */
  assert_int_equal(toy_remove(dir), 0);
  free(table);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(zero_points_are_those_of_the_throughputs),
      cmocka_unit_test(missing_pieces_are_named),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
