/* Model files: what is written is read, and every way a file can be wrong is one clear line. */
#include "unit/test_support.h"

#include <unistd.h>

#include "noslit/base/fsio.h"
#include "pipe/band_attributes.h"
#include "pipe/model_file_layout.h"
#include "unit/pipe/tiny_model.h"

#define PATH "tiny.model.h5"

static void write_tiny(const char *path, int hidden)
{
  nsl_model m;
  nsl_net *net;
  assert_ok(tiny_model(hidden, &m, &test_err));
  m.card = strdup("{\"note\": \"tiny\"}");
  assert_ok(nsl_net_new(&m.graph, 1, 1, 5, &net, &test_err));
  assert_ok(nsl_model_write(path, &m, net, &test_err));
  nsl_net_free(net);
  nsl_model_free(&m);
}

static void test_round_trip(void **state)
{
  (void)state;
  nsl_model a, b;
  nsl_net *na, *nb;
  assert_ok(tiny_model(16, &a, &test_err));
  a.head = NSL_HEAD_BINS;
  a.input = NSL_INPUT_ELECTRONS;
  a.temperature = 0.87;
  a.card = strdup("{\"note\": \"\xc3\xa9\"}");
  assert_ok(nsl_net_new(&a.graph, 1, 1, 5, &na, &test_err));
  assert_ok(nsl_model_write(PATH, &a, na, &test_err));
  assert_ok(nsl_model_read(PATH, 4, 0, &b, &nb, &test_err));
  assert_true(b.head == a.head && b.input == a.input && b.temperature == a.temperature && b.contamination_k == a.contamination_k);
  assert_true(b.flux_scale[0] == 20 && b.flux_scale[1] == 20);
  assert_true(b.grid.n == a.grid.n && b.grid.u0 == a.grid.u0 && b.grid.du == a.grid.du);
  assert_true(b.band[1].dlambda_a == a.band[1].dlambda_a && b.band[0].lambda_max_a == a.band[0].lambda_max_a);
  assert_string_equal(b.band[0].name, "GV");
  assert_string_equal(b.card, a.card);
  assert_int_equal(nsl_net_n_params(nb), nsl_net_n_params(na));
  for (int i = 0; i < nsl_net_n_params(na); i++) {
    const nsl_param *p = nsl_net_param(na, i), *q = nsl_net_find_param(nb, p->name);
    assert_non_null(q);
    assert_memory_equal(p->value, q->value, p->n * sizeof *p->value);
  }
  char *ta = nsl_graph_to_text(&a.graph), *tb = nsl_graph_to_text(&b.graph);
  assert_string_equal(ta, tb);
  free(ta);
  free(tb);
  nsl_hash before = b.hash, after;
  assert_ok(nsl_model_content_hash(&b, nb, &after, &test_err));
  assert_true(nsl_hash_equal(before, after));
  b.temperature = 0.88;
  assert_ok(nsl_model_content_hash(&b, nb, &after, &test_err));
  assert_false(nsl_hash_equal(before, after));
  nsl_net_free(na);
  nsl_net_free(nb);
  nsl_model_free(&a);
  nsl_model_free(&b);
}

static void expect_refused(const char *path, nsl_status status, const char *text)
{
  nsl_model m;
  nsl_net *net = NULL;
  test_err.text[0] = '\0';
  nsl_status st = nsl_model_read(path, 1, 0, &m, &net, &test_err);
  if (st != status || !strstr(test_err.text, text) || !strstr(test_err.text, path) || strchr(test_err.text, '\n')) {
    fail_msg("%s: '%s' does not say '%s'", nsl_status_name(st), test_err.text, text);
  }
  assert_null(net);
}

/* A file like the tiny model's, but for one thing: what differs is told by `omit` (a tensor), `reshape` or attributes. */
typedef struct {
  int64_t version;
  const char *omit, *reshape, *extra;
  double temperature;
  int graph_hidden; /* the graph says so, the weights are of 16 */
  double flux_scale;
} flaw;

static void write_flawed(const char *path, flaw fl)
{
  nsl_model m;
  nsl_net *net;
  nsl_h5 *f;
  assert_ok(tiny_model(16, &m, &test_err));
  assert_ok(nsl_net_new(&m.graph, 1, 1, 5, &net, &test_err));
  assert_ok(nsl_h5_create(path, &f, &test_err));
  nsl_hash hash;
  char hex[NSL_HASH_HEX];
  assert_ok(nsl_model_content_hash(&m, net, &hash, &test_err));
  nsl_hash_to_hex(hash, hex);
  assert_ok(nsl_h5_put_text(f, "/", "format", NSL_MODEL_FORMAT, &test_err));
  assert_ok(nsl_h5_put_i64(f, "/", "version", fl.version ? fl.version : NSL_MODEL_VERSION, &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "head", "bins", &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "input", "weighted", &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "flux_scale0", fl.flux_scale != 0 ? fl.flux_scale : 20, &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "flux_scale1", 20, &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "contamination_k", 0.5, &test_err));
  assert_ok(nsl_h5_put_i64(f, "/", "pdf_n", TINY_BINS, &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "pdf_u0", TINY_U0, &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "pdf_du", TINY_DU, &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "temperature", fl.temperature != 0 ? fl.temperature : 1, &test_err));
  assert_ok(nsl_bands_put(f, m.band, &test_err));
  nsl_model other;
  assert_ok(tiny_model(fl.graph_hidden ? fl.graph_hidden : 16, &other, &test_err));
  char *graph = nsl_graph_to_text(&other.graph);
  size_t n = strlen(graph), two = 2;
  assert_ok(nsl_h5_write(f, "/graph", NSL_H5_U8, 1, &n, graph, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "/card", NSL_H5_U8, 1, &two, "{}", NULL, &test_err));
  assert_ok(nsl_h5_group(f, "/weights", &test_err));
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    char where[96];
    size_t dims[4], flat = p->n;
    for (int k = 0; k < p->rank; k++) { dims[k] = (size_t)p->dims[k]; }
    snprintf(where, sizeof where, "/weights/%s", p->name);
    if (fl.omit && strcmp(fl.omit, p->name) == 0) { continue; }
    int reshape = fl.reshape && strcmp(fl.reshape, p->name) == 0;
    assert_ok(nsl_h5_write(f, where, NSL_H5_F32, reshape ? 1 : p->rank, reshape ? &flat : dims, p->value, NULL, &test_err));
  }
  float one = 1;
  size_t single = 1;
  if (fl.extra) { assert_ok(nsl_h5_write(f, fl.extra, NSL_H5_F32, 1, &single, &one, NULL, &test_err)); }
  assert_ok(nsl_h5_put_text(f, "/", "content_hash", hex, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  free(graph);
  nsl_model_free(&other);
  nsl_net_free(net);
  nsl_model_free(&m);
}

static void test_every_flaw_is_named(void **state)
{
  (void)state;
  nsl_model m;
  nsl_net *net;
  write_flawed("flawed.h5", (flaw){0}); /* without a flaw it is read */
  assert_ok(nsl_model_read("flawed.h5", 1, 0, &m, &net, &test_err));
  nsl_net_free(net);
  nsl_model_free(&m);
  write_flawed("flawed.h5", (flaw){.version = 99});
  expect_refused("flawed.h5", NSL_E_FORMAT, "version 99, this program reads versions 1 to 2");
  write_flawed("flawed.h5", (flaw){.omit = "middle.weight"});
  expect_refused("flawed.h5", NSL_E_FORMAT, "tensor middle.weight is missing");
  write_flawed("flawed.h5", (flaw){.reshape = "middle.weight"});
  expect_refused("flawed.h5", NSL_E_MISMATCH, "tensor middle.weight is [2048], the network's is [16][128]");
  write_flawed("flawed.h5", (flaw){.graph_hidden = 12});
  expect_refused("flawed.h5", NSL_E_MISMATCH, "tensor middle.weight is [16][128], the network's is [12][128]");
  write_flawed("flawed.h5", (flaw){.extra = "/weights/stray.weight"});
  expect_refused("flawed.h5", NSL_E_MISMATCH, "tensor stray.weight is not one of the network's");
  write_flawed("flawed.h5", (flaw){.temperature = 1.5});
  expect_refused("flawed.h5", NSL_E_CORRUPT, "content hash does not match");
  write_flawed("flawed.h5", (flaw){.temperature = -1});
  expect_refused("flawed.h5", NSL_E_VALUE, "temperature -1 must be positive");
  write_flawed("flawed.h5", (flaw){.flux_scale = -3});
  expect_refused("flawed.h5", NSL_E_VALUE, "input normalisation -3");
  expect_refused("no_such_model.h5", NSL_E_NOTFOUND, "no_such_model.h5");
  nsl_h5 *f;
  assert_ok(nsl_h5_create("foreign.h5", &f, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  expect_refused("foreign.h5", NSL_E_FORMAT, "not a model file");
}

static void test_damaged_files(void **state)
{
  (void)state;
  char *bytes;
  size_t n;
  write_tiny(PATH, 16);
  assert_ok(nsl_read_file(PATH, 1 << 24, &bytes, &n, &test_err));
  /* a byte of every stretch of the file: refused, or (in unused space, or the card) the same model */
  nsl_model good, m;
  nsl_net *net;
  assert_ok(nsl_model_read(PATH, 1, 0, &good, &net, &test_err));
  nsl_net_free(net);
  int refused = 0, n_tries = 0;
  for (size_t at = n / 3; at < n; at += n / 37) {
    bytes[at] ^= 0x55;
    assert_ok(nsl_write_file("damaged.h5", bytes, n, &test_err));
    bytes[at] ^= 0x55;
    n_tries++;
    test_err.text[0] = '\0';
    if (nsl_model_read("damaged.h5", 1, 0, &m, &net, &test_err) != NSL_OK) {
      refused++;
      assert_non_null(strstr(test_err.text, "damaged.h5"));
      assert_null(strchr(test_err.text, '\n'));
      continue;
    }
    assert_true(nsl_hash_equal(m.hash, good.hash));
    nsl_net_free(net);
    nsl_model_free(&m);
  }
  assert_true(refused > n_tries / 5); /* about a quarter of this small file is weights */
  assert_ok(nsl_write_file("damaged.h5", bytes, n / 2, &test_err));
  assert_int_not_equal(nsl_model_read("damaged.h5", 1, 0, &m, &net, &test_err), NSL_OK);
  assert_non_null(strstr(test_err.text, "damaged.h5"));
  nsl_model_free(&good);
  free(bytes);
}

static void test_model_and_instrument_belong_together(void **state)
{
  (void)state;
  nsl_model m;
  assert_ok(tiny_model(16, &m, &test_err));
  nsl_instrument *inst = instrument_make();
  assert_ok(nsl_model_fits_instrument(&m, inst, PATH, &test_err));
  inst->bands[2].lambda0_a += 1;
  assert_int_equal(nsl_model_fits_instrument(&m, inst, PATH, &test_err), NSL_E_MISMATCH);
  assert_non_null(strstr(test_err.text, "the canonical grid of GI"));
  free(inst);
  nsl_model_free(&m);
}

static void test_parts_that_do_not_belong_together(void **state)
{
  (void)state;
  nsl_model m;
  assert_ok(tiny_model(16, &m, &test_err));
  assert_ok(nsl_model_check(&m, &test_err));
  m.grid.n = 640;
  assert_int_equal(nsl_model_check(&m, &test_err), NSL_E_MISMATCH);
  assert_non_null(strstr(test_err.text, "gives 32 numbers a source, head 'bins' needs 640"));
  m.head = NSL_HEAD_GAUSSIAN;
  assert_int_equal(nsl_model_check(&m, &test_err), NSL_E_MISMATCH);
  nsl_model_free(&m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_every_flaw_is_named),
      cmocka_unit_test(test_damaged_files),
      cmocka_unit_test(test_model_and_instrument_belong_together),
      cmocka_unit_test(test_parts_that_do_not_belong_together),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
