/* A flat view of a YAML document: every scalar with its dotted path and its place in the file.
 * `detectors: [{id: 1}]` gives the path "detectors.0.id". Pure data, so that model code can read a document that
 * io code has parsed. */
#ifndef NOSLIT_BASE_KV_H
#define NOSLIT_BASE_KV_H

#include <stddef.h>

#include "noslit/base/status.h"

typedef struct {
  char *path;
  char *value;       /* scalar text; "" for null or an empty map/list */
  int line, column;  /* 1-based place of the value */
  int is_empty_list; /* the path holds [] or {} */
} nsl_kv;

typedef struct {
  char *file;    /* for messages */
  nsl_kv *items; /* in document order */
  size_t n;
} nsl_kvlist;

void nsl_kvlist_free(nsl_kvlist *list);

/* The item with this path, or NULL. */
const nsl_kv *nsl_kv_find(const nsl_kvlist *list, const char *path);

/* Number of elements of the list at path (0 if there is none): counts "path.0", "path.1", ... */
size_t nsl_kv_length(const nsl_kvlist *list, const char *path);

/* Typed access with a message that names file, line and column. A missing path is NSL_E_CONFIG. The path is a printf format. */
nsl_status nsl_kv_f64(const nsl_kvlist *list, double *out, nsl_error *err, const char *path_fmt, ...)
    __attribute__((format(printf, 4, 5)));
nsl_status nsl_kv_i64(const nsl_kvlist *list, long *out, nsl_error *err, const char *path_fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* *out is borrowed from the list. */
nsl_status nsl_kv_text(const nsl_kvlist *list, const char **out, nsl_error *err, const char *path_fmt, ...)
    __attribute__((format(printf, 4, 5)));
int nsl_kv_has(const nsl_kvlist *list, const char *path_fmt, ...)
    __attribute__((format(printf, 2, 3))); /* the path or anything below it */

#endif
