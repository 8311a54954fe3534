/* A network with weights and memory: forward, backward, Monte Carlo dropout. One net belongs to one thread. Local. */
#ifndef NOSLIT_NN_NET_H
#define NOSLIT_NN_NET_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/nn/graph.h"

typedef struct nsl_net nsl_net;

typedef enum {
  NSL_MODE_EVAL,  /* batch norm by running statistics, dropout off */
  NSL_MODE_TRAIN, /* batch norm by batch statistics (running ones updated), dropout on */
  NSL_MODE_SAMPLE /* batch norm by running statistics, dropout on: one Monte Carlo pass */
} nsl_mode;

/* One learned tensor. state tensors (batch-norm mean and var) are saved but not optimised. */
typedef struct {
  char name[64]; /* "<node>.weight" */
  int rank, dims[4];
  size_t n;
  float *value, *grad; /* grad NULL for state tensors and inference-only nets */
  int is_state;
} nsl_param;

/* Memory for batches up to max_batch is planned once. trainable: 0 keeps no gradients. The graph is copied.
 * Initialisation (PyTorch's defaults; the graph builders may set more) is a function of seed alone. */
nsl_status nsl_net_new(const nsl_graph *graph, int max_batch, int trainable, uint64_t seed, nsl_net **out, nsl_error *err);
void nsl_net_free(nsl_net *net);
const nsl_graph *nsl_net_graph(const nsl_net *net);
int nsl_net_max_batch(const nsl_net *net);

int nsl_net_n_params(const nsl_net *net);
nsl_param *nsl_net_param(nsl_net *net, int i);
nsl_param *nsl_net_find_param(nsl_net *net, const char *name); /* NULL */
/* To be called after weights were changed from outside (folded batch norms and packed copies are made anew). */
void nsl_net_weights_changed(nsl_net *net);

/* Names of the dropout masks of each batch element: masks are a function of (seed, element's key, sample, node) and of
 * nothing else, so the same for any batch, rank and order. */
typedef struct {
  uint64_t seed;
  const uint64_t *key; /* [n]; source id, or step * batch + i in training */
  uint32_t sample;
} nsl_dropout_key;

/* inputs[k]: the k-th INPUT node's tensor [n][c][h][w]. n <= max_batch. drop may be NULL in EVAL mode.
 * *output: [n][c][h][w] of the last node, owned by the net, valid until the next call. After a TRAIN forward the inputs must stay
 * in place until the backward. In EVAL and SAMPLE mode an element's bits do not depend on the batch it is in. */
nsl_status nsl_net_forward(nsl_net *net, int n, const float *const *inputs, nsl_mode mode, const nsl_dropout_key *drop,
                           const float **output, nsl_error *err);

/* Gradient of a loss whose derivative with respect to the last TRAIN forward's output is dout [n][...]; adds into the grads. */
nsl_status nsl_net_backward(nsl_net *net, const float *dout, nsl_error *err);
void nsl_net_zero_grad(nsl_net *net);

/* Monte Carlo dropout: n_samples passes (sample = 0..n_samples-1) of n elements. Everything that does not depend on a dropout
 * node is computed once; the rest as batched GEMMs. Same numbers as n_samples SAMPLE forwards (a test says so).
 * Calls sink(ctx, element, sample0, count, outputs [count][size]) for every element, samples in order, at most `piece` at a time
 * (0: as many as is fast); an element whose sink returns other than 0 has had enough. */
typedef int nsl_mc_sink(void *ctx, int element, int sample0, int count, const float *outputs);
nsl_status nsl_net_sample(nsl_net *net, int n, const float *const *inputs, uint64_t seed, const uint64_t *keys, int n_samples,
                          int piece, nsl_mc_sink *sink, void *ctx, nsl_error *err);

/* Output of any node after a forward, for tests and layer-by-layer comparison: [n][c][h][w]. NULL if it was not kept. */
const float *nsl_net_activation(const nsl_net *net, int node);

#endif
