/* Steps: runs of nodes that an inference net computes at once, batch norms folded and activations fused, in a layout of their own.
 * fuse.c finds them, image*.c compute them. A step stands at its last node; the other nodes of the run are
 * absorbed: they have no memory and are not run. Trainable nets and the reference backend have no steps. Private. */
#ifndef NOSLIT_SRC_NN_STEP_H
#define NOSLIT_SRC_NN_STEP_H

#include "net_internal.h"

/* A convolution and what follows it, as node indices; -1 for what is not there. */
typedef struct {
  int conv, norm, add, relu;
  int last;  /* the node at which the step stands */
  int input; /* of the convolution */
  int other; /* the add's other input */
} nsl_chain;

struct nsl_step {
  void (*refresh)(nsl_step *step, const nsl_net *net); /* weights changed; NULL: none */
  void (*forward)(const nsl_step *step, const nsl_call *call);
  void (*release)(nsl_step *step);
  size_t (*scratch)(const nsl_step *step, int n); /* floats for n elements */
  int takes_lanes;                                /* its inputs may be [c][x][lane] */
  int is_op;                                      /* runs the node's own op: keep what the op saves, refreshes and needs */
};

/* A one-dimensional convolution with the batch norm and GELU before it, the add and GELU behind it; -1 for what is not there. */
typedef struct {
  int norm, gelu, conv, add, last_gelu;
  int last, input, other; /* as in nsl_chain */
  int concat;             /* whose inputs are taken one by one (then input is void); only nsl_signal_winograd can */
} nsl_signal_chain;

/* The only reader of a node in the graph; -1 for none or several. */
int nsl_only_reader(const nsl_net *net, int node);

/* Finds the steps of an inference net; before the memory plan. */
nsl_status nsl_net_fuse(nsl_net *net, nsl_error *err);

/* Images with channels innermost ([n][h][w][c]). takes_planes: the input is a net input in the usual layout. */
int nsl_image_can_convolve(const nsl_net *net, const nsl_chain *chain, int takes_planes);
nsl_status nsl_image_conv_new(const nsl_net *net, const nsl_chain *chain, int takes_planes, nsl_step **out, nsl_error *err);
nsl_status nsl_net_fuse_signals(nsl_net *net, nsl_error *err); /* a part of nsl_net_fuse */

nsl_status nsl_image_pool_new(const nsl_net *net, int node, nsl_step **out, nsl_error *err); /* MAXPOOL and GAP */

/* Signals with up to NSL_LANES batch elements side by side ([c][x][lane]). */
nsl_status nsl_signal_conv_new(const nsl_net *net, const nsl_signal_chain *chain, nsl_step **out, nsl_error *err);
nsl_status nsl_signal_op_new(nsl_step **out, nsl_error *err); /* the node's own op, which knows lanes */
/* The Winograd way (kernels.h): five taps at stride 1, nine at stride 2. Its inputs are those of the node's state: first the inputs
 * of the chain without constants, then the other one. */
int nsl_signal_winograd_fits(const nsl_node *conv);
nsl_status nsl_signal_winograd_new(const nsl_net *net, const nsl_signal_chain *chain, nsl_step **out, nsl_error *err);
/* The norm of a chain as gain x + shift, [n_c]; 1 and 0 without one. */
void nsl_signal_norm(const nsl_net *net, const nsl_signal_chain *chain, int n_c, float *gain, float *shift);

#endif
