/* A network as a list of nodes in execution order. Pure description: no weights, no memory plan. It can be written as text
 * and read back, and that text is what a model file carries. The nn layer knows nothing of astronomy.
 *
 * Tensors are [n][c][h][w], float32, row-major; n is the batch. One-dimensional signals have h = 1. */
#ifndef NOSLIT_NN_GRAPH_H
#define NOSLIT_NN_GRAPH_H

#include <stddef.h>

#include "noslit/base/status.h"

/* X(enum, word): what a node does. Parameters are in nsl_node; learned tensors are named "<node>.<weight|bias|...>". */
#define NSL_OP_LIST(X)                                                                                                             \
  X(NSL_OP_INPUT, "input")         /* c, h, w given */                                                                             \
  X(NSL_OP_CONV, "conv")           /* c_out, kh, kw, stride, pad, dilation (h and w each), has_bias; weight [co][ci][kh][kw] */    \
  X(NSL_OP_DENSE, "dense")         /* c_out; flattens its input; weight [co][ci*h*w], bias [co]; a constant is its initial bias */ \
  X(NSL_OP_BATCHNORM, "batchnorm") /* weight, bias, mean, var [c]; eps, momentum as PyTorch */                                     \
  X(NSL_OP_RELU, "relu")                                                                                                           \
  X(NSL_OP_GELU, "gelu")             /* exact: x Phi(x) */                                                                         \
  X(NSL_OP_ASINH, "asinh")           /* asinh(scale x) */                                                                          \
  X(NSL_OP_MAXPOOL, "maxpool")       /* kh, kw, stride, pad */                                                                     \
  X(NSL_OP_GAP, "gap")               /* mean over h, w */                                                                          \
  X(NSL_OP_ADD, "add")               /* two inputs of one shape */                                                                 \
  X(NSL_OP_CONCAT, "concat")         /* along c; h, w equal */                                                                     \
  X(NSL_OP_RESHAPE, "reshape")       /* c, h, w given */                                                                           \
  X(NSL_OP_DROPOUT, "dropout")       /* rate; channel: 1 drops whole channels, 0 single elements; scaled by 1/(1-rate) */          \
  X(NSL_OP_ROWMEAN, "rowmean")       /* inputs x, v [c][h][w] (v optional): mean over w of x v, times scale -> [c][h][1] */        \
  X(NSL_OP_EXTRACT, "extract")       /* inputs x, v [b][h][w], q [b*k*h]: row weights q scaled to unit length over h:              \
                                        q / sqrt(sum_y q^2 + 1e-3); out channels b*k flux sum_y q v x / sqrt(sum_y q^2 v + eps),   \
                                        then b*k coverage sum_y q^2 v; order [b][k] in both halves */                              \
  X(NSL_OP_SLICE, "slice")           /* channels first .. first + c_out - 1 */                                                     \
  X(NSL_OP_RESAMPLE, "resample")     /* along w by linear interpolation at constant positions, n_out a channel group (the channels \
                                        are split evenly); 0 outside. From w = 1 with positions 0 it is a broadcast along w */     \
  X(NSL_OP_CONSTANT, "constant")     /* a fixed tensor [c][h][w], repeated over the batch */                                       \
  X(NSL_OP_CORRELATE, "correlate")   /* [c][1][n] -> [co][1][m]: o[h,j] = b[h,j] + sum_{c,i} W[h,c,i + (m-1) - j] f[c,i];          \
                                        weight [co][c][n+m-1], bias [co][m] */                                                     \
  X(NSL_OP_INTERLEAVE, "interleave") /* [c][1][w] -> [1][1][w*c]: out[x*c + i] = in[i][x] */                                       \
  X(NSL_OP_BIAS, "bias")             /* adds a learned tensor of the input's shape */

#define NSL_OP_ENUM(name, word) name,
typedef enum { NSL_OP_LIST(NSL_OP_ENUM) NSL_OP_COUNT } nsl_op;
#undef NSL_OP_ENUM

#define NSL_NODE_INPUTS_MAX 8
#define NSL_NODE_NAME_MAX 40
#define NSL_GRAPH_NODES_MAX 4096

typedef struct {
  int c, h, w;
} nsl_shape3;

typedef struct {
  nsl_op op;
  char name[NSL_NODE_NAME_MAX];
  int n_in, in[NSL_NODE_INPUTS_MAX]; /* indices of earlier nodes */
  nsl_shape3 out;                    /* shape per batch element, filled by nsl_graph_add */
  int c_out, kh, kw, stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, has_bias, channel;
  int first;       /* SLICE */
  int n_out;       /* CORRELATE: m; RESAMPLE: output width */
  float rate;      /* DROPOUT: rate; BATCHNORM: momentum (0 means 0.1) */
  float scale;     /* ROWMEAN, ASINH; CONV, DENSE, CORRELATE: factor on the initial weights (0 means 1) */
  float eps;       /* 0 means BATCHNORM 1e-5, EXTRACT 0.01 */
  int n_const;     /* CONSTANT: c*h*w values; RESAMPLE: groups*n_out positions (in px of the input; outside [0,w-1] gives 0);
                    * DENSE: c_out initial bias values or none */
  float *constant; /* owned by the graph */
} nsl_node;

typedef struct {
  int n, capacity;
  nsl_node *nodes; /* the last node is the output */
} nsl_graph;

void nsl_graph_init(nsl_graph *g);
void nsl_graph_free(nsl_graph *g);

/* Appends a node (copied, constant included), checks its inputs and parameters, infers its shape. *index may be NULL. */
nsl_status nsl_graph_add(nsl_graph *g, const nsl_node *node, int *index, nsl_error *err);
int nsl_graph_find(const nsl_graph *g, const char *name); /* -1 */

/* Text form, one node a line ("conv name=stem in=x c_out=16 kh=1 kw=9 ..."; constants as %.9g lists). Caller frees. */
char *nsl_graph_to_text(const nsl_graph *g);
nsl_status nsl_graph_from_text(const char *text, const char *name, nsl_graph *out, nsl_error *err);

/* 1 when node i depends on a dropout node: the stochastic suffix. */
int nsl_graph_is_stochastic(const nsl_graph *g, int i);

/* Multiply-adds of one forward pass of one element. */
double nsl_graph_macs(const nsl_graph *g);

#endif
