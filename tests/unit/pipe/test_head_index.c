/* The index of tile heads: it spares reading what has not changed, and never speaks for a file that has. */
#include "unit/test_support.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/pipe/head_index.h"
#include "unit/pipe/synthetic_rows.h"

enum { ORDER = 7, N = 3 };
#define SETTLE_S 0.02
static const nsl_pdf_grid grid = {50, 0.01, 0.02};
static const nsl_tile_id tiles[N] = {100, 101, 2000};
static double settle_s = SETTLE_S;
static char dir[] = "/tmp/nsl_heads_XXXXXX";
static char path[N][160], index_path[64];

static void write_tile(size_t i, size_t n_rows)
{
  nsl_rows rows;
  nsl_tile_head head = {.order = ORDER, .tile = tiles[i], .attempts = 1, .results_version = nsl_results_version};
  assert_true(synthetic_tile(&rows, &grid, ORDER, tiles[i], n_rows, 1000, 0));
  assert_ok(nsl_tile_write(path[i], &head, &rows, &test_err));
  nsl_rows_free(&rows);
}

static int make_dir(void **state)
{
  (void)state;
  if (!mkdtemp(dir)) { return -1; }
  snprintf(index_path, sizeof index_path, "%s/run", dir);
  if (mkdir(index_path, 0777)) { return -1; }
  snprintf(index_path, sizeof index_path, "%s/run/heads.index", dir);
  for (size_t i = 0; i < N; i++) {
    snprintf(path[i], sizeof path[i], "%s/%zu.h5", dir, i);
    write_tile(i, 10 + i);
  }
  nsl_clock_sleep_s(2 * SETTLE_S);
  return 0;
}

static int remove_dir(void **state)
{
  (void)state;
  char command[160];
  snprintf(command, sizeof command, "rm -r %s", dir);
  return system(command);
}

/* Looks at all and saves. The states found; returns how many heads came from their files. */
static size_t look(nsl_status found[N], nsl_tile_head heads[N])
{
  nsl_head_index *x = nsl_head_index_open(dir, tiles, N, settle_s);
  assert_non_null(x);
  for (size_t i = 0; i < N; i++) { found[i] = nsl_head_index_look(x, i, path[i], &heads[i], NULL); }
  size_t n = nsl_head_index_n_read(x);
  nsl_head_index_save(x);
  nsl_head_index_free(x);
  return n;
}

static void a_known_head_is_not_read_again(void **state)
{
  (void)state;
  nsl_status found[N];
  nsl_tile_head first[N], again[N];
  assert_int_equal(look(found, first), N);
  assert_int_equal(look(found, again), 0);
  for (size_t i = 0; i < N; i++) {
    assert_int_equal(found[i], NSL_OK);
    assert_int_equal(again[i].n_rows, 10 + i);
    assert_true(nsl_hash_equal(again[i].content_hash, first[i].content_hash));
  }
}

/* In place, with size and modification time as they were: only the time of the last change tells. */
static void a_damaged_head_is_seen(void **state)
{
  (void)state;
  struct stat s;
  nsl_status found[N];
  nsl_tile_head heads[N];
  look(found, heads);
  assert_int_equal(stat(path[1], &s), 0);
  int f = open(path[1], O_WRONLY);
  assert_int_equal(pwrite(f, "#", 1, s.st_size - 2000), 1);
  const struct timespec times[2] = {s.st_atim, s.st_mtim};
  assert_int_equal(futimens(f, times), 0);
  close(f);
  look(found, heads);
  assert_int_equal(found[0], NSL_OK);
  assert_int_equal(found[1], NSL_E_CORRUPT);
  look(found, heads); /* and not forgotten */
  assert_int_equal(found[1], NSL_E_CORRUPT);
  write_tile(1, 11);
}

static void a_replaced_a_shorter_and_a_missing_file_are_seen(void **state)
{
  (void)state;
  nsl_status found[N];
  nsl_tile_head heads[N];
  look(found, heads);
  write_tile(0, 25);
  assert_int_equal(truncate(path[1], 3000), 0);
  assert_int_equal(unlink(path[2]), 0);
  look(found, heads);
  assert_int_equal(found[0], NSL_OK);
  assert_int_equal(heads[0].n_rows, 25);
  assert_int_equal(found[1], NSL_E_CORRUPT);
  assert_int_equal(found[2], NSL_E_NOTFOUND);
  for (size_t i = 0; i < N; i++) { write_tile(i, 10 + i); }
}

/* Its times might not tell of the next change. */
static void a_file_that_has_just_changed_is_read_again(void **state)
{
  (void)state;
  nsl_status found[N];
  nsl_tile_head heads[N];
  nsl_clock_sleep_s(2 * SETTLE_S);
  look(found, heads);
  write_tile(0, 10);
  settle_s = 1000;
  assert_int_equal(look(found, heads), 1);
  assert_int_equal(look(found, heads), 1);
  settle_s = SETTLE_S;
  nsl_clock_sleep_s(2 * SETTLE_S);
  assert_int_equal(look(found, heads), 1);
  assert_int_equal(look(found, heads), 0);
}

static void a_damaged_index_is_not_believed(void **state)
{
  (void)state;
  nsl_status found[N];
  nsl_tile_head heads[N];
  nsl_clock_sleep_s(2 * SETTLE_S);
  look(found, heads);
  assert_int_equal(look(found, heads), 0);
  int f = open(index_path, O_WRONLY);
  assert_int_equal(pwrite(f, "#", 1, 300), 1);
  close(f);
  assert_int_equal(look(found, heads), N);
  assert_int_equal(look(found, heads), 0);
  assert_int_equal(truncate(index_path, 20), 0);
  assert_int_equal(look(found, heads), N);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_known_head_is_not_read_again),
      cmocka_unit_test(a_damaged_head_is_seen),
      cmocka_unit_test(a_replaced_a_shorter_and_a_missing_file_are_seen),
      cmocka_unit_test(a_file_that_has_just_changed_is_read_again),
      cmocka_unit_test(a_damaged_index_is_not_believed),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
