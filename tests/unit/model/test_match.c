/* Matching against brute force, over the whole sky and at its difficult places. */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/base/rng.h"
#include "noslit/model/match.h"
#include "noslit/model/skytile.h"

static nsl_truth_row row_at(int64_t id, double ra, double dec)
{
  return (nsl_truth_row){.id = id, .z = 0.001 * (double)id, .ra_deg = ra, .dec_deg = dec};
}

static void test_by_id(void **state)
{
  (void)state;
  const int64_t ids[] = {39627640566453451, -5, 0, 7, 7, INT64_MAX};
  const nsl_truth_row rows[] = {row_at(7, 1, 1), row_at(8, 1, 1), row_at(-5, 2, 2), row_at(7, 9, 9), row_at(INT64_MAX, 0, 0)};
  nsl_matcher *m;
  nsl_match *matches;
  nsl_match_counts counts;
  size_t n;
  assert_ok(nsl_matcher_new_by_id(ids, 6, &m, &test_err));
  assert_ok(nsl_matcher_add(m, rows, 2, &test_err)); /* two blocks */
  assert_ok(nsl_matcher_add(m, rows + 2, 3, &test_err));
  assert_ok(nsl_matcher_result(m, &matches, &n, &counts, &test_err));
  assert_int_equal(n, 3);
  assert_int_equal(matches[0].source, 1);
  assert_int_equal(matches[1].source, 3);
  assert_true(matches[1].truth.ra_deg == 1); /* the first of two */
  assert_int_equal(matches[2].source, 5);
  assert_int_equal(counts.offered, 5);
  assert_int_equal(counts.matched, 3);
  assert_int_equal(counts.ambiguous, 1);
  assert_int_equal(counts.unmatched, 2);
  assert_int_equal(counts.duplicate_sources, 1);
  free(matches);
  nsl_matcher_free(m);
}

enum { SOURCES = 1500, ROWS = 1500 };

/* One-to-one nearest by brute force, row after row. */
static void brute_force(const double *ra, const double *dec, const nsl_truth_row *rows, double radius_deg, int *partner,
                        int *ambiguous)
{
  static double best[SOURCES];
  for (int i = 0; i < SOURCES; i++) { partner[i] = -1; }
  *ambiguous = 0;
  for (int t = 0; t < ROWS; t++) {
    int nearest = -1, within = 0;
    double distance = 0;
    for (int i = 0; i < SOURCES; i++) {
      double d = nsl_sky_distance_deg(ra[i], dec[i], rows[t].ra_deg, rows[t].dec_deg);
      if (d > radius_deg) { continue; }
      within++;
      if (nearest < 0 || d < distance) {
        nearest = i;
        distance = d;
      }
    }
    if (nearest < 0) { continue; }
    *ambiguous += within > 1 || partner[nearest] >= 0;
    if (partner[nearest] < 0 || distance < best[nearest]) {
      partner[nearest] = t;
      best[nearest] = distance;
    }
  }
}

/* Fields of a few radii across, so that pairs are dense: round both poles, across RA 0, and in the middle of nowhere. */
static void test_by_position_agrees_with_brute_force(void **state)
{
  (void)state;
  const double field[4][2] = {{0, 90}, {123, -89.995}, {0, 20}, {211, -60}};
  const double radius_arcsec = 20, spread_deg = 0.1;
  static double ra[SOURCES], dec[SOURCES];
  static nsl_truth_row rows[ROWS];
  static int partner[SOURCES];
  nsl_rng r = nsl_rng_make(3, NSL_RNG_TEST, 0, 0);
  for (int f = 0; f < 4; f++) {
    for (int i = 0; i < SOURCES + ROWS; i++) {
      double d = field[f][1] + spread_deg * nsl_rng_normal(&r),
             a = field[f][0] + spread_deg * nsl_rng_normal(&r) / cos(d * M_PI / 180);
      if (fabs(d) > 90) {
        d = copysign(180 - fabs(d), d);
        a += 180;
      }
      if (i < SOURCES) {
        ra[i] = a; /* also negative and above 360 */
        dec[i] = d;
      } else {
        rows[i - SOURCES] = row_at(i, a, d);
      }
    }
    int ambiguous;
    brute_force(ra, dec, rows, radius_arcsec / 3600, partner, &ambiguous);
    nsl_matcher *m;
    nsl_match *matches;
    nsl_match_counts counts;
    size_t n, k = 0;
    assert_ok(nsl_matcher_new_by_position(ra, dec, SOURCES, radius_arcsec, &m, &test_err));
    for (int t = 0; t < ROWS; t += 100) { assert_ok(nsl_matcher_add(m, rows + t, 100, &test_err)); }
    assert_ok(nsl_matcher_result(m, &matches, &n, &counts, &test_err));
    for (int i = 0; i < SOURCES; i++) {
      if (partner[i] < 0) { continue; }
      assert_true(k < n);
      assert_int_equal(matches[k].source, i);
      assert_int_equal(matches[k].truth.id, rows[partner[i]].id);
      double d = nsl_sky_distance_deg(ra[i], dec[i], rows[partner[i]].ra_deg, rows[partner[i]].dec_deg);
      assert_true(fabs(matches[k].separation_arcsec - 3600 * d) < 1e-9);
      k++;
    }
    assert_int_equal(n, k);
    assert_true(n > 100 && n < SOURCES);
    assert_int_equal(counts.ambiguous, ambiguous);
    free(matches);
    nsl_matcher_free(m);
  }
}

static void test_nothing_to_match(void **state)
{
  (void)state;
  nsl_matcher *m;
  nsl_match *matches;
  nsl_match_counts counts;
  size_t n;
  const double ra[2] = {NAN, 10}, dec[2] = {0, 10};
  const nsl_truth_row rows[2] = {row_at(1, 0, 0), row_at(2, NAN, NAN)};
  assert_ok(nsl_matcher_new_by_position(ra, dec, 2, 1, &m, &test_err));
  assert_ok(nsl_matcher_add(m, rows, 2, &test_err));
  assert_ok(nsl_matcher_result(m, &matches, &n, &counts, &test_err));
  assert_int_equal(n, 0);
  assert_int_equal(counts.unmatched, 2);
  free(matches);
  nsl_matcher_free(m);
  assert_ok(nsl_matcher_new_by_id(NULL, 0, &m, &test_err));
  assert_ok(nsl_matcher_add(m, rows, 2, &test_err));
  nsl_matcher_free(m);
  assert_int_equal(nsl_matcher_new_by_position(ra, dec, 2, -1, &m, &test_err), NSL_E_USAGE);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_by_id),
      cmocka_unit_test(test_by_position_agrees_with_brute_force),
      cmocka_unit_test(test_nothing_to_match),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
