/* The index beside a catalogue: which tile files it was made of. One row a tile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/pipe/catalogue.h"

#define FORMAT "noslit-catalogue-index"
#define CHUNK_ROWS 16384

char *nsl_catalogue_sibling(const char *path, const char *suffix)
{
  size_t n = strlen(path), tail = strlen(".hdf5");
  if (n > tail && strcmp(path + n - tail, ".hdf5") == 0) { n -= tail; }
  return nsl_strf("%.*s%s", (int)n, path, suffix);
}

typedef enum { AS_I64, AS_INT, AS_HI_LO, AS_F64, AS_TEXT } column_kind;

typedef struct {
  const char *name;
  column_kind kind;
  size_t offset, size;
} column;

#define COLUMN(member, kind)                                                             \
  {                                                                                      \
#member, kind, offsetof(nsl_tile_head, member), sizeof(((nsl_tile_head *)0)->member) \
  }
static const column columns[] = {
    COLUMN(tile, AS_I64),          COLUMN(n_rows, AS_I64),       COLUMN(content_hash, AS_HI_LO),
    COLUMN(config_hash, AS_HI_LO), COLUMN(model_hash, AS_HI_LO), COLUMN(instrument_hash, AS_HI_LO),
    COLUMN(input_hash, AS_HI_LO),  COLUMN(attempts, AS_INT),     COLUMN(n_exposures_lost, AS_INT),
    COLUMN(wall_s, AS_F64),        COLUMN(cpu_s, AS_F64),        COLUMN(bytes_read, AS_I64),
    COLUMN(code_version, AS_TEXT), COLUMN(code_commit, AS_TEXT), COLUMN(blas_core, AS_TEXT),
    COLUMN(host, AS_TEXT),         COLUMN(libraries, AS_TEXT),   COLUMN(results_version, AS_INT),
    COLUMN(ranks, AS_INT),
};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

/* Packs one column of all heads into buffer (the widest is the text of the libraries). A hash becomes [n][2]: high and low word. */
static nsl_status write_column(nsl_h5 *f, const column *k, const nsl_tile_head *heads, size_t n, char *buffer, nsl_error *err)
{
  char name[80];
  snprintf(name, sizeof name, "/%s", k->name);
  for (size_t i = 0; i < n; i++) { memcpy(buffer + i * k->size, (const char *)&heads[i] + k->offset, k->size); }
  nsl_h5_layout layout = {.chunk_rows = CHUNK_ROWS, .deflate = 4, .shuffle = 1, .fletcher32 = 1};
  size_t dims[2] = {n, 2};
  switch (k->kind) {
  case AS_I64:
    return nsl_h5_write(f, name, NSL_H5_I64, 1, dims, buffer, &layout, err);
  case AS_INT:
    return nsl_h5_write(f, name, NSL_H5_I32, 1, dims, buffer, &layout, err);
  case AS_F64:
    return nsl_h5_write(f, name, NSL_H5_F64, 1, dims, buffer, &layout, err);
  case AS_HI_LO:
    return nsl_h5_write(f, name, NSL_H5_I64, 2, dims, buffer, &layout, err);
  case AS_TEXT:
    return nsl_h5_write_fixed_text(f, name, n, k->size, buffer, err);
  }
  return NSL_OK;
}

nsl_status nsl_catalogue_index_write(const char *catalogue, nsl_hash content_hash, const nsl_tile_head *heads, size_t n,
                                     nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char hex[NSL_HASH_HEX], *path = nsl_catalogue_sibling(catalogue, ".tiles.h5"), *temp = path ? nsl_temp_name(path, 0) : NULL;
  char *buffer = calloc(n ? n : 1, NSL_LIBRARIES_MAX);
  if (!temp || !buffer) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for its index", catalogue); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  nsl_hash_to_hex(content_hash, hex);
  NSL_TRY(nsl_h5_put_text(f, "/", "format", FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_CATALOGUE_VERSION, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "catalogue", nsl_path_base(catalogue), err));
  NSL_TRY(nsl_h5_put_text(f, "/", "content_hash", hex, err));
  for (int k = 0; k < N_COLUMNS; k++) { NSL_TRY(write_column(f, &columns[k], heads, n, buffer, err)); }
  NSL_TRY(nsl_h5_put_i64(f, "/", "complete", 1, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK && temp) { unlink(temp); }
  free(buffer);
  free(temp);
  free(path);
  return st;
}

nsl_status nsl_catalogue_index_read(const char *catalogue, nsl_hash content_hash, nsl_catalogue_tile **tiles, size_t *n,
                                    nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char want[NSL_HASH_HEX], *hash = NULL, *path = nsl_catalogue_sibling(catalogue, ".tiles.h5");
  int64_t *buffer = NULL;
  nsl_catalogue_tile *out = NULL;
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for its index", catalogue); }
  if (!nsl_file_exists(path)) { NSL_THROW(err, NSL_E_NOTFOUND, "%s: there is no index of %s", path, catalogue); }
  NSL_TRY(nsl_h5_open(path, &f, err));
  nsl_hash_to_hex(content_hash, want);
  if (nsl_h5_get_text(f, "/", "content_hash", &hash, NULL) != NSL_OK || strcmp(hash, want) != 0) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: is the index of another catalogue than %s", path, catalogue);
  }
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  NSL_TRY(nsl_h5_dims(f, "/tile", &rank, dims, err));
  size_t count = dims[0];
  buffer = malloc((count ? count : 1) * 4 * sizeof *buffer);
  out = malloc((count ? count : 1) * sizeof *out);
  if (!buffer || !out) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %zu tiles", path, count); }
  NSL_TRY(nsl_h5_read(f, "/tile", NSL_H5_I64, count, buffer, err));
  NSL_TRY(nsl_h5_read(f, "/n_rows", NSL_H5_I64, count, buffer + count, err));
  NSL_TRY(nsl_h5_read(f, "/content_hash", NSL_H5_I64, 2 * count, buffer + 2 * count, err));
  int64_t first = 0;
  for (size_t i = 0; i < count; i++) {
    const int64_t *words = buffer + 2 * count + 2 * i;
    out[i] = (nsl_catalogue_tile){buffer[i], first, buffer[count + i], {(uint64_t)words[0], (uint64_t)words[1]}};
    first += buffer[count + i];
  }
  *tiles = out;
  *n = count;
  out = NULL;
cleanup:
  nsl_h5_close(f, NULL);
  free(hash);
  free(path);
  free(buffer);
  free(out);
  return st;
}
