/* Monte Carlo dropout. The deterministic nodes are run once for a block of elements; then, element by element, the stochastic
 * nodes for many samples at once. An element's GEMMs have shapes of their own, whatever the batch.
 *
 * Where all stochastic nodes are affine behind one dropout of whole channels, the output is base + sum_c mask_c part_c: the parts
 * are computed once per element (as if each channel alone had been kept) and all samples are one GEMM of masks and parts. */
#include <string.h>

#include "net_internal.h"
#include "noslit/nn/blas.h"

/* The only dropout node, when the suffix is affine in its mask and the parts fit; else -1. */
static int affine_dropout(const nsl_net *net)
{
  int dropout = -1;
  for (int r = net->n_deterministic; r < net->graph.n; r++) {
    int i = net->order[r];
    const nsl_node *node = &net->graph.nodes[i];
    if (node->op == NSL_OP_DROPOUT) {
      if (dropout >= 0 || !node->channel || node->out.c + 1 > net->mc_chunk) { return -1; }
      dropout = i;
    } else if (!net->states[i].impl->is_affine) {
      return -1;
    }
  }
  return dropout;
}

/* The dropout's output as if, in turn, nothing and each single channel had been kept. */
static void write_one_hot(nsl_net *net, int dropout, const nsl_view *in)
{
  const nsl_node *node = &net->graph.nodes[dropout];
  size_t size = net->states[dropout].size, hw = size / (size_t)node->out.c;
  float *out = net->states[dropout].out;
  memset(out, 0, (size_t)(node->out.c + 1) * size * sizeof(float));
  for (size_t c = 0; c < (size_t)node->out.c; c++) { memcpy(out + (c + 1) * size + c * hw, in->data + c * hw, hw * sizeof(float)); }
}

static int reads_one_hot(const nsl_net *net, int i, int dropout)
{
  const nsl_node *node = &net->graph.nodes[i];
  const nsl_op_impl *impl = net->states[i].impl;
  return node->n_in == 1 && node->in[0] == dropout && impl->accepts_one_hot && impl->accepts_one_hot(node, net->states[i].in_shape);
}

/* base and parts [1 + c][output size] of one element of the block, left in the output node's memory. */
static void affine_parts(nsl_net *net, int dropout, const nsl_run *element_run)
{
  nsl_run run = *element_run;
  run.n = net->graph.nodes[dropout].out.c + 1;
  nsl_view kept = nsl_net_call(net, dropout, &run).in[0];
  int written = 0;
  for (int r = net->n_deterministic; r < net->graph.n; r++) {
    int i = net->order[r];
    if (i == dropout) { continue; }
    nsl_call call = nsl_net_call(net, i, &run);
    if (reads_one_hot(net, i, dropout)) {
      call.in[0] = kept;
      net->states[i].impl->forward_one_hot(&call);
      continue;
    }
    for (int k = 0; k < call.node->n_in; k++) {
      if (call.node->in[k] == dropout && !written) {
        write_one_hot(net, dropout, &kept);
        written = 1;
      }
    }
    net->states[i].impl->forward(&call);
  }
  if (net->output == dropout) { write_one_hot(net, dropout, &kept); }
  size_t size = net->states[net->output].size;
  float *base = net->states[net->output].out;
  for (int c = 1; c < run.n; c++) {
    net->backend.kernels->combine(size, 1.0f, base + (size_t)c * size, -1.0f, base, 0.0f, base + (size_t)c * size);
  }
}

static void affine_samples(nsl_net *net, int dropout, const nsl_dropout_key *drop, int count)
{
  const nsl_node *node = &net->graph.nodes[dropout];
  int parts = node->out.c + 1;
  size_t size = net->states[net->output].size;
  for (int t = 0; t < count; t++) {
    net->mc_masks[t * parts] = 1.0f;
    nsl_dropout_mask(node, dropout, drop->seed, drop->key[0], drop->sample + (uint32_t)t, net->mc_masks + t * parts + 1);
  }
  nsl_sgemm(0, 0, count, (int)size, parts, 1.0f, net->mc_masks, parts, net->states[net->output].out, (int)size, 0.0f,
            net->mc_result, (int)size);
}

static void sample_element(nsl_net *net, int dropout, nsl_run *run, nsl_dropout_key *drop, int element, int n_samples, int piece,
                           nsl_mc_sink *sink, void *ctx)
{
  const nsl_node_state *out = &net->states[net->output];
  if (dropout >= 0 && out->stochastic) { affine_parts(net, dropout, run); }
  int most = piece > 0 && piece < net->mc_chunk ? piece : net->mc_chunk, enough = 0;
  for (int sample = 0; sample < n_samples && !enough; sample += most) {
    int count = n_samples - sample < most ? n_samples - sample : most;
    const float *outputs = net->mc_result;
    drop->sample = (uint32_t)sample;
    run->n = count;
    if (!out->stochastic) {
      const float *one = nsl_net_output(net, run) + (size_t)run->sample_element * out->size;
      for (int t = 0; t < count; t++) { memcpy(net->mc_result + (size_t)t * out->size, one, out->size * sizeof(float)); }
    } else if (dropout >= 0) {
      affine_samples(net, dropout, drop, count);
    } else {
      nsl_net_run_nodes(net, net->n_deterministic, net->graph.n, run);
      outputs = out->out;
    }
    enough = sink(ctx, element, sample, count, outputs);
  }
}

nsl_status nsl_net_sample(nsl_net *net, int n, const float *const *inputs, uint64_t seed, const uint64_t *keys, int n_samples,
                          int piece, nsl_mc_sink *sink, void *ctx, nsl_error *err)
{
  nsl_status st = nsl_net_check_call(net, n, NSL_MODE_SAMPLE, keys, err);
  if (st != NSL_OK) { return st; }
  if (net->stale) { nsl_net_refresh(net); }
  net->train_n = 0;
  int dropout = affine_dropout(net);
  for (int first = 0; first < n; first += net->block) {
    int count = n - first < net->block ? n - first : net->block;
    nsl_run run = {.n = count, .mode = NSL_MODE_SAMPLE, .inputs = inputs, .first = first, .sample_element = -1};
    nsl_net_run_nodes(net, 0, net->n_deterministic, &run);
    for (int e = 0; e < count; e++) {
      nsl_dropout_key drop = {.seed = seed, .key = keys ? keys + first + e : NULL};
      nsl_run samples = run;
      samples.batched = 1;
      samples.drop = &drop;
      samples.sample_element = e;
      sample_element(net, dropout, &samples, &drop, first + e, n_samples, piece, sink, ctx);
    }
  }
  return NSL_OK;
}
