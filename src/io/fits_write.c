/* FITS files: writing images, tables and keys; published whole. */
#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fits_internal.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

struct nsl_fits_writer {
  fitsfile *file;
  char *path, *temp;
};

static const struct {
  int bitpix, memory;
  char form;
  size_t size;
} types[] = {
    [NSL_FITS_F32] = {FLOAT_IMG, TFLOAT, 'E', 4},
    [NSL_FITS_F64] = {DOUBLE_IMG, TDOUBLE, 'D', 8},
    [NSL_FITS_I16] = {SHORT_IMG, TSHORT, 'I', 2},
    [NSL_FITS_I32] = {LONG_IMG, TINT, 'J', 4},
    [NSL_FITS_I64] = {LONGLONG_IMG, TLONGLONG, 'K', 8},
    [NSL_FITS_TEXT] = {0, TSTRING, 'A', 1},
    [NSL_FITS_BOOL] = {0, TLOGICAL, 'L', 1},
};

static nsl_status fail(nsl_error *err, int status, const nsl_fits_writer *w, const char *what)
{
  return nsl_fits_fail(err, status, w->path, 0, what);
}

static void start(void)
{
  fits_clear_errmsg();
  errno = 0;
}

nsl_status nsl_fits_create(const char *path, int overwrite, nsl_fits_writer **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int status = 0;
  char *temp = NULL;
  nsl_fits_writer *w = calloc(1, sizeof *w);
  if (!w || !(w->path = nsl_strdup(path)) || !(w->temp = nsl_temp_name(path, 0)) || !(temp = nsl_path_join(".", w->temp))) {
    NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path);
  }
  if (!overwrite && nsl_file_exists(path)) {
    NSL_THROW(err, NSL_E_USAGE, "%s: it exists already; remove it or ask to overwrite", path);
  }
  unlink(w->temp); /* left by a killed process of the same number */
  start();
  fits_create_diskfile(&w->file, temp, &status);
  fits_create_img(w->file, BYTE_IMG, 0, NULL, &status);
  if (status) {
    st = fail(err, status, w, "create");
    goto cleanup;
  }
  *out = w;
  w = NULL;
cleanup:
  free(temp);
  nsl_fits_discard(w);
  return st;
}

static void writer_free(nsl_fits_writer *w)
{
  free(w->path);
  free(w->temp);
  free(w);
}

void nsl_fits_discard(nsl_fits_writer *w)
{
  if (!w) { return; }
  int status = 0;
  if (w->file) { fits_close_file(w->file, &status); }
  fits_clear_errmsg();
  if (w->temp) { unlink(w->temp); }
  writer_free(w);
}

nsl_status nsl_fits_finish(nsl_fits_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int status = 0;
  start();
  if (fits_close_file(w->file, &status)) {
    st = fail(err, status, w, "write");
    unlink(w->temp);
  } else {
    st = nsl_publish(w->temp, w->path, err);
  }
  writer_free(w);
  return st;
}

/* For the compressor NaN is only a null when it is told so by another value: a copy with that value in its place. */
static void *without_nan(nsl_fits_type type, long n, const void *data, double null)
{
  void *copy = malloc((size_t)n * types[type].size);
  for (long i = 0; copy && i < n; i++) {
    if (type == NSL_FITS_F32) {
      float v = ((const float *)data)[i];
      ((float *)copy)[i] = isnan(v) ? (float)null : v;
    } else {
      double v = ((const double *)data)[i];
      ((double *)copy)[i] = isnan(v) ? null : v;
    }
  }
  return copy;
}

/* Compresses into tiles of one row. The same pixels give the same bytes: the dither's seed is fixed; zeros stay zeros. */
static nsl_status write_compressed(nsl_fits_writer *w, nsl_fits_type type, long n, const void *data, nsl_error *err)
{
  int status = 0, real = type == NSL_FITS_F32 || type == NSL_FITS_F64;
  float null32 = -1e37F;
  double null64 = (double)null32;
  if (!real) {
    fits_write_img(w->file, types[type].memory, 1, n, (void *)(uintptr_t)data, &status);
  } else {
    void *copy = without_nan(type, n, data, null64);
    if (!copy) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory for a copy of its image", w->path); }
    fits_write_imgnull(w->file, types[type].memory, 1, n, copy, type == NSL_FITS_F32 ? (void *)&null32 : (void *)&null64, &status);
    free(copy);
  }
  return status ? fail(err, status, w, "write an image") : NSL_OK;
}

enum { SPARE_KEYS = 72 }; /* room in the header, so that keys put later do not move the data */

nsl_status nsl_fits_add_image(nsl_fits_writer *w, const char *extname, nsl_fits_type type, long nx, long ny, const void *data,
                              int compress, nsl_error *err)
{
  int status = 0;
  long axes[2] = {nx, ny};
  if (!types[type].bitpix) { return nsl_fail(err, NSL_E_BUG, "%s: %s: images cannot have this type", w->path, extname); }
  start();
  fits_set_compression_type(w->file, compress ? RICE_1 : 0, &status);
  if (compress) {
    fits_set_quantize_method(w->file, SUBTRACTIVE_DITHER_2, &status);
    fits_set_dither_seed(w->file, 1, &status);
  }
  fits_create_img(w->file, types[type].bitpix, 2, axes, &status);
  fits_write_key(w->file, TSTRING, "EXTNAME", (void *)(uintptr_t)extname, "extension name", &status);
  fits_set_hdrsize(w->file, SPARE_KEYS, &status);
  if (status) { return fail(err, status, w, "add an image"); }
  if (nx * ny == 0) { return NSL_OK; }
  if (compress) { return write_compressed(w, type, nx * ny, data, err); }
  fits_write_img(w->file, types[type].memory, 1, nx * ny, (void *)(uintptr_t)data, &status);
  return status ? fail(err, status, w, "write an image") : NSL_OK;
}

/* Header values are printable ASCII; other bytes become '?'. */
static char *printable(const char *text)
{
  char *copy = nsl_strdup(text);
  for (char *p = copy; p && *p; p++) {
    if (!isascii((unsigned char)*p) || !isprint((unsigned char)*p)) { *p = '?'; }
  }
  return copy;
}

static nsl_status put_column_key(nsl_fits_writer *w, const char *stem, int number, const char *text, nsl_error *err)
{
  if (!text || !text[0]) { return NSL_OK; }
  char key[FLEN_KEYWORD];
  snprintf(key, sizeof key, "%s%d", stem, number);
  return nsl_fits_put_text(w, key, text, NULL, err);
}

static nsl_status describe_columns(nsl_fits_writer *w, int n_columns, const nsl_fits_column *columns, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int i = 0; i < n_columns; i++) {
    NSL_TRY(put_column_key(w, "TUNIT", i + 1, columns[i].unit, err));
    NSL_TRY(put_column_key(w, "TUCD", i + 1, columns[i].ucd, err));
    NSL_TRY(put_column_key(w, "TCOMM", i + 1, columns[i].description, err));
  }
cleanup:
  return st;
}

/* Strings of a fixed width, with an end each and pointers, as cfitsio wants them. */
static nsl_status write_text_rows(nsl_fits_writer *w, int number, const nsl_fits_column *column, long row, long first, long n,
                                  nsl_error *err)
{
  nsl_status st = NSL_OK;
  int status = 0;
  size_t width = (size_t)column->width;
  char *text = calloc((size_t)n, width + 1), **rows = calloc((size_t)n, sizeof *rows);
  if (!text || !rows) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %ld strings", w->path, n); }
  for (size_t i = 0; i < (size_t)n; i++) {
    rows[i] = text + i * (width + 1);
    memcpy(rows[i], (const char *)column->data + ((size_t)first + i) * width, width);
  }
  if (fits_write_col(w->file, TSTRING, number, row + 1, 1, n, rows, &status)) { st = fail(err, status, w, "write a text column"); }
cleanup:
  free(rows);
  free(text);
  return st;
}

/* Elements [first, first + n) of the data into rows [row, row + n) of the table. */
static nsl_status write_rows(nsl_fits_writer *w, int number, const nsl_fits_column *column, long row, long first, long n,
                             nsl_error *err)
{
  if (column->type == NSL_FITS_TEXT) { return write_text_rows(w, number, column, row, first, n, err); }
  int status = 0;
  const char *data = (const char *)column->data + (size_t)first * types[column->type].size;
  fits_write_col(w->file, types[column->type].memory, number, row + 1, 1, n, (void *)(uintptr_t)data, &status);
  return status ? fail(err, status, w, "write a column") : NSL_OK;
}

nsl_status nsl_fits_put_rows(nsl_fits_writer *w, long row, long n, int n_columns, const nsl_fits_column *columns, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int status = 0;
  long batch = 0;
  start();
  if (fits_get_rowsize(w->file, &batch, &status)) { /* as many rows as cfitsio's buffers hold: each part is written once */
    return fail(err, status, w, "write rows");
  }
  for (long first = 0; first < n; first += batch) {
    long count = n - first < batch ? n - first : batch;
    for (int i = 0; i < n_columns; i++) { NSL_TRY(write_rows(w, i + 1, &columns[i], row + first, first, count, err)); }
  }
cleanup:
  return st;
}

nsl_status nsl_fits_add_table(nsl_fits_writer *w, const char *extname, long n_rows, int n_columns, const nsl_fits_column *columns,
                              nsl_error *err)
{
  nsl_status st = NSL_OK;
  int status = 0;
  char **names = calloc((size_t)n_columns + 1, sizeof *names), **forms = calloc((size_t)n_columns + 1, sizeof *forms);
  if (!names || !forms) { NSL_THROW(err, NSL_E_NOMEM, "%s: %s: no memory", w->path, extname); }
  for (int i = 0; i < n_columns; i++) {
    names[i] = nsl_strdup(columns[i].name);
    forms[i] = nsl_strf("%d%c", columns[i].type == NSL_FITS_TEXT ? columns[i].width : 1, types[columns[i].type].form);
    if (!names[i] || !forms[i]) { NSL_THROW(err, NSL_E_NOMEM, "%s: %s: no memory", w->path, extname); }
  }
  start();
  if (fits_create_tbl(w->file, BINARY_TBL, n_rows, n_columns, names, forms, NULL, extname, &status)) {
    st = fail(err, status, w, "add a table");
    goto cleanup;
  }
  NSL_TRY(describe_columns(w, n_columns, columns, err));
  fits_set_hdrsize(w->file, SPARE_KEYS, &status);
  if (status) {
    st = fail(err, status, w, "add a table");
    goto cleanup;
  }
  if (n_columns && columns[0].data) { NSL_TRY(nsl_fits_put_rows(w, 0, n_rows, n_columns, columns, err)); }
cleanup:
  for (int i = 0; i < n_columns; i++) {
    if (names) { free(names[i]); }
    if (forms) { free(forms[i]); }
  }
  free(names);
  free(forms);
  return st;
}

nsl_status nsl_fits_put_f64(nsl_fits_writer *w, const char *key, double v, const char *comment, nsl_error *err)
{
  int status = 0;
  start();
  if (isfinite(v)) {
    fits_update_key_dbl(w->file, key, v, -17, comment, &status); /* 17 digits: the number comes back as it was */
  } else {
    fits_update_key_null(w->file, key, comment, &status); /* FITS has no NaN in headers */
  }
  return status ? fail(err, status, w, "write a key") : NSL_OK;
}

nsl_status nsl_fits_put_i64(nsl_fits_writer *w, const char *key, int64_t v, const char *comment, nsl_error *err)
{
  int status = 0;
  start();
  fits_update_key_lng(w->file, key, v, comment, &status);
  return status ? fail(err, status, w, "write a key") : NSL_OK;
}

nsl_status nsl_fits_put_text(nsl_fits_writer *w, const char *key, const char *v, const char *comment, nsl_error *err)
{
  int status = 0;
  char *value = printable(v);
  if (!value) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory for the key %s", w->path, key); }
  start();
  fits_update_key_longstr(w->file, key, value, comment, &status);
  free(value);
  return status ? fail(err, status, w, "write a key") : NSL_OK;
}
