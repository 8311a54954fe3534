/* The base layer: errors, hashes, random streams, strings, durable files. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/hash.h"
#include "noslit/base/kv.h"
#include "noslit/base/log.h"
#include "noslit/base/memory.h"
#include "noslit/base/rng.h"
#include "noslit/base/str.h"
#include "noslit/base/tally.h"

static void test_error_context_is_prepended(void **state)
{
  (void)state;
  nsl_error err = NSL_ERROR_INIT;
  nsl_status st = nsl_fail(&err, NSL_E_FORMAT, "row %d is bad", 3);
  st = nsl_error_context(&err, st, "%s", "table.fits");
  assert_int_equal(st, NSL_E_FORMAT);
  assert_string_equal(err.text, "table.fits: row 3 is bad");
  assert_int_equal(nsl_status_exit_code(NSL_E_CONFIG), 2);
  assert_int_equal(nsl_status_exit_code(NSL_E_DRAINED), 75);
  assert_int_equal(nsl_status_exit_code(NSL_E_CORRUPT), 1);
}

static void test_hash_streams_and_hex(void **state)
{
  (void)state;
  const char text[] = "noslit";
  nsl_hasher *h = nsl_hasher_new();
  nsl_hasher_add(h, text, 3);
  nsl_hasher_add(h, text + 3, 3);
  nsl_hash whole = nsl_hash_bytes(text, 6), back;
  assert_true(nsl_hash_equal(whole, nsl_hasher_value(h)));
  nsl_hasher_free(h);
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(whole, hex);
  assert_int_equal(strlen(hex), 32);
  assert_true(nsl_hash_from_hex(hex, &back) && nsl_hash_equal(whole, back));
  assert_false(nsl_hash_from_hex("xyz", &back));
}

static void test_rng_streams_repeat_and_differ(void **state)
{
  (void)state;
  nsl_rng a = nsl_rng_make(1, NSL_RNG_TEST, 2, 3), b = nsl_rng_make(1, NSL_RNG_TEST, 2, 3), c = nsl_rng_make(1, NSL_RNG_TEST, 2, 4);
  int same = 0;
  for (int i = 0; i < 100; i++) {
    uint64_t x = nsl_rng_u64(&a);
    assert_true(x == nsl_rng_u64(&b));
    same += x == nsl_rng_u64(&c);
  }
  assert_int_equal(same, 0);
}

static void test_rng_moments(void **state)
{
  (void)state;
  enum { N = 200000 };
  nsl_rng r = nsl_rng_make(7, NSL_RNG_TEST, 0, 0);
  double sum = 0, sum2 = 0, low = 0, high = 0;
  for (int i = 0; i < N; i++) {
    double x = nsl_rng_normal(&r);
    sum += x;
    sum2 += x * x;
    low += nsl_rng_poisson(&r, 3.0);
    high += nsl_rng_poisson(&r, 300.0);
  }
  assert_true(fabs(sum / N) < 0.01);
  assert_true(fabs(sum2 / N - 1) < 0.02);
  assert_true(fabs(low / N - 3) < 0.02);
  assert_true(fabs(high / N - 300) < 0.3);
  static float z[N];
  nsl_rng_normals_f32(&r, z, N);
  sum = sum2 = 0;
  double tail = 0;
  for (int i = 0; i < N; i++) {
    sum += (double)z[i];
    sum2 += (double)(z[i] * z[i]);
    tail += fabsf(z[i]) > 3;
  }
  assert_true(fabs(sum / N) < 0.01 && fabs(sum2 / N - 1) < 0.02 && fabs(tail / N - 0.0027) < 0.0006);
}

static void test_numbers_refuse_rubbish(void **state)
{
  (void)state;
  double v;
  int64_t i;
  assert_true(nsl_parse_f64("-1.5e3", &v) && v == -1500);
  assert_false(nsl_parse_f64("1.5x", &v));
  assert_false(nsl_parse_f64("nan", &v));
  assert_false(nsl_parse_f64("", &v));
  assert_true(nsl_parse_i64("42", &i) && i == 42);
  assert_false(nsl_parse_i64("42.0", &i));
}

static void test_nearest_name(void **state)
{
  (void)state;
  const char *const names[] = {"run.samples", "run.model", "tiles.order"};
  assert_int_equal(nsl_nearest_name("run.sample", names, 3), 0);
  assert_int_equal(nsl_nearest_name("tile.order", names, 3), 2);
  assert_int_equal(nsl_nearest_name("zzzzzzzzzzzz", names, 3), -1);
}

static void test_write_file_is_atomic_and_says_why_not(void **state)
{
  (void)state;
  nsl_error err = NSL_ERROR_INIT;
  char dir[] = "/tmp/nsl_base_XXXXXX";
  assert_non_null(mkdtemp(dir));
  char *deep = nsl_path_join(dir, "a/b"), *path = nsl_path_join(deep, "f.txt"), *data;
  size_t n;
  assert_ok(nsl_mkdirs(deep, &test_err));
  assert_int_equal(nsl_write_file(path, "one", 3, &err), NSL_OK);
  assert_int_equal(nsl_write_file(path, "three", 5, &err), NSL_OK);
  assert_int_equal(nsl_append_line(path, "!", &err), NSL_OK);
  assert_int_equal(nsl_read_file(path, 100, &data, &n, &err), NSL_OK);
  assert_string_equal(data, "three!\n");
  free(data);
  assert_int_equal(nsl_read_file(path, 3, &data, &n, &err), NSL_E_FORMAT);
  assert_int_equal(nsl_read_file("/nowhere/x", 3, &data, &n, &err), NSL_E_NOTFOUND);
  assert_non_null(strstr(err.text, "/nowhere/x"));
  char **paths;
  char *pattern = nsl_path_join(deep, "*");
  assert_int_equal(nsl_glob(pattern, &paths, &n, &err), NSL_OK);
  assert_int_equal(n, 1);
  nsl_paths_free(paths, n);
  unlink(path);
  rmdir(deep);
  free(pattern);
  free(deep);
  free(path);
}

static void test_kv_access(void **state)
{
  (void)state;
  nsl_kv items[] = {{(char *)"d.0.id", (char *)"1", 1, 2, 0}, {(char *)"d.1.id", (char *)"x", 2, 2, 0}};
  nsl_kvlist list = {(char *)"f.yaml", items, 2};
  long v;
  nsl_error err = NSL_ERROR_INIT;
  assert_int_equal(nsl_kv_length(&list, "d"), 2);
  assert_int_equal(nsl_kv_i64(&list, &v, &err, "d.%d.id", 0), NSL_OK);
  assert_int_equal(nsl_kv_i64(&list, &v, &err, "d.%d.id", 1), NSL_E_CONFIG);
  assert_string_equal(err.text, "f.yaml:2:2: 'd.1.id' must be a whole number, not 'x'");
  assert_int_equal(nsl_kv_i64(&list, &v, &err, "d.%d.id", 2), NSL_E_CONFIG);
}

static void test_durations_in_words(void **state)
{
  (void)state;
  static const struct {
    double seconds;
    const char *text;
  } cases[] = {{-3, "0 s"},           {0, "0 s"},          {99.4, "99 s"},
               {100, "2 min"},        {5939, "99 min"},    {6000, "1 h 40 min"},
               {86399, "24 h 0 min"}, {172800, "2 d 0 h"}, {200000, "2 d 7 h"}};
  char text[32];
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nsl_duration_text(cases[i].seconds, text, sizeof text);
    assert_string_equal(text, cases[i].text);
  }
}

/* In a log: whole lines, none of them soon after another, with what the caller knows of the end. */
static void test_progress_in_a_log(void **state)
{
  (void)state;
  FILE *f = tmpfile();
  assert_non_null(f);
  char line[300], rest[8];
  const nsl_log log = {NSL_LOG_INFO, f, NULL, 3};
  nsl_progress p;
  nsl_progress_start(&p, &log, "tiles", 40);
  nsl_progress_update(&p, 1, "too soon to say");
  p.t_start_s -= 20;
  p.t_line_s -= 20;
  p.eta_s = 7000;
  nsl_progress_update(&p, 10, "2 failed");
  nsl_progress_update(&p, 11, "too soon again");
  rewind(f);
  assert_non_null(fgets(line, sizeof line, f));
  assert_string_equal(line, "[3] 10/40 tiles, 0.5/s, 1 h 57 min left, 2 failed\n");
  assert_null(fgets(rest, sizeof rest, f));
  fclose(f);
}

static void test_tally(void **state)
{
  (void)state;
  nsl_tally t = {.n = 0};
  char text[3] = "a0";
  for (int i = 0; i < 30; i++) {
    text[1] = (char)('0' + i % 10);
    nsl_tally_add(&t, text);
  }
  assert_int_equal(t.n, NSL_TALLY_TEXTS);
  assert_string_equal(t.items[3].text, "a3");
  assert_int_equal(t.items[3].count, 3);
  assert_int_equal(t.others, 3 * (10 - NSL_TALLY_TEXTS));
}

/* All of it can be written, it is aligned, and what cannot be had is NULL. */
static void test_large_memory(void **state)
{
  (void)state;
  static const size_t sizes[] = {0, 1, 63, 64, 1 << 20, (4 << 20) - 1, (4 << 20) + 1, 9 << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    unsigned char *p = nsl_alloc_large(sizes[i]);
    assert_non_null(p);
    assert_true((uintptr_t)p % 64 == 0);
    memset(p, 7, sizes[i]);
    free(p);
  }
  assert_null(nsl_alloc_large(SIZE_MAX));
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_error_context_is_prepended),
      cmocka_unit_test(test_hash_streams_and_hex),
      cmocka_unit_test(test_rng_streams_repeat_and_differ),
      cmocka_unit_test(test_rng_moments),
      cmocka_unit_test(test_numbers_refuse_rubbish),
      cmocka_unit_test(test_nearest_name),
      cmocka_unit_test(test_write_file_is_atomic_and_says_why_not),
      cmocka_unit_test(test_kv_access),
      cmocka_unit_test(test_durations_in_words),
      cmocka_unit_test(test_progress_in_a_log),
      cmocka_unit_test(test_tally),
      cmocka_unit_test(test_large_memory),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
