#include "noslit/nn/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

void nsl_graph_init(nsl_graph *g) { *g = (nsl_graph){0}; }

void nsl_graph_free(nsl_graph *g)
{
  for (int i = 0; i < g->n; i++) { free(g->nodes[i].constant); }
  free(g->nodes);
  nsl_graph_init(g);
}

int nsl_graph_find(const nsl_graph *g, const char *name)
{
  for (int i = 0; i < g->n; i++) {
    if (strcmp(g->nodes[i].name, name) == 0) { return i; }
  }
  return -1;
}

static void set_defaults(nsl_node *node)
{
  int *ones[] = {&node->stride_h, &node->stride_w, &node->dil_h, &node->dil_w};
  for (size_t k = 0; k < sizeof ones / sizeof *ones; k++) {
    if (*ones[k] == 0) { *ones[k] = 1; }
  }
  if (node->scale == 0.0f) { node->scale = 1.0f; }
  if (node->op == NSL_OP_BATCHNORM) {
    if (node->eps == 0.0f) { node->eps = 1e-5f; }
    if (node->rate == 0.0f) { node->rate = 0.1f; }
  }
  if (node->op == NSL_OP_EXTRACT && node->eps == 0.0f) { node->eps = 0.01f; }
}

static nsl_status check_name_and_inputs(const nsl_graph *g, const nsl_node *node, nsl_error *err)
{
  if (g->n == NSL_GRAPH_NODES_MAX) {
    return nsl_fail(err, NSL_E_VALUE, "node '%.39s': a graph holds at most %d nodes", node->name, NSL_GRAPH_NODES_MAX);
  }
  size_t length = strnlen(node->name, NSL_NODE_NAME_MAX);
  if (length == 0 || length == NSL_NODE_NAME_MAX) {
    return nsl_fail(err, NSL_E_VALUE, "node %d: a name of 1 to %d characters is needed", g->n, NSL_NODE_NAME_MAX - 1);
  }
  if (strcspn(node->name, " \t\n=,*.") != length) {
    return nsl_fail(err, NSL_E_VALUE, "node '%s': a name may not hold blanks, '=', ',', '*' or '.'", node->name);
  }
  if (nsl_graph_find(g, node->name) >= 0) { return nsl_fail(err, NSL_E_VALUE, "node '%s': the name is taken", node->name); }
  if ((int)node->op < 0 || node->op >= NSL_OP_COUNT) { return nsl_fail(err, NSL_E_VALUE, "node '%s': no such op", node->name); }
  const nsl_op_impl *impl = nsl_op_impl_of(node->op);
  if (node->n_in < impl->inputs_min || node->n_in > impl->inputs_max) {
    return nsl_fail(err, NSL_E_VALUE, "node '%s': %s takes %d to %d inputs, not %d", node->name, impl->word, impl->inputs_min,
                    impl->inputs_max, node->n_in);
  }
  for (int k = 0; k < node->n_in; k++) {
    if (node->in[k] < 0 || node->in[k] >= g->n) {
      return nsl_fail(err, NSL_E_VALUE, "node '%s': input %d is not an earlier node", node->name, k);
    }
  }
  for (int k = 0; k < node->n_const; k++) {
    if (!node->constant || !isfinite(node->constant[k])) {
      return nsl_fail(err, NSL_E_VALUE, "node '%s': constant %d is not finite", node->name, k);
    }
  }
  return NSL_OK;
}

nsl_status nsl_graph_add(nsl_graph *g, const nsl_node *node, int *index, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_node copy = *node;
  copy.constant = NULL;
  NSL_TRY(check_name_and_inputs(g, node, err));
  set_defaults(&copy);
  if (copy.n_const > 0) {
    copy.constant = malloc((size_t)copy.n_const * sizeof(float));
    if (!copy.constant) { NSL_THROW(err, NSL_E_NOMEM, "node '%s': out of memory", node->name); }
    memcpy(copy.constant, node->constant, (size_t)copy.n_const * sizeof(float));
  }
  nsl_shape3 in[NSL_NODE_INPUTS_MAX] = {{0}};
  for (int k = 0; k < copy.n_in; k++) { in[k] = g->nodes[copy.in[k]].out; }
  const nsl_op_impl *impl = nsl_op_impl_of(copy.op);
  st = impl->infer(&copy, in, &copy.out, err);
  if (st == NSL_OK && (copy.out.c < 1 || copy.out.h < 1 || copy.out.w < 1)) {
    st = nsl_fail(err, NSL_E_VALUE, "the output would be empty (%dx%dx%d)", copy.out.c, copy.out.h, copy.out.w);
  }
  if (st != NSL_OK) {
    nsl_error_context(err, st, "node '%s' (%s)", copy.name, impl->word);
    goto cleanup;
  }
  if (g->n == g->capacity) {
    int capacity = g->capacity ? 2 * g->capacity : 32;
    nsl_node *nodes = realloc(g->nodes, (size_t)capacity * sizeof *nodes);
    if (!nodes) { NSL_THROW(err, NSL_E_NOMEM, "node '%s': out of memory", node->name); }
    g->nodes = nodes;
    g->capacity = capacity;
  }
  if (index) { *index = g->n; }
  g->nodes[g->n++] = copy;
  copy.constant = NULL;
cleanup:
  free(copy.constant);
  return st;
}

int nsl_graph_is_stochastic(const nsl_graph *g, int i)
{
  /* Marks in execution order: following the inputs backwards would visit a residual network's nodes 2^depth times. */
  char mark[NSL_GRAPH_NODES_MAX];
  for (int j = 0; j <= i; j++) {
    mark[j] = g->nodes[j].op == NSL_OP_DROPOUT;
    for (int k = 0; k < g->nodes[j].n_in; k++) { mark[j] |= mark[g->nodes[j].in[k]]; }
  }
  return mark[i];
}

double nsl_graph_macs(const nsl_graph *g)
{
  double total = 0.0;
  for (int i = 0; i < g->n; i++) {
    const nsl_node *node = &g->nodes[i];
    const nsl_op_impl *impl = nsl_op_impl_of(node->op);
    nsl_shape3 in[NSL_NODE_INPUTS_MAX] = {{0}};
    for (int k = 0; k < node->n_in; k++) { in[k] = g->nodes[node->in[k]].out; }
    if (impl->macs) { total += impl->macs(node, in); }
  }
  return total;
}
