/* HDF5 files: open, create, close, and what the library's error stack says. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "h5_internal.h"
#include "noslit/base/str.h"

static herr_t keep_deepest(unsigned n, const H5E_error2_t *e, void *out)
{
  (void)n;
  if (!e->desc || !e->desc[0]) { return 0; }
  snprintf(out, NSL_ERROR_TEXT_MAX, "%s", e->desc);
  return 1;
}

static int errno_in(const char *text)
{
  int found = 0;
  for (const char *p = text; (p = strstr(p, "errno = ")); p++) { found = atoi(p + strlen("errno = ")); }
  return found;
}

nsl_status nsl_h5_fail(nsl_error *err, nsl_status otherwise, const char *file, const char *object, const char *what)
{
  char reason[NSL_ERROR_TEXT_MAX] = "";
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_deepest, reason);
  H5Eclear2(H5E_DEFAULT);
  for (char *p = reason; *p; p++) {
    if (*p == '\n') { *p = ' '; }
  }
  const char *gap = object ? ": " : "";
  if (!object) { object = ""; }
  int e = errno_in(reason);
  if (e) { return nsl_fail_errno(err, e, "%s%s%s: cannot %s", file, gap, object, what); }
  return nsl_fail(err, otherwise, "%s%s%s: cannot %s: %s", file, gap, object, what, reason[0] ? reason : "HDF5 gives no reason");
}

nsl_status nsl_h5_written(nsl_h5 *f, const char *object, nsl_error *err)
{
  if (!f->writing.first_errno) { return NSL_OK; }
  return nsl_fail_errno(err, f->writing.first_errno, "%s%s%s: cannot write", f->path, object ? ": " : "", object ? object : "");
}

static nsl_status open_file(const char *path, int create, nsl_h5 **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t access = H5I_INVALID_HID;
  nsl_h5 *f = calloc(1, sizeof *f);
  char *copy = nsl_strdup(path);
  if (!f || !copy) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* at every opening: H5close() turns the printing on again */
  f->driver = H5I_INVALID_HID;
  access = H5Pcreate(H5P_FILE_ACCESS);
  if (create && access >= 0) { f->driver = nsl_h5_set_writing_driver(access, &f->writing); }
  /* No locks: many shared file systems refuse them, and files are published whole under unique temporary names. */
  if (access < 0 || (create ? f->driver < 0 : H5Pset_fapl_sec2(access) < 0) || H5Pset_file_locking(access, 0, 1) < 0 ||
      H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0) {
    st = nsl_h5_fail(err, NSL_E_BUG, path, NULL, "set up HDF5");
    goto cleanup;
  }
  f->writable = create;
  f->file = create ? H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access) : H5Fopen(path, H5F_ACC_RDONLY, access);
  if (f->file < 0) {
    if (f->writing.first_errno) {
      st = nsl_fail_errno(err, f->writing.first_errno, "%s: cannot create", path);
      goto cleanup;
    }
    st = nsl_h5_fail(err, create ? NSL_E_IO : NSL_E_CORRUPT, path, NULL, create ? "create as HDF5" : "open as HDF5");
    goto cleanup;
  }
  f->path = copy;
  copy = NULL;
  *out = f;
  f = NULL;
cleanup:
  if (access >= 0) { H5Pclose(access); }
  if (f && f->driver >= 0) { H5FDunregister(f->driver); }
  free(copy);
  free(f);
  return st;
}

nsl_status nsl_h5_open(const char *path, nsl_h5 **out, nsl_error *err) { return open_file(path, 0, out, err); }

nsl_status nsl_h5_create(const char *path, nsl_h5 **out, nsl_error *err) { return open_file(path, 1, out, err); }

nsl_status nsl_h5_drop_datasets(nsl_h5 *f, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int i = 0; i < NSL_H5_OPEN_DATASETS; i++) {
    if (!f->open[i].path) { continue; }
    if (H5Dclose(f->open[i].id) < 0 && st == NSL_OK) { st = nsl_h5_fail(err, NSL_E_IO, f->path, f->open[i].path, "close"); }
    free(f->open[i].path);
    f->open[i].path = NULL;
  }
  return st;
}

nsl_status nsl_h5_close(nsl_h5 *f, nsl_error *err)
{
  if (!f) { return NSL_OK; }
  nsl_status st = nsl_h5_drop_datasets(f, err);
  ssize_t left = H5Fget_obj_count(f->file, H5F_OBJ_ALL | H5F_OBJ_LOCAL);
  if (st == NSL_OK && left != 1) {
    st = nsl_fail(err, NSL_E_BUG, "%s: %zd HDF5 objects are still open at its closing", f->path, left - 1);
  }
  if (f->writable && H5Fflush(f->file, H5F_SCOPE_GLOBAL) < 0 && st == NSL_OK) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, NULL, "write");
  }
  if (H5Fclose(f->file) < 0 && st == NSL_OK) { st = nsl_h5_fail(err, NSL_E_IO, f->path, NULL, "close"); }
  if (f->driver >= 0) { H5FDunregister(f->driver); }
  if (f->writing.first_errno) { st = nsl_h5_written(f, NULL, err); } /* the cause of whatever went wrong after it */
  free(f->path);
  free(f);
  return st;
}

void nsl_h5_shutdown(void) { H5close(); }
