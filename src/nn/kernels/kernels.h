/* The vector loops of the engine behind one table, so that a net picks what the processor can do when it is made. The same
 * source (kernels_body.h) is compiled once for any processor and once for each x86 instruction set; the tests hold all of
 * them against plain C in double precision. Private. */
#ifndef NOSLIT_SRC_NN_KERNELS_H
#define NOSLIT_SRC_NN_KERNELS_H

#include <stddef.h>

enum { NSL_LANES = 16 }; /* batch elements side by side in the FFT kernels */

/* A complex FFT of length n by Stockham's method; radices 4, 2, 3, 5. twiddle holds, stage after stage, exp(-2 pi i p k / len). */
enum { NSL_FFT_STAGES_MAX = 24 };
typedef struct {
  int n, stages, radix[NSL_FFT_STAGES_MAX];
  float *twiddle;
} nsl_fft;

typedef struct nsl_kernels {
  const char *name;
  /* Elementwise; x and y may be the same. The result at an index does not depend on n. */
  void (*gelu)(size_t n, const float *x, float *y);
  void (*gelu_grad)(size_t n, const float *x, const float *dy, float *dx);
  void (*asinh)(size_t n, float scale, const float *x, float *y); /* asinh(scale x) */
  void (*asinh_grad)(size_t n, float scale, const float *x, const float *dy, float *dx);
  void (*relu)(size_t n, const float *x, float *y);
  void (*relu_grad)(size_t n, const float *x, const float *dy, float *dx);
  void (*affine)(size_t n, float a, float b, const float *x, float *y);                           /* a x + b */
  void (*combine)(size_t n, float a, const float *x, float b, const float *y, float c, float *z); /* a x + b y + c */
  void (*add)(size_t n, const float *x, const float *y, float *z);
  /* exp(x - shift), x <= shift; returns the sum. */
  float (*exp_sum)(size_t n, float shift, const float *x, float *y);
  /* Sums. */
  float (*sum)(size_t n, const float *x);
  float (*dot)(size_t n, const float *x, const float *y);
  float (*sum_squares)(size_t n, float centre, const float *x);                                    /* sum (x - centre)^2 */
  void (*sum_pair)(size_t n, float centre, const float *x, const float *dy, float *s0, float *s1); /* dy; dy (x - centre) */
  /* EXTRACT of one band: weights q [k][h], x, v [h][w]; flux and coverage [k][w]. */
  void (*extract)(int k, int h, int w, float eps, const float *q, const float *x, const float *v, float *flux, float *coverage);
  /* dq [k][h] from da, dc [k][w] (derivatives with respect to sum q v x and sum q^2 v). */
  void (*extract_grad_q)(int k, int h, int w, const float *q, const float *x, const float *v, const float *da, const float *dc,
                         float *dq);
  /* Linear interpolation: y[i] = a[i] x[left[i]] + b[i] x[left[i] + 1]. */
  void (*interpolate)(int n, const int *left, const float *a, const float *b, const float *x, float *y);
  /* In-place FFT of [n][NSL_LANES] real and imaginary planes; work is of the same size (2 n NSL_LANES). Exchanging re and im
   * gives the inverse transform times n. */
  void (*fft)(const nsl_fft *plan, float *re, float *im, float *work);
  /* Correlation: for every frequency out_o = sum_c conj(f_c) w_oc. f [n_freq][n_in][2][LANES], out [n_freq][n_out][2][LANES];
   * w [n_freq] times n_out * n_in complex numbers, w_oc at o * w_out + c * w_in floats. */
  void (*spectrum_correlate)(int n_freq, int n_out, int n_in, const float *f, const float *w, size_t w_out, size_t w_in,
                             float *out);
  /* g [n_freq][n_out][n_in][2] = sum over lanes and blocks of f_c d_o; f and d as above, a block f_block, d_block floats on. */
  void (*spectrum_gradient)(int n_freq, int n_out, int n_in, int n_blocks, const float *f, size_t f_block, const float *d,
                            size_t d_block, float *g);
} nsl_kernels;

/* The best table for this processor, no wider than the OpenBLAS core in use (OPENBLAS_CORETYPE pins both). */
const nsl_kernels *nsl_kernels_best(void);
/* All tables that run on this processor: [0] is the portable one. NULL past the end. */
const nsl_kernels *nsl_kernels_at(int i);

#endif
