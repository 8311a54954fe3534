/* Writes stamp files. Stamps stay packed in memory until the end, so that a file is published whole or not at all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/made_by.h"
#include "pipe/stamp_file_layout.h"

struct nsl_stamp_writer {
  char *path, *provenance;
  nsl_band band[NSL_STAMP_BANDS];
  char instrument[NSL_HASH_HEX];
  size_t n, capacity; /* records */
  nsl_stamp_record *records;
  size_t n_blocks;
  nsl_stamp_block *blocks;
};

static void free_writer(nsl_stamp_writer *w)
{
  for (size_t i = 0; i < w->n_blocks; i++) { nsl_stamp_block_free(&w->blocks[i]); }
  free(w->blocks);
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
  if (!w->path || !w->provenance) {
    free_writer(w);
    return nsl_fail(err, NSL_E_NOMEM, "%s: stamp file", path);
  }
  *out = w;
  return NSL_OK;
}

/* Room for one more record and its planes. */
static int grow(nsl_stamp_writer *w)
{
  if (w->n < w->capacity) { return 1; }
  nsl_stamp_record *records = realloc(w->records, (w->capacity + NSL_STAMPS_BLOCK) * sizeof *records);
  if (!records) { return 0; }
  w->records = records;
  nsl_stamp_block *blocks = realloc(w->blocks, (w->n_blocks + 1) * sizeof *blocks);
  if (!blocks) { return 0; }
  w->blocks = blocks;
  if (!nsl_stamp_block_alloc(&blocks[w->n_blocks], NSL_STAMPS_BLOCK)) { return 0; }
  w->n_blocks++;
  w->capacity += NSL_STAMPS_BLOCK;
  return 1;
}

nsl_status nsl_stamp_writer_add(nsl_stamp_writer *w, const nsl_stamp *stamp, const nsl_stamp_label *label, nsl_error *err)
{
  if (!grow(w)) { return nsl_fail(err, NSL_E_NOMEM, "%s: stamp %zu", w->path, w->n); }
  nsl_stamp_record *r = &w->records[w->n];
  const nsl_stamp_block *block = &w->blocks[w->n / NSL_STAMPS_BLOCK];
  size_t slot = w->n % NSL_STAMPS_BLOCK;
  memset(r, 0, sizeof *r);
  r->label = *label;
  memcpy(r->band, stamp->band, sizeof r->band);
  r->flags = stamp->flags;
  r->re_px = stamp->re_px;
  r->q = stamp->q;
  r->pa_x_deg = stamp->pa_x_deg;
  r->sersic_n = stamp->sersic_n;
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    size_t from = (size_t)b * NSL_STAMP_PLANE, to = slot * NSL_STAMP_PIXELS + from;
    nsl_status st = nsl_stamp_pack_band(stamp->flux + from, stamp->variance + from, stamp->contamination + from, block->flux + to,
                                        block->variance + to, block->contamination + to, &r->scale[b], err);
    if (st != NSL_OK) {
      return nsl_error_context(err, st, "%s: stamp of source %lld, %s", w->path, (long long)label->source_id, w->band[b].name);
    }
  }
  r->hash = nsl_stamp_record_hash(NSL_STAMPS_VERSION, r, block, slot);
  w->n++;
  return NSL_OK;
}

/* The three plane datasets, block by block. */
static nsl_status write_planes(nsl_h5 *f, const nsl_stamp_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const size_t dims[4] = {w->n, NSL_STAMP_BANDS, NSL_STAMP_NY, NSL_STAMP_NX};
  const nsl_h5_layout layout = {.chunk_rows = 1, .deflate = 1, .shuffle = 1, .fletcher32 = 1};
  NSL_TRY(nsl_h5_create_rows(f, "/flux", NSL_H5_I16, 4, dims, &layout, err));
  NSL_TRY(nsl_h5_create_rows(f, "/variance", NSL_H5_U8, 4, dims, &layout, err));
  NSL_TRY(nsl_h5_create_rows(f, "/contamination", NSL_H5_U8, 4, dims, &layout, err));
  for (size_t k = 0; k < w->n_blocks; k++) {
    size_t first = k * NSL_STAMPS_BLOCK;
    size_t count = w->n - first < NSL_STAMPS_BLOCK ? w->n - first : NSL_STAMPS_BLOCK;
    if (count == 0) { break; }
    NSL_TRY(nsl_h5_write_rows(f, "/flux", NSL_H5_I16, first, count, w->blocks[k].flux, err));
    NSL_TRY(nsl_h5_write_rows(f, "/variance", NSL_H5_U8, first, count, w->blocks[k].variance, err));
    NSL_TRY(nsl_h5_write_rows(f, "/contamination", NSL_H5_U8, first, count, w->blocks[k].contamination, err));
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
