/* The selection language: parsing, regions on the sphere, tiles touched. */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/base/rng.h"
#include "noslit/model/select.h"

static nsl_select *make(void)
{
  nsl_select *s;
  assert_ok(nsl_select_new(&s, &test_err));
  return s;
}

static void test_tiles_ranges_and_text(void **state)
{
  (void)state;
  nsl_select *s = make();
  assert_true(nsl_select_is_all(s));
  assert_ok(nsl_select_add(s, "--tiles", "12,40-44", &test_err));
  assert_ok(nsl_select_add(s, "--source", "-5,77", &test_err));
  assert_ok(nsl_select_add(s, "--force", NULL, &test_err));
  assert_false(nsl_select_is_all(s));
  const int yes[] = {12, 40, 42, 44}, no[] = {11, 13, 39, 45};
  for (int i = 0; i < 4; i++) {
    assert_true(nsl_select_tile(s, 8, yes[i]));
    assert_false(nsl_select_tile(s, 8, no[i]));
  }
  int part = 0;
  assert_int_equal(nsl_select_part(s, &part), 0);
  assert_ok(nsl_select_add(s, "--part", "3/16", &test_err));
  assert_int_equal(nsl_select_part(s, &part), 16);
  assert_int_equal(part, 3);
  char *text = nsl_select_text(s);
  assert_string_equal(text, "--tiles 12,40-44 --source -5,77 --force --part 3/16");
  free(text);
  nsl_select_free(s);
}

static void test_mistakes(void **state)
{
  (void)state;
  nsl_select *s = make();
  const char *const bad[][2] = {{"--tiles", "a"},           {"--tiles", "5-3"},   {"--cone", "1,2"},  {"--cone", "1,95,1"},
                                {"--box", "1,2,5,4"},       {"--polygon", "1,2"}, {"--source", "x"},  {"--tiles", ""},
                                {"--polygon", "1,2,3,4,5"}, {"--cone", "1,2,-1"}, {"--exposure", ""}, {"--part", "0/3"},
                                {"--part", "4/3"},          {"--part", "3"},      {"--part", "1/x"}};
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(nsl_select_add(s, bad[i][0], bad[i][1], &test_err), NSL_E_USAGE);
    assert_non_null(strstr(test_err.text, bad[i][0]));
  }
  nsl_select_free(s);
}

static void test_regions_cross_ra_zero(void **state)
{
  (void)state;
  nsl_select *s = make();
  assert_ok(nsl_select_add(s, "--box", "359,1,-1,1", &test_err));
  assert_true(nsl_select_position(s, 8, 0.5, 0));
  assert_true(nsl_select_position(s, 8, 359.5, 0.9));
  assert_false(nsl_select_position(s, 8, 180, 0));
  assert_false(nsl_select_position(s, 8, 0.5, 1.1));
  nsl_select_free(s);
  s = make();
  assert_ok(nsl_select_add(s, "--polygon", "359,-1,1,-1,0,1", &test_err));
  assert_true(nsl_select_position(s, 8, 0, 0));
  assert_false(nsl_select_position(s, 8, 0.9, 0.9));
  nsl_select_free(s);
}

/* Every position inside a region must lie in a tile that counts as touched. */
static void test_touched_tiles_lose_no_position(void **state)
{
  (void)state;
  const char *const regions[][2] = {
      {"--cone", "10,-3,0.4"}, {"--box", "9.5,10.7,-3.4,-2.9"}, {"--polygon", "9.5,-3.5,10.6,-3.4,10,-2.6"}};
  nsl_rng r = nsl_rng_make(3, NSL_RNG_TEST, 0, 0);
  for (size_t k = 0; k < 3; k++) {
    nsl_select *s = make();
    assert_ok(nsl_select_add(s, regions[k][0], regions[k][1], &test_err));
    int inside = 0;
    for (int i = 0; i < 4000; i++) {
      double ra = nsl_rng_range(&r, 9.3, 10.9), dec = nsl_rng_range(&r, -3.7, -2.4);
      int order = 5 + (int)nsl_rng_below(&r, 6);
      if (!nsl_select_position(s, order, ra, dec)) { continue; }
      inside++;
      assert_true(nsl_select_tile(s, order, nsl_tile_of(order, ra, dec)));
    }
    assert_true(inside > 300);
    assert_false(nsl_select_tile(s, 8, nsl_tile_of(8, 200, 50)));
    nsl_select_free(s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_tiles_ranges_and_text),
      cmocka_unit_test(test_mistakes),
      cmocka_unit_test(test_regions_cross_ra_zero),
      cmocka_unit_test(test_touched_tiles_lose_no_position),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
