/* What the nn layer knows of an operation: one table entry per op, one source file per family (op_*.c). Private. */
#ifndef NOSLIT_SRC_NN_OP_H
#define NOSLIT_SRC_NN_OP_H

#include "kernels/kernels.h"
#include "noslit/nn/graph.h"
#include "noslit/nn/net.h"

enum { NSL_OP_PARAMS_MAX = 4 };

typedef enum {
  NSL_INIT_UNIFORM, /* in [-amount, amount) */
  NSL_INIT_NORMAL,  /* N(0, amount^2) */
  NSL_INIT_VALUE,   /* all equal to amount */
  NSL_INIT_COPY     /* from values */
} nsl_init_kind;

/* A learned (or state) tensor that a node wants. */
typedef struct {
  const char *suffix; /* "weight" */
  int rank, dims[4];
  int is_state;
  nsl_init_kind init;
  double amount;
  const float *values;
} nsl_param_spec;

/* A tensor of one batch: element i begins at data + i * stride. A stride of 0 shows one element to the whole batch. */
typedef struct {
  const float *data;
  size_t stride;
  int lanes; /* the batch is [c][x][NSL_LANES] instead (inference only; stride is void) */
} nsl_view;

struct nsl_call;

/* How things are computed; chosen when a net is made, so that tests can hold a fast way against the plain one. */
typedef struct {
  const nsl_kernels *kernels;
  void (*conv_forward)(const struct nsl_call *call);
  void (*conv_backward)(const struct nsl_call *call);
  int fuses; /* inference nets may compute runs of nodes at once (step.h) */
} nsl_backend;

nsl_backend nsl_backend_best(void);
nsl_backend nsl_backend_reference(void);

/* Everything an op needs for one forward or backward call. Memory belongs to the net. */
typedef struct nsl_call {
  const nsl_node *node;
  const nsl_shape3 *in_shape; /* [n_in] */
  int n;
  nsl_mode mode;
  int batched; /* GEMMs may run over the whole batch; 0: an element's bits must not depend on the batch it is in */
  const nsl_backend *backend;
  const nsl_kernels *kernels; /* of the backend */
  nsl_view in[NSL_NODE_INPUTS_MAX];
  float *out;       /* [n][size of node->out] */
  int out_lanes;    /* out is [c][x][NSL_LANES] instead */
  float *saved;     /* kept from forward to backward */
  float *scratch;   /* free use inside one call */
  nsl_param *param; /* the node's own, in the order of its specs */
  void *prepared;

  /* DROPOUT */
  int node_index;
  const nsl_dropout_key *drop;
  int sample_major; /* 1: element i is sample drop->sample + i of key[0]; 0: element i is sample drop->sample of key[i] */

  /* backward: dout [n][...] and, where not NULL, din[k] [n][...], to be written (not added to) */
  const float *dout;
  float *din[NSL_NODE_INPUTS_MAX];
} nsl_call;

typedef struct {
  const char *word;
  int inputs_min, inputs_max;
  int is_local;    /* element by element: a batch may be run in pieces, what is saved too */
  int knows_lanes; /* forward takes and gives [c][x][LANES] as well, for signals (h = 1) */
  int is_affine;   /* the output is an affine function of its inputs in EVAL and SAMPLE mode */
  /* Checks parameters and input shapes; fills *out. Message without the node's name (the caller puts it before). */
  nsl_status (*infer)(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err);
  int (*params)(const nsl_node *node, const nsl_shape3 *in, nsl_param_spec *specs); /* NULL: none */
  double (*macs)(const nsl_node *node, const nsl_shape3 *in);                       /* NULL: 0 */
  size_t (*saved)(const nsl_node *node, const nsl_shape3 *in, int n);               /* floats; NULL: 0 */
  size_t (*scratch)(const nsl_node *node, const nsl_shape3 *in, int n, int trainable);
  /* Tables that depend on the node alone (positions, FFT plans); refresh makes what depends on weights anew. */
  nsl_status (*prepare)(const nsl_node *node, const nsl_shape3 *in, void **prepared, nsl_error *err);
  void (*refresh)(const nsl_node *node, const nsl_shape3 *in, const nsl_param *param, const nsl_kernels *kernels, void *prepared);
  void (*release)(void *prepared);
  void (*forward)(const nsl_call *call);
  void (*backward)(const nsl_call *call); /* NULL: nothing flows back (inputs, constants) */
  /* Optional, for MC dropout: the input is [1 + c][c][h][w] in meaning: a zero element, then element 1 + i that has only
   * channel i of the one deterministic input element in[0]. Writes 1 + c outputs without making those elements. NULL: the
   * net makes them. */
  int (*accepts_one_hot)(const nsl_node *node, const nsl_shape3 *in);
  void (*forward_one_hot)(const nsl_call *call);
} nsl_op_impl;

const nsl_op_impl *nsl_op_impl_of(nsl_op op);

/* Input k, of size floats an element, side by side: as it is, or copied to staged. */
const float *nsl_view_in_lanes(const nsl_call *call, int k, size_t size, float *staged);

/* The mask of a DROPOUT node, [channels or elements]: 0 or 1/(1-rate). */
void nsl_dropout_mask(const nsl_node *node, int node_index, uint64_t seed, uint64_t key, uint32_t sample, float *mask);

/* RESAMPLE: outside [*begin, *end) the output of a channel is zero whatever the input is. */
void nsl_resample_range(const nsl_node *node, const nsl_shape3 *in, const void *prepared, int channel, int *begin, int *end);

static inline size_t nsl_shape_size(nsl_shape3 s) { return (size_t)s.c * (size_t)s.h * (size_t)s.w; }

/* The families. */
extern const nsl_op_impl nsl_op_input, nsl_op_constant, nsl_op_reshape, nsl_op_concat, nsl_op_slice, nsl_op_add, nsl_op_bias,
    nsl_op_interleave, nsl_op_conv, nsl_op_dense, nsl_op_batchnorm, nsl_op_relu, nsl_op_gelu, nsl_op_asinh, nsl_op_maxpool,
    nsl_op_gap, nsl_op_dropout, nsl_op_rowmean, nsl_op_extract, nsl_op_resample, nsl_op_correlate;

#endif
