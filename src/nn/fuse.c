/* Which nodes become steps. An image region is a set of convolutions (with the batch norm, add and ReLU behind them), max pools
 * and global means that hand images to each other: inside it the channels are innermost. It begins at a net input and ends in
 * global means; whatever has a neighbour outside is taken out again. */
#include <stdlib.h>

#include "step.h"

typedef struct {
  nsl_net *net;
  nsl_chain *chains; /* at a convolution's index */
  int *step_of;      /* index of the chain's convolution (or of the pool) that a node belongs to, -1 */
  int *inside;       /* at a convolution's or pool's index: in the region */
} finder;

static const nsl_node *node_at(const finder *f, int i) { return &f->net->graph.nodes[i]; }

int nsl_only_reader(const nsl_net *net, int node)
{
  int reader = -1, count = 0;
  for (int i = node + 1; i < net->graph.n; i++) {
    for (int k = 0; k < net->graph.nodes[i].n_in; k++) {
      if (net->graph.nodes[i].in[k] == node) {
        reader = i;
        count++;
      }
    }
  }
  return count == 1 ? reader : -1;
}

/* The only reader of i, if it is of this op and deterministic; else -1. */
static int follower(const finder *f, int i, nsl_op op)
{
  int r = i == f->net->output ? -1 : nsl_only_reader(f->net, i);
  return r >= 0 && node_at(f, r)->op == op && !f->net->states[r].stochastic ? r : -1;
}

static void find_chain(finder *f, int conv)
{
  nsl_chain c = {.conv = conv, .norm = -1, .add = -1, .relu = -1, .last = conv, .input = node_at(f, conv)->in[0], .other = -1};
  c.norm = follower(f, c.last, NSL_OP_BATCHNORM);
  if (c.norm >= 0) { c.last = c.norm; }
  int add = follower(f, c.last, NSL_OP_ADD);
  if (add >= 0 && f->step_of[add] < 0 && node_at(f, add)->in[0] != node_at(f, add)->in[1]) {
    c.add = add;
    c.other = node_at(f, add)->in[node_at(f, add)->in[0] == c.last];
    c.last = add;
  }
  c.relu = follower(f, c.last, NSL_OP_RELU);
  if (c.relu >= 0) { c.last = c.relu; }
  f->chains[conv] = c;
  const int parts[] = {c.conv, c.norm, c.add, c.relu};
  for (int k = 0; k < 4; k++) {
    if (parts[k] >= 0) { f->step_of[parts[k]] = conv; }
  }
}

static void list_candidates(finder *f)
{
  for (int i = 0; i < f->net->graph.n; i++) { f->step_of[i] = -1; }
  for (int i = 0; i < f->net->graph.n; i++) {
    nsl_op op = node_at(f, i)->op;
    if (f->net->states[i].stochastic) { continue; }
    if (op == NSL_OP_CONV) {
      find_chain(f, i);
      f->inside[i] = nsl_image_can_convolve(f->net, &f->chains[i], 0) || nsl_image_can_convolve(f->net, &f->chains[i], 1);
    } else if (op == NSL_OP_MAXPOOL || op == NSL_OP_GAP) {
      f->chains[i] =
          (nsl_chain){.conv = i, .norm = -1, .add = -1, .relu = -1, .last = i, .input = node_at(f, i)->in[0], .other = -1};
      f->step_of[i] = i;
      f->inside[i] = f->net->states[i].in_shape[0].c % NSL_CHANNEL_BLOCK == 0;
    }
  }
}

/* Is node i what a step of the region leaves behind, as an image? */
static int gives_image(const finder *f, int i)
{
  int s = f->step_of[i];
  return s >= 0 && f->inside[s] && f->chains[s].last == i && node_at(f, i)->op != NSL_OP_GAP;
}

static int takes_planes(const finder *f, const nsl_chain *c)
{
  return node_at(f, c->conv)->op == NSL_OP_CONV && f->net->states[c->input].input >= 0 && nsl_image_can_convolve(f->net, c, 1);
}

static int inputs_fit(const finder *f, const nsl_chain *c)
{
  if (c->other >= 0 && !gives_image(f, c->other)) { return 0; }
  if (takes_planes(f, c)) { return 1; }
  return gives_image(f, c->input) && (node_at(f, c->conv)->op != NSL_OP_CONV || nsl_image_can_convolve(f->net, c, 0));
}

static int readers_fit(const finder *f, const nsl_chain *c)
{
  if (node_at(f, c->last)->op == NSL_OP_GAP) { return 1; }
  if (c->last == f->net->output) { return 0; }
  for (int i = 0; i < f->net->graph.n; i++) {
    for (int k = 0; k < node_at(f, i)->n_in; k++) {
      if (node_at(f, i)->in[k] == c->last && (f->step_of[i] < 0 || !f->inside[f->step_of[i]])) { return 0; }
    }
  }
  return 1;
}

static void shrink(finder *f)
{
  for (int again = 1; again;) {
    again = 0;
    for (int i = 0; i < f->net->graph.n; i++) {
      if (f->inside[i] && !(inputs_fit(f, &f->chains[i]) && readers_fit(f, &f->chains[i]))) {
        f->inside[i] = 0;
        again = 1;
      }
    }
  }
}

static nsl_status install(finder *f, int i, nsl_error *err)
{
  const nsl_chain *c = &f->chains[i];
  nsl_net *net = f->net;
  nsl_node_state *last = &net->states[c->last];
  nsl_status st = node_at(f, i)->op == NSL_OP_CONV ? nsl_image_conv_new(net, c, takes_planes(f, c), &last->step, err)
                                                   : nsl_image_pool_new(net, i, &last->step, err);
  if (st != NSL_OK) { return st; }
  const int parts[] = {c->conv, c->norm, c->add, c->relu};
  for (int k = 0; k < 4; k++) {
    if (parts[k] >= 0 && parts[k] != c->last) { net->states[parts[k]].absorbed = 1; }
  }
  last->n_in = 1;
  last->in[0] = c->input;
  if (c->other >= 0) { last->in[last->n_in++] = c->other; }
  for (int k = 0; k < 4; k++) {
    if (parts[k] >= 0 && parts[k] != c->last) { net->states[parts[k]].n_in = 0; }
  }
  return NSL_OK;
}

nsl_status nsl_net_fuse(nsl_net *net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)net->graph.n;
  finder f = {
      .net = net, .chains = calloc(n, sizeof(nsl_chain)), .step_of = calloc(n, sizeof(int)), .inside = calloc(n, sizeof(int))};
  if (!f.chains || !f.step_of || !f.inside) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for the steps of %zu nodes", n); }
  list_candidates(&f);
  shrink(&f);
  for (int i = 0; i < net->graph.n; i++) {
    if (f.inside[i]) { NSL_TRY(install(&f, i, err)); }
  }
  NSL_TRY(nsl_net_fuse_signals(net, err));
cleanup:
  free(f.chains);
  free(f.step_of);
  free(f.inside);
  return st;
}
