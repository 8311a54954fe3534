/* JSON documents: building, exactness, reading back, mistakes. */
#include "unit/test_support.h"

#include <math.h>

#include "noslit/io/json.h"

static void test_build_and_read_back(void **state)
{
  (void)state;
  nsl_json *root = nsl_json_object(), *list = nsl_json_array();
  nsl_json_set_f64(root, "x", 0.1);
  nsl_json_set_f64(root, "nan", NAN);
  nsl_json_set_i64(root, "small", 4503599627370496);
  nsl_json_set_i64(root, "large", INT64_MAX);
  nsl_json_set_bool(root, "yes", 1);
  nsl_json_push_text(list, "a\"b");
  nsl_json_push_f64(list, 2);
  nsl_json_set(root, "list", list);
  char *text = nsl_json_text(root);
  nsl_json_free(root);
  nsl_json *back;
  assert_ok(nsl_json_parse(text, "t", &back, &test_err));
  assert_true(nsl_json_get_f64(back, "x", 0) == 0.1);
  assert_true(nsl_json_get_f64(back, "nan", -1) == -1);
  assert_true(nsl_json_get_f64(back, "small", 0) == 4503599627370496.0);
  assert_string_equal(nsl_json_get_text(back, "large", ""), "9223372036854775807");
  assert_int_equal(nsl_json_length(nsl_json_get(back, "list")), 2);
  assert_null(nsl_json_get(back, "absent"));
  nsl_json_free(back);
  free(text);
}

static void test_mistakes_name_the_line(void **state)
{
  (void)state;
  nsl_json *back;
  assert_int_equal(nsl_json_parse("{\n\"a\": 1,\n}", "m.json", &back, &test_err), NSL_E_FORMAT);
  assert_non_null(strstr(test_err.text, "m.json:3"));
  assert_int_equal(nsl_json_parse("{} x", "m.json", &back, &test_err), NSL_E_FORMAT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_build_and_read_back), cmocka_unit_test(test_mistakes_name_the_line)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
