/* The merge at any number of ranks: every row where it belongs, whatever the tiles; and each thing that is wrong is named. */
#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/par/mpi_env.h"
#include "par/merge_internal.h"
#include "unit/pipe/synthetic_rows.h"

#define CHECK(condition)                                                                                             \
  do {                                                                                                               \
    if (!(condition)) {                                                                                              \
      fprintf(stderr, "[%d] %s:%d: not true: %s; last error: %s\n", rank, __FILE__, __LINE__, #condition, err.text); \
      MPI_Abort(MPI_COMM_WORLD, 1);                                                                                  \
    }                                                                                                                \
  } while (0)

enum { ORDER = 9 };
static int rank;
static nsl_error err;
static char dir[256], catalogue[300];
static const char *fits = "";
static const nsl_pdf_grid grid = {12, 0.01, 0.08};

/* variant -1: there is no such file. */
typedef struct {
  nsl_tile_id tile;
  size_t rows;
  int64_t first_id;
  int variant;
} tile_spec;

static const tile_spec many[] = {{10, 130, 1000, 0},  {11, 0, 0, 0},        {12, 1, 5000, 0},      {400, 63, 9000, 0},
                                 {401, 64, 20000, 0}, {402, 65, 30001, 0},  {2000, 500, 40000, 0}, {2001, 0, 0, 0},
                                 {3000, 7, 90002, 0}, {3001, 300, 70001, 0}};
enum { N_MANY = sizeof many / sizeof *many };

static nsl_hash hash_of(const char *text) { return nsl_hash_bytes(text, strlen(text)); }

/* Where a tile is planned to begin: where the rows before it end, plus this. */
static int64_t shift;

/* Rank 0 does it, all wait. */
static void write_tiles(const tile_spec *spec, size_t n)
{
  int64_t first_row = shift;
  for (size_t i = 0; i < n && !rank; first_row += (int64_t)spec[i++].rows) {
    if (spec[i].variant < 0) { continue; }
    nsl_rows rows;
    nsl_tile_head head = {
        .order = ORDER, .tile = spec[i].tile, .first_row = first_row, .attempts = 1, .results_version = nsl_results_version};
    head.config_hash = hash_of("config");
    head.model_hash = hash_of("model");
    CHECK(synthetic_tile(&rows, &grid, ORDER, spec[i].tile, spec[i].rows, spec[i].first_id, spec[i].variant));
    char *path = nsl_tile_file_path(dir, ORDER, spec[i].tile);
    CHECK(nsl_tile_write(path, &head, &rows, &err) == NSL_OK);
    free(path);
    nsl_rows_free(&rows);
  }
  nsl_mpi_barrier();
}

static void remove_files(void)
{
  char command[300];
  snprintf(command, sizeof command, "rm -rf %s/*", dir);
  nsl_mpi_barrier();
  if (!rank) { CHECK(system(command) == 0); }
  nsl_mpi_barrier();
}

/* Blocks of 64 rows, so that every rank has some; block 0: the usual ones. */
static nsl_status merge(const tile_spec *spec, size_t n, int partial, int64_t block, nsl_merge_summary *summary)
{
  nsl_tile_id *tiles = malloc((n + 1) * sizeof *tiles);
  for (size_t i = 0; i < n; i++) { tiles[i] = spec[i].tile; }
  nsl_merge_job job = {.workdir = dir,
                       .catalogue = catalogue,
                       .fits = fits,
                       .survey = "test",
                       .config_text = "survey.name: test\n",
                       .selection = "",
                       .order = ORDER,
                       .n_tiles = n,
                       .tiles = tiles,
                       .config_hash = hash_of("config"),
                       .seed = 3,
                       .partial = partial,
                       .block_rows = block,
                       .max_ids = 100};
  err = (nsl_error)NSL_ERROR_INIT;
  nsl_status st = nsl_merge_tiles(&job, NULL, summary, &err);
  free(tiles);
  return st;
}

/* The catalogue must hold the specified rows in the specified order, and verify. */
static void check_catalogue(const tile_spec *spec, size_t n)
{
  nsl_catalogue *c;
  nsl_rows got, want;
  int64_t at = 0;
  CHECK(nsl_catalogue_open(catalogue, &c, &err) == NSL_OK);
  for (size_t i = 0; i < n; i++) {
    if (spec[i].variant < 0) { continue; }
    CHECK(synthetic_tile(&want, nsl_catalogue_grid(c), ORDER, spec[i].tile, spec[i].rows, spec[i].first_id, spec[i].variant));
    CHECK(nsl_catalogue_read(c, at, (int64_t)spec[i].rows, 1, &got, &err) == NSL_OK);
    for (int k = 0; k < nsl_n_row_columns; k++) {
      CHECK(memcmp(nsl_rows_column(&got, k), nsl_rows_column(&want, k), want.n * nsl_col_size(nsl_row_columns[k].type)) == 0);
    }
    CHECK(memcmp(got.pdf, want.pdf, want.n * (size_t)want.grid.n * sizeof(float)) == 0);
    at += (int64_t)spec[i].rows;
    nsl_rows_free(&got);
    nsl_rows_free(&want);
  }
  CHECK(nsl_catalogue_rows(c) == at);
  nsl_catalogue_close(c);
  nsl_catalogue_report report;
  CHECK(nsl_catalogue_verify(catalogue, &report, &err) == NSL_OK);
  if (report.n_problems) { fprintf(stderr, "%s", report.problems.text); }
  CHECK(report.n_problems == 0 && report.has_index && report.rows_read == at);
  nsl_catalogue_report_free(&report);
  char *partial = nsl_strf("%s.partial", catalogue);
  CHECK(!nsl_file_exists(partial));
  free(partial);
}

static void test_rows_stand_where_they_belong(void)
{
  nsl_merge_summary s;
  write_tiles(many, N_MANY);
  CHECK(merge(many, N_MANY, 0, 64, &s) == NSL_OK);
  CHECK(s.tiles == N_MANY && s.tiles_missing == 0 && s.rows == 1130 && s.duplicates == 0 && s.bytes > 0);
  check_catalogue(many, N_MANY);
  /* After one tile was redone, its rows change and no others. */
  tile_spec redone[N_MANY];
  memcpy(redone, many, sizeof many);
  redone[4].variant = 1;
  write_tiles(&redone[4], 1);
  CHECK(merge(redone, N_MANY, 0, 64, &s) == NSL_OK);
  check_catalogue(redone, N_MANY);
  remove_files();
}

/* All that stands in the chunks, compressed as it is. */
static nsl_hash hash_of_chunks(void)
{
  nsl_h5 *f;
  static unsigned char bytes[1 << 16];
  nsl_hasher *h = nsl_hasher_new();
  CHECK(nsl_h5_open(catalogue, &f, &err) == NSL_OK);
  for (size_t row = 0; row < 1130; row += NSL_PDF_CHUNK_ROWS) {
    size_t n;
    CHECK(nsl_h5_get_chunk(f, "/data/pdfs", row, bytes, sizeof bytes, &n, &err) == NSL_OK);
    nsl_hasher_add(h, bytes, n);
  }
  nsl_h5_close(f, NULL);
  nsl_hash all = nsl_hasher_value(h);
  nsl_hasher_free(h);
  return all;
}

/* Tiles whose chunks begin where the catalogue's do are copied, all but the chunks that join tiles (7 borders); others are made
 * anew. The bytes are the same, whatever the plan was when the tiles were made. */
static void test_chunks_are_copied_or_made_the_same(void)
{
  nsl_merge_summary s;
  nsl_hash want;
  for (int i = 0; i < 3; i++) {
    static const int64_t shifts[] = {0, 160000, 7};
    shift = shifts[i];
    write_tiles(many, N_MANY);
    CHECK(merge(many, N_MANY, 0, 64, &s) == NSL_OK);
    check_catalogue(many, N_MANY);
    CHECK(s.chunks == 71);
    CHECK(i == 2 ? s.chunks_made == 71 : s.chunks_made > 0 && s.chunks_made <= 7);
    if (!i) { want = hash_of_chunks(); }
    CHECK(nsl_hash_equal(hash_of_chunks(), want));
    remove_files();
  }
  shift = 0;
}

/* Without a tile in the middle the chunks behind it begin elsewhere; afterwards everything is as if it had never been missing. */
static void test_a_missing_tile_leaves_no_trace(void)
{
  nsl_merge_summary s;
  tile_spec spec[N_MANY];
  memcpy(spec, many, sizeof many);
  write_tiles(spec, N_MANY);
  CHECK(merge(spec, N_MANY, 0, 64, &s) == NSL_OK);
  nsl_hash want = hash_of_chunks();
  char *path = nsl_tile_file_path(dir, ORDER, 400);
  if (!rank) { CHECK(unlink(path) == 0); }
  free(path);
  nsl_mpi_barrier();
  CHECK(merge(spec, N_MANY, 1, 64, &s) == NSL_OK);
  CHECK(s.chunks_made > 50);
  spec[3].variant = -1;
  check_catalogue(spec, N_MANY);
  write_tiles(many, N_MANY);
  CHECK(merge(many, N_MANY, 0, 1, &s) == NSL_OK);
  CHECK(s.chunks_made <= 7 && nsl_hash_equal(hash_of_chunks(), want));
  check_catalogue(many, N_MANY);
  remove_files();
}

static void test_hardly_any_rows(void)
{
  nsl_merge_summary s;
  const tile_spec one[] = {{77, 3, 10, 0}}, empty[] = {{5, 0, 0, 0}, {6, 0, 0, 0}};
  CHECK(merge(NULL, 0, 0, 64, &s) == NSL_OK);
  CHECK(s.tiles == 0 && s.rows == 0);
  check_catalogue(NULL, 0);
  write_tiles(one, 1);
  CHECK(merge(one, 1, 0, 64, &s) == NSL_OK);
  check_catalogue(one, 1);
  write_tiles(empty, 2);
  CHECK(merge(empty, 2, 0, 64, &s) == NSL_OK);
  CHECK(s.tiles == 2 && s.rows == 0);
  check_catalogue(empty, 2);
  remove_files();
}

static void test_usual_chunks(void)
{
  nsl_merge_summary s;
  const tile_spec big[] = {{8, 9000, 1, 0}, {9, 12000, 100000, 0}};
  write_tiles(big, 2);
  CHECK(merge(big, 2, 0, 0, &s) == NSL_OK);
  check_catalogue(big, 2);
  remove_files();
}

static void make_by_another_model(nsl_tile_id tile)
{
  nsl_tile_head head;
  nsl_rows rows;
  char *path = nsl_tile_file_path(dir, ORDER, tile);
  CHECK(nsl_tile_read(path, &head, &rows, &err) == NSL_OK);
  head.model_hash = hash_of("another model");
  CHECK(nsl_tile_write(path, &head, &rows, &err) == NSL_OK);
  nsl_rows_free(&rows);
  free(path);
}

static void test_missing_corrupt_and_stale_are_named(void)
{
  nsl_merge_summary s;
  tile_spec spec[N_MANY];
  memcpy(spec, many, sizeof many);
  spec[3].variant = -1;
  write_tiles(spec, N_MANY);
  if (!rank) {
    char *path = nsl_tile_file_path(dir, ORDER, 402);
    CHECK(truncate(path, 3000) == 0);
    free(path);
    make_by_another_model(3001);
  }
  nsl_mpi_barrier();
  CHECK(merge(spec, N_MANY, 0, 64, &s) == NSL_E_MISMATCH);
  CHECK(strstr(err.text, "1 missing (400)") && strstr(err.text, "1 corrupt (402: "));
  CHECK(strstr(err.text, "1 stale (3001: made by another model") && strstr(err.text, "--partial"));
  CHECK(!nsl_file_exists(catalogue));
  CHECK(merge(spec, N_MANY, 1, 64, &s) == NSL_OK);
  CHECK(s.tiles == N_MANY - 3 && s.tiles_missing == 3);
  spec[5].variant = spec[9].variant = -1;
  check_catalogue(spec, N_MANY);
  remove_files();
}

static void test_damage_found_while_merging(void)
{
  nsl_merge_summary s;
  write_tiles(many, N_MANY);
  if (!rank) { /* the seal is whole, a byte before it is not */
    char *path = nsl_tile_file_path(dir, ORDER, 2000), *data;
    size_t n;
    CHECK(nsl_read_file(path, 1 << 24, &data, &n, &err) == NSL_OK);
    data[n / 2] = (char)(data[n / 2] ^ 4);
    CHECK(nsl_write_file(path, data, n, &err) == NSL_OK);
    free(data);
    free(path);
  }
  nsl_mpi_barrier();
  CHECK(merge(many, N_MANY, 0, 64, &s) == NSL_E_CORRUPT);
  CHECK(strstr(err.text, "Npix=2000.h5") != NULL);
  CHECK(!nsl_file_exists(catalogue));
  remove_files();
}

static void test_duplicates_are_named(void)
{
  nsl_merge_summary s;
  tile_spec spec[N_MANY];
  memcpy(spec, many, sizeof many);
  spec[8].first_id = 40000 + 3 * 450; /* 7 rows whose ids tile 2000 has too */
  write_tiles(spec, N_MANY);
  CHECK(merge(spec, N_MANY, 0, 64, &s) == NSL_E_VALUE);
  CHECK(strstr(err.text, "source 41350 stands in tiles 2000 and 3000 (7 identifiers") != NULL);
  CHECK(s.duplicates == 7 && !nsl_file_exists(catalogue));
  remove_files();
}

/* A limit on the size of files stands in for a full disk. */
static void test_no_space_is_said_before_writing(void)
{
  nsl_merge_summary s;
  struct rlimit usual, tight;
  write_tiles(many, N_MANY);
  getrlimit(RLIMIT_FSIZE, &usual);
  tight = usual;
  tight.rlim_cur = 1 << 19;
  signal(SIGXFSZ, SIG_IGN);
  if (!rank) { setrlimit(RLIMIT_FSIZE, &tight); }
  CHECK(merge(many, N_MANY, 0, 64, &s) == NSL_E_IO);
  CHECK(strstr(err.text, catalogue) && strstr(err.text, "the catalogue needs about"));
  if (!rank) { setrlimit(RLIMIT_FSIZE, &usual); }
  CHECK(!nsl_file_exists(catalogue));
  remove_files();
}

/* The disk of one rank is full while it writes: all say so, and nothing is left. */
static void test_a_failed_write_is_found(void)
{
  nsl_merge_summary s;
  struct rlimit usual, tight;
  int size;
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  write_tiles(many, N_MANY);
  getrlimit(RLIMIT_FSIZE, &usual);
  tight = usual;
  tight.rlim_cur = 60000;
  signal(SIGXFSZ, SIG_IGN);
  if (size > 1 && rank == size - 1) { setrlimit(RLIMIT_FSIZE, &tight); } /* rank 0 would ask for the space before */
  CHECK(merge(many, N_MANY, 0, 64, &s) == (size > 1 ? NSL_E_IO : NSL_OK));
  CHECK(size == 1 || strstr(err.text, "catalogue.hdf5.partial: cannot write"));
  if (size > 1 && rank == size - 1) { setrlimit(RLIMIT_FSIZE, &usual); }
  CHECK(nsl_file_exists(catalogue) == (size == 1));
  remove_files();
}

/* For tests/formats: leaves a small catalogue of `many` as <folder>/<name>.hdf5, its FITS export and its tile files. Variant 1 has
 * other values in tile 401; variant 2 has the sources of tile 400 in tile 405, tile 3002 anew, and not tile 3001. */
static void keep(const char *folder, const char *name, int variant)
{
  nsl_merge_summary s;
  char path[300];
  tile_spec spec[N_MANY];
  memcpy(spec, many, sizeof many);
  if (variant == 1) { spec[4].variant = 1; }
  if (variant == 2) {
    spec[3] = spec[4];
    spec[4] = spec[5];
    spec[5] = (tile_spec){405, 63, 9000, 0};
    spec[9] = (tile_spec){3002, 5, 99000, 0};
  }
  snprintf(dir, sizeof dir, "%s", folder);
  snprintf(catalogue, sizeof catalogue, "%s/%s.hdf5", folder, name);
  snprintf(path, sizeof path, "%s/%s.fits", folder, name);
  fits = path;
  write_tiles(spec, N_MANY);
  CHECK(merge(spec, N_MANY, 0, 64, &s) == NSL_OK);
}

int main(int argc, char **argv)
{
  nsl_mpi mpi = nsl_mpi_start(&argc, &argv);
  rank = mpi.rank;
  if (argc == 4) {
    keep(argv[1], argv[2], atoi(argv[3]));
    nsl_mpi_end(0, 0);
    return 0;
  }
  strcpy(dir, "/tmp/nsl_merge_XXXXXX");
  if (!rank) { CHECK(mkdtemp(dir)); }
  MPI_Bcast(dir, sizeof dir, MPI_CHAR, 0, MPI_COMM_WORLD);
  snprintf(catalogue, sizeof catalogue, "%s/out/catalogue.hdf5", dir);
  test_rows_stand_where_they_belong();
  test_chunks_are_copied_or_made_the_same();
  test_a_missing_tile_leaves_no_trace();
  test_hardly_any_rows();
  test_usual_chunks();
  test_missing_corrupt_and_stale_are_named();
  test_damage_found_while_merging();
  test_duplicates_are_named();
  test_no_space_is_said_before_writing();
  test_a_failed_write_is_found();
  if (!rank) { rmdir(dir); }
  nsl_mpi_end(0, 0);
  return 0;
}
