/* Pixels of plain images straight from the file: no header is walked for a window. What is not plain
 * (compressed, gzipped, scaled) goes through cfitsio. */
#include <endian.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fits_internal.h"

static int has_unit_scale(fitsfile *file)
{
  double scale = 1, zero = 0;
  int status = 0;
  if (fits_read_key(file, TDOUBLE, "BSCALE", &scale, NULL, &status)) { status = 0; }
  if (fits_read_key(file, TDOUBLE, "BZERO", &zero, NULL, &status)) { status = 0; }
  fits_clear_errmsg();
  return scale == 1 && zero == 0;
}

int nsl_fits_has_fd(nsl_fits *f)
{
  if (f->fd < 0) {
    f->fd = open(f->path, O_RDONLY | O_CLOEXEC);
    if (f->fd >= 0) { posix_fadvise(f->fd, 0, 0, POSIX_FADV_RANDOM); }
  }
  return f->fd >= 0;
}

/* Looks once at the current HDU of f. */
static void look(nsl_fits *f, nsl_fits_plain *p)
{
  int status = 0, n_axes = 0, bitpix = 0;
  long axes[2] = {0, 0};
  LONGLONG start = 0;
  char url[FLEN_FILENAME] = "";
  fits_url_type(f->file, url, &status);
  if (status || strcmp(url, "file://") != 0 || fits_is_compressed_image(f->file, &status)) { return; }
  fits_get_img_dim(f->file, &n_axes, &status);
  fits_get_img_type(f->file, &bitpix, &status);
  fits_get_hduaddrll(f->file, NULL, &start, NULL, &status);
  if (status || n_axes != 2 || !(bitpix == FLOAT_IMG || bitpix == SHORT_IMG || bitpix == LONG_IMG)) { return; }
  fits_get_img_size(f->file, 2, axes, &status);
  if (status || !has_unit_scale(f->file)) { return; }
  struct stat info;
  if (!nsl_fits_has_fd(f) || fstat(f->fd, &info) != 0) { return; }
  int64_t bytes = (int64_t)(bitpix < 0 ? -bitpix : bitpix) / 8;
  if (info.st_size < start + bytes * (int64_t)axes[0] * axes[1]) { return; } /* cut short: cfitsio's path says so */
  *p = (nsl_fits_plain){
      .looked = 1, .usable = 1, .bitpix = bitpix, .bytes = (int)bytes, .nx = axes[0], .ny = axes[1], .start = start};
}

const nsl_fits_plain *nsl_fits_plain_of(nsl_fits *f, int hdu)
{
  if (hdu < 1 || hdu > NSL_FITS_PLAIN_HDUS) { return NULL; }
  nsl_fits_plain *p = &f->plain[hdu - 1];
  int status = 0;
  if (!p->looked) {
    fits_clear_errmsg();
    if (!fits_movabs_hdu(f->file, hdu, NULL, &status)) { look(f, p); }
    fits_clear_errmsg();
    p->looked = 1;
  }
  return p->usable ? p : NULL;
}

int64_t nsl_fits_plain_place(const nsl_fits_plain *p, long x, long y) { return p->start + ((int64_t)y * p->nx + x) * p->bytes; }

static int read_fully(int fd, void *to, size_t n, int64_t at)
{
  for (char *p = to; n > 0;) {
    ssize_t got = pread(fd, p, n, at);
    if (got <= 0) { return 0; }
    p += got;
    at += got;
    n -= (size_t)got;
  }
  return 1;
}

static void swap_words(uint32_t *x, long n)
{
  for (long i = 0; i < n; i++) { x[i] = be32toh(x[i]); }
}

/* The shorts lie in the second half of their ints. */
static void widen_shorts(int32_t *out, long n)
{
  const char *from = (const char *)out + 2 * n;
  for (long i = 0; i < n; i++) {
    uint16_t v;
    memcpy(&v, from + 2 * i, sizeof v);
    out[i] = (int16_t)be16toh(v);
  }
}

int nsl_fits_plain_read(const nsl_fits *f, const nsl_fits_plain *p, long x0, long y0, long w, long h, void *out)
{
  for (long y = 0; y < h; y++) {
    char *row = (char *)out + 4 * (size_t)(y * w), *to = p->bytes == 2 ? row + 2 * w : row;
    if (!read_fully(f->fd, to, (size_t)(w * p->bytes), nsl_fits_plain_place(p, x0, y0 + y))) { return 0; }
    if (p->bytes == 2) {
      widen_shorts((int32_t *)(void *)row, w);
    } else {
      swap_words((uint32_t *)(void *)row, w);
    }
  }
  return 1;
}
