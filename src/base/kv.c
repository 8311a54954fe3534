#include "noslit/base/kv.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

void nsl_kvlist_free(nsl_kvlist *list)
{
  for (size_t i = 0; i < list->n; i++) {
    free(list->items[i].path);
    free(list->items[i].value);
  }
  free(list->items);
  free(list->file);
  *list = (nsl_kvlist){0};
}

const nsl_kv *nsl_kv_find(const nsl_kvlist *list, const char *path)
{
  for (size_t i = 0; i < list->n; i++) {
    if (!strcmp(list->items[i].path, path)) { return &list->items[i]; }
  }
  return NULL;
}

static int is_at_or_below(const char *path, const char *prefix)
{
  size_t n = strlen(prefix);
  return !strncmp(path, prefix, n) && (path[n] == '\0' || path[n] == '.');
}

static int has_path(const nsl_kvlist *list, const char *path)
{
  for (size_t i = 0; i < list->n; i++) {
    if (is_at_or_below(list->items[i].path, path)) { return 1; }
  }
  return 0;
}

size_t nsl_kv_length(const nsl_kvlist *list, const char *path)
{
  size_t count = 0;
  for (;; count++) {
    char element[256];
    snprintf(element, sizeof element, "%s.%zu", path, count);
    if (!has_path(list, element)) { return count; }
  }
}

enum { PATH_MAX_LENGTH = 256 };

static nsl_status find_required(const nsl_kvlist *list, const char *path, const nsl_kv **item, nsl_error *err)
{
  *item = nsl_kv_find(list, path);
  if (!*item) { return nsl_fail(err, NSL_E_CONFIG, "%s: key '%s' is missing; add it", list->file, path); }
  return NSL_OK;
}

#define FORMAT_PATH(path, fmt)             \
  char path[PATH_MAX_LENGTH];              \
  do {                                     \
    va_list ap;                            \
    va_start(ap, fmt);                     \
    vsnprintf(path, sizeof path, fmt, ap); \
    va_end(ap);                            \
  } while (0)

nsl_status nsl_kv_f64(const nsl_kvlist *list, double *out, nsl_error *err, const char *path_fmt, ...)
{
  FORMAT_PATH(path, path_fmt);
  const nsl_kv *item;
  nsl_status st = find_required(list, path, &item, err);
  if (st == NSL_OK && !nsl_parse_f64(item->value, out)) {
    st = nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: '%s' must be a number, not '%s'", list->file, item->line, item->column, path,
                  item->value);
  }
  return st;
}

nsl_status nsl_kv_i64(const nsl_kvlist *list, long *out, nsl_error *err, const char *path_fmt, ...)
{
  FORMAT_PATH(path, path_fmt);
  const nsl_kv *item;
  int64_t v = 0;
  nsl_status st = find_required(list, path, &item, err);
  if (st == NSL_OK && !nsl_parse_i64(item->value, &v)) {
    st = nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: '%s' must be a whole number, not '%s'", list->file, item->line, item->column, path,
                  item->value);
  }
  if (st == NSL_OK) { *out = (long)v; }
  return st;
}

nsl_status nsl_kv_text(const nsl_kvlist *list, const char **out, nsl_error *err, const char *path_fmt, ...)
{
  FORMAT_PATH(path, path_fmt);
  const nsl_kv *item;
  nsl_status st = find_required(list, path, &item, err);
  if (st == NSL_OK) { *out = item->value; }
  return st;
}

int nsl_kv_has(const nsl_kvlist *list, const char *path_fmt, ...)
{
  FORMAT_PATH(path, path_fmt);
  return has_path(list, path);
}
