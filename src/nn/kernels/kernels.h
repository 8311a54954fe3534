/* The vector loops of the engine behind one table, so that a net picks what the processor can do when it is made. The same
 * source (kernels_body.h) is compiled once for any processor and once for each x86 instruction set; the tests hold all of
 * them against plain C in double precision. Private. */
#ifndef NOSLIT_SRC_NN_KERNELS_H
#define NOSLIT_SRC_NN_KERNELS_H

#include <stddef.h>

enum { NSL_LANES = 16 }; /* batch elements side by side in the FFT kernels */

/* A complex FFT of length n by Stockham's method; radices 8, 4, 2, 3, 5. twiddle holds, stage after stage, exp(-2 pi i p k / len).
 */
enum { NSL_FFT_STAGES_MAX = 24 };
typedef struct {
  int n, stages, radix[NSL_FFT_STAGES_MAX];
  float *twiddle;
} nsl_fft;

/* Images with channels innermost, in blocks of NSL_CHANNEL_BLOCK. How a Winograd-type 3x3 convolution cuts the rows; columns are
 * always cut F(4,3), tiles of 4 (winograd.h). */
enum { NSL_CHANNEL_BLOCK = 16, NSL_COLUMN_BLOCK = 32 };
typedef enum {
  NSL_ROWS_4,      /* F(4,3): 6 rows in, 6 positions, 4 rows out */
  NSL_ROWS_3,      /* F(3,3): 5, 5, 3 */
  NSL_ROWS_2,      /* F(2,3): 4, 4, 2 */
  NSL_ROWS_ONLY_2, /* an image of two rows: 2, 3, 2 */
  NSL_ROWS_COUNT
} nsl_rows_scheme;

/* What becomes of a product: plus bias [c], plus residual (NULL for none), clipped at 0 if so wanted; pixel (r, x) of the tile lies
 * at out + r * row_step + x * c floats, its residual likewise. */
typedef struct {
  float *out;
  const float *bias, *residual;
  size_t row_step;
  int relu, columns;
} nsl_tile_end;

/* A convolution of signals side by side: out [c_out][w_out][LANES] = gelu(bias + w x + add); x begins at the first tap of output 0,
 * x_channel floats a channel; w packed [block][c_in][taps][outs] with blocks of lanes_outs channels. add may be NULL. */
typedef struct {
  int c_in, c_out, w_out, taps, stride, dilation, gelu;
  size_t x_channel;
  const float *x, *w, *bias, *add;
  float *out;
} nsl_lanes_conv;

/* The same for five taps and stride 1 in the way of Winograd, F(4,5): 8 products for 4 outputs. out [c_out][width][LANES] =
 * gelu(bias + w y + add), where y is gelu(gain x + shift) of the inputs, both if so wanted, and zero outside [begin, end). dilation
 * 1, 2 or 4. */
typedef struct {
  const float *x; /* place i at x + i * step */
  int begin, end; /* places that are not zero */
  float gain, shift;
} nsl_signal_channel;
enum { NSL_SIGNAL_TAPS = 5, NSL_SIGNAL_POSITIONS = 8, NSL_SIGNAL_RING = 16 /* columns */ };
typedef struct {
  int c_in, c_out, width, dilation;
  int stage_affine, stage_gelu, gelu;
  size_t step;
  const nsl_signal_channel *channels;
  const float *w, *add; /* w [position][block][c_in][outs] with blocks of signal_outs channels; add may be NULL */
  const float *bias;    /* [c_out], or [c_out][width] if bias_by_place */
  int bias_by_place;
  float *out, *work; /* work: nsl_signal_work floats */
} nsl_signal_conv;
static inline size_t nsl_signal_work(int c_in, int c_out)
{
  size_t most = (size_t)(c_in > c_out ? c_in : c_out);
  return (size_t)c_in * NSL_SIGNAL_RING * NSL_LANES + (NSL_SIGNAL_POSITIONS + 1) * most * 2 * NSL_LANES;
}

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
  void (*dots)(size_t n, int rows, const float *w, const float *x, float *y); /* y[r] = w[r] . x, w [rows][n] */
  float (*sum_squares)(size_t n, float centre, const float *x);               /* sum (x - centre)^2 */
  void (*sum_pair)(size_t n, float centre, const float *x, const float *dy, float *s0, float *s1); /* dy; dy (x - centre) */
  /* EXTRACT of one band: weights q [k][h], x, v [h][w]; flux and coverage [k][w]. */
  void (*extract)(int k, int h, int w, float eps, const float *q, const float *x, const float *v, float *flux, float *coverage);
  /* dq [k][h] from da, dc [k][w] (derivatives with respect to sum q v x and sum q^2 v). */
  void (*extract_grad_q)(int k, int h, int w, const float *q, const float *x, const float *v, const float *da, const float *dc,
                         float *dq);
  /* Linear interpolation: y[i] = a[i] x[left[i]] + b[i] x[left[i] + 1]. */
  void (*interpolate)(int n, const int *left, const float *a, const float *b, const float *x, float *y);
  /* The same for signals of width places side by side; width 1: y[i] = a[i] x[0]. */
  void (*interpolate_lanes)(int n, int width, const int *left, const float *a, const float *b, const float *x, float *y);
  /* FFT of [n][NSL_LANES] real and imaginary planes; work has room for both. Exchanging re and im gives the inverse transform times
   * n. The result is in place, or, if 1 is returned, in work: real, then imaginary plane. */
  int (*fft)(const nsl_fft *plan, float *re, float *im, float *work);
  /* Correlation: for every frequency out_o = sum_c conj(f_c) w_oc. f [n_freq][n_in][2][LANES], out [n_freq][n_out][2][LANES];
   * w [n_freq] times n_out * n_in complex numbers, w_oc at o * w_out + c * w_in floats. */
  void (*spectrum_correlate)(int n_freq, int n_out, int n_in, const float *f, const float *w, size_t w_out, size_t w_in,
                             float *out);
  /* g [n_freq][n_out][n_in][2] = sum over lanes and blocks of f_c d_o; f and d as above, a block f_block, d_block floats on. */
  void (*spectrum_gradient)(int n_freq, int n_out, int n_in, int n_blocks, const float *f, size_t f_block, const float *d,
                            size_t d_block, float *g);
  /* Products of packed panels: a panel is [depth / 16][panel_height][16]. c [panels][columns / 16][height][16] = a b; depth is a
   * multiple of 16, columns of NSL_COLUMN_BLOCK; b as panel_pack wrote it from [depth][columns]. */
  int panel_height;
  void (*panel_gemm)(int rows, int depth, int columns, const float *a, const float *b, float *c);
  void (*panel_pack)(int depth, int columns, int padded, const double *b, float *to);
  /* One tile, n_c channels: pixels [rows][6] -> row of a panel at v, a position every step floats; and back. */
  void (*winograd_input)(int scheme, int n_c, const float *const *pixels, float *v, size_t step);
  void (*winograd_output)(int scheme, int n_c, const float *m, size_t step, const nsl_tile_end *end);
  void (*pixel_output)(int n_c, const float *m, const nsl_tile_end *end); /* a panel's row to a pixel */
  void (*pixel_copy)(int n_c, const float *from, float *to);              /* a pixel to a panel's row */
  int (*lanes_outs)(int left); /* how many of the channels that are left are packed together */
  void (*lanes_conv)(const nsl_lanes_conv *p);
  void (*lanes_stage)(size_t n, float a, float b, int gelu, const float *x, float *y); /* a x + b, GELU; n a multiple of LANES */
  /* n <= LANES elements of width floats, stride apart, side by side and back; lanes without an element become zero. */
  void (*to_lanes)(int n, size_t width, const float *from, size_t stride, float *to);
  void (*from_lanes)(int n, size_t width, const float *from, float *to, size_t stride);
  int (*signal_outs)(int left); /* as lanes_outs */
  void (*signal_conv)(const nsl_signal_conv *p);
  void (*pixel_max)(int n_c, const float *x, float *y); /* y = max(x, y) */
} nsl_kernels;

/* The best table for this processor, no wider than the OpenBLAS core in use (OPENBLAS_CORETYPE pins both). */
const nsl_kernels *nsl_kernels_best(void);
/* All tables that run on this processor: [0] is the portable one. NULL past the end. */
const nsl_kernels *nsl_kernels_at(int i);

#endif
