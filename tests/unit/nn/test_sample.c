/* Monte Carlo dropout: the same numbers as separate passes, the same bits for any batch, and a spread that is there. */
#include "nn_support.h"

#include "noslit/nn/architectures.h"
#include "noslit/nn/blas.h"

typedef struct {
  float *x; /* [n][samples][size] */
  int n_samples, calls;
  size_t size;
} collected;

static int collect(void *ctx, int element, int sample0, int count, const float *outputs)
{
  collected *c = ctx;
  memcpy(c->x + ((size_t)element * (size_t)c->n_samples + (size_t)sample0) * c->size, outputs,
         (size_t)count * c->size * sizeof(float));
  c->calls++;
  return 0;
}

static size_t output_size(const nsl_graph *g)
{
  nsl_shape3 s = g->nodes[g->n - 1].out;
  return (size_t)(s.c * s.h * s.w);
}

/* Random inputs for n elements of all the graph's INPUT nodes; the weights v of "eq" are made positive. */
static int make_inputs(const nsl_graph *g, int n, float **inputs)
{
  int count = 0;
  for (int i = 0; i < g->n; i++) {
    if (g->nodes[i].op != NSL_OP_INPUT) { continue; }
    nsl_shape3 s = g->nodes[i].out;
    size_t size = (size_t)n * (size_t)(s.c * s.h * s.w);
    inputs[count] = random_tensor(50 + (uint64_t)i, size);
    for (size_t k = 0; k < size && strcmp(g->nodes[i].name, "v") == 0; k++) {
      inputs[count][k] = fminf(fabsf(inputs[count][k]), 1.0f);
    }
    count++;
  }
  return count;
}

/* Batch norm statistics away from 0 and 1, as after training. */
static nsl_net *trained_like(const nsl_graph *g, int max_batch, int trainable)
{
  nsl_net *net;
  assert_ok(nsl_net_new(g, max_batch, trainable, 4, &net, &test_err));
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    for (size_t k = 0; k < p->n && p->is_state; k++) { p->value[k] = strstr(p->name, ".var") ? 0.7f + 0.01f * (float)k : 0.1f; }
  }
  nsl_net_weights_changed(net);
  return net;
}

static void check_same_as_passes(const nsl_graph *g, int n, int n_samples, int trainable, double tolerance)
{
  nsl_net *net = trained_like(g, n, trainable);
  float *inputs[4];
  int n_inputs = make_inputs(g, n, inputs);
  uint64_t keys[8] = {7, 9, 1ull << 40, 3, 4, 5, 6, 8};
  size_t size = output_size(g);
  collected c = {.n_samples = n_samples, .size = size, .x = malloc((size_t)n * (size_t)n_samples * size * sizeof(float))};
  assert_ok(nsl_net_sample(net, n, (const float *const *)inputs, 33, keys, n_samples, 0, collect, &c, &test_err));
  double spread = 0.0, scale = 0.0;
  for (int t = 0; t < n_samples; t += t < 3 ? 1 : 41) {
    const float *out;
    nsl_dropout_key drop = {.seed = 33, .key = keys, .sample = (uint32_t)t};
    assert_ok(nsl_net_forward(net, n, (const float *const *)inputs, NSL_MODE_SAMPLE, &drop, &out, &test_err));
    for (size_t k = 0; k < (size_t)n * size && t == 0; k++) { scale = fmax(scale, fabs((double)out[k])); }
    for (int e = 0; e < n; e++) {
      for (size_t k = 0; k < size; k++) {
        float found = c.x[((size_t)e * (size_t)n_samples + (size_t)t) * size + k], want = out[(size_t)e * size + k];
        if (!(fabs((double)found - (double)want) <= tolerance * scale)) {
          fail_msg("element %d sample %d output %zu: %.9g, by a pass of its own %.9g (scale %.3g)", e, t, k, (double)found,
                   (double)want, scale);
        }
        spread += t ? fabs((double)found - (double)c.x[(size_t)e * (size_t)n_samples * size + k]) : 0.0;
      }
    }
  }
  assert_true(spread / ((double)n * (double)size) > 1e-3 * scale);
  free(c.x);
  for (int i = 0; i < n_inputs; i++) { free(inputs[i]); }
  nsl_net_free(net);
}

static void eq(int channels, int phases, nsl_graph *g)
{
  nsl_eq_options o;
  nsl_eq_defaults(&o);
  o.channels = channels;
  o.phases = phases;
  assert_ok(nsl_graph_eq(&o, g, &test_err));
}

/* A suffix that is not affine, with a skip from a deterministic node, two dropouts, and a deterministic node listed late. */
static void awkward(nsl_graph *g)
{
  nsl_graph_init(g);
  int x = add_input(g, "x", 3, 1, 12);
  int a = add_node(g, "a",
                   (nsl_node){.op = NSL_OP_CONV, .n_in = 1, .in = {x}, .c_out = 4, .kh = 1, .kw = 3, .pad_w = 1, .has_bias = 1});
  int d = add_node(g, "d1", (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {a}, .rate = 0.3f, .channel = 1});
  int b = add_node(g, "b", (nsl_node){.op = NSL_OP_GELU, .n_in = 1, .in = {d}});
  int late = add_node(g, "late", (nsl_node){.op = NSL_OP_GELU, .n_in = 1, .in = {a}});
  int s = add_node(g, "s", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {late, b}});
  int bn = add_node(g, "bn", (nsl_node){.op = NSL_OP_BATCHNORM, .n_in = 1, .in = {s}});
  int f = add_node(g, "f", (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {bn}, .c_out = 10, .has_bias = 1});
  int e = add_node(g, "d2", (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {f}, .rate = 0.5f});
  add_node(g, "o", (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {e}, .c_out = 3, .has_bias = 1});
}

/* Affine, but the dropped channels are read by a layer that cannot take them one by one, and by a skip. */
static void affine_with_skip(nsl_graph *g)
{
  nsl_graph_init(g);
  int x = add_input(g, "x", 5, 1, 9);
  int d = add_node(g, "d", (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {x}, .rate = 0.3f, .channel = 1});
  int a = add_node(g, "a",
                   (nsl_node){.op = NSL_OP_CONV, .n_in = 1, .in = {d}, .c_out = 5, .kh = 1, .kw = 3, .pad_w = 1, .has_bias = 1});
  int s = add_node(g, "s", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {d, a}});
  int t = add_node(g, "t", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {x, s}});
  add_node(g, "o", (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {t}, .c_out = 4, .has_bias = 1});
}

static void test_samples_are_passes(void **state)
{
  (void)state;
  nsl_graph g;
  eq(16, 2, &g);
  check_same_as_passes(&g, 3, 130, 0, 2e-6);
  nsl_graph_free(&g);
  eq(32, 4, &g); /* the default's outputs are small against the parts that they are summed from */
  check_same_as_passes(&g, 3, 130, 0, 4e-6);
  nsl_graph_free(&g);
  awkward(&g);
  check_same_as_passes(&g, 5, 300, 0, 1e-6);
  check_same_as_passes(&g, 5, 20, 1, 1e-6);
  nsl_graph_free(&g);
  affine_with_skip(&g);
  check_same_as_passes(&g, 4, 50, 0, 1e-6);
  nsl_graph_free(&g);
  assert_ok(nsl_graph_resnet34(16, 32, 4, 0.1, &g, &test_err));
  check_same_as_passes(&g, 2, 40, 0, 1e-6);
  nsl_graph_free(&g);
}

/* Elements 0..63 in batches of 64, 7 and 1, EVAL and sampling: the same bits. */
static void check_bits(const nsl_graph *g, int n, int n_samples)
{
  float *inputs[4];
  int n_inputs = make_inputs(g, n, inputs);
  size_t size = output_size(g);
  uint64_t keys[64];
  for (int i = 0; i < n; i++) { keys[i] = (uint64_t)(1000 + i); }
  float *first_eval = NULL, *first_samples = NULL;
  const int batches[] = {64, 7, 1};
  for (int b = 0; b < 3; b++) {
    nsl_net *net = trained_like(g, batches[b], 0);
    float *evals = malloc((size_t)n * size * sizeof(float)), *samples = malloc((size_t)(n * n_samples) * size * sizeof(float));
    for (int from = 0; from < n; from += batches[b]) {
      int count = n - from < batches[b] ? n - from : batches[b];
      const float *views[4], *out;
      for (int i = 0, k = 0; k < n_inputs; i++) {
        if (g->nodes[i].op != NSL_OP_INPUT) { continue; }
        nsl_shape3 s = g->nodes[i].out;
        views[k] = inputs[k] + (size_t)from * (size_t)(s.c * s.h * s.w);
        k++;
      }
      assert_ok(nsl_net_forward(net, count, views, NSL_MODE_EVAL, NULL, &out, &test_err));
      memcpy(evals + (size_t)from * size, out, (size_t)count * size * sizeof(float));
      collected c = {.n_samples = n_samples, .size = size, .x = samples + (size_t)(from * n_samples) * size};
      assert_ok(nsl_net_sample(net, count, views, 2, keys + from, n_samples, 0, collect, &c, &test_err));
      assert_int_equal(c.calls, count);
    }
    if (b == 0) {
      first_eval = evals;
      first_samples = samples;
    } else {
      assert_memory_equal(evals, first_eval, (size_t)n * size * sizeof(float));
      assert_memory_equal(samples, first_samples, (size_t)(n * n_samples) * size * sizeof(float));
      free(evals);
      free(samples);
    }
    nsl_net_free(net);
  }
  free(first_eval);
  free(first_samples);
  for (int i = 0; i < n_inputs; i++) { free(inputs[i]); }
}

static void test_bits_do_not_depend_on_the_batch(void **state)
{
  (void)state;
  nsl_graph g;
  eq(32, 4, &g);
  check_bits(&g, 64, 5);
  nsl_graph_free(&g);
  awkward(&g);
  check_bits(&g, 64, 9);
  nsl_graph_free(&g);
  assert_ok(nsl_graph_resnet34(16, 32, 4, 0.1, &g, &test_err));
  check_bits(&g, 20, 9);
  nsl_graph_free(&g);
}

static void test_a_graph_without_dropout_gives_equal_samples(void **state)
{
  (void)state;
  nsl_graph g;
  nsl_net *net;
  const float in[] = {-1, 0, 1, 2}, *inputs[] = {in}, *out;
  float got[2 * 3 * 2];
  nsl_graph_init(&g);
  int x = add_input(&g, "x", 2, 1, 1);
  add_node(&g, "y", (nsl_node){.op = NSL_OP_RELU, .n_in = 1, .in = {x}});
  assert_ok(nsl_net_new(&g, 2, 0, 1, &net, &test_err));
  collected c = {.n_samples = 3, .size = 2, .x = got};
  assert_ok(nsl_net_sample(net, 2, inputs, 1, NULL, 3, 0, collect, &c, &test_err));
  const float want[] = {0, 0, 0, 0, 0, 0, 1, 2, 1, 2, 1, 2};
  assert_memory_equal(got, want, sizeof want);
  nsl_error err;
  uint64_t key = 0;
  nsl_dropout_key drop = {.key = &key};
  assert_int_not_equal(nsl_net_forward(net, 3, inputs, NSL_MODE_EVAL, NULL, &out, &err), NSL_OK);
  assert_int_not_equal(nsl_net_forward(net, 1, inputs, NSL_MODE_TRAIN, &drop, &out, &err), NSL_OK);
  assert_int_not_equal(nsl_net_backward(net, in, &err), NSL_OK);
  nsl_net_free(net);
  nsl_graph_free(&g);
}

/* Masks: rate and independence of the units, over many keys and samples. */
static void test_mask_statistics(void **state)
{
  (void)state;
  enum { C = 32, T = 128, N = 40 };
  nsl_graph g;
  nsl_net *net;
  nsl_graph_init(&g);
  int x = add_input(&g, "x", C, 1, 1);
  add_node(&g, "d", (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {x}, .rate = 0.25f, .channel = 1});
  assert_ok(nsl_net_new(&g, N, 0, 1, &net, &test_err));
  float *in = malloc(N * C * sizeof *in), *got = malloc((size_t)N * T * C * sizeof *got);
  for (int i = 0; i < N * C; i++) { in[i] = 1.0f; }
  uint64_t keys[N];
  for (int i = 0; i < N; i++) { keys[i] = (uint64_t)i; }
  collected c = {.n_samples = T, .size = C, .x = got};
  const float *inputs[] = {in};
  assert_ok(nsl_net_sample(net, N, inputs, 1, keys, T, 0, collect, &c, &test_err));
  double dropped = 0, both = 0;
  for (int i = 0; i < N * T; i++) {
    for (int k = 0; k < C; k++) {
      float a = got[i * C + k];
      assert_true(fabsf(a) < 1e-6f || fabsf(a - 4.0f / 3.0f) < 1e-6f);
      dropped += a < 0.5f;
      both += a < 0.5f && got[i * C + (k + 1) % C] < 0.5f;
    }
  }
  double n = (double)N * T * C;
  assert_true(fabs(dropped / n - 0.25) < 5.0 * sqrt(0.25 * 0.75 / n));
  assert_true(fabs(both / n - 0.0625) < 5.0 * sqrt(0.0625 / n));
  free(in);
  free(got);
  nsl_net_free(net);
  nsl_graph_free(&g);
}

int main(int argc, char **argv)
{
  (void)argc;
  nsl_blas_restart_with_better_core(argv); /* bounds on rounding are of the kernels that the program uses */
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_samples_are_passes),
      cmocka_unit_test(test_bits_do_not_depend_on_the_batch),
      cmocka_unit_test(test_a_graph_without_dropout_gives_equal_samples),
      cmocka_unit_test(test_mask_statistics),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
