/* Losses, AdamW, schedule, and a small network that learns. */
#include "nn_support.h"

#include "noslit/nn/loss.h"
#include "noslit/nn/optim.h"

static void test_softmax_and_cross_entropy(void **state)
{
  (void)state;
  /* numpy: logits [1, 2, 3], [0, 0, 1000]; softmax [0.09003057, 0.24472847, 0.66524096] */
  float logits[] = {1, 2, 3, 0, 0, 1000}, target[] = {0.1f, 0.2f, 0.7f, 0, 0, 1}, p[6], d[6];
  nsl_softmax(2, 3, logits, p);
  const double want[] = {0.09003057, 0.24472847, 0.66524096, 0, 0, 1};
  for (int i = 0; i < 6; i++) { assert_true(fabs((double)p[i] - want[i]) < 2e-7); }
  /* -(0.1 log p0 + 0.2 log p1 + 0.7 log p2) = 0.8076059644; the second row has none; mean over two */
  double loss = nsl_loss_cross_entropy(2, 3, logits, target, d);
  assert_true(fabs(loss - 0.5 * 0.8076059644) < 1e-6);
  for (int i = 0; i < 6; i++) { assert_true(fabs((double)d[i] - 0.5 * (want[i] - (double)target[i])) < 2e-7); }
  assert_true(nsl_loss_cross_entropy(2, 3, logits, target, NULL) == loss);
  nsl_softmax(2, 3, logits, logits); /* in place */
  assert_memory_equal(logits, p, sizeof p);
}

static void test_gaussian_nll(void **state)
{
  (void)state;
  float out[] = {1.0f, 0.5f, 0.0f, 20.0f}, target[] = {2.0f, 3.0f}, d[4];
  double first = 0.5 * (0.5 + exp(-0.5)), second = 0.5 * (10.0 + exp(-10.0) * 9.0);
  assert_true(fabs(nsl_loss_gaussian_nll(2, out, target, d) - 0.5 * (first + second)) < 1e-7);
  assert_true(fabs((double)d[0] + 0.5 * exp(-0.5)) < 1e-7);
  assert_true(fabs((double)d[1] - 0.25 * (1.0 - exp(-0.5))) < 1e-7);
  assert_true(fabs((double)d[2] + 0.5 * 3.0 * exp(-10.0)) < 1e-9);
  assert_true(d[3] == 0.0f); /* clamped */
  assert_true(fabs(nsl_loss_squared(2, out, target, d) - 0.25 * (1.0 + 9.0)) < 1e-7);
  assert_true(d[0] == -0.5f && d[1] == 0.0f && d[2] == -1.5f && d[3] == 0.0f);
}

/* One weight (rank 2) and one bias (rank 1). */
static nsl_net *two_numbers(float weight, float bias)
{
  nsl_graph g;
  nsl_net *net;
  nsl_graph_init(&g);
  int x = add_input(&g, "x", 1, 1, 1);
  add_node(&g, "y", (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {x}, .c_out = 1, .has_bias = 1});
  assert_ok(nsl_net_new(&g, 1, 1, 1, &net, &test_err));
  nsl_graph_free(&g);
  nsl_net_param(net, 0)->value[0] = weight;
  nsl_net_param(net, 1)->value[0] = bias;
  return net;
}

static void step(nsl_adamw *opt, nsl_net *net, float g_weight, float g_bias, double want_norm)
{
  double norm;
  nsl_net_param(net, 0)->grad[0] = g_weight;
  nsl_net_param(net, 1)->grad[0] = g_bias;
  assert_ok(nsl_adamw_step(opt, 0.1, &norm, &test_err));
  assert_true(fabs(norm - want_norm) < 1e-6);
}

static void test_adamw(void **state)
{
  (void)state;
  nsl_net *net = two_numbers(1.0f, 1.0f);
  nsl_adamw *opt;
  nsl_adamw_options o = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
  assert_ok(nsl_adamw_new(net, &o, &opt, &test_err));
  assert_int_equal(nsl_adamw_state_size(opt), 2);
  float *w = nsl_net_param(net, 0)->value, *b = nsl_net_param(net, 1)->value;
  /* Worked by hand: step 1 moves by lr; step 2 by lr * (0.055/0.19) / sqrt(0.00025975/0.001999). Decay: the weight only. */
  step(opt, net, 0.5f, 0.5f, 0.5 * M_SQRT2);
  assert_true(fabs((double)b[0] - 0.9) < 1e-6);
  assert_true(fabs((double)w[0] - (0.99 - 0.1)) < 1e-6);
  step(opt, net, 0.1f, 0.1f, 0.1 * M_SQRT2);
  double move = 0.1 * (0.055 / 0.19) / sqrt(0.00025975 / 0.001999);
  assert_true(fabs((double)b[0] - (0.9 - move)) < 1e-6);
  assert_true(fabs((double)w[0] - (0.89 * 0.99 - move)) < 1e-6);
  assert_int_equal(*nsl_adamw_step_count(opt), 2);
  assert_true(fabs((double)nsl_adamw_moment(opt, 0)[1] - 0.055) < 1e-7);
  nsl_adamw_free(opt);
  nsl_net_free(net);
}

static void test_clipping_and_nan_guard(void **state)
{
  (void)state;
  nsl_net *net = two_numbers(1.0f, 1.0f);
  nsl_adamw *opt;
  nsl_adamw_options o = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .clip_norm = 1.0};
  assert_ok(nsl_adamw_new(net, &o, &opt, &test_err));
  step(opt, net, 3.0f, 4.0f, 5.0); /* clipped to 0.6, 0.8 */
  assert_true(fabs((double)nsl_adamw_moment(opt, 0)[0] - 0.06) < 1e-7);
  assert_true(fabs((double)nsl_adamw_moment(opt, 1)[1] - 0.00064) < 1e-8);
  float before[] = {nsl_net_param(net, 0)->value[0], nsl_net_param(net, 1)->value[0]};
  double norm;
  nsl_error err = NSL_ERROR_INIT;
  nsl_net_param(net, 1)->grad[0] = NAN;
  assert_int_equal(nsl_adamw_step(opt, 0.1, &norm, &err), NSL_E_NUMERIC);
  assert_non_null(strstr(err.text, "not finite"));
  assert_true(before[0] == nsl_net_param(net, 0)->value[0] && before[1] == nsl_net_param(net, 1)->value[0]);
  assert_int_equal(*nsl_adamw_step_count(opt), 1);
  nsl_adamw_free(opt);
  nsl_net_free(net);
}

static void test_schedule(void **state)
{
  (void)state;
  assert_true(fabs(nsl_schedule_cosine(0, 100, 0.1, 1.0, 0.01) - 0.01) < 1e-12);
  assert_true(fabs(nsl_schedule_cosine(5, 100, 0.1, 1.0, 0.01) - 0.505) < 1e-12);
  assert_true(fabs(nsl_schedule_cosine(10, 100, 0.1, 1.0, 0.01) - 1.0) < 1e-12);
  assert_true(fabs(nsl_schedule_cosine(55, 100, 0.1, 1.0, 0.01) - 0.505) < 1e-12);
  assert_true(fabs(nsl_schedule_cosine(100, 100, 0.1, 1.0, 0.01) - 0.01) < 1e-12);
  assert_true(fabs(nsl_schedule_cosine(500, 100, 0.1, 1.0, 0.01) - 0.01) < 1e-12);
  assert_true(fabs(nsl_schedule_cosine(0, 100, 0.0, 1.0, 0.0) - 1.0) < 1e-12);
}

enum { WIDTH = 40, BINS = 20, BATCH = 32 };

/* Two lines at a fixed distance, shifted by the class, in noise. */
static void make_batch(int64_t step_index, float *x, float *target, int *label)
{
  nsl_rng r = nsl_rng_make(21, NSL_RNG_TEST, (uint64_t)step_index, 0);
  memset(target, 0, BATCH * BINS * sizeof *target);
  for (int i = 0; i < BATCH; i++) {
    label[i] = (int)nsl_rng_below(&r, BINS);
    target[i * BINS + label[i]] = 1.0f;
    for (int k = 0; k < WIDTH; k++) {
      double lines = k == label[i] + 3 || k == label[i] + 14 ? 3.0 : 0.0;
      x[i * WIDTH + k] = (float)(lines + 0.5 * nsl_rng_normal(&r));
    }
  }
}

static void test_a_network_learns(void **state)
{
  (void)state;
  nsl_graph g;
  nsl_net *net;
  nsl_adamw *opt;
  nsl_graph_init(&g);
  int x = add_input(&g, "x", 1, 1, WIDTH);
  int c = add_node(&g, "c",
                   (nsl_node){.op = NSL_OP_CONV, .n_in = 1, .in = {x}, .c_out = 4, .kh = 1, .kw = 3, .pad_w = 1, .has_bias = 1});
  int bn = add_node(&g, "bn", (nsl_node){.op = NSL_OP_BATCHNORM, .n_in = 1, .in = {c}});
  int a = add_node(&g, "a", (nsl_node){.op = NSL_OP_GELU, .n_in = 1, .in = {bn}});
  int d = add_node(&g, "d", (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {a}, .rate = 0.1f, .channel = 1});
  add_node(&g, "z", (nsl_node){.op = NSL_OP_CORRELATE, .n_in = 1, .in = {d}, .c_out = 1, .n_out = BINS});
  assert_ok(nsl_net_new(&g, BATCH, 1, 1, &net, &test_err));
  nsl_adamw_options o = {.beta1 = 0.9, .beta2 = 0.98, .eps = 1e-8, .weight_decay = 0.01, .clip_norm = 1.0};
  assert_ok(nsl_adamw_new(net, &o, &opt, &test_err));
  float in[BATCH * WIDTH], target[BATCH * BINS], dlogits[BATCH * BINS];
  const float *inputs[] = {in}, *logits;
  int label[BATCH];
  uint64_t keys[BATCH];
  double first = 0.0, loss = 0.0, norm;
  enum { STEPS = 300 };
  for (int64_t t = 0; t < STEPS; t++) {
    make_batch(t, in, target, label);
    for (int i = 0; i < BATCH; i++) { keys[i] = (uint64_t)(t * BATCH + i); }
    nsl_dropout_key drop = {.seed = 1, .key = keys};
    assert_ok(nsl_net_forward(net, BATCH, inputs, NSL_MODE_TRAIN, &drop, &logits, &test_err));
    loss = nsl_loss_cross_entropy(BATCH, BINS, logits, target, dlogits);
    if (t == 0) { first = loss; }
    nsl_net_zero_grad(net);
    assert_ok(nsl_net_backward(net, dlogits, &test_err));
    assert_ok(nsl_adamw_step(opt, nsl_schedule_cosine(t, STEPS, 0.1, 0.02, 1e-4), &norm, &test_err));
  }
  assert_true(first > 2.5 && loss < 0.5);
  make_batch(-1, in, target, label); /* unseen */
  assert_ok(nsl_net_forward(net, BATCH, inputs, NSL_MODE_EVAL, NULL, &logits, &test_err));
  int right = 0;
  for (int i = 0; i < BATCH; i++) {
    int best = 0;
    for (int k = 1; k < BINS; k++) { best = logits[i * BINS + k] > logits[i * BINS + best] ? k : best; }
    right += best == label[i];
  }
  assert_true(right >= BATCH - 2);
  nsl_adamw_free(opt);
  nsl_net_free(net);
  nsl_graph_free(&g);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_softmax_and_cross_entropy),
      cmocka_unit_test(test_gaussian_nll),
      cmocka_unit_test(test_adamw),
      cmocka_unit_test(test_clipping_and_nan_guard),
      cmocka_unit_test(test_schedule),
      cmocka_unit_test(test_a_network_learns),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
