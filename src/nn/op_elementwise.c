/* Ops that act number by number: add, bias, relu, gelu, asinh. */
#include <math.h>
#include <string.h>

#include "op.h"

static nsl_status infer_same(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  for (int k = 1; k < node->n_in; k++) {
    if (in[k].c != in[0].c || in[k].h != in[0].h || in[k].w != in[0].w) {
      return nsl_fail(err, NSL_E_VALUE, "input %d is %dx%dx%d, input 0 is %dx%dx%d", k, in[k].c, in[k].h, in[k].w, in[0].c, in[0].h,
                      in[0].w);
    }
  }
  *out = in[0];
  return NSL_OK;
}

static const float *element(const nsl_call *call, int k, int i) { return call->in[k].data + (size_t)i * call->in[k].stride; }

/* ---- add ---- */

static void add_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) {
    call->kernels->add(size, element(call, 0, i), element(call, 1, i), call->out + (size_t)i * size);
  }
}

static void add_backward(const nsl_call *call)
{
  size_t bytes = (size_t)call->n * nsl_shape_size(call->node->out) * sizeof(float);
  for (int k = 0; k < 2; k++) {
    if (call->din[k]) { memcpy(call->din[k], call->dout, bytes); }
  }
}

const nsl_op_impl nsl_op_add = {.word = "add",
                                .is_local = 1,
                                .inputs_min = 2,
                                .inputs_max = 2,
                                .is_affine = 1,
                                .infer = infer_same,
                                .forward = add_forward,
                                .backward = add_backward};

/* ---- bias ---- */

static int bias_params(const nsl_node *node, const nsl_shape3 *in, nsl_param_spec *specs)
{
  (void)node;
  specs[0] = (nsl_param_spec){.suffix = "bias", .rank = 1, .dims = {(int)nsl_shape_size(in[0])}, .init = NSL_INIT_VALUE};
  return 1;
}

static void bias_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) {
    call->kernels->add(size, element(call, 0, i), call->param[0].value, call->out + (size_t)i * size);
  }
}

static void bias_backward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  float *grad = call->param[0].grad;
  for (int i = 0; i < call->n; i++) { call->kernels->add(size, grad, call->dout + (size_t)i * size, grad); }
  if (call->din[0]) { memcpy(call->din[0], call->dout, (size_t)call->n * size * sizeof(float)); }
}

const nsl_op_impl nsl_op_bias = {.word = "bias",
                                 .is_local = 1,
                                 .inputs_min = 1,
                                 .inputs_max = 1,
                                 .is_affine = 1,
                                 .infer = infer_same,
                                 .params = bias_params,
                                 .forward = bias_forward,
                                 .backward = bias_backward};

/* ---- activations ---- */

static void relu_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) { call->kernels->relu(size, element(call, 0, i), call->out + (size_t)i * size); }
}

static void relu_backward(const nsl_call *call)
{
  call->kernels->relu_grad((size_t)call->n * nsl_shape_size(call->node->out), call->in[0].data, call->dout, call->din[0]);
}

const nsl_op_impl nsl_op_relu = {.word = "relu",
                                 .is_local = 1,
                                 .inputs_min = 1,
                                 .inputs_max = 1,
                                 .infer = infer_same,
                                 .forward = relu_forward,
                                 .backward = relu_backward};

static void gelu_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) { call->kernels->gelu(size, element(call, 0, i), call->out + (size_t)i * size); }
}

static void gelu_backward(const nsl_call *call)
{
  call->kernels->gelu_grad((size_t)call->n * nsl_shape_size(call->node->out), call->in[0].data, call->dout, call->din[0]);
}

const nsl_op_impl nsl_op_gelu = {.word = "gelu",
                                 .is_local = 1,
                                 .inputs_min = 1,
                                 .inputs_max = 1,
                                 .infer = infer_same,
                                 .forward = gelu_forward,
                                 .backward = gelu_backward};

static void asinh_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  if (call->out_lanes) {
    const float *x = nsl_view_in_lanes(call, 0, size, call->out);
    call->kernels->asinh(size * NSL_LANES, call->node->scale, x, call->out);
    return;
  }
  if (call->in[0].lanes) {
    call->kernels->from_lanes(call->n, size, call->in[0].data, call->out, size);
    call->kernels->asinh((size_t)call->n * size, call->node->scale, call->out, call->out);
    return;
  }
  for (int i = 0; i < call->n; i++) {
    call->kernels->asinh(size, call->node->scale, element(call, 0, i), call->out + (size_t)i * size);
  }
}

static void asinh_backward(const nsl_call *call)
{
  call->kernels->asinh_grad((size_t)call->n * nsl_shape_size(call->node->out), call->node->scale, call->in[0].data, call->dout,
                            call->din[0]);
}

const nsl_op_impl nsl_op_asinh = {.word = "asinh",
                                  .is_local = 1,
                                  .knows_lanes = 1,
                                  .inputs_min = 1,
                                  .inputs_max = 1,
                                  .infer = infer_same,
                                  .forward = asinh_forward,
                                  .backward = asinh_backward};
