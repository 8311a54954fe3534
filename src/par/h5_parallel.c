#include "par/h5_parallel.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

struct nsl_h5p {
  hid_t file, transfer;
  int rank;
  char *path;
};

static herr_t keep_deepest(unsigned n, const H5E_error2_t *e, void *out)
{
  (void)n;
  if (!e->desc || !e->desc[0]) { return 0; }
  snprintf(out, NSL_ERROR_TEXT_MAX, "%s", e->desc);
  return 1;
}

static nsl_status fail(nsl_error *err, const char *file, const char *object, const char *what)
{
  char reason[NSL_ERROR_TEXT_MAX] = "";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_deepest, reason);
  H5Eclear2(H5E_DEFAULT);
  reason[strcspn(reason, "\n")] = '\0';
  nsl_status st = strstr(reason, "No space left") || strstr(reason, "MPI_ERR_NO_SPACE") ? NSL_E_NOSPACE : NSL_E_IO;
  return nsl_fail(err, st, "%s%s%s: cannot %s: %s", file, object ? ": " : "", object ? object : "", what,
                  reason[0] ? reason : "HDF5 gives no reason");
}

static hid_t native_type(nsl_h5_type type)
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

nsl_status nsl_h5p_create(const char *path, nsl_h5p **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t access = H5I_INVALID_HID;
  nsl_h5p *f = calloc(1, sizeof *f);
  if (!f || !(f->path = nsl_strdup(path))) {
    free(f);
    return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", path);
  }
  MPI_Comm_rank(MPI_COMM_WORLD, &f->rank);
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
  f->file = H5I_INVALID_HID;
  f->transfer = H5Pcreate(H5P_DATASET_XFER);
  access = H5Pcreate(H5P_FILE_ACCESS);
  /* Metadata by collective calls only: with HDF5's default, distributed metadata writes have hung (facts G 3). */
  if (f->transfer < 0 || access < 0 || H5Pset_dxpl_mpio(f->transfer, H5FD_MPIO_COLLECTIVE) < 0 ||
      H5Pset_fapl_mpio(access, MPI_COMM_WORLD, MPI_INFO_NULL) < 0 || H5Pset_coll_metadata_write(access, 1) < 0 ||
      H5Pset_all_coll_metadata_ops(access, 1) < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
      (f->file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access)) < 0) {
    st = fail(err, path, NULL, "create");
  }
  if (access >= 0) { H5Pclose(access); }
  if (st != NSL_OK) {
    if (f->transfer >= 0) { H5Pclose(f->transfer); }
    free(f->path);
    free(f);
    return st;
  }
  *out = f;
  return NSL_OK;
}

nsl_status nsl_h5p_close(nsl_h5p *f, nsl_error *err)
{
  if (!f) { return NSL_OK; }
  nsl_status st = NSL_OK;
  if (H5Fflush(f->file, H5F_SCOPE_GLOBAL) < 0) { st = fail(err, f->path, NULL, "write"); }
  if (H5Fclose(f->file) < 0 && st == NSL_OK) { st = fail(err, f->path, NULL, "close"); }
  H5Pclose(f->transfer);
  free(f->path);
  free(f);
  return st;
}

nsl_status nsl_h5p_group(nsl_h5p *f, const char *path, nsl_error *err)
{
  hid_t g = H5Gcreate2(f->file, path, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  if (g < 0 || H5Gclose(g) < 0) { return fail(err, f->path, path, "create this group"); }
  return NSL_OK;
}

static hid_t creation_properties(int rank, const size_t *dims, size_t chunk_rows, int deflate)
{
  hid_t p = H5Pcreate(H5P_DATASET_CREATE);
  /* Every chunk is written once, whole: fill values would double the work. */
  if (p < 0 || H5Pset_obj_track_times(p, 0) < 0 || H5Pset_fill_time(p, H5D_FILL_TIME_NEVER) < 0) { return H5I_INVALID_HID; }
  if (!chunk_rows || !dims[0]) { return p; }
  hsize_t chunk[NSL_H5_MAX_RANK];
  for (int i = 0; i < rank; i++) { chunk[i] = dims[i]; }
  chunk[0] = chunk_rows < dims[0] ? chunk_rows : dims[0];
  if (H5Pset_chunk(p, rank, chunk) < 0 || H5Pset_shuffle(p) < 0 || (deflate && H5Pset_deflate(p, (unsigned)deflate) < 0) ||
      H5Pset_fletcher32(p) < 0) {
    return H5I_INVALID_HID;
  }
  return p;
}

nsl_status nsl_h5p_create_rows(nsl_h5p *f, const char *path, nsl_h5_type type, int rank, const size_t *dims, size_t chunk_rows,
                               int deflate, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hsize_t extent[NSL_H5_MAX_RANK];
  for (int i = 0; i < rank; i++) { extent[i] = dims[i]; }
  hid_t p = creation_properties(rank, dims, chunk_rows, deflate), space = H5Screate_simple(rank, extent, NULL), d = H5I_INVALID_HID;
  if (p < 0 || space < 0 || (d = H5Dcreate2(f->file, path, native_type(type), space, H5P_DEFAULT, p, H5P_DEFAULT)) < 0 ||
      H5Dclose(d) < 0) {
    st = fail(err, f->path, path, "create this dataset");
  }
  if (space >= 0) { H5Sclose(space); }
  if (p >= 0) { H5Pclose(p); }
  return st;
}

nsl_status nsl_h5p_write_rows(nsl_h5p *f, const char *path, nsl_h5_type type, size_t first, size_t count, const void *data,
                              nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t d = H5Dopen2(f->file, path, H5P_DEFAULT), file_space = H5I_INVALID_HID, memory_space = H5I_INVALID_HID;
  hsize_t extent[NSL_H5_MAX_RANK], start[NSL_H5_MAX_RANK] = {first};
  int rank = 0;
  if (d < 0 || (file_space = H5Dget_space(d)) < 0 || (rank = H5Sget_simple_extent_dims(file_space, extent, NULL)) < 1) {
    st = fail(err, f->path, path, "open");
    goto cleanup;
  }
  if (!extent[0]) { goto cleanup; } /* nothing for anyone: the same on every rank */
  extent[0] = count ? count : 1;
  memory_space = H5Screate_simple(rank, extent, NULL);
  herr_t selected = count                            ? H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, extent, NULL)
                    : H5Sselect_none(file_space) < 0 ? -1
                                                     : H5Sselect_none(memory_space);
  if (memory_space < 0 || selected < 0 || H5Dwrite(d, native_type(type), memory_space, file_space, f->transfer, data) < 0) {
    st = fail(err, f->path, path, "write");
  }
cleanup:
  if (memory_space >= 0) { H5Sclose(memory_space); }
  if (file_space >= 0) { H5Sclose(file_space); }
  if (d >= 0 && H5Dclose(d) < 0 && st == NSL_OK) { st = fail(err, f->path, path, "close"); }
  return st;
}

nsl_status nsl_h5p_write(nsl_h5p *f, const char *path, nsl_h5_type type, int rank, const size_t *dims, const void *data,
                         nsl_error *err)
{
  nsl_status st = nsl_h5p_create_rows(f, path, type, rank, dims, 0, 0, err);
  if (st != NSL_OK) { return st; }
  return nsl_h5p_write_rows(f, path, type, 0, f->rank == 0 ? dims[0] : 0, data, err);
}

nsl_status nsl_h5p_write_fixed_text(nsl_h5p *f, const char *path, size_t n, size_t size, const char *data, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hsize_t extent = n;
  hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, &extent, NULL), d = H5I_INVALID_HID;
  hid_t p = creation_properties(1, &n, 0, 0);
  if (type < 0 || space < 0 || p < 0 || H5Tset_size(type, size) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
      (d = H5Dcreate2(f->file, path, type, space, H5P_DEFAULT, p, H5P_DEFAULT)) < 0 ||
      (f->rank != 0 && H5Sselect_none(space) < 0) || H5Dwrite(d, type, space, space, f->transfer, data) < 0) {
    st = fail(err, f->path, path, "write");
  }
  if (d >= 0) { H5Dclose(d); }
  if (p >= 0) { H5Pclose(p); }
  if (space >= 0) { H5Sclose(space); }
  if (type >= 0) { H5Tclose(type); }
  return st;
}

static nsl_status put(nsl_h5p *f, const char *path, const char *key, hid_t type, const void *value, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t space = H5Screate(H5S_SCALAR), a = H5I_INVALID_HID;
  if (space < 0 || (a = H5Acreate_by_name(f->file, path, key, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
      H5Awrite(a, type, value) < 0) {
    st = fail(err, f->path, key, "write this attribute");
  }
  if (a >= 0) { H5Aclose(a); }
  if (space >= 0) { H5Sclose(space); }
  return st;
}

nsl_status nsl_h5p_put_text(nsl_h5p *f, const char *path, const char *key, const char *v, nsl_error *err)
{
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0 || H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
    return fail(err, f->path, key, "make the type of this attribute");
  }
  nsl_status st = put(f, path, key, type, &v, err);
  H5Tclose(type);
  return st;
}

nsl_status nsl_h5p_put_f64(nsl_h5p *f, const char *path, const char *key, double v, nsl_error *err)
{
  return put(f, path, key, H5T_NATIVE_DOUBLE, &v, err);
}

nsl_status nsl_h5p_put_i64(nsl_h5p *f, const char *path, const char *key, int64_t v, nsl_error *err)
{
  return put(f, path, key, H5T_NATIVE_INT64, &v, err);
}
