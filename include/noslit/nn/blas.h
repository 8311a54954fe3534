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

/* How wide vectors are: of a kernel set, of a processor. noslit's own kernel tables have these numbers. */
typedef enum { NSL_BLAS_OLDER /* than AVX2 */, NSL_BLAS_AVX2, NSL_BLAS_WIDEST } nsl_blas_vectors;
nsl_blas_vectors nsl_blas_vectors_of(const char *core);
nsl_blas_vectors nsl_blas_processor(void);
/* The core to ask for when OpenBLAS chose `core` on such a processor; NULL if its choice stands. */
const char *nsl_blas_better_core(const char *core, nsl_blas_vectors processor);
/* OpenBLAS chooses when it is loaded, and on a processor that is newer than itself it takes kernels of 2004 (0.3.21, "Prescott", on
 * an Emerald Rapids: everything at half the speed). Starts the program again, with argv and OPENBLAS_CORETYPE, where there is a
 * better core and the user has not set one. Call before anything else, MPI above all; returns where nothing is to be done. */
void nsl_blas_restart_with_better_core(char **argv);
/* Release of OpenBLAS ("0.3.21"), for provenance. */
const char *nsl_blas_version(void);
/* c[m][n] = alpha a[m][k] b[k][n] + beta c, row-major; ta, tb: the matrix is stored transposed. */
void nsl_sgemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
               float *c, int ldc);

#endif
