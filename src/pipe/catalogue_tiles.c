/* The catalogue by tiles: where each tile's rows stand, and what they hash to. */
#include <stdlib.h>
#include <string.h>

#include "noslit/pipe/catalogue.h"

#define WINDOW_ROWS 16384
#define COLUMN_ROWS (1 << 20)

nsl_hash nsl_catalogue_hash(int order, const nsl_catalogue_tile *tiles, size_t n)
{
  nsl_hash total;
  int64_t start[2] = {NSL_CATALOGUE_VERSION, order};
  total = nsl_hash_bytes(start, sizeof start);
  for (size_t i = 0; i < n; i++) {
    if (!tiles[i].n_rows) { continue; } /* a tile without rows leaves no trace in the catalogue */
    uint64_t link[6] = {
        total.hi, total.lo, (uint64_t)tiles[i].tile, (uint64_t)tiles[i].n_rows, tiles[i].content_hash.hi, tiles[i].content_hash.lo};
    total = nsl_hash_bytes(link, sizeof link);
  }
  return total;
}

nsl_status nsl_catalogue_find_tiles(nsl_catalogue *c, nsl_catalogue_tile **tiles, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t rows = nsl_catalogue_rows(c), *column = malloc(COLUMN_ROWS * sizeof *column);
  size_t capacity = 64, count = 0;
  nsl_catalogue_tile *found = malloc(capacity * sizeof *found);
  if (!found || !column) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the catalogue's tiles"); }
  for (int64_t first = 0; first < rows; first += COLUMN_ROWS) {
    int64_t block = rows - first < COLUMN_ROWS ? rows - first : COLUMN_ROWS;
    NSL_TRY(nsl_h5_read_rows(nsl_catalogue_file(c), "/ancil/tile", NSL_H5_I64, 1, (size_t)first, (size_t)block, column, err));
    for (int64_t i = 0; i < block; i++) {
      if (count && found[count - 1].tile == column[i]) {
        found[count - 1].n_rows++;
        continue;
      }
      if (count && found[count - 1].tile > column[i]) {
        NSL_THROW(err, NSL_E_CORRUPT, "row %lld: tile %lld comes after tile %lld; the catalogue is not in order",
                  (long long)(first + i), (long long)column[i], (long long)found[count - 1].tile);
      }
      if (count == capacity) {
        nsl_catalogue_tile *more = realloc(found, 2 * capacity * sizeof *found);
        if (!more) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the catalogue's tiles"); }
        found = more;
        capacity *= 2;
      }
      found[count++] = (nsl_catalogue_tile){column[i], first + i, 1, {0, 0}};
    }
  }
  *tiles = found;
  *n = count;
  found = NULL;
cleanup:
  free(found);
  free(column);
  return st;
}

nsl_status nsl_catalogue_visit(nsl_catalogue *c, const nsl_catalogue_tile *tiles, size_t n, nsl_tile_seen *see, void *ctx,
                               nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  for (size_t i = 0; i < n;) {
    size_t end = i + 1;
    while (end < n && tiles[end].first_row == tiles[end - 1].first_row + tiles[end - 1].n_rows &&
           tiles[end].first_row + tiles[end].n_rows - tiles[i].first_row <= WINDOW_ROWS) {
      end++;
    }
    int64_t first = tiles[i].first_row, last = tiles[end - 1].first_row + tiles[end - 1].n_rows;
    NSL_TRY(nsl_catalogue_read(c, first, last - first, 1, &rows, err));
    for (; i < end; i++) {
      nsl_hash hash;
      size_t at = (size_t)(tiles[i].first_row - first), count = (size_t)tiles[i].n_rows;
      NSL_TRY(nsl_tile_content_hash(nsl_catalogue_order(c), tiles[i].tile, &rows, at, count, &hash, err));
      if (see) { NSL_TRY(see(ctx, i, hash, &rows, at, count, err)); }
    }
    nsl_rows_free(&rows);
  }
cleanup:
  nsl_rows_free(&rows);
  return st;
}
