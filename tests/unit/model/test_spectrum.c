/* The spectrum library: magnitudes, redshifted features, line fluxes, repeatability, diversity. */
#include "unit/test_support.h"

#include <math.h>
#include <time.h>

#include "noslit/model/spectrum.h"

static double flam[NSL_SPECTRUM_N], other[NSL_SPECTRUM_N];

static double at(const double *f, double lambda) { return f[(int)((lambda - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A + 0.5)]; }

static double mean(const double *f, double a, double b)
{
  double s = 0;
  int n = 0;
  for (double l = a; l < b; l += NSL_SPECTRUM_STEP_A, n++) { s += at(f, l); }
  return s / n;
}

static void test_magnitude_and_positive(void **state)
{
  (void)state;
  nsl_spectra *s;
  assert_ok(nsl_spectra_new(&s, &test_err));
  for (int kind = 0; kind <= NSL_KIND_STAR; kind++) {
    for (uint64_t id = 0; id < 50; id++) {
      nsl_sed_params p;
      nsl_sed_params_draw(3, id, (nsl_kind)kind, 0.02 + 0.03 * (double)id, &p);
      nsl_spectra_make(s, &p, 20.5, flam, NULL);
      assert_true(fabs(nsl_spectrum_mag(flam, NSL_MAG_BAND_MIN_A, NSL_MAG_BAND_MAX_A) - 20.5) < 1e-9);
      for (int i = 0; i < NSL_SPECTRUM_N; i++) { assert_true(isfinite(flam[i]) && flam[i] >= 0); }
    }
  }
  nsl_spectra_free(s);
}

static void test_same_id_same_spectrum(void **state)
{
  (void)state;
  nsl_spectra *s;
  nsl_sed_params p, q;
  assert_ok(nsl_spectra_new(&s, &test_err));
  nsl_sed_params_draw(3, 77, NSL_KIND_FIELD, 0.5, &p);
  nsl_sed_params_draw(3, 78, NSL_KIND_FIELD, 0.5, &q);
  nsl_spectra_make(s, &p, 20, flam, NULL);
  nsl_spectra_make(s, &q, 20, other, NULL);
  assert_memory_not_equal(flam, other, sizeof flam);
  nsl_sed_params_draw(3, 77, NSL_KIND_FIELD, 0.5, &q);
  nsl_spectra_make(s, &q, 20, other, NULL);
  assert_memory_equal(flam, other, sizeof flam);
  nsl_spectra_free(s);
}

/* The line fluxes of the truth are those in the spectrum, at (1 + z) times the rest wavelength. */
static void test_line_flux_and_place(void **state)
{
  (void)state;
  nsl_spectra *s;
  nsl_line_fluxes lines;
  assert_ok(nsl_spectra_new(&s, &test_err));
  for (uint64_t id = 0; id < 20; id++) {
    nsl_sed_params p;
    double z = 0.55 + 0.02 * (double)id, centre = 5008.24 * (1 + z);
    nsl_sed_params_draw(3, id, NSL_KIND_ELG, z, &p);
    nsl_spectra_make(s, &p, 21, flam, &lines);
    double side = 0.5 * (mean(flam, centre - 45, centre - 25) + mean(flam, centre + 25, centre + 45)), f = 0, m = 0;
    for (double l = centre - 24; l <= centre + 24; l += NSL_SPECTRUM_STEP_A) {
      double on = NSL_SPECTRUM_LAMBDA0_A + NSL_SPECTRUM_STEP_A * floor((l - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A + 0.5);
      f += (at(flam, l) - side) * NSL_SPECTRUM_STEP_A;
      m += (at(flam, l) - side) * NSL_SPECTRUM_STEP_A * on;
    }
    assert_true(fabs(f - lines.oiii5008) < 0.03 * lines.oiii5008 + 60 * side * 0.02);
    if (lines.oiii5008 > 50 * side) { assert_true(fabs(m / f - centre) < 1.5); }
    assert_true(lines.ha > 0 && lines.oii3728 > 0 && lines.hb < lines.ha);
  }
  nsl_spectra_free(s);
}

/* D4000 (3850-3950 over 4000-4100 A rest): red galaxies break, emission-line galaxies hardly. Vacuum Ca H and K are there. */
static void test_breaks(void **state)
{
  (void)state;
  nsl_spectra *s;
  assert_ok(nsl_spectra_new(&s, &test_err));
  double red = 0, blue = 0, z = 0.4, a = 1 + z;
  for (uint64_t id = 0; id < 40; id++) {
    nsl_sed_params p;
    nsl_sed_params_draw(9, id, NSL_KIND_RED, z, &p);
    nsl_spectra_make(s, &p, 20, flam, NULL);
    double ratio = mean(flam, 4000 * a, 4100 * a) / mean(flam, 3850 * a, 3950 * a) * (4050.0 * 4050) / (3900.0 * 3900);
    red += ratio / 40;
    if (p.fraction[0] > 0.9) {
      assert_true(at(flam, 3934.8 * a) < 0.75 * at(flam, 3915 * a));
      assert_true(at(flam, 3969.6 * a) < 0.75 * at(flam, 3995 * a));
      assert_true(mean(flam, 5160 * a, 5190 * a) < 0.95 * mean(flam, 5200 * a, 5240 * a));
    }
    nsl_sed_params_draw(9, id, NSL_KIND_ELG, z, &p);
    nsl_spectra_make(s, &p, 20, flam, NULL);
    blue += mean(flam, 4000 * a, 4100 * a) / mean(flam, 3850 * a, 3950 * a) * (4050.0 * 4050) / (3900.0 * 3900) / 40;
  }
  print_message("D4000: red %.2f, emission-line %.2f\n", red, blue);
  assert_true(red > 1.5 && red < 2.3);
  assert_true(blue > 0.95 && blue < 1.4);
  nsl_spectra_free(s);
}

static void test_speed(void **state)
{
  (void)state;
  nsl_spectra *s;
  assert_ok(nsl_spectra_new(&s, &test_err));
  clock_t begin = clock();
  for (uint64_t id = 0; id < 300; id++) {
    nsl_sed_params p;
    nsl_sed_params_draw(3, id, NSL_KIND_FIELD, 0.6, &p);
    nsl_spectra_make(s, &p, 20, flam, NULL);
  }
  print_message("%.3f ms per spectrum\n", 1e3 * (double)(clock() - begin) / CLOCKS_PER_SEC / 300);
  nsl_spectra_free(s);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_magnitude_and_positive),
      cmocka_unit_test(test_same_id_same_spectrum),
      cmocka_unit_test(test_line_flux_and_place),
      cmocka_unit_test(test_breaks),
      cmocka_unit_test(test_speed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
