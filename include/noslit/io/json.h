/* JSON documents (cJSON behind an opaque handle). Local. Numbers that are not finite are written as null. */
#ifndef NOSLIT_IO_JSON_H
#define NOSLIT_IO_JSON_H

#include <stdint.h>

#include "noslit/base/status.h"

typedef struct nsl_json nsl_json;

/* Builders never fail half-way: an allocation failure makes nsl_json_text return NULL. */
nsl_json *nsl_json_object(void);
nsl_json *nsl_json_array(void);
void nsl_json_set_f64(nsl_json *object, const char *key, double v);
void nsl_json_set_i64(nsl_json *object, const char *key, int64_t v); /* exact up to 2^53; larger ids are written as strings */
void nsl_json_set_bool(nsl_json *object, const char *key, int v);
void nsl_json_set_text(nsl_json *object, const char *key, const char *v);
void nsl_json_set(nsl_json *object, const char *key, nsl_json *child); /* takes ownership of child */
void nsl_json_push(nsl_json *array, nsl_json *child);                  /* takes ownership of child */
void nsl_json_push_f64(nsl_json *array, double v);
void nsl_json_push_text(nsl_json *array, const char *v);
char *nsl_json_text(const nsl_json *root); /* indented; caller frees; NULL when out of memory */
void nsl_json_free(nsl_json *root);

nsl_status nsl_json_parse(const char *text, const char *name, nsl_json **out, nsl_error *err);
nsl_status nsl_json_read(const char *path, nsl_json **out, nsl_error *err);
nsl_status nsl_json_write(const char *path, const nsl_json *root, nsl_error *err); /* atomic and durable */

/* Borrowed views; NULL or the default when the key is missing or of another kind. */
const nsl_json *nsl_json_get(const nsl_json *object, const char *key);
double nsl_json_get_f64(const nsl_json *object, const char *key, double otherwise);
const char *nsl_json_get_text(const nsl_json *object, const char *key, const char *otherwise);
int nsl_json_length(const nsl_json *array);
const nsl_json *nsl_json_at(const nsl_json *array, int i);

#endif
