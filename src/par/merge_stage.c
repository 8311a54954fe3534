/* One block of the catalogue: where its PDF chunks come from, and the bytes that are not simply a tile file's. Only where a chunk
 * joins tiles, or where a tile's chunks begin elsewhere than planned (a selection, tiles left out, another catalogue), are PDFs
 * inflated and deflated again; the bytes are the same either way, for a chunk is a function of its rows. */
#include <stdlib.h>
#include <string.h>

#include "par/merge_internal.h"

nsl_status nsl_merge_stage_new(const nsl_merge_job *job, const nsl_merge_set *set, nsl_merge_stage *s, nsl_error *err)
{
  size_t elements = NSL_PDF_CHUNK_ROWS * (size_t)set->grid.n;
  memset(s, 0, sizeof *s);
  s->job = job;
  s->set = set;
  s->codec = nsl_chunk_codec_new(elements);
  s->joined = calloc(elements, sizeof *s->joined);
  s->inflated = malloc(elements * sizeof *s->inflated);
  s->bound = s->codec ? nsl_chunk_codec_bound(s->codec) : 0;
  s->deflated = malloc(s->bound);
  s->image = (nsl_tile_image)NSL_TILE_IMAGE_EMPTY;
  s->inflated_tile = SIZE_MAX;
  if (s->codec && s->joined && s->inflated && s->deflated) { return NSL_OK; }
  nsl_merge_stage_free(s);
  return nsl_fail(err, NSL_E_NOMEM, "no memory for a chunk of PDFs");
}

void nsl_merge_stage_free(nsl_merge_stage *s)
{
  nsl_chunk_codec_free(s->codec);
  nsl_tile_image_free(&s->image);
  nsl_rows_free(&s->columns);
  free(s->joined);
  free(s->inflated);
  free(s->deflated);
  free(s->made);
  free(s->chunk_bytes);
  free(s->source);
  free(s->body_hash);
  memset(s, 0, sizeof *s);
}

static nsl_status check_identity(const nsl_merge_stage *s, size_t index, const char *path, const nsl_hash *body_hash,
                                 nsl_error *err)
{
  if (nsl_hash_equal(s->image.head.content_hash, s->set->tiles[index].content_hash) &&
      (!body_hash || nsl_hash_equal(s->image.body_hash, *body_hash))) {
    return NSL_OK;
  }
  return nsl_fail(err, NSL_E_MISMATCH, "%s: was written anew while it was being merged; merge again when the run is over", path);
}

/* With body_hash NULL only the places are read; else all of the file, which must be the one that was seen before. */
static nsl_status read_tile(nsl_merge_stage *s, size_t index, const nsl_hash *body_hash, nsl_error *err)
{
  char *path = nsl_tile_file_path(s->job->workdir, s->job->order, s->set->tiles[index].tile);
  if (!path) { return nsl_fail(err, NSL_E_NOMEM, "no memory"); }
  nsl_status st = body_hash ? nsl_tile_image_load(&s->image, path, err) : nsl_tile_image_open(&s->image, path, err);
  if (st == NSL_OK) { st = check_identity(s, index, path, body_hash, err); }
  s->image_tile = index;
  free(path);
  return st;
}

static nsl_status add_chunk(nsl_merge_stage *s, nsl_merge_source source, size_t bytes, nsl_error *err)
{
  if (s->n_chunks == s->chunks_capacity) {
    size_t capacity = s->chunks_capacity ? 2 * s->chunks_capacity : 256;
    int *sizes = realloc(s->chunk_bytes, capacity * sizeof *sizes);
    if (sizes) { s->chunk_bytes = sizes; }
    nsl_merge_source *sources = realloc(s->source, capacity * sizeof *sources);
    if (sources) { s->source = sources; }
    if (!sizes || !sources) { return nsl_fail(err, NSL_E_NOMEM, "no memory for %zu chunks", capacity); }
    s->chunks_capacity = capacity;
  }
  s->source[s->n_chunks] = source;
  s->chunk_bytes[s->n_chunks++] = (int)bytes;
  return NSL_OK;
}

/* Rows [first, first + n) of the tile into `joined` from row `at` on. */
static nsl_status inflate_rows(nsl_merge_stage *s, int64_t first, int64_t n, int64_t at, nsl_error *err)
{
  size_t bins = (size_t)s->set->grid.n;
  while (n) {
    size_t k = (size_t)(first + s->image.phase) / NSL_PDF_CHUNK_ROWS;
    int64_t skip = (first + s->image.phase) % NSL_PDF_CHUNK_ROWS;
    int64_t take = NSL_PDF_CHUNK_ROWS - skip < n ? NSL_PDF_CHUNK_ROWS - skip : n;
    if (s->inflated_tile != s->image_tile || s->inflated_chunk != k) {
      s->inflated_tile = SIZE_MAX;
      nsl_status st = nsl_tile_image_read_chunk(&s->image, k, s->deflated, s->bound, err);
      if (st != NSL_OK) { return st; }
      if (!nsl_chunk_decode(s->codec, s->deflated, nsl_tile_image_chunk_bytes(&s->image, k), s->inflated)) {
        return nsl_fail(err, NSL_E_CORRUPT, "tile %lld: its PDFs cannot be inflated", (long long)s->image.head.tile);
      }
      s->inflated_tile = s->image_tile;
      s->inflated_chunk = k;
    }
    memcpy(s->joined + (size_t)at * bins, s->inflated + (size_t)skip * bins, (size_t)take * bins * sizeof(float));
    first += take;
    at += take;
    n -= take;
  }
  return NSL_OK;
}

static nsl_status add_joined(nsl_merge_stage *s, nsl_error *err)
{
  if (s->n_made + s->bound > s->made_capacity) {
    size_t capacity = 2 * (s->n_made + s->bound);
    unsigned char *made = realloc(s->made, capacity);
    if (!made) { return nsl_fail(err, NSL_E_NOMEM, "no memory for %zu bytes of chunks", capacity); }
    s->made = made;
    s->made_capacity = capacity;
  }
  size_t n = nsl_chunk_encode(s->codec, s->joined, s->made + s->n_made);
  nsl_status st = add_chunk(s, (nsl_merge_source){NSL_MERGE_MADE, s->n_made}, n, err);
  s->n_made += n;
  memset(s->joined, 0, NSL_PDF_CHUNK_ROWS * (size_t)s->set->grid.n * sizeof *s->joined);
  return st;
}

/* What the opened tile has of chunk c; the chunk is added when this tile has its last row. */
static nsl_status add_part(nsl_merge_stage *s, int64_t c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_catalogue_tile *tile = &s->set->tiles[s->image_tile];
  int64_t chunk_first = c * NSL_PDF_CHUNK_ROWS, chunk_end = chunk_first + NSL_PDF_CHUNK_ROWS;
  int64_t tile_end = tile->first_row + tile->n_rows;
  if (chunk_end > s->set->n_rows) { chunk_end = s->set->n_rows; }
  int64_t first = tile->first_row > chunk_first ? tile->first_row : chunk_first, end = tile_end < chunk_end ? tile_end : chunk_end;
  int fits = tile->first_row % NSL_PDF_CHUNK_ROWS == s->image.phase;
  if (fits && first == chunk_first && end == chunk_end) {
    size_t k = (size_t)(c - tile->first_row / NSL_PDF_CHUNK_ROWS);
    return add_chunk(s, (nsl_merge_source){s->image_tile, k}, nsl_tile_image_chunk_bytes(&s->image, k), err);
  }
  NSL_TRY(inflate_rows(s, first - tile->first_row, end - first, first - chunk_first, err));
  if (end == chunk_end) { NSL_TRY(add_joined(s, err)); }
cleanup:
  return st;
}

static void take_columns(nsl_merge_stage *s, int64_t block_first)
{
  const nsl_catalogue_tile *tile = &s->set->tiles[s->image_tile];
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t size = nsl_col_size(nsl_row_columns[c].type);
    memcpy((char *)nsl_rows_column(&s->columns, c) + (size_t)(tile->first_row - block_first) * size,
           nsl_tile_image_column(&s->image, c), (size_t)tile->n_rows * size);
  }
}

static void add_summary(nsl_merge_stage *s)
{
  nsl_survey_summary one;
  int64_t *sum = (int64_t *)&s->sum;
  nsl_tile_image_summary(&s->image, &one);
  for (size_t i = 0; i < sizeof one / sizeof(int64_t); i++) { sum[i] += ((const int64_t *)&one)[i]; }
}

static nsl_status make_room(nsl_merge_stage *s, size_t tiles, size_t rows, nsl_error *err)
{
  s->n_made = s->n_chunks = 0;
  if (rows > s->columns_capacity) {
    nsl_rows_free(&s->columns);
    s->columns_capacity = 0;
    if (!nsl_rows_alloc(&s->columns, rows, NULL)) { return nsl_fail(err, NSL_E_NOMEM, "no memory for a block of %zu rows", rows); }
    s->columns_capacity = rows;
  }
  free(s->body_hash);
  s->body_hash = calloc(tiles, sizeof *s->body_hash);
  return s->body_hash ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory for a block of %zu tiles", tiles);
}

nsl_status nsl_merge_stage_prepare(nsl_merge_stage *s, size_t first_tile, size_t end_tile, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_catalogue_tile *tiles = s->set->tiles, *last = &tiles[end_tile - 1];
  s->first_tile = first_tile;
  s->first_row = tiles[first_tile].first_row;
  s->n_rows = last->first_row + last->n_rows - s->first_row;
  NSL_TRY(make_room(s, end_tile - first_tile, (size_t)s->n_rows, err));
  int64_t c = s->first_chunk = (s->first_row + NSL_PDF_CHUNK_ROWS - 1) / NSL_PDF_CHUNK_ROWS;
  int64_t end = (s->first_row + s->n_rows + NSL_PDF_CHUNK_ROWS - 1) / NSL_PDF_CHUNK_ROWS;
  /* The last chunk may need rows of the tiles behind. */
  for (size_t t = first_tile; t < end_tile || (c < end && t < s->set->n); t++) {
    int64_t tile_end = tiles[t].first_row + tiles[t].n_rows;
    if (!tiles[t].n_rows) { continue; }
    NSL_TRY(read_tile(s, t, NULL, err));
    if (t < end_tile) { s->body_hash[t - first_tile] = s->image.body_hash; }
    for (; c < end && c * NSL_PDF_CHUNK_ROWS < tile_end; c++) {
      NSL_TRY(add_part(s, c, err));
      int64_t chunk_end = (c + 1) * NSL_PDF_CHUNK_ROWS < s->set->n_rows ? (c + 1) * NSL_PDF_CHUNK_ROWS : s->set->n_rows;
      if (chunk_end > tile_end) { break; } /* the next tile goes on with it */
    }
  }
cleanup:
  return st;
}

nsl_status nsl_merge_stage_load(nsl_merge_stage *s, size_t tile, nsl_error *err)
{
  nsl_status st = read_tile(s, tile, &s->body_hash[tile - s->first_tile], err);
  if (st != NSL_OK) { return st; }
  take_columns(s, s->first_row);
  add_summary(s);
  return NSL_OK;
}

const unsigned char *nsl_merge_stage_chunk(const nsl_merge_stage *s, size_t k)
{
  nsl_merge_source from = s->source[k];
  if (from.tile == NSL_MERGE_MADE) { return s->made + from.at; }
  return from.tile == s->image_tile ? nsl_tile_image_chunk(&s->image, from.at) : NULL;
}

nsl_hash nsl_merge_block_hash(nsl_hash chunks, const nsl_rows *columns, size_t n)
{
  nsl_hash parts[65] = {chunks};
  for (int c = 0; c < nsl_n_row_columns; c++) {
    parts[1 + c] = nsl_hash_bytes(nsl_rows_column(columns, c), n * nsl_col_size(nsl_row_columns[c].type));
  }
  return nsl_hash_bytes(parts, (size_t)(1 + nsl_n_row_columns) * sizeof *parts);
}
