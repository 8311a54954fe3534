/* The series against the library's logarithm, over all magnitudes that variances and uniforms take. */
#include <math.h>

#include "pipe/fast_ln.h"
#include "unit/test_support.h"

static void it_is_the_logarithm(void **state)
{
  (void)state;
  double worst = 0;
  for (double ln = -87; ln < 88; ln += 0.00137) {
    float u = (float)exp(ln);
    double exact = log((double)u), error = fabs((double)nsl_fast_ln(u) - exact) / fmax(1, fabs(exact));
    worst = fmax(worst, error);
  }
  if (!(worst < 1e-6)) { fail_msg("worst error %g", worst); }
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(it_is_the_logarithm)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
