/* HDF5 attributes: text and numbers, scalar. Text is written with a fixed length as long as an object header can hold it:
 * HDF5 1.10 crashes or hangs in the heap of variable-length strings when a file is damaged there. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "h5_internal.h"
#include "noslit/base/str.h"

/* "<object>: attribute '<key>'" for messages; the caller frees. */
static char *place_of(const char *path, const char *key) { return nsl_strf("%s: attribute '%s'", path, key); }

static nsl_status fail_at(nsl_error *err, nsl_status otherwise, nsl_h5 *f, const char *path, const char *key, const char *what)
{
  char *place = place_of(path, key);
  nsl_status st = nsl_h5_fail(err, otherwise, f->path, place ? place : path, what);
  free(place);
  return st;
}

static nsl_status put(nsl_h5 *f, const char *path, const char *key, hid_t type, const void *value, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t space = H5I_INVALID_HID, attribute = H5I_INVALID_HID;
  if (!nsl_h5_exists(f, path)) {
    NSL_THROW(err, NSL_E_NOTFOUND, "%s: it has no '%s' to put the attribute '%s' on", f->path, path, key);
  }
  htri_t there = H5Aexists_by_name(f->file, path, key, H5P_DEFAULT);
  if (there < 0 || (there && H5Adelete_by_name(f->file, path, key, H5P_DEFAULT) < 0) || (space = H5Screate(H5S_SCALAR)) < 0 ||
      (attribute = H5Acreate_by_name(f->file, path, key, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
      H5Awrite(attribute, type, value) < 0) {
    st = fail_at(err, NSL_E_IO, f, path, key, "write");
  }
cleanup:
  if (attribute >= 0) { H5Aclose(attribute); }
  if (space >= 0) { H5Sclose(space); }
  return st;
}

enum { MAX_FIXED_TEXT = 60000 }; /* a header message has at most 64 KiB */

static nsl_status put_text(nsl_h5 *f, const char *path, const char *key, const char *v, int fixed, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = strlen(v);
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type < 0 ||
      H5Tset_size(type, !fixed ? H5T_VARIABLE
                        : n    ? n
                               : 1) < 0 ||
      H5Tset_cset(type, H5T_CSET_UTF8) < 0 || H5Tset_strpad(type, fixed ? H5T_STR_NULLPAD : H5T_STR_NULLTERM) < 0) {
    st = fail_at(err, NSL_E_BUG, f, path, key, "make its type");
    goto cleanup;
  }
  st = put(f, path, key, type, fixed ? (const void *)v : (const void *)&v, err);
cleanup:
  if (type >= 0) { H5Tclose(type); }
  return st;
}

nsl_status nsl_h5_put_text(nsl_h5 *f, const char *path, const char *key, const char *v, nsl_error *err)
{
  return put_text(f, path, key, v, strlen(v) <= MAX_FIXED_TEXT, err);
}

nsl_status nsl_h5_put_string(nsl_h5 *f, const char *path, const char *key, const char *v, nsl_error *err)
{
  return put_text(f, path, key, v, 0, err);
}

nsl_status nsl_h5_put_f64(nsl_h5 *f, const char *path, const char *key, double v, nsl_error *err)
{
  return put(f, path, key, H5T_NATIVE_DOUBLE, &v, err);
}

nsl_status nsl_h5_put_i64(nsl_h5 *f, const char *path, const char *key, int64_t v, nsl_error *err)
{
  return put(f, path, key, H5T_NATIVE_INT64, &v, err);
}

/* An attribute opened for reading: one value of one type. An empty one (H5S_NULL) has is_null. */
typedef struct {
  hid_t id, type;
  H5T_class_t cls;
  int is_null;
} attribute_view;

static void view_close(attribute_view *a)
{
  if (a->type >= 0) { H5Tclose(a->type); }
  if (a->id >= 0) { H5Aclose(a->id); }
}

static nsl_status view_open(nsl_h5 *f, const char *path, const char *key, attribute_view *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t space = H5I_INVALID_HID;
  *a = (attribute_view){.id = H5I_INVALID_HID, .type = H5I_INVALID_HID};
  if (!nsl_h5_exists(f, path)) { NSL_THROW(err, NSL_E_NOTFOUND, "%s: it has no '%s'", f->path, path); }
  htri_t there = H5Aexists_by_name(f->file, path, key, H5P_DEFAULT);
  if (!there) { NSL_THROW(err, NSL_E_NOTFOUND, "%s: %s: it has no attribute '%s'", f->path, path, key); }
  if (there < 0 || (a->id = H5Aopen_by_name(f->file, path, key, H5P_DEFAULT, H5P_DEFAULT)) < 0 ||
      (a->type = H5Aget_type(a->id)) < 0 || (space = H5Aget_space(a->id)) < 0) {
    st = fail_at(err, NSL_E_CORRUPT, f, path, key, "open");
    goto cleanup;
  }
  a->cls = H5Tget_class(a->type);
  a->is_null = H5Sget_simple_extent_type(space) == H5S_NULL;
  if (!a->is_null && H5Sget_simple_extent_npoints(space) != 1) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: %s: attribute '%s' is not one value", f->path, path, key);
  }
cleanup:
  if (space >= 0) { H5Sclose(space); }
  if (st != NSL_OK) {
    view_close(a);
    a->id = a->type = H5I_INVALID_HID;
  }
  return st;
}

nsl_status nsl_h5_get_text(nsl_h5 *f, const char *path, const char *key, char **v, nsl_error *err)
{
  nsl_status st = NSL_OK;
  attribute_view a;
  char *fixed = NULL, *variable = NULL;
  NSL_TRY(view_open(f, path, key, &a, err));
  if (a.cls != H5T_STRING) { NSL_THROW(err, NSL_E_FORMAT, "%s: %s: attribute '%s' is not text", f->path, path, key); }
  if (!a.is_null && H5Tis_variable_str(a.type) > 0) {
    if (H5Aread(a.id, a.type, &variable) < 0) {
      st = fail_at(err, NSL_E_CORRUPT, f, path, key, "read");
      goto cleanup;
    }
  } else if (!a.is_null) {
    size_t size = H5Tget_size(a.type);
    fixed = calloc(1, size + 1);
    if (!fixed) { NSL_THROW(err, NSL_E_NOMEM, "%s: %s: no memory for the attribute '%s'", f->path, path, key); }
    if (H5Aread(a.id, a.type, fixed) < 0) {
      st = fail_at(err, NSL_E_CORRUPT, f, path, key, "read");
      goto cleanup;
    }
    if (H5Tget_strpad(a.type) == H5T_STR_SPACEPAD) {
      while (size && fixed[size - 1] == ' ') { fixed[--size] = '\0'; }
    }
  }
  char *text = nsl_strdup(fixed ? fixed : variable ? variable : "");
  if (!text) { NSL_THROW(err, NSL_E_NOMEM, "%s: %s: no memory for the attribute '%s'", f->path, path, key); }
  *v = text;
cleanup:
  free(fixed);
  if (variable) { H5free_memory(variable); }
  view_close(&a);
  return st;
}

/* Integers come as int64, floats as double; *is_float says which. */
static nsl_status get_number(nsl_h5 *f, const char *path, const char *key, int64_t *integer, double *real, int *is_float,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  attribute_view a;
  NSL_TRY(view_open(f, path, key, &a, err));
  if (a.is_null || (a.cls != H5T_INTEGER && a.cls != H5T_FLOAT && a.cls != H5T_ENUM)) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: %s: attribute '%s' is not a number", f->path, path, key);
  }
  *is_float = a.cls == H5T_FLOAT;
  if (H5Aread(a.id, *is_float ? H5T_NATIVE_DOUBLE : H5T_NATIVE_INT64, *is_float ? (void *)real : (void *)integer) < 0) {
    st = fail_at(err, NSL_E_CORRUPT, f, path, key, "read");
  }
cleanup:
  view_close(&a);
  return st;
}

nsl_status nsl_h5_get_f64(nsl_h5 *f, const char *path, const char *key, double *v, nsl_error *err)
{
  int64_t integer = 0;
  double real = 0;
  int is_float = 0;
  nsl_status st = get_number(f, path, key, &integer, &real, &is_float, err);
  if (st == NSL_OK) { *v = is_float ? real : (double)integer; }
  return st;
}

nsl_status nsl_h5_get_i64(nsl_h5 *f, const char *path, const char *key, int64_t *v, nsl_error *err)
{
  int64_t integer = 0;
  double real = 0;
  int is_float = 0;
  nsl_status st = get_number(f, path, key, &integer, &real, &is_float, err);
  if (st != NSL_OK) { return st; }
  if (is_float && !(fabs(real) < 9e18 && real == floor(real))) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: %s: attribute '%s' is %g, not a whole number", f->path, path, key, real);
  }
  *v = is_float ? (int64_t)real : integer;
  return NSL_OK;
}
