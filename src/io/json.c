/* JSON documents over cJSON. A nsl_json is a cJSON node; a container that could not take something says so in `valueint`,
 * which cJSON leaves unused there, and makes the text of any document around it NULL. */
#include "noslit/io/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cJSON.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

enum { INCOMPLETE = -1 };
static const size_t max_bytes = (size_t)256 << 20;

static cJSON *node_of(nsl_json *j) { return (cJSON *)j; }
static const cJSON *const_node_of(const nsl_json *j) { return (const cJSON *)j; }

nsl_json *nsl_json_object(void) { return (nsl_json *)cJSON_CreateObject(); }
nsl_json *nsl_json_array(void) { return (nsl_json *)cJSON_CreateArray(); }

static void set_node(nsl_json *object, const char *key, cJSON *child)
{
  cJSON *o = node_of(object);
  if (o && child) {
    cJSON_DeleteItemFromObjectCaseSensitive(o, key);
    if (cJSON_AddItemToObject(o, key, child)) { return; }
  }
  cJSON_Delete(child);
  if (o) { o->valueint = INCOMPLETE; }
}

static void push_node(nsl_json *array, cJSON *child)
{
  cJSON *a = node_of(array);
  if (a && child && cJSON_AddItemToArray(a, child)) { return; }
  cJSON_Delete(child);
  if (a) { a->valueint = INCOMPLETE; }
}

/* The shortest text that reads back as v. cJSON's own is off by one in the last bit for some numbers. */
static cJSON *number(double v)
{
  char text[32];
  if (!isfinite(v)) { return cJSON_CreateNull(); }
  for (int digits = 15; digits <= 17; digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v) { break; }
  }
  return cJSON_CreateRaw(text);
}

static cJSON *text_node(const char *v) { return v ? cJSON_CreateString(v) : cJSON_CreateNull(); }

void nsl_json_set_f64(nsl_json *object, const char *key, double v) { set_node(object, key, number(v)); }

void nsl_json_set_i64(nsl_json *object, const char *key, int64_t v)
{
  const int64_t exact = INT64_C(1) << 53;
  char digits[24];
  snprintf(digits, sizeof digits, "%lld", (long long)v);
  set_node(object, key, v >= -exact && v <= exact ? cJSON_CreateRaw(digits) : cJSON_CreateString(digits));
}

void nsl_json_set_bool(nsl_json *object, const char *key, int v) { set_node(object, key, cJSON_CreateBool(v != 0)); }
void nsl_json_set_text(nsl_json *object, const char *key, const char *v) { set_node(object, key, text_node(v)); }
void nsl_json_set(nsl_json *object, const char *key, nsl_json *child) { set_node(object, key, node_of(child)); }
void nsl_json_push(nsl_json *array, nsl_json *child) { push_node(array, node_of(child)); }
void nsl_json_push_f64(nsl_json *array, double v) { push_node(array, number(v)); }
void nsl_json_push_text(nsl_json *array, const char *v) { push_node(array, text_node(v)); }

static int is_complete(const cJSON *node)
{
  if (!cJSON_IsObject(node) && !cJSON_IsArray(node)) { return 1; }
  if (node->valueint == INCOMPLETE) { return 0; }
  for (const cJSON *child = node->child; child; child = child->next) {
    if (!is_complete(child)) { return 0; }
  }
  return 1;
}

char *nsl_json_text(const nsl_json *root)
{
  const cJSON *node = const_node_of(root);
  return node && is_complete(node) ? cJSON_Print(node) : NULL;
}

void nsl_json_free(nsl_json *root) { cJSON_Delete(node_of(root)); }

nsl_status nsl_json_parse(const char *text, const char *name, nsl_json **out, nsl_error *err)
{
  const char *end = text;
  cJSON *root = cJSON_ParseWithOpts(text, &end, 1);
  if (!root) {
    int line = 1, column = 1;
    for (const char *p = text; p < end && *p; p++) {
      column = *p == '\n' ? 1 : column + 1;
      line += *p == '\n';
    }
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d:%d: this is not JSON", name, line, column);
  }
  *out = (nsl_json *)root;
  return NSL_OK;
}

nsl_status nsl_json_read(const char *path, nsl_json **out, nsl_error *err)
{
  char *text = NULL;
  size_t n = 0;
  nsl_status st = nsl_read_file(path, max_bytes, &text, &n, err);
  if (st == NSL_OK && strlen(text) != n) { st = nsl_fail(err, NSL_E_FORMAT, "%s: this is not JSON, it holds a NUL byte", path); }
  if (st == NSL_OK) { st = nsl_json_parse(text, path, out, err); }
  free(text);
  return st;
}

nsl_status nsl_json_write(const char *path, const nsl_json *root, nsl_error *err)
{
  char *text = nsl_json_text(root), *line = text ? nsl_strf("%s\n", text) : NULL;
  nsl_status st =
      line ? nsl_write_file(path, line, strlen(line), err) : nsl_fail(err, NSL_E_NOMEM, "%s: no memory to write it", path);
  free(text);
  free(line);
  return st;
}

const nsl_json *nsl_json_get(const nsl_json *object, const char *key)
{
  return (const nsl_json *)cJSON_GetObjectItemCaseSensitive(const_node_of(object), key);
}

double nsl_json_get_f64(const nsl_json *object, const char *key, double otherwise)
{
  const cJSON *node = const_node_of(nsl_json_get(object, key));
  if (cJSON_IsRaw(node)) { return strtod(node->valuestring, NULL); } /* a number that was set, not parsed */
  return cJSON_IsNumber(node) ? node->valuedouble : otherwise;
}

const char *nsl_json_get_text(const nsl_json *object, const char *key, const char *otherwise)
{
  const cJSON *node = const_node_of(nsl_json_get(object, key));
  return cJSON_IsString(node) ? node->valuestring : otherwise;
}

int nsl_json_length(const nsl_json *array)
{
  return cJSON_IsArray(const_node_of(array)) ? cJSON_GetArraySize(const_node_of(array)) : 0;
}

const nsl_json *nsl_json_at(const nsl_json *array, int i)
{
  if (!cJSON_IsArray(const_node_of(array))) { return NULL; }
  return (const nsl_json *)cJSON_GetArrayItem(const_node_of(array), i);
}
