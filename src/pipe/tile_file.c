#include "noslit/pipe/tile_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/io/h5.h"
#include "noslit/pipe/rows_h5.h"
#include "pipe/tile_seal.h"

#define FORMAT "noslit-tile"
#define PDF_CHUNK_BYTES (1 << 20)
#define DEFLATE 1 /* read once, by the merge: speed before size */

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "content hashes are defined over little-endian values");

nsl_status nsl_tile_content_hash(int order, nsl_tile_id tile, const nsl_rows *rows, size_t first, size_t n, nsl_hash *out,
                                 nsl_error *err)
{
  nsl_hasher *h = nsl_hasher_new();
  if (!h) { return nsl_fail(err, NSL_E_NOMEM, "tile %lld: no memory to hash it", (long long)tile); }
  int64_t shape[4] = {order, tile, (int64_t)n, rows->grid.n};
  double grid[2] = {rows->grid.u0, rows->grid.du};
  nsl_hasher_add(h, shape, sizeof shape);
  nsl_hasher_add(h, grid, sizeof grid);
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    size_t size = nsl_col_size(info->type);
    nsl_hasher_add(h, info->name, strlen(info->name) + 1);
    nsl_hasher_add(h, (const char *)nsl_rows_column(rows, c) + first * size, n * size);
  }
  size_t bins = (size_t)rows->grid.n;
  nsl_hasher_add(h, rows->pdf + first * bins, n * bins * sizeof(float));
  *out = nsl_hasher_value(h);
  nsl_hasher_free(h);
  return NSL_OK;
}

char *nsl_tile_file_path(const char *workdir, int order, nsl_tile_id tile)
{
  char name[96];
  nsl_tile_path(order, tile, name, sizeof name);
  return nsl_strf("%s/tiles/%s.h5", workdir, name);
}

static nsl_status check_rows(const char *path, const nsl_tile_head *head, const nsl_rows *rows, nsl_error *err)
{
  if (rows->grid.n < 2 || !rows->pdf) { return nsl_fail(err, NSL_E_BUG, "%s: rows without PDFs cannot be a tile", path); }
  for (size_t i = 0; i < rows->n; i++) {
    if (rows->tile[i] != head->tile) {
      return nsl_fail(err, NSL_E_BUG, "%s: source %lld belongs to tile %lld, not to %lld", path, (long long)rows->object_id[i],
                      (long long)rows->tile[i], (long long)head->tile);
    }
    if (i && rows->object_id[i] <= rows->object_id[i - 1]) {
      return nsl_fail(err, NSL_E_VALUE, "%s: source %lld comes twice or out of order in tile %lld; identifiers must be unique",
                      path, (long long)rows->object_id[i], (long long)head->tile);
    }
  }
  return NSL_OK;
}

static nsl_status write_body(const char *path, const nsl_tile_seal *seal, const nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  size_t n = rows->n, bins = (size_t)rows->grid.n, pdf_rows = PDF_CHUNK_BYTES / (bins * sizeof(float));
  nsl_h5_layout column_layout = {.chunk_rows = n, .deflate = DEFLATE, .shuffle = 1, .fletcher32 = 1}, pdf_layout = column_layout;
  pdf_layout.chunk_rows = pdf_rows < 1 ? 1 : pdf_rows < n ? pdf_rows : n;
  const nsl_h5_layout *no_chunks_when_empty = n ? &column_layout : NULL;
  NSL_TRY(nsl_h5_create(path, &f, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "format", FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_TILE_VERSION, err));
  NSL_TRY(nsl_h5_group(f, "/rows", err));
  char name[80];
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    snprintf(name, sizeof name, "/rows/%s", info->name);
    NSL_TRY(nsl_h5_write(f, name, nsl_col_h5_type(info->type), 1, &n, nsl_rows_column(rows, c), no_chunks_when_empty, err));
    NSL_TRY(nsl_h5_put_text(f, name, "unit", info->unit, err));
  }
  size_t dims[2] = {n, bins};
  NSL_TRY(nsl_h5_write(f, "/pdf", NSL_H5_F32, 2, dims, rows->pdf, n ? &pdf_layout : NULL, err));
  NSL_TRY(nsl_tile_seal_attributes(seal, f, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "complete", 1, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
cleanup:
  nsl_h5_close(f, NULL);
  return st;
}

nsl_status nsl_tile_write(const char *path, nsl_tile_head *head, const nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *dir = nsl_path_dir(path), *temp = nsl_temp_name(path, 0);
  nsl_tile_seal seal = {.grid = rows->grid};
  if (!dir || !temp) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(check_rows(path, head, rows, err));
  NSL_TRY(nsl_tile_content_hash(head->order, head->tile, rows, 0, rows->n, &head->content_hash, err));
  head->n_rows = (int64_t)rows->n;
  seal.head = *head;
  NSL_TRY(nsl_mkdirs(dir, err));
  NSL_TRY(write_body(temp, &seal, rows, err));
  NSL_TRY(nsl_tile_seal_append(temp, &seal, err));
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  if (st != NSL_OK && temp) { unlink(temp); }
  if (st == NSL_E_IO) { st = nsl_error_context(err, NSL_E_UNWRITABLE, "this tile cannot be written"); }
  free(dir);
  free(temp);
  return st;
}

nsl_status nsl_tile_read_head(const char *path, nsl_tile_head *out, nsl_pdf_grid *grid, nsl_error *err)
{
  nsl_tile_seal seal;
  nsl_status st = nsl_tile_seal_read(path, &seal, err);
  if (st != NSL_OK) { return st; }
  *out = seal.head;
  if (grid) { *grid = seal.grid; }
  return NSL_OK;
}

/* The sealed bytes are right, so what is wrong from here on was wrong when they were written. */
static nsl_status check_attributes(const char *path, nsl_h5 *f, const nsl_tile_seal *seal, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *format = NULL, *hash = NULL, want[NSL_HASH_HEX];
  int64_t complete = 0;
  nsl_hash_to_hex(seal->head.content_hash, want);
  if (nsl_h5_get_text(f, "/", "format", &format, NULL) != NSL_OK || strcmp(format, FORMAT) != 0) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: is no noslit tile file", path);
  }
  if (nsl_h5_get_i64(f, "/", "complete", &complete, NULL) != NSL_OK || complete != 1) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: is not complete", path);
  }
  if (nsl_h5_get_text(f, "/", "content_hash", &hash, NULL) != NSL_OK || strcmp(hash, want) != 0) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its attributes do not belong to its seal", path);
  }
cleanup:
  free(format);
  free(hash);
  return st;
}

static nsl_status read_dataset(nsl_h5 *f, const char *path, const char *name, nsl_h5_type type, size_t n, void *out, nsl_error *err)
{
  nsl_error why = NSL_ERROR_INIT;
  nsl_status st = nsl_h5_read(f, name, type, n, out, &why);
  if (st == NSL_OK || st == NSL_E_NOMEM) { return st == NSL_OK ? st : nsl_fail(err, st, "%s", why.text); }
  return nsl_fail(err, NSL_E_CORRUPT, "%s: %s cannot be read: %s", path, name, why.text);
}

nsl_status nsl_tile_read(const char *path, nsl_tile_head *head, nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_seal seal;
  nsl_h5 *f = NULL;
  nsl_rows r = {0};
  nsl_hash hash;
  NSL_TRY(nsl_tile_seal_read(path, &seal, err));
  NSL_TRY(nsl_tile_seal_check_body(path, &seal, err));
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(check_attributes(path, f, &seal, err));
  size_t n = (size_t)seal.head.n_rows;
  if (!nsl_rows_alloc(&r, n, &seal.grid)) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for its %zu rows", path, n); }
  char name[80];
  for (int c = 0; c < nsl_n_row_columns; c++) {
    snprintf(name, sizeof name, "/rows/%s", nsl_row_columns[c].name);
    NSL_TRY(read_dataset(f, path, name, nsl_col_h5_type(nsl_row_columns[c].type), n, nsl_rows_column(&r, c), err));
  }
  NSL_TRY(read_dataset(f, path, "/pdf", NSL_H5_F32, n * (size_t)seal.grid.n, r.pdf, err));
  NSL_TRY(nsl_tile_content_hash(seal.head.order, seal.head.tile, &r, 0, n, &hash, err));
  if (!nsl_hash_equal(hash, seal.head.content_hash)) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its rows are not those that were written (content hash differs)", path);
  }
  if (head) { *head = seal.head; }
  *rows = r;
  memset(&r, 0, sizeof r);
cleanup:
  nsl_h5_close(f, NULL);
  nsl_rows_free(&r);
  return st;
}

nsl_status nsl_tile_verify(const char *path, nsl_tile_head *out, nsl_error *err)
{
  nsl_rows rows;
  nsl_status st = nsl_tile_read(path, out, &rows, err);
  if (st == NSL_OK) { nsl_rows_free(&rows); }
  return st;
}

nsl_status nsl_tile_read_ids(const char *path, int64_t n_rows, int64_t *ids, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(read_dataset(f, path, "/rows/object_id", NSL_H5_I64, (size_t)n_rows, ids, err));
cleanup:
  nsl_h5_close(f, NULL);
  return st;
}
