/* Reads stamp files into packed memory, rank by rank a stripe, and unpacks single stamps. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "pipe/stamp_file_layout.h"

struct nsl_stamp_reader {
  int rank, size;
  int version; /* of the shard being read */
  nsl_band band[NSL_STAMP_BANDS];
  size_t n, capacity, total; /* stamps kept; total: of all ranks */
  nsl_stamp_record *records; /* [n] */
  size_t *index;             /* [n] position in the whole sequence */
  nsl_stamp_block *blocks;   /* [n / BLOCK], planes of kept stamps in order */
  size_t n_blocks;
  nsl_hasher *hasher;
};

void nsl_stamp_reader_close(nsl_stamp_reader *r)
{
  if (!r) { return; }
  for (size_t i = 0; i < r->n_blocks; i++) { nsl_stamp_block_free(&r->blocks[i]); }
  free(r->blocks);
  free(r->records);
  free(r->index);
  if (r->hasher) { nsl_hasher_free(r->hasher); }
  free(r);
}

size_t nsl_stamp_reader_count(const nsl_stamp_reader *r) { return r->n; }
size_t nsl_stamp_reader_total(const nsl_stamp_reader *r) { return r->total; }
size_t nsl_stamp_reader_index(const nsl_stamp_reader *r, size_t i) { return r->index[i]; }
const nsl_stamp_label *nsl_stamp_reader_label(const nsl_stamp_reader *r, size_t i) { return &r->records[i].label; }
const nsl_band *nsl_stamp_reader_bands(const nsl_stamp_reader *r) { return r->band; }
nsl_hash nsl_stamp_reader_hash(const nsl_stamp_reader *r) { return nsl_hasher_value(r->hasher); }

void nsl_stamp_reader_get(const nsl_stamp_reader *r, size_t i, nsl_stamp *stamp)
{
  const nsl_stamp_record *rec = &r->records[i];
  const nsl_stamp_block *block = &r->blocks[i / NSL_STAMPS_BLOCK];
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    size_t to = (size_t)b * NSL_STAMP_PLANE, from = i % NSL_STAMPS_BLOCK * NSL_STAMP_PIXELS + to;
    nsl_stamp_unpack_band(block->flux + from, block->variance + from, block->contamination + from, &rec->scale[b], stamp->flux + to,
                          stamp->variance + to, stamp->contamination + to);
  }
  stamp->source_id = rec->label.source_id;
  memcpy(stamp->band, rec->band, sizeof stamp->band);
  stamp->flags = rec->flags;
  stamp->re_px = rec->re_px;
  stamp->q = rec->q;
  stamp->pa_x_deg = rec->pa_x_deg;
  stamp->sersic_n = rec->sersic_n;
}

/* Format, version, grids and record hashes of an open shard. */
static nsl_status read_head(nsl_stamp_reader *r, nsl_h5 *f, const char *first_path, size_t *n, nsl_hash *content, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *format = NULL, *hex = NULL, *difference = NULL;
  int64_t version = 0, count = 0;
  if (nsl_h5_get_text(f, "/", "format", &format, NULL) != NSL_OK || strcmp(format, NSL_STAMPS_FORMAT) != 0) {
    NSL_THROW(err, NSL_E_FORMAT, "not a stamp file: make one with `noslit simulate --stamps`");
  }
  NSL_TRY(nsl_h5_get_i64(f, "/", "version", &version, err));
  if (version < 1 || version > NSL_STAMPS_VERSION) {
    NSL_THROW(err, NSL_E_FORMAT, "stamp file version %lld, this program reads up to %d: make the stamps again", (long long)version,
              NSL_STAMPS_VERSION);
  }
  NSL_TRY(nsl_h5_get_i64(f, "/", "n_stamps", &count, err));
  NSL_TRY(nsl_h5_get_text(f, "/", "content_hash", &hex, err));
  if (count < 0 || !nsl_hash_from_hex(hex, content)) {
    NSL_THROW(err, NSL_E_CORRUPT, "n_stamps %lld, content_hash '%s': make the file again", (long long)count, hex);
  }
  nsl_band band[NSL_STAMP_BANDS];
  NSL_TRY(nsl_bands_get(f, band, err));
  if (first_path) {
    difference = nsl_bands_difference(band, r->band);
    if (difference) { NSL_THROW(err, NSL_E_MISMATCH, "%s as in %s: do not mix stamps of two instruments", difference, first_path); }
  }
  memcpy(r->band, band, sizeof band);
  r->version = (int)version;
  *n = (size_t)count;
cleanup:
  free(format);
  free(hex);
  free(difference);
  return st;
}

/* Room for n more records and their planes. */
static int reserve(nsl_stamp_reader *r, size_t n)
{
  size_t need = r->n + n, blocks_needed = (need + NSL_STAMPS_BLOCK - 1) / NSL_STAMPS_BLOCK;
  nsl_stamp_record *records = realloc(r->records, (need + 1) * sizeof *records);
  if (records) { r->records = records; }
  size_t *index = realloc(r->index, (need + 1) * sizeof *index);
  if (index) { r->index = index; }
  nsl_stamp_block *blocks = realloc(r->blocks, (blocks_needed + 1) * sizeof *blocks);
  if (blocks) { r->blocks = blocks; }
  if (!records || !index || !blocks) { return 0; }
  while (r->n_blocks < blocks_needed) {
    if (!nsl_stamp_block_alloc(&blocks[r->n_blocks], NSL_STAMPS_BLOCK)) { return 0; }
    r->n_blocks++;
  }
  return 1;
}

/* Rows [first, first+count) of the shard to stamps r->n.. which must lie in one block. */
static nsl_status read_planes(nsl_stamp_reader *r, nsl_h5 *f, size_t first, size_t count, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_stamp_block *b = &r->blocks[r->n / NSL_STAMPS_BLOCK];
  size_t slot = r->n % NSL_STAMPS_BLOCK, at = slot * NSL_STAMP_PIXELS;
  NSL_TRY(nsl_h5_read_rows(f, "/flux", NSL_H5_I16, NSL_STAMP_PIXELS, first, count, b->flux + at, err));
  NSL_TRY(nsl_h5_read_rows(f, "/variance", NSL_H5_U8, NSL_STAMP_PIXELS, first, count, b->variance + at, err));
  NSL_TRY(nsl_h5_read_rows(f, "/contamination", NSL_H5_U8, NSL_STAMP_PIXELS, first, count, b->contamination + at, err));
  for (size_t i = 0; i < count; i++) {
    if (nsl_stamp_record_hash(r->version, &r->records[r->n + i], b, slot + i) != r->records[r->n + i].hash) {
      NSL_THROW(err, NSL_E_CORRUPT, "stamp %zu does not match its hash: make the file again", first + i);
    }
  }
cleanup:
  return st;
}

static nsl_status check_content(const nsl_stamp_reader *r, const nsl_stamp_record *all, size_t n, nsl_hash content, nsl_error *err)
{
  int64_t *hashes = malloc((n + 1) * sizeof *hashes);
  if (!hashes) { return nsl_fail(err, NSL_E_NOMEM, "hashes of %zu stamps", n); }
  for (size_t i = 0; i < n; i++) { hashes[i] = all[i].hash; }
  nsl_hash found = nsl_stamps_content_hash(r->band, hashes, n);
  free(hashes);
  if (nsl_hash_equal(found, content)) { return NSL_OK; }
  return nsl_fail(err, NSL_E_CORRUPT, "content hash does not match: make the file again");
}

/* Appends this rank's stamps of one shard. first_path: the shard whose grids all must have, NULL for the first one. */
static nsl_status read_shard(nsl_stamp_reader *r, const char *path, const char *first_path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  nsl_stamp_record *all = NULL;
  size_t n = 0;
  nsl_hash content;
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(read_head(r, f, first_path, &n, &content, err));
  all = calloc(n + 1, sizeof *all);
  if (!all || !reserve(r, n / (size_t)r->size + 1)) {
    NSL_THROW(err, NSL_E_NOMEM, "%zu stamps of %zu kB: use more nodes or fewer stamps", n, 4 * NSL_STAMP_PIXELS / 1000);
  }
  NSL_TRY(nsl_stamp_records_read(f, r->version, all, n, err));
  NSL_TRY(check_content(r, all, n, content, err));
  size_t size = (size_t)r->size, skip = ((size_t)r->rank + size - r->total % size) % size;
  for (size_t i = skip; i < n;) {
    size_t room = NSL_STAMPS_BLOCK - r->n % NSL_STAMPS_BLOCK, count = 1;
    if (size == 1) { count = n - i < room ? n - i : room; }
    for (size_t k = 0; k < count; k++) {
      r->records[r->n + k] = all[i + k];
      r->index[r->n + k] = r->total + i + k;
    }
    NSL_TRY(read_planes(r, f, i, count, err));
    r->n += count;
    i += size == 1 ? count : size;
  }
  r->total += n;
  nsl_hasher_add(r->hasher, &content, sizeof content);
cleanup:
  nsl_h5_close(f, NULL);
  free(all);
  return st == NSL_OK ? st : nsl_error_context(err, st, "%s", path);
}

nsl_status nsl_stamp_reader_open(const char *const *paths, size_t n_paths, int rank, int size, nsl_stamp_reader **out,
                                 nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_stamp_reader *r = calloc(1, sizeof *r);
  if (!r) { NSL_THROW(err, NSL_E_NOMEM, "stamp reader"); }
  r->rank = rank;
  r->size = size;
  r->hasher = nsl_hasher_new();
  if (!r->hasher) { NSL_THROW(err, NSL_E_NOMEM, "stamp reader"); }
  for (size_t i = 0; i < n_paths; i++) { NSL_TRY(read_shard(r, paths[i], i > 0 ? paths[0] : NULL, err)); }
  *out = r;
  r = NULL;
cleanup:
  nsl_stamp_reader_close(r);
  return st;
}
