/* World coordinates against numbers of astropy (made by make_wcs_numbers.py, which also works the TPV formula out by itself). */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/io/wcs.h"

static char cards[60 * 80 + 1];
static int n_cards;

static void add_card(const char *key, const char *value)
{
  char card[100];
  snprintf(card, sizeof card, "%-8.8s= %-70.70s", key, value);
  memcpy(cards + 80 * n_cards++, card, 80);
}

static void add_number(const char *key, double v)
{
  char value[40];
  snprintf(value, sizeof value, "%.17G", v);
  add_card(key, value);
}

static nsl_wcs *make(const char *kind, double ra, double dec, double x, double y, const double cd[4])
{
  char text[20];
  nsl_wcs *w;
  snprintf(text, sizeof text, "'RA---%s'", kind);
  add_card("CTYPE1", text);
  snprintf(text, sizeof text, "'DEC--%s'", kind);
  add_card("CTYPE2", text);
  add_card("RADESYS", "'ICRS    '");
  add_number("CRPIX1", x);
  add_number("CRPIX2", y);
  add_number("CRVAL1", ra);
  add_number("CRVAL2", dec);
  add_number("CD1_1", cd[0]);
  add_number("CD1_2", cd[1]);
  add_number("CD2_1", cd[2]);
  add_number("CD2_2", cd[3]);
  assert_ok(nsl_wcs_new(cards, n_cards, "x.fits", &w, &test_err));
  n_cards = 0;
  return w;
}

static const double csst_cd[4] = {-1.9e-5, 7.8e-6, 7.9e-6, 1.9e-5};
static const double pv1[] = {1e-4, 1.0002, -3e-4, 0.0, 2e-4, -1e-4, 3e-4}, pv2[] = {-2e-4, 0.9997, 2e-4, 0.0, -1e-4, 4e-4, 1e-4};

static nsl_wcs *make_csst(const char *kind)
{
  for (int i = 0; i < 7 && !strcmp(kind, "TPV"); i++) {
    char key[8];
    snprintf(key, sizeof key, "PV1_%d", i);
    add_number(key, pv1[i]);
    snprintf(key, sizeof key, "PV2_%d", i);
    add_number(key, pv2[i]);
  }
  return make(kind, 150.1, 2.2, 29758, -15644, csst_cd);
}

enum { N_POINTS = 6 };
static const double tpv[N_POINTS][4] = {
    {1, 1, 150.78822708972936, 2.261994444030322},
    {9216, 1, 150.61295277309077, 2.3347935435349445},
    {1, 9232, 150.86034751268278, 2.437352768569898},
    {9216, 9232, 150.6850661618524, 2.510149271252681},
    {4608.5, 4616.25, 150.73664368646465, 2.3860715420810656},
    {2000.125, 7000.75, 150.80488747290778, 2.410761890308814},
};
static const double tan_points[N_POINTS][4] = {
    {1, 1, 150.78791667694614, 2.2620117962729904},
    {9216, 1, 150.6127396230041, 2.33487955685245},
    {1, 9232, 150.86005245117562, 2.4373481299352893},
    {9216, 9232, 150.68486321425414, 2.5102285445265133},
    {4608.5, 4616.25, 150.73639279457387, 2.3861160203105864},
    {2000.125, 7000.75, 150.80461213383208, 2.4107799895182405},
};

static void check_points(const char *kind, const double points[N_POINTS][4])
{
  nsl_wcs *w = make_csst(kind);
  for (int i = 0; i < N_POINTS; i++) {
    double ra, dec, x, y;
    assert_ok(nsl_wcs_pixel_to_sky(w, 1, &points[i][0], &points[i][1], &ra, &dec, &test_err));
    assert_true(fabs(ra - points[i][2]) < 1e-10 && fabs(dec - points[i][3]) < 1e-10);
    assert_ok(nsl_wcs_sky_to_pixel(w, 1, &points[i][2], &points[i][3], &x, &y, &test_err));
    assert_true(fabs(x - points[i][0]) < 1e-6 && fabs(y - points[i][1]) < 1e-6);
  }
  nsl_wcs_free(w);
}

static void test_tpv_agrees_with_astropy(void **state)
{
  (void)state;
  check_points("TPV", tpv);
}

static void test_tan_agrees_with_astropy(void **state)
{
  (void)state;
  check_points("TAN", tan_points);
}

static void test_round_trip_of_many_points(void **state)
{
  (void)state;
  enum { N = 3000 };
  static double x[N], y[N], ra[N], dec[N], x2[N], y2[N];
  nsl_wcs *w = make_csst("TPV");
  for (int i = 0; i < N; i++) {
    x[i] = 1 + fmod(i * 7919.7, 9216);
    y[i] = 1 + fmod(i * 104.729, 9232);
  }
  assert_ok(nsl_wcs_pixel_to_sky(w, N, x, y, ra, dec, &test_err));
  assert_ok(nsl_wcs_sky_to_pixel(w, N, ra, dec, x2, y2, &test_err));
  for (int i = 0; i < N; i++) { assert_true(fabs(x2[i] - x[i]) < 1e-6 && fabs(y2[i] - y[i]) < 1e-6); }
  nsl_wcs_free(w);
}

static void test_points_that_cannot_be_projected(void **state)
{
  (void)state;
  const char *kinds[] = {"TAN", "TPV"};
  for (int i = 0; i < 2; i++) {
    nsl_wcs *w = make_csst(kinds[i]);
    double ra[] = {150.7, 330.1, NAN, 150.6, 10}, dec[] = {2.3, -2.2, 2.3, 2.4, INFINITY}, x[5], y[5];
    assert_ok(nsl_wcs_sky_to_pixel(w, 5, ra, dec, x, y, &test_err));
    assert_true(isfinite(x[0]) && isfinite(y[0]) && isfinite(x[3]) && isfinite(y[3]));
    assert_true(isnan(x[1]) && isnan(y[1]) && isnan(x[2]) && isnan(y[2]) && isnan(x[4]) && isnan(y[4]));
    double m[4];
    assert_int_equal(nsl_wcs_jacobian(w, 330.1, -2.2, m, &test_err), NSL_E_VALUE);
    nsl_wcs_free(w);
  }
}

static void test_jacobian(void **state)
{
  (void)state;
  const double scale = 0.074, cd[4] = {-scale / 3600, 0, 0, scale / 3600};
  const double decs[] = {0, 60, -89.9999, 89.99999};
  double m[4];
  for (int i = 0; i < 4; i++) {
    nsl_wcs *w = make("TAN", 10, decs[i], 100, 200, cd);
    assert_ok(nsl_wcs_jacobian(w, 10, decs[i], m, &test_err));
    const double want[4] = {-1 / scale, 0, 0, 1 / scale};
    for (int k = 0; k < 4; k++) { assert_true(fabs(m[k] - want[k]) < 1e-5); }
    nsl_wcs_free(w);
  }
  /* Against the other direction: the inverse of d(sky)/d(pixel), by differences of one pixel. */
  nsl_wcs *w = make_csst("TPV");
  double x[] = {4001, 3999, 4000, 4000, 4000}, y[] = {5000, 5000, 5001, 4999, 5000}, ra[5], dec[5];
  assert_ok(nsl_wcs_pixel_to_sky(w, 5, x, y, ra, dec, &test_err));
  double c = cos(dec[4] * M_PI / 180) * 1800;
  double a = (ra[0] - ra[1]) * c, b = (ra[2] - ra[3]) * c, e = (dec[0] - dec[1]) * 1800, f = (dec[2] - dec[3]) * 1800;
  double det = a * f - b * e;
  assert_ok(nsl_wcs_jacobian(w, ra[4], dec[4], m, &test_err));
  assert_true(fabs(m[0] - f / det) < 1e-4 && fabs(m[1] + b / det) < 1e-4);
  assert_true(fabs(m[2] + e / det) < 1e-4 && fabs(m[3] - a / det) < 1e-4);
  nsl_wcs_free(w);
}

static void refuse(const char *part)
{
  nsl_wcs *w;
  if (nsl_wcs_new(cards, n_cards, "x.fits", &w, &test_err) != NSL_E_FORMAT) { fail_msg("not refused: %s", part); }
  assert_non_null(strstr(test_err.text, "x.fits"));
  if (!strstr(test_err.text, part)) { fail_msg("%s", test_err.text); }
  n_cards = 0;
}

static void test_headers_that_are_refused(void **state)
{
  (void)state;
  refuse("no WCS");
  add_card("CTYPE1", "'WAVE    '");
  refuse("does not map");
  add_card("CTYPE1", "'GLON-TAN'");
  add_card("CTYPE2", "'GLAT-TAN'");
  refuse("does not map");
  add_card("CTYPE1", "'RA---TAN'");
  add_card("CTYPE2", "'DEC--TAN'");
  add_number("CD1_1", 1);
  add_number("CD1_2", 2);
  add_number("CD2_1", 2);
  add_number("CD2_2", 4);
  refuse("ingular");
  add_card("CTYPE1", "'RA---XYZ'");
  add_card("CTYPE2", "'DEC--XYZ'");
  refuse("invalid");
  add_card("CTYPE1", "'RA---TAN"); /* not closed: wcslib alone would write past a buffer */
  add_card("CTYPE2", "'DEC--TAN'");
  refuse("invalid");
  add_card("CTYPE1", "'RA---TAN'");
  add_card("CTYPE2", "'DEC--TAN'");
  add_card("RADESYS", "'FK4     '");
  refuse("FK4");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tpv_agrees_with_astropy),
      cmocka_unit_test(test_tan_agrees_with_astropy),
      cmocka_unit_test(test_round_trip_of_many_points),
      cmocka_unit_test(test_points_that_cannot_be_projected),
      cmocka_unit_test(test_jacobian),
      cmocka_unit_test(test_headers_that_are_refused),
  };
  return cmocka_run_group_tests_name("wcs", tests, NULL, NULL);
}
