/* Correlation of signals with long learned kernels, by FFT: with j' = m - 1 - j the output is o'[h, j'] = b + sum_{c,i} W[h,c,i +
 * j'] f[c,i], whose spectrum is sum_c conj(F_c) W_hc. NSL_LANES batch elements are transformed side by side, and two real signals
 * as one complex one. A lane's bits do not depend on its neighbours, so neither on the batch. Saved in training: the spectra of the
 * inputs, [block][freq][c][2][LANES]. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/memory.h"
#include "op.h"

typedef struct {
  nsl_fft plan;
  int n_freq;     /* n / 2 + 1 */
  float *spectra; /* of the weights: [freq][out][in][2] */
  float *memory;
  float *re, *im, *work; /* two planes side by side in either order, and room for two */
} plan;

enum { L = NSL_LANES };

static int length_of(const nsl_shape3 *in, int m) { return in->w + m - 1; }

/* The smallest even length >= n of factors 2, 3, 5. */
static int fft_length(int n)
{
  for (int length = n < 2 ? 2 : n;; length++) {
    int rest = length;
    for (int p = 2; p <= 5; p++) {
      while (rest % p == 0) { rest /= p; }
    }
    if (rest == 1 && length % 2 == 0) { return length; }
  }
}

static nsl_status infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (in[0].h != 1) { return nsl_fail(err, NSL_E_VALUE, "the input must have h = 1, not %d", in[0].h); }
  if (node->c_out < 1 || node->n_out < 1) { return nsl_fail(err, NSL_E_VALUE, "c_out and n_out must be at least 1"); }
  *out = (nsl_shape3){node->c_out, 1, node->n_out};
  return NSL_OK;
}

static int params(const nsl_node *node, const nsl_shape3 *in, nsl_param_spec *specs)
{
  specs[0] = (nsl_param_spec){.suffix = "weight",
                              .rank = 3,
                              .dims = {node->c_out, in[0].c, length_of(in, node->n_out)},
                              .init = NSL_INIT_NORMAL,
                              .amount = (double)node->scale / sqrt((double)in[0].c * in[0].w)};
  specs[1] = (nsl_param_spec){.suffix = "bias", .rank = 2, .dims = {node->c_out, node->n_out}, .init = NSL_INIT_VALUE};
  return 2;
}

static double macs(const nsl_node *node, const nsl_shape3 *in)
{
  double n = fft_length(length_of(in, node->n_out)); /* as computed: real FFTs and products of spectra */
  return 1.25 * n * log2(n) * (in[0].c + node->c_out) + 2.0 * n * in[0].c * node->c_out;
}

static void release(void *prepared)
{
  plan *p = prepared;
  if (!p) { return; }
  free(p->plan.twiddle);
  free(p->spectra);
  free(p->memory);
  free(p);
}

/* So that there are few stages: 128 is 8 x 4 x 4, 64 is 8 x 8. */
static int next_radix(int len)
{
  int twos = 0;
  while (len >> twos << twos == len) { twos++; }
  twos--;
  if (twos > 0) { return twos == 3 || twos >= 5 ? 8 : twos >= 2 ? 4 : 2; }
  return len % 3 == 0 ? 3 : 5;
}

static nsl_status make_fft(nsl_fft *fft, int n, nsl_error *err)
{
  fft->n = n;
  size_t count = 0;
  for (int len = n; len > 1;) {
    int r = next_radix(len);
    fft->radix[fft->stages++] = r;
    len /= r;
    count += 2 * (size_t)len * (size_t)(r - 1);
  }
  fft->twiddle = malloc(count * sizeof(float));
  if (!fft->twiddle) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for an FFT of length %d", n); }
  float *t = fft->twiddle;
  for (int i = 0, len = n; i < fft->stages; i++) {
    int m = len / fft->radix[i];
    for (int p = 0; p < m; p++) {
      for (int k = 1; k < fft->radix[i]; k++) {
        double angle = -2.0 * M_PI * (double)p * (double)k / (double)len;
        *t++ = (float)cos(angle);
        *t++ = (float)sin(angle);
      }
    }
    len = m;
  }
  return NSL_OK;
}

static nsl_status prepare(const nsl_node *node, const nsl_shape3 *in, void **prepared, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int n = fft_length(length_of(in, node->n_out));
  size_t plane = (size_t)n * L;
  plan *p = calloc(1, sizeof *p);
  if (!p) { NSL_THROW(err, NSL_E_NOMEM, "out of memory"); }
  NSL_TRY(make_fft(&p->plan, n, err));
  p->n_freq = n / 2 + 1;
  p->spectra = malloc((size_t)p->n_freq * (size_t)(node->c_out * in[0].c) * 2 * sizeof(float));
  p->memory = nsl_alloc_large(4 * plane * sizeof(float));
  if (!p->spectra || !p->memory) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for the spectra of length %d", n); }
  p->re = p->memory;
  p->im = p->re + plane;
  p->work = p->im + plane;
  *prepared = p;
  p = NULL;
cleanup:
  release(p);
  return st;
}

/* Puts signals into the lanes of a plane, in reverse order if so wanted; what is left is zero. base NULL: all zero. */
static void put_lanes(const plan *p, float *to, const float *base, size_t stride, int lanes, int length, int reverse)
{
  memset(to, 0, (size_t)p->plan.n * L * sizeof(float));
  for (int l = 0; base && l < lanes; l++) {
    const float *x = base + (size_t)l * stride;
    for (int t = 0; t < length; t++) { to[t * L + l] = x[reverse ? length - 1 - t : t]; }
  }
}

/* The same from a signal whose lanes stand side by side already. */
static void copy_lanes(const plan *p, float *to, const float *x, int length)
{
  size_t n = x ? (size_t)length * L : 0;
  if (x) { memcpy(to, x, n * sizeof *to); }
  memset(to + n, 0, ((size_t)p->plan.n * L - n) * sizeof *to);
}

/* The planes' FFT, or its inverse times n; the planes may change places with the work. */
static void transform(const nsl_kernels *kernels, plan *p, int inverse)
{
  float **first = inverse ? &p->im : &p->re, **second = inverse ? &p->re : &p->im, *planes = p->re < p->im ? p->re : p->im;
  if (kernels->fft(&p->plan, *first, *second, p->work)) {
    *first = p->work;
    *second = p->work + (size_t)p->plan.n * L;
    p->work = planes;
  }
}

/* After the FFT of a + i b: spectra of a and b (b may be NULL) at frequencies 0 .. n/2, to [freq] rows of step floats. */
static void separate(const plan *p, float *a, float *b, size_t step)
{
  int n = p->plan.n;
  for (int k = 0; k < p->n_freq; k++, a += step, b = b ? b + step : NULL) {
    size_t at = (size_t)k * L, mirror = (size_t)((n - k) % n) * L;
    for (int l = 0; l < L; l++) {
      float r0 = p->re[at + l], r1 = p->re[mirror + l], i0 = p->im[at + l], i1 = p->im[mirror + l];
      a[l] = 0.5f * (r0 + r1);
      a[L + l] = 0.5f * (i0 - i1);
      if (b) {
        b[l] = 0.5f * (i0 + i1);
        b[L + l] = 0.5f * (r1 - r0);
      }
    }
  }
}

/* The opposite: planes of a + i b, ready for the inverse transform; a and b are real signals' spectra. */
static void join(const plan *p, const float *a, const float *b, size_t step)
{
  int n = p->plan.n;
  for (int k = 0; k < p->n_freq; k++, a += step, b = b ? b + step : NULL) {
    size_t at = (size_t)k * L, mirror = (size_t)((n - k) % n) * L;
    for (int l = 0; l < L; l++) {
      float br = b ? b[l] : 0.0f, bi = b ? b[L + l] : 0.0f, ai = a[L + l];
      /* The imaginary parts at 0 and n/2 are rounding errors around zero; writing the mirror first keeps the first form there. */
      p->re[mirror + l] = a[l] + bi;
      p->im[mirror + l] = br - ai;
      p->re[at + l] = a[l] - bi;
      p->im[at + l] = ai + br;
    }
  }
}

/* Spectra of n_c signals of up to LANES elements: signal c of element l at base + l * stride + c * length. */
static void signals_to_spectra(const nsl_kernels *kernels, plan *p, nsl_view from, int lanes, int n_c, int length, int reverse,
                               float *spectra)
{
  const float *base = from.data;
  size_t stride = from.stride;
  size_t step = (size_t)n_c * 2 * L;
  for (int c = 0; c < n_c; c += 2) {
    int pair = c + 1 < n_c;
    if (from.lanes) {
      copy_lanes(p, p->re, base + (size_t)c * (size_t)length * L, length);
      copy_lanes(p, p->im, pair ? base + (size_t)(c + 1) * (size_t)length * L : NULL, length);
    } else {
      put_lanes(p, p->re, base + (size_t)c * (size_t)length, stride, lanes, length, reverse);
      put_lanes(p, p->im, pair ? base + (size_t)(c + 1) * (size_t)length : NULL, stride, lanes, length, reverse);
    }
    transform(kernels, p, 0);
    separate(p, spectra + (size_t)c * 2 * L, pair ? spectra + (size_t)(c + 1) * 2 * L : NULL, step);
  }
}

typedef void signal_sink(const nsl_call *call, int element, int c, const float *plane, int lane, float scale);

static void spectra_to_signals(const nsl_call *call, plan *p, const float *spectra, int first, int lanes, int n_c,
                               signal_sink *sink)
{
  size_t step = (size_t)n_c * 2 * L;
  float scale = 1.0f / (float)p->plan.n;
  for (int c = 0; c < n_c; c += 2) {
    int pair = c + 1 < n_c;
    join(p, spectra + (size_t)c * 2 * L, pair ? spectra + (size_t)(c + 1) * 2 * L : NULL, step);
    transform(call->kernels, p, 1);
    for (int l = 0; l < lanes; l++) {
      sink(call, first + l, c, p->re, l, scale);
      if (pair) { sink(call, first + l, c + 1, p->im, l, scale); }
    }
  }
}

/* ---- weights: the signals of all (out, in) pairs, LANES pairs of signals at a time ---- */

static void refresh(const nsl_node *node, const nsl_shape3 *in, const nsl_param *param, const nsl_kernels *kernels, void *prepared)
{
  plan *p = prepared;
  int count = node->c_out * in[0].c, length = length_of(in, node->n_out);
  for (int first = 0; first < count; first += 2 * L) {
    int left = count - first, even = left >= 2 * L ? L : (left + 1) / 2, odd = left >= 2 * L ? L : left / 2;
    const float *base = param[0].value + (size_t)first * (size_t)length;
    put_lanes(p, p->re, base, 2 * (size_t)length, even, length, 0);
    put_lanes(p, p->im, base + length, 2 * (size_t)length, odd, length, 0);
    transform(kernels, p, 0);
    for (int k = 0; k < p->n_freq; k++) {
      float *to = p->spectra + ((size_t)k * (size_t)count + (size_t)first) * 2;
      size_t at = (size_t)k * L, mirror = (size_t)((p->plan.n - k) % p->plan.n) * L;
      for (int s = 0; s < even + odd; s++) {
        int l = s / 2;
        float r0 = p->re[at + l], r1 = p->re[mirror + l], i0 = p->im[at + l], i1 = p->im[mirror + l];
        to[2 * s] = 0.5f * (s % 2 ? i0 + i1 : r0 + r1);
        to[2 * s + 1] = 0.5f * (s % 2 ? r1 - r0 : i0 - i1);
      }
    }
  }
}

/* Adds the signals whose spectra are g [freq][out*in][2] to the weight gradient. */
static void add_weight_grad(const nsl_call *call, plan *p, const float *g, int count, int length)
{
  float scale = 1.0f / (float)p->plan.n, *grad = call->param[0].grad;
  for (int first = 0; first < count; first += 2 * L) {
    int left = count - first, signals = left < 2 * L ? left : 2 * L;
    memset(p->re < p->im ? p->re : p->im, 0, 2 * (size_t)p->plan.n * L * sizeof(float));
    for (int k = 0; k < p->n_freq; k++) {
      const float *from = g + ((size_t)k * (size_t)count + (size_t)first) * 2;
      size_t at = (size_t)k * L, mirror = (size_t)((p->plan.n - k) % p->plan.n) * L;
      for (int s = 0; s < signals; s += 2) {
        int l = s / 2, pair = s + 1 < signals;
        float ar = from[2 * s], ai = from[2 * s + 1], br = pair ? from[2 * s + 2] : 0.0f, bi = pair ? from[2 * s + 3] : 0.0f;
        p->re[mirror + l] = ar + bi;
        p->im[mirror + l] = br - ai;
        p->re[at + l] = ar - bi;
        p->im[at + l] = ai + br;
      }
    }
    transform(call->kernels, p, 1);
    for (int s = 0; s < signals; s++) {
      const float *plane = (s % 2 ? p->im : p->re) + s / 2;
      float *to = grad + (size_t)(first + s) * (size_t)length;
      for (int t = 0; t < length; t++) { to[t] += plane[t * L] * scale; }
    }
  }
}

/* ---- forward and backward ---- */

static size_t block_size(const nsl_node *node, const nsl_shape3 *in, int channels)
{
  return (size_t)(fft_length(length_of(in, node->n_out)) / 2 + 1) * (size_t)channels * 2 * L;
}

static size_t blocks(int n) { return ((size_t)n + L - 1) / L; }

static size_t saved(const nsl_node *node, const nsl_shape3 *in, int n) { return blocks(n) * block_size(node, in, in[0].c); }

static size_t scratch(const nsl_node *node, const nsl_shape3 *in, int n, int trainable)
{
  size_t one = block_size(node, in, in[0].c) + block_size(node, in, node->c_out);
  size_t gradient = (size_t)node->c_out * (size_t)in[0].c * (block_size(node, in, 1) / L);
  return one + (trainable ? gradient + blocks(n) * block_size(node, in, node->c_out) : 0);
}

static void write_output(const nsl_call *call, int element, int c, const float *plane, int lane, float scale)
{
  int m = call->node->n_out;
  size_t at = (size_t)c * (size_t)m;
  float *out = call->out + (size_t)element * nsl_shape_size(call->node->out) + at;
  const float *bias = call->param[1].value + at;
  for (int j = 0; j < m; j++) { out[j] = plane[(m - 1 - j) * L + lane] * scale + bias[j]; }
}

/* All lanes at once, side by side. */
static void write_lanes(const nsl_call *call, int element, int c, const float *plane, int lane, float scale)
{
  int m = call->node->n_out;
  float *out = call->out + (size_t)c * (size_t)m * L;
  const float *bias = call->param[1].value + (size_t)c * (size_t)m;
  (void)element;
  for (int j = 0; j < m && lane == 0; j++, out += L) {
    const float *from = plane + (size_t)(m - 1 - j) * L;
    for (int l = 0; l < L; l++) { out[l] = from[l] * scale + bias[j]; }
  }
}

static void write_input_grad(const nsl_call *call, int element, int c, const float *plane, int lane, float scale)
{
  int w = call->in_shape[0].w;
  float *dx = call->din[0] + (size_t)element * nsl_shape_size(call->in_shape[0]) + (size_t)c * (size_t)w;
  for (int i = 0; i < w; i++) { dx[i] = plane[i * L + lane] * scale; }
}

static void forward(const nsl_call *call)
{
  plan *p = call->prepared;
  const nsl_shape3 *in = &call->in_shape[0];
  int n_out = call->node->c_out;
  size_t f_size = block_size(call->node, in, in->c);
  for (int first = 0, b = 0; first < call->n; first += L, b++) {
    int lanes = call->n - first < L ? call->n - first : L;
    float *f = call->saved + (size_t)b * f_size, *out = call->scratch;
    nsl_view view = call->in[0];
    view.data += view.lanes ? 0 : (size_t)first * view.stride;
    signals_to_spectra(call->kernels, p, view, lanes, in->c, in->w, 0, f);
    call->kernels->spectrum_correlate(p->n_freq, n_out, in->c, f, p->spectra, 2 * (size_t)in->c, 2, out);
    spectra_to_signals(call, p, out, first, lanes, n_out, call->out_lanes ? write_lanes : write_output);
  }
}

static void backward(const nsl_call *call)
{
  plan *p = call->prepared;
  const nsl_shape3 *in = &call->in_shape[0];
  int n_out = call->node->c_out, m = call->node->n_out, n_blocks = (int)blocks(call->n);
  size_t f_size = block_size(call->node, in, in->c), d_size = block_size(call->node, in, n_out),
         size = nsl_shape_size(call->node->out);
  float *df = call->scratch, *d = df + f_size, *g = d + (size_t)n_blocks * d_size;
  for (int b = 0; b < n_blocks; b++) {
    int first = b * L, lanes = call->n - first < L ? call->n - first : L;
    nsl_view view = {.data = call->dout + (size_t)first * size, .stride = size};
    signals_to_spectra(call->kernels, p, view, lanes, n_out, m, 1, d + (size_t)b * d_size);
    if (!call->din[0]) { continue; }
    call->kernels->spectrum_correlate(p->n_freq, in->c, n_out, d + (size_t)b * d_size, p->spectra, 2, 2 * (size_t)in->c, df);
    spectra_to_signals(call, p, df, first, lanes, in->c, write_input_grad);
  }
  call->kernels->spectrum_gradient(p->n_freq, n_out, in->c, n_blocks, call->saved, f_size, d, d_size, g);
  add_weight_grad(call, p, g, n_out * in->c, length_of(in, m));
  for (int i = 0; i < call->n; i++) {
    call->kernels->add(size, call->param[1].grad, call->dout + (size_t)i * size, call->param[1].grad);
  }
}

const nsl_op_impl nsl_op_correlate = {.word = "correlate",
                                      .inputs_min = 1,
                                      .inputs_max = 1,
                                      .knows_lanes = 1,
                                      .is_affine = 1,
                                      .infer = infer,
                                      .params = params,
                                      .macs = macs,
                                      .saved = saved,
                                      .scratch = scratch,
                                      .prepare = prepare,
                                      .refresh = refresh,
                                      .release = release,
                                      .forward = forward,
                                      .backward = backward};
