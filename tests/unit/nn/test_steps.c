/* Steps of inference nets (folded batch norms, Winograd-type convolutions, channels innermost) against the plain way in double
 * precision, on every kernel table; and the same bits for any batch. */
#include "nn_support.h"

#include "nn/step.h"
#include "noslit/nn/architectures.h"

static void make_trained(nsl_net *net)
{
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    int is_gain = strstr(p->name, "norm") || strstr(p->name, "_bn");
    for (size_t k = 0; k < p->n && (p->is_state || is_gain); k++) {
      p->value[k] = strstr(p->name, ".var") || strstr(p->name, ".weight") ? 0.6f + 0.05f * (float)(k % 17) : 0.1f * (float)(k % 5);
    }
  }
  nsl_net_weights_changed(net);
}

static int count_steps(const nsl_net *net)
{
  int n = 0;
  for (int i = 0; i < net->graph.n; i++) { n += net->states[i].step != NULL; }
  return n;
}

static float *forward(const nsl_graph *g, int n, int max_batch, nsl_backend backend, float *x, int *steps)
{
  nsl_net *net;
  nsl_shape3 in = g->nodes[0].out, last = g->nodes[g->n - 1].out;
  size_t in_size = (size_t)(in.c * in.h * in.w), size = (size_t)(last.c * last.h * last.w);
  float *out = malloc((size_t)n * size * sizeof *out);
  assert_ok(nsl_net_new_with(g, max_batch, 0, 3, backend, &net, &test_err));
  make_trained(net);
  for (int from = 0; from < n; from += max_batch) {
    int count = n - from < max_batch ? n - from : max_batch;
    const float *found, *inputs[] = {x + (size_t)from * in_size};
    assert_ok(nsl_net_forward(net, count, inputs, NSL_MODE_EVAL, NULL, &found, &test_err));
    memcpy(out + (size_t)from * size, found, (size_t)count * size * sizeof *out);
  }
  if (steps) { *steps = count_steps(net); }
  nsl_net_free(net);
  return out;
}

/* Differences are held against the spread of an output over the batch. */
static void compare(const nsl_graph *g, int n, int want_steps)
{
  nsl_shape3 in = g->nodes[0].out, last = g->nodes[g->n - 1].out;
  size_t size = (size_t)(last.c * last.h * last.w);
  float *x = random_tensor(5, (size_t)(n * in.c * in.h * in.w));
  float *want = forward(g, n, n, nsl_backend_reference(), x, NULL);
  double spread = 0.0;
  for (size_t k = 0; k < size; k++) {
    double mean = 0.0;
    for (int e = 0; e < n; e++) { mean += (double)want[(size_t)e * size + k] / n; }
    for (int e = 0; e < n; e++) { spread += pow((double)want[(size_t)e * size + k] - mean, 2) / ((double)n * (double)size); }
  }
  for (int i = 0; nsl_kernels_at(i); i++) {
    nsl_backend backend = nsl_backend_best();
    backend.kernels = nsl_kernels_at(i);
    int steps;
    float *found = forward(g, n, n, backend, x, &steps), *again = forward(g, n, 3, backend, x, NULL);
    assert_int_equal(steps, want_steps);
    for (size_t k = 0; k < (size_t)n * size; k++) {
      if (!(fabs((double)found[k] - (double)want[k]) <= 1e-4 * sqrt(spread))) {
        fail_msg("%s, image %dx%d: output %zu is %.8g, not %.8g (spread %.3g)", backend.kernels->name, in.h, in.w, k,
                 (double)found[k], (double)want[k], sqrt(spread));
      }
    }
    assert_memory_equal(found, again, (size_t)n * size * sizeof *found);
    free(found);
    free(again);
  }
  free(x);
  free(want);
}

static int conv(nsl_graph *g, const char *name, int in, int c_out, int k, int stride)
{
  nsl_node node = {.op = NSL_OP_CONV,
                   .n_in = 1,
                   .in = {in},
                   .c_out = c_out,
                   .kh = k,
                   .kw = k,
                   .stride_h = stride,
                   .stride_w = stride,
                   .pad_h = k / 2,
                   .pad_w = k / 2,
                   .has_bias = stride == 2};
  char norm[NSL_NODE_NAME_MAX];
  snprintf(norm, sizeof norm, "%s_norm", name);
  return add_node(g, norm, (nsl_node){.op = NSL_OP_BATCHNORM, .n_in = 1, .in = {add_node(g, name, node)}});
}

static int relu(nsl_graph *g, const char *name, int in)
{
  return add_node(g, name, (nsl_node){.op = NSL_OP_RELU, .n_in = 1, .in = {in}});
}

/* A first layer, a residual block and a mean: every height has its own way of cutting rows. */
static void residual_block(nsl_graph *g, int h, int w)
{
  nsl_graph_init(g);
  int x = relu(g, "a", conv(g, "first", add_input(g, "x", 3, h, w), 48, 3, 1));
  int y = conv(g, "c2", relu(g, "b", conv(g, "c1", x, 16, 3, 1)), 48, 3, 1);
  int s = relu(g, "d", add_node(g, "sum", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {y, x}}));
  add_node(g, "mean", (nsl_node){.op = NSL_OP_GAP, .n_in = 1, .in = {s}});
}

static void test_all_heights_and_widths(void **state)
{
  (void)state;
  for (int h = 1; h <= 12; h++) {
    nsl_graph g;
    residual_block(&g, h, 1 + (5 * h) % 11);
    compare(&g, 7, 4);
    nsl_graph_free(&g);
  }
}

/* Strides, a shortcut, a max pool, dilation; the shortcut has no ReLU, the head is not a step. */
static void test_other_ways(void **state)
{
  (void)state;
  nsl_graph g;
  nsl_graph_init(&g);
  int x = relu(&g, "a", conv(&g, "stem", add_input(&g, "x", 2, 21, 33), 32, 7, 2));
  nsl_node pool = {
      .op = NSL_OP_MAXPOOL, .n_in = 1, .in = {x}, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  x = add_node(&g, "pool", pool);
  int y = relu(&g, "b", conv(&g, "c1", x, 64, 3, 2));
  nsl_node wide = {
      .op = NSL_OP_CONV, .n_in = 1, .in = {y}, .c_out = 64, .kh = 3, .kw = 3, .pad_h = 2, .pad_w = 2, .dil_h = 2, .dil_w = 2};
  y = add_node(&g, "c2", wide);
  int s = add_node(&g, "sum", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {conv(&g, "short", x, 64, 1, 2), y}});
  int mean = add_node(&g, "mean", (nsl_node){.op = NSL_OP_GAP, .n_in = 1, .in = {s}});
  add_node(&g, "out", (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {mean}, .c_out = 5, .has_bias = 1});
  compare(&g, 8, 6);
  nsl_graph_free(&g);
}

/* Neighbours that are no steps: an image that another op reads, or that is the output, stays in the usual layout. */
static void test_what_cannot_be_a_step(void **state)
{
  (void)state;
  nsl_graph g;
  residual_block(&g, 4, 6);
  int leak = add_node(&g, "leak", (nsl_node){.op = NSL_OP_GELU, .n_in = 1, .in = {nsl_graph_find(&g, "a")}});
  int mean = add_node(&g, "mean2", (nsl_node){.op = NSL_OP_GAP, .n_in = 1, .in = {leak}});
  add_node(&g, "both", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {mean, nsl_graph_find(&g, "mean")}});
  compare(&g, 4, 0);
  nsl_graph_free(&g);
  nsl_graph_init(&g);
  conv(&g, "only", add_input(&g, "x", 3, 5, 5), 16, 3, 1);
  compare(&g, 4, 0);
  nsl_graph_free(&g);
}

static void test_resnet34(void **state)
{
  (void)state;
  nsl_graph g;
  assert_ok(nsl_graph_resnet34(40, 60, 16, 0.2, &g, &test_err));
  compare(&g, 5, 38); /* 36 convolutions, max pool, mean */
  nsl_graph_free(&g);
}

static int conv1d(nsl_graph *g, const char *name, int in, int c_out, int taps, int stride, int dilation)
{
  return add_node(g, name,
                  (nsl_node){.op = NSL_OP_CONV,
                             .n_in = 1,
                             .in = {in},
                             .c_out = c_out,
                             .kh = 1,
                             .kw = taps,
                             .stride_w = stride,
                             .dil_w = dilation,
                             .pad_w = dilation * (taps / 2),
                             .has_bias = dilation < 3});
}

static int gelu(nsl_graph *g, const char *name, int in)
{
  return add_node(g, name, (nsl_node){.op = NSL_OP_GELU, .n_in = 1, .in = {in}});
}

/* Odd numbers of channels and places; a norm and GELU before, an add behind in both layouts, a last GELU, a correlation; one signal
 * that an op outside reads too, and a large input with a front of its own. */
static void test_signals(void **state)
{
  (void)state;
  for (int width = 1; width <= 29; width += 7) {
    nsl_graph g;
    nsl_graph_init(&g);
    int x = add_input(&g, "x", 3, 47, width * 30);
    int rows = add_node(&g, "rows", (nsl_node){.op = NSL_OP_ROWMEAN, .n_in = 1, .in = {x}, .scale = 3.0f});
    int s = add_node(&g, "s", (nsl_node){.op = NSL_OP_RESHAPE, .n_in = 1, .in = {rows}, .out = {3, 1, 47}});
    int a = conv1d(&g, "a", s, 13, 9, 2, 1);
    int n = add_node(&g, "n_norm", (nsl_node){.op = NSL_OP_BATCHNORM, .n_in = 1, .in = {a}});
    int b = conv1d(&g, "b", gelu(&g, "ng", n), 7, 3, 1, 3);
    int c = conv1d(&g, "c", gelu(&g, "bg", b), 13, 5, 1, 2);
    int d = add_node(&g, "d", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {a, c}});
    int f = gelu(&g, "f", conv1d(&g, "e", gelu(&g, "dg", d), 6, 1, 1, 1));
    int h = add_node(&g, "h", (nsl_node){.op = NSL_OP_CORRELATE, .n_in = 1, .in = {f}, .c_out = 3, .n_out = 47});
    int i = add_node(&g, "i", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {conv1d(&g, "hc", h, 3, 3, 1, 1), s}});
    int j = add_node(&g, "j", (nsl_node){.op = NSL_OP_GAP, .n_in = 1, .in = {b}});
    int k = add_node(&g, "k", (nsl_node){.op = NSL_OP_GAP, .n_in = 1, .in = {i}});
    add_node(&g, "out", (nsl_node){.op = NSL_OP_CONCAT, .n_in = 2, .in = {j, k}});
    compare(&g, 23, 6);
    nsl_graph_free(&g);
  }
}

/* Two groups of channels on a joint grid, each zero where its positions leave the input, beside a constant; what the convolution
 * knows of them must not show. taps 9: stride 2. The third reader keeps a grid in the usual layout. */
static void joint_grid(nsl_graph *g, int width, int n_out, int taps, int dilation)
{
  float positions[2 * 64], mask[2 * 64];
  for (int i = 0; i < 2 * n_out; i++) {
    positions[i] = (float)(i % n_out) * 0.7f - (i < n_out ? 0.4f * (float)n_out : 2.2f);
    mask[i] = positions[i] >= 0.0f && positions[i] <= (float)(width - 1) ? 1.0f : 0.25f;
  }
  nsl_graph_init(g);
  int x = add_input(g, "x", 6, 1, width);
  int a = add_node(g, "a", (nsl_node){.op = NSL_OP_SLICE, .n_in = 1, .in = {x}, .c_out = 4});
  a = add_node(g, "a_asinh", (nsl_node){.op = NSL_OP_ASINH, .n_in = 1, .in = {a}, .scale = 0.5f});
  int b = add_node(g, "b", (nsl_node){.op = NSL_OP_SLICE, .n_in = 1, .in = {x}, .first = 4, .c_out = 2});
  nsl_node resample = {.op = NSL_OP_RESAMPLE, .n_in = 1, .in = {a}, .n_out = n_out, .n_const = 2 * n_out, .constant = positions};
  a = add_node(g, "a_grid", resample);
  resample.in[0] = b;
  b = add_node(g, "b_grid", resample);
  nsl_node constant = {.op = NSL_OP_CONSTANT, .out = {2, 1, n_out}, .n_const = 2 * n_out, .constant = mask};
  int m = add_node(g, "mask", constant);
  int all = add_node(g, "all", (nsl_node){.op = NSL_OP_CONCAT, .n_in = 3, .in = {a, m, b}});
  int y = conv1d(g, "conv", all, 9, taps, taps == 9 ? 2 : 1, dilation);
  int mean = add_node(g, "mean", (nsl_node){.op = NSL_OP_GAP, .n_in = 1, .in = {b}});
  int one = add_node(g, "one", (nsl_node){.op = NSL_OP_CONV, .n_in = 1, .in = {mean}, .c_out = 9, .kh = 1, .kw = 1});
  nsl_node spread = {.op = NSL_OP_RESAMPLE, .n_in = 1, .in = {one}, .n_out = g->nodes[y].out.w, .n_const = g->nodes[y].out.w};
  float zeros[64] = {0.0f};
  spread.constant = zeros;
  add_node(g, "sum", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {y, add_node(g, "spread", spread)}});
}

static void test_signals_on_a_grid(void **state)
{
  (void)state;
  static const int taps[] = {9, 5, 5, 3};
  for (int i = 0; i < 4; i++) {
    for (int n_out = 7; n_out < 64; n_out += 13) {
      nsl_graph g;
      joint_grid(&g, 5 + n_out / 2, n_out, taps[i], 1 << (i % 3));
      compare(&g, 19, 8);
      nsl_graph_free(&g);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_all_heights_and_widths),
      cmocka_unit_test(test_other_ways),
      cmocka_unit_test(test_what_cannot_be_a_step),
      cmocka_unit_test(test_resnet34),
      cmocka_unit_test(test_signals),
      cmocka_unit_test(test_signals_on_a_grid),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
