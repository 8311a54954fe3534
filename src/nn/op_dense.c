/* Fully connected layer. A batch is one GEMM where bits may depend on the batch, and dot products where they may not. */
#include <math.h>
#include <string.h>

#include "noslit/nn/blas.h"
#include "op.h"

static nsl_status infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  (void)in;
  if (node->c_out < 1) { return nsl_fail(err, NSL_E_VALUE, "c_out must be at least 1"); }
  if (node->n_const && (node->n_const != node->c_out || !node->has_bias)) {
    return nsl_fail(err, NSL_E_VALUE, "%d initial bias values for c_out %d, bias %d", node->n_const, node->c_out, node->has_bias);
  }
  *out = (nsl_shape3){node->c_out, 1, 1};
  return NSL_OK;
}

static int params(const nsl_node *node, const nsl_shape3 *in, nsl_param_spec *specs)
{
  int n_in = (int)nsl_shape_size(in[0]);
  double bound = 1.0 / sqrt((double)n_in);
  specs[0] = (nsl_param_spec){
      .suffix = "weight", .rank = 2, .dims = {node->c_out, n_in}, .init = NSL_INIT_UNIFORM, .amount = bound * (double)node->scale};
  specs[1] = (nsl_param_spec){.suffix = "bias", .rank = 1, .dims = {node->c_out}, .init = NSL_INIT_UNIFORM, .amount = bound};
  if (node->n_const) {
    specs[1].init = NSL_INIT_COPY;
    specs[1].values = node->constant;
  }
  return node->has_bias ? 2 : 1;
}

static double macs(const nsl_node *node, const nsl_shape3 *in) { return (double)node->c_out * (double)nsl_shape_size(in[0]); }

static void forward(const nsl_call *call)
{
  int n_in = (int)nsl_shape_size(call->in_shape[0]), n_out = call->node->c_out;
  const float *w = call->param[0].value, *bias = call->node->has_bias ? call->param[1].value : NULL;
  for (int i = 0; i < call->n; i++) {
    float *y = call->out + (size_t)i * (size_t)n_out;
    if (call->batched && bias) {
      memcpy(y, bias, (size_t)n_out * sizeof(float));
    } else if (!call->batched) {
      call->kernels->dots((size_t)n_in, n_out, w, call->in[0].data + (size_t)i * call->in[0].stride, y);
      if (bias) { call->kernels->add((size_t)n_out, y, bias, y); }
    }
  }
  if (call->batched) {
    nsl_sgemm(0, 1, call->n, n_out, n_in, 1.0f, call->in[0].data, (int)call->in[0].stride, w, n_in, bias ? 1.0f : 0.0f, call->out,
              n_out);
  }
}

static void backward(const nsl_call *call)
{
  int n_in = (int)nsl_shape_size(call->in_shape[0]), n_out = call->node->c_out;
  nsl_sgemm(1, 0, n_out, n_in, call->n, 1.0f, call->dout, n_out, call->in[0].data, n_in, 1.0f, call->param[0].grad, n_in);
  for (int i = 0; i < call->n && call->node->has_bias; i++) {
    call->kernels->add((size_t)n_out, call->param[1].grad, call->dout + (size_t)i * (size_t)n_out, call->param[1].grad);
  }
  if (call->din[0]) {
    nsl_sgemm(0, 0, call->n, n_in, n_out, 1.0f, call->dout, n_out, call->param[0].value, n_in, 0.0f, call->din[0], n_in);
  }
}

const nsl_op_impl nsl_op_dense = {.word = "dense",
                                  .is_local = 1,
                                  .inputs_min = 1,
                                  .inputs_max = 1,
                                  .is_affine = 1,
                                  .infer = infer,
                                  .params = params,
                                  .macs = macs,
                                  .forward = forward,
                                  .backward = backward};
