#include "noslit/model/config.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

typedef struct {
  char *text;   /* resolved scalar (paths with their folder); NULL when unset */
  char **items; /* LIST */
  size_t n_items;
  double number; /* INT, REAL, BOOL */
  int is_set;
  char *origin;
} value;

struct nsl_config {
  char *file, *base_dir;
  value *values; /* one per key of the table */
};

static int key_index(const char *path)
{
  for (size_t i = 0; i < nsl_config_n_keys; i++) {
    if (!strcmp(nsl_config_keys[i].path, path)) { return (int)i; }
  }
  return -1;
}

static void value_clear(value *v)
{
  for (size_t i = 0; i < v->n_items; i++) { free(v->items[i]); }
  free(v->items);
  free(v->text);
  free(v->origin);
  *v = (value){0};
}

/* Where a message points: "survey.yaml:3:7" or "command line". */
typedef struct {
  char text[300];
} place;

static place place_of(const nsl_config *c, const nsl_kv *kv)
{
  place p;
  if (kv->line > 0) {
    snprintf(p.text, sizeof p.text, "%s:%d:%d", c->file, kv->line, kv->column);
  } else {
    snprintf(p.text, sizeof p.text, "%s", c->file);
  }
  return p;
}

static nsl_status unknown_key(const place *at, const char *path, nsl_error *err)
{
  const char **names = malloc(nsl_config_n_keys * sizeof *names);
  if (!names) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", at->text); }
  for (size_t i = 0; i < nsl_config_n_keys; i++) { names[i] = nsl_config_keys[i].path; }
  int near = nsl_nearest_name(path, names, nsl_config_n_keys);
  free(names);
  if (near < 0) { return nsl_fail(err, NSL_E_CONFIG, "%s: unknown key '%s'; `noslit config --keys` lists all", at->text, path); }
  return nsl_fail(err, NSL_E_CONFIG, "%s: unknown key '%s'; did you mean '%s'?", at->text, path, nsl_config_keys[near].path);
}

static int is_choice(const char *choices, const char *word)
{
  size_t n = strlen(word);
  for (const char *p = choices; *p;) {
    size_t len = strcspn(p, "|");
    if (len == n && !strncmp(p, word, n)) { return 1; }
    p += len + (p[len] == '|');
  }
  return 0;
}

static nsl_status check_range(const nsl_key *key, double v, const place *at, nsl_error *err)
{
  if (v >= key->min && v <= key->max) { return NSL_OK; }
  return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' is %g, but must lie in %g..%g%s%s", at->text, key->path, v, key->min, key->max,
                  key->unit[0] ? " " : "", key->unit);
}

/* Parses text for a scalar key into v->number / v->text. */
static nsl_status parse_scalar(const nsl_config *c, const nsl_key *key, const char *text, const place *at, value *v, nsl_error *err)
{
  int64_t i;
  int b;
  switch (key->type) {
  case NSL_KEY_INT:
    if (!nsl_parse_i64(text, &i)) {
      return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' must be a whole number, not '%s'", at->text, key->path, text);
    }
    v->number = (double)i;
    v->text = nsl_strdup(text);
    if (check_range(key, v->number, at, err) != NSL_OK) { return NSL_E_CONFIG; }
    break;
  case NSL_KEY_REAL:
    if (!nsl_parse_f64(text, &v->number)) {
      return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' must be a number, not '%s'", at->text, key->path, text);
    }
    v->text = nsl_strdup(text);
    if (check_range(key, v->number, at, err) != NSL_OK) { return NSL_E_CONFIG; }
    break;
  case NSL_KEY_BOOL:
    if (!nsl_parse_bool(text, &b)) {
      return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' must be true or false, not '%s'", at->text, key->path, text);
    }
    v->number = b;
    v->text = nsl_strdup(b ? "true" : "false");
    break;
  case NSL_KEY_PATH:
    v->text = text[0] ? nsl_path_join(c->base_dir, text) : nsl_strdup("");
    break;
  case NSL_KEY_TEXT:
  case NSL_KEY_LIST:
    if (key->choices && !is_choice(key->choices, text)) {
      return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' must be one of %s, not '%s'", at->text, key->path, key->choices, text);
    }
    v->text = nsl_strdup(text);
    break;
  }
  if (!v->text) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", at->text); }
  return NSL_OK;
}

static nsl_status list_push(const nsl_config *c, value *v, const char *text, const place *at, nsl_error *err)
{
  char **items = realloc(v->items, (v->n_items + 1) * sizeof *items);
  if (!items) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", at->text); }
  v->items = items;
  items[v->n_items] = nsl_path_join(c->base_dir, text);
  if (!items[v->n_items]) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", at->text); }
  v->n_items++;
  return NSL_OK;
}

/* Splits "input.exposures.3" into the key and whether it is an element of a list key; -1 when unknown. */
static int find_key(const char *path, int *is_element)
{
  *is_element = 0;
  int k = key_index(path);
  if (k >= 0) { return k; }
  const char *dot = strrchr(path, '.');
  if (!dot || dot == path || strspn(dot + 1, "0123456789") != strlen(dot + 1) || !dot[1]) { return -1; }
  char *prefix = strndup(path, (size_t)(dot - path));
  k = prefix ? key_index(prefix) : -1;
  free(prefix);
  if (k >= 0 && nsl_config_keys[k].type != NSL_KEY_LIST) { return -1; }
  *is_element = 1;
  return k;
}

static nsl_status set_value(nsl_config *c, const nsl_kv *kv, const char *origin, nsl_error *err)
{
  place at = place_of(c, kv);
  if (!kv->line) { snprintf(at.text, sizeof at.text, "%s", origin); }
  int is_element;
  int k = find_key(kv->path, &is_element);
  if (k < 0) { return unknown_key(&at, kv->path, err); }
  const nsl_key *key = &nsl_config_keys[k];
  value *v = &c->values[k];
  if (!is_element || !v->is_set) { value_clear(v); }
  v->is_set = 1;
  free(v->origin);
  v->origin = nsl_strdup(origin);
  if (kv->is_empty_list ||
      (!is_element && !kv->value[0] && key->type == NSL_KEY_LIST)) { /* --set KEY= has no other way to say it */
    if (key->type == NSL_KEY_LIST) { return NSL_OK; }
    return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' must be a single value", at.text, key->path);
  }
  if (key->type == NSL_KEY_LIST) { return list_push(c, v, kv->value, &at, err); }
  return parse_scalar(c, key, kv->value, &at, v, err);
}

/* A default list is written comma-separated in the table. */
static nsl_status set_default(nsl_config *c, size_t k, nsl_error *err)
{
  const nsl_key *key = &nsl_config_keys[k];
  value *v = &c->values[k];
  place at = {"default"};
  v->origin = nsl_strdup("default");
  if (!key->otherwise) { return NSL_OK; }
  if (key->type != NSL_KEY_LIST) { return parse_scalar(c, key, key->otherwise, &at, v, err); }
  return list_push(c, v, key->otherwise, &at, err);
}

nsl_status nsl_config_new(const nsl_kvlist *doc, const char *base_dir, nsl_config **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_config *c = calloc(1, sizeof *c);
  if (c) {
    c->values = calloc(nsl_config_n_keys, sizeof *c->values);
    c->file = nsl_strdup(doc->file ? doc->file : "configuration");
    c->base_dir = nsl_strdup(base_dir ? base_dir : ".");
  }
  if (!c || !c->values || !c->file || !c->base_dir) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the configuration"); }
  for (size_t k = 0; k < nsl_config_n_keys; k++) { NSL_TRY(set_default(c, k, err)); }
  for (size_t i = 0; i < doc->n; i++) {
    char *origin = nsl_strf("%s:%d:%d", c->file, doc->items[i].line, doc->items[i].column);
    if (!origin) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", c->file); }
    st = set_value(c, &doc->items[i], origin, err);
    free(origin);
    if (st != NSL_OK) { goto cleanup; }
  }
  *out = c;
  c = NULL;
cleanup:
  nsl_config_free(c);
  return st;
}

nsl_status nsl_config_override(nsl_config *c, const char *assignment, nsl_error *err)
{
  const char *eq = strchr(assignment, '=');
  if (!eq || eq == assignment) { return nsl_fail(err, NSL_E_USAGE, "--set wants key=value, not '%s'", assignment); }
  char *path = strndup(assignment, (size_t)(eq - assignment)), *text = nsl_strdup(eq + 1);
  nsl_status st = NSL_OK;
  if (!path || !text) {
    st = nsl_fail(err, NSL_E_NOMEM, "no memory");
  } else {
    nsl_kv kv = {path, text, 0, 0, 0};
    st = set_value(c, &kv, "command line", err);
  }
  free(path);
  free(text);
  return st;
}

void nsl_config_free(nsl_config *c)
{
  if (!c) { return; }
  for (size_t k = 0; c->values && k < nsl_config_n_keys; k++) { value_clear(&c->values[k]); }
  free(c->values);
  free(c->file);
  free(c->base_dir);
  free(c);
}

static const value *get(const nsl_config *c, const char *path, int types)
{
  int k = key_index(path);
  assert(k >= 0 && "key is not in the table");
  assert((types >> nsl_config_keys[k].type & 1) && "key has another type");
  (void)types;
  return &c->values[k];
}

int64_t nsl_config_int(const nsl_config *c, const char *path) { return (int64_t)get(c, path, 1 << NSL_KEY_INT)->number; }

double nsl_config_real(const nsl_config *c, const char *path) { return get(c, path, 1 << NSL_KEY_REAL)->number; }

int nsl_config_bool(const nsl_config *c, const char *path) { return get(c, path, 1 << NSL_KEY_BOOL)->number != 0; }

const char *nsl_config_text(const nsl_config *c, const char *path)
{
  const value *v = get(c, path, 1 << NSL_KEY_TEXT | 1 << NSL_KEY_PATH);
  return v->text ? v->text : "";
}

size_t nsl_config_list(const nsl_config *c, const char *path, const char *const **items)
{
  const value *v = get(c, path, 1 << NSL_KEY_LIST);
  *items = (const char *const *)v->items;
  return v->n_items;
}

int nsl_config_is_set(const nsl_config *c, const char *path) { return get(c, path, ~0)->is_set; }

nsl_status nsl_config_require(const nsl_config *c, const char *path, nsl_error *err)
{
  const value *v = get(c, path, ~0);
  if (v->n_items || (v->text && v->text[0])) { return NSL_OK; }
  return nsl_fail(err, NSL_E_CONFIG, "%s: key '%s' is needed here (%s); add it", c->file, path,
                  nsl_config_keys[key_index(path)].help);
}

const char *nsl_config_file(const nsl_config *c) { return c->file; }

const char *nsl_config_origin(const nsl_config *c, const char *path) { return get(c, path, ~0)->origin; }

char *nsl_config_resolved(const nsl_config *c, int science_only)
{
  nsl_str s;
  nsl_str_init(&s);
  for (size_t k = 0; k < nsl_config_n_keys; k++) {
    const nsl_key *key = &nsl_config_keys[k];
    const value *v = &c->values[k];
    if (science_only && key->cls != NSL_KEY_SCIENCE) { continue; }
    nsl_str_addf(&s, "%s:", key->path);
    if (key->type == NSL_KEY_LIST) {
      for (size_t i = 0; i < v->n_items; i++) { nsl_str_addf(&s, "%s%s", i ? ", " : " ", v->items[i]); }
    } else if (key->type == NSL_KEY_INT || key->type == NSL_KEY_REAL) {
      /* "1e2" and "100" are the same value and must hash alike. */
      if (v->text) { nsl_str_addf(&s, " %.17g", v->number); }
    } else if (v->text) {
      nsl_str_addf(&s, " %s", v->text);
    }
    nsl_str_add(&s, "\n");
  }
  char *text = s.failed ? NULL : nsl_strdup(s.text);
  nsl_str_free(&s);
  return text;
}

nsl_hash nsl_config_science_hash(const nsl_config *c)
{
  char *text = nsl_config_resolved(c, 1);
  nsl_hash h = nsl_hash_bytes(text ? text : "", text ? strlen(text) : 0);
  free(text);
  return h;
}
