/* Conf files and traces: coefficients by hand, path length by brute force, inversion by identity. */
#include <math.h>

#include "noslit/base/fsio.h"
#include "noslit/base/rng.h"
#include "noslit/base/str.h"
#include "noslit/model/trace.h"
#include "unit/test_support.h"

static const char *const small_conf = "# an aXe file\n"
                                      "INSTRUMENT CSST ; ignored\n"
                                      "SCIENCE_EXT SCI\n"
                                      "BEAMA 10 300\n"
                                      "MMAG_EXTRACT_A 30\n"
                                      "XOFF_A 1.5\n"
                                      "YOFF_A 2 0.001 -0.002   # three terms\n"
                                      "DYDX_ORDER_A 1\n"
                                      "DYDX_A_0 0.25\r\n"
                                      "DYDX_A_1 0.01 1e-6 2e-6 3e-9 4e-9 5e-9\n"
                                      "DISP_ORDER_A 2\n"
                                      "DLDP_A_0 3700\n"
                                      "DLDP_A_1 7 1e-5 -1e-5\n"
                                      "DLDP_A_2 0.0001\n"
                                      "SENSITIVITY_A a.fits\n"
                                      "\tBEAMB -205 -200\n"
                                      "XOFF_B -202\n"
                                      "DISP_ORDER_B 0\n"
                                      "DLDP_B_0 5000\n"
                                      "SENSITIVITY_B None";

static void field_dependence_is_a0_a1x_a2y_a3xx_a4xy_a5yy(void **state)
{
  (void)state;
  nsl_trace_conf conf;
  assert_ok(nsl_trace_conf_parse(small_conf, "small.conf", &conf, &test_err));
  assert_int_equal(conf.n_beams, 2);
  const nsl_beam *a = nsl_trace_conf_beam(&conf, 'A');
  assert_non_null(a);
  assert_null(nsl_trace_conf_beam(&conf, 'C'));
  assert_string_equal(a->sensitivity_file, "a.fits");
  assert_string_equal(nsl_trace_conf_beam(&conf, 'B')->sensitivity_file, "");

  nsl_trace t;
  double x = 100, y = 50;
  nsl_trace_at(a, x, y, &t);
  assert_float_equal(t.x0, 101.5, 1e-12);
  assert_float_equal(t.y0, 50 + 2 + 0.1 - 0.1, 1e-12);
  assert_float_equal(t.dx_min, 10 - 1.5, 1e-12); /* BEAM counts from the direct position, dx from x + XOFF */
  assert_float_equal(t.dx_max, 300 - 1.5, 1e-12);
  double slope = 0.01 + 1e-4 + 1e-4 + 3e-9 * 1e4 + 4e-9 * 5e3 + 5e-9 * 2500;
  assert_float_equal(nsl_trace_slope(&t, 77), slope, 1e-14);
  assert_float_equal(nsl_trace_dy(&t, 20), 0.25 + 20 * slope, 1e-12);
  double path = 20 * sqrt(1 + slope * slope), d1 = 7 + 1e-3 - 5e-4;
  assert_float_equal(nsl_trace_path(&t, 20), path, 1e-12);
  assert_float_equal(nsl_trace_lambda(&t, 20), 3700 + d1 * path + 1e-4 * path * path, 1e-9);
  nsl_trace_conf_free(&conf);
}

static void path_of_a_curved_trace_agrees_with_small_steps(void **state)
{
  (void)state;
  nsl_trace t = {.n_dydx = 3, .dydx = {1, 0.02, 4e-4}};
  for (int sign = -1; sign <= 1; sign += 2) {
    double sum = 0, px = 0, py = nsl_trace_dy(&t, 0);
    for (int i = 1; i <= 200000; i++) {
      double x = sign * 400.0 * i / 200000, y = nsl_trace_dy(&t, x);
      sum += hypot(x - px, y - py);
      px = x;
      py = y;
    }
    assert_float_equal(nsl_trace_path(&t, sign * 400.0), sign * sum, 1e-6);
  }
}

static void inversion_is_the_identity(void **state)
{
  (void)state;
  nsl_rng rng = nsl_rng_make(1, NSL_RNG_TEST, 2, 3);
  for (int k = 0; k < 400; k++) {
    double side = k % 2 ? 1 : -1;
    nsl_trace t = {.dx_min = side > 0 ? -90 : -450, .dx_max = side > 0 ? 450 : 90, .n_dydx = 1 + k % 3, .n_dldp = 2 + k % 2};
    t.dydx[0] = nsl_rng_range(&rng, -1, 1);
    t.dydx[1] = nsl_rng_range(&rng, -0.03, 0.03);
    t.dydx[2] = nsl_rng_range(&rng, -1e-4, 1e-4);
    t.dldp[0] = 7000;
    t.dldp[1] = side * nsl_rng_range(&rng, 4, 9);
    t.dldp[2] = nsl_rng_range(&rng, -3e-4, 3e-4);
    double dx = nsl_rng_range(&rng, t.dx_min, t.dx_max), back = 0;
    double lambda = nsl_trace_lambda(&t, dx);
    assert_int_equal(nsl_trace_dx_of_lambda(&t, lambda, &back), 1);
    assert_float_equal(back, dx, 1e-7);
    double h = 1e-3, numeric = (nsl_trace_lambda(&t, dx + h) - nsl_trace_lambda(&t, dx - h)) / (2 * h);
    assert_float_equal(nsl_trace_dlambda(&t, dx), numeric, 1e-5);
    assert_true(side * nsl_trace_dlambda(&t, dx) > 0); /* a reversed grating has a negative dispersion */
    assert_int_equal(nsl_trace_dx_of_lambda(&t, nsl_trace_lambda(&t, t.dx_max + 2), &back), 0);
    assert_int_equal(nsl_trace_dx_of_lambda(&t, NAN, &back), 0);
  }
}

static void a_solution_that_turns_round_has_no_inverse(void **state)
{
  (void)state;
  nsl_trace t = {.dx_min = -100, .dx_max = 120, .n_dldp = 3, .dldp = {5000, 0, 0.1}};
  double dx;
  assert_int_equal(nsl_trace_dx_of_lambda(&t, 5500, &dx), 0);
}

static void errors_name_the_line(void **state)
{
  (void)state;
  static const struct {
    const char *text, *expect;
  } cases[] = {
      {"BEAMA 10\n", "bad.conf:1: BEAMA must have two values"},
      {"\nBEAMA 10 x\n", "bad.conf:2: BEAMA: 'x' is not a number"},
      {"BEAMA 10 5\n", "bad.conf:1: BEAMA: dx_min is larger"},
      {"BEAMA 1 5\nXOFF_A 1 2\n", "bad.conf:2: XOFF_A has 2 values"},
      {"BEAMA 1 5\nDLDP_A_0 1 2 3 4 5 6 7 8 9 10\n", "bad.conf:2: DLDP_A_0 has 10 values"},
      {"BEAMA 1 5\nDLDP_A_0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n", "bad.conf:2: DLDP_A_0 has 15 values"},
      {"BEAMA 1 5\nDISP_ORDER_A 1\nDLDP_A_0 1\n", "bad.conf:2: DISP_ORDER_A promises DLDP_A_1"},
      {"BEAMA 1 5\nDISP_ORDER_A -1\n", "bad.conf:2: DISP_ORDER_A must be one whole number"},
      {"BEAMA 1 5\nDLDP_A_9 1\n", "bad.conf:2: DLDP_A_9: coefficients are numbered 0 to 5"},
      {"BEAMA 1 5\n", "bad.conf:1: beam A has no DISP_ORDER_A"},
      {"# x\nDISP_ORDER_C 0\nDLDP_C_0 1\n", "bad.conf:2: beam C has no BEAMC line"},
      {"SENSITIVITY_A\n", "bad.conf:1: SENSITIVITY_A must name one file"},
      {"just text\n", "bad.conf: no BEAM line"},
      {"", "bad.conf: no BEAM line"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nsl_trace_conf conf;
    nsl_error err = NSL_ERROR_INIT;
    assert_int_equal(nsl_trace_conf_parse(cases[i].text, "bad.conf", &conf, &err), NSL_E_FORMAT);
    if (strncmp(err.text, cases[i].expect, strlen(cases[i].expect)) != 0) {
      fail_msg("expected '%s', got '%s'", cases[i].expect, err.text);
    }
  }
}

static void sensitivity_is_linear_inside_and_zero_outside(void **state)
{
  (void)state;
  double lambda[] = {4000, 4100, 4300}, value[] = {1, 3, 2};
  nsl_sensitivity s = {.n = 3, .lambda_a = lambda, .value = value};
  assert_float_equal(nsl_sensitivity_at(&s, 4000), 1, 1e-12);
  assert_float_equal(nsl_sensitivity_at(&s, 4025), 1.5, 1e-12);
  assert_float_equal(nsl_sensitivity_at(&s, 4200), 2.5, 1e-12);
  assert_float_equal(nsl_sensitivity_at(&s, 4300), 2, 1e-12);
  assert_true(nsl_sensitivity_at(&s, 3999.9) == 0 && nsl_sensitivity_at(&s, 4300.1) == 0 && nsl_sensitivity_at(&s, NAN) == 0);
}

/* The shipped confs: all parse; the first order covers the band everywhere on the detector; both sides run in opposite directions.
 */
static void shipped_gratings_cover_their_bands(void **state)
{
  (void)state;
  static const struct {
    const char *band;
    double lambda_min, lambda_max, dispersion;
  } bands[] = {{"GU", 2550, 4100, 5.18}, {"GV", 3900, 6400, 7.12}, {"GI", 6250, 10000, 8.53}};
  for (size_t b = 0; b < 3; b++) {
    for (int side = 1; side >= -1; side -= 2) {
      char *path = nsl_strf(TEST_SOURCE_DIR "/configs/instruments/csst/%s_%c.conf", bands[b].band, side > 0 ? 'L' : 'R'), *text;
      size_t n;
      nsl_trace_conf conf;
      assert_ok(nsl_read_file(path, 1 << 20, &text, &n, &test_err));
      assert_ok(nsl_trace_conf_parse(text, path, &conf, &test_err));
      assert_int_equal(conf.n_beams, 4);
      for (int k = 0; k < 9; k++) {
        nsl_trace t;
        double x = 4608 * (k % 3), y = 4616 * (k / 3), dx0, dx1, dx2;
        nsl_trace_at(nsl_trace_conf_beam(&conf, 'A'), x, y, &t);
        assert_int_equal(nsl_trace_dx_of_lambda(&t, bands[b].lambda_min, &dx0), 1);
        assert_int_equal(nsl_trace_dx_of_lambda(&t, bands[b].lambda_max, &dx1), 1);
        assert_true(side * (dx1 - dx0) > 0);
        assert_true(fabs(side * nsl_trace_dlambda(&t, 0.5 * (dx0 + dx1)) / bands[b].dispersion - 1) < 0.02);
        assert_true(fabs(nsl_trace_slope(&t, dx0)) > 0.012 && fabs(nsl_trace_slope(&t, dx0)) < 0.023);
        /* the other orders hold the band's middle too, the second at twice the dispersion */
        double middle = 0.5 * (bands[b].lambda_min + bands[b].lambda_max);
        for (const char *other = "CD"; *other; other++) {
          nsl_trace_at(nsl_trace_conf_beam(&conf, *other), x, y, &t);
          assert_int_equal(nsl_trace_dx_of_lambda(&t, middle, &dx2), 1);
          double expect = side * bands[b].dispersion * (*other == 'C' ? 0.5 : -1);
          assert_true(fabs(nsl_trace_dlambda(&t, dx2) / expect - 1) < 0.06);
        }
        nsl_trace_at(nsl_trace_conf_beam(&conf, 'B'), x, y, &t);
        assert_true(side * (t.x0 - x) < -400); /* order 0 on the side of the short wavelengths */
        assert_true(t.dx_max - t.dx_min < 6);
      }
      nsl_trace_conf_free(&conf);
      free(text);
      free(path);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(field_dependence_is_a0_a1x_a2y_a3xx_a4xy_a5yy),
      cmocka_unit_test(path_of_a_curved_trace_agrees_with_small_steps),
      cmocka_unit_test(inversion_is_the_identity),
      cmocka_unit_test(a_solution_that_turns_round_has_no_inverse),
      cmocka_unit_test(errors_name_the_line),
      cmocka_unit_test(sensitivity_is_linear_inside_and_zero_outside),
      cmocka_unit_test(shipped_gratings_cover_their_bands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
