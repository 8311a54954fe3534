/* HDF5 datasets: numbers, whole or by rows. */
#include <stdlib.h>
#include <string.h>

#include "h5_internal.h"

static const size_t type_sizes[] = {
    [NSL_H5_F64] = 8, [NSL_H5_F32] = 4, [NSL_H5_I64] = 8, [NSL_H5_I32] = 4, [NSL_H5_U32] = 4, [NSL_H5_I16] = 2, [NSL_H5_U8] = 1};
static const char *const type_names[] = {
    [NSL_H5_F64] = "float64", [NSL_H5_F32] = "float32", [NSL_H5_I64] = "int64", [NSL_H5_I32] = "int32",
    [NSL_H5_U32] = "uint32",  [NSL_H5_I16] = "int16",   [NSL_H5_U8] = "uint8"};

size_t nsl_h5_type_size(nsl_h5_type type) { return type_sizes[type]; }

hid_t nsl_h5_native_type(nsl_h5_type type)
{
  switch (type) {
  case NSL_H5_F64:
    return H5T_NATIVE_DOUBLE;
  case NSL_H5_F32:
    return H5T_NATIVE_FLOAT;
  case NSL_H5_I64:
    return H5T_NATIVE_INT64;
  case NSL_H5_I32:
    return H5T_NATIVE_INT32;
  case NSL_H5_U32:
    return H5T_NATIVE_UINT32;
  case NSL_H5_I16:
    return H5T_NATIVE_INT16;
  case NSL_H5_U8:
    return H5T_NATIVE_UINT8;
  }
  return H5I_INVALID_HID;
}

/* Without this HDF5 clips silently: 70000 read as int16 would be 32767. */
static H5T_conv_ret_t refuse_loss(H5T_conv_except_t what, hid_t from, hid_t to, void *src, void *dst, void *arg)
{
  (void)from;
  (void)src;
  (void)dst;
  int into_integer = H5Tget_class(to) == H5T_INTEGER;
  if (what == H5T_CONV_EXCEPT_PRECISION ||
      (what != H5T_CONV_EXCEPT_RANGE_HI && what != H5T_CONV_EXCEPT_RANGE_LOW && !into_integer)) {
    return H5T_CONV_UNHANDLED;
  }
  *(int *)arg = 1;
  return H5T_CONV_ABORT;
}

/* Selects rows of the dataset: *file_space is the selection, *memory_space its shape. *row_elements is the size of a row. */
static nsl_status select_rows(nsl_h5 *f, const char *path, hid_t dataset, size_t first, size_t count, hid_t *file_space,
                              hid_t *memory_space, size_t *row_elements, nsl_error *err)
{
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  nsl_status st = nsl_h5_dims(f, path, &rank, dims, err);
  if (st != NSL_OK) { return st; }
  if (rank < 1) { return nsl_fail(err, NSL_E_FORMAT, "%s: %s: it is a scalar and has no rows", f->path, path); }
  if (first > dims[0] || count > dims[0] - first) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: %s: rows %zu to %zu are asked for, it has %zu", f->path, path, first, first + count,
                    dims[0]);
  }
  hsize_t start[NSL_H5_MAX_RANK] = {first}, extent[NSL_H5_MAX_RANK] = {count};
  *row_elements = 1;
  for (int i = 1; i < rank; i++) {
    extent[i] = dims[i];
    if (__builtin_mul_overflow(*row_elements, dims[i], row_elements)) { *row_elements = SIZE_MAX; }
  }
  *file_space = H5Dget_space(dataset);
  *memory_space = H5Screate_simple(rank, extent, NULL);
  if (*file_space < 0 || *memory_space < 0 || H5Sselect_hyperslab(*file_space, H5S_SELECT_SET, start, NULL, extent, NULL) < 0) {
    return nsl_h5_fail(err, NSL_E_BUG, f->path, path, "select rows");
  }
  return NSL_OK;
}

static nsl_status transfer_in(nsl_h5 *f, const char *path, hid_t dataset, nsl_h5_type type, hid_t memory_space, hid_t file_space,
                              void *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int lossy = 0;
  hid_t transfer = H5I_INVALID_HID;
  nsl_h5_kind kind = nsl_h5_kind_of(dataset);
  if (kind != NSL_H5_INTEGERS && kind != NSL_H5_REALS) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: %s: it does not hold numbers", f->path, path);
  }
  transfer = H5Pcreate(H5P_DATASET_XFER);
  if (transfer < 0 || H5Pset_type_conv_cb(transfer, refuse_loss, &lossy) < 0) {
    st = nsl_h5_fail(err, NSL_E_BUG, f->path, path, "set up reading");
    goto cleanup;
  }
  if (H5Dread(dataset, nsl_h5_native_type(type), memory_space, file_space, transfer, out) < 0) {
    if (lossy) { NSL_THROW(err, NSL_E_VALUE, "%s: %s: it holds a value that %s cannot hold", f->path, path, type_names[type]); }
    st = nsl_h5_fail(err, NSL_E_CORRUPT, f->path, path, "read");
  }
cleanup:
  if (transfer >= 0) { H5Pclose(transfer); }
  return st;
}

nsl_status nsl_h5_read(nsl_h5 *f, const char *path, nsl_h5_type type, size_t n, void *out, nsl_error *err)
{
  int rank;
  size_t dims[NSL_H5_MAX_RANK], total = 1;
  hid_t dataset;
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  NSL_TRY(nsl_h5_dims(f, path, &rank, dims, err));
  for (int i = 0; i < rank; i++) {
    if (__builtin_mul_overflow(total, dims[i], &total)) { total = SIZE_MAX; }
  }
  if (total != n) { NSL_THROW(err, NSL_E_FORMAT, "%s: %s: it has %zu elements where %zu are expected", f->path, path, total, n); }
  if (n) { st = transfer_in(f, path, dataset, type, H5S_ALL, H5S_ALL, out, err); }
cleanup:
  return st;
}

nsl_status nsl_h5_read_rows(nsl_h5 *f, const char *path, nsl_h5_type type, size_t row_elements, size_t first, size_t count,
                            void *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t found;
  hid_t dataset, file_space = H5I_INVALID_HID, memory_space = H5I_INVALID_HID;
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  NSL_TRY(select_rows(f, path, dataset, first, count, &file_space, &memory_space, &found, err));
  if (found != row_elements) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: %s: its rows have %zu elements where %zu are expected", f->path, path, found, row_elements);
  }
  if (count) { st = transfer_in(f, path, dataset, type, memory_space, file_space, out, err); }
cleanup:
  if (file_space >= 0) { H5Sclose(file_space); }
  if (memory_space >= 0) { H5Sclose(memory_space); }
  return st;
}

/* Chunks of whole rows, below HDF5's limit of 4 GiB each; none (so no filters) when there is nothing to hold. */
static int set_layout(hid_t properties, nsl_h5_type type, int rank, const size_t *dims, const nsl_h5_layout *layout)
{
  if (H5Pset_obj_track_times(properties, 0) < 0) { return -1; } /* the same data give the same bytes */
  if (!layout || !layout->chunk_rows || rank < 1) { return 0; }
  size_t row_bytes = nsl_h5_type_size(type), max_bytes = (size_t)1 << 30;
  hsize_t chunk[NSL_H5_MAX_RANK];
  for (int i = 0; i < rank; i++) {
    if (!dims[i]) { return 0; }
    chunk[i] = dims[i];
    if (i) { row_bytes *= dims[i]; }
  }
  size_t rows = layout->chunk_rows < dims[0] ? layout->chunk_rows : dims[0];
  if (rows > 1 && rows > max_bytes / row_bytes) { rows = max_bytes / row_bytes ? max_bytes / row_bytes : 1; }
  chunk[0] = rows;
  if (H5Pset_chunk(properties, rank, chunk) < 0) { return -1; }
  if (layout->shuffle && H5Pset_shuffle(properties) < 0) { return -1; }
  if (layout->deflate && H5Pset_deflate(properties, (unsigned)layout->deflate) < 0) { return -1; }
  return layout->fletcher32 ? H5Pset_fletcher32(properties) : 0;
}

nsl_status nsl_h5_create_rows(nsl_h5 *f, const char *path, nsl_h5_type type, int rank, const size_t *dims,
                              const nsl_h5_layout *layout, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t link = H5I_INVALID_HID, properties = H5I_INVALID_HID, space = H5I_INVALID_HID, dataset = H5I_INVALID_HID;
  hsize_t extent[NSL_H5_MAX_RANK];
  if (rank < 0 || rank > NSL_H5_MAX_RANK) { NSL_THROW(err, NSL_E_BUG, "%s: %s: rank %d", f->path, path, rank); }
  for (int i = 0; i < rank; i++) { extent[i] = dims[i]; }
  link = H5Pcreate(H5P_LINK_CREATE);
  properties = H5Pcreate(H5P_DATASET_CREATE);
  space = rank ? H5Screate_simple(rank, extent, NULL) : H5Screate(H5S_SCALAR);
  if (link < 0 || properties < 0 || space < 0 || H5Pset_create_intermediate_group(link, 1) < 0 ||
      set_layout(properties, type, rank, dims, layout) < 0 ||
      (dataset = H5Dcreate2(f->file, path, nsl_h5_native_type(type), space, link, properties, H5P_DEFAULT)) < 0) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "create this dataset");
  }
cleanup:
  if (dataset >= 0 && H5Dclose(dataset) < 0 && st == NSL_OK) { st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "close"); }
  if (space >= 0) { H5Sclose(space); }
  if (properties >= 0) { H5Pclose(properties); }
  if (link >= 0) { H5Pclose(link); }
  return st;
}

nsl_status nsl_h5_write(nsl_h5 *f, const char *path, nsl_h5_type type, int rank, const size_t *dims, const void *data,
                        const nsl_h5_layout *layout, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t dataset;
  NSL_TRY(nsl_h5_create_rows(f, path, type, rank, dims, layout, err));
  for (int i = 0; i < rank; i++) {
    if (!dims[i]) { goto cleanup; }
  }
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  if (H5Dwrite(dataset, nsl_h5_native_type(type), H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "write");
  } else {
    st = nsl_h5_written(f, path, err);
  }
cleanup:
  return st;
}

nsl_status nsl_h5_write_rows(nsl_h5 *f, const char *path, nsl_h5_type type, size_t first, size_t count, const void *data,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t row_elements;
  hid_t dataset, file_space = H5I_INVALID_HID, memory_space = H5I_INVALID_HID;
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  NSL_TRY(select_rows(f, path, dataset, first, count, &file_space, &memory_space, &row_elements, err));
  if (count && H5Dwrite(dataset, nsl_h5_native_type(type), memory_space, file_space, H5P_DEFAULT, data) < 0) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "write");
  } else {
    st = nsl_h5_written(f, path, err);
  }
cleanup:
  if (file_space >= 0) { H5Sclose(file_space); }
  if (memory_space >= 0) { H5Sclose(memory_space); }
  return st;
}
