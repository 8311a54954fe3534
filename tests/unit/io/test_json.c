/* JSON: built, written, read back. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/json.h"

static void test_built_and_read_back(void **state)
{
  (void)state;
  nsl_json *root = nsl_json_object(), *list = nsl_json_array(), *child = nsl_json_object(), *back;
  nsl_json_set_f64(root, "third", 1.0 / 3);
  nsl_json_set_f64(root, "nan", NAN);
  nsl_json_set_f64(root, "again", 1);
  nsl_json_set_f64(root, "again", 2);
  nsl_json_set_i64(root, "exact", INT64_C(1) << 53);
  nsl_json_set_i64(root, "large", INT64_MIN);
  nsl_json_set_bool(root, "yes", 1);
  nsl_json_set_text(root, "text", "\"Å\"\n");
  nsl_json_push_f64(list, 1.5);
  nsl_json_push_f64(list, INFINITY);
  nsl_json_push_text(list, "x");
  nsl_json_set_f64(child, "v", 7);
  nsl_json_push(list, child);
  nsl_json_set(root, "list", list);
  assert_true(nsl_json_get_f64(root, "third", 0) == 1.0 / 3);
  assert_ok(nsl_json_write("test_json.json", root, &test_err));
  nsl_json_free(root);
  assert_ok(nsl_json_read("test_json.json", &back, &test_err));
  assert_true(nsl_json_get_f64(back, "third", 0) == 1.0 / 3);
  assert_true(nsl_json_get_f64(back, "nan", -1) == -1);
  assert_non_null(nsl_json_get(back, "nan"));
  assert_true(nsl_json_get_f64(back, "again", 0) == 2);
  assert_true(nsl_json_get_f64(back, "exact", 0) == 9007199254740992.0);
  assert_string_equal(nsl_json_get_text(back, "large", "?"), "-9223372036854775808");
  assert_string_equal(nsl_json_get_text(back, "text", "?"), "\"Å\"\n");
  assert_string_equal(nsl_json_get_text(back, "third", "?"), "?");
  const nsl_json *items = nsl_json_get(back, "list");
  assert_int_equal(nsl_json_length(items), 4);
  assert_int_equal(nsl_json_length(back), 0);
  assert_true(nsl_json_get_f64(nsl_json_at(items, 3), "v", 0) == 7);
  assert_null(nsl_json_at(items, 4));
  assert_null(nsl_json_get(back, "List"));
  assert_null(nsl_json_get(NULL, "x"));
  nsl_json_free(back);
  unlink("test_json.json");
}

static void test_missing_part_spoils_the_text(void **state)
{
  (void)state;
  nsl_json *root = nsl_json_object(), *inner = nsl_json_object();
  nsl_json_set(inner, "gone", NULL); /* as after a failed allocation */
  nsl_json_set(root, "inner", inner);
  assert_null(nsl_json_text(root));
  assert_int_equal(nsl_json_write("test_json.json", root, &test_err), NSL_E_NOMEM);
  assert_false(nsl_file_exists("test_json.json"));
  nsl_json_free(root);
  nsl_json_set_f64(NULL, "x", 1);
  assert_null(nsl_json_text(NULL));
}

static void test_what_is_no_json(void **state)
{
  (void)state;
  nsl_json *j;
  const struct {
    const char *text, *place;
  } bad[] = {{"{\"a\": 1,\n \"b\": }", "m.json:2:"}, {"", "m.json:1:1"}, {"{} x", "m.json:1:4"}, {"[1, 2", "m.json:1:"}};
  for (int i = 0; i < 4; i++) {
    assert_int_equal(nsl_json_parse(bad[i].text, "m.json", &j, &test_err), NSL_E_FORMAT);
    if (strncmp(test_err.text, bad[i].place, strlen(bad[i].place))) { fail_msg("%s", test_err.text); }
  }
  assert_int_equal(nsl_json_read("test_json_none.json", &j, &test_err), NSL_E_NOTFOUND);
  char deep[5000];
  memset(deep, '[', sizeof deep - 1);
  deep[sizeof deep - 1] = '\0';
  assert_int_equal(nsl_json_parse(deep, "m.json", &j, &test_err), NSL_E_FORMAT);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_built_and_read_back),
      cmocka_unit_test(test_missing_part_spoils_the_text),
      cmocka_unit_test(test_what_is_no_json),
  };
  return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
