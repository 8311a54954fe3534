/* HDF5 datasets whose bytes are stored and taken as they are: where they stand, and chunks without filters. */
#include <string.h>

#include "h5_internal.h"
#include "noslit/io/h5_chunk.h"

enum { USUAL_LEVEL = 1 }; /* what a reader is told; any level reads any deflated chunk */

static nsl_status create(nsl_h5 *f, const char *path, hid_t type, hid_t space, hid_t properties, int is_ready, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t link = H5Pcreate(H5P_LINK_CREATE), dataset = H5I_INVALID_HID;
  if (!is_ready || link < 0 || H5Pset_create_intermediate_group(link, 1) < 0 ||
      (dataset = H5Dcreate2(f->file, path, type, space, link, properties, H5P_DEFAULT)) < 0) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "create this dataset");
  }
  if (dataset >= 0 && H5Dclose(dataset) < 0 && st == NSL_OK) { st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "close"); }
  if (space >= 0) { H5Sclose(space); }
  if (properties >= 0) { H5Pclose(properties); }
  if (link >= 0) { H5Pclose(link); }
  return st == NSL_OK ? nsl_h5_written(f, path, err) : st;
}

nsl_status nsl_h5_create_chunked(nsl_h5 *f, const char *path, size_t rows, size_t row_elements, size_t chunk_rows, nsl_error *err)
{
  const hsize_t extent[2] = {rows, row_elements}, most[2] = {H5S_UNLIMITED, row_elements}, chunk[2] = {chunk_rows, row_elements};
  hid_t p = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(2, extent, rows ? most : NULL);
  int ready = p >= 0 && space >= 0 && H5Pset_obj_track_times(p, 0) >= 0 && H5Pset_fill_time(p, H5D_FILL_TIME_NEVER) >= 0;
  if (ready && rows) { ready = H5Pset_chunk(p, 2, chunk) >= 0 && H5Pset_shuffle(p) >= 0 && H5Pset_deflate(p, USUAL_LEVEL) >= 0; }
  return create(f, path, H5T_NATIVE_FLOAT, space, p, ready, err);
}

nsl_status nsl_h5_put_chunk(nsl_h5 *f, const char *path, size_t first_row, const void *bytes, size_t n, int64_t *address,
                            nsl_error *err)
{
  hid_t dataset;
  nsl_status st = nsl_h5_dataset(f, path, &dataset, err);
  if (st != NSL_OK) { return st; }
  const hsize_t at[2] = {first_row, 0};
  f->writing.hold_raw = !bytes;
  f->writing.raw_address = -1;
  /* What is held is not looked at: any pointer will do. */
  herr_t done = H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, at, n, bytes ? bytes : f);
  f->writing.hold_raw = 0;
  if (done < 0 || f->writing.raw_address < 0) { return nsl_h5_fail(err, NSL_E_IO, f->path, path, "store a chunk"); }
  if (address) { *address = f->writing.raw_address; }
  return nsl_h5_written(f, path, err);
}

nsl_status nsl_h5_get_chunk(nsl_h5 *f, const char *path, size_t first_row, void *out, size_t capacity, size_t *n, nsl_error *err)
{
  hid_t dataset;
  nsl_status st = nsl_h5_dataset(f, path, &dataset, err);
  if (st != NSL_OK) { return st; }
  const hsize_t at[2] = {first_row, 0};
  hsize_t bytes = 0;
  uint32_t mask = 0;
  if (H5Dget_chunk_storage_size(dataset, at, &bytes) < 0 || !bytes || bytes > capacity ||
      H5Dread_chunk(dataset, H5P_DEFAULT, at, &mask, out) < 0 || mask) {
    return nsl_h5_fail(err, NSL_E_CORRUPT, f->path, path, "take a chunk");
  }
  *n = bytes;
  return NSL_OK;
}

nsl_status nsl_h5_allot_column(nsl_h5 *f, const char *path, nsl_h5_type type, size_t n, int64_t *address, nsl_error *err)
{
  const hsize_t extent = n;
  hid_t p = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(1, &extent, NULL);
  int ready = p >= 0 && space >= 0 && H5Pset_obj_track_times(p, 0) >= 0 && H5Pset_fill_time(p, H5D_FILL_TIME_NEVER) >= 0 &&
              H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY) >= 0;
  nsl_status st = create(f, path, nsl_h5_native_type(type), space, p, ready, err);
  return st == NSL_OK ? nsl_h5_address(f, path, address, err) : st;
}

nsl_status nsl_h5_address(nsl_h5 *f, const char *path, int64_t *address, nsl_error *err)
{
  hid_t dataset;
  int rank;
  size_t dims[NSL_H5_MAX_RANK] = {0};
  nsl_status st = nsl_h5_dataset(f, path, &dataset, err);
  if (st == NSL_OK) { st = nsl_h5_dims(f, path, &rank, dims, err); }
  if (st != NSL_OK) { return st; }
  *address = -1;
  if (!rank || !dims[0]) { return NSL_OK; }
  haddr_t at = H5Dget_offset(dataset);
  if (at == HADDR_UNDEF) { return nsl_h5_fail(err, NSL_E_BUG, f->path, path, "find its place"); }
  *address = (int64_t)at;
  return NSL_OK;
}
