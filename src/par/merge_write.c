/* Writes the catalogue. Rank 0 alone speaks to HDF5: it makes the structure, and has HDF5 allot the places of columns and chunks
 * without writing them. Every rank writes the bytes of its blocks to these places itself. Chunks are allotted in the order of their
 * rows, so the file is the same for any number of ranks. docs/architecture.md says why it is not H5Dwrite that writes. */
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/par/mpi_env.h"
#include "noslit/pipe/made_by.h"
#include "noslit/pipe/rows_h5.h"
#include "noslit_version.h"
#include "par/merge_internal.h"

#define USUAL_BLOCK_ROWS 16384
#define PDFS "/data/pdfs"

/* --- rank 0: structure and provenance --- */

static nsl_status put_hash(nsl_h5 *f, const char *key, nsl_hash h, nsl_error *err)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  return nsl_h5_put_string(f, "/", key, hex, err);
}

static nsl_status put_provenance(nsl_h5 *f, const nsl_merge_job *job, const nsl_merge_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int size, length = 0;
  char now[32], host[MPI_MAX_PROCESSOR_NAME + 1] = "";
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  MPI_Get_processor_name(host, &length);
  nsl_clock_utc(now);
  NSL_TRY(nsl_h5_put_string(f, "/", "format", NSL_CATALOGUE_FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_CATALOGUE_VERSION, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "survey", job->survey, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "order", job->order, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_rows", set->n_rows, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_tiles", (int64_t)set->n, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_tiles_left_out", (int64_t)set->n_left_out, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "selection", job->selection, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "pdf_n", set->grid.n, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "pdf_u0", set->grid.u0, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "pdf_du", set->grid.du, err));
  NSL_TRY(put_hash(f, "content_hash", set->content_hash, err));
  NSL_TRY(put_hash(f, "config_hash", job->config_hash, err));
  NSL_TRY(put_hash(f, "model_hash", set->model_hash, err));
  NSL_TRY(put_hash(f, "instrument_hash", set->instrument_hash, err));
  NSL_TRY(put_hash(f, "plan_hash", job->plan_hash, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "seed", job->seed, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "config", job->config_text, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "merge_version", NOSLIT_VERSION, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "merge_commit", NOSLIT_COMMIT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "results_version", nsl_results_version, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "merge_libraries", nsl_libraries(), err));
  NSL_TRY(nsl_h5_put_string(f, "/", "merge_date", now, err));
  NSL_TRY(nsl_h5_put_string(f, "/", "merge_host", host, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "merge_ranks", size, err));
cleanup:
  return st;
}

static nsl_status put_meta(nsl_h5 *f, const nsl_pdf_grid *grid, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t version = 0;
  size_t one = 1, shape[2] = {1, (size_t)grid->n + 1};
  double *edges = malloc(shape[1] * sizeof *edges);
  if (!edges) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %d bin edges", grid->n); }
  for (int i = 0; i <= grid->n; i++) { edges[i] = nsl_pdf_edge_z(grid, i); }
  NSL_TRY(nsl_h5_group(f, "/meta", err));
  NSL_TRY(nsl_h5_write_fixed_text(f, "/meta/pdf_name", 1, strlen("hist"), "hist", err));
  NSL_TRY(nsl_h5_write(f, "/meta/pdf_version", NSL_H5_I64, 1, &one, &version, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/meta/bins", NSL_H5_F64, 2, shape, edges, NULL, err));
cleanup:
  free(edges);
  return st;
}

/* address: of each column, -1 when there are no rows. */
static nsl_status create_datasets(nsl_h5 *f, const nsl_merge_set *set, int64_t *address, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)set->n_rows;
  char name[80];
  NSL_TRY(nsl_h5_group(f, "/ancil", err));
  NSL_TRY(nsl_h5_group(f, "/data", err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    snprintf(name, sizeof name, "/ancil/%s", info->name);
    NSL_TRY(nsl_h5_allot_column(f, name, nsl_col_h5_type(info->type), n, &address[c], err));
    NSL_TRY(nsl_h5_put_string(f, name, "unit", info->unit, err));
    NSL_TRY(nsl_h5_put_string(f, name, "ucd", info->ucd, err));
    NSL_TRY(nsl_h5_put_string(f, name, "description", info->description, err));
  }
  NSL_TRY(nsl_h5_create_chunked(f, PDFS, n, (size_t)set->grid.n, NSL_PDF_CHUNK_ROWS, err));
  NSL_TRY(nsl_h5_put_string(f, PDFS, "description",
                            "probability density per unit redshift in each bin of meta/bins (uniform in ln(1+z)); zero for no_pdf",
                            err));
cleanup:
  return st;
}

static nsl_status start_file(const nsl_merge_job *job, const nsl_merge_set *set, const char *path, nsl_h5 **f, int64_t *address,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_h5_create(path, f, err));
  NSL_TRY(put_provenance(*f, job, set, err));
  NSL_TRY(put_meta(*f, &set->grid, err));
  NSL_TRY(create_datasets(*f, set, address, err));
cleanup:
  return st;
}

/* --- every rank: bytes to their places --- */

typedef struct {
  nsl_h5 *f; /* rank 0 */
  const char *path;
  int fd, rank, size;
  int64_t column_address[64];
  /* A round's messages, all of the same length: the number of chunks, or -1 after a failure, and then a number for each chunk. */
  size_t slots;
  int *sizes, *all_sizes; /* bytes; of all ranks on rank 0 only, likewise below */
  int64_t *places, *all_places;
} writer;

/* Pieces that stand one behind the other in the file; the list is used up. */
static nsl_status put_pieces(const writer *w, struct iovec *piece, int n, int64_t at, nsl_error *err)
{
  while (n) {
    ssize_t done = pwritev(w->fd, piece, n, (off_t)at);
    if (done < 0 && errno == EINTR) { continue; }
    if (done <= 0) { return nsl_fail_errno(err, done ? errno : EIO, "%s: cannot write", w->path); }
    at += done;
    for (; n && (size_t)done >= piece->iov_len; piece++, n--) { done -= (ssize_t)piece->iov_len; }
    if (n) {
      piece->iov_base = (char *)piece->iov_base + done;
      piece->iov_len -= (size_t)done;
    }
  }
  return NSL_OK;
}

/* Chunks from *k on, as far as they are in memory. */
static nsl_status write_chunks(const writer *w, const nsl_merge_stage *s, size_t *k, nsl_hasher *h, nsl_error *err)
{
  nsl_status st = NSL_OK;
  struct iovec piece[64];
  int n = 0;
  int64_t start = 0, end = 0;
  for (const unsigned char *bytes; *k < s->n_chunks && (bytes = nsl_merge_stage_chunk(s, *k)); ++*k) {
    size_t size = (size_t)s->chunk_bytes[*k];
    if (n && (n == sizeof piece / sizeof *piece || w->places[1 + *k] != end)) {
      NSL_TRY(put_pieces(w, piece, n, start, err));
      n = 0;
    }
    if (!n) { start = end = w->places[1 + *k]; }
    piece[n++] = (struct iovec){(void *)(uintptr_t)bytes, size};
    end += (int64_t)size;
    nsl_hasher_add(h, bytes, size);
  }
  NSL_TRY(put_pieces(w, piece, n, start, err));
cleanup:
  return st;
}

static nsl_status write_columns(const writer *w, const nsl_merge_stage *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int c = 0; c < nsl_n_row_columns && s->n_rows; c++) {
    int64_t size = (int64_t)nsl_col_size(nsl_row_columns[c].type);
    struct iovec piece = {nsl_rows_column(&s->columns, c), (size_t)(s->n_rows * size)};
    NSL_TRY(put_pieces(w, &piece, 1, w->column_address[c] + s->first_row * size, err));
  }
cleanup:
  return st;
}

/* The tiles' bytes go straight from where they were proved to where they belong. */
static nsl_status write_block(const writer *w, nsl_merge_stage *s, size_t b, nsl_merge_written *written, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t k = 0;
  nsl_hasher *h = nsl_hasher_new();
  if (!h) { NSL_THROW(err, NSL_E_NOMEM, "no memory to write the catalogue"); }
  for (size_t t = s->first_tile; t < written->first_tile[b + 1]; t++) {
    if (!s->set->tiles[t].n_rows) { continue; }
    NSL_TRY(nsl_merge_stage_load(s, t, err));
    NSL_TRY(write_chunks(w, s, &k, h, err));
  }
  if (k != s->n_chunks) { NSL_THROW(err, NSL_E_BUG, "%s: %zu of %zu chunks were written", w->path, k, s->n_chunks); }
  NSL_TRY(write_columns(w, s, err));
  for (size_t i = 0; i < s->n_chunks; i++) { written->chunks_made += s->source[i].tile == NSL_MERGE_MADE; }
  written->chunks += (int64_t)s->n_chunks;
  written->hash[b] = nsl_merge_block_hash(nsl_hasher_value(h), &s->columns, (size_t)s->n_rows);
cleanup:
  nsl_hasher_free(h);
  return st;
}

/* Rank 0: HDF5 allots the chunks in the order of the ranks, which is that of their rows. */
static nsl_status allot(writer *w, int64_t chunk, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int failed = 0;
  for (int r = 0; r < w->size; r++) { failed |= w->all_sizes[(size_t)r * w->slots] < 0; }
  for (int r = 0; r < w->size && !failed; r++) {
    const int *sizes = w->all_sizes + (size_t)r * w->slots;
    int64_t *places = w->all_places + (size_t)r * w->slots;
    for (int k = 1; k <= sizes[0] && st == NSL_OK; k++) {
      st = nsl_h5_put_chunk(w->f, PDFS, (size_t)chunk++ * NSL_PDF_CHUNK_ROWS, NULL, (size_t)sizes[k], &places[k], err);
    }
  }
  for (int r = 0; r < w->size; r++) { w->all_places[(size_t)r * w->slots] = failed || st != NSL_OK ? -1 : 0; }
  return st;
}

/* Sizes to rank 0, places back: the only time in a round that ranks wait. `st`: how far this rank has come. Collective. */
static nsl_status find_places(writer *w, const nsl_merge_stage *s, nsl_status st, nsl_error *err)
{
  w->sizes[0] = st == NSL_OK ? (int)s->n_chunks : -1;
  if (s->n_chunks) { memcpy(w->sizes + 1, s->chunk_bytes, s->n_chunks * sizeof *w->sizes); }
  MPI_Gather(w->sizes, (int)w->slots, MPI_INT, w->all_sizes, (int)w->slots, MPI_INT, 0, MPI_COMM_WORLD);
  if (!w->rank && st == NSL_OK) {
    st = allot(w, s->first_chunk, err);
  } else if (!w->rank) {
    for (int r = 0; r < w->size; r++) { w->all_places[(size_t)r * w->slots] = -1; }
  }
  MPI_Scatter(w->all_places, (int)w->slots, MPI_INT64_T, w->places, (int)w->slots, MPI_INT64_T, 0, MPI_COMM_WORLD);
  return w->places[0] < 0 ? nsl_mpi_agree(st, err) : NSL_OK;
}

static nsl_status write_rows(writer *w, const nsl_merge_job *job, const nsl_merge_set *set, const nsl_log *log,
                             nsl_merge_written *written, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_merge_stage stage = {0};
  nsl_progress progress;
  nsl_progress_start(&progress, w->rank ? NULL : log, "rows", (long)set->n_rows);
  st = nsl_merge_stage_new(job, set, &stage, err);
  NSL_TRY(nsl_mpi_agree(st, err));
  for (size_t round = 0; round < written->n_blocks; round += (size_t)w->size) {
    size_t b = round + (size_t)w->rank, next = round + (size_t)w->size;
    const size_t *first_tile = written->first_tile;
    stage.n_chunks = 0;
    if (b < written->n_blocks && st == NSL_OK) { st = nsl_merge_stage_prepare(&stage, first_tile[b], first_tile[b + 1], err); }
    NSL_TRY(find_places(w, &stage, st, err));
    if (b < written->n_blocks) { st = write_block(w, &stage, b, written, err); }
    size_t tile = first_tile[next < written->n_blocks ? next : written->n_blocks];
    nsl_progress_update(&progress, tile < set->n ? (long)set->tiles[tile].first_row : (long)set->n_rows, NULL);
  }
  NSL_TRY(nsl_mpi_agree(st, err));
  nsl_progress_end(&progress, (long)set->n_rows, NULL);
  written->sum = stage.sum;
cleanup:
  nsl_merge_stage_free(&stage);
  return st;
}

/* Whole tiles, until there are enough rows. */
static nsl_status cut_blocks(const nsl_merge_job *job, const nsl_merge_set *set, nsl_merge_written *w, nsl_error *err)
{
  int64_t enough = job->block_rows ? job->block_rows : USUAL_BLOCK_ROWS, rows = 0;
  memset(w, 0, sizeof *w);
  w->first_tile = malloc((set->n + 1) * sizeof *w->first_tile);
  w->hash = calloc(set->n + 1, sizeof *w->hash);
  if (!w->first_tile || !w->hash) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the blocks of %zu tiles", set->n); }
  for (size_t t = 0; t < set->n; t++) {
    if (!t || rows >= enough) {
      w->first_tile[w->n_blocks++] = t;
      rows = 0;
    }
    rows += set->tiles[t].n_rows;
  }
  w->first_tile[w->n_blocks] = set->n;
  return NSL_OK;
}

void nsl_merge_written_free(nsl_merge_written *w)
{
  free(w->first_tile);
  free(w->hash);
  memset(w, 0, sizeof *w);
}

static nsl_status open_bytes(writer *w, const nsl_merge_set *set, const nsl_merge_written *written, nsl_error *err)
{
  size_t ranks = w->rank ? 1 : (size_t)w->size;
  w->slots = 1;
  for (size_t b = 0; b < written->n_blocks; b++) {
    const nsl_catalogue_tile *first = &set->tiles[written->first_tile[b]], *last = &set->tiles[written->first_tile[b + 1] - 1];
    size_t rows = (size_t)(last->first_row + last->n_rows - first->first_row), chunks = rows / NSL_PDF_CHUNK_ROWS + 1;
    if (1 + chunks > w->slots) { w->slots = 1 + chunks; }
  }
  w->sizes = calloc(w->slots, sizeof *w->sizes);
  w->places = calloc(w->slots, sizeof *w->places);
  w->all_sizes = calloc(ranks * w->slots, sizeof *w->all_sizes);
  w->all_places = calloc(ranks * w->slots, sizeof *w->all_places);
  if (!w->sizes || !w->places || !w->all_sizes || !w->all_places) {
    return nsl_fail(err, NSL_E_NOMEM, "no memory for a round of %d ranks", w->size);
  }
  w->fd = open(w->path, O_WRONLY | O_CLOEXEC);
  return w->fd < 0 ? nsl_fail_errno(err, errno, "%s: cannot write", w->path) : NSL_OK;
}

/* Each rank brings to the disk what its own host still holds. */
static nsl_status close_bytes(writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (fsync(w->fd)) { st = nsl_fail_errno(err, errno, "%s: cannot write", w->path); }
  if (close(w->fd) && st == NSL_OK) { st = nsl_fail_errno(err, errno, "%s: cannot write", w->path); }
  w->fd = -1;
  return st;
}

static nsl_status finish_file(nsl_h5 **f, nsl_error *err)
{
  nsl_status st = nsl_h5_put_i64(*f, "/", "complete", 1, err);
  if (st != NSL_OK) { return st; }
  nsl_h5 *closing = *f;
  *f = NULL;
  return nsl_h5_close(closing, err);
}

nsl_status nsl_merge_write(const nsl_merge_job *job, const nsl_merge_set *set, const char *path, const nsl_log *log,
                           nsl_merge_written *written, nsl_error *err)
{
  nsl_status st = NSL_OK;
  writer w = {.path = path, .fd = -1};
  MPI_Comm_rank(MPI_COMM_WORLD, &w.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &w.size);
  st = cut_blocks(job, set, written, err);
  if (st == NSL_OK && !w.rank) { st = start_file(job, set, path, &w.f, w.column_address, err); }
  NSL_TRY(nsl_mpi_agree(st, err));
  MPI_Bcast(w.column_address, 64, MPI_INT64_T, 0, MPI_COMM_WORLD);
  st = open_bytes(&w, set, written, err);
  NSL_TRY(nsl_mpi_agree(st, err));
  NSL_TRY(write_rows(&w, job, set, log, written, err));
  st = close_bytes(&w, err);
  NSL_TRY(nsl_mpi_agree(st, err));
  if (!w.rank) { st = finish_file(&w.f, err); }
  NSL_TRY(nsl_mpi_agree(st, err));
cleanup:
  if (w.fd >= 0) { close(w.fd); }
  nsl_h5_close(w.f, NULL);
  free(w.sizes);
  free(w.places);
  free(w.all_sizes);
  free(w.all_places);
  return st;
}
