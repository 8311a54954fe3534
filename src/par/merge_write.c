/* Writes the catalogue: fixed extents, every rank its own whole chunks, one collective call per dataset and round. What stands in
 * a dataset depends on the tiles alone; chunk sizes do not depend on the number of ranks. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/par/mpi_env.h"
#include "noslit/pipe/made_by.h"
#include "noslit/pipe/rows_h5.h"
#include "noslit_version.h"
#include "par/h5_parallel.h"
#include "par/merge_internal.h"

#define COLUMN_CHUNK_ROWS 8192
#define PDF_CHUNK_BYTES (1 << 20)

typedef struct {
  size_t column_rows, pdf_rows;
} chunking;

/* A power of two of PDF rows, about a megabyte, so that a column chunk is a whole number of PDF chunks. */
static chunking choose_chunks(const nsl_merge_job *job, const nsl_pdf_grid *grid)
{
  chunking c = {job->column_chunk_rows ? job->column_chunk_rows : COLUMN_CHUNK_ROWS, job->pdf_chunk_rows};
  if (!c.pdf_rows) {
    c.pdf_rows = 1;
    while (c.pdf_rows * 2 <= c.column_rows && c.pdf_rows * 2 * (size_t)grid->n * sizeof(float) <= PDF_CHUNK_BYTES) {
      c.pdf_rows *= 2;
    }
  }
  return c;
}

/* --- structure and provenance: the same calls with the same values on every rank --- */

static nsl_status put_hash(nsl_h5p *f, const char *key, nsl_hash h, nsl_error *err)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  return nsl_h5p_put_text(f, "/", key, hex, err);
}

static nsl_status put_provenance(nsl_h5p *f, const nsl_merge_job *job, const nsl_merge_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int size, length = 0;
  char now[32], host[MPI_MAX_PROCESSOR_NAME + 1] = "", libraries[NSL_LIBRARIES_MAX];
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Get_processor_name(host, &length);
  nsl_clock_utc(now);
  snprintf(libraries, sizeof libraries, "%s", nsl_libraries());
  MPI_Bcast(now, sizeof now, MPI_CHAR, 0, MPI_COMM_WORLD);
  MPI_Bcast(host, sizeof host, MPI_CHAR, 0, MPI_COMM_WORLD);
  MPI_Bcast(libraries, sizeof libraries, MPI_CHAR, 0, MPI_COMM_WORLD);
  NSL_TRY(nsl_h5p_put_text(f, "/", "format", NSL_CATALOGUE_FORMAT, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "version", NSL_CATALOGUE_VERSION, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "survey", job->survey, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "order", job->order, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "n_rows", set->n_rows, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "n_tiles", (int64_t)set->n, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "n_tiles_left_out", (int64_t)set->n_left_out, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "selection", job->selection, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "pdf_n", set->grid.n, err));
  NSL_TRY(nsl_h5p_put_f64(f, "/", "pdf_u0", set->grid.u0, err));
  NSL_TRY(nsl_h5p_put_f64(f, "/", "pdf_du", set->grid.du, err));
  NSL_TRY(put_hash(f, "content_hash", set->content_hash, err));
  NSL_TRY(put_hash(f, "config_hash", job->config_hash, err));
  NSL_TRY(put_hash(f, "model_hash", set->model_hash, err));
  NSL_TRY(put_hash(f, "instrument_hash", set->instrument_hash, err));
  NSL_TRY(put_hash(f, "plan_hash", job->plan_hash, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "seed", job->seed, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "config", job->config_text, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "merge_version", NOSLIT_VERSION, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "merge_commit", NOSLIT_COMMIT, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "results_version", nsl_results_version, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "merge_libraries", libraries, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "merge_date", now, err));
  NSL_TRY(nsl_h5p_put_text(f, "/", "merge_host", host, err));
  NSL_TRY(nsl_h5p_put_i64(f, "/", "merge_ranks", size, err));
cleanup:
  return st;
}

static nsl_status put_meta(nsl_h5p *f, const nsl_pdf_grid *grid, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t version = 0;
  size_t one = 1, shape[2] = {1, (size_t)grid->n + 1};
  double *edges = malloc(shape[1] * sizeof *edges);
  if (!edges) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %d bin edges", grid->n); }
  for (int i = 0; i <= grid->n; i++) { edges[i] = nsl_pdf_edge_z(grid, i); }
  NSL_TRY(nsl_h5p_group(f, "/meta", err));
  NSL_TRY(nsl_h5p_write_fixed_text(f, "/meta/pdf_name", 1, strlen("hist"), "hist", err));
  NSL_TRY(nsl_h5p_write(f, "/meta/pdf_version", NSL_H5_I64, 1, &one, &version, err));
  NSL_TRY(nsl_h5p_write(f, "/meta/bins", NSL_H5_F64, 2, shape, edges, err));
cleanup:
  free(edges);
  return st;
}

static nsl_status create_datasets(nsl_h5p *f, const nsl_merge_job *job, const nsl_merge_set *set, chunking chunks, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)set->n_rows, shape[2] = {n, (size_t)set->grid.n};
  char name[80];
  NSL_TRY(nsl_h5p_group(f, "/ancil", err));
  NSL_TRY(nsl_h5p_group(f, "/data", err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    snprintf(name, sizeof name, "/ancil/%s", info->name);
    NSL_TRY(nsl_h5p_create_rows(f, name, nsl_col_h5_type(info->type), 1, &n, chunks.column_rows, job->deflate, err));
    NSL_TRY(nsl_h5p_put_text(f, name, "unit", info->unit, err));
    NSL_TRY(nsl_h5p_put_text(f, name, "ucd", info->ucd, err));
    NSL_TRY(nsl_h5p_put_text(f, name, "description", info->description, err));
  }
  NSL_TRY(nsl_h5p_create_rows(f, "/data/pdfs", NSL_H5_F32, 2, shape, chunks.pdf_rows, job->deflate, err));
  NSL_TRY(nsl_h5p_put_text(f, "/data/pdfs", "description",
                           "probability density per unit redshift in each bin of meta/bins (uniform in ln(1+z)); zero for no_pdf",
                           err));
cleanup:
  return st;
}

/* --- rows --- */

/* The tile file that was read last. */
typedef struct {
  size_t index;
  int loaded;
  nsl_rows rows;
} open_tile;

static nsl_status load_tile(const nsl_merge_job *job, const nsl_merge_set *set, size_t index, open_tile *t, nsl_error *err)
{
  if (t->loaded && t->index == index) { return NSL_OK; }
  nsl_status st = NSL_OK;
  nsl_tile_head head;
  char *path = nsl_tile_file_path(job->workdir, job->order, set->tiles[index].tile);
  if (t->loaded) { nsl_rows_free(&t->rows); }
  t->loaded = 0;
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_tile_read(path, &head, &t->rows, err));
  t->loaded = 1;
  t->index = index;
  if (!nsl_hash_equal(head.content_hash, set->tiles[index].content_hash)) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: was written anew while it was being merged; merge again when the run is over", path);
  }
cleanup:
  free(path);
  return st;
}

static void copy_rows(nsl_rows *to, size_t at, const nsl_rows *from, size_t first, size_t n)
{
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t size = nsl_col_size(nsl_row_columns[c].type);
    memcpy((char *)nsl_rows_column(to, c) + at * size, (const char *)nsl_rows_column(from, c) + first * size, n * size);
  }
  size_t bins = (size_t)to->grid.n;
  memcpy(to->pdf + at * bins, from->pdf + first * bins, n * bins * sizeof(float));
}

/* Rows [first, first + n) of the catalogue from the tile files. */
static nsl_status fill_block(const nsl_merge_job *job, const nsl_merge_set *set, int64_t first, int64_t n, open_tile *t,
                             nsl_rows *block, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t index = nsl_merge_tile_of_row(set, first);
  for (int64_t done = 0; done < n; index++) {
    const nsl_catalogue_tile *tile = &set->tiles[index];
    if (!tile->n_rows) { continue; }
    NSL_TRY(load_tile(job, set, index, t, err));
    int64_t skip = first + done - tile->first_row, take = tile->n_rows - skip;
    if (take > n - done) { take = n - done; }
    copy_rows(block, (size_t)done, &t->rows, (size_t)skip, (size_t)take);
    done += take;
  }
cleanup:
  return st;
}

/* Every dataset is written even after a failure: the other ranks are in the same calls. The first error is kept. */
static nsl_status write_block(nsl_h5p *f, const nsl_rows *block, int64_t first, int64_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char name[80];
  for (int c = 0; c <= nsl_n_row_columns; c++) {
    nsl_error why = NSL_ERROR_INIT;
    nsl_status one;
    if (c < nsl_n_row_columns) {
      snprintf(name, sizeof name, "/ancil/%s", nsl_row_columns[c].name);
      one = nsl_h5p_write_rows(f, name, nsl_col_h5_type(nsl_row_columns[c].type), (size_t)first, (size_t)n,
                               nsl_rows_column(block, c), &why);
    } else {
      one = nsl_h5p_write_rows(f, "/data/pdfs", NSL_H5_F32, (size_t)first, (size_t)n, block->pdf, &why);
    }
    if (one != NSL_OK && st == NSL_OK) { st = nsl_fail(err, one, "%s", why.text); }
  }
  return st;
}

static nsl_status write_rows(nsl_h5p *f, const nsl_merge_job *job, const nsl_merge_set *set, chunking chunks, const nsl_log *log,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int64_t unit = (int64_t)chunks.column_rows, units = (set->n_rows + unit - 1) / unit;
  int64_t next = units * rank / size, end = units * (rank + 1) / size, rounds = 0;
  for (int r = 0; r < size; r++) {
    int64_t share = units * (r + 1) / size - units * r / size;
    rounds = share > rounds ? share : rounds;
  }
  nsl_rows block = {0};
  open_tile tile = {0};
  nsl_progress progress;
  nsl_progress_start(&progress, rank ? NULL : log, "rows", (long)set->n_rows);
  size_t block_rows = unit < set->n_rows ? (size_t)unit : (size_t)set->n_rows;
  if (rounds && !nsl_rows_alloc(&block, block_rows, &set->grid)) {
    st = nsl_fail(err, NSL_E_NOMEM, "no memory for a block of %zu rows", block_rows);
  }
  NSL_TRY(nsl_mpi_agree(st, err));
  for (int64_t round = 0; round < rounds; round++) {
    int64_t first = next < end ? next * unit : 0, n = 0;
    if (next < end) {
      n = set->n_rows - first < unit ? set->n_rows - first : unit;
      st = fill_block(job, set, first, n, &tile, &block, err);
      next++;
    }
    NSL_TRY(nsl_mpi_agree(st, err));
    st = write_block(f, &block, first, n, err);
    NSL_TRY(nsl_mpi_agree(st, err));
    long done = (long)((round + 1) * unit * size);
    nsl_progress_update(&progress, done < set->n_rows ? done : (long)set->n_rows, NULL);
  }
  nsl_progress_end(&progress, (long)set->n_rows, NULL);
cleanup:
  nsl_rows_free(&block);
  if (tile.loaded) { nsl_rows_free(&tile.rows); }
  return st;
}

nsl_status nsl_merge_write(const nsl_merge_job *job, const nsl_merge_set *set, const char *path, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5p *f = NULL;
  chunking chunks = choose_chunks(job, &set->grid);
  st = nsl_h5p_create(path, &f, err);
  NSL_TRY(nsl_mpi_agree(st, err));
  if ((st = put_provenance(f, job, set, err)) == NSL_OK && (st = put_meta(f, &set->grid, err)) == NSL_OK) {
    st = create_datasets(f, job, set, chunks, err);
  }
  NSL_TRY(nsl_mpi_agree(st, err));
  NSL_TRY(write_rows(f, job, set, chunks, log, err));
  st = nsl_h5p_put_i64(f, "/", "complete", 1, err);
  NSL_TRY(nsl_mpi_agree(st, err));
  nsl_h5p *closing = f;
  f = NULL;
  st = nsl_h5p_close(closing, err);
  NSL_TRY(nsl_mpi_agree(st, err));
cleanup:
  nsl_h5p_close(f, NULL);
  return st;
}
