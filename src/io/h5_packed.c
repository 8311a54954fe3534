/* Rows that go to the file already compressed: HDF5's own pipeline calls zlib, which with noise takes four times as long as ISA-L
 * for streams of the same size and format. */
#include <isa-l/igzip_lib.h>
#include <string.h>

#include "h5_internal.h"
#include "noslit/base/vectorised.h"

enum { LEVEL = 1, LEVEL_BYTES = ISAL_DEF_LVL1_DEFAULT, STORED_BLOCK = 65535, STORED_HEAD = 5, SPARE = 512 };

/* Of a size that compilers know they make vectors. */
NSL_VECTORISED static void shuffle_pairs(const unsigned char *in, size_t n, unsigned char *out) { nsl_h5_shuffle(in, n, 2, out); }

/* Whether a chunk of the dataset is one row that shuffle and deflate alone have gone over. */
static int is_packable(hid_t dataset)
{
  hid_t properties = H5Dget_create_plist(dataset);
  hsize_t chunk[NSL_H5_MAX_RANK];
  unsigned flags, config;
  int ok = properties >= 0 && H5Pget_layout(properties) == H5D_CHUNKED && H5Pget_chunk(properties, NSL_H5_MAX_RANK, chunk) > 0 &&
           chunk[0] == 1 && H5Pget_nfilters(properties) == 2 &&
           H5Pget_filter2(properties, 0, &flags, NULL, NULL, 0, NULL, &config) == H5Z_FILTER_SHUFFLE &&
           H5Pget_filter2(properties, 1, &flags, NULL, NULL, 0, NULL, &config) == H5Z_FILTER_DEFLATE;
  if (properties >= 0) { H5Pclose(properties); }
  return ok;
}

/* What cannot be packed is stored, in blocks with a head each. */
size_t nsl_h5_packed_bound(nsl_h5_type type, size_t n)
{
  size_t bytes = n * nsl_h5_type_size(type);
  return bytes + STORED_HEAD * (bytes / STORED_BLOCK + 1) + SPARE;
}

size_t nsl_h5_pack_room(nsl_h5_type type, size_t n) { return LEVEL_BYTES + n * nsl_h5_type_size(type); }

size_t nsl_h5_pack(nsl_h5_type type, size_t n, const void *data, void *room, void *packed)
{
  size_t size = nsl_h5_type_size(type), bound = nsl_h5_packed_bound(type, n);
  unsigned char *shuffled = (unsigned char *)room + LEVEL_BYTES;
  if (size == 2) {
    shuffle_pairs(data, n, shuffled);
  } else if (size > 1) {
    nsl_h5_shuffle(data, n, size, shuffled);
  } else {
    memcpy(shuffled, data, n); /* ISA-L does not take a const input */
  }
  struct isal_zstream z;
  isal_deflate_stateless_init(&z);
  z.level = LEVEL;
  z.level_buf = room;
  z.level_buf_size = LEVEL_BYTES;
  z.gzip_flag = IGZIP_ZLIB;
  z.end_of_stream = 1;
  z.next_in = shuffled;
  z.avail_in = (uint32_t)(n * size);
  z.next_out = packed;
  z.avail_out = (uint32_t)bound;
  isal_deflate_stateless(&z); /* cannot fail: level and sizes are right, and the output has room for whatever comes */
  return z.total_out;
}

nsl_status nsl_h5_write_packed(nsl_h5 *f, const char *path, size_t row, const void *packed, size_t bytes, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  hid_t dataset;
  hsize_t at[NSL_H5_MAX_RANK] = {row};
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  NSL_TRY(nsl_h5_dims(f, path, &rank, dims, err));
  if (rank < 1 || row >= dims[0] || (row == 0 && !is_packable(dataset))) {
    NSL_THROW(err, NSL_E_BUG, "%s: %s: row %zu cannot be written packed", f->path, path, row);
  }
  if (H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, at, bytes, packed) < 0) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "write");
  } else {
    st = nsl_h5_written(f, path, err);
  }
cleanup:
  return st;
}
