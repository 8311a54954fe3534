/* Many windows at once: the same pixels as read whole by cfitsio, from plain, tiled and gzipped files; a damaged one is told. */
#include "unit/test_support.h"

#include <fcntl.h>
#include <fitsio.h>
#include <math.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noslit/io/fits.h"

enum { NX = 300, NY = 210, WINDOWS = 9 };
static float sci[NY][NX];
static int16_t dq[NY][NX];

/* tile_ny 0: plain. */
static void write_file(const char *path, long tile_nx, long tile_ny)
{
  int status = 0;
  fitsfile *f;
  long axes[2] = {NX, NY}, tile[2] = {tile_nx, tile_ny};
  remove(path);
  fits_create_file(&f, path, &status);
  if (tile_ny) {
    fits_set_compression_type(f, GZIP_1, &status);
    fits_set_tile_dim(f, 2, tile, &status);
    fits_set_quantize_level(f, 0.0F, &status); /* floats lossless (gzip) */
  }
  fits_create_img(f, FLOAT_IMG, 2, axes, &status);
  fits_write_img(f, TFLOAT, 1, NX * NY, sci, &status);
  if (tile_ny) { fits_set_compression_type(f, RICE_1, &status); }
  fits_create_img(f, SHORT_IMG, 2, axes, &status);
  fits_write_img(f, TSHORT, 1, NX * NY, dq, &status);
  fits_close_file(f, &status);
  assert_int_equal(status, 0);
}

static void make_windows(nsl_fits_window *w)
{
  static const long boxes[WINDOWS][4] = {{0, 0, NX, 1},        {10, 3, 70, 41},    {50, 20, 1, 1},
                                         {200, 30, 100, 41},   {12, 30, 90, 41},   {0, 150, 80, 41},
                                         {NX - 1, 170, 1, 40}, {20, 199, 280, 11}, {0, NY - 1, 1, 1}};
  for (int i = 0; i < WINDOWS; i++) {
    const long *b = boxes[i];
    w[i] = (nsl_fits_window){b[0], b[1], b[2], b[3], malloc((size_t)(b[2] * b[3]) * 4)};
  }
}

static void check(const char *path, int hdu)
{
  nsl_fits *f;
  nsl_fits_window w[WINDOWS];
  make_windows(w);
  assert_ok(nsl_fits_open(path, &f, &test_err));
  int first = 0; /* a plain file's images begin in the primary HDU, a compressed one's in the next */
  long nx, ny;
  if (nsl_fits_image_size(f, 1, &nx, &ny, &test_err) != NSL_OK) { first = 1; }
  nsl_fits_announce(f, hdu + first, WINDOWS, w);
  assert_ok(nsl_fits_read_windows(f, hdu + first, hdu == 1, WINDOWS, w, &test_err));
  for (int i = 0; i < WINDOWS; i++) {
    for (long k = 0; k < w[i].w * w[i].h; k++) {
      long y = w[i].y0 + k / w[i].w, x = w[i].x0 + k % w[i].w;
      if (hdu == 1) {
        float found = ((float *)w[i].out)[k];
        assert_true(found == sci[y][x] || (isnan(found) && isnan(sci[y][x])));
      } else {
        assert_int_equal(((int32_t *)w[i].out)[k], dq[y][x]);
      }
    }
    free(w[i].out);
  }
  nsl_fits_close(f);
}

static void test_the_same_pixels(void **state)
{
  (void)state;
  for (int y = 0; y < NY; y++) {
    for (int x = 0; x < NX; x++) {
      sci[y][x] = (float)(1000 * y + x) * (x % 2 ? 1.0F : -0.125F);
      dq[y][x] = (int16_t)(x * 211 - y * 97);
    }
  }
  sci[7][20] = NAN;
  static const long tiles[][2] = {{0, 0}, {NX, 1}, {64, 32}, {NX, 100}, {128, 128}};
  for (size_t t = 0; t < sizeof tiles / sizeof *tiles; t++) {
    write_file("windows.fits", tiles[t][0], tiles[t][1]);
    check("windows.fits", 1);
    check("windows.fits", 2);
  }
  write_file("windows.fits", 0, 0);
  assert_int_equal(system("gzip -kf windows.fits"), 0);
  check("windows.fits.gz", 1);
  check("windows.fits.gz", 2);
  remove("windows.fits.gz");
  remove("windows.fits");
}

/* How many pages of the file are in memory. */
static size_t pages_in_memory(const char *path, size_t *n_pages)
{
  struct stat info;
  int fd = open(path, O_RDONLY);
  assert_int_equal(fstat(fd, &info), 0);
  *n_pages = ((size_t)info.st_size + 4095) / 4096;
  unsigned char *in_memory = calloc(*n_pages, 1);
  void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, fd, 0);
  size_t n = 0;
  if (map != MAP_FAILED && mincore(map, (size_t)info.st_size, in_memory) == 0) {
    for (size_t i = 0; i < *n_pages; i++) { n += in_memory[i] & 1; }
  }
  munmap(map, (size_t)info.st_size);
  close(fd);
  free(in_memory);
  return n;
}

static void forget(const char *path)
{
  int fd = open(path, O_RDONLY);
  fsync(fd);
  posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  close(fd);
}

/* Announced windows are fetched by the system, without anybody reading them. */
static void test_announced_pages_come(void **state)
{
  (void)state;
  for (int compressed = 0; compressed < 2; compressed++) {
    nsl_fits *f;
    nsl_fits_window w = {0, 100, NX, 40, NULL};
    size_t n_pages, before, after;
    write_file("ahead.fits", NX, compressed);
    assert_ok(nsl_fits_open("ahead.fits", &f, &test_err));
    long nx, ny;
    int hdu = 1 + compressed;
    assert_ok(nsl_fits_image_size(f, hdu, &nx, &ny, &test_err));
    forget("ahead.fits");
    before = pages_in_memory("ahead.fits", &n_pages);
    if (before > n_pages / 3) { /* this file system keeps everything in memory: nothing can be seen here */
      nsl_fits_close(f);
      continue;
    }
    nsl_fits_announce(f, hdu, 1, &w);
    for (int tries = 0; (after = pages_in_memory("ahead.fits", &n_pages)) < before + 8 && tries < 200; tries++) { usleep(20000); }
    assert_true(after >= before + 8);
    nsl_fits_close(f);
  }
  remove("ahead.fits");
}

static void test_a_cut_file_is_told(void **state)
{
  (void)state;
  nsl_fits *f;
  nsl_fits_window w[WINDOWS];
  make_windows(w);
  write_file("cut.fits", 0, 0);
  assert_int_equal(truncate("cut.fits", 2880 + 4 * NX * 180), 0);
  assert_ok(nsl_fits_open("cut.fits", &f, &test_err));
  nsl_fits_announce(f, 1, WINDOWS, w);
  assert_int_equal(nsl_fits_read_windows(f, 1, 1, WINDOWS, w, &test_err), NSL_E_CORRUPT);
  assert_ok(nsl_fits_read_f32(f, 1, w[1].x0, w[1].y0, w[1].w, w[1].h, w[1].out, &test_err));
  assert_true(((float *)w[1].out)[0] == sci[3][10]);
  nsl_fits_close(f);
  for (int i = 0; i < WINDOWS; i++) { free(w[i].out); }
  remove("cut.fits");
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_same_pixels), cmocka_unit_test(test_announced_pages_come),
                                     cmocka_unit_test(test_a_cut_file_is_told)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
