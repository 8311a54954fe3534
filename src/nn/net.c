#include "noslit/nn/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

static nsl_status copy_graph(const nsl_graph *from, nsl_graph *to, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_graph_init(to);
  for (int i = 0; i < from->n && st == NSL_OK; i++) { st = nsl_graph_add(to, &from->nodes[i], NULL, err); }
  return st;
}

static void describe_nodes(nsl_net *net)
{
  int inputs = 0;
  for (int i = 0; i < net->graph.n; i++) {
    const nsl_node *node = &net->graph.nodes[i];
    nsl_node_state *s = &net->states[i];
    s->impl = nsl_op_impl_of(node->op);
    s->size = nsl_shape_size(node->out);
    s->input = node->op == NSL_OP_INPUT ? inputs++ : -1;
    s->stochastic = node->op == NSL_OP_DROPOUT;
    s->n_in = node->n_in;
    for (int k = 0; k < node->n_in; k++) {
      s->in[k] = node->in[k];
      s->in_shape[k] = net->graph.nodes[node->in[k]].out;
      s->stochastic |= net->states[node->in[k]].stochastic;
    }
    net->n_deterministic += !s->stochastic;
  }
  int at[2] = {0, net->n_deterministic};
  for (int i = 0; i < net->graph.n; i++) { net->order[at[net->states[i].stochastic]++] = i; }
  net->output = net->graph.n - 1;
}

static size_t tensor_size(const nsl_param_spec *spec)
{
  size_t n = 1;
  for (int d = 0; d < spec->rank; d++) { n *= (size_t)spec->dims[d]; }
  return n;
}

static int specs_of(const nsl_net *net, int i, nsl_param_spec *specs)
{
  const nsl_node_state *s = &net->states[i];
  return s->impl->params ? s->impl->params(&net->graph.nodes[i], s->in_shape, specs) : 0;
}

/* First pass counts, second pass (params allocated) fills. */
static void list_params(nsl_net *net, size_t *n_values, size_t *n_grads)
{
  nsl_param_spec specs[NSL_OP_PARAMS_MAX];
  net->n_params = 0;
  *n_values = *n_grads = 0;
  for (int i = 0; i < net->graph.n; i++) {
    nsl_node_state *s = &net->states[i];
    s->first_param = net->n_params;
    s->n_params = specs_of(net, i, specs);
    for (int k = 0; k < s->n_params; k++, net->n_params++) {
      size_t n = tensor_size(&specs[k]);
      if (net->params) {
        nsl_param *p = &net->params[net->n_params];
        *p = (nsl_param){.rank = specs[k].rank, .n = n, .is_state = specs[k].is_state, .value = net->values + *n_values};
        snprintf(p->name, sizeof p->name, "%s.%s", net->graph.nodes[i].name, specs[k].suffix);
        memcpy(p->dims, specs[k].dims, sizeof p->dims);
        p->grad = net->grads && !p->is_state ? net->grads + *n_grads : NULL;
      }
      *n_values += n;
      *n_grads += specs[k].is_state ? 0 : n;
    }
  }
}

static nsl_status make_params(nsl_net *net, nsl_error *err)
{
  size_t n_values, n_grads;
  list_params(net, &n_values, &n_grads);
  net->values = calloc(n_values + 1, sizeof(float));
  net->grads = net->trainable ? calloc(n_grads + 1, sizeof(float)) : NULL;
  net->params = calloc((size_t)net->n_params + 1, sizeof *net->params);
  if (!net->values || !net->params || (net->trainable && !net->grads)) {
    return nsl_fail(err, NSL_E_NOMEM, "out of memory for %zu weights", n_values);
  }
  net->n_grads = net->trainable ? n_grads : 0;
  list_params(net, &n_values, &n_grads);
  return NSL_OK;
}

static void mark_gradients(nsl_net *net)
{
  for (int i = 0; i < net->graph.n; i++) {
    nsl_node_state *s = &net->states[i];
    s->needs_grad = s->n_params > 0;
    for (int k = 0; k < net->graph.nodes[i].n_in; k++) { s->needs_grad |= net->states[net->graph.nodes[i].in[k]].needs_grad; }
  }
}

static nsl_status prepare_nodes(nsl_net *net, nsl_error *err)
{
  for (int i = 0; i < net->graph.n; i++) {
    nsl_node_state *s = &net->states[i];
    if (!s->impl->prepare) { continue; }
    nsl_status st = s->impl->prepare(&net->graph.nodes[i], s->in_shape, &s->prepared, err);
    if (st != NSL_OK) { return nsl_error_context(err, st, "node '%s'", net->graph.nodes[i].name); }
  }
  return NSL_OK;
}

nsl_status nsl_net_new_with(const nsl_graph *graph, int max_batch, int trainable, uint64_t seed, nsl_backend backend, nsl_net **out,
                            nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_net *net = NULL;
  if (graph->n < 1 || max_batch < 1) { NSL_THROW(err, NSL_E_BUG, "a net of %d nodes for batches of %d", graph->n, max_batch); }
  net = calloc(1, sizeof *net);
  if (!net) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for a net"); }
  net->max_batch = max_batch;
  net->trainable = trainable;
  net->backend = backend;
  net->stale = 1;
  NSL_TRY(copy_graph(graph, &net->graph, err));
  net->states = calloc((size_t)graph->n, sizeof *net->states);
  net->order = calloc((size_t)graph->n, sizeof *net->order);
  if (!net->states || !net->order) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for a net of %d nodes", graph->n); }
  describe_nodes(net);
  NSL_TRY(make_params(net, err));
  mark_gradients(net);
  NSL_TRY(prepare_nodes(net, err));
  if (!trainable && backend.fuses) { NSL_TRY(nsl_net_fuse(net, err)); }
  NSL_TRY(nsl_net_plan(net, err));
  nsl_net_initialise(net, seed);
  *out = net;
  net = NULL;
cleanup:
  nsl_net_free(net);
  return st;
}

nsl_status nsl_net_new(const nsl_graph *graph, int max_batch, int trainable, uint64_t seed, nsl_net **out, nsl_error *err)
{
  return nsl_net_new_with(graph, max_batch, trainable, seed, nsl_backend_best(), out, err);
}

void nsl_net_free(nsl_net *net)
{
  if (!net) { return; }
  for (int i = 0; i < net->graph.n && net->states; i++) {
    if (net->states[i].prepared) { net->states[i].impl->release(net->states[i].prepared); }
    if (net->states[i].step) { net->states[i].step->release(net->states[i].step); }
  }
  nsl_graph_free(&net->graph);
  free(net->states);
  free(net->order);
  free(net->params);
  free(net->values);
  free(net->grads);
  free(net->arena);
  free(net);
}

const nsl_graph *nsl_net_graph(const nsl_net *net) { return &net->graph; }
int nsl_net_max_batch(const nsl_net *net) { return net->max_batch; }
int nsl_net_n_params(const nsl_net *net) { return net->n_params; }
nsl_param *nsl_net_param(nsl_net *net, int i) { return &net->params[i]; }

nsl_param *nsl_net_find_param(nsl_net *net, const char *name)
{
  for (int i = 0; i < net->n_params; i++) {
    if (strcmp(net->params[i].name, name) == 0) { return &net->params[i]; }
  }
  return NULL;
}

void nsl_net_weights_changed(nsl_net *net) { net->stale = 1; }

void nsl_net_refresh(nsl_net *net)
{
  for (int i = 0; i < net->graph.n; i++) {
    nsl_node_state *s = &net->states[i];
    if (s->step && s->step->refresh) { s->step->refresh(s->step, net); }
    if (s->impl->refresh && !s->absorbed && (!s->step || s->step->is_op)) {
      s->impl->refresh(&net->graph.nodes[i], s->in_shape, net->params + s->first_param, net->backend.kernels, s->prepared);
    }
  }
  net->stale = 0;
}

void nsl_net_zero_grad(nsl_net *net)
{
  if (net->grads) { memset(net->grads, 0, net->n_grads * sizeof(float)); }
}

const float *nsl_net_activation(const nsl_net *net, int node)
{
  if (node < 0 || node >= net->graph.n || (!net->trainable && node != net->output)) { return NULL; }
  return !net->trainable ? net->result : net->states[node].out;
}
