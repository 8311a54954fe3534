/* For the tests of the nn layer: random tensors, small graphs, and gradients by finite differences. */
#ifndef NN_SUPPORT_H
#define NN_SUPPORT_H

#include <math.h>

#include "noslit/base/rng.h"
#include "noslit/nn/net.h"
#include "unit/test_support.h"

static inline float *random_tensor(uint64_t id, size_t n)
{
  nsl_rng r = nsl_rng_make(11, NSL_RNG_TEST, id, 0);
  float *x = malloc(n * sizeof *x);
  nsl_rng_normals_f32(&r, x, n);
  return x;
}

static inline int add_node(nsl_graph *g, const char *name, nsl_node node)
{
  int index = -1;
  snprintf(node.name, sizeof node.name, "%s", name);
  assert_ok(nsl_graph_add(g, &node, &index, &test_err));
  return index;
}

static inline int add_input(nsl_graph *g, const char *name, int c, int h, int w)
{
  return add_node(g, name, (nsl_node){.op = NSL_OP_INPUT, .out = {c, h, w}});
}

/* An input with a learned bias behind it, so that the gradient with respect to the input can be looked at. */
static inline int add_probe(nsl_graph *g, const char *name, int c, int h, int w)
{
  char input[NSL_NODE_NAME_MAX];
  snprintf(input, sizeof input, "%.30s_in", name);
  return add_node(g, name, (nsl_node){.op = NSL_OP_BIAS, .n_in = 1, .in = {add_input(g, input, c, h, w)}});
}

typedef struct {
  nsl_net *net;
  int n, n_inputs;
  float *inputs[4];
  const float *views[4];
  float *weights; /* of the loss: sum weights * output */
  size_t size;    /* output floats of the batch */
  uint64_t keys[64];
  nsl_dropout_key drop;
} probe;

static inline probe probe_new(const nsl_graph *g, int n, uint64_t seed)
{
  probe p = {.n = n};
  assert_ok(nsl_net_new(g, n, 1, seed, &p.net, &test_err));
  for (int i = 0; i < g->n; i++) {
    if (g->nodes[i].op != NSL_OP_INPUT) { continue; }
    nsl_shape3 s = g->nodes[i].out;
    p.inputs[p.n_inputs] = random_tensor(seed + 100 + (uint64_t)i, (size_t)n * (size_t)(s.c * s.h * s.w));
    p.views[p.n_inputs] = p.inputs[p.n_inputs];
    p.n_inputs++;
  }
  nsl_shape3 out = g->nodes[g->n - 1].out;
  p.size = (size_t)n * (size_t)(out.c * out.h * out.w);
  p.weights = random_tensor(seed + 99, p.size);
  for (int i = 0; i < n; i++) { p.keys[i] = 1000 + (uint64_t)i; }
  return p;
}

static inline void probe_free(probe *p)
{
  nsl_net_free(p->net);
  for (int i = 0; i < p->n_inputs; i++) { free(p->inputs[i]); }
  free(p->weights);
}

static inline double probe_loss(probe *p)
{
  const float *out;
  nsl_dropout_key drop = {.seed = 5, .key = p->keys};
  assert_ok(nsl_net_forward(p->net, p->n, p->views, NSL_MODE_TRAIN, &drop, &out, &test_err));
  double loss = 0.0;
  for (size_t i = 0; i < p->size; i++) { loss += (double)p->weights[i] * (double)out[i]; }
  return loss;
}

/* Every learned number (at most `most` a tensor, spread out) against a fourth-order central difference of step h. The tolerance is
 * relative to the tensor's rms gradient, plus a floor for rounding in the loss. */
static inline void check_gradients(probe *p, double h, double tolerance, int most)
{
  nsl_net_zero_grad(p->net);
  double loss = probe_loss(p), scale = 0.0;
  assert_ok(nsl_net_backward(p->net, p->weights, &test_err));
  for (size_t i = 0; i < p->size; i++) { scale += (double)(p->weights[i] * p->weights[i]); }
  double floor_ = (fabs(loss) + sqrt(scale)) * 3e-7 / h;
  int checked = 0, blind = 0, tensors = 0;
  for (int t = 0; t < nsl_net_n_params(p->net); t++) {
    nsl_param *param = nsl_net_param(p->net, t);
    if (param->is_state) { continue; }
    double rms = 0.0;
    for (size_t k = 0; k < param->n; k++) { rms += (double)(param->grad[k] * param->grad[k]) / (double)param->n; }
    rms = sqrt(rms);
    size_t step = param->n > (size_t)most ? param->n / (size_t)most : 1;
    for (size_t k = 0; k < param->n; k += step, checked++) {
      float keep = param->value[k];
      double f[4];
      for (int s = 0; s < 4; s++) {
        static const double at[] = {-2, -1, 1, 2};
        param->value[k] = (float)((double)keep + at[s] * h);
        f[s] = probe_loss(p);
      }
      param->value[k] = keep;
      double numeric = (f[0] - 8.0 * f[1] + 8.0 * f[2] - f[3]) / (12.0 * h), found = (double)param->grad[k];
      if (!(fabs(numeric - found) <= tolerance * rms + floor_)) {
        fail_msg("%s[%zu]: gradient %.6g, by differences %.6g (rms %.3g, floor %.3g)", param->name, k, found, numeric, rms, floor_);
      }
    }
    /* A check whose floor drowns the gradients would prove nothing. A tensor may have none (a bias before a batch norm). */
    tensors++;
    blind += floor_ > 0.2 * rms;
  }
  assert_true(checked > 0);
  if (4 * blind > tensors) { fail_msg("the check is blind for %d of %d tensors", blind, tensors); }
}

#endif
