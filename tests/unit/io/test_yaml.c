/* YAML: what a document means, and every refusal with its place. */
#include "unit/test_support.h"

#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/yaml.h"

static nsl_status parse(const char *text, nsl_kvlist *list)
{
  return nsl_yaml_parse(text, strlen(text), "c.yaml", list, &test_err);
}

static void test_document_becomes_paths(void **state)
{
  (void)state;
  nsl_kvlist l;
  assert_ok(parse("# a comment\n"
                  "survey:\n"
                  "  name: 'demo # 1'\n"
                  "  size_deg: 1.5e-1\n"
                  "detectors: [{id: 1, band: GV}, {id: 2}]\n"
                  "none: ~\n"
                  "nothing:\n"
                  "word: \"null\"\n"
                  "empty: []\n"
                  "hollow: {}\n"
                  "text: |\n  two\n  lines\n",
                  &l));
  const struct {
    const char *path, *value;
    int line, column;
  } want[] = {{"survey.name", "demo # 1", 3, 9},
              {"survey.size_deg", "1.5e-1", 4, 13},
              {"detectors.0.id", "1", 5, 18},
              {"detectors.0.band", "GV", 5, 27},
              {"detectors.1.id", "2", 5, 37},
              {"none", "", 6, 7},
              {"nothing", "", 7, 9},
              {"word", "null", 8, 7},
              {"empty", "", 9, 8},
              {"hollow", "", 10, 9},
              {"text", "two\nlines\n", 11, 7}};
  assert_int_equal(l.n, sizeof want / sizeof *want);
  for (size_t i = 0; i < l.n; i++) {
    assert_string_equal(l.items[i].path, want[i].path);
    assert_string_equal(l.items[i].value, want[i].value);
    assert_int_equal(l.items[i].line, want[i].line);
    assert_int_equal(l.items[i].column, want[i].column);
    assert_int_equal(l.items[i].is_empty_list, i == 8 || i == 9);
  }
  assert_int_equal(nsl_kv_length(&l, "detectors"), 2);
  assert_string_equal(l.file, "c.yaml");
  nsl_kvlist_free(&l);
}

static void test_a_quoted_key_may_hold_a_dot(void **state)
{
  (void)state;
  nsl_kvlist l;
  assert_ok(parse("\"snr_gi>=3\": {\"outlier_0.02\": {max: 0.1}}\n", &l));
  assert_int_equal(l.n, 1);
  assert_string_equal(l.items[0].path, "snr_gi>=3.outlier_0.02.max");
  nsl_kvlist_free(&l);
  assert_int_equal(parse("a: {b: 1}\n\"a.b\": 2\n", &l), NSL_E_CONFIG); /* one path, two keys */
}

static void test_empty_documents(void **state)
{
  (void)state;
  const char *empty[] = {"", "# only this\n", "---\n", "--- {}\n", "null\n", "\n\n"};
  for (int i = 0; i < 6; i++) {
    nsl_kvlist l;
    assert_ok(parse(empty[i], &l));
    assert_int_equal(l.n, 0);
    nsl_kvlist_free(&l);
  }
}

static void test_refusals_name_the_place(void **state)
{
  (void)state;
  const struct {
    const char *text, *message;
  } bad[] = {
      {"a: 1\nb: 2\na: 3\n", "c.yaml:3:1: key 'a' is there already (line 1)"},
      {"a: {b: 1, c: 2, b: {d: 1}}\n", "c.yaml:1:17: key 'a.b'"},
      {"a: &x 1\n", "c.yaml:1:4: anchors"},
      {"a: 1\nb: *a\n", "c.yaml:2:4: "},
      {"a: !!str 1\n", "c.yaml:1:4: tags"},
      {"a: 1\n---\nb: 1\n", "c.yaml:2:1: a second document"},
      {"? [1, 2]\n: 3\n", "c.yaml:1:3: a key must be"},
      {"a.b: 1\n", "c.yaml:1:1: a key must not"},
      {"'': 1\n", "c.yaml:1:1: a key must not"},
      {"- 1\n", "c.yaml:1:1: 'key: value'"},
      {"just words\n", "c.yaml:1:1: 'key: value'"},
      {"a: [1, 2\n", "c.yaml:2:1: "},
      {"a: 1\n b: 2\n", "c.yaml:2:"},
      {"a:\n\t- 1\n", "c.yaml:2:1: "},
      {"a: \"x\\0y\"\n", "c.yaml:1:4: text must not"},
      {"a: \xff\n", "c.yaml:1:1: "},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    nsl_kvlist l;
    assert_int_equal(parse(bad[i].text, &l), NSL_E_CONFIG);
    if (strncmp(test_err.text, bad[i].message, strlen(bad[i].message))) { fail_msg("%s", test_err.text); }
    assert_null(strchr(test_err.text, '\n'));
  }
}

static void test_depth_length_and_size_are_limited(void **state)
{
  (void)state;
  nsl_kvlist l;
  char text[600];
  for (int depth = 30; depth <= 40; depth++) {
    snprintf(text, sizeof text, "a: ");
    for (int i = 1; i < depth; i++) { strcat(text, "["); }
    strcat(text, "1");
    for (int i = 1; i < depth; i++) { strcat(text, "]"); }
    nsl_status st = parse(text, &l);
    assert_int_equal(st, depth <= 32 ? NSL_OK : NSL_E_CONFIG);
    if (st == NSL_OK) { nsl_kvlist_free(&l); }
  }
  memset(text, 'k', 300);
  strcpy(text + 300, ": 1\n");
  assert_int_equal(parse(text, &l), NSL_E_CONFIG);
  size_t n = (4 << 20) + 1;
  char *large = malloc(n);
  memset(large, '#', n);
  assert_int_equal(nsl_yaml_parse(large, n, "c.yaml", &l, &test_err), NSL_E_CONFIG);
  assert_ok(nsl_yaml_parse(large, n - 1, "c.yaml", &l, &test_err));
  nsl_kvlist_free(&l);
  free(large);
}

static void test_many_keys_are_fast(void **state)
{
  (void)state;
  enum { N = 200000 };
  char *text = malloc(N * 20), *p = text;
  for (int i = 0; i < N; i++) { p += sprintf(p, "key%d: %d\n", i, i); }
  nsl_kvlist l;
  assert_ok(nsl_yaml_parse(text, (size_t)(p - text), "c.yaml", &l, &test_err));
  assert_int_equal(l.n, N);
  nsl_kvlist_free(&l);
  free(text);
}

static void test_files(void **state)
{
  (void)state;
  nsl_kvlist l;
  double v;
  assert_ok(nsl_write_file("test_yaml.yaml", "a:\n  b: 2.5\n", 12, &test_err));
  assert_ok(nsl_yaml_read("test_yaml.yaml", &l, &test_err));
  assert_ok(nsl_kv_f64(&l, &v, &test_err, "a.%s", "b"));
  assert_true(v == 2.5);
  nsl_kvlist_free(&l);
  unlink("test_yaml.yaml");
  assert_int_equal(nsl_yaml_read("test_yaml.yaml", &l, &test_err), NSL_E_NOTFOUND);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_document_becomes_paths),
      cmocka_unit_test(test_a_quoted_key_may_hold_a_dot),
      cmocka_unit_test(test_empty_documents),
      cmocka_unit_test(test_refusals_name_the_place),
      cmocka_unit_test(test_depth_length_and_size_are_limited),
      cmocka_unit_test(test_many_keys_are_fast),
      cmocka_unit_test(test_files),
  };
  return cmocka_run_group_tests_name("yaml", tests, NULL, NULL);
}
