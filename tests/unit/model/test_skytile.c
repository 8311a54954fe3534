#include "unit/test_support.h"

#include <math.h>

#include "noslit/base/rng.h"
#include "noslit/model/skytile.h"

#define DEG (M_PI / 180.0)

static void random_position(nsl_rng *r, double *ra, double *dec)
{
  *ra = nsl_rng_range(r, 0, 360);
  *dec = asin(nsl_rng_range(r, -1, 1)) / DEG;
}

/* A point at this distance and bearing from (ra, dec). */
static void step(double ra, double dec, double distance, double bearing, double *ra2, double *dec2)
{
  double d = distance * DEG, s = sin(dec * DEG) * cos(d) + cos(dec * DEG) * sin(d) * cos(bearing);
  *dec2 = asin(s > 1 ? 1 : s < -1 ? -1 : s) / DEG;
  *ra2 = ra + atan2(sin(bearing) * sin(d) * cos(dec * DEG), cos(d) - sin(dec * DEG) * s) / DEG;
}

static void known_tiles(void **state)
{
  (void)state;
  /* Base pixels: 4 is centred on (0, 0), 0 on (45, 41.8), 8 on (45, -41.8). */
  assert_int_equal(nsl_tile_of(0, 0, 0), 4);
  assert_int_equal(nsl_tile_of(0, 360, 0), 4);
  assert_int_equal(nsl_tile_of(0, -1, 0), 4);
  assert_int_equal(nsl_tile_of(0, 45, 45), 0);
  assert_int_equal(nsl_tile_of(0, 45, -45), 8);
  assert_int_equal(nsl_tile_count(0), 12);
  assert_int_equal(nsl_tile_count(7), 196608);
  char path[96];
  nsl_tile_path(7, 123456, path, sizeof path);
  assert_string_equal(path, "Norder=7/Dir=120000/Npix=123456");
}

static void a_tile_holds_its_centre_and_lies_in_its_radius(void **state)
{
  (void)state;
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 0, 0);
  for (int order = 0; order <= NSL_TILE_ORDER_MAX; order++) {
    double radius = nsl_tile_radius_deg(order), largest = 0;
    for (int i = 0; i < 3000; i++) {
      double ra, dec, ra0, dec0;
      random_position(&r, &ra, &dec);
      if (i < 1000) { dec = (i % 2 ? 1 : -1) * asin(2.0 / 3.0) / DEG + nsl_rng_range(&r, -1, 1) * radius; }
      nsl_tile_id t = nsl_tile_of(order, ra, dec);
      assert_in_range(t, 0, nsl_tile_count(order) - 1);
      nsl_tile_centre(order, t, &ra0, &dec0);
      assert_int_equal(nsl_tile_of(order, ra0, dec0), t);
      double d = nsl_sky_distance_deg(ra, dec, ra0, dec0);
      assert_true(d <= radius);
      largest = fmax(largest, d);
    }
    assert_true(largest > 0.85 * radius); /* the bound is tight enough to be of use */
  }
}

static int has(const nsl_tile_id *tiles, size_t n, nsl_tile_id t)
{
  for (size_t i = 0; i < n; i++) {
    if (tiles[i] == t) { return 1; }
  }
  return 0;
}

static void discs_miss_no_tile(void **state)
{
  (void)state;
  nsl_rng r = nsl_rng_make(2, NSL_RNG_TEST, 0, 0);
  for (int trial = 0; trial < 300; trial++) {
    int order = (int)nsl_rng_below(&r, 13);
    double ra, dec, radius = nsl_tile_radius_deg(order) * pow(10, nsl_rng_range(&r, -3, 1));
    random_position(&r, &ra, &dec);
    if (trial % 10 == 0) { dec = trial % 20 ? 90 : -90; }
    if (radius > 170) { radius = 170; }
    nsl_tile_id *tiles;
    size_t n;
    assert_ok(nsl_tiles_in_disc(order, ra, dec, radius, &tiles, &n, &test_err));
    for (size_t i = 1; i < n; i++) { assert_true(tiles[i] > tiles[i - 1]); }
    for (int i = 0; i < 200; i++) {
      double ra2, dec2;
      step(ra, dec, radius * (i % 2 ? 1.0 : sqrt(nsl_rng_uniform(&r))), nsl_rng_range(&r, 0, 2 * M_PI), &ra2, &dec2);
      assert_true(has(tiles, n, nsl_tile_of(order, ra2, dec2)));
    }
    /* And not many too many: only tiles whose circle the disc touches. */
    for (size_t i = 0; i < n; i++) {
      double ra0, dec0;
      nsl_tile_centre(order, tiles[i], &ra0, &dec0);
      assert_true(nsl_sky_distance_deg(ra, dec, ra0, dec0) <= radius + nsl_tile_radius_deg(order) + 1e-6);
    }
    free(tiles);
  }
}

static void distances(void **state)
{
  (void)state;
  assert_true(fabs(nsl_sky_distance_deg(0, 0, 90, 0) - 90) < 1e-12);
  assert_true(fabs(nsl_sky_distance_deg(10, 90, 200, -90) - 180) < 1e-6);
  assert_true(fabs(nsl_sky_distance_deg(359.9999, 60, 0.0001, 60) - 0.0001) < 1e-9);
  assert_true(fabs(nsl_sky_distance_deg(150, 2, 150, 2 + 1e-7) - 1e-7) < 1e-13);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(known_tiles),
      cmocka_unit_test(a_tile_holds_its_centre_and_lies_in_its_radius),
      cmocka_unit_test(discs_miss_no_tile),
      cmocka_unit_test(distances),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
