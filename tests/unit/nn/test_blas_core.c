/* Which OpenBLAS kernels are taken instead of those that it chose. */
#include "nn_support.h"

#include "noslit/nn/blas.h"

static void test_old_kernels_are_replaced_by_what_the_processor_can(void **state)
{
  (void)state;
  assert_string_equal(nsl_blas_better_core("Prescott", NSL_BLAS_WIDEST), "SkylakeX");
  assert_string_equal(nsl_blas_better_core("Prescott", NSL_BLAS_AVX2), "Haswell");
  assert_string_equal(nsl_blas_better_core("Nehalem", NSL_BLAS_AVX2), "Haswell");
}

static void test_a_choice_that_fits_stands(void **state)
{
  (void)state;
  assert_null(nsl_blas_better_core("Prescott", NSL_BLAS_OLDER));
  assert_null(nsl_blas_better_core("Haswell", NSL_BLAS_WIDEST));
  assert_null(nsl_blas_better_core("Zen", NSL_BLAS_WIDEST));
  assert_null(nsl_blas_better_core("Cooperlake", NSL_BLAS_WIDEST));
  assert_null(nsl_blas_better_core("a core of the future", NSL_BLAS_AVX2));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_old_kernels_are_replaced_by_what_the_processor_can),
      cmocka_unit_test(test_a_choice_that_fits_stands),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
