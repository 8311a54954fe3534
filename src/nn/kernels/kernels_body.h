/* The kernels, written once for vectors of VW floats; TABLE names the table that is defined. No include guard: each
 * kernels_<isa>.c includes it with other compiler options. */
#include <math.h>
#include <string.h>

#include "kernels.h"
#include "vector.h"

/* A loop over n floats in vectors. The tail goes through the same vector code, so that bits do not depend on n. */
#define FOR_VECTORS(n) for (size_t at = 0, part = (n) < VW ? (n) : VW; at < (n); at += VW, part = (n)-at < VW ? (n)-at : VW)
#define GET(p) (part == VW ? load((p) + at) : load_part((p) + at, part))
#define PUT(p, value)                   \
  do {                                  \
    vf put_ = (value);                  \
    if (part == VW) {                   \
      store((p) + at, put_);            \
    } else {                            \
      store_part((p) + at, put_, part); \
    }                                   \
  } while (0)

/* Phi(x) and exp(-x^2/2): Abramowitz & Stegun 7.1.26, |error of erf| <= 1.5e-7. */
INLINE void normal_cdf(vf x, vf *cdf, vf *gauss)
{
  vf z = vabs(x) * 0.70710678f;
  vf t = 1.0f / (z * 0.3275911f + 1.0f);
  vf e = vexp(z * -z);
  vf p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  vf upper = 0.5f * p * t * e; /* 1 - Phi(|x|) */
  *cdf = choose(x < 0.0f, upper, 1.0f - upper);
  *gauss = e;
}

#include "kernels_gelu.h"

static void gelu(size_t n, const float *x, float *y)
{
  FOR_VECTORS(n) { PUT(y, gelu_of(GET(x))); }
}

static void gelu_grad(size_t n, const float *x, const float *dy, float *dx)
{
  FOR_VECTORS(n)
  {
    vf a = GET(x), cdf, gauss;
    normal_cdf(a, &cdf, &gauss);
    PUT(dx, GET(dy) * (cdf + a * gauss * 0.39894228f));
  }
}

/* asinh: log(|x| + sqrt(x^2 + 1)), and the Taylor series below 0.3 where the logarithm loses digits. */
static void asinh_scaled(size_t n, float scale, const float *x, float *y)
{
  FOR_VECTORS(n)
  {
    vf a = GET(x) * scale, z = vabs(a), q = a * a;
    vf far = vlog(z + vsqrt(q + 1.0f));
    vf p = q * (-945.0f / 42240.0f) + 105.0f / 3456.0f;
    p = p * q - 15.0f / 336.0f;
    p = p * q + 3.0f / 40.0f;
    p = p * q - 1.0f / 6.0f;
    p = p * q + 1.0f;
    PUT(y, choose(z < 0.3f, a * p, choose(a < 0.0f, -far, far)));
  }
}

static void asinh_grad(size_t n, float scale, const float *x, const float *dy, float *dx)
{
  FOR_VECTORS(n)
  {
    vf a = GET(x) * scale;
    PUT(dx, GET(dy) * scale / vsqrt(a * a + 1.0f));
  }
}

static void relu(size_t n, const float *x, float *y)
{
  FOR_VECTORS(n)
  {
    vf a = GET(x);
    PUT(y, choose(a > 0.0f, a, splat(0.0f)));
  }
}

static void relu_grad(size_t n, const float *x, const float *dy, float *dx)
{
  FOR_VECTORS(n) { PUT(dx, choose(GET(x) > 0.0f, GET(dy), splat(0.0f))); }
}

static void affine(size_t n, float a, float b, const float *x, float *y)
{
  FOR_VECTORS(n) { PUT(y, GET(x) * a + b); }
}

static void combine(size_t n, float a, const float *x, float b, const float *y, float c, float *z)
{
  FOR_VECTORS(n) { PUT(z, GET(x) * a + (GET(y) * b + c)); }
}

static void add(size_t n, const float *x, const float *y, float *z)
{
  FOR_VECTORS(n) { PUT(z, GET(x) + GET(y)); }
}

static float exp_sum(size_t n, float shift, const float *x, float *y)
{
  vf s = splat(0.0f);
  FOR_VECTORS(n)
  {
    vf e = vexp(GET(x) - shift);
    if (part < VW) {
      float t[VW] = {0};
      store_part(t, e, part);
      e = load(t);
    }
    s += e;
    PUT(y, e);
  }
  return total(s);
}

static float sum(size_t n, const float *x)
{
  vf s = splat(0.0f);
  FOR_VECTORS(n) { s += GET(x); }
  return total(s);
}

static float dot(size_t n, const float *x, const float *y)
{
  vf s = splat(0.0f), t = splat(0.0f);
  size_t i = 0;
  for (; i + 2 * VW <= n; i += 2 * VW) {
    s += load(x + i) * load(y + i);
    t += load(x + i + VW) * load(y + i + VW);
  }
  for (; i < n; i += VW) {
    size_t part = n - i < VW ? n - i : VW;
    s += load_part(x + i, part) * load_part(y + i, part);
  }
  return total(s + t);
}

/* VW rows at a time; where fewer are left the last one stands for those that are missing. */
static void dots(size_t n, int rows, const float *w, const float *x, float *y)
{
  for (int first = 0; first < rows; first += VW) {
    int count = rows - first < VW ? rows - first : VW;
    const float *row[VW];
    vf acc[VW];
#pragma GCC unroll 16
    for (int r = 0; r < VW; r++) {
      row[r] = w + (size_t)(first + (r < count ? r : count - 1)) * n;
      acc[r] = splat(0.0f);
    }
    size_t i = 0;
    for (; i + VW <= n; i += VW) {
      vf v = load(x + i);
#pragma GCC unroll 16
      for (int r = 0; r < VW; r++) { acc[r] += load(row[r] + i) * v; }
    }
    if (i < n) {
      vf v = load_part(x + i, n - i);
#pragma GCC unroll 16
      for (int r = 0; r < VW; r++) { acc[r] += load_part(row[r] + i, n - i) * v; }
    }
    transpose(acc);
#pragma GCC unroll 4
    for (int step = VW / 2; step > 0; step /= 2) {
#pragma GCC unroll 8
      for (int r = 0; r < step; r++) { acc[r] += acc[r + step]; }
    }
    store_part(y + first, acc[0], (size_t)count);
  }
}

static float sum_squares(size_t n, float centre, const float *x)
{
  vf s = splat(0.0f);
  size_t i = 0;
  for (; i + VW <= n; i += VW) {
    vf d = load(x + i) - centre;
    s += d * d;
  }
  float rest = 0.0f;
  for (; i < n; i++) { rest += (x[i] - centre) * (x[i] - centre); }
  return total(s) + rest;
}

static void sum_pair(size_t n, float centre, const float *x, const float *dy, float *s0, float *s1)
{
  vf a = splat(0.0f), b = splat(0.0f);
  FOR_VECTORS(n)
  {
    vf d = GET(dy);
    a += d;
    b += d * (GET(x) - centre);
  }
  *s0 = total(a);
  *s1 = total(b);
}

static void interpolate(int n, const int *left, const float *a, const float *b, const float *x, float *y)
{
  for (int i = 0; i < n; i++) { y[i] = a[i] * x[left[i]] + b[i] * x[left[i] + 1]; }
}

#include "kernels_extract.h"
#include "kernels_fft.h"
#include "kernels_image.h"
#include "kernels_lanes.h"
#include "kernels_signal.h"

const nsl_kernels TABLE = {
    .name = TABLE_NAME,
    .gelu = gelu,
    .gelu_grad = gelu_grad,
    .asinh = asinh_scaled,
    .asinh_grad = asinh_grad,
    .relu = relu,
    .relu_grad = relu_grad,
    .affine = affine,
    .combine = combine,
    .add = add,
    .exp_sum = exp_sum,
    .sum = sum,
    .dot = dot,
    .dots = dots,
    .sum_squares = sum_squares,
    .sum_pair = sum_pair,
    .extract = extract,
    .extract_grad_q = extract_grad_q,
    .interpolate = interpolate,
    .interpolate_lanes = interpolate_lanes,
    .fft = fft,
    .spectrum_correlate = spectrum_correlate,
    .spectrum_gradient = spectrum_gradient,
    .panel_height = MR,
    .panel_gemm = panel_gemm,
    .panel_pack = panel_pack,
    .winograd_input = winograd_input,
    .winograd_output = winograd_output,
    .pixel_output = pixel_output,
    .pixel_copy = pixel_copy,
    .pixel_max = pixel_max,
    .lanes_outs = lanes_outs,
    .lanes_conv = lanes_conv,
    .lanes_stage = lanes_stage,
    .to_lanes = to_lanes,
    .from_lanes = from_lanes,
    .signal_outs = signal_outs,
    .signal_conv = signal_conv,
};
