/* Short words for writing a network down: each adds a node and returns its index, or -1 once something has failed; the first
 * failure is kept. Private. */
#ifndef NOSLIT_SRC_NN_BUILDER_H
#define NOSLIT_SRC_NN_BUILDER_H

#include "noslit/nn/graph.h"

typedef struct {
  nsl_graph graph;
  nsl_status status;
  nsl_error *err;
} nsl_builder;

/* A node's name by a printf format, in buffer (which is returned); too long a name is a failure of the build. */
const char *nsl_build_name(nsl_builder *b, char buffer[NSL_NODE_NAME_MAX], const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

int nsl_build(nsl_builder *b, const char *name, nsl_node node);      /* as given */
int nsl_build1(nsl_builder *b, const char *name, nsl_op op, int in); /* one input, no parameters */
int nsl_build_input(nsl_builder *b, const char *name, int c, int h, int w);
int nsl_build_dense(nsl_builder *b, const char *name, int in, int c_out); /* with bias */
int nsl_build_conv1d(nsl_builder *b, const char *name, int in, int c_out, int k, int stride,
                     int dilation); /* with bias, pad for "same" */
int nsl_build_add(nsl_builder *b, const char *name, int x, int y);
int nsl_build_concat(nsl_builder *b, const char *name, int n, const int *in);
/* x + conv(gelu(bn(conv(gelu(bn(x)))))): a pre-activation residual block of k taps; nodes "<name>_bn1" and so on. */
int nsl_build_residual1d(nsl_builder *b, const char *name, int in, int channels, int k, int dilation);
/* Hands the graph over, or frees it and returns the first failure. */
nsl_status nsl_build_end(nsl_builder *b, nsl_graph *out);

#endif
