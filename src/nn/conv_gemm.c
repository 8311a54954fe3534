#include "conv.h"

#include <string.h>

#include "noslit/nn/blas.h"

/* A 1x1 convolution needs no copy: its input is the column matrix. */
static int is_pointwise(const nsl_node *node)
{
  return node->kh == 1 && node->kw == 1 && node->stride_h == 1 && node->stride_w == 1 && node->pad_h == 0 && node->pad_w == 0;
}

static int is_signal(const nsl_node *node, const nsl_shape3 *in)
{
  return in->h == 1 && node->kh == 1 && node->stride_h == 1 && node->pad_h == 0;
}

static size_t column_rows(const nsl_node *node, const nsl_shape3 *in)
{
  return (size_t)in->c * (size_t)node->kh * (size_t)node->kw;
}

size_t nsl_conv_gemm_scratch(const nsl_node *node, const nsl_shape3 *in, int trainable)
{
  size_t columns = column_rows(node, in) * (size_t)(node->out.h * node->out.w), phases = 0;
  if (is_pointwise(node)) { return 0; }
  if (is_signal(node, in)) { phases = (size_t)in->w + (size_t)node->stride_w; }
  return (trainable ? 2 : 1) * columns + phases;
}

/* ---- signals (h = 1) ----
 * Split by stride, a signal is stride_w phases, x[p + s j]. Row (channel, tap) of the column matrix is then a shifted copy of one
 * phase, with zeros at the ends; stride 1 has one phase, the signal itself. */

typedef struct {
  int phase;      /* which phase */
  int shift;      /* column j holds phase[j + shift] */
  int begin, end; /* columns inside the signal */
  int length;     /* of the phase */
} tap;

static tap tap_of(const nsl_node *node, int w, int k)
{
  int s = node->stride_w, offset = k * node->dil_w - node->pad_w;
  tap t = {.phase = ((offset % s) + s) % s};
  t.shift = (offset - t.phase) / s;
  t.length = (w - t.phase + s - 1) / s;
  t.begin = t.shift < 0 ? -t.shift : 0;
  t.end = t.length - t.shift < node->out.w ? t.length - t.shift : node->out.w;
  if (t.begin > node->out.w) { t.begin = node->out.w; }
  if (t.end < t.begin) { t.end = t.begin; }
  return t;
}

/* Phases are stored one after the other; phase p begins where those before it end. */
static size_t phase_start(const nsl_node *node, int w, int phase)
{
  size_t start = 0;
  for (int p = 0; p < phase; p++) { start += (size_t)((w - p + node->stride_w - 1) / node->stride_w); }
  return start;
}

static const float *split(const nsl_node *node, int w, const float *x, float *phases)
{
  int s = node->stride_w;
  if (s == 1) { return x; }
  float *to = phases;
  for (int p = 0; p < s; p++) {
    for (int j = p; j < w; j += s) { *to++ = x[j]; }
  }
  return phases;
}

static void signal_columns(const nsl_node *node, const nsl_shape3 *in, const float *x, float *columns, float *phases)
{
  size_t ow = (size_t)node->out.w;
  for (int c = 0; c < in->c; c++) {
    const float *source = split(node, in->w, x + (size_t)c * (size_t)in->w, phases);
    for (int k = 0; k < node->kw; k++, columns += ow) {
      tap t = tap_of(node, in->w, k);
      const float *from = source + phase_start(node, in->w, t.phase);
      memset(columns, 0, (size_t)t.begin * sizeof(float));
      memcpy(columns + t.begin, from + t.begin + t.shift, (size_t)(t.end - t.begin) * sizeof(float));
      memset(columns + t.end, 0, (ow - (size_t)t.end) * sizeof(float));
    }
  }
}

static void signal_from_columns(const nsl_call *call, const float *columns, float *dx, float *phases)
{
  const nsl_node *node = call->node;
  const nsl_shape3 *in = &call->in_shape[0];
  int s = node->stride_w;
  for (int c = 0; c < in->c; c++, dx += in->w) {
    float *sum = s == 1 ? dx : phases;
    memset(sum, 0, (size_t)in->w * sizeof(float));
    for (int k = 0; k < node->kw; k++, columns += node->out.w) {
      tap t = tap_of(node, in->w, k);
      float *to = sum + phase_start(node, in->w, t.phase) + (t.begin + t.shift);
      call->kernels->add((size_t)(t.end - t.begin), to, columns + t.begin, to);
    }
    for (int p = 0; p < s && s > 1; p++) {
      for (int j = p; j < in->w; j += s) { dx[j] = *sum++; }
    }
  }
}

/* ---- images ---- */

/* The output columns whose tap at kx lies inside the row. */
static void columns_inside(const nsl_node *node, int w, int kx, int *begin, int *end)
{
  int offset = kx * node->dil_w - node->pad_w, s = node->stride_w;
  *begin = offset < 0 ? (-offset + s - 1) / s : 0;
  *end = offset >= w ? 0 : (w - 1 - offset) / s + 1;
  if (*begin > node->out.w) { *begin = node->out.w; }
  if (*end > node->out.w) { *end = node->out.w; }
  if (*end < *begin) { *end = *begin; }
}

static void image_columns(const nsl_node *node, const nsl_shape3 *in, const float *x, float *columns)
{
  size_t ow = (size_t)node->out.w;
  for (int c = 0; c < in->c; c++) {
    for (int ky = 0; ky < node->kh; ky++) {
      for (int kx = 0; kx < node->kw; kx++) {
        int begin, end;
        columns_inside(node, in->w, kx, &begin, &end);
        for (int oy = 0; oy < node->out.h; oy++, columns += ow) {
          int y = oy * node->stride_h - node->pad_h + ky * node->dil_h;
          if (y < 0 || y >= in->h) {
            memset(columns, 0, ow * sizeof(float));
            continue;
          }
          const float *from = x + ((size_t)c * (size_t)in->h + (size_t)y) * (size_t)in->w + kx * node->dil_w - node->pad_w;
          for (int ox = 0; ox < begin; ox++) { columns[ox] = 0.0f; }
          for (int ox = begin; ox < end; ox++) { columns[ox] = from[ox * node->stride_w]; }
          for (int ox = end; ox < node->out.w; ox++) { columns[ox] = 0.0f; }
        }
      }
    }
  }
}

static void image_from_columns(const nsl_call *call, const float *columns, float *dx)
{
  const nsl_node *node = call->node;
  const nsl_shape3 *in = &call->in_shape[0];
  memset(dx, 0, nsl_shape_size(*in) * sizeof(float));
  for (int c = 0; c < in->c; c++) {
    for (int ky = 0; ky < node->kh; ky++) {
      for (int kx = 0; kx < node->kw; kx++) {
        int begin, end;
        columns_inside(node, in->w, kx, &begin, &end);
        for (int oy = 0; oy < node->out.h; oy++, columns += node->out.w) {
          int y = oy * node->stride_h - node->pad_h + ky * node->dil_h;
          if (y < 0 || y >= in->h) { continue; }
          float *to = dx + ((size_t)c * (size_t)in->h + (size_t)y) * (size_t)in->w + kx * node->dil_w - node->pad_w;
          for (int ox = begin; ox < end; ox++) { to[ox * node->stride_w] += columns[ox]; }
        }
      }
    }
  }
}

/* ---- */

static const float *make_columns(const nsl_call *call, const float *x, float *columns, float *phases)
{
  if (is_pointwise(call->node)) { return x; }
  if (is_signal(call->node, &call->in_shape[0])) {
    signal_columns(call->node, &call->in_shape[0], x, columns, phases);
  } else {
    image_columns(call->node, &call->in_shape[0], x, columns);
  }
  return columns;
}

void nsl_conv_gemm_forward(const nsl_call *call)
{
  const nsl_node *node = call->node;
  int rows = (int)column_rows(node, &call->in_shape[0]), hw = node->out.h * node->out.w;
  size_t size = nsl_shape_size(node->out);
  float *phases = call->scratch + (size_t)rows * (size_t)hw;
  for (int i = 0; i < call->n; i++) {
    const float *columns = make_columns(call, call->in[0].data + (size_t)i * call->in[0].stride, call->scratch, phases);
    float *out = call->out + (size_t)i * size;
    for (int o = 0; o < node->c_out && node->has_bias; o++) {
      for (int k = 0; k < hw; k++) { out[(size_t)o * (size_t)hw + (size_t)k] = call->param[1].value[o]; }
    }
    nsl_sgemm(0, 0, node->c_out, hw, rows, 1.0f, call->param[0].value, rows, columns, hw, node->has_bias ? 1.0f : 0.0f, out, hw);
  }
}

void nsl_conv_gemm_backward(const nsl_call *call)
{
  const nsl_node *node = call->node;
  const nsl_shape3 *in = &call->in_shape[0];
  int rows = (int)column_rows(node, in), hw = node->out.h * node->out.w;
  size_t size = nsl_shape_size(node->out), in_size = nsl_shape_size(*in);
  float *column_grad = call->scratch + (size_t)rows * (size_t)hw, *phases = column_grad + (size_t)rows * (size_t)hw;
  for (int i = 0; i < call->n; i++) {
    const float *dout = call->dout + (size_t)i * size;
    const float *columns = make_columns(call, call->in[0].data + (size_t)i * in_size, call->scratch, phases);
    nsl_sgemm(0, 1, node->c_out, rows, hw, 1.0f, dout, hw, columns, hw, 1.0f, call->param[0].grad, rows);
    for (int o = 0; o < node->c_out && node->has_bias; o++) {
      call->param[1].grad[o] += call->kernels->sum((size_t)hw, dout + (size_t)o * (size_t)hw);
    }
    if (!call->din[0]) { continue; }
    float *dx = call->din[0] + (size_t)i * in_size;
    float *to = is_pointwise(node) ? dx : column_grad;
    nsl_sgemm(1, 0, rows, hw, node->c_out, 1.0f, call->param[0].value, rows, dout, hw, 0.0f, to, hw);
    if (is_pointwise(node)) { continue; }
    if (is_signal(node, in)) {
      signal_from_columns(call, column_grad, dx, phases);
    } else {
      image_from_columns(call, column_grad, dx);
    }
  }
}
