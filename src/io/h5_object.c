/* HDF5 objects: what is there, groups, lists of names, open datasets. */
#include <stdlib.h>
#include <string.h>

#include "h5_internal.h"
#include "noslit/base/str.h"

int nsl_h5_exists(nsl_h5 *f, const char *path)
{
  char *part = nsl_strdup(path);
  int found = part != NULL;
  /* H5Lexists wants every parent to be there, so they are asked for one after the other. */
  for (size_t i = 1; found && i <= strlen(path); i++) {
    if (path[i] != '/' && path[i]) { continue; }
    if (path[i - 1] == '/') { continue; }
    part[i] = '\0';
    found = H5Lexists(f->file, part, H5P_DEFAULT) > 0 && H5Oexists_by_name(f->file, part, H5P_DEFAULT) > 0;
    part[i] = path[i];
  }
  free(part);
  return found;
}

nsl_status nsl_h5_group(nsl_h5 *f, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t link = H5I_INVALID_HID, group = H5I_INVALID_HID;
  if (nsl_h5_exists(f, path)) {
    group = H5Gopen2(f->file, path, H5P_DEFAULT);
    if (group < 0) { st = nsl_h5_fail(err, NSL_E_FORMAT, f->path, path, "open this group"); }
    goto cleanup;
  }
  link = H5Pcreate(H5P_LINK_CREATE);
  if (link < 0 || H5Pset_create_intermediate_group(link, 1) < 0 ||
      (group = H5Gcreate2(f->file, path, link, H5P_DEFAULT, H5P_DEFAULT)) < 0) {
    st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "create this group");
  }
cleanup:
  if (group >= 0) { H5Gclose(group); }
  if (link >= 0) { H5Pclose(link); }
  return st;
}

int nsl_h5_is_dataset(nsl_h5 *f, const char *path)
{
  if (!nsl_h5_exists(f, path)) { return 0; }
  hid_t id = H5Oopen(f->file, path, H5P_DEFAULT);
  if (id < 0) { return 0; }
  int answer = H5Iget_type(id) == H5I_DATASET;
  H5Oclose(id);
  return answer;
}

nsl_status nsl_h5_dataset(nsl_h5 *f, const char *path, hid_t *id, nsl_error *err)
{
  for (int i = 0; i < NSL_H5_OPEN_DATASETS; i++) {
    if (f->open[i].path && !strcmp(f->open[i].path, path)) {
      *id = f->open[i].id;
      return NSL_OK;
    }
  }
  if (!nsl_h5_exists(f, path)) { return nsl_fail(err, NSL_E_NOTFOUND, "%s: it has no dataset '%s'", f->path, path); }
  char *copy = nsl_strdup(path);
  if (!copy) { return nsl_fail(err, NSL_E_NOMEM, "%s: %s: no memory", f->path, path); }
  hid_t dataset = H5Dopen2(f->file, path, H5P_DEFAULT);
  if (dataset < 0) {
    free(copy);
    return nsl_h5_fail(err, NSL_E_FORMAT, f->path, path, "open as a dataset");
  }
  int slot = f->next;
  f->next = (slot + 1) % NSL_H5_OPEN_DATASETS;
  if (f->open[slot].path) {
    free(f->open[slot].path);
    f->open[slot].path = NULL;
    if (H5Dclose(f->open[slot].id) < 0) {
      nsl_status st = nsl_h5_fail(err, NSL_E_IO, f->path, path, "close the dataset used before it");
      H5Dclose(dataset);
      free(copy);
      return st;
    }
  }
  f->open[slot].path = copy;
  f->open[slot].id = dataset;
  *id = dataset;
  return NSL_OK;
}

nsl_status nsl_h5_dims(nsl_h5 *f, const char *path, int *rank, size_t dims[NSL_H5_MAX_RANK], nsl_error *err)
{
  nsl_status st = NSL_OK;
  hid_t dataset, space = H5I_INVALID_HID;
  NSL_TRY(nsl_h5_dataset(f, path, &dataset, err));
  space = H5Dget_space(dataset);
  int n = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
  hsize_t extent[H5S_MAX_RANK];
  if (n < 0 || H5Sget_simple_extent_dims(space, extent, NULL) < 0) {
    st = nsl_h5_fail(err, NSL_E_CORRUPT, f->path, path, "read its shape");
    goto cleanup;
  }
  if (n > NSL_H5_MAX_RANK) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: %s: it has %d dimensions, at most %d are handled", f->path, path, n, NSL_H5_MAX_RANK);
  }
  for (int i = 0; i < n; i++) { dims[i] = (size_t)extent[i]; }
  *rank = n;
cleanup:
  if (space >= 0) { H5Sclose(space); }
  return st;
}

typedef struct {
  char **names;
  size_t n, capacity;
} name_list;

static herr_t add_name(hid_t group, const char *name, const H5L_info_t *info, void *arg)
{
  (void)group;
  (void)info;
  name_list *list = arg;
  if (list->n == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    char **names = realloc(list->names, capacity * sizeof *names);
    if (!names) { return -1; }
    list->names = names;
    list->capacity = capacity;
  }
  list->names[list->n] = nsl_strdup(name);
  return list->names[list->n++] ? 0 : -1;
}

nsl_status nsl_h5_list(nsl_h5 *f, const char *group, char ***names, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  name_list list = {0};
  hid_t id = H5I_INVALID_HID;
  if (!nsl_h5_exists(f, group)) { NSL_THROW(err, NSL_E_NOTFOUND, "%s: it has no group '%s'", f->path, group); }
  id = H5Gopen2(f->file, group, H5P_DEFAULT);
  if (id < 0) {
    st = nsl_h5_fail(err, NSL_E_FORMAT, f->path, group, "open as a group");
    goto cleanup;
  }
  if (H5Literate(id, H5_INDEX_NAME, H5_ITER_INC, NULL, add_name, &list) < 0) {
    st = nsl_h5_fail(err, NSL_E_CORRUPT, f->path, group, "list this group");
    goto cleanup;
  }
  *names = list.names ? list.names : calloc(1, sizeof **names);
  if (!*names) { NSL_THROW(err, NSL_E_NOMEM, "%s: %s: no memory", f->path, group); }
  *n = list.n;
  list = (name_list){0};
cleanup:
  if (id >= 0) { H5Gclose(id); }
  for (size_t i = 0; i < list.n; i++) { free(list.names[i]); }
  free(list.names);
  return st;
}
