/* Ops that only move numbers: input, constant, reshape, concat, slice, interleave. */
#include <string.h>

#include "op.h"

static nsl_status infer_given(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  (void)in;
  *out = node->out;
  if (out->c < 1 || out->h < 1 || out->w < 1) { return nsl_fail(err, NSL_E_VALUE, "c, h and w must be given"); }
  if (node->op == NSL_OP_CONSTANT && (size_t)node->n_const != nsl_shape_size(*out)) {
    return nsl_fail(err, NSL_E_VALUE, "%d values for the shape %dx%dx%d", node->n_const, out->c, out->h, out->w);
  }
  return NSL_OK;
}

const nsl_op_impl nsl_op_input = {.word = "input", .is_local = 1, .is_affine = 1, .infer = infer_given};

static void constant_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) { memcpy(call->out + (size_t)i * size, call->node->constant, size * sizeof(float)); }
}

const nsl_op_impl nsl_op_constant = {.word = "constant", .is_affine = 1, .infer = infer_given, .forward = constant_forward};

/* ---- reshape ---- */

static nsl_status reshape_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  *out = node->out;
  if (nsl_shape_size(*out) != nsl_shape_size(in[0]) || out->c < 1 || out->h < 1 || out->w < 1) {
    return nsl_fail(err, NSL_E_VALUE, "%dx%dx%d cannot be shaped as %dx%dx%d", in[0].c, in[0].h, in[0].w, out->c, out->h, out->w);
  }
  return NSL_OK;
}

static void reshape_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) {
    memcpy(call->out + (size_t)i * size, call->in[0].data + (size_t)i * call->in[0].stride, size * sizeof(float));
  }
}

static void reshape_backward(const nsl_call *call)
{
  memcpy(call->din[0], call->dout, (size_t)call->n * nsl_shape_size(call->node->out) * sizeof(float));
}

const nsl_op_impl nsl_op_reshape = {.word = "reshape",
                                    .is_local = 1,
                                    .inputs_min = 1,
                                    .inputs_max = 1,
                                    .is_affine = 1,
                                    .infer = reshape_infer,
                                    .forward = reshape_forward,
                                    .backward = reshape_backward};

/* ---- concat ---- */

static nsl_status concat_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  *out = in[0];
  for (int k = 1; k < node->n_in; k++) {
    if (in[k].h != in[0].h || in[k].w != in[0].w) {
      return nsl_fail(err, NSL_E_VALUE, "input %d is %dx%d, input 0 is %dx%d", k, in[k].h, in[k].w, in[0].h, in[0].w);
    }
    out->c += in[k].c;
  }
  return NSL_OK;
}

static void concat_forward(const nsl_call *call)
{
  float *to = call->out;
  for (int i = 0; i < call->n; i++) {
    for (int k = 0; k < call->node->n_in; k++) {
      size_t size = nsl_shape_size(call->in_shape[k]);
      memcpy(to, call->in[k].data + (size_t)i * call->in[k].stride, size * sizeof(float));
      to += size;
    }
  }
}

static void concat_backward(const nsl_call *call)
{
  const float *from = call->dout;
  for (int i = 0; i < call->n; i++) {
    for (int k = 0; k < call->node->n_in; k++) {
      size_t size = nsl_shape_size(call->in_shape[k]);
      if (call->din[k]) { memcpy(call->din[k] + (size_t)i * size, from, size * sizeof(float)); }
      from += size;
    }
  }
}

const nsl_op_impl nsl_op_concat = {.word = "concat",
                                   .is_local = 1,
                                   .inputs_min = 1,
                                   .inputs_max = NSL_NODE_INPUTS_MAX,
                                   .is_affine = 1,
                                   .infer = concat_infer,
                                   .forward = concat_forward,
                                   .backward = concat_backward};

/* ---- slice ---- */

static nsl_status slice_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  *out = in[0];
  out->c = node->c_out;
  if (node->first < 0 || node->c_out < 1 || node->first > in[0].c - node->c_out) {
    return nsl_fail(err, NSL_E_VALUE, "channels %d to %d of %d", node->first, node->first + node->c_out - 1, in[0].c);
  }
  return NSL_OK;
}

static size_t slice_offset(const nsl_call *call)
{
  return (size_t)call->node->first * (size_t)call->in_shape[0].h * (size_t)call->in_shape[0].w;
}

static void slice_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  size_t stride = call->in[0].stride;
  const float *from = call->in[0].data + slice_offset(call) * (call->in[0].lanes ? NSL_LANES : 1);
  if (call->in[0].lanes && call->out_lanes) {
    memcpy(call->out, from, size * NSL_LANES * sizeof(float));
  } else if (call->in[0].lanes) {
    call->kernels->from_lanes(call->n, size, from, call->out, size);
  } else if (call->out_lanes) {
    call->kernels->to_lanes(call->n, size, from, stride, call->out);
  }
  if (call->in[0].lanes || call->out_lanes) { return; }
  for (int i = 0; i < call->n; i++) { memcpy(call->out + (size_t)i * size, from + (size_t)i * stride, size * sizeof(float)); }
}

static void slice_backward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out), whole = nsl_shape_size(call->in_shape[0]), offset = slice_offset(call);
  memset(call->din[0], 0, (size_t)call->n * whole * sizeof(float));
  for (int i = 0; i < call->n; i++) {
    memcpy(call->din[0] + (size_t)i * whole + offset, call->dout + (size_t)i * size, size * sizeof(float));
  }
}

const nsl_op_impl nsl_op_slice = {.word = "slice",
                                  .is_local = 1,
                                  .knows_lanes = 1,
                                  .inputs_min = 1,
                                  .inputs_max = 1,
                                  .is_affine = 1,
                                  .infer = slice_infer,
                                  .forward = slice_forward,
                                  .backward = slice_backward};

/* ---- interleave ---- */

static nsl_status interleave_infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  (void)node;
  if (in[0].h != 1) { return nsl_fail(err, NSL_E_VALUE, "the input must have h = 1, not %d", in[0].h); }
  *out = (nsl_shape3){1, 1, in[0].w * in[0].c};
  return NSL_OK;
}

static void interleave_forward(const nsl_call *call)
{
  int c = call->in_shape[0].c, w = call->in_shape[0].w;
  for (int i = 0; i < call->n; i++) {
    const float *from = call->in[0].data + (size_t)i * call->in[0].stride;
    float *to = call->out + (size_t)i * (size_t)(c * w);
    for (int x = 0; x < w; x++) {
      for (int k = 0; k < c; k++) { to[x * c + k] = from[k * w + x]; }
    }
  }
}

static void interleave_backward(const nsl_call *call)
{
  int c = call->in_shape[0].c, w = call->in_shape[0].w;
  for (int i = 0; i < call->n; i++) {
    const float *from = call->dout + (size_t)i * (size_t)(c * w);
    float *to = call->din[0] + (size_t)i * (size_t)(c * w);
    for (int x = 0; x < w; x++) {
      for (int k = 0; k < c; k++) { to[k * w + x] = from[x * c + k]; }
    }
  }
}

const nsl_op_impl nsl_op_interleave = {.word = "interleave",
                                       .is_local = 1,
                                       .inputs_min = 1,
                                       .inputs_max = 1,
                                       .is_affine = 1,
                                       .infer = interleave_infer,
                                       .forward = interleave_forward,
                                       .backward = interleave_backward};
