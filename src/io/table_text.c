/* Text tables (CSV, ECSV, tabs, blanks) as nsl_table: scanned once at the opening, then read by blocks of rows. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "table_internal.h"

enum { BLOCK_ROWS = 8192, MAX_RECORD = 1 << 20 };

/* A record: one line, or several where a quoted field holds line ends. */
typedef struct {
  FILE *file;
  const char *path;
  char *line;
  size_t capacity, n;
  int64_t number; /* of its last line, from 1 */
  char delimiter; /* ' ' stands for any run of blanks */
  char **fields;  /* into line, after split() */
  int n_fields, field_capacity;
} record;

typedef struct {
  off_t offset;
  int64_t lines; /* lines before it */
} block_place;

typedef struct {
  record r;
  int64_t rows;
  int n_columns;
  block_place *blocks;
  size_t n_blocks, block_capacity;
  /* The block read last: its fields are at text.text + offsets[row * n_columns + column]. */
  int64_t loaded; /* its number, -1 for none */
  nsl_str text;
  size_t *offsets;
} text_table;

/* 1 when every quote in the line is closed. Only a quote at a field's start opens one. */
static int is_complete(const char *line, char delimiter)
{
  int at_start = 1, quoted = 0;
  if (!strchr(line, '"')) { return 1; }
  for (const char *p = line; *p; p++) {
    if (quoted) {
      quoted = *p != '"' || p[1] == '"';
      if (*p == '"' && quoted) { p++; } /* two stand for one */
    } else if (*p == delimiter) {
      at_start = 1;
    } else if (isspace((unsigned char)*p)) {
      at_start |= delimiter == ' ';
    } else {
      quoted = *p == '"' && at_start;
      at_start = 0;
    }
  }
  return !quoted;
}

/* The next record that is no comment and not blank, into r->line without its line end. *end: there is none.
 * Comments go to *comment (replaced; may be NULL). */
static nsl_status next_record(record *r, int *end, nsl_str *comment, nsl_error *err)
{
  char *more = NULL;
  size_t more_capacity = 0;
  nsl_status st = NSL_OK;
  *end = 0;
  for (;;) {
    errno = 0;
    ssize_t n = getline(&r->line, &r->capacity, r->file);
    if (n < 0) {
      if (ferror(r->file)) { st = nsl_fail_errno(err, errno, "%s: cannot read", r->path); }
      *end = 1;
      goto cleanup;
    }
    r->number++;
    r->n = (size_t)n;
    if (r->n != strlen(r->line)) { NSL_THROW(err, NSL_E_FORMAT, "%s:%lld: it holds a NUL byte", r->path, (long long)r->number); }
    char *first = r->line + strspn(r->line, " \t\r\n");
    if (*first == '#' && comment) {
      nsl_str_clear(comment);
      nsl_str_add(comment, first);
    }
    if (*first && *first != '#') { break; }
  }
  while (!is_complete(r->line, r->delimiter)) {
    ssize_t n = getline(&more, &more_capacity, r->file);
    if (n < 0 || r->n + (size_t)n > MAX_RECORD) {
      NSL_THROW(err, NSL_E_FORMAT, "%s:%lld: a quote is opened here and not closed", r->path, (long long)r->number);
    }
    if (r->capacity < r->n + (size_t)n + 1) {
      char *line = realloc(r->line, r->n + (size_t)n + 1);
      if (!line) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", r->path); }
      r->line = line;
      r->capacity = r->n + (size_t)n + 1;
    }
    memcpy(r->line + r->n, more, (size_t)n + 1);
    r->n += (size_t)n;
    r->number++;
  }
  while (r->n && strchr("\r\n", r->line[r->n - 1])) { r->line[--r->n] = '\0'; }
cleanup:
  free(more);
  return st;
}

/* Takes a quoted field at p (at its quote) apart in place; returns what follows it. */
static char *unquote(char *p)
{
  char *out = p;
  for (p++; *p; p++) {
    if (*p == '"' && *++p != '"') { break; }
    *out++ = *p;
  }
  *out = '\0';
  return p;
}

static int is_end(const record *r, char c) { return !c || (r->delimiter == ' ' ? isspace((unsigned char)c) : c == r->delimiter); }

/* Ends the field that starts at p; returns what follows its delimiter, NULL when the line ends. *field is its text. */
static char *take_field(const record *r, char *p, char **field, int *ok)
{
  *field = p;
  if (*p == '"') {
    p = unquote(p);
    while (*p && !is_end(r, *p) && isspace((unsigned char)*p)) { p++; }
    *ok = is_end(r, *p);
    return *ok && *p ? p + 1 : NULL;
  }
  char *end = p;
  for (; !is_end(r, *p); p++) {
    if (!isspace((unsigned char)*p)) { end = p + 1; }
  }
  char *next = *p ? p + 1 : NULL;
  *end = '\0';
  return next;
}

/* Splits line in place into r->fields. */
static nsl_status split(record *r, char *line, nsl_error *err)
{
  r->n_fields = 0;
  for (char *p = line; p;) {
    while (*p == ' ' || (*p == '\t' && r->delimiter != '\t')) { p++; }
    if (r->delimiter == ' ' && !*p) { break; }
    if (r->n_fields == r->field_capacity) {
      int capacity = r->field_capacity ? 2 * r->field_capacity : 32;
      char **fields = realloc(r->fields, (size_t)capacity * sizeof *fields);
      if (!fields) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", r->path); }
      r->fields = fields;
      r->field_capacity = capacity;
    }
    int ok = 1;
    p = take_field(r, p, &r->fields[r->n_fields++], &ok);
    if (!ok) {
      return nsl_fail(err, NSL_E_FORMAT, "%s:%lld: field %d goes on after its closing quote", r->path, (long long)r->number,
                      r->n_fields);
    }
  }
  return NSL_OK;
}

static char delimiter_of(const char *line) { return strchr(line, ',') ? ',' : strchr(line, '\t') ? '\t' : ' '; }

/* Names are not numbers, and not all empty. */
static int are_names(char *const *fields, int n)
{
  double v;
  int filled = 0;
  for (int i = 0; i < n; i++) {
    if (nsl_parse_f64(fields[i], &v)) { return 0; }
    filled |= fields[i][0] != '\0';
  }
  return filled;
}

static nsl_status set_names(nsl_table *t, const record *r, nsl_error *err)
{
  nsl_status st = nsl_table_set_columns(t, r->n_fields, err);
  for (int i = 0; st == NSL_OK && i < r->n_fields; i++) {
    t->kinds[i] = NSL_COLUMN_TEXT;
    t->names[i] = r->fields[i][0] ? nsl_strdup(r->fields[i]) : nsl_strf("col%d", i + 1);
    if (!t->names[i]) { st = nsl_fail(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  }
  return st;
}

static nsl_status seek(record *r, off_t offset, int64_t lines, nsl_error *err)
{
  if (fseeko(r->file, offset, SEEK_SET)) { return nsl_fail_errno(err, errno, "%s: cannot read", r->path); }
  r->number = lines;
  return NSL_OK;
}

/* Names from the first record, or, when that is data already, from the comment before it. Leaves the file at the first row. */
static nsl_status read_header(nsl_table *t, record *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_str comment;
  int end;
  nsl_str_init(&comment);
  char mark[3] = "";
  off_t start = fread(mark, 1, 3, r->file) == 3 && !memcmp(mark, "\xef\xbb\xbf", 3) ? 3 : 0; /* UTF-8's byte order mark */
  NSL_TRY(seek(r, start, 0, err));
  r->delimiter = ',';
  NSL_TRY(next_record(r, &end, &comment, err));
  if (end && !comment.n) { NSL_THROW(err, NSL_E_FORMAT, "%s: no line of column names is in it", t->path); }
  r->delimiter = delimiter_of(end ? comment.text : r->line);
  int64_t line = r->number;
  int n = -1;
  if (!end) {
    NSL_TRY(split(r, r->line, err));
    if (are_names(r->fields, r->n_fields)) {
      st = set_names(t, r, err);
      goto cleanup;
    }
    n = r->n_fields;
  }
  char *names = comment.text + strspn(comment.text, "# \t");
  names[strcspn(names, "\r\n")] = '\0';
  NSL_TRY(split(r, names, err));
  if ((n >= 0 && r->n_fields != n) || !are_names(r->fields, r->n_fields)) {
    NSL_THROW(err, NSL_E_FORMAT, "%s:%lld: a line with the column names is needed before the values", t->path, (long long)line);
  }
  NSL_TRY(set_names(t, r, err));
  NSL_TRY(seek(r, start, 0, err)); /* what was read is the first row */
cleanup:
  nsl_str_free(&comment);
  return st;
}

/* The next row's fields, as many as there are columns. */
static nsl_status next_row(text_table *s, int *end, nsl_error *err)
{
  record *r = &s->r;
  nsl_status st = next_record(r, end, NULL, err);
  if (st != NSL_OK || *end) { return st; }
  st = split(r, r->line, err);
  if (st == NSL_OK && r->n_fields != s->n_columns) {
    st = nsl_fail(err, NSL_E_FORMAT, "%s:%lld: %d fields, but %d column names", r->path, (long long)r->number, r->n_fields,
                  s->n_columns);
  }
  return st;
}

/* Counts the rows, checks each, and keeps the places of the blocks. */
static nsl_status scan(nsl_table *t, text_table *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (;; t->rows++) {
    int end;
    if (t->rows % BLOCK_ROWS == 0) {
      if (s->n_blocks == s->block_capacity) {
        size_t capacity = s->block_capacity ? 2 * s->block_capacity : 16;
        block_place *blocks = realloc(s->blocks, capacity * sizeof *blocks);
        if (!blocks) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", t->path); }
        s->blocks = blocks;
        s->block_capacity = capacity;
      }
      s->blocks[s->n_blocks++] = (block_place){ftello(s->r.file), s->r.number};
    }
    NSL_TRY(next_row(s, &end, err));
    if (end) { break; }
  }
cleanup:
  return st;
}

static nsl_status load_block(text_table *s, int64_t block, int64_t rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  s->loaded = -1;
  nsl_str_clear(&s->text);
  NSL_TRY(seek(&s->r, s->blocks[block].offset, s->blocks[block].lines, err));
  for (int64_t i = 0; i < rows; i++) {
    int end;
    NSL_TRY(next_row(s, &end, err));
    if (end) { NSL_THROW(err, NSL_E_CORRUPT, "%s: it became shorter while it was read", s->r.path); }
    for (int k = 0; k < s->n_columns; k++) {
      s->offsets[i * s->n_columns + k] = s->text.n;
      nsl_str_add_n(&s->text, s->r.fields[k], strlen(s->r.fields[k]) + 1);
    }
  }
  if (s->text.failed) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %lld rows", s->r.path, (long long)rows); }
  s->loaded = block;
cleanup:
  return st;
}

static nsl_status read_text(void *self, int column, int64_t first, int64_t n, char *out, size_t size, nsl_error *err)
{
  text_table *s = self;
  for (int64_t i = 0; i < n; i++) {
    int64_t block = (first + i) / BLOCK_ROWS, row = (first + i) % BLOCK_ROWS;
    if (block != s->loaded) {
      int64_t rows = s->rows - block * BLOCK_ROWS;
      nsl_status st = load_block(s, block, rows < BLOCK_ROWS ? rows : BLOCK_ROWS, err);
      if (st != NSL_OK) { return st; }
    }
    const char *text = s->text.text + s->offsets[row * s->n_columns + column];
    nsl_table_copy_text(out + (size_t)i * size, size, text, strlen(text));
  }
  return NSL_OK;
}

static void text_table_close(void *self)
{
  text_table *s = self;
  if (s->r.file) { fclose(s->r.file); }
  free(s->r.line);
  free(s->r.fields);
  free(s->blocks);
  free(s->offsets);
  nsl_str_free(&s->text);
  free(s);
}

nsl_status nsl_table_open_text(nsl_table *t, const char *where, nsl_error *err)
{
  static const nsl_table_kind kind = {.read_text = read_text, .close = text_table_close}; /* every column is text */
  nsl_status st = NSL_OK;
  text_table *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  nsl_str_init(&s->text);
  t->self = s;
  t->kind = &kind;
  s->loaded = -1;
  s->r.path = t->path;
  if (where[0]) { NSL_THROW(err, NSL_E_USAGE, "%s: a text table has no part '%s'", t->path, where); }
  if (!(s->r.file = fopen(t->path, "rb"))) {
    st = nsl_fail_errno(err, errno, "%s: cannot open", t->path);
    goto cleanup;
  }
  NSL_TRY(read_header(t, &s->r, err));
  s->n_columns = t->n_columns;
  NSL_TRY(scan(t, s, err));
  s->rows = t->rows;
  int64_t most = t->rows < BLOCK_ROWS ? t->rows : BLOCK_ROWS;
  s->offsets = malloc(((size_t)most * (size_t)s->n_columns + 1) * sizeof *s->offsets);
  if (!s->offsets) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", t->path); }
cleanup:
  return st;
}
