#include "noslit/nn/blas.h"

#include <cblas.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

extern void openblas_set_num_threads(int n);

/* OpenBLAS says "OpenBLAS 0.3.21 NO_LAPACKE DYNAMIC_ARCH ...". */
const char *nsl_blas_version(void)
{
  static char version[32];
  if (!version[0] && sscanf(openblas_get_config(), "OpenBLAS %31s", version) != 1) { return "unknown"; }
  return version;
}

void nsl_sgemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
               float *c, int ldc)
{
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, alpha, a, lda, b, ldb, beta,
              c, ldc);
}

/* Deterministic numbers in [-1, 1) without a random stream: the check needs variety, not quality. */
static void fill(float *x, int n, unsigned seed)
{
  unsigned s = seed;
  for (int i = 0; i < n; i++) {
    s = s * 1664525u + 1013904223u;
    x[i] = (float)(s >> 8) * 0x1p-23f - 1.0f;
  }
}

/* Largest difference from the naive product over its rounding bound k * 2^-23 * sum |a||b|. */
static double worst_ratio(int ta, int tb, int m, int n, int k, const float *a, const float *b, const float *c0, const float *c)
{
  double worst = 0.0;
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) {
      double sum = 0.5 * (double)c0[i * n + j], size = fabs(sum);
      for (int l = 0; l < k; l++) {
        double p = (double)(ta ? a[l * m + i] : a[i * k + l]) * (double)(tb ? b[j * k + l] : b[l * n + j]);
        sum += p;
        size += fabs(p);
      }
      double ratio = fabs((double)c[i * n + j] - sum) / (size * (k + 4) * 0x1p-23 + 1e-30);
      if (!(ratio <= worst)) { worst = ratio; } /* a NaN is kept */
      if (isnan(worst)) { return worst; }
    }
  }
  return worst;
}

nsl_status nsl_blas_start(nsl_error *err)
{
  /* Small, odd, tall, wide, and the shapes of the built-in networks. */
  static const int shapes[][3] = {{1, 1, 1},      {1, 640, 33},   {2, 305, 32},  {3, 5, 7},     {16, 312, 80},
                                  {16, 312, 162}, {8, 305, 40},   {96, 96, 168}, {320, 96, 96}, {17, 33, 129},
                                  {128, 640, 33}, {64, 300, 147}, {130, 70, 300}};
  enum { LARGEST_A = 130 * 300, LARGEST_B = 300 * 300, LARGEST_C = 128 * 640 };
  nsl_status st = NSL_OK;
  openblas_set_num_threads(1);
  float *a = malloc(LARGEST_A * sizeof *a), *b = malloc(LARGEST_B * sizeof *b);
  float *c0 = malloc(LARGEST_C * sizeof *c0), *c = malloc(LARGEST_C * sizeof *c);
  if (!a || !b || !c || !c0) { NSL_THROW(err, NSL_E_NOMEM, "out of memory in the BLAS check"); }
  for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
    int m = shapes[s][0], n = shapes[s][1], k = shapes[s][2];
    fill(a, m * k, 1);
    fill(b, k * n, 2);
    fill(c0, m * n, 3);
    for (int t = 0; t < 4; t++) {
      int ta = t & 1, tb = t >> 1;
      for (int i = 0; i < m * n; i++) { c[i] = c0[i]; }
      nsl_sgemm(ta, tb, m, n, k, 1.0f, a, ta ? m : k, b, tb ? k : n, 0.5f, c, n);
      double ratio = worst_ratio(ta, tb, m, n, k, a, b, c0, c);
      if (!(ratio <= 1.0)) {
        NSL_THROW(
            err, NSL_E_NUMERIC,
            "OpenBLAS sgemm is wrong on this processor (core %s, %dx%dx%d, transposed %d %d, error %.3g times the bound); set "
            "OPENBLAS_CORETYPE=Haswell, or install a newer OpenBLAS",
            nsl_blas_core(), m, n, k, ta, tb, ratio);
      }
    }
  }
cleanup:
  free(a);
  free(b);
  free(c0);
  free(c);
  return st;
}
