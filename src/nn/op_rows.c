/* Ops on the rows of a two-dimensional spectrum: their means (rowmean) and weighted sums (extract). */
#include <math.h>
#include <string.h>

#include "op.h"

/* ---- rowmean ---- */

static nsl_status rowmean_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (node->n_in == 2 && (in[1].c != in[0].c || in[1].h != in[0].h || in[1].w != in[0].w)) {
    return nsl_fail(err, NSL_E_VALUE, "x and v must have one shape");
  }
  *out = (nsl_shape3){in[0].c, in[0].h, 1};
  return NSL_OK;
}

static double rowmean_macs(const nsl_node *node, const nsl_shape3 *in)
{
  (void)node;
  return (double)nsl_shape_size(in[0]);
}

static void rowmean_forward(const nsl_call *call)
{
  size_t rows = nsl_shape_size(call->node->out), w = (size_t)call->in_shape[0].w;
  float factor = call->node->scale / (float)w;
  for (int i = 0; i < call->n; i++) {
    const float *x = call->in[0].data + (size_t)i * call->in[0].stride;
    const float *v = call->node->n_in == 2 ? call->in[1].data + (size_t)i * call->in[1].stride : NULL;
    for (size_t r = 0; r < rows; r++) {
      float s = v ? call->kernels->dot(w, x + r * w, v + r * w) : call->kernels->sum(w, x + r * w);
      call->out[(size_t)i * rows + r] = s * factor;
    }
  }
}

static void rowmean_backward(const nsl_call *call)
{
  size_t rows = (size_t)call->n * nsl_shape_size(call->node->out), w = (size_t)call->in_shape[0].w;
  float factor = call->node->scale / (float)w;
  for (int k = 0; k < call->node->n_in; k++) {
    const float *other = call->node->n_in == 2 ? call->in[1 - k].data : NULL;
    for (size_t r = 0; r < rows && call->din[k]; r++) {
      float g = call->dout[r] * factor;
      for (size_t x = 0; x < w; x++) { call->din[k][r * w + x] = other ? g * other[r * w + x] : g; }
    }
  }
}

const nsl_op_impl nsl_op_rowmean = {.word = "rowmean",
                                    .is_local = 1,
                                    .inputs_min = 1,
                                    .inputs_max = 2,
                                    .infer = rowmean_infer,
                                    .macs = rowmean_macs,
                                    .forward = rowmean_forward,
                                    .backward = rowmean_backward};

/* ---- extract: inputs x, v [b][h][w] and q [b*k*h]; saved: the scaled weights and 1/length of each set, per element ---- */

static const float length_eps = 1e-3f;

static int sets_per_band(const nsl_shape3 *in) { return (int)(nsl_shape_size(in[2]) / ((size_t)in[0].c * (size_t)in[0].h)); }

static nsl_status extract_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (!(node->eps > 0.0f)) { return nsl_fail(err, NSL_E_VALUE, "eps must be above 0"); }
  if (in[1].c != in[0].c || in[1].h != in[0].h || in[1].w != in[0].w) {
    return nsl_fail(err, NSL_E_VALUE, "x and v must have one shape");
  }
  size_t rows = (size_t)in[0].c * (size_t)in[0].h;
  if (nsl_shape_size(in[2]) % rows != 0) {
    return nsl_fail(err, NSL_E_VALUE, "%zu row weights for %zu rows", nsl_shape_size(in[2]), rows);
  }
  *out = (nsl_shape3){2 * in[0].c * sets_per_band(in), 1, in[0].w};
  return NSL_OK;
}

static double extract_macs(const nsl_node *node, const nsl_shape3 *in)
{
  (void)node;
  return 2.0 * (double)nsl_shape_size(in[2]) * (double)in[0].w;
}

static size_t extract_element_saved(const nsl_shape3 *in)
{
  return nsl_shape_size(in[2]) + (size_t)in[0].c * (size_t)sets_per_band(in);
}

static size_t extract_saved(const nsl_node *node, const nsl_shape3 *in, int n)
{
  (void)node;
  return (size_t)n * extract_element_saved(in);
}

static size_t extract_scratch(const nsl_node *node, const nsl_shape3 *in, int n, int trainable)
{
  (void)node, (void)n;
  return trainable ? 2 * (size_t)sets_per_band(in) * (size_t)in[0].w + nsl_shape_size(in[2]) : 0;
}

static void extract_forward(const nsl_call *call)
{
  int bands = call->in_shape[0].c, h = call->in_shape[0].h, w = call->in_shape[0].w, k = sets_per_band(call->in_shape);
  size_t plane = (size_t)h * (size_t)w, half = (size_t)(bands * k) * (size_t)w;
  for (int i = 0; i < call->n; i++) {
    const float *x = call->in[0].data + (size_t)i * call->in[0].stride, *v = call->in[1].data + (size_t)i * call->in[1].stride;
    const float *q = call->in[2].data + (size_t)i * call->in[2].stride;
    float *scaled = call->saved + (size_t)i * extract_element_saved(call->in_shape), *inverse = scaled + bands * k * h;
    float *out = call->out + (size_t)i * 2 * half;
    for (int s = 0; s < bands * k; s++) {
      inverse[s] = 1.0f / sqrtf(call->kernels->dot((size_t)h, q + s * h, q + s * h) + length_eps);
      for (int y = 0; y < h; y++) { scaled[s * h + y] = q[s * h + y] * inverse[s]; }
    }
    for (int b = 0; b < bands; b++) {
      size_t at = (size_t)(b * k) * (size_t)w;
      call->kernels->extract(k, h, w, call->node->eps, scaled + b * k * h, x + (size_t)b * plane, v + (size_t)b * plane, out + at,
                             out + half + at);
    }
  }
}

/* Derivatives with respect to A = sum q v x and C = sum q^2 v from those with respect to E = A / sqrt(C + eps) and C. */
static void sums_grad(const nsl_call *call, int n, const float *flux, const float *coverage, const float *de, const float *dc,
                      float *ga, float *gc)
{
  for (int j = 0; j < n; j++) {
    float inverse = 1.0f / (coverage[j] + call->node->eps);
    ga[j] = de[j] * sqrtf(inverse);
    gc[j] = dc[j] - 0.5f * flux[j] * inverse * de[j];
  }
}

/* dx = v sum_k q_k ga_k and dv = x sum_k q_k ga_k + sum_k q_k^2 gc_k of one band; either may be NULL. */
static void pixels_grad(int k, int h, int w, const float *q, const float *x, const float *v, const float *ga, const float *gc,
                        float *dx, float *dv)
{
  for (int y = 0; y < h; y++) {
    for (int j = 0; j < w; j++) {
      float a = 0.0f, c = 0.0f;
      for (int s = 0; s < k; s++) {
        float weight = q[s * h + y];
        a += weight * ga[s * w + j];
        c += weight * weight * gc[s * w + j];
      }
      size_t at = (size_t)y * (size_t)w + (size_t)j;
      if (dx) { dx[at] = v[at] * a; }
      if (dv) { dv[at] = x[at] * a + c; }
    }
  }
}

static void extract_backward(const nsl_call *call)
{
  int bands = call->in_shape[0].c, h = call->in_shape[0].h, w = call->in_shape[0].w, k = sets_per_band(call->in_shape);
  size_t plane = (size_t)h * (size_t)w, half = (size_t)(bands * k) * (size_t)w;
  float *ga = call->scratch, *gc = ga + (size_t)k * (size_t)w, *dscaled = gc + (size_t)k * (size_t)w;
  for (int i = 0; i < call->n; i++) {
    const float *scaled = call->saved + (size_t)i * extract_element_saved(call->in_shape), *inverse = scaled + bands * k * h;
    const float *out = call->out + (size_t)i * 2 * half, *dout = call->dout + (size_t)i * 2 * half;
    for (int b = 0; b < bands; b++) {
      size_t from = ((size_t)i * (size_t)bands + (size_t)b) * plane, at = (size_t)(b * k) * (size_t)w;
      const float *x = call->in[0].data + from, *v = call->in[1].data + from, *q = scaled + b * k * h;
      sums_grad(call, k * w, out + at, out + half + at, dout + at, dout + half + at, ga, gc);
      if (call->din[2]) { call->kernels->extract_grad_q(k, h, w, q, x, v, ga, gc, dscaled + b * k * h); }
      if (call->din[0] || call->din[1]) {
        pixels_grad(k, h, w, q, x, v, ga, gc, call->din[0] ? call->din[0] + from : NULL, call->din[1] ? call->din[1] + from : NULL);
      }
    }
    for (int s = 0; s < bands * k && call->din[2]; s++) {
      /* scaled = q / length: dq = (d - scaled (scaled . d)) / length */
      const float *u = scaled + s * h, *d = dscaled + s * h;
      float along = call->kernels->dot((size_t)h, u, d),
            *dq = call->din[2] + ((size_t)i * (size_t)(bands * k) + (size_t)s) * (size_t)h;
      for (int y = 0; y < h; y++) { dq[y] = (d[y] - u[y] * along) * inverse[s]; }
    }
  }
}

const nsl_op_impl nsl_op_extract = {.word = "extract",
                                    .is_local = 1,
                                    .inputs_min = 3,
                                    .inputs_max = 3,
                                    .infer = extract_infer,
                                    .macs = extract_macs,
                                    .saved = extract_saved,
                                    .scratch = extract_scratch,
                                    .forward = extract_forward,
                                    .backward = extract_backward};
