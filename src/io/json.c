#include "noslit/io/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"

/* nsl_json is cJSON under another name: the handle is never dereferenced outside this file. */
static cJSON *inner(nsl_json *j) { return (cJSON *)j; }
static const cJSON *inner_const(const nsl_json *j) { return (const cJSON *)j; }
static nsl_json *outer(cJSON *j) { return (nsl_json *)j; }

static const double LARGEST_EXACT = 9007199254740992.0;
enum { MAX_BYTES = 256 << 20 };

nsl_json *nsl_json_object(void) { return outer(cJSON_CreateObject()); }

nsl_json *nsl_json_array(void) { return outer(cJSON_CreateArray()); }

static cJSON *number(double v) { return isfinite(v) ? cJSON_CreateNumber(v) : cJSON_CreateNull(); }

static void put(nsl_json *object, const char *key, cJSON *item) { cJSON_AddItemToObject(inner(object), key, item); }

void nsl_json_set_f64(nsl_json *object, const char *key, double v) { put(object, key, number(v)); }

void nsl_json_set_i64(nsl_json *object, const char *key, int64_t v)
{
  if (fabs((double)v) < LARGEST_EXACT) {
    put(object, key, cJSON_CreateNumber((double)v));
  } else {
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)v);
    put(object, key, cJSON_CreateString(text));
  }
}

void nsl_json_set_bool(nsl_json *object, const char *key, int v) { put(object, key, cJSON_CreateBool(v)); }

void nsl_json_set_text(nsl_json *object, const char *key, const char *v)
{
  put(object, key, v ? cJSON_CreateString(v) : cJSON_CreateNull());
}

void nsl_json_set(nsl_json *object, const char *key, nsl_json *child) { put(object, key, inner(child)); }

void nsl_json_push(nsl_json *array, nsl_json *child) { cJSON_AddItemToArray(inner(array), inner(child)); }

void nsl_json_push_f64(nsl_json *array, double v) { cJSON_AddItemToArray(inner(array), number(v)); }

void nsl_json_push_text(nsl_json *array, const char *v) { cJSON_AddItemToArray(inner(array), cJSON_CreateString(v)); }

char *nsl_json_text(const nsl_json *root) { return root ? cJSON_Print(inner_const(root)) : NULL; }

void nsl_json_free(nsl_json *root) { cJSON_Delete(inner(root)); }

nsl_status nsl_json_parse(const char *text, const char *name, nsl_json **out, nsl_error *err)
{
  const char *end = NULL;
  cJSON *root = cJSON_ParseWithOpts(text, &end, 1);
  if (!root) {
    int line = 1;
    for (const char *p = text; end && p < end; p++) { line += *p == '\n'; }
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: not valid JSON", name, line);
  }
  *out = outer(root);
  return NSL_OK;
}

nsl_status nsl_json_read(const char *path, nsl_json **out, nsl_error *err)
{
  char *text;
  size_t n;
  nsl_status st = nsl_read_file(path, MAX_BYTES, &text, &n, err);
  if (st != NSL_OK) { return st; }
  st = nsl_json_parse(text, path, out, err);
  free(text);
  return st;
}

nsl_status nsl_json_write(const char *path, const nsl_json *root, nsl_error *err)
{
  char *text = nsl_json_text(root);
  if (!text) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory to write it", path); }
  nsl_status st = nsl_write_file(path, text, strlen(text), err);
  free(text);
  return st;
}

const nsl_json *nsl_json_get(const nsl_json *object, const char *key)
{
  return (const nsl_json *)cJSON_GetObjectItemCaseSensitive(inner_const(object), key);
}

double nsl_json_get_f64(const nsl_json *object, const char *key, double otherwise)
{
  const cJSON *item = inner_const(nsl_json_get(object, key));
  return cJSON_IsNumber(item) ? item->valuedouble : otherwise;
}

const char *nsl_json_get_text(const nsl_json *object, const char *key, const char *otherwise)
{
  const cJSON *item = inner_const(nsl_json_get(object, key));
  return cJSON_IsString(item) ? item->valuestring : otherwise;
}

int nsl_json_length(const nsl_json *array) { return cJSON_GetArraySize(inner_const(array)); }

const nsl_json *nsl_json_at(const nsl_json *array, int i) { return (const nsl_json *)cJSON_GetArrayItem(inner_const(array), i); }
