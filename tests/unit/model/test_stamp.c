/* What is measured on a stamp, with numbers worked out by hand. */
#include <math.h>

#include "noslit/model/flags.h"
#include "noslit/model/instrument.h"
#include "noslit/model/stamp.h"
#include "unit/test_support.h"

static void box_is_27_rows_about_the_trace(void **state)
{
  (void)state;
  double sum = 0, moment = 0;
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    sum += nsl_stamp_box_weight(y);
    moment += nsl_stamp_box_weight(y) * (y - NSL_STAMP_YC);
  }
  assert_float_equal(sum, 27, 1e-12);
  assert_float_equal(moment, 0, 1e-12);
}

static void set_row(float *plane, int x0, int x1, float value)
{
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    for (int x = x0; x < x1; x++) { plane[y * NSL_STAMP_NX + x] = value; }
  }
}

static void snr_is_the_mean_over_columns_with_data(void **state)
{
  (void)state;
  nsl_stamp_set set;
  assert_true(nsl_stamp_set_alloc(&set, 2));
  nsl_stamp *s = &set.stamps[1];
  /* columns 0..9: no data; 10..19: F = 27 x 2, sigma = sqrt(27 x 3); 20..29: negative, counts as 0; 30..39: contaminated by half */
  set_row(s->flux, 10, 20, 2);
  set_row(s->flux, 20, 30, -2);
  set_row(s->flux, 30, 40, 2);
  set_row(s->contamination, 30, 40, 1);
  set_row(s->variance, 10, 40, 3);
  double one = 54 / 9.0;
  assert_float_equal(nsl_stamp_snr(s->flux, s->variance, s->contamination, 0, 40), (one + 0.5 * one) / 3, 1e-5);
  assert_float_equal(nsl_stamp_snr(s->flux, s->variance, NULL, 0, 40), 2 * one / 3, 1e-5);
  assert_float_equal(nsl_stamp_snr(s->flux, s->variance, s->contamination, 0, 10), 0, 0);
  assert_float_equal(nsl_stamp_coverage(s->variance, 0, 40), 0.75, 1e-6);
  /* light 540 - 540 + 540, contamination 270 */
  assert_float_equal(nsl_stamp_contamination(s->flux, s->variance, s->contamination, 0, 40), 0.5, 1e-5);
  /* no net light: the neighbours' 270 against the noise sqrt(27 x 3 x 30) = 49 is all light there is */
  set_row(s->flux, 30, 40, 0);
  assert_float_equal(nsl_stamp_contamination(s->flux, s->variance, s->contamination, 0, 40), 1, 1e-5);
  /* neighbours far below the noise are no contamination to speak of */
  set_row(s->contamination, 30, 40, 0.01f);
  assert_float_equal(nsl_stamp_contamination(s->flux, s->variance, s->contamination, 0, 40), 2.7 / 49.295, 1e-4);
  nsl_stamp_set_clear(&set);
  assert_true(set.n == 0 && s->flux[10] == 0 && s->flux == set.flux + NSL_STAMP_PIXELS);
  nsl_stamp_set_free(&set);
}

static void slots_have_their_own_flags(void **state)
{
  (void)state;
  nsl_stamp_band_info none = {0}, part = {.n_exp = 1, .coverage = 0.89f}, whole = {.n_exp = 1, .coverage = 0.9f};
  assert_int_equal(nsl_stamp_slot_flags(&none, 0), NSL_FLAG_NO_GV);
  assert_int_equal(nsl_stamp_slot_flags(&none, 1), NSL_FLAG_NO_GI);
  assert_int_equal(nsl_stamp_slot_flags(&part, 0), NSL_FLAG_PARTIAL_GV);
  assert_int_equal(nsl_stamp_slot_flags(&part, 1), NSL_FLAG_PARTIAL_GI);
  assert_int_equal(nsl_stamp_slot_flags(&whole, 1), 0);
}

static void band_columns_lie_inside_the_range(void **state)
{
  (void)state;
  nsl_band gv = {.lambda0_a = 3494.76, .dlambda_a = 7.12, .lambda_min_a = 3900, .lambda_max_a = 6400};
  int x0, x1;
  nsl_band_columns(&gv, NSL_STAMP_NX, &x0, &x1);
  assert_true(gv.lambda0_a + x0 * gv.dlambda_a >= 3900 && gv.lambda0_a + (x0 - 1) * gv.dlambda_a < 3900);
  assert_true(gv.lambda0_a + (x1 - 1) * gv.dlambda_a <= 6400 && gv.lambda0_a + x1 * gv.dlambda_a > 6400);
  gv.lambda_min_a = 100;
  gv.lambda_max_a = 1e5;
  nsl_band_columns(&gv, NSL_STAMP_NX, &x0, &x1);
  assert_true(x0 == 0 && x1 == NSL_STAMP_NX);
  gv.lambda_max_a = 200;
  nsl_band_columns(&gv, NSL_STAMP_NX, &x0, &x1);
  assert_int_equal(x1 - x0, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(box_is_27_rows_about_the_trace),
      cmocka_unit_test(snr_is_the_mean_over_columns_with_data),
      cmocka_unit_test(slots_have_their_own_flags),
      cmocka_unit_test(band_columns_lie_inside_the_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
