/* YAML as flat lists: values with their places, and what is refused. */
#include "unit/test_support.h"

#include "noslit/base/rng.h"
#include "noslit/io/yaml.h"

static nsl_status parse(const char *text, nsl_kvlist *out) { return nsl_yaml_parse(text, strlen(text), "s.yaml", out, &test_err); }

static void test_paths_values_and_places(void **state)
{
  (void)state;
  nsl_kvlist l;
  assert_ok(parse("run: {samples: 128, model: 'a: b'}\n"
                  "d:\n  - id: 1\n    g: [x, y]\n  - id: ~\ne: []\n",
                  &l));
  assert_int_equal(l.n, 7);
  assert_string_equal(nsl_kv_find(&l, "run.samples")->value, "128");
  assert_string_equal(nsl_kv_find(&l, "run.model")->value, "a: b");
  assert_string_equal(nsl_kv_find(&l, "d.0.g.1")->value, "y");
  assert_string_equal(nsl_kv_find(&l, "d.1.id")->value, "");
  assert_true(nsl_kv_find(&l, "e")->is_empty_list);
  assert_int_equal(nsl_kv_find(&l, "d.0.id")->line, 3);
  assert_int_equal(nsl_kv_find(&l, "d.0.id")->column, 9);
  assert_int_equal(nsl_kv_length(&l, "d"), 2);
  nsl_kvlist_free(&l);
  assert_ok(parse("", &l));
  assert_int_equal(l.n, 0);
  nsl_kvlist_free(&l);
}

static void assert_refused(const char *text, const char *message)
{
  nsl_kvlist l;
  assert_int_equal(parse(text, &l), NSL_E_CONFIG);
  if (!strstr(test_err.text, message)) { fail_msg("'%s' does not say '%s'", test_err.text, message); }
}

static void test_what_is_refused(void **state)
{
  (void)state;
  assert_refused("a: 1\na: 2\n", "s.yaml:2:1: key 'a' is given twice");
  assert_refused("a: {b: 1}\na: {c: 2}\n", "s.yaml:2:1: key 'a' is given twice");
  assert_refused("a: &x 1\n", "anchors are not supported");
  assert_refused("a: *x\n", "aliases are not supported");
  assert_refused("a: 1\n---\nb: 2\n", "a second document");
  assert_refused("a: [1\n", "s.yaml:2:1");
  assert_refused("- 1\n", "mapping");
  assert_refused("word\n", "mapping");
  assert_refused("{[1]: 2}\n", "plain word");
  char deep[200] = "a: ";
  memset(deep + 3, '[', 60);
  assert_refused(deep, "nested too deeply");
  assert_int_equal(nsl_yaml_read("/nowhere.yaml", &(nsl_kvlist){0}, &test_err), NSL_E_NOTFOUND);
}

static void test_damaged_text_never_crashes(void **state)
{
  (void)state;
  const char good[] = "run: {samples: 128, model: m.h5}\nd:\n  - id: 1\n    g: [x, y]\n  - id: 2 # two\n";
  nsl_rng r = nsl_rng_make(5, NSL_RNG_TEST, 0, 0);
  int refused = 0;
  for (int i = 0; i < 3000; i++) {
    char text[sizeof good];
    memcpy(text, good, sizeof good);
    size_t n = 1 + nsl_rng_below(&r, sizeof good - 1);
    for (int k = 0; k < 3; k++) { text[nsl_rng_below(&r, n)] = (char)nsl_rng_below(&r, 256); }
    nsl_kvlist l;
    if (nsl_yaml_parse(text, n, "f", &l, &test_err) == NSL_OK) {
      nsl_kvlist_free(&l);
    } else {
      refused++;
      assert_true(strlen(test_err.text) > 3);
    }
  }
  assert_true(refused > 500);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_paths_values_and_places),
      cmocka_unit_test(test_what_is_refused),
      cmocka_unit_test(test_damaged_text_never_crashes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
