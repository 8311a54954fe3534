/* Max pooling and global average pooling. */
#include <math.h>
#include <string.h>

#include "op.h"

/* ---- maxpool: saved is the index of the maximum within the channel's plane, as int, [n][out] ---- */

static nsl_status maxpool_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (node->kh < 1 || node->kw < 1 || node->stride_h < 1 || node->stride_w < 1 || node->pad_h < 0 || node->pad_w < 0 ||
      2 * node->pad_h > node->kh || 2 * node->pad_w > node->kw) {
    return nsl_fail(err, NSL_E_VALUE, "kh, kw and the strides must be at least 1, pads 0 to half the kernel");
  }
  if (in[0].h + 2 * node->pad_h < node->kh || in[0].w + 2 * node->pad_w < node->kw) {
    return nsl_fail(err, NSL_E_VALUE, "the kernel %dx%d is larger than the padded input", node->kh, node->kw);
  }
  *out = (nsl_shape3){in[0].c, (in[0].h + 2 * node->pad_h - node->kh) / node->stride_h + 1,
                      (in[0].w + 2 * node->pad_w - node->kw) / node->stride_w + 1};
  return NSL_OK;
}

static size_t maxpool_saved(const nsl_node *node, const nsl_shape3 *in, int n)
{
  (void)in;
  return (size_t)n * nsl_shape_size(node->out);
}

static int argmax_of_window(const nsl_call *call, const float *plane, int oy, int ox)
{
  const nsl_node *node = call->node;
  nsl_shape3 in = call->in_shape[0];
  int best = -1;
  for (int ky = 0; ky < node->kh; ky++) {
    int y = oy * node->stride_h - node->pad_h + ky;
    if (y < 0 || y >= in.h) { continue; }
    for (int kx = 0; kx < node->kw; kx++) {
      int x = ox * node->stride_w - node->pad_w + kx;
      if (x < 0 || x >= in.w) { continue; }
      if (best < 0 || plane[y * in.w + x] > plane[best]) { best = y * in.w + x; }
    }
  }
  return best;
}

static void maxpool_forward(const nsl_call *call)
{
  nsl_shape3 in = call->in_shape[0], out = call->node->out;
  size_t at = 0;
  for (int i = 0; i < call->n; i++) {
    for (int c = 0; c < in.c; c++) {
      const float *plane = call->in[0].data + (size_t)i * call->in[0].stride + (size_t)c * (size_t)(in.h * in.w);
      for (int oy = 0; oy < out.h; oy++) {
        for (int ox = 0; ox < out.w; ox++, at++) {
          int32_t best = argmax_of_window(call, plane, oy, ox);
          call->out[at] = plane[best];
          if (call->mode == NSL_MODE_TRAIN) { memcpy(&call->saved[at], &best, sizeof best); }
        }
      }
    }
  }
}

static void maxpool_backward(const nsl_call *call)
{
  nsl_shape3 in = call->in_shape[0], out = call->node->out;
  size_t at = 0, planes = (size_t)call->n * (size_t)in.c;
  memset(call->din[0], 0, planes * (size_t)(in.h * in.w) * sizeof(float));
  for (size_t p = 0; p < planes; p++) {
    for (int k = 0; k < out.h * out.w; k++, at++) {
      int32_t best;
      memcpy(&best, &call->saved[at], sizeof best);
      call->din[0][p * (size_t)(in.h * in.w) + (size_t)best] += call->dout[at];
    }
  }
}

const nsl_op_impl nsl_op_maxpool = {.word = "maxpool",
                                    .inputs_min = 1,
                                    .inputs_max = 1,
                                    .infer = maxpool_infer,
                                    .saved = maxpool_saved,
                                    .forward = maxpool_forward,
                                    .backward = maxpool_backward};

/* ---- gap ---- */

static nsl_status gap_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  (void)node, (void)err;
  *out = (nsl_shape3){in[0].c, 1, 1};
  return NSL_OK;
}

static void gap_forward(const nsl_call *call)
{
  int n_c = call->in_shape[0].c;
  size_t hw = (size_t)call->in_shape[0].h * (size_t)call->in_shape[0].w;
  for (int i = 0; i < call->n; i++) {
    for (int c = 0; c < n_c; c++) {
      const float *plane = call->in[0].data + (size_t)i * call->in[0].stride + (size_t)c * hw;
      call->out[i * n_c + c] = call->kernels->sum(hw, plane) / (float)hw;
    }
  }
}

static void gap_backward(const nsl_call *call)
{
  size_t hw = (size_t)call->in_shape[0].h * (size_t)call->in_shape[0].w, planes = (size_t)call->n * (size_t)call->in_shape[0].c;
  for (size_t p = 0; p < planes; p++) {
    float g = call->dout[p] / (float)hw;
    for (size_t k = 0; k < hw; k++) { call->din[0][p * hw + k] = g; }
  }
}

const nsl_op_impl nsl_op_gap = {.word = "gap",
                                .inputs_min = 1,
                                .inputs_max = 1,
                                .is_affine = 1,
                                .infer = gap_infer,
                                .forward = gap_forward,
                                .backward = gap_backward};
