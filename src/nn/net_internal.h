/* The inside of a net, shared by its sources: net.c (making), net_plan.c (memory), net_run.c (forward, backward),
 * net_sample.c (Monte Carlo dropout). Private. */
#ifndef NOSLIT_SRC_NN_NET_INTERNAL_H
#define NOSLIT_SRC_NN_NET_INTERNAL_H

#include "noslit/nn/net.h"
#include "op.h"

typedef struct nsl_step nsl_step;

typedef struct {
  const nsl_op_impl *impl;
  nsl_shape3 in_shape[NSL_NODE_INPUTS_MAX];
  size_t size; /* floats of the output of one element */
  int input;   /* INPUT: which of the net's inputs; else -1 */
  int first_param, n_params;
  void *prepared;
  nsl_step *step;                    /* computes the node and those absorbed into it (step.h); else NULL */
  int absorbed;                      /* into another node's step: neither run nor kept */
  int lanes;                         /* the output is [c][x][lane], NSL_LANES elements side by side */
  int n_in, in[NSL_NODE_INPUTS_MAX]; /* the nodes that are read: the graph's, or the step's */
  int stochastic;
  int needs_grad; /* has learned tensors, or an input that needs a gradient */
  int capacity;   /* batch elements that out and saved hold */
  float *out, *saved, *grad;
  int grad_written; /* in the running backward pass */
} nsl_node_state;

struct nsl_net {
  nsl_graph graph;
  nsl_backend backend;
  int max_batch, trainable;
  int block;    /* elements that pass through the nodes together: max_batch when trainable, else few, so that they stay in cache */
  int mc_chunk; /* samples of one element that pass through the stochastic nodes together */
  nsl_node_state *states;
  int *order;          /* execution order: deterministic nodes, then stochastic ones */
  int n_deterministic; /* nodes before the stochastic ones in order */
  int n_front;         /* the first nodes of the order, which read large inputs: run one element at a time, so that those are read
                          from memory once (inference) */
  int output;          /* node index */

  nsl_param *params;
  int n_params;
  float *values, *grads; /* memory of all tensors */
  size_t n_grads;
  int stale; /* weights changed since the last refresh */

  float *arena; /* outputs, saved, gradients, scratch */
  float *scratch, *temp, *result, *mc_result, *mc_masks;

  int train_n; /* batch of the last TRAIN forward, 0 for none */
  const float *const *train_inputs;
};

nsl_status nsl_net_new_with(const nsl_graph *graph, int max_batch, int trainable, uint64_t seed, nsl_backend backend, nsl_net **out,
                            nsl_error *err);
/* Decides sizes and places of all working memory and allocates it. */
nsl_status nsl_net_plan(nsl_net *net, nsl_error *err);
/* Initial values of all tensors from seed. */
void nsl_net_initialise(nsl_net *net, uint64_t seed);
void nsl_net_refresh(nsl_net *net);

/* How a range of the execution order is run. */
typedef struct {
  int n;
  nsl_mode mode;
  int batched;
  const float *const *inputs;  /* of the net, at element 0 of the whole batch */
  int first;                   /* element of the whole batch at which this run begins */
  int offset;                  /* element of the block at which this run begins */
  const nsl_dropout_key *drop; /* key of the run's first element */
  int sample_element;          /* >= 0: n samples of this element (of the block); deterministic inputs are shown to all of them */
} nsl_run;

nsl_call nsl_net_call(nsl_net *net, int node, const nsl_run *run);
/* Where the output of a run lies. */
const float *nsl_net_output(const nsl_net *net, const nsl_run *run);
void nsl_net_run_nodes(nsl_net *net, int from, int to, const nsl_run *run);
nsl_status nsl_net_check_call(const nsl_net *net, int n, nsl_mode mode, const void *keys, nsl_error *err);

#endif
