/* HDF5 groups of equal-length 1-D datasets as nsl_table. */
#include <stdlib.h>
#include <string.h>

#include "h5_internal.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "table_internal.h"

typedef struct {
  nsl_h5 *h5;
  char **paths; /* of the columns */
  int n;
} h5_table;

static void h5_table_close(void *self)
{
  h5_table *s = self;
  nsl_h5_close(s->h5, NULL); /* read-only: nothing can be lost */
  nsl_paths_free(s->paths, (size_t)s->n);
  free(s);
}

static nsl_status read_i64(void *self, int column, int64_t first, int64_t n, int64_t *out, char *null, nsl_error *err)
{
  (void)null; /* HDF5 integers have no missing values */
  h5_table *s = self;
  return nsl_h5_read_rows(s->h5, s->paths[column], NSL_H5_I64, 1, (size_t)first, (size_t)n, out, err);
}

static nsl_status read_f64(void *self, int column, int64_t first, int64_t n, double *out, nsl_error *err)
{
  h5_table *s = self;
  return nsl_h5_read_rows(s->h5, s->paths[column], NSL_H5_F64, 1, (size_t)first, (size_t)n, out, err);
}

static nsl_status read_text(void *self, int column, int64_t first, int64_t n, char *out, size_t size, nsl_error *err)
{
  h5_table *s = self;
  return nsl_h5_read_text_rows(s->h5, s->paths[column], (size_t)first, (size_t)n, out, size, err);
}

/* Takes a member as the next column if it is a 1-D dataset. */
static nsl_status add_member(nsl_table *t, h5_table *s, const char *group, const char *name, nsl_error *err)
{
  static const nsl_column_kind kinds[] = {[NSL_H5_INTEGERS] = NSL_COLUMN_INTEGER,
                                          [NSL_H5_REALS] = NSL_COLUMN_REAL,
                                          [NSL_H5_STRINGS] = NSL_COLUMN_TEXT,
                                          [NSL_H5_OTHER] = NSL_COLUMN_OTHER};
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  hid_t dataset;
  char *path = nsl_strf("%s/%s", strcmp(group, "/") ? group : "", name);
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  H5O_info_t info;
  if (!nsl_h5_exists(s->h5, path) || H5Oget_info_by_name(s->h5->file, path, &info, H5P_DEFAULT) < 0 ||
      info.type != H5O_TYPE_DATASET) {
    goto cleanup;
  }
  NSL_TRY(nsl_h5_dims(s->h5, path, &rank, dims, err));
  if (rank != 1) { goto cleanup; }
  NSL_TRY(nsl_h5_dataset(s->h5, path, &dataset, err));
  if (t->n_columns && (int64_t)dims[0] != t->rows) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: group '%s' is no table: column '%s' has %lld rows and '%s' %zu", t->path, group, t->names[0],
              (long long)t->rows, name, dims[0]);
  }
  t->rows = (int64_t)dims[0];
  if (!(t->names[t->n_columns] = nsl_strdup(name))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  t->kinds[t->n_columns++] = kinds[nsl_h5_kind_of(dataset)];
  s->paths[s->n++] = path;
  path = NULL;
cleanup:
  free(path);
  return st;
}

nsl_status nsl_table_open_h5(nsl_table *t, const char *where, nsl_error *err)
{
  static const nsl_table_kind kind = {read_i64, read_f64, read_text, h5_table_close};
  nsl_status st = NSL_OK;
  char **members = NULL;
  size_t n = 0;
  const char *group = where[0] ? where : "/";
  h5_table *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  t->self = s;
  t->kind = &kind;
  NSL_TRY(nsl_h5_open(t->path, &s->h5, err));
  NSL_TRY(nsl_h5_list(s->h5, group, &members, &n, err));
  s->paths = calloc(n + 1, sizeof *s->paths);
  if (!s->paths) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  NSL_TRY(nsl_table_set_columns(t, (int)n, err));
  t->n_columns = 0;
  for (size_t i = 0; i < n; i++) { NSL_TRY(add_member(t, s, group, members[i], err)); }
  if (!t->n_columns) {
    NSL_THROW(err, NSL_E_NOTFOUND, "%s: group '%s' has no 1-D datasets; name the group that holds the columns", t->path, group);
  }
cleanup:
  nsl_paths_free(members, n);
  return st;
}
