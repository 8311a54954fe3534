/* Graphs: shapes, text form, refusals; BLAS start-up check. */
#include "nn_support.h"

#include "noslit/nn/architectures.h"
#include "noslit/nn/blas.h"

static void test_blas_is_right(void **state)
{
  (void)state;
  assert_ok(nsl_blas_start(&test_err));
  assert_true(strlen(nsl_blas_core()) > 0);
  /* c = 2 a^T b + 3 c with a known answer: a stored [k=2][m=1] */
  float a[] = {1, 2}, b[] = {3, 4, 5, 6}, c[] = {1, 1};
  nsl_sgemm(1, 0, 1, 2, 2, 2.0f, a, 1, b, 2, 3.0f, c, 2);
  assert_true(c[0] == 2 * (3 + 10) + 3 && c[1] == 2 * (4 + 12) + 3);
}

static void check_round_trip(const nsl_graph *g)
{
  nsl_graph back;
  char *text = nsl_graph_to_text(g);
  assert_non_null(text);
  assert_ok(nsl_graph_from_text(text, "text", &back, &test_err));
  assert_int_equal(back.n, g->n);
  for (int i = 0; i < g->n; i++) {
    nsl_node a = g->nodes[i], b = back.nodes[i];
    assert_true((a.n_const == 0) == (a.constant == NULL));
    if (a.n_const) { assert_memory_equal(a.constant, b.constant, (size_t)a.n_const * sizeof(float)); }
    assert_string_equal(a.name, b.name);
    a.constant = b.constant = NULL;
    assert_memory_equal(a.name, b.name, strlen(a.name));
    assert_int_equal(a.op, b.op);
    assert_memory_equal(&a.n_in, &b.n_in, sizeof a - offsetof(nsl_node, n_in));
  }
  char *again = nsl_graph_to_text(&back);
  assert_string_equal(text, again);
  free(text);
  free(again);
  nsl_graph_free(&back);
}

static void test_eq_has_the_stated_shapes(void **state)
{
  (void)state;
  nsl_eq_options o;
  nsl_graph g;
  nsl_eq_defaults(&o);
  assert_ok(nsl_graph_eq(&o, &g, &test_err));
  struct {
    const char *name;
    nsl_shape3 shape;
  } want[] = {{"facts", {168, 1, 1}},     {"row_weights", {320, 1, 1}}, {"extract", {16, 1, 480}},
              {"grid", {18, 1, 624}},     {"stem", {32, 1, 312}},       {"features", {12, 1, 312}},
              {"correlate", {8, 1, 305}}, {"dropout", {32, 1, 305}},    {"interleave", {1, 1, 1220}}};
  for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
    int at = nsl_graph_find(&g, want[i].name);
    assert_true(at >= 0);
    assert_memory_equal(&g.nodes[at].out, &want[i].shape, sizeof(nsl_shape3));
  }
  nsl_node *last = &g.nodes[g.n - 1];
  assert_true(last->out.c == 1 && last->out.h == 1 && last->out.w == 640);
  /* Both bands cover their part of the joint grid: GV ends near 6900 A, GI begins near 6257 A. */
  nsl_node *mask = &g.nodes[nsl_graph_find(&g, "band_mask")];
  int gv = 0, gi = 0;
  for (int i = 0; i < o.n_lambda; i++) {
    gv += mask->constant[i] == 1.0f;
    gi += mask->constant[o.n_lambda + i] == 1.0f;
  }
  assert_int_equal(gv, (int)floor((log(5200 + 239.5 * 7.12) - o.ln_lambda_min) / o.ln_lambda_step) + 1);
  assert_int_equal(gi, o.n_lambda - (int)ceil((log(8300 - 239.5 * 8.53) - o.ln_lambda_min) / o.ln_lambda_step));
  assert_true(!nsl_graph_is_stochastic(&g, nsl_graph_find(&g, "tail_gelu")));
  assert_true(nsl_graph_is_stochastic(&g, nsl_graph_find(&g, "dropout")));
  assert_true(nsl_graph_is_stochastic(&g, g.n - 1));
  double macs = nsl_graph_macs(&g);
  assert_true(macs > 11e6 && macs < 14e6);
  check_round_trip(&g);
  nsl_graph_free(&g);
}

static void test_resnet34_is_the_papers(void **state)
{
  (void)state;
  nsl_graph g;
  assert_ok(nsl_graph_resnet34(40, 480, 64, 0.1, &g, &test_err));
  nsl_shape3 deep = g.nodes[nsl_graph_find(&g, "s4_b3_add_relu")].out, out = g.nodes[g.n - 1].out;
  assert_true(deep.c == 512 && deep.h == 2 && deep.w == 15);
  assert_true(out.c == 2 && out.h == 1 && out.w == 1);
  double macs = nsl_graph_macs(&g);
  assert_true(fabs(macs / 1.64e9 - 1.0) < 0.01); /* facts A1.6 */
  nsl_net *net;
  assert_ok(nsl_net_new(&g, 1, 0, 1, &net, &test_err));
  double learned = 0;
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    learned += nsl_net_param(net, i)->is_state ? 0.0 : (double)nsl_net_param(net, i)->n;
  }
  assert_true(fabs(learned / 21.45e6 - 1.0) < 0.001);
  nsl_net_free(net);
  check_round_trip(&g);
  nsl_graph_free(&g);
}

static void expect_refusal(const char *text, const char *says)
{
  nsl_graph g;
  nsl_error err = NSL_ERROR_INIT;
  assert_int_not_equal(nsl_graph_from_text(text, "model.h5", &g, &err), NSL_OK);
  if (!strstr(err.text, says) || strncmp(err.text, "model.h5: ", 10) != 0) { fail_msg("'%s' does not say '%s'", err.text, says); }
  assert_null(strchr(err.text, '\n'));
}

static void test_bad_graphs_are_refused(void **state)
{
  (void)state;
  expect_refusal("", "no nodes");
  expect_refusal("frobnicate name=a", "unknown op 'frobnicate'");
  expect_refusal("input name=x c=1 h=1", "c, h and w");
  expect_refusal("input name=x c=1 h=1 w=8\ngelu name=y in=z c=1 h=1 w=8", "line 2");
  expect_refusal("input name=x c=1 h=1 w=8 colour=3", "unknown field 'colour'");
  expect_refusal("input name=x c=1 h=1 w=8\ninput name=x c=1 h=1 w=8", "taken");
  expect_refusal("input name=x c=1 h=1 w=8\nconv name=y in=x c_out=2 kh=1 kw=9 c=2 h=1 w=1", "kernel reaches");
  expect_refusal("input name=x c=1 h=1 w=8\ngelu name=y in=x c=1 h=1 w=9", "stated shape 1x1x9");
  expect_refusal("input name=x c=1 h=1 w=8\ngelu name=y in=x,x c=1 h=1 w=8", "1 to 1 inputs");
  expect_refusal("constant name=k c=1 h=1 w=3 const=1,nan,2", "list of numbers");
  expect_refusal("constant name=k c=1 h=1 w=3 const=1*2", "2 values");
  expect_refusal("input name=x c=1 h=1 w=x", "whole number");
  expect_refusal("input name=x c=1 h=1 w=8\ndropout name=d in=x rate=1 c=1 h=1 w=8", "rate");
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_blas_is_right),
      cmocka_unit_test(test_eq_has_the_stated_shapes),
      cmocka_unit_test(test_resnet34_is_the_papers),
      cmocka_unit_test(test_bad_graphs_are_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
