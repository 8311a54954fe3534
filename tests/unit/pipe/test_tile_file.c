/* Tile files: what goes in comes out, and whatever is done to the file is found and named. */
#include "unit/test_support.h"

#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/io/h5_chunk.h"
#include "noslit/pipe/tile_image.h"
#include "noslit/pipe/tile_run.h"
#include "pipe/tile_seal.h"
#include "unit/pipe/synthetic_rows.h"

enum { ORDER = 7, TILE = 123456, ROWS = 40 };
static const nsl_pdf_grid grid = {50, 0.01, 0.02};
static char dir[] = "/tmp/nsl_tile_XXXXXX", path[128], other[128];

static int make_dir(void **state)
{
  (void)state;
  if (!mkdtemp(dir)) { return -1; }
  snprintf(path, sizeof path, "%s/a.h5", dir);
  snprintf(other, sizeof other, "%s/b.h5", dir);
  return 0;
}

static int remove_dir(void **state)
{
  (void)state;
  char command[160];
  snprintf(command, sizeof command, "rm -r %s", dir);
  return system(command);
}

static nsl_tile_head a_head(void)
{
  nsl_tile_head h = {.order = ORDER, .tile = TILE, .seed = 5, .attempts = 2, .wall_s = 1.25, .bytes_read = 1234567890123};
  h.config_hash = nsl_hash_bytes("c", 1);
  h.model_hash = nsl_hash_bytes("m", 1);
  h.input_hash = nsl_hash_bytes("i", 1);
  h.results_version = nsl_results_version;
  h.ranks = 7;
  strcpy(h.code_version, "0.1.0");
  strcpy(h.libraries, "hdf5 1.10.8");
  strcpy(h.host, "node 7\nline");
  return h;
}

static void write_tile(size_t n, nsl_tile_head *head)
{
  nsl_rows rows;
  assert_true(synthetic_tile(&rows, &grid, ORDER, TILE, n, 1000, 0));
  *head = a_head();
  assert_ok(nsl_tile_write(path, head, &rows, &test_err));
  nsl_rows_free(&rows);
}

/* Fails, is called corrupt, and says which file and why. */
static void assert_corrupt(const char *file, const char *why)
{
  nsl_error err = NSL_ERROR_INIT;
  assert_int_equal(nsl_tile_verify(file, NULL, &err), NSL_E_CORRUPT);
  if (!strstr(err.text, file) || !strstr(err.text, why) || strchr(err.text, '\n')) { fail_msg("said: %s", err.text); }
}

static void test_round_trip(void **state)
{
  (void)state;
  nsl_tile_head head, back, quick;
  nsl_rows want, got;
  nsl_pdf_grid g;
  write_tile(ROWS, &head);
  assert_ok(nsl_tile_read(path, &back, &got, &test_err));
  assert_true(synthetic_tile(&want, &grid, ORDER, TILE, ROWS, 1000, 0));
  assert_int_equal(got.n, ROWS);
  for (int c = 0; c < nsl_n_row_columns; c++) {
    assert_memory_equal(nsl_rows_column(&got, c), nsl_rows_column(&want, c), ROWS * nsl_col_size(nsl_row_columns[c].type));
  }
  assert_memory_equal(got.pdf, want.pdf, ROWS * (size_t)grid.n * sizeof(float));
  assert_ok(nsl_tile_read_head(path, &quick, &g, &test_err));
  assert_memory_equal(&quick, &back, sizeof quick);
  assert_true(g.n == grid.n && g.u0 == grid.u0 && g.du == grid.du);
  assert_true(nsl_hash_equal(quick.content_hash, head.content_hash) && nsl_hash_equal(quick.model_hash, head.model_hash));
  assert_true(quick.n_rows == ROWS && quick.attempts == 2 && quick.wall_s == 1.25 && quick.bytes_read == 1234567890123);
  assert_string_equal(quick.host, "node 7");
  int64_t ids[ROWS];
  assert_ok(nsl_tile_read_ids(path, ROWS, ids, &test_err));
  assert_memory_equal(ids, want.object_id, sizeof ids);
  nsl_rows_free(&got);
  nsl_rows_free(&want);
}

static void test_no_rows(void **state)
{
  (void)state;
  nsl_tile_head head;
  nsl_rows got;
  write_tile(0, &head);
  assert_ok(nsl_tile_read(path, &head, &got, &test_err));
  assert_int_equal(got.n, 0);
  assert_int_equal(head.n_rows, 0);
  nsl_rows_free(&got);
}

/* What the merge copies, and what others read, for chunks that begin anywhere. */
static void test_image_has_the_rows(void **state)
{
  (void)state;
  enum { ELEMENTS = NSL_PDF_CHUNK_ROWS * 50 };
  float chunk[ELEMENTS];
  nsl_rows want;
  nsl_chunk_codec *codec = nsl_chunk_codec_new(ELEMENTS);
  nsl_tile_image image = NSL_TILE_IMAGE_EMPTY;
  assert_true(synthetic_tile(&want, &grid, ORDER, TILE, ROWS, 1000, 0));
  for (int64_t first_row = 0; first_row < 50; first_row += 7) {
    nsl_tile_head head = a_head();
    nsl_h5 *f;
    int rank;
    size_t dims[NSL_H5_MAX_RANK], phase = (size_t)first_row % NSL_PDF_CHUNK_ROWS;
    head.first_row = first_row;
    assert_ok(nsl_tile_write(path, &head, &want, &test_err));
    assert_ok(nsl_tile_verify(path, &head, &test_err));
    assert_int_equal(head.first_row, first_row);
    assert_ok(nsl_tile_image_load(&image, path, &test_err));
    assert_int_equal(image.phase, phase);
    assert_int_equal(image.n_chunks, (phase + ROWS + NSL_PDF_CHUNK_ROWS - 1) / NSL_PDF_CHUNK_ROWS);
    for (size_t row = 0; row < ROWS; row++) {
      size_t at = phase + row, k = at / NSL_PDF_CHUNK_ROWS, in = at % NSL_PDF_CHUNK_ROWS;
      assert_true(nsl_chunk_decode(codec, nsl_tile_image_chunk(&image, k), nsl_tile_image_chunk_bytes(&image, k), chunk));
      assert_memory_equal(chunk + in * 50, want.pdf + row * 50, 50 * sizeof *chunk);
    }
    assert_memory_equal(nsl_tile_image_column(&image, 1), want.ra, ROWS * sizeof *want.ra);
    assert_ok(nsl_h5_open(path, &f, &test_err));
    assert_ok(nsl_h5_dims(f, "/pdf", &rank, dims, &test_err));
    assert_int_equal(dims[0], phase + ROWS);
    assert_ok(nsl_h5_close(f, &test_err));
  }
  nsl_tile_image_free(&image);
  nsl_chunk_codec_free(codec);
  nsl_rows_free(&want);
}

static void patch(int64_t at, const void *bytes, size_t n)
{
  FILE *f = fopen(path, "r+b");
  assert_non_null(f);
  fseek(f, at, SEEK_SET);
  assert_int_equal(fwrite(bytes, 1, n, f), n);
  fclose(f);
}

/* A writer that sealed a wrong table or summary: HDF5 does not notice, verify does. */
static void test_wrong_places_are_found(void **state)
{
  (void)state;
  nsl_tile_head head;
  nsl_tile_seal seal;
  nsl_rows rows;
  nsl_tile_image image = NSL_TILE_IMAGE_EMPTY;
  write_tile(ROWS, &head);
  assert_ok(nsl_tile_image_load(&image, path, &test_err));
  assert_ok(nsl_tile_seal_read(path, &seal, &test_err));
  size_t table = nsl_tile_n_places(&head) * sizeof *image.places;
  int64_t(*places)[2] = malloc(table), one = 1, last = nsl_n_row_columns;
  const struct {
    int64_t entry, address, bytes;
    const char *why;
  } wrong[] = {{0, image.places[3][0], image.places[3][1], "is wrong for 'object_id'"},
               {0, image.places[0][0], 8, "table of places is wrong"},
               {2, seal.body_bytes - 8, image.places[2][1], "table of places is wrong"},
               {2, -4, image.places[2][1], "table of places is wrong"},
               {last + 1, image.places[last + 2][0], image.places[last + 2][1], "is wrong for the PDFs"}};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    memcpy(places, image.places, table);
    places[wrong[i].entry][0] = wrong[i].address;
    places[wrong[i].entry][1] = wrong[i].bytes;
    assert_int_equal(truncate(path, seal.body_bytes), 0);
    patch(seal.places_at, places, table);
    assert_ok(nsl_tile_seal_append(path, &seal, &test_err));
    assert_ok(nsl_tile_read(path, NULL, &rows, &test_err));
    nsl_rows_free(&rows);
    assert_corrupt(path, wrong[i].why);
  }
  assert_int_equal(truncate(path, seal.body_bytes), 0);
  patch(seal.places_at, image.places, table);
  patch(image.places[last][0], &one, sizeof one);
  assert_ok(nsl_tile_seal_append(path, &seal, &test_err));
  assert_corrupt(path, "summary is not that of its rows");
  assert_int_equal(truncate(path, seal.body_bytes), 0);
  seal.places_at = seal.body_bytes - 3;
  assert_ok(nsl_tile_seal_append(path, &seal, &test_err));
  assert_corrupt(path, "lies outside of it");
  nsl_tile_image_free(&image);
  free(places);
}

static void test_content_hash_is_of_the_rows(void **state)
{
  (void)state;
  nsl_rows rows;
  nsl_hash all, same, part, moved;
  assert_true(synthetic_tile(&rows, &grid, ORDER, TILE, ROWS, 1000, 0));
  assert_ok(nsl_tile_content_hash(ORDER, TILE, &rows, 0, ROWS, &all, &test_err));
  assert_ok(nsl_tile_content_hash(ORDER, TILE, &rows, 0, ROWS - 1, &part, &test_err));
  assert_false(nsl_hash_equal(all, part));
  for (int c = 0; c < nsl_n_row_columns; c++) { /* every column counts */
    char *last = (char *)nsl_rows_column(&rows, c) + (ROWS - 1) * nsl_col_size(nsl_row_columns[c].type);
    *last ^= 1;
    assert_ok(nsl_tile_content_hash(ORDER, TILE, &rows, 0, ROWS, &moved, &test_err));
    assert_false(nsl_hash_equal(all, moved));
    *last ^= 1;
  }
  assert_ok(nsl_tile_content_hash(ORDER, TILE, &rows, 0, ROWS, &same, &test_err));
  assert_true(nsl_hash_equal(all, same));
  nsl_rows_free(&rows);
}

static void test_cut_short_anywhere(void **state)
{
  (void)state;
  nsl_tile_head head;
  char *data;
  size_t n;
  write_tile(ROWS, &head);
  assert_ok(nsl_read_file(path, 1 << 24, &data, &n, &test_err));
  for (size_t keep = 0; keep < n; keep += keep < 4096 || keep + 4096 > n ? 97 : n / 23) {
    assert_ok(nsl_write_file(other, data, keep, &test_err));
    assert_corrupt(other, "cut short");
    assert_int_equal(nsl_tile_read_head(other, &head, NULL, &test_err), NSL_E_CORRUPT);
  }
  free(data);
}

static void test_every_flipped_bit_is_found(void **state)
{
  (void)state;
  nsl_tile_head head;
  char *data;
  size_t n;
  write_tile(4, &head);
  assert_ok(nsl_read_file(path, 1 << 24, &data, &n, &test_err));
  for (size_t at = 0; at < n; at += at + NSL_TILE_SEAL_BYTES >= n ? 13 : n / 101) {
    data[at] = (char)(data[at] ^ (1 << at % 8));
    assert_ok(nsl_write_file(other, data, n, &test_err));
    assert_corrupt(other, at + NSL_TILE_SEAL_BYTES >= n ? "seal" : "hash differs");
    data[at] = (char)(data[at] ^ (1 << at % 8));
  }
  free(data);
}

/* An HDF5 file sealed as it is, by a writer that did not do its work. */
static void test_sealed_but_not_complete(void **state)
{
  (void)state;
  nsl_h5 *f;
  nsl_tile_seal seal = {.head = a_head(), .grid = grid};
  assert_ok(nsl_h5_create(other, &f, &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "format", "noslit-tile", &test_err));
  assert_ok(nsl_tile_seal_attributes(&seal, f, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_tile_seal_append(other, &seal, &test_err));
  assert_corrupt(other, "is not complete");
}

static void test_rows_do_not_match_their_hash(void **state)
{
  (void)state;
  nsl_tile_head head;
  nsl_tile_seal seal;
  write_tile(ROWS, &head);
  assert_ok(nsl_tile_seal_read(path, &seal, &test_err));
  assert_int_equal(truncate(path, seal.body_bytes), 0);
  seal.head.content_hash.lo ^= 1;
  assert_ok(nsl_tile_seal_append(path, &seal, &test_err));
  assert_corrupt(path, "do not belong to its seal");
  assert_int_equal(truncate(path, seal.body_bytes), 0);
  seal.head.content_hash = head.content_hash;
  seal.head.n_rows = ROWS + 1;
  assert_ok(nsl_tile_seal_append(path, &seal, &test_err));
  assert_corrupt(path, "/rows/object_id cannot be read");
  assert_int_equal(truncate(path, seal.body_bytes), 0);
  seal.head.n_rows = ROWS;
  seal.head.tile++; /* the content hash covers the tile */
  assert_ok(nsl_tile_seal_append(path, &seal, &test_err));
  assert_corrupt(path, "content hash differs");
}

static void test_other_version(void **state)
{
  (void)state;
  nsl_tile_head head;
  char *data, hex[NSL_HASH_HEX];
  size_t n;
  write_tile(2, &head);
  assert_ok(nsl_read_file(path, 1 << 24, &data, &n, &test_err));
  char *block = data + n - NSL_TILE_SEAL_BYTES, *seal = strstr(block, "\nseal=") + 1;
  *strchr(block, '0' + NSL_TILE_VERSION) = '9';
  nsl_hash_to_hex(nsl_hash_bytes(block, (size_t)(seal - block)), hex);
  memcpy(seal + 5, hex, 32);
  /* Not damaged, but of another program: the tile is to be made again with `run --stale`. */
  const nsl_tile_expectation expects = {.workdir = dir, .order = ORDER};
  const nsl_plan_tile planned = {.tile = TILE, .n_sources = 2};
  nsl_tile_state is;
  char why[NSL_ERROR_TEXT_MAX], *at = nsl_tile_file_path(expects.workdir, ORDER, TILE), *folder = nsl_path_dir(at);
  assert_ok(nsl_mkdirs(folder, &test_err));
  assert_ok(nsl_write_file(at, data, n, &test_err));
  assert_int_equal(nsl_tile_verify(at, NULL, &test_err), NSL_E_MISMATCH);
  assert_non_null(strstr(test_err.text, "format version 9"));
  assert_ok(nsl_tile_check(&expects, &planned, 0, &head, &is, why, sizeof why, &test_err));
  assert_int_equal(is, NSL_TILE_STALE);
  assert_non_null(strstr(why, "format version 9; this program writes 5"));
  unlink(at);
  free(at);
  free(folder);
  free(data);
}

/* A program that makes other numbers makes other tiles: stale, with both programs named. */
static void test_other_results_version(void **state)
{
  (void)state;
  nsl_rows rows;
  nsl_tile_head head = a_head();
  nsl_tile_expectation expects = {.workdir = dir, .order = ORDER};
  const nsl_plan_tile planned = {.tile = TILE, .n_sources = 3, .input_hash = head.input_hash};
  char why[NSL_ERROR_TEXT_MAX], want[64], *at = nsl_tile_file_path(dir, ORDER, TILE);
  assert_true(synthetic_tile(&rows, &grid, ORDER, TILE, 3, 1000, 0));
  for (int off = -1; off <= 1; off++) {
    nsl_tile_state is;
    head.results_version = nsl_results_version + off;
    assert_ok(nsl_tile_write(at, &head, &rows, &test_err));
    assert_ok(nsl_tile_check(&expects, &planned, 1, &head, &is, why, sizeof why, &test_err));
    assert_int_equal(is, off ? NSL_TILE_STALE : NSL_TILE_DONE);
    snprintf(want, sizeof want, "noslit 0.1.0 (results %d, ", head.results_version);
    if (off && (!strstr(why, want) || !strstr(why, nsl_program_commit()))) { fail_msg("said: %s", why); }
  }
  unlink(at);
  free(at);
  nsl_rows_free(&rows);
}

static void test_foreign_and_missing_files(void **state)
{
  (void)state;
  char big[5000] = "SIMPLE  =                    T";
  assert_ok(nsl_write_file(other, big, sizeof big, &test_err));
  assert_corrupt(other, "no noslit tile file");
  assert_ok(nsl_write_file(other, "", 0, &test_err));
  assert_corrupt(other, "0 bytes");
  nsl_tile_head head;
  nsl_error err = NSL_ERROR_INIT;
  assert_int_equal(nsl_tile_read_head("/nowhere/x.h5", &head, NULL, &err), NSL_E_NOTFOUND);
  assert_non_null(strstr(err.text, "/nowhere/x.h5"));
}

static void test_rows_that_must_not_be_written(void **state)
{
  (void)state;
  nsl_rows rows;
  nsl_tile_head head = a_head();
  nsl_error err = NSL_ERROR_INIT;
  unlink(other);
  assert_true(synthetic_tile(&rows, &grid, ORDER, TILE, 5, 1000, 0));
  rows.object_id[3] = rows.object_id[2];
  assert_int_equal(nsl_tile_write(other, &head, &rows, &err), NSL_E_VALUE);
  assert_non_null(strstr(err.text, "source 1006 comes twice"));
  rows.object_id[3] = 1009;
  rows.tile[4]++;
  assert_int_equal(nsl_tile_write(other, &head, &rows, &err), NSL_E_BUG);
  nsl_rows_free(&rows);
  assert_false(nsl_file_exists(other));
}

static void test_unwritable_place_leaves_nothing(void **state)
{
  (void)state;
  nsl_rows rows;
  nsl_tile_head head = a_head();
  nsl_error err = NSL_ERROR_INIT;
  char below[160];
  snprintf(below, sizeof below, "%s/x/y.h5", other);
  assert_ok(nsl_write_file(other, "a file, not a folder", 4, &test_err));
  assert_true(synthetic_tile(&rows, &grid, ORDER, TILE, 5, 1000, 0));
  assert_int_equal(nsl_tile_write(below, &head, &rows, &err), NSL_E_UNWRITABLE);
  assert_non_null(strstr(err.text, other));
  nsl_rows_free(&rows);
}

static void test_path(void **state)
{
  (void)state;
  char *p = nsl_tile_file_path("/w", 7, 123456);
  assert_string_equal(p, "/w/tiles/Norder=7/Dir=120000/Npix=123456.h5");
  free(p);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_no_rows),
      cmocka_unit_test(test_image_has_the_rows),
      cmocka_unit_test(test_wrong_places_are_found),
      cmocka_unit_test(test_content_hash_is_of_the_rows),
      cmocka_unit_test(test_cut_short_anywhere),
      cmocka_unit_test(test_every_flipped_bit_is_found),
      cmocka_unit_test(test_sealed_but_not_complete),
      cmocka_unit_test(test_rows_do_not_match_their_hash),
      cmocka_unit_test(test_other_version),
      cmocka_unit_test(test_other_results_version),
      cmocka_unit_test(test_foreign_and_missing_files),
      cmocka_unit_test(test_rows_that_must_not_be_written),
      cmocka_unit_test(test_unwritable_place_leaves_nothing),
      cmocka_unit_test(test_path),
  };
  return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
