/* FITS tables as nsl_table. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits_internal.h"
#include "noslit/base/str.h"
#include "table_internal.h"

typedef struct {
  nsl_fits *fits;
  int hdu;
  int64_t row_bytes;
  int *types; /* cfitsio's type of each column, scaling counted in */
  long *widths;
} fits_table;

static void fits_table_close(void *self)
{
  fits_table *s = self;
  nsl_fits_close(s->fits);
  free(s->types);
  free(s->widths);
  free(s);
}

static nsl_status begin(fits_table *s, int64_t first, int64_t n, nsl_error *err)
{
  nsl_status st = nsl_fits_move(s->fits, s->hdu, err);
  return st == NSL_OK ? nsl_fits_require_data(s->fits, s->hdu, (first + n) * s->row_bytes, err) : st;
}

static nsl_status read_i64(void *self, int column, int64_t first, int64_t n, int64_t *out, char *null, nsl_error *err)
{
  fits_table *s = self;
  nsl_status st = begin(s, first, n, err);
  int status = 0, any_null = 0;
  if (st != NSL_OK) { return st; }
  if (s->types[column] == TLOGICAL) {
    char *truth = malloc((size_t)n);
    if (!truth) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory to read", s->fits->path); }
    fits_read_colnull(s->fits->file, TLOGICAL, column + 1, first + 1, 1, n, truth, null, &any_null, &status);
    for (int64_t i = 0; !status && i < n; i++) { out[i] = truth[i]; }
    free(truth);
  } else {
    LONGLONG *values = (LONGLONG *)out; /* both are 64-bit */
    fits_read_colnull(s->fits->file, TLONGLONG, column + 1, first + 1, 1, n, values, null, &any_null, &status);
  }
  return status ? nsl_fits_fail(err, status, s->fits->path, s->hdu, "read a column") : NSL_OK;
}

static nsl_status read_f64(void *self, int column, int64_t first, int64_t n, double *out, nsl_error *err)
{
  fits_table *s = self;
  int status = 0, any_null = 0;
  double null = NAN;
  nsl_status st = NSL_OK;
  char *missing = NULL;
  int64_t *truth = NULL;
  if (s->types[column] == TLOGICAL) {
    missing = calloc((size_t)n, 1);
    truth = malloc((size_t)n * sizeof *truth);
    if (!missing || !truth) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to read", s->fits->path); }
    NSL_TRY(read_i64(self, column, first, n, truth, missing, err));
    for (int64_t i = 0; i < n; i++) { out[i] = missing[i] ? NAN : (double)truth[i]; }
    goto cleanup;
  }
  NSL_TRY(begin(s, first, n, err));
  if (fits_read_col(s->fits->file, TDOUBLE, column + 1, first + 1, 1, n, &null, out, &any_null, &status)) {
    st = nsl_fits_fail(err, status, s->fits->path, s->hdu, "read a column");
  }
cleanup:
  free(missing);
  free(truth);
  return st;
}

enum { TEXT_BATCH = 256 };

static nsl_status read_text(void *self, int column, int64_t first, int64_t n, char *out, size_t size, nsl_error *err)
{
  fits_table *s = self;
  nsl_status st = NSL_OK;
  size_t width = (size_t)s->widths[column] + 1;
  char *text = calloc(TEXT_BATCH, width), *rows[TEXT_BATCH];
  if (!text) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to read", s->fits->path); }
  NSL_TRY(begin(s, first, n, err));
  for (size_t i = 0; i < TEXT_BATCH; i++) { rows[i] = text + i * width; }
  for (int64_t done = 0; done < n; done += TEXT_BATCH) {
    int64_t count = n - done < TEXT_BATCH ? n - done : TEXT_BATCH;
    int status = 0, any_null = 0;
    if (fits_read_col(s->fits->file, TSTRING, column + 1, first + done + 1, 1, count, NULL, rows, &any_null, &status)) {
      st = nsl_fits_fail(err, status, s->fits->path, s->hdu, "read a text column");
      goto cleanup;
    }
    for (int64_t i = 0; i < count; i++) { nsl_table_copy_text(out + (size_t)(done + i) * size, size, rows[i], strlen(rows[i])); }
  }
cleanup:
  free(text);
  return st;
}

static nsl_column_kind kind_of(int type, long repeat)
{
  if (type == TSTRING) { return NSL_COLUMN_TEXT; }
  if (repeat != 1) { return NSL_COLUMN_OTHER; }
  switch (type) {
  case TFLOAT:
  case TDOUBLE:
    return NSL_COLUMN_REAL;
  case TLOGICAL:
  case TBYTE:
  case TSBYTE:
  case TSHORT:
  case TUSHORT:
  case TINT:
  case TUINT:
  case TLONG:
  case TULONG:
  case TLONGLONG:
  case TULONGLONG:
    return NSL_COLUMN_INTEGER;
  default:
    return NSL_COLUMN_OTHER; /* bits, complex numbers, arrays of variable length (negative types) */
  }
}

static int is_table(nsl_fits *f, int hdu, nsl_status *st, nsl_error *err)
{
  int status = 0, kind = IMAGE_HDU;
  *st = nsl_fits_move(f, hdu, err);
  if (*st != NSL_OK) { return 0; }
  fits_get_hdu_type(f->file, &kind, &status);
  int compressed = fits_is_compressed_image(f->file, &status);
  return !status && kind != IMAGE_HDU && !compressed;
}

static nsl_status find_table(fits_table *s, const char *where, nsl_error *err)
{
  nsl_status st;
  int64_t number;
  int n;
  if (where[0]) {
    if (nsl_parse_i64(where, &number) && number >= 0 && number < 100000) {
      s->hdu = (int)number + 1;
    } else {
      st = nsl_fits_find_hdu(s->fits, where, &s->hdu, err);
      if (st != NSL_OK) { return st; }
    }
    if (is_table(s->fits, s->hdu, &st, err) || st != NSL_OK) { return st; }
    return nsl_fail(err, NSL_E_FORMAT, "%s: extension '%s' is no table", s->fits->path, where);
  }
  st = nsl_fits_hdu_count(s->fits, &n, err);
  for (int hdu = 1; st == NSL_OK && hdu <= n; hdu++) {
    s->hdu = hdu;
    if (is_table(s->fits, hdu, &st, err)) { return NSL_OK; }
  }
  return st == NSL_OK ? nsl_fail(err, NSL_E_NOTFOUND, "%s: no table is in it", s->fits->path) : st;
}

static nsl_status read_column(nsl_table *t, fits_table *s, int i, nsl_error *err)
{
  int status = 0, has_name = 0;
  long repeat = 0, width = 0;
  char key[FLEN_KEYWORD], name[FLEN_VALUE] = "";
  if (fits_get_eqcoltype(s->fits->file, i + 1, &s->types[i], &repeat, &width, &status)) {
    return nsl_fits_fail(err, status, t->path, s->hdu, "read the type of a column");
  }
  snprintf(key, sizeof key, "TTYPE%d", i + 1);
  has_name = !fits_read_key(s->fits->file, TSTRING, key, name, NULL, &status) && name[0];
  fits_clear_errmsg();
  t->names[i] = has_name ? nsl_strdup(name) : nsl_strf("col%d", i + 1);
  t->kinds[i] = kind_of(s->types[i], repeat);
  s->widths[i] = repeat > width ? repeat : width; /* of text: characters; an ASCII table has them in width */
  return t->names[i] ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "%s: no memory", t->path);
}

nsl_status nsl_table_open_fits(nsl_table *t, const char *where, nsl_error *err)
{
  static const nsl_table_kind kind = {read_i64, read_f64, read_text, fits_table_close};
  nsl_status st = NSL_OK;
  int status = 0, n = 0;
  LONGLONG rows = 0, row_bytes = 0;
  fits_table *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  t->self = s;
  t->kind = &kind;
  NSL_TRY(nsl_fits_open(t->path, &s->fits, err));
  NSL_TRY(find_table(s, where, err));
  fits_get_num_rowsll(s->fits->file, &rows, &status);
  fits_get_num_cols(s->fits->file, &n, &status);
  fits_read_key(s->fits->file, TLONGLONG, "NAXIS1", &row_bytes, NULL, &status);
  if (status) {
    st = nsl_fits_fail(err, status, t->path, s->hdu, "read the size of its table");
    goto cleanup;
  }
  t->rows = rows;
  s->row_bytes = row_bytes;
  s->types = calloc((size_t)n + 1, sizeof *s->types);
  s->widths = calloc((size_t)n + 1, sizeof *s->widths);
  if (!s->types || !s->widths) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", t->path); }
  NSL_TRY(nsl_table_set_columns(t, n, err));
  for (int i = 0; i < n; i++) { NSL_TRY(read_column(t, s, i, err)); }
cleanup:
  return st;
}
