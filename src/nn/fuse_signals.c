/* Which one-dimensional convolutions become steps: each of them, with the batch norm and GELU before it and the add or GELU behind
 * it. Between steps the batch elements stand side by side (lanes); a step that has another reader writes the usual layout. */
#include <stdlib.h>

#include "step.h"

static const nsl_node *node_at(const nsl_net *net, int i) { return &net->graph.nodes[i]; }

static int is_signal_conv(const nsl_net *net, int i)
{
  const nsl_node *node = node_at(net, i);
  return node->op == NSL_OP_CONV && net->states[i].in_shape[0].h == 1 && node->kh == 1 && node->pad_h == 0;
}

/* May the input of this node be absorbed: of this op, read by nobody else, and not the input of the net? */
static int absorbable(const nsl_net *net, int from, nsl_op op, int by)
{
  return node_at(net, from)->op == op && nsl_only_reader(net, from) == by && !net->states[from].absorbed && !net->states[from].step;
}

static int free_follower(const nsl_net *net, int i, nsl_op op)
{
  int r = i == net->output ? -1 : nsl_only_reader(net, i);
  int fits = r >= 0 && node_at(net, r)->op == op && !net->states[r].stochastic && !net->states[r].absorbed && !net->states[r].step;
  return fits ? r : -1;
}

static nsl_signal_chain chain_of(const nsl_net *net, int conv)
{
  nsl_signal_chain c = {.conv = conv, .norm = -1, .gelu = -1, .add = -1, .last_gelu = -1, .last = conv, .other = -1, .concat = -1};
  c.input = node_at(net, conv)->in[0];
  if (absorbable(net, c.input, NSL_OP_CONCAT, conv) && node_at(net, c.input)->n_in < NSL_NODE_INPUTS_MAX &&
      nsl_signal_winograd_fits(node_at(net, conv))) {
    c.concat = c.input;
  } else if (absorbable(net, c.input, NSL_OP_GELU, conv)) {
    c.gelu = c.input;
    c.input = node_at(net, c.gelu)->in[0];
    if (absorbable(net, c.input, NSL_OP_BATCHNORM, c.gelu)) {
      c.norm = c.input;
      c.input = node_at(net, c.norm)->in[0];
    }
  }
  c.add = free_follower(net, c.last, NSL_OP_ADD);
  if (c.add >= 0 && node_at(net, c.add)->in[0] != node_at(net, c.add)->in[1]) {
    c.other = node_at(net, c.add)->in[node_at(net, c.add)->in[0] == c.last];
    c.last = c.add;
  } else {
    c.add = -1;
  }
  /* A GELU before another convolution is that one's. */
  int gelu = free_follower(net, c.last, NSL_OP_GELU), reader = gelu >= 0 ? nsl_only_reader(net, gelu) : -1;
  if (gelu >= 0 && !(reader >= 0 && is_signal_conv(net, reader) && !net->states[reader].stochastic)) {
    c.last_gelu = gelu;
    c.last = gelu;
  }
  return c;
}

static void absorb(nsl_net *net, int i)
{
  net->states[i].absorbed = 1;
  net->states[i].n_in = 0;
}

/* What the step reads; constants that nobody else reads need not be made. */
static void list_inputs(nsl_net *net, const nsl_signal_chain *c)
{
  nsl_node_state *last = &net->states[c->last];
  const nsl_node *concat = c->concat >= 0 ? node_at(net, c->concat) : NULL;
  last->n_in = 0;
  for (int k = 0; k < (concat ? concat->n_in : 1); k++) {
    int input = concat ? concat->in[k] : c->input;
    if (!concat || node_at(net, input)->op != NSL_OP_CONSTANT) {
      last->in[last->n_in++] = input;
    } else if (nsl_only_reader(net, input) == c->concat && input != net->output) {
      absorb(net, input);
    }
  }
  if (c->other >= 0) { last->in[last->n_in++] = c->other; }
}

static nsl_status install(nsl_net *net, const nsl_signal_chain *c, nsl_error *err)
{
  nsl_node_state *last = &net->states[c->last];
  const int parts[] = {c->concat, c->norm, c->gelu, c->conv, c->add, c->last_gelu};
  nsl_status st = nsl_signal_winograd_fits(node_at(net, c->conv)) ? nsl_signal_winograd_new(net, c, &last->step, err)
                                                                  : nsl_signal_conv_new(net, c, &last->step, err);
  if (st != NSL_OK) { return st; }
  for (int k = 0; k < 6; k++) {
    if (parts[k] >= 0 && parts[k] != c->last) { absorb(net, parts[k]); }
  }
  list_inputs(net, c);
  return NSL_OK;
}

/* An op of signals that knows lanes. A single place is no signal: facts stay in the usual layout. */
static int is_lanes_op(const nsl_net *net, int i)
{
  const nsl_shape3 *in = &net->states[i].in_shape[0], *out = &node_at(net, i)->out;
  return net->states[i].impl->knows_lanes && in->h == 1 && out->h == 1 && out->w > 1;
}

static void choose_layout(nsl_net *net, int i)
{
  nsl_node_state *s = &net->states[i];
  s->lanes = s->step && i != net->output;
  for (int r = 0; r < net->graph.n && s->lanes; r++) {
    for (int k = 0; k < net->states[r].n_in; k++) {
      if (net->states[r].in[k] == i && !(net->states[r].step && net->states[r].step->takes_lanes)) { s->lanes = 0; }
    }
  }
}

nsl_status nsl_net_fuse_signals(nsl_net *net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int i = 0; i < net->graph.n; i++) {
    if (net->states[i].stochastic || net->states[i].absorbed || net->states[i].step) { continue; }
    if (is_signal_conv(net, i)) {
      nsl_signal_chain c = chain_of(net, i);
      NSL_TRY(install(net, &c, err));
    } else if (is_lanes_op(net, i)) {
      NSL_TRY(nsl_signal_op_new(&net->states[i].step, err));
    }
  }
  for (int i = 0; i < net->graph.n; i++) {
    if (net->states[i].step && net->states[i].step->takes_lanes) { choose_layout(net, i); }
  }
cleanup:
  return st;
}
