/* The spectrum library: magnitudes, redshifted features, line fluxes, repeatability, diversity. */
#include "unit/test_support.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "model/fast_exp.h"
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

static int compare(const void *a, const void *b)
{
  double d = *(const double *)a - *(const double *)b;
  return d < 0 ? -1 : d > 0;
}

static double quantile(double *v, int n, double q)
{
  qsort(v, (size_t)n, sizeof *v, compare);
  return v[(int)(q * (n - 1))];
}

/* Equivalent width of absorption between a and b against the mean of two windows, rest frame. */
static double index_a(double z, double a, double b, const double side[4])
{
  double f = 1 + z, c = 0.5 * (mean(flam, side[0] * f, side[1] * f) + mean(flam, side[2] * f, side[3] * f));
  return (1 - mean(flam, a * f, b * f) / c) * (b - a);
}

/* Medians of red galaxies lie between those of DESI's LRG templates and of the Kinney-Calzetti ellipticals, measured with the same
 * windows at R = 250 (Mg b 3.2 and 5.9 A, Na D 1.9 and 4.6, D4000 1.78 and 2.02, F_lambda 5500/4200 1.54 and 1.72, 3500/4200 0.57
 * and 0.43), with a margin for the resolution. */
static void test_red_galaxies_are_like_real_ones(void **state)
{
  (void)state;
  enum { N = 200 };
  static double mg[N], na[N], d4[N], colour[N], uv[N];
  const double mg_side[4] = {5105, 5145, 5205, 5240}, na_side[4] = {5840, 5870, 5915, 5950}, z = 0.5, a = 1 + z;
  nsl_spectra *s;
  assert_ok(nsl_spectra_new(&s, &test_err));
  for (int i = 0; i < N; i++) {
    nsl_sed_params p;
    nsl_sed_params_draw(21, (uint64_t)i, NSL_KIND_RED, z, &p);
    nsl_spectra_make(s, &p, 20, flam, NULL);
    mg[i] = index_a(z, 5150, 5200, mg_side);
    na[i] = index_a(z, 5875, 5911, na_side);
    d4[i] = mean(flam, 4000 * a, 4100 * a) / mean(flam, 3850 * a, 3950 * a) * (4050.0 * 4050) / (3900.0 * 3900);
    colour[i] = mean(flam, 5450 * a, 5550 * a) / mean(flam, 4200 * a, 4250 * a);
    uv[i] = mean(flam, 3500 * a, 3560 * a) / mean(flam, 4200 * a, 4250 * a);
  }
  print_message("red: Mg b %.2f, Na D %.2f, D4000 %.2f, 5500/4200 %.2f, 3500/4200 %.2f\n", quantile(mg, N, 0.5),
                quantile(na, N, 0.5), quantile(d4, N, 0.5), quantile(colour, N, 0.5), quantile(uv, N, 0.5));
  assert_true(quantile(mg, N, 0.5) > 3.0 && quantile(mg, N, 0.5) < 6.0 && quantile(mg, N, 0.9) / quantile(mg, N, 0.1) > 1.4);
  assert_true(quantile(na, N, 0.5) > 1.7 && quantile(na, N, 0.5) < 4.6);
  assert_true(quantile(d4, N, 0.5) > 1.65 && quantile(d4, N, 0.5) < 2.05);
  assert_true(quantile(colour, N, 0.5) > 1.35 && quantile(colour, N, 0.5) < 1.8);
  assert_true(quantile(uv, N, 0.5) > 0.38 && quantile(uv, N, 0.5) < 0.6);
  nsl_spectra_free(s);
}

/* Line ratios of star-forming galaxies (two field ones to an emission-line one) have the medians and spreads of the mixture that
 * desisim fitted to real galaxies, log over H beta: [OIII] 0.19 (-0.92..0.76), [OII] 0.33 (-0.21..0.61), [NII] -0.36 (-1.41..0.09),
 * [SII]6718 -0.25 (-0.86..0.04); equivalent widths of H alpha spread over more than a decade. */
static void test_lines_are_like_real_ones(void **state)
{
  (void)state;
  enum { N = 600 };
  static double ratio[4][N], ew[N];
  const double median[4] = {0.19, 0.33, -0.36, -0.25}, width[4] = {0.77, 0.32, 0.74, 0.34}; /* width: 25 % to 75 % */
  const char *const name[4] = {"[OIII]", "[OII]", "[NII]", "[SII]"};
  for (int i = 0; i < N; i++) {
    nsl_sed_params p;
    nsl_sed_params_draw(22, (uint64_t)i, i % 3 ? NSL_KIND_FIELD : NSL_KIND_ELG, 0.5, &p);
    const double flux[4] = {p.line[14], p.line[2] + p.line[3], p.line[19], p.line[22]};
    for (int k = 0; k < 4; k++) { ratio[k][i] = log10(flux[k] / p.line[12]); }
    ew[i] = p.ew_ha_a;
  }
  for (int k = 0; k < 4; k++) {
    double middle = quantile(ratio[k], N, 0.5), spread = quantile(ratio[k], N, 0.75) - quantile(ratio[k], N, 0.25);
    print_message("%s/Hb: median %.2f, half of them within %.2f\n", name[k], middle, spread);
    assert_true(fabs(middle - median[k]) < 0.20);
    assert_true(spread > 0.45 * width[k] && spread < 1.5 * width[k]);
  }
  print_message("EW of H alpha: %.1f %.1f %.1f\n", quantile(ew, N, 0.05), quantile(ew, N, 0.5), quantile(ew, N, 0.95));
  assert_true(quantile(ew, N, 0.5) > 20 && quantile(ew, N, 0.5) < 60);
  assert_true(quantile(ew, N, 0.05) < 5 && quantile(ew, N, 0.95) > 120);
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

/* The library remembers starlight between calls: what was asked before must not be seen in any bit. */
static void test_earlier_calls_do_not_matter(void **state)
{
  (void)state;
  static const nsl_kind kinds[] = {NSL_KIND_FIELD, NSL_KIND_FIELD, NSL_KIND_RED, NSL_KIND_STAR, NSL_KIND_QUASAR, NSL_KIND_FIELD};
  nsl_spectra *used, *fresh;
  assert_ok(nsl_spectra_new(&used, &test_err));
  for (int k = 0; k < 6; k++) {
    for (int step = 0; step < 9; step++) {
      nsl_sed_params p;
      nsl_sed_params_draw(3, (uint64_t)(k % 5), kinds[k], 0.5, &p);
      if (kinds[k] != NSL_KIND_STAR) { p.z = 0.05 + 0.211 * ((5 * step) % 9); }
      assert_ok(nsl_spectra_new(&fresh, &test_err));
      nsl_spectra_make(used, &p, 20, flam, NULL);
      nsl_spectra_make(fresh, &p, 20, other, NULL);
      assert_memory_equal(flam, other, sizeof flam);
      nsl_spectra_free(fresh);
    }
  }
  nsl_spectra_free(used);
}

static void test_fast_exp(void **state)
{
  (void)state;
  double worst = 0;
  for (double x = -79.99; x < 80; x += 0.0137) {
    double exact = exp((double)(float)x);
    worst = fmax(worst, fabs((double)nsl_fast_exp((float)x) / exact - 1));
  }
  print_message("exp: relative error %.1e\n", worst);
  assert_true(worst < 3e-7);
  assert_true(nsl_fast_exp(0) == 1 && nsl_fast_exp(-0.0f) == 1);
  assert_true(nsl_fast_exp(-81) == nsl_fast_exp(-80) && nsl_fast_exp(-INFINITY) == nsl_fast_exp(-80)); /* clamped */
  assert_true(nsl_fast_exp(81) == nsl_fast_exp(80) && nsl_fast_exp(INFINITY) == nsl_fast_exp(80));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_magnitude_and_positive),
      cmocka_unit_test(test_fast_exp),
      cmocka_unit_test(test_same_id_same_spectrum),
      cmocka_unit_test(test_earlier_calls_do_not_matter),
      cmocka_unit_test(test_line_flux_and_place),
      cmocka_unit_test(test_breaks),
      cmocka_unit_test(test_red_galaxies_are_like_real_ones),
      cmocka_unit_test(test_lines_are_like_real_ones),
      cmocka_unit_test(test_speed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
