/* Backward of every op and of small whole networks against finite differences. */
#include "nn_support.h"

#include "nn/net_internal.h"
#include "noslit/nn/architectures.h"

static void check(nsl_graph *g, int n, uint64_t seed, double h)
{
  probe p = probe_new(g, n, seed);
  check_gradients(&p, h, 2e-3, 40);
  probe_free(&p);
  nsl_graph_free(g);
}

/* One op behind one probed input. */
static void check_op(nsl_shape3 in, nsl_node node, int n, double h)
{
  nsl_graph g;
  nsl_graph_init(&g);
  node.n_in = 1;
  node.in[0] = add_probe(&g, "x", in.c, in.h, in.w);
  add_node(&g, "op", node);
  check(&g, n, 3 + (uint64_t)node.op, h);
}

static void test_convolutions(void **state)
{
  (void)state;
  nsl_node signal = {.op = NSL_OP_CONV, .c_out = 4, .kh = 1, .kw = 5, .pad_w = 4, .dil_w = 2, .has_bias = 1};
  check_op((nsl_shape3){3, 1, 17}, signal, 3, 0.05);
  nsl_node strided = {.op = NSL_OP_CONV, .c_out = 3, .kh = 1, .kw = 9, .pad_w = 4, .stride_w = 2, .has_bias = 1};
  check_op((nsl_shape3){2, 1, 20}, strided, 2, 0.05);
  nsl_node odd = {.op = NSL_OP_CONV, .c_out = 2, .kh = 1, .kw = 4, .pad_w = 1, .stride_w = 3, .dil_w = 2};
  check_op((nsl_shape3){2, 1, 23}, odd, 2, 0.05);
  nsl_node pointwise = {.op = NSL_OP_CONV, .c_out = 5, .kh = 1, .kw = 1, .has_bias = 1};
  check_op((nsl_shape3){3, 1, 9}, pointwise, 3, 0.05);
  nsl_node image = {
      .op = NSL_OP_CONV, .c_out = 3, .kh = 3, .kw = 5, .stride_h = 2, .stride_w = 1, .pad_h = 1, .pad_w = 2, .has_bias = 1};
  check_op((nsl_shape3){2, 7, 8}, image, 2, 0.05);
}

static void test_dense_and_activations(void **state)
{
  (void)state;
  check_op((nsl_shape3){2, 3, 4}, (nsl_node){.op = NSL_OP_DENSE, .c_out = 5, .has_bias = 1}, 3, 0.05);
  check_op((nsl_shape3){2, 1, 21}, (nsl_node){.op = NSL_OP_GELU}, 2, 0.05);
  check_op((nsl_shape3){2, 1, 21}, (nsl_node){.op = NSL_OP_ASINH, .scale = 0.7f}, 2, 0.05);
  check_op((nsl_shape3){2, 1, 11}, (nsl_node){.op = NSL_OP_RELU}, 1, 1e-3);
}

static void test_batchnorm(void **state)
{
  (void)state;
  check_op((nsl_shape3){3, 2, 5}, (nsl_node){.op = NSL_OP_BATCHNORM}, 4, 0.02);
}

static void test_pooling_and_moves(void **state)
{
  (void)state;
  nsl_node pool = {.op = NSL_OP_MAXPOOL, .kh = 3, .kw = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  check_op((nsl_shape3){2, 5, 6}, pool, 1, 1e-3);
  check_op((nsl_shape3){2, 3, 4}, (nsl_node){.op = NSL_OP_GAP}, 2, 0.05);
  check_op((nsl_shape3){3, 1, 7}, (nsl_node){.op = NSL_OP_INTERLEAVE}, 2, 0.05);
  check_op((nsl_shape3){5, 2, 3}, (nsl_node){.op = NSL_OP_SLICE, .first = 1, .c_out = 3}, 2, 0.05);
  check_op((nsl_shape3){2, 3, 4}, (nsl_node){.op = NSL_OP_RESHAPE, .out = {4, 1, 6}}, 2, 0.05);
  check_op((nsl_shape3){4, 1, 5}, (nsl_node){.op = NSL_OP_DROPOUT, .rate = 0.4f, .channel = 1}, 3, 0.05);
  check_op((nsl_shape3){4, 1, 5}, (nsl_node){.op = NSL_OP_DROPOUT, .rate = 0.4f}, 3, 0.05);
}

static void test_resample(void **state)
{
  (void)state;
  float positions[] = {-0.5f, 0.0f, 0.3f, 1.75f, 1.8f, 4.0f, 4.01f, 3.2f, 0.1f, 9.0f}, zeros[6] = {0};
  check_op((nsl_shape3){4, 1, 5}, (nsl_node){.op = NSL_OP_RESAMPLE, .n_out = 5, .n_const = 10, .constant = positions}, 3, 0.05);
  check_op((nsl_shape3){2, 1, 1}, (nsl_node){.op = NSL_OP_RESAMPLE, .n_out = 6, .n_const = 6, .constant = zeros}, 2, 0.05);
}

static void test_correlate(void **state)
{
  (void)state;
  check_op((nsl_shape3){3, 1, 11}, (nsl_node){.op = NSL_OP_CORRELATE, .c_out = 5, .n_out = 8}, 2, 0.05);
  check_op((nsl_shape3){2, 1, 6}, (nsl_node){.op = NSL_OP_CORRELATE, .c_out = 2, .n_out = 4}, 19,
           0.05); /* more than one block of lanes */
}

static void test_two_inputs(void **state)
{
  (void)state;
  nsl_graph g;
  nsl_graph_init(&g);
  int x = add_probe(&g, "x", 2, 3, 4), v = add_probe(&g, "v", 2, 3, 4);
  int s = add_node(&g, "sum", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {x, v}});
  int twice = add_node(&g, "twice", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {s, s}});
  int both = add_node(&g, "both", (nsl_node){.op = NSL_OP_CONCAT, .n_in = 3, .in = {twice, x, v}});
  add_node(&g, "rows", (nsl_node){.op = NSL_OP_ROWMEAN, .n_in = 2, .in = {both, both}, .scale = 3.0f});
  check(&g, 2, 5, 0.05);
}

/* The weights v are 2 + asinh(0.3 v): well above zero, as extract wants them. */
static void test_extract(void **state)
{
  (void)state;
  nsl_graph g;
  nsl_graph_init(&g);
  float ones[2 * 4 * 19];
  for (size_t i = 0; i < sizeof ones / sizeof *ones; i++) { ones[i] = 2.0f; }
  int x = add_probe(&g, "x", 2, 4, 19), v = add_probe(&g, "v", 2, 4, 19), q = add_probe(&g, "q", 2 * 5 * 4, 1, 1);
  int c = add_node(&g, "ones", (nsl_node){.op = NSL_OP_CONSTANT, .out = {2, 4, 19}, .n_const = 2 * 4 * 19, .constant = ones});
  int small = add_node(&g, "small", (nsl_node){.op = NSL_OP_ASINH, .n_in = 1, .in = {v}, .scale = 0.3f});
  int weight = add_node(&g, "weight", (nsl_node){.op = NSL_OP_ADD, .n_in = 2, .in = {small, c}});
  add_node(&g, "extract", (nsl_node){.op = NSL_OP_EXTRACT, .n_in = 3, .in = {x, weight, q}, .eps = 0.05f});
  check(&g, 3, 6, 0.02);
}

static void small_eq(nsl_graph *g)
{
  nsl_eq_options o;
  nsl_eq_defaults(&o);
  o.ny = 6;
  o.nx = 24;
  for (int b = 0; b < 2; b++) {
    double centre = b ? 8300 : 5200;
    o.dlambda_a[b] *= 20;
    o.lambda0_a[b] = centre - 11.5 * o.dlambda_a[b];
  }
  o.ln_lambda_step = 0.0316;
  o.n_lambda = 30;
  o.n_bins = 16;
  o.du = 0.06;
  o.channels = 4;
  o.head_channels = 3;
  o.tail_channels = 5;
  assert_ok(nsl_graph_eq(&o, g, &test_err));
}

static void make_weights_positive(probe *p, int input, size_t n)
{
  for (size_t i = 0; i < n; i++) { p->inputs[input][i] = 1.0f / (1.0f + p->inputs[input][i] * p->inputs[input][i]); }
}

static void test_whole_network(void **state)
{
  (void)state;
  nsl_graph g;
  small_eq(&g);
  probe p = probe_new(&g, 6, 8);
  make_weights_positive(&p, 1, 6 * 2 * 6 * 24);
  check_gradients(&p, 0.004, 5e-3, 6);
  probe_free(&p);
  nsl_graph_free(&g);
}

/* The plain backend (six-loop convolutions, narrow kernels) and each fast one give one network the same gradients. */
static void check_backends(nsl_graph *g, int n, int weights_input, size_t n_weights)
{
  probe p = probe_new(g, n, 9);
  if (n_weights) { make_weights_positive(&p, weights_input, n_weights); }
  nsl_net_free(p.net);
  nsl_backend reference = nsl_backend_reference();
  assert_ok(nsl_net_new_with(g, n, 1, 9, reference, &p.net, &test_err));
  probe_loss(&p);
  assert_ok(nsl_net_backward(p.net, p.weights, &test_err));
  nsl_net *plain = p.net;
  for (int t = 0; nsl_kernels_at(t); t++) {
    nsl_backend fast = nsl_backend_best();
    fast.kernels = nsl_kernels_at(t);
    assert_ok(nsl_net_new_with(g, n, 1, 9, fast, &p.net, &test_err));
    probe_loss(&p);
    assert_ok(nsl_net_backward(p.net, p.weights, &test_err));
    double worst = 0.0, most = 0.0;
    for (int i = 0; i < nsl_net_n_params(plain); i++) {
      const nsl_param *a = nsl_net_param(plain, i), *b = nsl_net_param(p.net, i);
      for (size_t k = 0; k < a->n && !a->is_state; k++) {
        most = fmax(most, fabs((double)a->grad[k]));
        worst = fmax(worst, fabs((double)a->grad[k] - (double)b->grad[k]));
      }
    }
    if (!(worst <= 2e-5 * most)) { fail_msg("%s: gradients differ by %.3g of %.3g", fast.kernels->name, worst, most); }
    nsl_net_free(p.net);
  }
  p.net = plain;
  probe_free(&p);
  nsl_graph_free(g);
}

static void test_backends_agree(void **state)
{
  (void)state;
  nsl_graph g;
  small_eq(&g);
  check_backends(&g, 6, 1, 6 * 2 * 6 * 24);
  assert_ok(nsl_graph_resnet34(17, 34, 2, 0.1, &g, &test_err));
  check_backends(&g, 3, 0, 0);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_convolutions),  cmocka_unit_test(test_dense_and_activations),
      cmocka_unit_test(test_batchnorm),     cmocka_unit_test(test_pooling_and_moves),
      cmocka_unit_test(test_resample),      cmocka_unit_test(test_correlate),
      cmocka_unit_test(test_two_inputs),    cmocka_unit_test(test_extract),
      cmocka_unit_test(test_whole_network), cmocka_unit_test(test_backends_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
