/* FITS images: size and pixels by window. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits_internal.h"

enum { STRIP_ROWS = 64 }; /* of a compressed image that are held at a time */

nsl_status nsl_fits_require_data(nsl_fits *f, int hdu, int64_t n, nsl_error *err)
{
  int status = 0;
  LONGLONG start = 0;
  fits_get_hduaddrll(f->file, NULL, &start, NULL, &status);
  if (status) { return nsl_fits_fail(err, status, f->path, hdu, "find its data"); }
  int64_t size = f->file->Fptr->filesize; /* of the uncompressed file */
  if (n > size - start) {
    return nsl_fail(err, NSL_E_CORRUPT, "%s: HDU %d: the file is truncated: %lld bytes, %lld are needed; fetch it again", f->path,
                    hdu, (long long)size, (long long)(start + n));
  }
  return NSL_OK;
}

typedef struct {
  int type; /* BITPIX, of the pixels as they come out */
  long nx, ny;
  int is_compressed;
} image_info;

static nsl_status look_at(nsl_fits *f, int hdu, image_info *image, nsl_error *err)
{
  int status = 0, kind, n_axes;
  long axes[2] = {0, 0};
  nsl_status st = nsl_fits_move(f, hdu, err);
  if (st != NSL_OK) { return st; }
  fits_get_hdu_type(f->file, &kind, &status);
  if (!status && kind != IMAGE_HDU) { return nsl_fail(err, NSL_E_FORMAT, "%s: HDU %d: it is a table, not an image", f->path, hdu); }
  fits_get_img_dim(f->file, &n_axes, &status);
  if (!status && n_axes != 2) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: HDU %d: its image has %d axes, not 2", f->path, hdu, n_axes);
  }
  fits_get_img_size(f->file, 2, axes, &status);
  fits_get_img_equivtype(f->file, &image->type, &status);
  image->is_compressed = fits_is_compressed_image(f->file, &status);
  if (status) { return nsl_fits_fail(err, status, f->path, hdu, "read the size of its image"); }
  image->nx = axes[0];
  image->ny = axes[1];
  return NSL_OK;
}

nsl_status nsl_fits_image_size(nsl_fits *f, int hdu, long *nx, long *ny, nsl_error *err)
{
  image_info image;
  nsl_status st = look_at(f, hdu, &image, err);
  if (st != NSL_OK) { return st; }
  *nx = image.nx;
  *ny = image.ny;
  return NSL_OK;
}

static int is_inside(const nsl_fits_plain *p, long x0, long y0, long w, long h)
{
  return x0 >= 0 && y0 >= 0 && w > 0 && h > 0 && x0 <= p->nx - w && y0 <= p->ny - h;
}

/* Straight from the file, where that is possible; what fails is tried again, and told, by cfitsio's way. */
static int read_plain(nsl_fits *f, int hdu, int is_float, long x0, long y0, long w, long h, void *out)
{
  const nsl_fits_plain *p = nsl_fits_plain_of(f, hdu);
  return p && (p->bitpix == FLOAT_IMG) == is_float && is_inside(p, x0, y0, w, h) && nsl_fits_plain_read(f, p, x0, y0, w, h, out);
}

static nsl_status read_window(nsl_fits *f, int hdu, const image_info *image, const long from[2], const long size[2], int type,
                              void *null, void *out, nsl_error *err)
{
  int status = 0, any_null;
  long first[2], last[2], step[2] = {1, 1};
  const long whole[2] = {image->nx, image->ny};
  for (int i = 0; i < 2; i++) {
    if (from[i] < 0 || size[i] < 0 || from[i] > whole[i] || size[i] > whole[i] - from[i]) {
      return nsl_fail(err, NSL_E_FORMAT, "%s: HDU %d: window [%ld, +%ld) x [%ld, +%ld) is not inside its image of %ld x %ld",
                      f->path, hdu, from[0], size[0], from[1], size[1], whole[0], whole[1]);
    }
    first[i] = from[i] + 1;
    last[i] = from[i] + size[i];
  }
  if (!size[0] || !size[1]) { return NSL_OK; }
  /* cfitsio itself gives zeros for some of what a truncated file lacks. */
  if (!image->is_compressed) {
    int stored;
    fits_get_img_type(f->file, &stored, &status);
    if (status) { return nsl_fits_fail(err, status, f->path, hdu, "read the type of its image"); }
    int64_t bytes = (stored < 0 ? -stored : stored) / 8;
    nsl_status st = nsl_fits_require_data(f, hdu, bytes * ((last[1] - 1) * (int64_t)whole[0] + last[0]), err);
    if (st != NSL_OK) { return st; }
  }
  if (fits_read_subset(f->file, type, first, last, step, null, out, &any_null, &status)) {
    return nsl_fits_fail(err, status, f->path, hdu, "read pixels");
  }
  return NSL_OK;
}

nsl_status nsl_fits_read_f32(nsl_fits *f, int hdu, long x0, long y0, long w, long h, float *out, nsl_error *err)
{
  image_info image;
  float null = NAN;
  if (read_plain(f, hdu, 1, x0, y0, w, h, out)) { return NSL_OK; }
  nsl_status st = look_at(f, hdu, &image, err);
  if (st != NSL_OK) { return st; }
  return read_window(f, hdu, &image, (long[]){x0, y0}, (long[]){w, h}, TFLOAT, &null, out, err);
}

nsl_status nsl_fits_read_i32(nsl_fits *f, int hdu, long x0, long y0, long w, long h, int32_t *out, nsl_error *err)
{
  image_info image;
  if (read_plain(f, hdu, 0, x0, y0, w, h, out)) { return NSL_OK; }
  nsl_status st = look_at(f, hdu, &image, err);
  if (st != NSL_OK) { return st; }
  if (image.type < 0) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: HDU %d: its pixels are floating point where whole numbers are expected", f->path, hdu);
  }
  return read_window(f, hdu, &image, (long[]){x0, y0}, (long[]){w, h}, TINT, NULL, out, err);
}

/* ---- many windows of a compressed image ---- */

/* The columns [*x_first, *x_end) of the windows that touch rows [y0, y1); 0: none does. */
static int columns_touched(size_t n, const nsl_fits_window *windows, long y0, long y1, long *x_first, long *x_end)
{
  int any = 0;
  for (size_t i = 0; i < n; i++) {
    const nsl_fits_window *v = &windows[i];
    if (v->y0 >= y1 || v->y0 + v->h <= y0) { continue; }
    *x_first = any && *x_first < v->x0 ? *x_first : v->x0;
    *x_end = any && *x_end > v->x0 + v->w ? *x_end : v->x0 + v->w;
    any = 1;
  }
  return any;
}

/* strip [y0, y1) x [x0, x0 + w) to all windows that it touches; elements of 4 bytes. */
static void hand_out(size_t n, const nsl_fits_window *windows, const char *strip, long x0, long w, long y0, long y1)
{
  for (size_t i = 0; i < n; i++) {
    const nsl_fits_window *v = &windows[i];
    for (long y = v->y0 > y0 ? v->y0 : y0; y < y1 && y < v->y0 + v->h; y++) {
      memcpy((char *)v->out + 4 * ((y - v->y0) * v->w), strip + 4 * ((y - y0) * w + (v->x0 - x0)), 4 * (size_t)v->w);
    }
  }
}

/* Rows of a compressed tile; 0 for an image that is not compressed. */
static long tile_rows(nsl_fits *f, int hdu)
{
  int status = 0;
  long rows = 1;
  if (nsl_fits_move(f, hdu, NULL) != NSL_OK || !fits_is_compressed_image(f->file, &status)) { return 0; }
  fits_read_key(f->file, TLONG, "ZTILE2", &rows, NULL, &status);
  fits_clear_errmsg();
  return rows < 1 ? 1 : rows;
}

nsl_status nsl_fits_read_windows(nsl_fits *f, int hdu, int is_float, size_t n, const nsl_fits_window *windows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *strip = NULL;
  size_t room = 0;
  long rows = n > 1 ? tile_rows(f, hdu) : 0, y_end = 0, x0 = 0, x1 = 0;
  for (size_t i = 0; i < n; i++) { y_end = windows[i].y0 + windows[i].h > y_end ? windows[i].y0 + windows[i].h : y_end; }
  for (size_t i = 0; i < n && !rows; i++) {
    const nsl_fits_window *v = &windows[i];
    NSL_TRY(is_float ? nsl_fits_read_f32(f, hdu, v->x0, v->y0, v->w, v->h, v->out, err)
                     : nsl_fits_read_i32(f, hdu, v->x0, v->y0, v->w, v->h, v->out, err));
  }
  for (long y = 0, last = 0; y < y_end && rows; y = last) {
    long ny, nx;
    last = y + rows;
    if (!columns_touched(n, windows, y, last, &x0, &x1)) { continue; }
    while (last < y_end && last - y < STRIP_ROWS && columns_touched(n, windows, last, last + rows, &x0, &x1)) { last += rows; }
    NSL_TRY(nsl_fits_image_size(f, hdu, &nx, &ny, err));
    long h = last < ny ? last - y : ny - y;
    columns_touched(n, windows, y, y + h, &x0, &x1);
    size_t need = 4 * (size_t)(x1 - x0) * (size_t)h;
    if (need > room) {
      free(strip);
      room = 0;
      strip = malloc(need);
      if (!strip) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %zu bytes of pixels", f->path, need); }
      room = need;
    }
    NSL_TRY(is_float ? nsl_fits_read_f32(f, hdu, x0, y, x1 - x0, h, (float *)(void *)strip, err)
                     : nsl_fits_read_i32(f, hdu, x0, y, x1 - x0, h, (int32_t *)(void *)strip, err));
    hand_out(n, windows, strip, x0, x1 - x0, y, y + h);
  }
cleanup:
  free(strip);
  return st;
}
