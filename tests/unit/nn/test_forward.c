/* Forward of the ops that have no twin elsewhere against plain loops in double precision, in EVAL mode, on every kernel table. */
#include "nn_support.h"

#include "nn/net_internal.h"

/* Runs a graph on random inputs with a table, n elements; *out is the caller's. */
static float *run(const nsl_graph *g, int n, const nsl_backend *backend, nsl_mode mode, float **weights, float *const *inputs)
{
  nsl_net *net;
  const float *out;
  uint64_t keys[64] = {0};
  nsl_dropout_key drop = {.seed = 1, .key = keys};
  assert_ok(nsl_net_new_with(g, n, 1, 3, *backend, &net, &test_err));
  assert_ok(nsl_net_forward(net, n, (const float *const *)inputs, mode, &drop, &out, &test_err));
  nsl_shape3 s = g->nodes[g->n - 1].out;
  size_t bytes = (size_t)n * (size_t)(s.c * s.h * s.w) * sizeof(float);
  float *copy = malloc(bytes);
  memcpy(copy, out, bytes);
  if (weights) {
    *weights = malloc((nsl_net_param(net, 0)->n + 1) * sizeof(float));
    memcpy(*weights, nsl_net_param(net, 0)->value, nsl_net_param(net, 0)->n * sizeof(float));
  }
  nsl_net_free(net);
  return copy;
}

static void for_all_tables(void (*check)(const nsl_backend *))
{
  for (int i = 0; nsl_kernels_at(i); i++) {
    nsl_backend backend = nsl_backend_best();
    backend.kernels = nsl_kernels_at(i);
    check(&backend);
  }
}

static void assert_near(const nsl_backend *b, size_t i, double found, double want, double tolerance)
{
  if (!(fabs(found - want) <= tolerance)) { fail_msg("%s: [%zu] is %.8g, not %.8g", b->kernels->name, i, found, want); }
}

static void check_correlate_size(const nsl_backend *backend, int c, int n, int co, int m, int batch)
{
  nsl_graph g;
  nsl_graph_init(&g);
  int x = add_input(&g, "x", c, 1, n);
  add_node(&g, "op", (nsl_node){.op = NSL_OP_CORRELATE, .n_in = 1, .in = {x}, .c_out = co, .n_out = m});
  float *f = random_tensor(1, (size_t)(batch * c * n)), *w, *out = run(&g, batch, backend, NSL_MODE_EVAL, &w, &f);
  int length = n + m - 1;
  for (int e = 0; e < batch; e++) {
    for (int h = 0; h < co; h++) {
      for (int j = 0; j < m; j++) {
        double want = 0.0;
        for (int k = 0; k < c; k++) {
          for (int i = 0; i < n; i++) {
            want += (double)w[(h * c + k) * length + i + (m - 1) - j] * (double)f[(e * c + k) * n + i];
          }
        }
        size_t at = (size_t)((e * co + h) * m + j);
        assert_near(backend, at, (double)out[at], want, 5e-6); /* outputs have a spread of 1 */
      }
    }
  }
  free(f);
  free(w);
  free(out);
  nsl_graph_free(&g);
}

static void check_correlate(const nsl_backend *backend)
{
  check_correlate_size(backend, 12, 312, 8, 305, 2); /* the network's: FFT length 640 = 8 4 4 5 */
  check_correlate_size(backend, 3, 20, 5, 8, 17);    /* 27 -> 30 = 2 3 5; odd numbers of channels; two blocks */
  check_correlate_size(backend, 1, 1, 1, 1, 1);
  check_correlate_size(backend, 2, 20, 2, 5, 1);   /* 24 = 8 3 */
  check_correlate_size(backend, 2, 24, 3, 41, 3);  /* 64 = 8 8 */
  check_correlate_size(backend, 1, 16, 2, 1, 1);   /* 16 = 4 4 */
  check_correlate_size(backend, 1, 3, 1, 2, 1);    /* 4 */
  check_correlate_size(backend, 2, 40, 40, 42, 1); /* 81 -> 90 = 2 3 3 5; many weight signals */
}

static void check_extract(const nsl_backend *backend)
{
  enum { B = 2, H = 7, W = 37, K = 5, N = 2 };
  nsl_graph g;
  nsl_graph_init(&g);
  int x = add_input(&g, "x", B, H, W), v = add_input(&g, "v", B, H, W), q = add_input(&g, "q", B * K * H, 1, 1);
  add_node(&g, "op", (nsl_node){.op = NSL_OP_EXTRACT, .n_in = 3, .in = {x, v, q}});
  float *in[] = {random_tensor(1, N * B * H * W), random_tensor(2, N * B * H * W), random_tensor(3, N * B * K * H)};
  for (int i = 0; i < N * B * H * W; i++) { in[1][i] = fabsf(in[1][i]); }
  float *out = run(&g, N, backend, NSL_MODE_EVAL, NULL, in);
  for (int s = 0; s < N * B * K; s++) {
    int e = s / (B * K), band = s / K % B;
    const float *qs = in[2] + s * H;
    double length = 1e-3;
    for (int y = 0; y < H; y++) { length += (double)(qs[y] * qs[y]); }
    for (int j = 0; j < W; j++) {
      double flux = 0, coverage = 0;
      for (int y = 0; y < H; y++) {
        size_t at = (size_t)(((e * B + band) * H + y) * W + j);
        double weight = (double)qs[y] / sqrt(length);
        flux += weight * (double)in[0][at] * (double)in[1][at];
        coverage += weight * weight * (double)in[1][at];
      }
      size_t at = (size_t)(e * 2 * B * K * W + (s % (B * K)) * W + j);
      assert_near(backend, at, (double)out[at], flux / sqrt(coverage + 0.01), 1e-5);
      assert_near(backend, at, (double)out[at + B * K * W], coverage, 1e-5);
    }
  }
  free(out);
  for (int i = 0; i < 3; i++) { free(in[i]); }
  nsl_graph_free(&g);
}

static void check_resample(const nsl_backend *backend)
{
  nsl_graph g;
  nsl_graph_init(&g);
  float positions[] = {-0.01f, 0.0f, 2.25f, 4.0f, 4.001f, 3.5f, 1.0f, 3.999f, -7.0f, 0.5f};
  int x = add_input(&g, "x", 2, 1, 5);
  add_node(&g, "op", (nsl_node){.op = NSL_OP_RESAMPLE, .n_in = 1, .in = {x}, .n_out = 5, .n_const = 10, .constant = positions});
  float values[] = {1, 2, 4, 8, 16, 10, 20, 40, 80, 160}, *in = values;
  float *out = run(&g, 1, backend, NSL_MODE_EVAL, NULL, &in);
  double want[] = {0, 1, 5, 16, 0, 120, 20, 159.92, 0, 15};
  for (size_t i = 0; i < 10; i++) { assert_near(backend, i, (double)out[i], want[i], 1e-3); }
  free(out);
  nsl_graph_free(&g);
}

static void check_conv_against_reference(const nsl_backend *backend)
{
  struct {
    nsl_shape3 in;
    nsl_node node;
  } cases[] = {
      {{18, 1, 624}, {.c_out = 16, .kh = 1, .kw = 9, .pad_w = 4, .stride_w = 2, .has_bias = 1}},
      {{16, 1, 312}, {.c_out = 16, .kh = 1, .kw = 5, .pad_w = 8, .dil_w = 4, .has_bias = 1}},
      {{8, 1, 305}, {.c_out = 32, .kh = 1, .kw = 1, .has_bias = 1}},
      {{2, 1, 5}, {.c_out = 3, .kh = 1, .kw = 3, .pad_w = 7, .dil_w = 3, .stride_w = 3}}, /* mostly padding */
      {{2, 40, 48}, {.c_out = 8, .kh = 7, .kw = 7, .pad_h = 3, .pad_w = 3, .stride_h = 2, .stride_w = 2}},
      {{8, 5, 6}, {.c_out = 8, .kh = 3, .kw = 3, .pad_h = 1, .pad_w = 1}},
      {{8, 5, 6}, {.c_out = 4, .kh = 1, .kw = 1, .stride_h = 2, .stride_w = 2}},
      {{3, 6, 9}, {.c_out = 2, .kh = 2, .kw = 3, .dil_h = 2, .dil_w = 3, .pad_h = 1, .has_bias = 1}},
  };
  nsl_backend reference = nsl_backend_reference();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nsl_graph g;
    nsl_graph_init(&g);
    nsl_node node = cases[i].node;
    node.op = NSL_OP_CONV;
    node.n_in = 1;
    node.in[0] = add_input(&g, "x", cases[i].in.c, cases[i].in.h, cases[i].in.w);
    add_node(&g, "op", node);
    float *x = random_tensor(i, (size_t)(3 * cases[i].in.c * cases[i].in.h * cases[i].in.w));
    float *fast = run(&g, 3, backend, NSL_MODE_EVAL, NULL, &x), *slow = run(&g, 3, &reference, NSL_MODE_EVAL, NULL, &x);
    nsl_shape3 s = g.nodes[1].out;
    size_t n = (size_t)(3 * s.c * s.h * s.w);
    double rms = 0.0;
    for (size_t k = 0; k < n; k++) { rms += (double)(slow[k] * slow[k]) / (double)n; }
    for (size_t k = 0; k < n; k++) { assert_near(backend, k, (double)fast[k], (double)slow[k], 1e-5 * sqrt(rms)); }
    free(x);
    free(fast);
    free(slow);
    nsl_graph_free(&g);
  }
}

static void test_correlate(void **state)
{
  (void)state;
  for_all_tables(check_correlate);
}

static void test_extract(void **state)
{
  (void)state;
  for_all_tables(check_extract);
}

static void test_resample(void **state)
{
  (void)state;
  for_all_tables(check_resample);
}

static void test_conv(void **state)
{
  (void)state;
  for_all_tables(check_conv_against_reference);
}

/* Numbers of torch.nn.BatchNorm1d(1) on [[1, 2], [3, 6]]: mean 3, biased variance 3.5, unbiased 14/3. */
static void test_batchnorm_is_pytorchs(void **state)
{
  (void)state;
  nsl_graph g;
  nsl_net *net;
  const float *out, in[] = {1, 2, 3, 6}, *inputs[] = {in};
  nsl_graph_init(&g);
  int x = add_input(&g, "x", 1, 1, 2);
  add_node(&g, "bn", (nsl_node){.op = NSL_OP_BATCHNORM, .n_in = 1, .in = {x}});
  assert_ok(nsl_net_new(&g, 2, 1, 1, &net, &test_err));
  assert_ok(nsl_net_forward(net, 2, inputs, NSL_MODE_TRAIN, NULL, &out, &test_err));
  for (int i = 0; i < 4; i++) { assert_true(fabs((double)out[i] - ((double)in[i] - 3.0) / sqrt(3.5 + 1e-5)) < 1e-6); }
  assert_true(fabs((double)nsl_net_find_param(net, "bn.mean")->value[0] - 0.3) < 1e-6);
  assert_true(fabs((double)nsl_net_find_param(net, "bn.var")->value[0] - (0.9 + 0.1 * 14.0 / 3.0)) < 1e-6);
  assert_ok(nsl_net_forward(net, 2, inputs, NSL_MODE_EVAL, NULL, &out, &test_err));
  assert_true(fabs((double)out[3] - (6.0 - 0.3) / sqrt(0.9 + 1.4 / 3.0 + 1e-5)) < 1e-5);
  assert_null(nsl_net_find_param(net, "bn.none"));
  nsl_net_free(net);
  nsl_graph_free(&g);
}

static void test_moves_and_pools(void **state)
{
  (void)state;
  nsl_backend b = nsl_backend_best();
  float values[] = {1, 2, 3, 4, 5, 6}, *in = values;
  struct {
    nsl_shape3 shape;
    nsl_node node;
    int n;
    double want[8];
  } cases[] = {
      {{2, 1, 3}, {.op = NSL_OP_INTERLEAVE}, 6, {1, 4, 2, 5, 3, 6}},
      {{3, 1, 2}, {.op = NSL_OP_SLICE, .first = 1, .c_out = 2}, 4, {3, 4, 5, 6}},
      {{2, 1, 3}, {.op = NSL_OP_GAP}, 2, {2, 5}},
      {{1, 2, 3}, {.op = NSL_OP_ROWMEAN, .scale = 2.0f}, 2, {4, 10}},
      {{1, 2, 3}, {.op = NSL_OP_MAXPOOL, .kh = 2, .kw = 3, .stride_w = 2, .pad_w = 1}, 2, {5, 6}},
      {{2, 1, 3}, {.op = NSL_OP_DROPOUT, .rate = 0.5f}, 6, {1, 2, 3, 4, 5, 6}}, /* EVAL: the identity */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nsl_graph g;
    nsl_graph_init(&g);
    nsl_node node = cases[i].node;
    node.n_in = 1;
    node.in[0] = add_input(&g, "x", cases[i].shape.c, cases[i].shape.h, cases[i].shape.w);
    int at = add_node(&g, "op", node);
    assert_int_equal(g.nodes[at].out.c * g.nodes[at].out.h * g.nodes[at].out.w, cases[i].n);
    float *out = run(&g, 1, &b, NSL_MODE_EVAL, NULL, &in);
    for (int k = 0; k < cases[i].n; k++) { assert_near(&b, (size_t)k, (double)out[k], cases[i].want[k], 1e-6); }
    free(out);
    nsl_graph_free(&g);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_correlate),
      cmocka_unit_test(test_extract),
      cmocka_unit_test(test_resample),
      cmocka_unit_test(test_conv),
      cmocka_unit_test(test_batchnorm_is_pytorchs),
      cmocka_unit_test(test_moves_and_pools),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
