#include "noslit/pipe/tile_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/io/h5_chunk.h"
#include "noslit/pipe/rows_h5.h"
#include "noslit/pipe/tile_image.h"
#include "pipe/tile_seal.h"

#define FORMAT "noslit-tile"

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

static nsl_status write_columns(nsl_h5 *f, const nsl_rows *rows, int64_t (*places)[2], nsl_error *err)
{
  nsl_status st = NSL_OK;
  char name[80];
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    snprintf(name, sizeof name, "/rows/%s", info->name);
    NSL_TRY(nsl_h5_write(f, name, nsl_col_h5_type(info->type), 1, &rows->n, nsl_rows_column(rows, c), NULL, err));
    NSL_TRY(nsl_h5_put_text(f, name, "unit", info->unit, err));
    NSL_TRY(nsl_h5_address(f, name, &places[c][0], err));
    places[c][1] = (int64_t)(rows->n * nsl_col_size(info->type));
  }
cleanup:
  return st;
}

/* What the merge would otherwise have to inflate every PDF for. */
static nsl_status write_summary(nsl_h5 *f, const nsl_rows *rows, int64_t place[2], nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_survey_summary summary = {0};
  size_t n = sizeof summary / sizeof(int64_t);
  nsl_survey_summary_add(&summary, rows, 0, rows->n);
  NSL_TRY(nsl_h5_write(f, "/summary", NSL_H5_I64, 1, &n, &summary, NULL, err));
  NSL_TRY(nsl_h5_address(f, "/summary", &place[0], err));
  place[1] = sizeof summary;
cleanup:
  return st;
}

static nsl_status write_pdfs(nsl_h5 *f, const nsl_tile_head *head, const nsl_rows *rows, int64_t (*places)[2], nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t bins = (size_t)rows->grid.n, phase = (size_t)nsl_tile_phase(head), n = rows->n ? phase + rows->n : 0;
  nsl_chunk_codec *codec = nsl_chunk_codec_new(NSL_PDF_CHUNK_ROWS * bins);
  float *chunk = malloc(NSL_PDF_CHUNK_ROWS * bins * sizeof *chunk);
  unsigned char *encoded = codec ? malloc(nsl_chunk_codec_bound(codec)) : NULL;
  if (!codec || !chunk || !encoded) { NSL_THROW(err, NSL_E_NOMEM, "no memory for a chunk of PDFs"); }
  NSL_TRY(nsl_h5_create_chunked(f, "/pdf", n, bins, NSL_PDF_CHUNK_ROWS, err));
  NSL_TRY(nsl_h5_put_i64(f, "/pdf", "phase", n ? (int64_t)phase : 0, err));
  for (size_t first = 0; first < n; first += NSL_PDF_CHUNK_ROWS) {
    size_t from = first < phase ? phase : first, end = first + NSL_PDF_CHUNK_ROWS < n ? first + NSL_PDF_CHUNK_ROWS : n;
    memset(chunk, 0, NSL_PDF_CHUNK_ROWS * bins * sizeof *chunk);
    memcpy(chunk + (from - first) * bins, rows->pdf + (from - phase) * bins, (end - from) * bins * sizeof *chunk);
    size_t bytes = nsl_chunk_encode(codec, chunk, encoded);
    int64_t *place = places[first / NSL_PDF_CHUNK_ROWS];
    NSL_TRY(nsl_h5_put_chunk(f, "/pdf", first, encoded, bytes, &place[0], err));
    place[1] = (int64_t)bytes;
  }
cleanup:
  nsl_chunk_codec_free(codec);
  free(chunk);
  free(encoded);
  return st;
}

static nsl_status write_body(const char *path, nsl_tile_seal *seal, const nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  size_t shape[2] = {nsl_tile_n_places(&seal->head), 2};
  int64_t(*places)[2] = calloc(shape[0], sizeof *places);
  if (!places) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %zu rows", path, rows->n); }
  NSL_TRY(nsl_h5_create(path, &f, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "format", FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_TILE_VERSION, err));
  NSL_TRY(nsl_h5_group(f, "/rows", err));
  NSL_TRY(write_columns(f, rows, places, err));
  NSL_TRY(write_summary(f, rows, places[nsl_n_row_columns], err));
  NSL_TRY(write_pdfs(f, &seal->head, rows, places + nsl_n_row_columns + 1, err));
  NSL_TRY(nsl_h5_write(f, "/places", NSL_H5_I64, 2, shape, places, NULL, err));
  NSL_TRY(nsl_h5_address(f, "/places", &seal->places_at, err));
  NSL_TRY(nsl_tile_seal_attributes(seal, f, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "complete", 1, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
cleanup:
  nsl_h5_close(f, NULL);
  free(places);
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

/* Rows [first, first + n) of a dataset, which must end there. */
static nsl_status read_dataset(nsl_h5 *f, const char *path, const char *name, nsl_h5_type type, size_t row_elements, size_t first,
                               size_t n, void *out, nsl_error *err)
{
  nsl_error why = NSL_ERROR_INIT;
  int rank;
  size_t dims[NSL_H5_MAX_RANK] = {0};
  nsl_status st = nsl_h5_dims(f, name, &rank, dims, &why);
  if (st == NSL_OK && dims[0] != first + n) { st = nsl_fail(&why, NSL_E_CORRUPT, "it has %zu rows, not %zu", dims[0], first + n); }
  if (st == NSL_OK && n) { st = nsl_h5_read_rows(f, name, type, row_elements, first, n, out, &why); }
  if (st == NSL_OK || st == NSL_E_NOMEM) { return st == NSL_OK ? st : nsl_fail(err, st, "%s", why.text); }
  return nsl_fail(err, NSL_E_CORRUPT, "%s: %s cannot be read: %s", path, name, why.text);
}

/* Reads through HDF5, as anybody would. */
static nsl_status read_rows(nsl_h5 *f, const char *path, const nsl_tile_seal *seal, nsl_rows *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)seal->head.n_rows, bins = (size_t)seal->grid.n, phase = n ? (size_t)nsl_tile_phase(&seal->head) : 0;
  nsl_hash hash;
  char name[80];
  if (!nsl_rows_alloc(r, n, &seal->grid)) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for its %zu rows", path, n); }
  for (int c = 0; c < nsl_n_row_columns; c++) {
    snprintf(name, sizeof name, "/rows/%s", nsl_row_columns[c].name);
    NSL_TRY(read_dataset(f, path, name, nsl_col_h5_type(nsl_row_columns[c].type), 1, 0, n, nsl_rows_column(r, c), err));
  }
  NSL_TRY(read_dataset(f, path, "/pdf", NSL_H5_F32, bins, phase, n, r->pdf, err));
  NSL_TRY(nsl_tile_content_hash(seal->head.order, seal->head.tile, r, 0, n, &hash, err));
  if (!nsl_hash_equal(hash, seal->head.content_hash)) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its rows are not those that were written (content hash differs)", path);
  }
cleanup:
  return st;
}

nsl_status nsl_tile_read(const char *path, nsl_tile_head *head, nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_seal seal;
  nsl_h5 *f = NULL;
  nsl_rows r = {0};
  NSL_TRY(nsl_tile_seal_read(path, &seal, err));
  NSL_TRY(nsl_tile_seal_check_body(path, &seal, err));
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(check_attributes(path, f, &seal, err));
  NSL_TRY(read_rows(f, path, &seal, &r, err));
  if (head) { *head = seal.head; }
  *rows = r;
  memset(&r, 0, sizeof r);
cleanup:
  nsl_h5_close(f, NULL);
  nsl_rows_free(&r);
  return st;
}

static int same_pdfs(const nsl_tile_image *image, size_t k, const float *chunk, const nsl_rows *rows)
{
  size_t bins = (size_t)rows->grid.n;
  for (size_t i = 0; i < NSL_PDF_CHUNK_ROWS; i++) {
    size_t row = k * NSL_PDF_CHUNK_ROWS + i - (size_t)image->phase; /* wraps round before the tile's first row */
    for (size_t b = 0; row >= rows->n && b < bins; b++) {
      if (chunk[i * bins + b] != 0) { return 0; }
    }
    if (row < rows->n && memcmp(chunk + i * bins, rows->pdf + row * bins, bins * sizeof *chunk) != 0) { return 0; }
  }
  return 1;
}

/* Does the merge, which does not go through HDF5, copy what HDF5 reads? */
static nsl_status check_image(const char *path, const nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_image image = NSL_TILE_IMAGE_EMPTY;
  nsl_survey_summary sum = {0}, kept;
  size_t elements = NSL_PDF_CHUNK_ROWS * (size_t)rows->grid.n;
  nsl_chunk_codec *codec = nsl_chunk_codec_new(elements);
  float *chunk = malloc(elements * sizeof *chunk);
  if (!codec || !chunk) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to check it", path); }
  NSL_TRY(nsl_tile_image_load(&image, path, err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t size = rows->n * nsl_col_size(nsl_row_columns[c].type);
    if (size && memcmp(nsl_tile_image_column(&image, c), nsl_rows_column(rows, c), size) != 0) {
      NSL_THROW(err, NSL_E_CORRUPT, "%s: its table of places is wrong for '%s'", path, nsl_row_columns[c].name);
    }
  }
  for (size_t k = 0; k < image.n_chunks; k++) {
    const unsigned char *encoded = nsl_tile_image_chunk(&image, k);
    if (!nsl_chunk_decode(codec, encoded, nsl_tile_image_chunk_bytes(&image, k), chunk) || !same_pdfs(&image, k, chunk, rows)) {
      NSL_THROW(err, NSL_E_CORRUPT, "%s: its table of places is wrong for the PDFs", path);
    }
  }
  nsl_survey_summary_add(&sum, rows, 0, rows->n);
  nsl_tile_image_summary(&image, &kept);
  if (memcmp(&sum, &kept, sizeof sum) != 0) { NSL_THROW(err, NSL_E_CORRUPT, "%s: its summary is not that of its rows", path); }
cleanup:
  nsl_tile_image_free(&image);
  nsl_chunk_codec_free(codec);
  free(chunk);
  return st;
}

nsl_status nsl_tile_verify(const char *path, nsl_tile_head *out, nsl_error *err)
{
  nsl_rows rows;
  nsl_status st = nsl_tile_read(path, out, &rows, err);
  if (st != NSL_OK) { return st; }
  st = check_image(path, &rows, err);
  nsl_rows_free(&rows);
  return st;
}

nsl_status nsl_tile_read_ids(const char *path, int64_t n_rows, int64_t *ids, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_image image = NSL_TILE_IMAGE_EMPTY;
  NSL_TRY(nsl_tile_image_open(&image, path, err));
  if (image.head.n_rows != n_rows) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: has %lld rows, not %lld", path, (long long)image.head.n_rows, (long long)n_rows);
  }
  NSL_TRY(nsl_tile_image_read_column(&image, 0, ids, err)); /* the first column is object_id */
cleanup:
  nsl_tile_image_free(&image);
  return st;
}
