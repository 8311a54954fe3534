/* Telling the system which pixels will be read, so that it fetches them while we compute. Hints: nothing depends on them. */
#include <fcntl.h>
#include <string.h>

#include "fits_internal.h"

enum { PAGE = 4096, BANDS = 64 };
/* Above this part of the image, reading all of it in order costs less than its pieces (docs/benchmarks.md). */
#define STREAM_PART (1.0 / 3)

static void announce_plain(const nsl_fits *f, const nsl_fits_plain *p, size_t n, const nsl_fits_window *windows)
{
  double asked = 0, whole = (double)p->nx * (double)p->ny * p->bytes;
  for (size_t i = 0; i < n; i++) { asked += (double)windows[i].h * ((double)windows[i].w * p->bytes + PAGE); }
  if (asked > STREAM_PART * whole) {
    posix_fadvise(f->fd, p->start, (off_t)whole, POSIX_FADV_WILLNEED);
    return;
  }
  for (size_t i = 0; i < n; i++) {
    for (long y = 0; y < windows[i].h; y++) {
      posix_fadvise(f->fd, nsl_fits_plain_place(p, windows[i].x0, windows[i].y0 + y), windows[i].w * p->bytes, POSIX_FADV_WILLNEED);
    }
  }
}

/* Rows of a compressed image lie one behind the other, each about as long as the others: a band of rows is about the same part of
 * the data, and a band more on either side makes up for the difference. */
static void announce_compressed(nsl_fits *f, int hdu, size_t n, const nsl_fits_window *windows)
{
  int status = 0;
  long axes[2] = {0, 0};
  LONGLONG start = 0, end = 0;
  char url[FLEN_FILENAME] = "", wanted[BANDS] = {0};
  fits_clear_errmsg();
  fits_movabs_hdu(f->file, hdu, NULL, &status);
  fits_url_type(f->file, url, &status);
  if (!status && strcmp(url, "file://") == 0 && fits_is_compressed_image(f->file, &status)) {
    fits_get_img_size(f->file, 2, axes, &status);
    fits_get_hduaddrll(f->file, NULL, &start, &end, &status);
  }
  fits_clear_errmsg();
  if (status || axes[1] < 1 || end <= start || !nsl_fits_has_fd(f)) { return; }
  for (size_t i = 0; i < n; i++) {
    long first = windows[i].y0 * BANDS / axes[1] - 1, last = (windows[i].y0 + windows[i].h - 1) * BANDS / axes[1] + 1;
    for (long b = first < 0 ? 0 : first; b <= last && b < BANDS; b++) { wanted[b] = 1; }
  }
  wanted[0] = 1; /* the table of where the rows lie */
  for (int b = 0; b < BANDS; b++) {
    LONGLONG from = start + (end - start) * b / BANDS, to = start + (end - start) * (b + 1) / BANDS;
    if (wanted[b]) { posix_fadvise(f->fd, from, to - from, POSIX_FADV_WILLNEED); }
  }
}

void nsl_fits_announce(nsl_fits *f, int hdu, size_t n, const nsl_fits_window *windows)
{
  const nsl_fits_plain *p = nsl_fits_plain_of(f, hdu);
  if (p) {
    announce_plain(f, p, n, windows);
  } else {
    announce_compressed(f, hdu, n, windows);
  }
}
