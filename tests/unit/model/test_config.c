/* The configuration: typed values, defaults, typos, origins, the science hash. */
#include "unit/test_support.h"

#include "noslit/model/config.h"

static nsl_kv kv(const char *path, const char *text, int line) { return (nsl_kv){(char *)path, (char *)text, line, 5, 0}; }

static nsl_status make(nsl_kv *items, size_t n, nsl_config **out)
{
  nsl_kvlist doc = {(char *)"/data/s.yaml", items, n};
  return nsl_config_new(&doc, "/data", out, &test_err);
}

static void test_values_defaults_and_paths(void **state)
{
  (void)state;
  nsl_kv items[] = {kv("run.samples", "64", 2), kv("run.model", "m.h5", 3), kv("input.exposures.0", "e/*.fits", 4),
                    kv("input.exposures.1", "/abs/*.fits", 5), kv("simulate.compress", "yes", 6)};
  nsl_config *c;
  assert_ok(make(items, 5, &c));
  assert_int_equal(nsl_config_int(c, "run.samples"), 64);
  assert_string_equal(nsl_config_text(c, "run.model"), "/data/m.h5");
  assert_int_equal(nsl_config_int(c, "tiles.order"), 7);
  assert_true(nsl_config_bool(c, "simulate.compress"));
  const char *const *list;
  assert_int_equal(nsl_config_list(c, "input.exposures", &list), 2);
  assert_string_equal(list[0], "/data/e/*.fits");
  assert_string_equal(list[1], "/abs/*.fits");
  assert_string_equal(nsl_config_origin(c, "run.samples"), "/data/s.yaml:2:5");
  assert_string_equal(nsl_config_origin(c, "tiles.order"), "default");
  assert_int_equal(nsl_config_require(c, "input.catalogue", &test_err), NSL_E_CONFIG);
  assert_ok(nsl_config_override(c, "input.exposures=", &test_err)); /* no value: an empty list, not the folder of the file */
  assert_int_equal(nsl_config_list(c, "input.exposures", &list), 0);
  assert_non_null(strstr(test_err.text, "input.catalogue"));
  nsl_config_free(c);
}

static void assert_refused(const char *path, const char *text, const char *message)
{
  nsl_kv items[] = {kv(path, text, 3)};
  nsl_config *c;
  assert_int_equal(make(items, 1, &c), NSL_E_CONFIG);
  if (!strstr(test_err.text, message)) { fail_msg("'%s' does not say '%s'", test_err.text, message); }
  assert_non_null(strstr(test_err.text, "/data/s.yaml:3:5"));
}

static void test_mistakes_are_named_with_their_place(void **state)
{
  (void)state;
  assert_refused("run.sampels", "64", "did you mean 'run.samples'?");
  assert_refused("run.samples", "many", "whole number");
  assert_refused("run.samples", "0", "must lie in 1..10000");
  assert_refused("simulate.wcs", "SIN", "one of TPV|TAN");
  assert_refused("simulate.compress", "perhaps", "true or false");
  assert_refused("run.samples.0", "1", "unknown key");
}

static void test_overrides_and_hash(void **state)
{
  (void)state;
  nsl_kv items[] = {kv("run.samples", "128", 2)};
  nsl_config *a, *b;
  assert_ok(make(items, 1, &a));
  assert_ok(make(items, 0, &b));
  assert_true(nsl_hash_equal(nsl_config_science_hash(a), nsl_config_science_hash(b)));
  assert_ok(nsl_config_override(b, "run.lease_s=5", &test_err));
  assert_true(nsl_hash_equal(nsl_config_science_hash(a), nsl_config_science_hash(b)));
  assert_ok(nsl_config_override(b, "run.samples=64", &test_err));
  assert_false(nsl_hash_equal(nsl_config_science_hash(a), nsl_config_science_hash(b)));
  assert_string_equal(nsl_config_origin(b, "run.samples"), "command line");
  assert_int_equal(nsl_config_override(b, "nonsense", &test_err), NSL_E_USAGE);
  assert_int_equal(nsl_config_override(b, "run.model=", &test_err), NSL_OK);
  assert_int_equal(nsl_config_require(b, "run.model", &test_err), NSL_E_CONFIG);
  nsl_config_free(a);
  nsl_config_free(b);
}

static void test_every_default_obeys_its_own_range(void **state)
{
  (void)state;
  nsl_config *c;
  assert_ok(make(NULL, 0, &c));
  for (size_t i = 0; i < nsl_config_n_keys; i++) {
    for (size_t j = 0; j < i; j++) { assert_string_not_equal(nsl_config_keys[i].path, nsl_config_keys[j].path); }
    assert_true(strlen(nsl_config_keys[i].help) > 5);
  }
  nsl_config_free(c);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_values_defaults_and_paths),
      cmocka_unit_test(test_mistakes_are_named_with_their_place),
      cmocka_unit_test(test_overrides_and_hash),
      cmocka_unit_test(test_every_default_obeys_its_own_range),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
