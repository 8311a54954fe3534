/* Every kernel table that runs here against libm and plain loops in double precision. */
#include "nn_support.h"

#include "nn/kernels/kernels.h"

static void for_all_tables(void (*check)(const nsl_kernels *))
{
  for (int i = 0; nsl_kernels_at(i); i++) { check(nsl_kernels_at(i)); }
}

static void assert_close(const nsl_kernels *k, const char *what, double found, double want, double tolerance)
{
  if (!(fabs(found - want) <= tolerance)) { fail_msg("%s: %s is %.9g, not %.9g", k->name, what, found, want); }
}

/* From -12 to 12, and values far out. */
static float *spread(int n)
{
  float *x = malloc((size_t)n * sizeof *x);
  for (int i = 0; i < n; i++) { x[i] = (float)(-12.0 + 24.0 * i / (n - 1)); }
  x[0] = -1e4f;
  x[1] = 1e4f;
  x[2] = 0.0f;
  x[3] = 1e-20f;
  return x;
}

static double phi(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
static double density(double x) { return exp(-0.5 * x * x) / sqrt(2.0 * M_PI); }

static void check_activations(const nsl_kernels *k)
{
  enum { N = 100003 };
  float *x = spread(N), *y = malloc(N * sizeof *y), *ones = malloc(N * sizeof *ones);
  for (int i = 0; i < N; i++) { ones[i] = 1.0f; }
  k->gelu(N, x, y);
  for (int i = 4; i < N; i++) { assert_close(k, "gelu", (double)y[i], (double)x[i] * phi((double)x[i]), 1e-6); }
  assert_close(k, "gelu", (double)y[0], 0.0, 1e-30);
  assert_close(k, "gelu", (double)y[1], 1e4, 0.0);
  k->gelu_grad(N, x, ones, y);
  for (int i = 0; i < N; i++) {
    double t = (double)x[i];
    assert_close(k, "gelu'", (double)y[i], phi(t) + t * density(t), 1e-6);
  }
  k->asinh(N, 0.7f, x, y);
  for (int i = 0; i < N; i++) {
    double want = asinh((double)(0.7f * x[i]));
    assert_close(k, "asinh", (double)y[i], want, 6e-7 * fabs(want));
  }
  k->asinh_grad(N, 0.7f, x, ones, y);
  for (int i = 0; i < N; i++) {
    double t = (double)(0.7f * x[i]), want = (double)0.7f / sqrt(1.0 + t * t);
    assert_close(k, "asinh'", (double)y[i], want, 1e-6 * want);
  }
  k->relu(N, x, y);
  for (int i = 0; i < N; i++) { assert_true(y[i] == (x[i] > 0.0f ? x[i] : 0.0f)); }
  float sum = k->exp_sum(N - 4, 12.0f, x + 4, y);
  double total = 0.0;
  for (int i = 0; i < N - 4; i++) {
    double want = exp((double)(x[4 + i] - 12.0f));
    total += want;
    assert_close(k, "exp", (double)y[i], want, 4e-7 * want + 1e-11);
  }
  assert_close(k, "sum of exp", (double)sum, total, 1e-5 * total);
  free(x);
  free(y);
  free(ones);
}

/* A value's bits are the same wherever it stands and however long the array is. */
static void check_place_independence(const nsl_kernels *k)
{
  float *x = random_tensor(1, 67), whole[67], part[67];
  k->gelu(67, x, whole);
  for (size_t from = 0; from < 67; from += 5) {
    for (size_t n = 1; from + n <= 67; n += 7) {
      k->gelu(n, x + from, part);
      assert_memory_equal(part, whole + from, n * sizeof(float));
    }
  }
  free(x);
}

static void check_sums(const nsl_kernels *k)
{
  for (int n = 1; n < 90; n += 3) {
    float *x = random_tensor(2, (size_t)n), *y = random_tensor(3, (size_t)n), *z = malloc((size_t)n * sizeof *z), s0, s1;
    double sum = 0, dot = 0, square = 0, pair = 0, sum_y = 0;
    for (int i = 0; i < n; i++) {
      double a = (double)x[i], b = (double)y[i];
      sum += a;
      dot += a * b;
      square += (a - 0.25) * (a - 0.25);
      sum_y += b;
      pair += b * (a - 0.25);
    }
    assert_close(k, "sum", (double)k->sum((size_t)n, x), sum, 2e-5);
    assert_close(k, "dot", (double)k->dot((size_t)n, x, y), dot, 2e-5);
    assert_close(k, "sum_squares", (double)k->sum_squares((size_t)n, 0.25f, x), square, 1e-4);
    k->sum_pair((size_t)n, 0.25f, x, y, &s0, &s1);
    assert_close(k, "sum_pair", (double)s0, sum_y, 2e-5);
    assert_close(k, "sum_pair", (double)s1, pair, 2e-5);
    k->combine((size_t)n, 2.0f, x, -3.0f, y, 0.5f, z);
    for (int i = 0; i < n; i++) { assert_close(k, "combine", (double)z[i], 2.0 * (double)x[i] - 3.0 * (double)y[i] + 0.5, 2e-6); }
    k->affine((size_t)n, -2.0f, 0.5f, x, z);
    for (int i = 0; i < n; i++) { assert_close(k, "affine", (double)z[i], -2.0 * (double)x[i] + 0.5, 1e-6); }
    free(x);
    free(y);
    free(z);
  }
}

/* Rows of products; a row's bits are the same with any number of rows beside it. */
static void check_dots(const nsl_kernels *k)
{
  for (int n = 1; n < 60; n += 7) {
    for (int rows = 1; rows < 40; rows += 6) {
      float *w = random_tensor(4, (size_t)(rows * n)), *x = random_tensor(5, (size_t)n), y[41], alone;
      y[rows] = 3.0f;
      k->dots((size_t)n, rows, w, x, y);
      assert_true(y[rows] == 3.0f);
      for (int r = 0; r < rows; r++) {
        double want = 0.0;
        for (int i = 0; i < n; i++) { want += (double)w[r * n + i] * (double)x[i]; }
        assert_close(k, "dots", (double)y[r], want, 2e-5);
        k->dots((size_t)n, 1, w + r * n, x, &alone);
        assert_memory_equal(&alone, y + r, sizeof alone);
      }
      free(w);
      free(x);
    }
  }
}

static void test_activations(void **state)
{
  (void)state;
  for_all_tables(check_activations);
}

static void test_place_independence(void **state)
{
  (void)state;
  for_all_tables(check_place_independence);
}

static void test_sums(void **state)
{
  (void)state;
  for_all_tables(check_sums);
  for_all_tables(check_dots);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_activations),
      cmocka_unit_test(test_place_independence),
      cmocka_unit_test(test_sums),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
