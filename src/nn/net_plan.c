/* Where everything lies in memory. A trainable net keeps all outputs of a whole batch; an inference net sends the batch through
 * in small blocks and lets outputs that are not needed any more be overwritten. Gradients are always shared that way. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/memory.h"
#include "step.h"

enum { INFERENCE_BLOCK = NSL_LANES, MC_CHUNK_MAX = 128, LARGE_INPUT = 4096 /* floats */, ALIGN = 16 /* floats */ };
static const size_t mc_floats_max = (size_t)64 << 20; /* for the samples of one element */

/* A buffer that is in use during [begin, end]. */
typedef struct {
  size_t size, offset;
  int begin, end;
} interval;

static size_t align(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

/* Gives each interval the lowest offset that collides with no earlier interval alive at the same time; returns the extent. */
static size_t place(interval *list, int n)
{
  size_t extent = 0;
  for (int i = 0; i < n; i++) {
    size_t offset = 0;
    for (int again = 1; again;) {
      again = 0;
      for (int j = 0; j < i; j++) {
        int apart = list[j].end < list[i].begin || list[i].end < list[j].begin;
        int clear = offset + list[i].size <= list[j].offset || list[j].offset + list[j].size <= offset;
        if (!apart && !clear) {
          offset = list[j].offset + list[j].size;
          again = 1;
        }
      }
    }
    list[i].offset = offset;
    if (offset + list[i].size > extent) { extent = offset + list[i].size; }
  }
  return extent;
}

/* The front ends at the last reader of a large input; a node before it that is not local ends it earlier. */
static void choose_front(nsl_net *net)
{
  net->n_front = 0;
  for (int r = 0; r < net->n_deterministic && !net->trainable && net->backend.fuses; r++) {
    const nsl_node_state *s = &net->states[net->order[r]];
    if (!s->impl->is_local || s->step || s->absorbed) { return; }
    for (int k = 0; k < s->n_in; k++) {
      if (net->states[s->in[k]].input >= 0 && net->states[s->in[k]].size >= LARGE_INPUT) { net->n_front = r + 1; }
    }
  }
}

static void choose_capacities(nsl_net *net)
{
  size_t suffix = 0;
  for (int i = 0; i < net->graph.n; i++) { suffix += net->states[i].stochastic ? net->states[i].size : 0; }
  net->block = net->trainable || net->max_batch < INFERENCE_BLOCK ? net->max_batch : INFERENCE_BLOCK;
  net->mc_chunk = MC_CHUNK_MAX;
  while (net->mc_chunk > 1 && (size_t)net->mc_chunk * suffix > mc_floats_max) { net->mc_chunk /= 2; }
  for (int i = 0; i < net->graph.n; i++) {
    nsl_node_state *s = &net->states[i];
    s->capacity = s->stochastic && net->mc_chunk > net->block ? net->mc_chunk : net->block;
  }
}

/* Outputs: lives are counted in places of the execution order. What the stochastic nodes read lives to the end, since they are run
 * many times over. */
static void output_lives(const nsl_net *net, const int *rank, interval *lives)
{
  int n = net->graph.n;
  for (int i = 0; i < n; i++) {
    lives[rank[i]] = (interval){.begin = rank[i], .end = net->trainable ? n : rank[i]};
    if (net->states[i].input < 0 && !net->states[i].absorbed) {
      int elements = net->states[i].lanes ? NSL_LANES : net->states[i].capacity; /* a block fills at most all lanes */
      lives[rank[i]].size = align(net->states[i].size * (size_t)elements);
    }
  }
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < net->states[i].n_in; k++) {
      int from = net->states[i].in[k];
      int end = net->states[i].stochastic && !net->states[from].stochastic ? n : rank[i];
      if (lives[rank[from]].end < end) { lives[rank[from]].end = end; }
    }
  }
  lives[rank[net->output]].end = n;
  for (int r = 0; r < net->n_front; r++) { /* they are run many times over */
    lives[r].begin = 0;
    if (lives[r].end < net->n_front) { lives[r].end = net->n_front; }
  }
}

/* Gradients: the backward pass runs the order from its end; a node's gradient lives from its first written piece to its own turn.
 */
static void gradient_lives(const nsl_net *net, const int *rank, interval *lives)
{
  int n = net->graph.n;
  for (int i = 0; i < n; i++) {
    lives[rank[i]] = (interval){.begin = rank[i], .end = rank[i]};
    if (net->trainable && net->states[i].needs_grad && i != net->output) {
      lives[rank[i]].size = align(net->states[i].size * (size_t)net->block);
    }
  }
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < net->graph.nodes[i].n_in; k++) {
      interval *life = &lives[rank[net->graph.nodes[i].in[k]]];
      if (life->end < rank[i]) { life->end = rank[i]; }
    }
  }
}

static size_t largest_scratch(const nsl_net *net)
{
  size_t most = 0;
  for (int i = 0; i < net->graph.n; i++) {
    const nsl_node_state *s = &net->states[i];
    size_t need = 0;
    if (s->step && !s->step->is_op) {
      need = s->step->scratch ? s->step->scratch(s->step, s->capacity) : 0;
    } else if (s->impl->scratch && !s->absorbed) {
      need = s->impl->scratch(&net->graph.nodes[i], s->in_shape, s->capacity, net->trainable);
    }
    if (need > most) { most = need; }
  }
  return align(most);
}

/* Room for the pieces of gradients that have to be added to earlier pieces: at worst all inputs of a node. */
static size_t largest_temp(const nsl_net *net)
{
  size_t most = 0;
  for (int i = 0; i < net->graph.n && net->trainable; i++) {
    size_t need = 0;
    for (int k = 0; k < net->graph.nodes[i].n_in; k++) {
      const nsl_node_state *s = &net->states[net->graph.nodes[i].in[k]];
      need += s->needs_grad ? align(s->size * (size_t)net->block) : 0;
    }
    if (need > most) { most = need; }
  }
  return most;
}

static size_t saved_size(const nsl_net *net, int i)
{
  const nsl_node_state *s = &net->states[i];
  return s->impl->saved && !s->absorbed && (!s->step || s->step->is_op)
             ? align(s->impl->saved(&net->graph.nodes[i], s->in_shape, s->capacity))
             : 0;
}

nsl_status nsl_net_plan(nsl_net *net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int n = net->graph.n;
  interval *outs = calloc((size_t)n, sizeof *outs), *grads = calloc((size_t)n, sizeof *grads);
  int *rank = calloc((size_t)n, sizeof *rank);
  if (!outs || !grads || !rank) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for the plan of %d nodes", n); }
  for (int r = 0; r < n; r++) { rank[net->order[r]] = r; }
  choose_capacities(net);
  choose_front(net);
  output_lives(net, rank, outs);
  gradient_lives(net, rank, grads);
  size_t out_extent = place(outs, n), grad_extent = place(grads, n), saved = 0, out_size = net->states[net->output].size;
  for (int i = 0; i < n; i++) { saved += saved_size(net, i); }
  size_t scratch = largest_scratch(net), temp = largest_temp(net);
  size_t result = align(out_size * (size_t)net->max_batch), mc_result = align(out_size * (size_t)net->mc_chunk);
  size_t mc_masks = align((size_t)net->mc_chunk * (size_t)net->mc_chunk); /* [samples][1 + channels] */
  size_t total = out_extent + grad_extent + saved + scratch + temp + result + mc_result + mc_masks;
  net->arena = nsl_alloc_large(align(total) * sizeof(float));
  if (!net->arena) {
    NSL_THROW(err, NSL_E_NOMEM, "a net for batches of %d needs %.0f MB of working memory; take a smaller batch", net->max_batch,
              (double)total * 4e-6);
  }
  memset(net->arena, 0, total * sizeof(float));
  float *at = net->arena + out_extent + grad_extent;
  for (int i = 0; i < n; i++) {
    net->states[i].out = net->arena + outs[rank[i]].offset;
    net->states[i].grad = net->arena + out_extent + grads[rank[i]].offset;
    net->states[i].saved = at;
    at += saved_size(net, i);
  }
  net->scratch = at;
  net->temp = at += scratch;
  net->result = at += temp;
  net->mc_result = at += result;
  net->mc_masks = at + mc_result;
cleanup:
  free(outs);
  free(grads);
  free(rank);
  return st;
}
