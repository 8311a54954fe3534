/* Convolution: shapes, weights, and the choice of the way (backend). */
#include <math.h>

#include "conv.h"

nsl_backend nsl_backend_best(void)
{
  return (nsl_backend){
      .kernels = nsl_kernels_best(), .conv_forward = nsl_conv_gemm_forward, .conv_backward = nsl_conv_gemm_backward, .fuses = 1};
}

nsl_backend nsl_backend_reference(void)
{
  return (nsl_backend){.kernels = nsl_kernels_at(0), .conv_forward = nsl_conv_ref_forward, .conv_backward = nsl_conv_ref_backward};
}

static nsl_status infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (node->c_out < 1 || node->kh < 1 || node->kw < 1 || node->stride_h < 1 || node->stride_w < 1 || node->dil_h < 1 ||
      node->dil_w < 1 || node->pad_h < 0 || node->pad_w < 0) {
    return nsl_fail(err, NSL_E_VALUE, "c_out, kernel, strides and dilations must be at least 1, pads at least 0");
  }
  int reach_h = (node->kh - 1) * node->dil_h + 1, reach_w = (node->kw - 1) * node->dil_w + 1;
  if (in[0].h + 2 * node->pad_h < reach_h || in[0].w + 2 * node->pad_w < reach_w) {
    return nsl_fail(err, NSL_E_VALUE, "the kernel reaches over %dx%d, the padded input is smaller", reach_h, reach_w);
  }
  *out = (nsl_shape3){node->c_out, (in[0].h + 2 * node->pad_h - reach_h) / node->stride_h + 1,
                      (in[0].w + 2 * node->pad_w - reach_w) / node->stride_w + 1};
  return NSL_OK;
}

static int params(const nsl_node *node, const nsl_shape3 *in, nsl_param_spec *specs)
{
  double bound = 1.0 / sqrt((double)in[0].c * node->kh * node->kw);
  specs[0] = (nsl_param_spec){.suffix = "weight",
                              .rank = 4,
                              .dims = {node->c_out, in[0].c, node->kh, node->kw},
                              .init = NSL_INIT_UNIFORM,
                              .amount = bound * (double)node->scale};
  specs[1] = (nsl_param_spec){.suffix = "bias", .rank = 1, .dims = {node->c_out}, .init = NSL_INIT_UNIFORM, .amount = bound};
  return node->has_bias ? 2 : 1;
}

static double macs(const nsl_node *node, const nsl_shape3 *in)
{
  return (double)nsl_shape_size(node->out) * in[0].c * node->kh * node->kw;
}

static size_t scratch(const nsl_node *node, const nsl_shape3 *in, int n, int trainable)
{
  (void)n;
  return nsl_conv_gemm_scratch(node, in, trainable);
}

static void forward(const nsl_call *call) { call->backend->conv_forward(call); }
static void backward(const nsl_call *call) { call->backend->conv_backward(call); }

static int accepts_one_hot(const nsl_node *node, const nsl_shape3 *in)
{
  (void)in;
  return node->kh == 1 && node->kw == 1 && node->stride_h == 1 && node->stride_w == 1 && node->pad_h == 0 && node->pad_w == 0;
}

static void forward_one_hot(const nsl_call *call)
{
  const nsl_node *node = call->node;
  int n_c = call->in_shape[0].c;
  size_t hw = (size_t)node->out.h * (size_t)node->out.w;
  float *out = call->out;
  for (int e = 0; e <= n_c; e++) {
    for (int o = 0; o < node->c_out; o++, out += hw) {
      float bias = node->has_bias ? call->param[1].value[o] : 0.0f;
      float weight = e ? call->param[0].value[o * n_c + e - 1] : 0.0f;
      call->kernels->affine(hw, weight, bias, call->in[0].data + (size_t)(e ? e - 1 : 0) * hw, out);
    }
  }
}

const nsl_op_impl nsl_op_conv = {.word = "conv",
                                 .inputs_min = 1,
                                 .inputs_max = 1,
                                 .is_affine = 1,
                                 .infer = infer,
                                 .params = params,
                                 .macs = macs,
                                 .scratch = scratch,
                                 .forward = forward,
                                 .backward = backward,
                                 .accepts_one_hot = accepts_one_hot,
                                 .forward_one_hot = forward_one_hot};
