/* HDF5 datasets of strings. */
#include <stdlib.h>
#include <string.h>

#include "h5_internal.h"

nsl_h5_kind nsl_h5_kind_of(hid_t dataset)
{
  hid_t type = H5Dget_type(dataset);
  if (type < 0) { return NSL_H5_OTHER; }
  H5T_class_t cls = H5Tget_class(type);
  H5Tclose(type);
  switch (cls) {
  case H5T_STRING:
    return NSL_H5_STRINGS;
  case H5T_FLOAT:
    return NSL_H5_REALS;
  case H5T_INTEGER:
  case H5T_ENUM:
    return NSL_H5_INTEGERS; /* h5py writes booleans as enumerations */
  default:
    return NSL_H5_OTHER;
  }
}

static hid_t fixed_text_type(size_t size)
{
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type >= 0 && (H5Tset_size(type, size ? size : 1) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0)) {
    H5Tclose(type);
    type = H5I_INVALID_HID;
  }
  return type;
}

nsl_status nsl_h5_write_fixed_text(nsl_h5 *f, const char *path, size_t n, size_t size, const char *data, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hsize_t extent = n;
  hid_t dataset = H5I_INVALID_HID, link = H5Pcreate(H5P_LINK_CREATE), properties = H5Pcreate(H5P_DATASET_CREATE);
  hid_t type = fixed_text_type(size), space = H5Screate_simple(1, &extent, NULL);
  if (link < 0 || properties < 0 || type < 0 || space < 0 || H5Pset_create_intermediate_group(link, 1) < 0 ||
      H5Pset_obj_track_times(properties, 0) < 0 ||
      (dataset = H5Dcreate2(f->file, path, type, space, link, properties, H5P_DEFAULT)) < 0 ||
      (n && H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "write");
  }
  if (dataset >= 0 && H5Dclose(dataset) < 0 && st == NSL_OK) { st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "close"); }
  if (space >= 0) { H5Sclose(space); }
  if (type >= 0) { H5Tclose(type); }
  if (properties >= 0) { H5Pclose(properties); }
  if (link >= 0) { H5Pclose(link); }
  return st;
}

static void copy_text(char *out, size_t size, const char *text, size_t n)
{
  n = text ? strnlen(text, n) : 0;
  if (n > size - 1) { n = size - 1; }
  if (n) { memcpy(out, text, n); }
  while (n && out[n - 1] == ' ') { n--; }
  out[n] = '\0';
}

nsl_status nsl_h5_read_text_rows(nsl_h5 *f, const char *path, size_t first, size_t count, char *out, size_t size, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t dataset, type = H5I_INVALID_HID, file_space = H5I_INVALID_HID, memory_space = H5I_INVALID_HID;
  int rank, variable = 0, filled = 0;
  size_t dims[NSL_H5_MAX_RANK];
  hsize_t start = first, extent = count;
  void *buffer = NULL;
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  NSL_TRY(nsl_h5_dims(f, path, &rank, dims, err));
  if (rank != 1 || first > dims[0] || count > dims[0] - first || nsl_h5_kind_of(dataset) != NSL_H5_STRINGS) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: %s: it is not a column of %zu or more strings", f->path, path, first + count);
  }
  if (!count) { goto cleanup; }
  type = H5Dget_type(dataset);
  file_space = H5Dget_space(dataset);
  memory_space = H5Screate_simple(1, &extent, NULL);
  variable = H5Tis_variable_str(type) > 0;
  size_t width = H5Tget_size(type), bytes;
  if (!width || __builtin_mul_overflow(width, count, &bytes) || !(buffer = calloc(1, bytes))) {
    NSL_THROW(err, NSL_E_NOMEM, "%s: %s: no memory for %zu strings", f->path, path, count);
  }
  if (file_space < 0 || memory_space < 0 || H5Sselect_hyperslab(file_space, H5S_SELECT_SET, &start, NULL, &extent, NULL) < 0 ||
      H5Dread(dataset, type, memory_space, file_space, H5P_DEFAULT, buffer) < 0) {
    st = nsl_h5_fail(err, NSL_E_CORRUPT, f->path, path, "read");
    goto cleanup;
  }
  filled = 1;
  for (size_t i = 0; i < count; i++) {
    const char *text = variable ? ((char **)buffer)[i] : (char *)buffer + i * width;
    copy_text(out + i * size, size, text, variable ? SIZE_MAX : width);
  }
cleanup:
  if (filled && variable) { H5Dvlen_reclaim(type, memory_space, H5P_DEFAULT, buffer); }
  free(buffer);
  if (memory_space >= 0) { H5Sclose(memory_space); }
  if (file_space >= 0) { H5Sclose(file_space); }
  if (type >= 0) { H5Tclose(type); }
  return st;
}
