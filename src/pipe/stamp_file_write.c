/* Writes stamp files. Stamps stay in memory, packed, until the end, so that a file is published whole or not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/made_by.h"
#include "pipe/stamp_file_layout.h"

enum { PLANES = 3 };

static const struct {
  const char *path;
  nsl_h5_type type;
} planes[PLANES] = {{"/flux", NSL_H5_I16}, {"/variance", NSL_H5_U8}, {"/contamination", NSL_H5_U8}};

struct nsl_stamp_writer {
  char *path, *provenance;
  nsl_band band[NSL_STAMP_BANDS];
  char instrument[NSL_HASH_HEX];
  size_t n, capacity; /* records */
  nsl_stamp_record *records;
  size_t (*end)[PLANES]; /* [n] of each stamp's packed planes in bytes, one after the other */
  unsigned char *bytes;
  size_t bytes_capacity;
  nsl_stamp_block one; /* the planes being packed */
  unsigned char *room;
};

static void free_writer(nsl_stamp_writer *w)
{
  nsl_stamp_block_free(&w->one);
  free(w->room);
  free(w->bytes);
  free(w->end);
  free(w->records);
  free(w->provenance);
  free(w->path);
  free(w);
}

nsl_status nsl_stamp_writer_new(const char *path, const nsl_instrument *inst, const char *provenance_json, nsl_stamp_writer **out,
                                nsl_error *err)
{
  nsl_stamp_writer *w = calloc(1, sizeof *w);
  if (!w) { return nsl_fail(err, NSL_E_NOMEM, "%s: stamp file", path); }
  w->path = nsl_strdup(path);
  w->provenance = nsl_strdup(provenance_json ? provenance_json : "{}");
  for (int b = 0; b < NSL_STAMP_BANDS; b++) { w->band[b] = inst->bands[inst->stamp_band[b]]; }
  nsl_hash_to_hex(inst->hash, w->instrument);
  w->room = malloc(nsl_h5_pack_room(NSL_H5_I16, NSL_STAMP_PIXELS)); /* of the widest plane */
  if (!w->path || !w->provenance || !w->room || !nsl_stamp_block_alloc(&w->one, 1)) {
    free_writer(w);
    return nsl_fail(err, NSL_E_NOMEM, "%s: stamp file", path);
  }
  *out = w;
  return NSL_OK;
}

static size_t bytes_used(const nsl_stamp_writer *w) { return w->n ? w->end[w->n - 1][PLANES - 1] : 0; }

/* Room for one more record and its planes. */
static int grow(nsl_stamp_writer *w)
{
  size_t need = bytes_used(w);
  for (int k = 0; k < PLANES; k++) { need += nsl_h5_packed_bound(planes[k].type, NSL_STAMP_PIXELS); }
  if (need > w->bytes_capacity) {
    unsigned char *bytes = realloc(w->bytes, need + need / 2);
    if (!bytes) { return 0; }
    w->bytes = bytes;
    w->bytes_capacity = need + need / 2;
  }
  if (w->n < w->capacity) { return 1; }
  size_t capacity = w->capacity + NSL_STAMPS_BLOCK;
  nsl_stamp_record *records = realloc(w->records, capacity * sizeof *records);
  if (records) { w->records = records; }
  size_t(*end)[PLANES] = realloc(w->end, capacity * sizeof *end);
  if (end) { w->end = end; }
  if (!records || !end) { return 0; }
  w->capacity = capacity;
  return 1;
}

static void pack_planes(nsl_stamp_writer *w)
{
  const void *plane[PLANES] = {w->one.flux, w->one.variance, w->one.contamination};
  size_t at = bytes_used(w);
  for (int k = 0; k < PLANES; k++) {
    at += nsl_h5_pack(planes[k].type, NSL_STAMP_PIXELS, plane[k], w->room, w->bytes + at);
    w->end[w->n][k] = at;
  }
}

nsl_status nsl_stamp_writer_add(nsl_stamp_writer *w, const nsl_stamp *stamp, const nsl_stamp_label *label, nsl_error *err)
{
  if (!grow(w)) { return nsl_fail(err, NSL_E_NOMEM, "%s: stamp %zu", w->path, w->n); }
  nsl_stamp_record *r = &w->records[w->n];
  const nsl_stamp_block *block = &w->one;
  memset(r, 0, sizeof *r);
  r->label = *label;
  memcpy(r->band, stamp->band, sizeof r->band);
  r->flags = stamp->flags;
  r->re_px = stamp->re_px;
  r->q = stamp->q;
  r->pa_x_deg = stamp->pa_x_deg;
  r->sersic_n = stamp->sersic_n;
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    size_t at = (size_t)b * NSL_STAMP_PLANE;
    nsl_status st = nsl_stamp_pack_band(stamp->flux + at, stamp->variance + at, stamp->contamination + at, block->flux + at,
                                        block->variance + at, block->contamination + at, &r->scale[b], err);
    if (st != NSL_OK) {
      return nsl_error_context(err, st, "%s: stamp of source %lld, %s", w->path, (long long)label->source_id, w->band[b].name);
    }
  }
  r->hash = nsl_stamp_record_hash(NSL_STAMPS_VERSION, r, block, 0);
  pack_planes(w);
  w->n++;
  return NSL_OK;
}

static nsl_status write_planes(nsl_h5 *f, const nsl_stamp_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const size_t dims[4] = {w->n, NSL_STAMP_BANDS, NSL_STAMP_NY, NSL_STAMP_NX};
  const nsl_h5_layout layout = {.chunk_rows = 1, .deflate = 1, .shuffle = 1};
  for (int k = 0; k < PLANES; k++) { NSL_TRY(nsl_h5_create_rows(f, planes[k].path, planes[k].type, 4, dims, &layout, err)); }
  for (size_t i = 0, at = 0; i < w->n; i++) {
    for (int k = 0; k < PLANES; k++) {
      NSL_TRY(nsl_h5_write_packed(f, planes[k].path, i, w->bytes + at, w->end[i][k] - at, err));
      at = w->end[i][k];
    }
  }
cleanup:
  return st;
}

static nsl_status write_head(nsl_h5 *f, const nsl_stamp_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char hex[NSL_HASH_HEX];
  int64_t *hashes = malloc((w->n + 1) * sizeof *hashes);
  if (!hashes) { NSL_THROW(err, NSL_E_NOMEM, "hashes of %zu stamps", w->n); }
  for (size_t i = 0; i < w->n; i++) { hashes[i] = w->records[i].hash; }
  nsl_hash_to_hex(nsl_stamps_content_hash(w->band, hashes, w->n), hex);
  NSL_TRY(nsl_h5_put_text(f, "/", "format", NSL_STAMPS_FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_STAMPS_VERSION, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_stamps", (int64_t)w->n, err));
  NSL_TRY(nsl_bands_put(f, w->band, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "instrument_hash", w->instrument, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "provenance", w->provenance, err));
  NSL_TRY(nsl_made_by_h5(f, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "content_hash", hex, err));
cleanup:
  free(hashes);
  return st;
}

nsl_status nsl_stamp_writer_finish(nsl_stamp_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char *temp = nsl_temp_name(w->path, 0);
  if (!temp) { NSL_THROW(err, NSL_E_NOMEM, "%s: name of a temporary file", w->path); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(write_planes(f, w, err));
  NSL_TRY(nsl_stamp_records_write(f, w->records, w->n, err));
  NSL_TRY(write_head(f, w, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
  NSL_TRY(nsl_publish(temp, w->path, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK && temp) { remove(temp); }
  free(temp);
  free_writer(w);
  return st;
}

void nsl_stamp_writer_discard(nsl_stamp_writer *w)
{
  if (w) { free_writer(w); }
}
