/* Tables of any kind of file: opening, columns, and values between numbers and text. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "noslit/base/str.h"
#include "table_internal.h"

enum { BATCH = 1024, NUMBER_WIDTH = 64 };

nsl_status nsl_table_set_columns(nsl_table *t, int n, nsl_error *err)
{
  t->names = calloc((size_t)n + 1, sizeof *t->names);
  t->kinds = calloc((size_t)n + 1, sizeof *t->kinds);
  t->n_columns = t->names ? n : 0;
  return t->names && t->kinds ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "%s: no memory for %d columns", t->path, n);
}

void nsl_table_copy_text(char *out, size_t size, const char *text, size_t n)
{
  if (n > size - 1) { n = size - 1; }
  while (n && text[n - 1] == ' ') { n--; }
  if (n) { memcpy(out, text, n); }
  out[n] = '\0';
}

static nsl_status open_by_content(nsl_table *t, const char *where, nsl_error *err)
{
  unsigned char head[4096];
  FILE *f = fopen(t->path, "rb");
  if (!f) { return nsl_fail_errno(err, errno, "%s: cannot open", t->path); }
  errno = 0;
  size_t n = fread(head, 1, sizeof head, f);
  int e = ferror(f) ? errno : 0;
  fclose(f);
  if (e) { return nsl_fail_errno(err, e, "%s: cannot read", t->path); }
  if (n >= 8 && !memcmp(head, "\x89HDF\r\n\x1a\n", 8)) { return nsl_table_open_h5(t, where, err); }
  int is_gzip = n >= 2 && head[0] == 0x1f && head[1] == 0x8b;
  if (is_gzip || (n >= 9 && !memcmp(head, "SIMPLE  =", 9))) { return nsl_table_open_fits(t, where, err); }
  if (!n || memchr(head, '\0', n)) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: it is %s, no table in FITS, HDF5 or text (CSV, ECSV)", t->path, n ? "binary" : "empty");
  }
  return nsl_table_open_text(t, where, err);
}

nsl_status nsl_table_open(const char *path, const char *where, nsl_table **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_table *t = calloc(1, sizeof *t);
  if (!t || !(t->path = nsl_strdup(path))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(open_by_content(t, where ? where : "", err));
  *out = t;
  t = NULL;
cleanup:
  nsl_table_close(t);
  return st;
}

void nsl_table_close(nsl_table *t)
{
  if (!t) { return; }
  if (t->self) { t->kind->close(t->self); }
  for (int i = 0; i < t->n_columns; i++) { free(t->names[i]); }
  free(t->names);
  free(t->kinds);
  free(t->path);
  free(t);
}

int64_t nsl_table_rows(const nsl_table *t) { return t->rows; }
int nsl_table_columns(const nsl_table *t) { return t->n_columns; }
const char *nsl_table_column_name(const nsl_table *t, int column) { return t->names[column]; }

int nsl_table_find(const nsl_table *t, const char *name)
{
  for (int i = 0; i < t->n_columns; i++) { /* of RA and ra the one that is written so */
    if (!strcmp(t->names[i], name)) { return i; }
  }
  for (int i = 0; i < t->n_columns; i++) {
    if (!strcasecmp(t->names[i], name)) { return i; }
  }
  return -1;
}

nsl_status nsl_table_require(const nsl_table *t, const char *name, int *column, nsl_error *err)
{
  int found = nsl_table_find(t, name);
  if (found >= 0) {
    *column = found;
    return NSL_OK;
  }
  int near = nsl_nearest_name(name, (const char *const *)t->names, (size_t)t->n_columns);
  if (near >= 0) {
    return nsl_fail(err, NSL_E_NOTFOUND, "%s: it has no column '%s'; the nearest is '%s'", t->path, name, t->names[near]);
  }
  nsl_str all;
  nsl_str_init(&all);
  for (int i = 0; i < t->n_columns && all.n < 300; i++) { nsl_str_addf(&all, "%s%s", i ? ", " : "", t->names[i]); }
  nsl_fail(err, NSL_E_NOTFOUND, "%s: it has no column '%s' (it has: %s%s)", t->path, name, all.text, all.n < 300 ? "" : ", ...");
  nsl_str_free(&all);
  return NSL_E_NOTFOUND;
}

static nsl_status check_request(const nsl_table *t, int column, int64_t first, int64_t n, nsl_error *err)
{
  if (column < 0 || column >= t->n_columns) { return nsl_fail(err, NSL_E_BUG, "%s: it has no column number %d", t->path, column); }
  if (first < 0 || n < 0 || first > t->rows || n > t->rows - first) {
    return nsl_fail(err, NSL_E_BUG, "%s: rows %lld to %lld are asked for, it has %lld", t->path, (long long)first,
                    (long long)(first + n), (long long)t->rows);
  }
  if (t->kinds[column] == NSL_COLUMN_OTHER) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: column '%s' does not hold one number or text a row", t->path, t->names[column]);
  }
  return NSL_OK;
}

static nsl_status fail_at(const nsl_table *t, int column, int64_t row, nsl_error *err, const char *what, const char *value)
{
  return nsl_fail(err, NSL_E_VALUE, "%s: column '%s', row %lld: %s%s", t->path, t->names[column], (long long)row + 1, what, value);
}

static int is_missing(const char *s)
{
  static const char *const words[] = {"", "nan", "null", "none", "--", "\\N", "n/a"};
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
    if (!strcasecmp(s, words[i])) { return 1; }
  }
  return 0;
}

static int text_to_f64(const char *s, double *out)
{
  int truth;
  char *end;
  if (is_missing(s)) { return *out = NAN, 1; }
  if (nsl_parse_bool(s, &truth)) { return *out = truth, 1; }
  while (*s == ' ') { s++; }
  *out = strtod(s, &end);
  return end != s && !*end;
}

/* Runs work on batches of the rows as text. */
typedef nsl_status (*text_work)(nsl_table *t, int column, int64_t row, const char *text, void *out, nsl_error *err);

static nsl_status each_text(nsl_table *t, int column, int64_t first, int64_t n, text_work work, void *out, size_t out_size,
                            nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *text = malloc((size_t)BATCH * NUMBER_WIDTH);
  if (!text) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to read", t->path); }
  for (int64_t done = 0; done < n; done += BATCH) {
    int64_t count = n - done < BATCH ? n - done : BATCH;
    NSL_TRY(t->kind->read_text(t->self, column, first + done, count, text, NUMBER_WIDTH, err));
    for (int64_t i = 0; i < count; i++) {
      const char *one = text + i * NUMBER_WIDTH;
      if (strlen(one) == NUMBER_WIDTH - 1) {
        st = fail_at(t, column, first + done + i, err, "too long for a number: ", one);
        goto cleanup;
      }
      NSL_TRY(work(t, column, first + done + i, one, (char *)out + (size_t)(done + i) * out_size, err));
    }
  }
cleanup:
  free(text);
  return st;
}

static nsl_status work_f64(nsl_table *t, int column, int64_t row, const char *text, void *out, nsl_error *err)
{
  return text_to_f64(text, out) ? NSL_OK : fail_at(t, column, row, err, "not a number: ", text);
}

nsl_status nsl_table_read_f64(nsl_table *t, int column, int64_t first, int64_t n, double *out, nsl_error *err)
{
  nsl_status st = check_request(t, column, first, n, err);
  if (st != NSL_OK || !n) { return st; }
  if (t->kinds[column] == NSL_COLUMN_TEXT) { return each_text(t, column, first, n, work_f64, out, sizeof *out, err); }
  return t->kind->read_f64(t->self, column, first, n, out, err);
}

/* 2^63 and beyond are no int64. */
static nsl_status f64_to_i64(const nsl_table *t, int column, int64_t row, double v, int64_t *out, nsl_error *err)
{
  char text[32];
  if (isnan(v)) { return fail_at(t, column, row, err, "no value where a whole number is needed", ""); }
  if (v != floor(v) || fabs(v) >= 9223372036854775808.0) {
    snprintf(text, sizeof text, "%.17g", v);
    return fail_at(t, column, row, err, "not a whole number: ", text);
  }
  *out = (int64_t)v;
  return NSL_OK;
}

static nsl_status work_i64(nsl_table *t, int column, int64_t row, const char *text, void *out, nsl_error *err)
{
  double v;
  while (*text == ' ') { text++; }
  if (nsl_parse_i64(text, out)) { return NSL_OK; }
  if (!text_to_f64(text, &v)) { return fail_at(t, column, row, err, "not a whole number: ", text); }
  /* A digit string that only fits a double would lose its last digits: an identifier must not. */
  if (fabs(v) > 9007199254740992.0) { return fail_at(t, column, row, err, "too large a whole number: ", text); }
  return f64_to_i64(t, column, row, v, out, err);
}

nsl_status nsl_table_read_i64(nsl_table *t, int column, int64_t first, int64_t n, int64_t *out, nsl_error *err)
{
  nsl_status st = check_request(t, column, first, n, err);
  char null[BATCH];
  double real[BATCH];
  if (st != NSL_OK || !n) { return st; }
  if (t->kinds[column] == NSL_COLUMN_TEXT) { return each_text(t, column, first, n, work_i64, out, sizeof *out, err); }
  for (int64_t done = 0; done < n; done += BATCH) {
    int64_t count = n - done < BATCH ? n - done : BATCH;
    if (t->kinds[column] == NSL_COLUMN_INTEGER) {
      memset(null, 0, sizeof null);
      NSL_TRY(t->kind->read_i64(t->self, column, first + done, count, out + done, null, err));
      const char *missing = memchr(null, 1, (size_t)count);
      if (missing) {
        return fail_at(t, column, first + done + (missing - null), err, "no value where a whole number is needed", "");
      }
    } else {
      NSL_TRY(t->kind->read_f64(t->self, column, first + done, count, real, err));
      for (int64_t i = 0; i < count; i++) { NSL_TRY(f64_to_i64(t, column, first + done + i, real[i], &out[done + i], err)); }
    }
  }
cleanup:
  return st;
}

/* The shortest text that reads back as v; "" for NaN. */
static void format_f64(double v, char *out, size_t size)
{
  char text[32] = "";
  for (int digits = 6; digits <= 17 && !isnan(v); digits++) {
    snprintf(text, sizeof text, "%.*g", digits, v);
    if (strtod(text, NULL) == v) { break; }
  }
  nsl_table_copy_text(out, size, text, strlen(text));
}

nsl_status nsl_table_read_text(nsl_table *t, int column, int64_t first, int64_t n, char *out, size_t size, nsl_error *err)
{
  nsl_status st = check_request(t, column, first, n, err);
  int64_t whole[BATCH];
  double real[BATCH];
  char null[BATCH], text[32];
  if (st != NSL_OK || !n) { return st; }
  if (t->kinds[column] == NSL_COLUMN_TEXT) { return t->kind->read_text(t->self, column, first, n, out, size, err); }
  for (int64_t done = 0; done < n; done += BATCH) {
    int64_t count = n - done < BATCH ? n - done : BATCH;
    int integer = t->kinds[column] == NSL_COLUMN_INTEGER;
    memset(null, 0, sizeof null);
    NSL_TRY(integer ? t->kind->read_i64(t->self, column, first + done, count, whole, null, err)
                    : t->kind->read_f64(t->self, column, first + done, count, real, err));
    for (int64_t i = 0; i < count; i++) {
      char *place = out + (size_t)(done + i) * size;
      if (!integer) {
        format_f64(real[i], place, size);
        continue;
      }
      snprintf(text, sizeof text, "%lld", (long long)whole[i]);
      nsl_table_copy_text(place, size, text, null[i] ? 0 : strlen(text));
    }
  }
cleanup:
  return st;
}
