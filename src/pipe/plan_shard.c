/* Source files of the plan: all catalogued sources of one Dir of tiles, sorted by tile and identifier. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

enum { R_RA, R_DEC, R_MAG, R_RE, R_Q, R_PA, R_SERSIC_N, R_STAR, N_REAL };
#define REAL_COLUMNS "ra_deg,dec_deg,mag,re_arcsec,q,pa_deg,sersic_n,is_star"

char *nsl_plan_shard_path(const char *folder, int64_t dir, const char *kind)
{
  return nsl_strf("%s/Dir=%lld.%s.h5", folder, (long long)dir, kind);
}

static void pack(const nsl_source *s, double *r)
{
  r[R_RA] = s->ra_deg;
  r[R_DEC] = s->dec_deg;
  r[R_MAG] = s->mag;
  r[R_RE] = s->shape.re_arcsec;
  r[R_Q] = s->shape.q;
  r[R_PA] = s->shape.pa_deg;
  r[R_SERSIC_N] = s->shape.sersic_n;
  r[R_STAR] = s->is_star;
}

static nsl_source unpack(int64_t id, const double *r)
{
  nsl_source s;
  memset(&s, 0, sizeof s);
  s.id = id;
  s.ra_deg = r[R_RA];
  s.dec_deg = r[R_DEC];
  s.mag = r[R_MAG];
  s.shape = (nsl_shape){r[R_RE], r[R_Q], r[R_PA], r[R_SERSIC_N]};
  s.is_star = r[R_STAR] != 0;
  return s;
}

static nsl_status no_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the plan's sources"); }

static nsl_status write_columns(nsl_h5 *f, const nsl_plan_source *sources, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n_tiles = 0;
  int64_t *id = calloc(n + 1, sizeof *id), *tile = calloc(n + 1, 3 * sizeof *tile);
  double *real = calloc(n + 1, N_REAL * sizeof *real);
  if (!id || !tile || !real) {
    st = no_memory(err);
    goto cleanup;
  }
  for (size_t i = 0; i < n; i++) {
    id[i] = sources[i].source.id;
    pack(&sources[i].source, real + i * N_REAL);
    if (i == 0 || sources[i].tile != sources[i - 1].tile) {
      tile[3 * n_tiles] = sources[i].tile;
      tile[3 * n_tiles + 1] = (int64_t)i;
      n_tiles++;
    }
    tile[3 * (n_tiles - 1) + 2]++;
  }
  NSL_TRY(nsl_h5_write(f, "/id", NSL_H5_I64, 1, &n, id, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/real", NSL_H5_F64, 2, (size_t[]){n, N_REAL}, real, NULL, err));
  NSL_TRY(nsl_h5_put_text(f, "/real", "columns", REAL_COLUMNS, err));
  NSL_TRY(nsl_h5_write(f, "/tile", NSL_H5_I64, 2, (size_t[]){n_tiles, 3}, tile, NULL, err));
  NSL_TRY(nsl_h5_put_text(f, "/tile", "columns", "tile,first,count", err));
cleanup:
  free(id);
  free(tile);
  free(real);
  return st;
}

nsl_status nsl_shard_write_sources(const char *folder, int64_t dir, const nsl_plan_source *sources, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char *path = nsl_plan_shard_path(folder, dir, "sources"), *temp = path ? nsl_temp_name(path, 0) : NULL;
  if (!temp) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  st = write_columns(f, sources, n, err);
  nsl_status closed = nsl_h5_close(f, st == NSL_OK ? err : NULL);
  if (st == NSL_OK) { st = closed; }
  if (st == NSL_OK) {
    st = nsl_publish(temp, path, err);
  } else {
    remove(temp);
  }
cleanup:
  free(path);
  free(temp);
  return st;
}

/* --- reading --- */

enum { SHARDS_OPEN = 4, TILES_CACHED = 256 };

typedef struct {
  int64_t dir;   /* -1: free */
  nsl_h5 *file;  /* NULL: no such file, the Dir holds no source */
  int64_t *tile; /* [n][3] */
  int64_t *tile_ids;
  size_t n;
  uint64_t used;
} shard;

typedef struct {
  nsl_tile_id tile; /* -1: free */
  nsl_source *sources;
  size_t n;
} block;

struct nsl_source_reader {
  char *folder;
  uint64_t clock;
  shard shards[SHARDS_OPEN];
  block blocks[TILES_CACHED];
};

nsl_status nsl_source_reader_new(const char *folder, nsl_source_reader **out, nsl_error *err)
{
  nsl_source_reader *r = calloc(1, sizeof *r);
  if (!r || !(r->folder = nsl_strdup(folder))) {
    free(r);
    return no_memory(err);
  }
  for (int i = 0; i < SHARDS_OPEN; i++) { r->shards[i].dir = -1; }
  for (int i = 0; i < TILES_CACHED; i++) { r->blocks[i].tile = -1; }
  *out = r;
  return NSL_OK;
}

static void close_shard(shard *s)
{
  nsl_h5_close(s->file, NULL);
  free(s->tile);
  free(s->tile_ids);
  *s = (shard){.dir = -1};
}

void nsl_source_reader_free(nsl_source_reader *r)
{
  if (!r) { return; }
  for (int i = 0; i < SHARDS_OPEN; i++) { close_shard(&r->shards[i]); }
  for (int i = 0; i < TILES_CACHED; i++) { free(r->blocks[i].sources); }
  free(r->folder);
  free(r);
}

static nsl_status open_shard(const nsl_source_reader *r, int64_t dir, shard *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  char *path = nsl_plan_shard_path(r->folder, dir, "sources");
  if (!path) {
    st = no_memory(err);
    goto cleanup;
  }
  s->dir = dir;
  if (!nsl_file_exists(path)) { goto cleanup; }
  NSL_TRY(nsl_h5_open(path, &s->file, err));
  NSL_TRY(nsl_h5_dims(s->file, "/tile", &rank, dims, err));
  if (rank != 2 || dims[1] != 3) { NSL_THROW(err, NSL_E_CORRUPT, "%s: not a source file of a plan; run `noslit plan`", path); }
  s->n = dims[0];
  s->tile = calloc(s->n + 1, 3 * sizeof *s->tile);
  s->tile_ids = calloc(s->n + 1, sizeof *s->tile_ids);
  if (!s->tile || !s->tile_ids) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_read(s->file, "/tile", NSL_H5_I64, 3 * s->n, s->tile, err));
  for (size_t i = 0; i < s->n; i++) { s->tile_ids[i] = s->tile[3 * i]; }
cleanup:
  if (st != NSL_OK) { close_shard(s); }
  free(path);
  return st;
}

static nsl_status find_shard(nsl_source_reader *r, int64_t dir, shard **out, nsl_error *err)
{
  shard *oldest = &r->shards[0];
  for (int i = 0; i < SHARDS_OPEN; i++) {
    shard *s = &r->shards[i];
    if (s->dir == dir) {
      s->used = ++r->clock;
      *out = s;
      return NSL_OK;
    }
    if (s->used < oldest->used) { oldest = s; }
  }
  close_shard(oldest);
  nsl_status st = open_shard(r, dir, oldest, err);
  oldest->used = ++r->clock;
  *out = oldest;
  return st;
}

static int by_tile(const void *key, const void *entry)
{
  int64_t k = *(const int64_t *)key, e = *(const int64_t *)entry;
  return k < e ? -1 : k > e;
}

static nsl_status load_block(nsl_source_reader *r, nsl_tile_id tile, block *b, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t *id = NULL;
  double *real = NULL;
  shard *s;
  free(b->sources);
  *b = (block){.tile = -1};
  NSL_TRY(find_shard(r, nsl_plan_dir(tile), &s, err));
  const int64_t *entry = s->n ? bsearch(&tile, s->tile, s->n, 3 * sizeof *s->tile, by_tile) : NULL;
  size_t n = entry ? (size_t)entry[2] : 0;
  if (n) {
    id = calloc(n, sizeof *id);
    real = calloc(n, N_REAL * sizeof *real);
    b->sources = calloc(n, sizeof *b->sources);
    if (!id || !real || !b->sources) {
      st = no_memory(err);
      goto cleanup;
    }
    NSL_TRY(nsl_h5_read_rows(s->file, "/id", NSL_H5_I64, 1, (size_t)entry[1], n, id, err));
    NSL_TRY(nsl_h5_read_rows(s->file, "/real", NSL_H5_F64, N_REAL, (size_t)entry[1], n, real, err));
    for (size_t i = 0; i < n; i++) { b->sources[i] = unpack(id[i], real + i * N_REAL); }
  }
  b->tile = tile;
  b->n = n;
cleanup:
  free(id);
  free(real);
  return st;
}

nsl_status nsl_source_reader_get(nsl_source_reader *r, nsl_tile_id tile, const nsl_source **sources, size_t *n, nsl_error *err)
{
  block *b = &r->blocks[tile % TILES_CACHED];
  if (b->tile != tile) {
    nsl_status st = load_block(r, tile, b, err);
    if (st != NSL_OK) { return st; }
  }
  *sources = b->sources;
  *n = b->n;
  return NSL_OK;
}

nsl_status nsl_source_reader_tiles(nsl_source_reader *r, int64_t dir, const int64_t **tiles, size_t *n, nsl_error *err)
{
  shard *s;
  nsl_status st = find_shard(r, dir, &s, err);
  if (st != NSL_OK) { return st; }
  *tiles = s->tile_ids;
  *n = s->n;
  return NSL_OK;
}
