/* The ways to compute a convolution; the backend says which. Private. */
#ifndef NOSLIT_SRC_NN_CONV_H
#define NOSLIT_SRC_NN_CONV_H

#include "op.h"

/* Six nested loops in double precision: the oracle. */
void nsl_conv_ref_forward(const nsl_call *call);
void nsl_conv_ref_backward(const nsl_call *call);

/* im2col and sgemm, an element at a time, so that bits do not depend on the batch. */
void nsl_conv_gemm_forward(const nsl_call *call);
void nsl_conv_gemm_backward(const nsl_call *call);
size_t nsl_conv_gemm_scratch(const nsl_node *node, const nsl_shape3 *in, int trainable);

#endif
