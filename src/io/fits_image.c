/* FITS images: size and pixels by window. */
#include <math.h>

#include "fits_internal.h"

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
  nsl_status st = look_at(f, hdu, &image, err);
  if (st != NSL_OK) { return st; }
  return read_window(f, hdu, &image, (long[]){x0, y0}, (long[]){w, h}, TFLOAT, &null, out, err);
}

nsl_status nsl_fits_read_i32(nsl_fits *f, int hdu, long x0, long y0, long w, long h, int32_t *out, nsl_error *err)
{
  image_info image;
  nsl_status st = look_at(f, hdu, &image, err);
  if (st != NSL_OK) { return st; }
  if (image.type < 0) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: HDU %d: its pixels are floating point where whole numbers are expected", f->path, hdu);
  }
  return read_window(f, hdu, &image, (long[]){x0, y0}, (long[]){w, h}, TINT, NULL, out, err);
}
