/* YAML documents as flat lists of paths, by libyaml's event parser. */
#include "noslit/io/yaml.h"

#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

enum { MAX_BYTES = 4 << 20, MAX_DEPTH = 32, MAX_PATH = 255 };

typedef struct {
  char *path;
  int line, column;
  size_t order;
} key_place;

typedef struct {
  yaml_parser_t parser;
  yaml_event_t event; /* the current one; zero when none is held */
  const char *name;
  nsl_str path;
  nsl_kvlist list;
  size_t capacity;
  key_place *keys; /* every mapping key, to find duplicates */
  size_t n_keys, key_capacity;
  nsl_error *err;
} reader;

static nsl_status fail_at(reader *r, const yaml_mark_t *mark, const char *what)
{
  return nsl_fail(r->err, NSL_E_CONFIG, "%s:%zu:%zu: %s", r->name, mark->line + 1, mark->column + 1, what);
}

static nsl_status next_event(reader *r)
{
  yaml_event_delete(&r->event);
  if (yaml_parser_parse(&r->parser, &r->event)) { return NSL_OK; }
  const yaml_parser_t *p = &r->parser;
  const char *problem = p->problem ? p->problem : "cannot be parsed";
  if (p->error == YAML_MEMORY_ERROR) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory to parse it", r->name); }
  if (p->error == YAML_READER_ERROR) { /* no place is known but the byte */
    return nsl_fail(r->err, NSL_E_CONFIG, "%s:1:1: %s (byte %zu)", r->name, problem, p->problem_offset);
  }
  return nsl_fail(r->err, NSL_E_CONFIG, "%s:%zu:%zu: %s%s%s", r->name, p->problem_mark.line + 1, p->problem_mark.column + 1,
                  problem, p->context ? " " : "", p->context ? p->context : "");
}

static nsl_status check_plainness(reader *r)
{
  const yaml_char_t *anchor = NULL, *tag = NULL;
  switch (r->event.type) {
  case YAML_ALIAS_EVENT:
    return fail_at(r, &r->event.start_mark, "aliases (*name) are not allowed; write the value out");
  case YAML_SCALAR_EVENT:
    anchor = r->event.data.scalar.anchor;
    tag = r->event.data.scalar.tag;
    break;
  case YAML_SEQUENCE_START_EVENT:
    anchor = r->event.data.sequence_start.anchor;
    tag = r->event.data.sequence_start.tag;
    break;
  case YAML_MAPPING_START_EVENT:
    anchor = r->event.data.mapping_start.anchor;
    tag = r->event.data.mapping_start.tag;
    break;
  default:
    break;
  }
  if (anchor) { return fail_at(r, &r->event.start_mark, "anchors (&name) are not allowed; write the value out"); }
  if (tag) { return fail_at(r, &r->event.start_mark, "tags (!name) are not allowed; leave it out"); }
  return NSL_OK;
}

static int is_null(const yaml_event_t *e)
{
  static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
  if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) { return 0; }
  for (int i = 0; i < 5; i++) {
    if (!strcmp((const char *)e->data.scalar.value, nulls[i])) { return 1; }
  }
  return 0;
}

static nsl_status add_item(reader *r, const yaml_mark_t *mark, const char *value, int is_empty_list)
{
  if (r->list.n == r->capacity) {
    size_t capacity = r->capacity ? 2 * r->capacity : 64;
    nsl_kv *items = realloc(r->list.items, capacity * sizeof *items);
    if (!items) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory for its keys", r->name); }
    r->list.items = items;
    r->capacity = capacity;
  }
  nsl_kv *item = &r->list.items[r->list.n++];
  *item = (nsl_kv){nsl_strdup(r->path.text), nsl_strdup(value), (int)mark->line + 1, (int)mark->column + 1, is_empty_list};
  if (!item->path || !item->value) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory for its keys", r->name); }
  return NSL_OK;
}

/* Lengthens the path by one step; *old is its length before. */
static nsl_status enter(reader *r, const char *step, size_t *old)
{
  *old = r->path.n;
  if (r->path.n) { nsl_str_add(&r->path, "."); }
  nsl_str_add(&r->path, step);
  if (r->path.failed) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory for its keys", r->name); }
  if (r->path.n > MAX_PATH) { return fail_at(r, &r->event.start_mark, "this key, with those above it, is too long"); }
  return NSL_OK;
}

static void leave(reader *r, size_t old)
{
  r->path.n = old;
  if (r->path.capacity) { r->path.text[old] = '\0'; }
}

static nsl_status remember_key(reader *r)
{
  if (r->n_keys == r->key_capacity) {
    size_t capacity = r->key_capacity ? 2 * r->key_capacity : 64;
    key_place *keys = realloc(r->keys, capacity * sizeof *keys);
    if (!keys) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory for its keys", r->name); }
    r->keys = keys;
    r->key_capacity = capacity;
  }
  const yaml_mark_t *mark = &r->event.start_mark;
  r->keys[r->n_keys] = (key_place){nsl_strdup(r->path.text), (int)mark->line + 1, (int)mark->column + 1, r->n_keys};
  return r->keys[r->n_keys++].path ? NSL_OK : nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory for its keys", r->name);
}

static nsl_status read_node(reader *r, int depth);

static nsl_status check_text(reader *r)
{
  if (strlen((const char *)r->event.data.scalar.value) != r->event.data.scalar.length) {
    return fail_at(r, &r->event.start_mark, "text must not hold a NUL character");
  }
  return NSL_OK;
}

/* Both start at the event after the collection's start and end at its end event. */
static nsl_status read_mapping(reader *r, int depth, size_t *n)
{
  nsl_status st = NSL_OK;
  size_t old;
  for (*n = 0;; ++*n) {
    NSL_TRY(next_event(r));
    if (r->event.type == YAML_MAPPING_END_EVENT) { break; }
    NSL_TRY(check_plainness(r));
    if (r->event.type != YAML_SCALAR_EVENT) {
      st = fail_at(r, &r->event.start_mark, "a key must be a plain word");
      goto cleanup;
    }
    NSL_TRY(check_text(r));
    const char *key = (const char *)r->event.data.scalar.value;
    int is_quoted = r->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    if (!key[0] || (!is_quoted && strchr(key, '.'))) {
      st = fail_at(r, &r->event.start_mark, "a key must not be empty, or hold a '.' unless it is quoted");
      goto cleanup;
    }
    NSL_TRY(enter(r, key, &old));
    NSL_TRY(remember_key(r));
    NSL_TRY(next_event(r));
    NSL_TRY(read_node(r, depth));
    leave(r, old);
  }
cleanup:
  return st;
}

static nsl_status read_sequence(reader *r, int depth, size_t *n)
{
  nsl_status st = NSL_OK;
  size_t old;
  char index[24];
  for (*n = 0;; ++*n) {
    NSL_TRY(next_event(r));
    if (r->event.type == YAML_SEQUENCE_END_EVENT) { break; }
    snprintf(index, sizeof index, "%zu", *n);
    NSL_TRY(enter(r, index, &old));
    NSL_TRY(read_node(r, depth));
    leave(r, old);
  }
cleanup:
  return st;
}

/* The current event starts the node. */
static nsl_status read_node(reader *r, int depth)
{
  nsl_status st = NSL_OK;
  yaml_mark_t start = r->event.start_mark;
  yaml_event_type_t type = r->event.type;
  size_t n = 0;
  NSL_TRY(check_plainness(r));
  if (type == YAML_SCALAR_EVENT) {
    NSL_TRY(check_text(r));
    return add_item(r, &start, is_null(&r->event) ? "" : (const char *)r->event.data.scalar.value, 0);
  }
  if (depth >= MAX_DEPTH) { return fail_at(r, &start, "nested too deeply (at most 32 levels)"); }
  NSL_TRY(type == YAML_MAPPING_START_EVENT ? read_mapping(r, depth + 1, &n) : read_sequence(r, depth + 1, &n));
  if (!n && r->path.n) { NSL_TRY(add_item(r, &start, "", 1)); }
cleanup:
  return st;
}

static int by_path(const void *a, const void *b)
{
  const key_place *x = a, *y = b;
  int c = strcmp(x->path, y->path);
  return c ? c : (x->order > y->order) - (x->order < y->order);
}

static nsl_status refuse_duplicates(reader *r)
{
  const key_place *first = NULL, *again = NULL;
  if (r->n_keys) { qsort(r->keys, r->n_keys, sizeof *r->keys, by_path); }
  for (size_t i = 1; i < r->n_keys; i++) {
    if (strcmp(r->keys[i - 1].path, r->keys[i].path) || (again && again->order < r->keys[i].order)) { continue; }
    first = &r->keys[i - 1];
    again = &r->keys[i];
  }
  if (!again) { return NSL_OK; }
  return nsl_fail(r->err, NSL_E_CONFIG, "%s:%d:%d: key '%s' is there already (line %d); keep one", r->name, again->line,
                  again->column, again->path, first->line);
}

static nsl_status read_document(reader *r)
{
  nsl_status st = NSL_OK;
  NSL_TRY(next_event(r)); /* the stream's start */
  NSL_TRY(next_event(r));
  if (r->event.type == YAML_STREAM_END_EVENT) { goto cleanup; }
  NSL_TRY(next_event(r));
  if (r->event.type == YAML_SEQUENCE_START_EVENT || (r->event.type == YAML_SCALAR_EVENT && !is_null(&r->event))) {
    st = fail_at(r, &r->event.start_mark, "'key: value' lines are expected, not a list or a single word");
    goto cleanup;
  }
  if (r->event.type != YAML_SCALAR_EVENT) { NSL_TRY(read_node(r, 0)); }
  NSL_TRY(next_event(r)); /* the document's end */
  NSL_TRY(next_event(r));
  if (r->event.type != YAML_STREAM_END_EVENT) {
    st = fail_at(r, &r->event.start_mark, "a second document starts here; one a file is allowed");
    goto cleanup;
  }
  NSL_TRY(refuse_duplicates(r));
cleanup:
  return st;
}

nsl_status nsl_yaml_parse(const char *text, size_t n, const char *name, nsl_kvlist *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  reader r = {.name = name, .err = err};
  nsl_str_init(&r.path);
  if (n > MAX_BYTES) {
    return nsl_fail(err, NSL_E_CONFIG, "%s:1:1: too large for a configuration (%zu bytes, at most %d)", name, n, MAX_BYTES);
  }
  if (!yaml_parser_initialize(&r.parser)) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory to parse it", name); }
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
  NSL_TRY(read_document(&r));
  r.list.file = nsl_strdup(name);
  if (!r.list.file) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", name); }
  *out = r.list;
  r.list = (nsl_kvlist){0};
cleanup:
  yaml_event_delete(&r.event);
  yaml_parser_delete(&r.parser);
  nsl_kvlist_free(&r.list);
  nsl_str_free(&r.path);
  for (size_t i = 0; i < r.n_keys; i++) { free(r.keys[i].path); }
  free(r.keys);
  return st;
}

nsl_status nsl_yaml_read(const char *path, nsl_kvlist *out, nsl_error *err)
{
  char *text = NULL;
  size_t n = 0;
  nsl_status st = nsl_read_file(path, MAX_BYTES, &text, &n, err);
  if (st == NSL_OK) { st = nsl_yaml_parse(text, n, path, out, err); }
  free(text);
  return st;
}
