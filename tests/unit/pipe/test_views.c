/* Rectification and combination against views whose light is known by formula. */
#include <string.h>

#include "noslit/model/flags.h"
#include "unit/pipe/view_support.h"
#include "unit/test_support.h"

static const nsl_view_settings settings = {.reject_sigma = 5, .sky_rows = 12};

static void assert_near(double value, double expect, double tolerance, const char *what)
{
  if (!(fabs(value - expect) <= tolerance)) { fail_msg("%s: %g, expected %g +- %g", what, value, expect, tolerance); }
}

/* Both directions, tilts, dithers: a line comes out at its column, on the trace's row, with its flux; alone and combined. */
static void lines_land_on_their_columns(void **state)
{
  (void)state;
  static const double lambdas[] = {6563, 8003.7, 9400};
  fake_stamp *stamp = malloc(sizeof *stamp);
  fake_view views[6];
  for (int v = 0; v < 6; v++) {
    double tilt = v % 2 ? -0.02 : 0.0175;
    views[v] =
        fake_view_new(v % 2 ? -1 : 1, 500.2 + 0.37 * v, 120.7 + 0.29 * v, tilt, 8.53 * (1 + 0.01 * (v - 2)), 150, 5, &settings);
    for (int l = 0; l < 3; l++) { fake_line(&views[v], views[v].sci, lambdas[l], 2000, 1.5, 0); }
  }
  for (int first = 0; first <= 6; first++) { /* each alone, then all */
    int n = first < 6 ? 1 : 6;
    assert_ok(fake_combine(&views[first % 6], n, &settings, stamp, &test_err));
    assert_int_equal(stamp->info.n_exp, n);
    assert_near(stamp->info.exptime_s, 150.0 * n, 1e-3, "exposure time");
    for (int l = 0; l < 3; l++) {
      double cx, cy, sum = spot(stamp->flux, column_of(lambdas[l]), NSL_STAMP_YC, 9, &cx, &cy);
      assert_near(sum, 2000.0 * n, 20.0 * n, "flux");
      assert_near(cx, column_of(lambdas[l]), 0.1, "column");
      assert_near(cy, NSL_STAMP_YC, 0.1, "row");
    }
  }
  for (int v = 0; v < 6; v++) { fake_view_free(&views[v]); }
  free(stamp);
}

/* What lies above the trace of a forward grating and below that of a reversed one (a rotation by 180 degrees) coincides. */
static void reversed_gratings_are_turned_not_mirrored(void **state)
{
  (void)state;
  fake_stamp *stamp = malloc(sizeof *stamp);
  for (int direction = 1; direction >= -1; direction -= 2) {
    fake_view v = fake_view_new(direction, 500.4, 120.7, 0.0175 * direction, 8.5, 150, 5, &settings);
    fake_line(&v, v.sci, 8000, 1000, 1.5, 6 * direction);
    assert_ok(fake_combine(&v, 1, &settings, stamp, &test_err));
    double cx, cy;
    spot(stamp->flux, column_of(8000), NSL_STAMP_YC + 6, 9, &cx, &cy);
    assert_near(cy, NSL_STAMP_YC + 6, 0.1, "row");
    fake_view_free(&v);
  }
  free(stamp);
}

/* The scatter of box sums over many noise fields is what the variance plane says. masked: fraction of bad pixels. */
static double variance_ratio(double masked, int trials)
{
  const nsl_view_settings no_sky = {.reject_sigma = 100, .sky_rows = 0};
  enum { BOX = 60, FIRST = 20, BOXES = 7 };
  double squares = 0, stated = 0;
  fake_stamp *stamp = malloc(sizeof *stamp);
  nsl_rng rng = nsl_rng_make(5, NSL_RNG_TEST, 1, (uint64_t)(masked * 1000));
  for (int t = 0; t < trials; t++) {
    fake_view views[3];
    for (int v = 0; v < 3; v++) {
      int direction = v == 1 ? -1 : 1;
      views[v] = fake_view_new(direction, 500 + nsl_rng_uniform(&rng), 120 + nsl_rng_uniform(&rng), 0.0175 * direction,
                               nsl_rng_range(&rng, 8.35, 8.7), 150, v == 2 ? 9 : 6, &no_sky);
      fake_noise(&views[v], (uint64_t)t, (uint64_t)v);
      for (long i = 0; i < (long)views[v].view.w * views[v].view.h; i++) { views[v].dq[i] = nsl_rng_uniform(&rng) < masked; }
    }
    assert_ok(fake_combine(views, 3, &no_sky, stamp, &test_err));
    for (int b = 0; b < BOXES; b++) {
      double sum = 0, var = 0;
      for (int y = 0; y < NSL_STAMP_NY; y++) {
        for (int x = FIRST + b * BOX; x < FIRST + (b + 1) * BOX; x++) {
          sum += stamp->flux[y * NSL_STAMP_NX + x];
          var += stamp->variance[y * NSL_STAMP_NX + x];
        }
      }
      squares += sum * sum;
      stated += var;
    }
    for (int v = 0; v < 3; v++) { fake_view_free(&views[v]); }
  }
  free(stamp);
  return squares / stated;
}

static void box_sums_have_the_stated_variance(void **state)
{
  (void)state;
  assert_near(variance_ratio(0, 250), 1, 0.05, "true over stated variance");
  assert_near(variance_ratio(0.03, 250), 1, 0.06, "true over stated variance, 3 % masked");
}

static void cosmic_rays_go_and_lines_stay(void **state)
{
  (void)state;
  fake_view views[4];
  fake_stamp *hit = malloc(sizeof *hit), *clean = malloc(sizeof *clean);
  for (int v = 0; v < 4; v++) {
    int direction = v % 2 ? -1 : 1;
    views[v] = fake_view_new(direction, 500.1 + 0.31 * v, 120.9 + 0.23 * v, 0.0175 * direction, 8.53, 150, 7, &settings);
    fake_line(&views[v], views[v].sci, 8000, 40000, 1.45, 0); /* a peak of 3000 electrons a pixel */
    fake_line(&views[v], views[v].sci, 9000, 500, 1.45, 0);
    fake_noise(&views[v], 77, (uint64_t)v);
  }
  assert_ok(fake_combine(views, 4, &settings, clean, &test_err));
  double cx, cy;
  assert_near(spot(clean->flux, column_of(8000), NSL_STAMP_YC, 8, &cx, &cy), 160000, 1600, "bright line");
  /* every detector pixel of the line's core is used: the variance there is that of four exposures */
  size_t peak = 19 * NSL_STAMP_NX + (size_t)lround(column_of(8000)), beside = peak + 60;
  assert_near(clean->variance[peak] / clean->variance[beside], 1, 0.1, "variance at the line's peak");

  views[1].sci[fake_pixel(&views[1], 7000, 0, 2)] += 300; /* on the continuum's row */
  views[2].sci[fake_pixel(&views[2], 7500, 0, -8)] += 5000;
  views[2].sci[fake_pixel(&views[2], 7500, 1, -8)] += 2500;
  views[0].sci[fake_pixel(&views[0], 9000, 1, 1)] += 900; /* on the faint line */
  assert_ok(fake_combine(views, 4, &settings, hit, &test_err));
  static const struct {
    double lambda;
    int row;
  } places[] = {{7000, 2}, {7500, -8}, {9000, 0}};
  for (int p = 0; p < 3; p++) {
    /* view 1 is turned, so row +2 becomes -2; the boxes are wide enough for both */
    double box_hit = spot(hit->flux, column_of(places[p].lambda), NSL_STAMP_YC + places[p].row, 5, &cx, &cy);
    double box_clean = spot(clean->flux, column_of(places[p].lambda), NSL_STAMP_YC + places[p].row, 5, &cx, &cy);
    double sigma = 14 * 11; /* of the box of 121 pixels */
    assert_near(box_hit, box_clean, 0.5 * sigma, "box with a cosmic ray");
  }
  assert_int_equal(hit->flags & NSL_FLAG_FEW_EXPOSURES, 0);
  for (int v = 0; v < 4; v++) { fake_view_free(&views[v]); }
  free(hit);
  free(clean);
}

/* Between two views only a strong excess is taken out; with one nothing can be. */
static void two_views_are_judged_with_caution(void **state)
{
  (void)state;
  fake_view views[2];
  fake_stamp *stamp = malloc(sizeof *stamp);
  for (int v = 0; v < 2; v++) {
    views[v] = fake_view_new(1, 500.1 + 0.5 * v, 120.9 + 0.5 * v, 0.0175, 8.53, 150, 7, &settings);
    fake_line(&views[v], views[v].sci, 8000, 40000, 1.45, 0);
    fake_noise(&views[v], 78, (uint64_t)v);
  }
  views[1].sci[fake_pixel(&views[1], 7000, 0, 2)] += 3000;
  double cx, cy;
  assert_ok(fake_combine(views, 2, &settings, stamp, &test_err));
  assert_near(spot(stamp->flux, column_of(7000), NSL_STAMP_YC, 5, &cx, &cy), 0, 3 * 110, "box with a cosmic ray");
  assert_near(spot(stamp->flux, column_of(8000), NSL_STAMP_YC, 8, &cx, &cy), 80000, 800, "line in two views");
  assert_int_equal(stamp->flags & NSL_FLAG_FEW_EXPOSURES, 0);
  assert_ok(fake_combine(&views[1], 1, &settings, stamp, &test_err));
  assert_true(spot(stamp->flux, column_of(7000), NSL_STAMP_YC, 5, &cx, &cy) > 2500);
  assert_true(stamp->flags & NSL_FLAG_FEW_EXPOSURES);
  assert_ok(fake_combine(views, 0, &settings, stamp, &test_err));
  assert_true(stamp->info.n_exp == 0 && stamp->info.coverage == 0 && stamp->flux[1000] == 0 && stamp->variance[1000] == 0);
  for (int v = 0; v < 2; v++) { fake_view_free(&views[v]); }
  free(stamp);
}

/* Flux and variance of a stamp from one view. Without a local sky, which depends on every pixel. */
static void combine_alone(const fake_view *v, fake_stamp *stamp)
{
  static const nsl_view_settings no_sky = {.reject_sigma = 5, .sky_rows = 0};
  assert_ok(fake_combine(v, 1, &no_sky, stamp, &test_err));
}

/* A part of a view, w x h pixels from (x, y) on. */
static fake_view cut_view(const fake_view *v, int x, int y, int w, int h)
{
  fake_view part = *v;
  size_t n = (size_t)w * (size_t)h;
  part.view.x0 += x;
  part.view.y0 += y;
  part.view.w = w;
  part.view.h = h;
  part.view.sci = part.sci = malloc(n * sizeof *part.sci);
  part.view.err = part.err = malloc(n * sizeof *part.err);
  part.view.dq = part.dq = calloc(n, sizeof *part.dq);
  part.view.neighbours = part.neighbours = calloc(n, sizeof *part.neighbours);
  for (int j = 0; j < h; j++) {
    size_t from = (size_t)(y + j) * (size_t)v->view.w + (size_t)x, to = (size_t)j * (size_t)w;
    memcpy(part.sci + to, v->sci + from, (size_t)w * sizeof *part.sci);
    memcpy(part.err + to, v->err + from, (size_t)w * sizeof *part.err);
  }
  return part;
}

/* What is not in the window is as what is bad: a small window, of any size, and a large one that is bad outside it agree. */
static void windows_may_have_any_size(void **state)
{
  (void)state;
  static const int sizes[][2] = {{3, 3}, {5, 40}, {7, 9}, {8, 8}, {9, 17}, {100, 5}, {16, 61}, {333, 62}, {17, 23}};
  fake_stamp *small = malloc(sizeof *small), *large = malloc(sizeof *large);
  for (size_t k = 0; k < 2 * sizeof sizes / sizeof *sizes; k++) {
    int w = sizes[k / 2][0], h = sizes[k / 2][1], x = 71;
    fake_view all = fake_view_new(k % 2 ? -1 : 1, 500.3, 120.4, 0.0175, 8.53, 150, 6, &settings);
    int y = (all.view.h - h) / 2;
    fake_noise(&all, 83, k);
    fake_view part = cut_view(&all, x, y, w, h);
    for (int j = 0; j < all.view.h; j++) {
      for (int i = 0; i < all.view.w; i++) {
        int outside = i < x || i >= x + w || j < y || j >= y + h;
        all.dq[(size_t)j * (size_t)all.view.w + (size_t)i] = outside ? 1 : 0;
      }
    }
    combine_alone(&part, small);
    combine_alone(&all, large);
    int seen = 0;
    for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
      assert_near((double)small->flux[i], (double)large->flux[i], 1e-4, "flux");
      assert_near((double)small->variance[i], (double)large->variance[i], 1e-5 * (double)large->variance[i], "variance");
      seen += small->variance[i] > 0;
    }
    assert_true(seen > w * h / 2);
    part.view.neighbours = NULL; /* is the same as none */
    combine_alone(&part, large);
    assert_memory_equal(small->flux, large->flux, sizeof small->flux);
    assert_memory_equal(small->variance, large->variance, sizeof small->variance);
    fake_view_free(&part);
    fake_view_free(&all);
  }
  free(small);
  free(large);
}

/* One bad pixel changes the few stamp pixels that lie on it, and not a bit of the others. */
static void bad_pixels_change_nothing_else(void **state)
{
  (void)state;
  fake_stamp *with = malloc(sizeof *with), *without = malloc(sizeof *without);
  for (int direction = 1; direction >= -1; direction -= 2) {
    fake_view v = fake_view_new(direction, 500.1, 120.9, 0.0175, 8.53, 150, 7, &settings);
    fake_noise(&v, 84, 0);
    combine_alone(&v, without);
    v.dq[fake_pixel(&v, 7500, 0, 3)] = 1;
    combine_alone(&v, with);
    int changed = 0;
    for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
      changed += memcmp(&with->flux[i], &without->flux[i], sizeof(float)) != 0;
      double away = fabs((double)(i % NSL_STAMP_NX) - column_of(7500));
      assert_true(away < 2 || memcmp(&with->variance[i], &without->variance[i], sizeof(float)) == 0);
    }
    assert_in_range(changed, 1, 6);
    fake_view_free(&v);
  }
  free(with);
  free(without);
}

static void bad_pixels_are_no_data(void **state)
{
  (void)state;
  fake_stamp *stamp = malloc(sizeof *stamp);
  fake_view v = fake_view_new(1, 500.1, 120.9, 0.0175, 8.53, 150, 7, &settings);
  fake_noise(&v, 79, 0);
  int column = (int)(fake_pixel(&v, 8000, 0, 0) % (size_t)v.view.w);
  for (int y = 0; y < v.view.h; y++) {
    for (int x = -2; x <= 2; x++) {
      size_t i = (size_t)y * (size_t)v.view.w + (size_t)(column + x);
      v.sci[i] = x == 0 ? NAN : 1e6f;
      v.err[i] = x == 1 ? 0 : x == 2 ? NAN : v.err[i];
      v.dq[i] = x < 0 ? 1 : 0;
    }
  }
  v.sci[fake_pixel(&v, 7000, 0, 0)] = INFINITY; /* one pixel alone is filled in from its neighbours, or has no data */
  assert_ok(fake_combine(&v, 1, &settings, stamp, &test_err));
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    assert_true(isfinite(stamp->flux[i]) && isfinite(stamp->variance[i]) && fabsf(stamp->flux[i]) < 100);
    assert_true(stamp->variance[i] > 0 || stamp->flux[i] == 0);
  }
  int x = (int)lround(column_of(8000));
  for (int y = 0; y < NSL_STAMP_NY; y++) { assert_true(stamp->variance[y * NSL_STAMP_NX + x] == 0); }
  assert_true(isfinite(stamp->info.snr) && stamp->info.coverage > 0.97 && stamp->info.coverage < 1);
  assert_int_equal(stamp->flags & (NSL_FLAG_MANY_BAD | NSL_FLAG_SATURATED), 0);
  /* a third of the rows bad, one pixel saturated */
  for (int y = 0; y < v.view.h; y += 3) {
    for (int c = 0; c < v.view.w; c++) { v.dq[(size_t)y * (size_t)v.view.w + (size_t)c] = 1; }
  }
  v.dq[fake_pixel(&v, 7500, 0, 1)] = 8;
  assert_ok(fake_combine(&v, 1, &settings, stamp, &test_err));
  assert_true((stamp->flags & NSL_FLAG_MANY_BAD) && (stamp->flags & NSL_FLAG_SATURATED));
  /* nothing but NaN: not an exposure of this source */
  for (long i = 0; i < (long)v.view.w * v.view.h; i++) { v.sci[i] = NAN; }
  assert_ok(fake_combine(&v, 1, &settings, stamp, &test_err));
  assert_int_equal(stamp->info.n_exp, 0);
  fake_view_free(&v);
  free(stamp);
}

/* A flat sky goes, with a bright neighbour's known light on the sky rows and on the stamp. */
static void sky_is_subtracted_and_neighbours_are_not(void **state)
{
  (void)state;
  fake_stamp *stamp = malloc(sizeof *stamp);
  fake_view views[2];
  for (int k = 0; k < 2; k++) {
    views[k] = fake_view_new(k ? -1 : 1, 500.1, 120.9, 0.0175, 8.53, 100 + 100 * k, 7, &settings);
    fake_view *v = &views[k];
    for (int l = 0; l < 80; l++) {
      fake_line(v, v->neighbours, 7000 + 20 * l, 3000, 3, 26);
      fake_line(v, v->neighbours, 7000 + 20 * l, 300, 3, 4);
    }
    for (long i = 0; i < (long)v->view.w * v->view.h; i++) { v->sci[i] = 45 + 1.0f * v->neighbours[i]; }
    fake_noise(v, 80, (uint64_t)k);
  }
  double cx, cy;
  assert_ok(fake_combine(views, 2, &settings, stamp, &test_err));
  double clean = 0;
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    for (int x = 20; x < 60; x++) { clean += stamp->flux[y * NSL_STAMP_NX + x] / 1600; }
  }
  assert_near(clean, 0, 1.2, "mean of the empty part"); /* 90 electrons of sky; its noise and the sky's: 0.3 each */
  double light = spot(stamp->flux, column_of(8000), NSL_STAMP_YC, 15, &cx, &cy);
  double expected = spot(stamp->contamination, column_of(8000), NSL_STAMP_YC, 15, &cx, &cy);
  assert_true(expected > 4000);
  assert_near(light, expected, 3 * 31 * 10 + 961 * 1.0, "neighbours' light stays and is told");
  assert_true(stamp->flags & NSL_FLAG_CONTAMINATED);
  assert_near(stamp->info.exptime_s, 300, 1e-3, "exposure time");
  for (int k = 0; k < 2; k++) { fake_view_free(&views[k]); }
  free(stamp);
}

static void frames_edges_cut_spectra(void **state)
{
  (void)state;
  fake_stamp *stamp = malloc(sizeof *stamp);
  long x0, y0, w, h;
  fake_view v = fake_view_new(1, -100.3, 120.9, 0.0175, 8.53, 150, 7, &settings);
  assert_ok(fake_combine(&v, 1, &settings, stamp, &test_err));
  assert_true(stamp->info.coverage > 0.5 && stamp->info.coverage < 0.7);
  nsl_trace t = v.view.trace;
  fake_view_free(&v);
  assert_int_equal(nsl_view_window(&t, &fake_band, &settings, FRAME_NX, FRAME_NY, &x0, &y0, &w, &h), 1);
  assert_true(x0 == 0 && y0 >= 0 && x0 + w <= FRAME_NX && y0 + h <= FRAME_NY && h >= 40 + 24 && h < 90);
  t.x0 = -500;
  assert_int_equal(nsl_view_window(&t, &fake_band, &settings, FRAME_NX, FRAME_NY, &x0, &y0, &w, &h), 0);
  t.x0 = 500;
  t.y0 = -40; /* only sky rows would be on the frame */
  assert_int_equal(nsl_view_window(&t, &fake_band, &settings, FRAME_NX, FRAME_NY, &x0, &y0, &w, &h), 0);
  t.y0 = FRAME_NY + 5;
  assert_int_equal(nsl_view_window(&t, &fake_band, &settings, FRAME_NX, FRAME_NY, &x0, &y0, &w, &h), 1);
  assert_true(y0 + h == FRAME_NY);
  t.y0 = NAN;
  assert_int_equal(nsl_view_window(&t, &fake_band, &settings, FRAME_NX, FRAME_NY, &x0, &y0, &w, &h), 0);
  free(stamp);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_land_on_their_columns),
      cmocka_unit_test(reversed_gratings_are_turned_not_mirrored),
      cmocka_unit_test(box_sums_have_the_stated_variance),
      cmocka_unit_test(cosmic_rays_go_and_lines_stay),
      cmocka_unit_test(two_views_are_judged_with_caution),
      cmocka_unit_test(bad_pixels_are_no_data),
      cmocka_unit_test(bad_pixels_change_nothing_else),
      cmocka_unit_test(windows_may_have_any_size),
      cmocka_unit_test(sky_is_subtracted_and_neighbours_are_not),
      cmocka_unit_test(frames_edges_cut_spectra),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
