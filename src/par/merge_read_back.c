/* After the writing: every byte is read back as any reader of HDF5 finds it, and must be the one that was meant. Nothing is
 * inflated: the same bytes in the same chunk are the same rows. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/par/mpi_env.h"
#include "noslit/pipe/rows_h5.h"
#include "par/merge_internal.h"

typedef struct {
  nsl_catalogue *catalogue;
  unsigned char *chunk;
  size_t chunk_capacity;
  nsl_rows columns;
} reader;

static nsl_status hash_chunks(const reader *r, int64_t first, int64_t end, nsl_hash *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const int64_t step = NSL_PDF_CHUNK_ROWS;
  nsl_hasher *h = nsl_hasher_new();
  if (!h) { return nsl_fail(err, NSL_E_NOMEM, "no memory to read the catalogue back"); }
  for (int64_t row = (first + step - 1) / step * step; row < end; row += step) {
    size_t bytes;
    NSL_TRY(
        nsl_h5_get_chunk(nsl_catalogue_file(r->catalogue), "/data/pdfs", (size_t)row, r->chunk, r->chunk_capacity, &bytes, err));
    nsl_hasher_add(h, r->chunk, bytes);
  }
  *out = nsl_hasher_value(h);
cleanup:
  nsl_hasher_free(h);
  return st;
}

static nsl_status hash_block(reader *r, int64_t first, int64_t n, nsl_hash *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_hash chunks;
  NSL_TRY(hash_chunks(r, first, first + n, &chunks, err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    char name[80];
    snprintf(name, sizeof name, "/ancil/%s", info->name);
    NSL_TRY(nsl_h5_read_rows(nsl_catalogue_file(r->catalogue), name, nsl_col_h5_type(info->type), 1, (size_t)first, (size_t)n,
                             nsl_rows_column(&r->columns, c), err));
  }
  *out = nsl_merge_block_hash(chunks, &r->columns, (size_t)n);
cleanup:
  return st;
}

static int64_t first_row_of(const nsl_merge_set *set, const nsl_merge_written *w, size_t block)
{
  size_t tile = w->first_tile[block];
  return tile < set->n ? set->tiles[tile].first_row : set->n_rows;
}

static nsl_status read_share(const nsl_merge_set *set, const nsl_merge_written *w, const char *path, reader *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank, size;
  int64_t most = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  NSL_TRY(nsl_catalogue_open(path, &r->catalogue, err));
  if (nsl_catalogue_rows(r->catalogue) != set->n_rows) { NSL_THROW(err, NSL_E_CORRUPT, "%s: does not have its rows", path); }
  for (size_t b = 0; b < w->n_blocks; b++) {
    int64_t n = first_row_of(set, w, b + 1) - first_row_of(set, w, b);
    most = n > most ? n : most;
  }
  nsl_chunk_codec *codec = nsl_chunk_codec_new(NSL_PDF_CHUNK_ROWS * (size_t)set->grid.n);
  r->chunk_capacity = codec ? nsl_chunk_codec_bound(codec) : 0;
  nsl_chunk_codec_free(codec);
  r->chunk = malloc(r->chunk_capacity);
  if (!r->chunk_capacity || !r->chunk || !nsl_rows_alloc(&r->columns, (size_t)most, NULL)) {
    NSL_THROW(err, NSL_E_NOMEM, "no memory to read the catalogue back");
  }
  for (size_t b = (size_t)rank; b < w->n_blocks; b += (size_t)size) {
    nsl_hash hash;
    int64_t first = first_row_of(set, w, b), end = first_row_of(set, w, b + 1);
    NSL_TRY(hash_block(r, first, end - first, &hash, err));
    if (!nsl_hash_equal(hash, w->hash[b])) {
      NSL_THROW(err, NSL_E_CORRUPT, "%s: rows %lld to %lld do not come back as they were written", path, (long long)first,
                (long long)end);
    }
  }
cleanup:
  return st;
}

nsl_status nsl_merge_read_back(const nsl_merge_set *set, const nsl_merge_written *written, const char *path,
                               nsl_survey_summary *total, nsl_error *err)
{
  reader r = {0};
  nsl_status st = nsl_mpi_agree(read_share(set, written, path, &r, err), err);
  if (st == NSL_OK) { MPI_Reduce(&written->sum, total, sizeof *total / sizeof(int64_t), MPI_INT64_T, MPI_SUM, 0, MPI_COMM_WORLD); }
  nsl_catalogue_close(r.catalogue);
  nsl_rows_free(&r.columns);
  free(r.chunk);
  return st;
}
