/* libyaml's events to a flat list. Written for configuration files: what could be misread by a human is refused. */
#include "noslit/io/yaml.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

enum { MAX_BYTES = 4 << 20, MAX_DEPTH = 32 };

typedef struct {
  yaml_parser_t parser;
  const char *name;
  nsl_kvlist *out;
  size_t capacity;
  nsl_error *err;
} reader;

static nsl_status fail_at(reader *r, yaml_mark_t mark, const char *what)
{
  return nsl_fail(r->err, NSL_E_CONFIG, "%s:%zu:%zu: %s", r->name, mark.line + 1, mark.column + 1, what);
}

static nsl_status next_event(reader *r, yaml_event_t *event)
{
  if (yaml_parser_parse(&r->parser, event)) { return NSL_OK; }
  const yaml_parser_t *p = &r->parser;
  yaml_mark_t mark = p->problem_mark;
  if (p->error == YAML_READER_ERROR) {
    return nsl_fail(r->err, NSL_E_CONFIG, "%s: byte %zu: %s; is it text in UTF-8?", r->name, p->problem_offset, p->problem);
  }
  if (p->error == YAML_MEMORY_ERROR) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory to parse it", r->name); }
  return fail_at(r, mark, p->problem ? p->problem : "not valid YAML");
}

static nsl_status add_item(reader *r, const char *path, const char *value, yaml_mark_t mark, int is_empty_list)
{
  if (nsl_kv_find(r->out, path)) {
    char *what = nsl_strf("key '%s' is given twice", path);
    nsl_status st = fail_at(r, mark, what ? what : "a key is given twice");
    free(what);
    return st;
  }
  if (r->out->n == r->capacity) {
    size_t capacity = r->capacity ? 2 * r->capacity : 64;
    nsl_kv *items = realloc(r->out->items, capacity * sizeof *items);
    if (!items) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory", r->name); }
    r->out->items = items;
    r->capacity = capacity;
  }
  nsl_kv kv = {nsl_strdup(path), nsl_strdup(value), (int)mark.line + 1, (int)mark.column + 1, is_empty_list};
  if (!kv.path || !kv.value) {
    free(kv.path);
    free(kv.value);
    return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory", r->name);
  }
  r->out->items[r->out->n++] = kv;
  return NSL_OK;
}

static int is_null(const yaml_event_t *e)
{
  if (e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE) { return 0; }
  const char *text = (const char *)e->data.scalar.value;
  return !*text || !strcmp(text, "~") || !strcmp(text, "null");
}

static nsl_status read_node(reader *r, yaml_event_t *event, nsl_str *path, int depth);

/* Appends ".word" for the duration of one child. */
static nsl_status read_child(reader *r, yaml_event_t *event, nsl_str *path, const char *word, int depth)
{
  size_t length = path->n;
  nsl_str_addf(path, "%s%s", length ? "." : "", word);
  if (path->failed) { return nsl_fail(r->err, NSL_E_NOMEM, "%s: no memory", r->name); }
  nsl_status st = read_node(r, event, path, depth);
  path->n = length;
  if (path->capacity) { path->text[length] = '\0'; }
  return st;
}

static nsl_status read_sequence(reader *r, yaml_mark_t mark, nsl_str *path, int depth)
{
  for (size_t i = 0;; i++) {
    yaml_event_t event;
    nsl_status st = next_event(r, &event);
    if (st != NSL_OK) { return st; }
    if (event.type == YAML_SEQUENCE_END_EVENT) {
      yaml_event_delete(&event);
      return i ? NSL_OK : add_item(r, path->text, "", mark, 1);
    }
    char word[24];
    snprintf(word, sizeof word, "%zu", i);
    st = read_child(r, &event, path, word, depth);
    yaml_event_delete(&event);
    if (st != NSL_OK) { return st; }
  }
}

static int has_prefix_path(const nsl_kvlist *list, const nsl_str *path, const char *word)
{
  return nsl_kv_has(list, "%s%s%s", path->text, path->n ? "." : "", word);
}

static nsl_status read_mapping(reader *r, yaml_mark_t mark, nsl_str *path, int depth)
{
  for (size_t i = 0;; i++) {
    yaml_event_t key, child;
    nsl_status st = next_event(r, &key);
    if (st != NSL_OK) { return st; }
    if (key.type == YAML_MAPPING_END_EVENT) {
      yaml_event_delete(&key);
      if (i || !path->n) { return NSL_OK; }
      return add_item(r, path->text, "", mark, 1);
    }
    if (key.type != YAML_SCALAR_EVENT || !key.data.scalar.length) {
      st = fail_at(r, key.start_mark, "a key must be a plain word");
    } else if (has_prefix_path(r->out, path, (const char *)key.data.scalar.value)) {
      char *what = nsl_strf("key '%s' is given twice", (const char *)key.data.scalar.value);
      st = fail_at(r, key.start_mark, what ? what : "a key is given twice");
      free(what);
    }
    if (st == NSL_OK) { st = next_event(r, &child); }
    if (st == NSL_OK) {
      st = read_child(r, &child, path, (const char *)key.data.scalar.value, depth);
      yaml_event_delete(&child);
    }
    yaml_event_delete(&key);
    if (st != NSL_OK) { return st; }
  }
}

static nsl_status read_node(reader *r, yaml_event_t *event, nsl_str *path, int depth)
{
  yaml_mark_t mark = event->start_mark;
  if (depth > MAX_DEPTH) { return fail_at(r, mark, "nested too deeply"); }
  switch (event->type) {
  case YAML_SCALAR_EVENT:
    if (event->data.scalar.anchor) { return fail_at(r, mark, "anchors are not supported; write the value out"); }
    if (strlen((const char *)event->data.scalar.value) != event->data.scalar.length) { return fail_at(r, mark, "a NUL byte"); }
    return add_item(r, path->text, is_null(event) ? "" : (const char *)event->data.scalar.value, mark, 0);
  case YAML_SEQUENCE_START_EVENT:
    if (event->data.sequence_start.anchor) { return fail_at(r, mark, "anchors are not supported; write the value out"); }
    return read_sequence(r, mark, path, depth + 1);
  case YAML_MAPPING_START_EVENT:
    if (event->data.mapping_start.anchor) { return fail_at(r, mark, "anchors are not supported; write the value out"); }
    return read_mapping(r, mark, path, depth + 1);
  case YAML_ALIAS_EVENT:
    return fail_at(r, mark, "aliases are not supported; write the value out");
  default:
    return fail_at(r, mark, "unexpected content");
  }
}

/* stream start, document start, the root, document end, stream end; an empty stream is an empty list. */
static nsl_status read_stream(reader *r)
{
  nsl_str path;
  nsl_str_init(&path);
  nsl_status st = NSL_OK;
  int documents = 0;
  for (int done = 0; !done && st == NSL_OK;) {
    yaml_event_t event;
    st = next_event(r, &event);
    if (st != NSL_OK) { break; }
    switch (event.type) {
    case YAML_STREAM_START_EVENT:
    case YAML_DOCUMENT_END_EVENT:
      break;
    case YAML_STREAM_END_EVENT:
      done = 1;
      break;
    case YAML_DOCUMENT_START_EVENT:
      if (documents++) { st = fail_at(r, event.start_mark, "a second document; one file holds one"); }
      break;
    case YAML_MAPPING_START_EVENT:
      st = read_node(r, &event, &path, 0);
      break;
    case YAML_SCALAR_EVENT:
      if (is_null(&event)) { break; }
      st = fail_at(r, event.start_mark, "the document must be a mapping of keys to values");
      break;
    default:
      st = fail_at(r, event.start_mark, "the document must be a mapping of keys to values");
    }
    yaml_event_delete(&event);
  }
  nsl_str_free(&path);
  return st;
}

nsl_status nsl_yaml_parse(const char *text, size_t n, const char *name, nsl_kvlist *out, nsl_error *err)
{
  reader r = {.name = name, .out = out, .err = err};
  *out = (nsl_kvlist){.file = nsl_strdup(name)};
  if (!out->file || !yaml_parser_initialize(&r.parser)) {
    nsl_kvlist_free(out);
    return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", name);
  }
  yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, n);
  nsl_status st = read_stream(&r);
  yaml_parser_delete(&r.parser);
  if (st != NSL_OK) { nsl_kvlist_free(out); }
  return st;
}

nsl_status nsl_yaml_read(const char *path, nsl_kvlist *out, nsl_error *err)
{
  char *text;
  size_t n;
  nsl_status st = nsl_read_file(path, MAX_BYTES, &text, &n, err);
  if (st != NSL_OK) { return st; }
  st = nsl_yaml_parse(text, n, path, out, err);
  free(text);
  return st;
}
