/* The engine's side of tools/bench.sh: reads commands from standard input, one a line, answers each with one line. Not a test.
 * Times are CPU seconds of one call on one thread, so that a driver can interleave them with a competitor's.
 *
 *   net eq|resnet34 BATCH FOLDER   makes the network; FOLDER/weights.f32 is read if it is there, else written, and FOLDER gets
 *                                  graph.txt, params.txt (name and dimensions), input<k>.f32 and output.f32
 *   forward | sample T | passes T | train      one call on the batch: seconds
 *   reference                      largest difference of forward from the float64 oracle over the output's spread
 *   sgemm N                        GFLOP/s of one N^3 product
 *   profile                        microseconds a stamp and arithmetic by node, to standard error */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nn/net_internal.h"
#include "noslit/base/clock.h"
#include "noslit/base/memory.h"
#include "noslit/base/rng.h"
#include "noslit/nn/architectures.h"
#include "noslit/nn/blas.h"
#include "noslit/nn/loss.h"
#include "noslit/nn/optim.h"

typedef struct {
  nsl_graph graph;
  nsl_net *infer, *train;
  nsl_adamw *opt;
  int n, n_inputs;
  float *inputs[4], *target, *dout;
  const float *views[4];
  size_t out_size;
  uint64_t *keys;
} bench;

static void die(const nsl_error *err)
{
  fprintf(stderr, "bench_nn: %s\n", err->text);
  exit(1);
}

static void write_floats(const char *folder, const char *name, const float *x, size_t n)
{
  char path[4352];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *f = fopen(path, "wb");
  if (!f || fwrite(x, sizeof *x, n, f) != n || fclose(f) != 0) {
    fprintf(stderr, "bench_nn: %s: cannot write\n", path);
    exit(1);
  }
}

/* Batch norms as after training: statistics away from 0 and 1, gains of different sizes. */
static void make_weights(nsl_net *net)
{
  nsl_rng r = nsl_rng_make(3, NSL_RNG_TEST, 7, 0);
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    int is_variance = strstr(p->name, ".var") != NULL, is_gain = strstr(p->name, "bn") && strstr(p->name, ".weight");
    for (size_t k = 0; k < p->n && (p->is_state || is_gain); k++) {
      double u = nsl_rng_uniform(&r);
      p->value[k] = (float)(is_variance || is_gain ? 0.5 + u : 0.2 * (u - 0.5));
    }
  }
}

static void exchange_weights(nsl_net *net, const char *folder)
{
  char path[4352];
  snprintf(path, sizeof path, "%s/weights.f32", folder);
  FILE *f = fopen(path, "rb");
  int given = f != NULL;
  if (!given) { make_weights(net); }
  if (!given && !(f = fopen(path, "wb"))) { exit(1); }
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    size_t done = given ? fread(p->value, sizeof(float), p->n, f) : fwrite(p->value, sizeof(float), p->n, f);
    if (done != p->n) {
      fprintf(stderr, "bench_nn: %s: wrong length at %s\n", path, p->name);
      exit(1);
    }
  }
  fclose(f);
  nsl_net_weights_changed(net);
}

static void describe(const bench *b, const char *folder)
{
  char path[4352];
  snprintf(path, sizeof path, "%s/params.txt", folder);
  FILE *f = fopen(path, "w");
  for (int i = 0; f && i < nsl_net_n_params(b->infer); i++) {
    nsl_param *p = nsl_net_param(b->infer, i);
    fprintf(f, "%s", p->name);
    for (int d = 0; d < p->rank; d++) { fprintf(f, " %d", p->dims[d]); }
    fprintf(f, "\n");
  }
  if (!f || fclose(f) != 0) { exit(1); }
  snprintf(path, sizeof path, "%s/graph.txt", folder);
  char *text = nsl_graph_to_text(&b->graph);
  f = fopen(path, "w");
  if (!f || fputs(text, f) < 0 || fclose(f) != 0) { exit(1); }
  free(text);
}

static void release(bench *b)
{
  if (!b->infer) { return; }
  nsl_net_free(b->infer);
  nsl_adamw_free(b->opt);
  nsl_net_free(b->train);
  nsl_graph_free(&b->graph);
  for (int k = 0; k < b->n_inputs; k++) { free(b->inputs[k]); }
  free(b->target);
  free(b->dout);
  free(b->keys);
  *b = (bench){0};
}

static void make_inputs(bench *b, const char *folder)
{
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 1, 1);
  b->n_inputs = 0;
  for (int i = 0; i < b->graph.n; i++) {
    if (b->graph.nodes[i].op != NSL_OP_INPUT) { continue; }
    size_t size = (size_t)b->n * nsl_shape_size(b->graph.nodes[i].out);
    float *x = nsl_alloc_large(size * sizeof *x); /* as the engine does, and numpy */
    nsl_rng_normals_f32(&r, x, size);
    for (size_t k = 0; k < size && strcmp(b->graph.nodes[i].name, "v") == 0; k++) { x[k] = fminf(1.0f, fabsf(x[k])); }
    char name[32];
    snprintf(name, sizeof name, "input%d.f32", b->n_inputs);
    write_floats(folder, name, x, size);
    b->views[b->n_inputs] = b->inputs[b->n_inputs] = x;
    b->n_inputs++;
  }
}

static double forward(bench *b, nsl_mode mode, uint32_t sample)
{
  nsl_error err = NSL_ERROR_INIT;
  const float *out;
  nsl_dropout_key drop = {.seed = 1, .key = b->keys, .sample = sample};
  double start = nsl_clock_cpu_s();
  if (nsl_net_forward(b->infer, b->n, b->views, mode, &drop, &out, &err) != NSL_OK) { die(&err); }
  return nsl_clock_cpu_s() - start;
}

static void make_net(bench *b, const char *what, int n, const char *folder)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_eq_options o;
  const float *out;
  release(b);
  nsl_eq_defaults(&o);
  nsl_status st =
      strcmp(what, "eq") == 0 ? nsl_graph_eq(&o, &b->graph, &err) : nsl_graph_resnet34(40, 480, 64, 0.2, &b->graph, &err);
  if (st != NSL_OK || nsl_net_new(&b->graph, n, 0, 1, &b->infer, &err) != NSL_OK) { die(&err); }
  b->n = n;
  b->out_size = nsl_shape_size(b->graph.nodes[b->graph.n - 1].out);
  b->keys = calloc((size_t)n, sizeof *b->keys);
  b->target = calloc((size_t)n * b->out_size, sizeof(float));
  b->dout = calloc((size_t)n * b->out_size, sizeof(float));
  for (int i = 0; i < n; i++) {
    b->keys[i] = (uint64_t)i;
    b->target[(size_t)i * b->out_size + (size_t)(i * 37) % b->out_size] = 1.0f;
  }
  exchange_weights(b->infer, folder);
  describe(b, folder);
  make_inputs(b, folder);
  if (nsl_net_forward(b->infer, n, b->views, NSL_MODE_EVAL, NULL, &out, &err) != NSL_OK) { die(&err); }
  write_floats(folder, "output.f32", out, (size_t)n * b->out_size);
  printf("%.6g\n", nsl_graph_macs(&b->graph));
}

/* A training step: cross-entropy where the outputs are bins, the Gaussian likelihood where they are mean and log variance. */
static double train_step(bench *b)
{
  nsl_error err = NSL_ERROR_INIT;
  const float *out;
  double norm;
  if (!b->train) {
    nsl_adamw_options options = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip_norm = 1.0};
    if (nsl_net_new(&b->graph, b->n, 1, 1, &b->train, &err) != NSL_OK ||
        nsl_adamw_new(b->train, &options, &b->opt, &err) != NSL_OK) {
      die(&err);
    }
  }
  nsl_dropout_key drop = {.seed = 1, .key = b->keys};
  double start = nsl_clock_cpu_s();
  if (nsl_net_forward(b->train, b->n, b->views, NSL_MODE_TRAIN, &drop, &out, &err) != NSL_OK) { die(&err); }
  if (b->out_size == 2) {
    nsl_loss_gaussian_nll(b->n, out, b->target, b->dout);
  } else {
    nsl_loss_cross_entropy(b->n, (int)b->out_size, out, b->target, b->dout);
  }
  nsl_net_zero_grad(b->train);
  if (nsl_net_backward(b->train, b->dout, &err) != NSL_OK || nsl_adamw_step(b->opt, 1e-4, &norm, &err) != NSL_OK) { die(&err); }
  return nsl_clock_cpu_s() - start;
}

static int sink(void *ctx, int element, int sample0, int count, const float *outputs)
{
  (void)element, (void)sample0, (void)count;
  *(double *)ctx += (double)outputs[0];
  return 0;
}

static double sample(bench *b, int n_samples)
{
  nsl_error err = NSL_ERROR_INIT;
  double sum = 0.0, start = nsl_clock_cpu_s();
  if (nsl_net_sample(b->infer, b->n, b->views, 1, b->keys, n_samples, 0, sink, &sum, &err) != NSL_OK) { die(&err); }
  return nsl_clock_cpu_s() - start;
}

/* The naive oracle on some elements of the batch; the spread is that of each output about its mean over them. */
static double reference(bench *b)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_net *net;
  const float *want, *found;
  int n = b->n < 4 ? b->n : 4;
  if (nsl_net_new_with(&b->graph, n, 0, 1, nsl_backend_reference(), &net, &err) != NSL_OK) { die(&err); }
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    memcpy(nsl_net_param(net, i)->value, nsl_net_param(b->infer, i)->value, nsl_net_param(net, i)->n * sizeof(float));
  }
  if (nsl_net_forward(net, n, b->views, NSL_MODE_EVAL, NULL, &want, &err) != NSL_OK ||
      nsl_net_forward(b->infer, n, b->views, NSL_MODE_EVAL, NULL, &found, &err) != NSL_OK) {
    die(&err);
  }
  double spread = 0.0, worst = 0.0, count = (double)n * (double)b->out_size;
  for (size_t k = 0; k < b->out_size; k++) {
    double mean = 0.0;
    for (size_t i = k; i < (size_t)count; i += b->out_size) { mean += (double)want[i] / n; }
    for (size_t i = k; i < (size_t)count; i += b->out_size) {
      spread += ((double)want[i] - mean) * ((double)want[i] - mean) / count;
      worst = fmax(worst, fabs((double)want[i] - (double)found[i]));
    }
  }
  nsl_net_free(net);
  return worst / sqrt(spread);
}

static double sgemm_rate(int n)
{
  size_t size = (size_t)n * (size_t)n;
  float *a = malloc(3 * size * sizeof *a);
  for (size_t i = 0; i < 3 * size; i++) { a[i] = (float)(i % 17) * 0.1f; }
  nsl_sgemm(0, 0, n, n, n, 1.0f, a, n, a + size, n, 0.0f, a + 2 * size, n);
  double start = nsl_clock_cpu_s();
  nsl_sgemm(0, 0, n, n, n, 1.0f, a, n, a + size, n, 0.0f, a + 2 * size, n);
  double rate = 2e-9 * (double)n * (double)size / (nsl_clock_cpu_s() - start);
  free(a);
  return rate;
}

/* Of a node and of those that its step has absorbed, counted as written in the graph. */
static double macs_of(const nsl_net *net, int i)
{
  const nsl_node *node = &net->graph.nodes[i];
  const nsl_op_impl *impl = nsl_op_impl_of(node->op);
  double sum = impl->macs ? impl->macs(node, net->states[i].in_shape) : 0.0;
  for (int k = 0; k < node->n_in; k++) { sum += net->states[node->in[k]].absorbed ? macs_of(net, node->in[k]) : 0.0; }
  return sum;
}

static void profile(bench *b)
{
  double peak = sgemm_rate(1024);
  nsl_run run = {
      .n = b->n < b->infer->block ? b->n : b->infer->block, .mode = NSL_MODE_EVAL, .inputs = b->views, .sample_element = -1};
  for (int r = 0; r < b->infer->graph.n; r++) {
    double best = 1e9;
    for (int again = 0; again < 5; again++) {
      double start = nsl_clock_cpu_s();
      nsl_net_run_nodes(b->infer, r, r + 1, &run);
      best = fmin(best, nsl_clock_cpu_s() - start);
    }
    const nsl_node *node = &b->infer->graph.nodes[b->infer->order[r]];
    if (best > 2e-6) {
      double rate = 2e-9 * macs_of(b->infer, b->infer->order[r]) * run.n / best;
      fprintf(stderr, "%-12s %-20s %8.1f us %6.0f GFLOP/s, %3.0f %% of sgemm\n", nsl_op_impl_of(node->op)->word, node->name,
              1e6 * best / run.n, rate, 100.0 * rate / peak);
    }
  }
}

static double passes(bench *b, int n)
{
  double sum = 0.0;
  for (int t = 0; t < n; t++) { sum += forward(b, NSL_MODE_SAMPLE, (uint32_t)t); }
  return sum;
}

int main(int argc, char **argv)
{
  (void)argc;
  nsl_blas_restart_with_better_core(argv);
  nsl_error err = NSL_ERROR_INIT;
  bench b = {0};
  char line[8192], word[32], what[32], folder[4096];
  int n;
  if (nsl_blas_start(&err) != NSL_OK) { die(&err); }
  printf("%s %s\n", nsl_blas_core(), nsl_kernels_best()->name);
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    n = 0;
    int fields = sscanf(line, "%31s %31s %d %4095s", word, what, &n, folder);
    int number = fields >= 2 ? atoi(what) : 0;
    if (fields == 4 && strcmp(word, "net") == 0) {
      make_net(&b, what, n, folder);
    } else if (strcmp(word, "sgemm") == 0 && number > 0) {
      printf("%.6g\n", sgemm_rate(number));
    } else if (!b.infer) {
      printf("no network\n");
    } else if (strcmp(word, "forward") == 0) {
      printf("%.9g\n", forward(&b, NSL_MODE_EVAL, 0));
    } else if (strcmp(word, "sample") == 0) {
      printf("%.9g\n", sample(&b, number));
    } else if (strcmp(word, "passes") == 0) {
      printf("%.9g\n", passes(&b, number));
    } else if (strcmp(word, "train") == 0) {
      printf("%.9g\n", train_step(&b));
    } else if (strcmp(word, "reference") == 0) {
      printf("%.3g\n", reference(&b));
    } else if (strcmp(word, "profile") == 0) {
      profile(&b);
      printf("done\n");
    } else {
      printf("unknown command\n");
    }
    fflush(stdout);
  }
  release(&b);
  return 0;
}
