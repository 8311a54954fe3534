#include <string.h>

#include "step.h"

nsl_status nsl_net_check_call(const nsl_net *net, int n, nsl_mode mode, const void *keys, nsl_error *err)
{
  if (n < 0 || n > net->max_batch) { return nsl_fail(err, NSL_E_BUG, "a batch of %d for a net made for %d", n, net->max_batch); }
  if (mode == NSL_MODE_TRAIN && !net->trainable) { return nsl_fail(err, NSL_E_BUG, "the net was made for inference only"); }
  if (mode != NSL_MODE_EVAL && net->n_deterministic < net->graph.n && !keys) {
    return nsl_fail(err, NSL_E_BUG, "dropout needs the keys of the batch elements");
  }
  return NSL_OK;
}

nsl_call nsl_net_call(nsl_net *net, int i, const nsl_run *run)
{
  const nsl_node *node = &net->graph.nodes[i];
  nsl_node_state *s = &net->states[i];
  nsl_call call = {.node = node,
                   .in_shape = s->in_shape,
                   .n = run->n,
                   .mode = run->mode,
                   .batched = run->batched,
                   .backend = &net->backend,
                   .kernels = net->backend.kernels,
                   .out = s->out + (size_t)run->offset * s->size,
                   .out_lanes = s->lanes,
                   .saved = s->saved,
                   .scratch = net->scratch,
                   .param = net->params + s->first_param,
                   .prepared = s->prepared,
                   .node_index = i,
                   .drop = run->drop,
                   .sample_major = run->sample_element >= 0};
  for (int k = 0; k < s->n_in; k++) {
    const nsl_node_state *from = &net->states[s->in[k]];
    const float *data = from->input >= 0 ? run->inputs[from->input] + (size_t)run->first * from->size : from->out;
    data += (size_t)run->offset * from->size;
    int one_for_all = run->sample_element >= 0 && !from->stochastic;
    call.in[k].data = one_for_all ? data + (size_t)run->sample_element * from->size : data;
    call.in[k].stride = one_for_all ? 0 : from->size;
    call.in[k].lanes = from->lanes;
  }
  return call;
}

static void run_front(nsl_net *net, int to, const nsl_run *run)
{
  nsl_run one = *run;
  one.n = 1;
  for (one.offset = 0; one.offset < run->n; one.offset++) { nsl_net_run_nodes(net, 0, to, &one); }
}

void nsl_net_run_nodes(nsl_net *net, int from, int to, const nsl_run *run)
{
  int front = net->n_front < to ? net->n_front : to;
  if (from == 0 && run->n > 1 && front > 0) {
    run_front(net, front, run);
    from = front;
  }
  for (int r = from; r < to; r++) {
    int i = net->order[r];
    const nsl_node_state *s = &net->states[i];
    if (s->input >= 0 || s->absorbed) { continue; }
    nsl_call call = nsl_net_call(net, i, run);
    if (s->step) {
      s->step->forward(s->step, &call);
    } else {
      s->impl->forward(&call);
    }
  }
}

/* The output node may be an input or constant in degenerate graphs; its numbers are then still copied from the right place. */
const float *nsl_net_output(const nsl_net *net, const nsl_run *run)
{
  const nsl_node_state *s = &net->states[net->output];
  return s->input >= 0 ? run->inputs[s->input] + (size_t)run->first * s->size : s->out;
}

nsl_status nsl_net_forward(nsl_net *net, int n, const float *const *inputs, nsl_mode mode, const nsl_dropout_key *drop,
                           const float **output, nsl_error *err)
{
  nsl_status st = nsl_net_check_call(net, n, mode, drop ? drop->key : NULL, err);
  if (st != NSL_OK) { return st; }
  if (net->stale || mode == NSL_MODE_TRAIN) { nsl_net_refresh(net); }
  size_t size = net->states[net->output].size;
  for (int first = 0; first < n; first += net->block) {
    int count = n - first < net->block ? n - first : net->block;
    nsl_dropout_key keys = drop ? *drop : (nsl_dropout_key){0};
    if (keys.key) { keys.key += first; }
    nsl_run run = {.n = count,
                   .mode = mode,
                   .batched = mode == NSL_MODE_TRAIN,
                   .inputs = inputs,
                   .first = first,
                   .drop = drop ? &keys : NULL,
                   .sample_element = -1};
    nsl_net_run_nodes(net, 0, net->graph.n, &run);
    memcpy(net->result + (size_t)first * size, nsl_net_output(net, &run), (size_t)count * size * sizeof(float));
  }
  net->train_n = mode == NSL_MODE_TRAIN ? n : 0;
  net->train_inputs = inputs;
  *output = net->result;
  return NSL_OK;
}

/* Where a node's backward shall write the gradient of input k: straight to its place, or, if a piece is there already, aside. */
static float *gradient_place(nsl_net *net, int from, float **temp)
{
  nsl_node_state *s = &net->states[from];
  if (!s->needs_grad) { return NULL; }
  if (!s->grad_written) {
    s->grad_written = 1;
    return s->grad;
  }
  float *aside = *temp;
  *temp += (s->size * (size_t)net->block + 15) / 16 * 16;
  return aside;
}

nsl_status nsl_net_backward(nsl_net *net, const float *dout, nsl_error *err)
{
  if (net->train_n == 0) { return nsl_fail(err, NSL_E_BUG, "backward without a TRAIN forward before it"); }
  nsl_run run = {.n = net->train_n, .mode = NSL_MODE_TRAIN, .batched = 1, .inputs = net->train_inputs, .sample_element = -1};
  for (int i = 0; i < net->graph.n; i++) { net->states[i].grad_written = i == net->output; }
  for (int r = net->graph.n - 1; r >= 0; r--) {
    int i = net->order[r];
    const nsl_node *node = &net->graph.nodes[i];
    nsl_node_state *s = &net->states[i];
    if (!s->grad_written || !s->needs_grad || !s->impl->backward) { continue; }
    nsl_call call = nsl_net_call(net, i, &run);
    call.dout = i == net->output ? dout : s->grad;
    float *temp = net->temp;
    for (int k = 0; k < node->n_in; k++) { call.din[k] = gradient_place(net, node->in[k], &temp); }
    s->impl->backward(&call);
    for (int k = 0; k < node->n_in; k++) {
      nsl_node_state *from = &net->states[node->in[k]];
      if (call.din[k] && call.din[k] != from->grad) {
        net->backend.kernels->add((size_t)run.n * from->size, from->grad, call.din[k], from->grad);
      }
    }
  }
  return NSL_OK;
}
