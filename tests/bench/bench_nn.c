/* Times the default network on one thread: forward, training step, 128 dropout samples. Not a test; prints milliseconds a stamp.
 *   bench_nn [batch] [repeats] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/net_internal.h"
#include "noslit/base/clock.h"
#include "noslit/base/rng.h"
#include "noslit/nn/architectures.h"
#include "noslit/nn/blas.h"
#include "noslit/nn/loss.h"
#include "noslit/nn/optim.h"

enum { SAMPLES = 128 };

typedef struct {
  int n;
  float *inputs[3];
  const float *views[3];
  uint64_t *keys;
  float *target, *dlogits;
} batch;

static batch make_batch(int n)
{
  const size_t sizes[] = {2 * 40 * 480, 2 * 40 * 480, 8};
  batch b = {.n = n};
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 1, 1);
  for (int k = 0; k < 3; k++) {
    b.inputs[k] = malloc((size_t)n * sizes[k] * sizeof(float));
    nsl_rng_normals_f32(&r, b.inputs[k], (size_t)n * sizes[k]);
    for (size_t i = 0; i < (size_t)n * sizes[k] && k == 1; i++) { b.inputs[k][i] = fminf(1.0f, fabsf(b.inputs[k][i])); }
    b.views[k] = b.inputs[k];
  }
  b.keys = calloc((size_t)n, sizeof *b.keys);
  b.target = calloc((size_t)n * 640, sizeof *b.target);
  b.dlogits = calloc((size_t)n * 640, sizeof *b.dlogits);
  for (int i = 0; i < n; i++) {
    b.keys[i] = (uint64_t)i;
    b.target[i * 640 + (i * 37) % 640] = 1.0f;
  }
  return b;
}

static void sink(void *ctx, int element, int sample0, int count, const float *outputs)
{
  (void)element, (void)sample0;
  *(double *)ctx += (double)outputs[count * 640 - 1];
}

/* Where the time of a training step goes, by op. */
static void show_ops(nsl_net *net, const batch *b)
{
  double forward[NSL_OP_COUNT] = {0}, backward[NSL_OP_COUNT] = {0};
  nsl_dropout_key drop = {.seed = 1, .key = b->keys};
  nsl_run run = {.n = b->n, .mode = NSL_MODE_TRAIN, .batched = 1, .inputs = b->views, .drop = &drop, .sample_element = -1};
  for (int r = 0; r < net->graph.n; r++) {
    double t = nsl_clock_cpu_s();
    nsl_net_run_nodes(net, r, r + 1, &run);
    forward[net->graph.nodes[net->order[r]].op] += nsl_clock_cpu_s() - t;
  }
  for (int r = net->graph.n - 1; r >= 0; r--) {
    int i = net->order[r];
    nsl_node_state *s = &net->states[i];
    if (!s->needs_grad || !s->impl->backward) { continue; }
    nsl_call call = nsl_net_call(net, i, &run);
    call.dout = i == net->output ? b->dlogits : s->grad;
    for (int k = 0; k < call.node->n_in; k++) {
      nsl_node_state *from = &net->states[call.node->in[k]];
      call.din[k] = from->needs_grad ? from->grad : NULL;
    }
    double t = nsl_clock_cpu_s();
    s->impl->backward(&call);
    backward[call.node->op] += nsl_clock_cpu_s() - t;
  }
  for (int op = 0; op < NSL_OP_COUNT; op++) {
    if (forward[op] + backward[op] > 0.0) {
      printf("  %-12s forward %7.1f us   backward %7.1f us a stamp\n", nsl_op_impl_of((nsl_op)op)->word, 1e6 * forward[op] / b->n,
             1e6 * backward[op] / b->n);
    }
  }
}

int main(int argc, char **argv)
{
  int n = argc > 1 ? atoi(argv[1]) : 96, repeats = argc > 2 ? atoi(argv[2]) : 5;
  nsl_error err = NSL_ERROR_INIT;
  nsl_eq_options o;
  nsl_graph g;
  nsl_net *infer, *train;
  nsl_adamw *opt;
  nsl_adamw_options options = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip_norm = 1.0};
  nsl_eq_defaults(&o);
  if (nsl_blas_start(&err) != NSL_OK || nsl_graph_eq(&o, &g, &err) != NSL_OK || nsl_net_new(&g, n, 0, 1, &infer, &err) != NSL_OK ||
      nsl_net_new(&g, n, 1, 1, &train, &err) != NSL_OK || nsl_adamw_new(train, &options, &opt, &err) != NSL_OK) {
    fprintf(stderr, "%s\n", err.text);
    return 1;
  }
  batch b = make_batch(n);
  const float *out;
  double checksum = 0.0, norm, t[4], best[3] = {1e9, 1e9, 1e9};
  for (int r = 0; r <= repeats; r++) {
    t[0] = nsl_clock_cpu_s();
    nsl_net_forward(infer, n, b.views, NSL_MODE_EVAL, NULL, &out, &err);
    t[1] = nsl_clock_cpu_s();
    nsl_net_sample(infer, n, b.views, 1, b.keys, SAMPLES, sink, &checksum, &err);
    t[2] = nsl_clock_cpu_s();
    nsl_dropout_key drop = {.seed = 1, .key = b.keys};
    nsl_net_forward(train, n, b.views, NSL_MODE_TRAIN, &drop, &out, &err);
    nsl_loss_cross_entropy(n, 640, out, b.target, b.dlogits);
    nsl_net_zero_grad(train);
    nsl_net_backward(train, b.dlogits, &err);
    nsl_adamw_step(opt, 1e-3, &norm, &err);
    t[3] = nsl_clock_cpu_s();
    for (int k = 0; k < 3; k++) { best[k] = fmin(best[k], (t[k + 1] - t[k]) * 1e3 / n); }
  }
  printf("eq: %.2f M multiply-adds, batch %d, core %s, kernels %s\n", nsl_graph_macs(&g) * 1e-6, n, nsl_blas_core(),
         nsl_kernels_best()->name);
  printf("forward %.3f ms, forward and %d samples %.3f ms (samples %.3f), training step %.3f ms a stamp (checksum %g)\n", best[0],
         SAMPLES, best[1], best[1] - best[0], best[2], checksum);
  show_ops(train, &b);
  for (int k = 0; k < 3; k++) { free(b.inputs[k]); }
  free(b.keys);
  free(b.target);
  free(b.dlogits);
  nsl_adamw_free(opt);
  nsl_net_free(infer);
  nsl_net_free(train);
  nsl_graph_free(&g);
  return 0;
}
