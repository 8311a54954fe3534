/* FITS files (cfitsio): images by subset, headers, tables. Plain, gzipped or fpack-compressed, the same calls. Local.
 *
 * Pixel windows here are 0-based: x in [0, NAXIS1), y in [0, NAXIS2), row-major out[y][x]. */
#ifndef NOSLIT_IO_FITS_H
#define NOSLIT_IO_FITS_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

typedef struct nsl_fits nsl_fits;

/* Opens read-only. The file stays open until nsl_fits_close (NULL is fine). */
nsl_status nsl_fits_open(const char *path, nsl_fits **out, nsl_error *err);
void nsl_fits_close(nsl_fits *f);
const char *nsl_fits_path(const nsl_fits *f);

/* Index (1-based, as cfitsio counts) of the extension with this EXTNAME (case-insensitive; a compressed image counts as an image).
 */
nsl_status nsl_fits_find_hdu(nsl_fits *f, const char *extname, int *hdu, nsl_error *err);
nsl_status nsl_fits_hdu_count(nsl_fits *f, int *n, nsl_error *err);
nsl_status nsl_fits_image_size(nsl_fits *f, int hdu, long *nx, long *ny, nsl_error *err);

/* Header values. A missing key is NSL_E_NOTFOUND (so that callers can have defaults). text: at most size-1 characters. */
nsl_status nsl_fits_key_f64(nsl_fits *f, int hdu, const char *key, double *v, nsl_error *err);
nsl_status nsl_fits_key_i64(nsl_fits *f, int hdu, const char *key, int64_t *v, nsl_error *err);
nsl_status nsl_fits_key_text(nsl_fits *f, int hdu, const char *key, char *text, size_t size, nsl_error *err);
/* All cards of a header as one string of 80-character records, for nsl_wcs_new. Caller frees. */
nsl_status nsl_fits_header(nsl_fits *f, int hdu, char **cards, int *n_cards, nsl_error *err);

/* Pixels of the window [x0, x0+w) x [y0, y0+h), which must lie inside the image. BLANK and NaN come out as NaN. */
nsl_status nsl_fits_read_f32(nsl_fits *f, int hdu, long x0, long y0, long w, long h, float *out, nsl_error *err);
nsl_status nsl_fits_read_i32(nsl_fits *f, int hdu, long x0, long y0, long w, long h, int32_t *out, nsl_error *err);

/* Many windows of one image, best in the order of their rows. */
typedef struct {
  long x0, y0, w, h;
  void *out; /* [h][w] floats or int32 */
} nsl_fits_window;

/* Says that these windows will be read: of a plain file, the pages are fetched ahead, or the whole image where that costs less. */
void nsl_fits_announce(nsl_fits *f, int hdu, size_t n, const nsl_fits_window *windows);
/* Reads them all, floats as nsl_fits_read_f32 or else as nsl_fits_read_i32 does. Each tile of a compressed image is decompressed at
 * most once. After an error the windows hold nothing certain: read them one by one to find which can be read. */
nsl_status nsl_fits_read_windows(nsl_fits *f, int hdu, int is_float, size_t n, const nsl_fits_window *windows, nsl_error *err);

/* --- writing: to a temporary name, published by nsl_fits_finish; nsl_fits_discard drops it --- */
typedef struct nsl_fits_writer nsl_fits_writer;
typedef enum { NSL_FITS_F32, NSL_FITS_F64, NSL_FITS_I16, NSL_FITS_I32, NSL_FITS_I64, NSL_FITS_TEXT, NSL_FITS_BOOL } nsl_fits_type;

typedef struct {
  const char *name, *unit, *ucd, *description; /* unit, ucd, description may be NULL */
  nsl_fits_type type;
  int width;        /* characters of a TEXT column, else 1 */
  const void *data; /* float/double/int16/int32/int64/char[width]/char (0 or 1) per row */
} nsl_fits_column;

/* overwrite != 0 replaces an existing file on finish; else an existing file is an error now. An empty primary HDU is made. */
nsl_status nsl_fits_create(const char *path, int overwrite, nsl_fits_writer **out, nsl_error *err);
/* Appends an image extension and makes it current. compress: 0 plain, 1 RICE tiles (fpack; quantised for floats). data [ny][nx] of
 * the type. */
nsl_status nsl_fits_add_image(nsl_fits_writer *w, const char *extname, nsl_fits_type type, long nx, long ny, const void *data,
                              int compress, nsl_error *err);
nsl_status nsl_fits_add_table(nsl_fits_writer *w, const char *extname, long n_rows, int n_columns, const nsl_fits_column *columns,
                              nsl_error *err);
/* For tables too long for memory: after nsl_fits_add_table with columns whose data is NULL, rows [row, row + n), n elements of data
 * a column. */
nsl_status nsl_fits_put_rows(nsl_fits_writer *w, long row, long n, int n_columns, const nsl_fits_column *columns, nsl_error *err);
/* Keys of the current HDU (the primary before the first add). comment may be NULL. */
nsl_status nsl_fits_put_f64(nsl_fits_writer *w, const char *key, double v, const char *comment, nsl_error *err);
nsl_status nsl_fits_put_i64(nsl_fits_writer *w, const char *key, int64_t v, const char *comment, nsl_error *err);
nsl_status nsl_fits_put_text(nsl_fits_writer *w, const char *key, const char *v, const char *comment, nsl_error *err);
nsl_status nsl_fits_finish(nsl_fits_writer *w, nsl_error *err); /* frees w in any case */
void nsl_fits_discard(nsl_fits_writer *w);

#endif
