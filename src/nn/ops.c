#include "op.h"

const nsl_op_impl *nsl_op_impl_of(nsl_op op)
{
  static const nsl_op_impl *const table[NSL_OP_COUNT] = {
      [NSL_OP_INPUT] = &nsl_op_input,
      [NSL_OP_CONV] = &nsl_op_conv,
      [NSL_OP_DENSE] = &nsl_op_dense,
      [NSL_OP_BATCHNORM] = &nsl_op_batchnorm,
      [NSL_OP_RELU] = &nsl_op_relu,
      [NSL_OP_GELU] = &nsl_op_gelu,
      [NSL_OP_ASINH] = &nsl_op_asinh,
      [NSL_OP_MAXPOOL] = &nsl_op_maxpool,
      [NSL_OP_GAP] = &nsl_op_gap,
      [NSL_OP_ADD] = &nsl_op_add,
      [NSL_OP_CONCAT] = &nsl_op_concat,
      [NSL_OP_RESHAPE] = &nsl_op_reshape,
      [NSL_OP_DROPOUT] = &nsl_op_dropout,
      [NSL_OP_ROWMEAN] = &nsl_op_rowmean,
      [NSL_OP_EXTRACT] = &nsl_op_extract,
      [NSL_OP_SLICE] = &nsl_op_slice,
      [NSL_OP_RESAMPLE] = &nsl_op_resample,
      [NSL_OP_CONSTANT] = &nsl_op_constant,
      [NSL_OP_CORRELATE] = &nsl_op_correlate,
      [NSL_OP_INTERLEAVE] = &nsl_op_interleave,
      [NSL_OP_BIAS] = &nsl_op_bias,
  };
  return table[op];
}

const float *nsl_view_in_lanes(const nsl_call *call, int k, size_t size, float *staged)
{
  if (call->in[k].lanes) { return call->in[k].data; }
  call->kernels->to_lanes(call->n, size, call->in[k].data, call->in[k].stride, staged);
  return staged;
}
