/* What noslit needs of OpenBLAS, and the check that its kernels are right on this processor (old versions pick wrong ones on
 * new processors). One thread always. Local. */
#ifndef NOSLIT_NN_BLAS_H
#define NOSLIT_NN_BLAS_H

#include "noslit/base/status.h"

/* Sets one thread and compares sgemm with a naive product on shapes the network uses. NSL_E_NUMERIC names the core and the
 * remedy (OPENBLAS_CORETYPE). Call once at start-up. */
nsl_status nsl_blas_start(nsl_error *err);
/* Name of the kernel set in use ("SkylakeX"), for provenance. noslit's own vector kernels follow it, so that OPENBLAS_CORETYPE pins
 * all arithmetic of the nn layer. */
const char *nsl_blas_core(void);
/* Release of OpenBLAS ("0.3.21"), for provenance. */
const char *nsl_blas_version(void);
/* c[m][n] = alpha a[m][k] b[k][n] + beta c, row-major; ta, tb: the matrix is stored transposed. */
void nsl_sgemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
               float *c, int ldc);

#endif
