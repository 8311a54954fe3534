/* Cut-outs of a full-size plain frame, for tools/bench.sh. Reads commands from standard input, answers each with one line.
 *
 *   make FILE          writes an exposure of 9216 x 9232 pixels (SCI, ERR, DQ; 851 MB)
 *   noslit|subset|frame FILE warm|cold N
 *                      reads N cut-outs of 480 x 40 in all planes: by noslit (announced, in row order), by fits_read_subset in row
 *                      order, or out of the whole frame. Answer: wall seconds and MB that came from the disk */
#include <fcntl.h>
#include <fitsio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/rng.h"
#include "noslit/io/fits.h"

enum { NX = 9216, NY = 9232, W = 480, H = 40, PLANES = 3 };

static void die(const char *what)
{
  fprintf(stderr, "bench_io: %s\n", what);
  exit(1);
}

static void make(const char *path)
{
  int status = 0;
  fitsfile *f;
  long axes[2] = {NX, NY};
  static float row[NX];
  static short flags[NX];
  remove(path);
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 2, 0);
  nsl_rng_normals_f32(&r, row, NX);
  fits_create_diskfile(&f, path, &status);
  for (int p = 0; p < PLANES; p++) {
    fits_create_img(f, p < 2 ? FLOAT_IMG : SHORT_IMG, 2, axes, &status);
    for (long y = 0; y < NY; y++) {
      row[y % NX] += 1.0F;
      fits_write_img(f, p < 2 ? TFLOAT : TSHORT, y * NX + 1, NX, p < 2 ? (void *)row : (void *)flags, &status);
    }
  }
  fits_close_file(f, &status);
  if (status) { die("cannot write the frame"); }
  printf("made\n");
}

/* Out of the page cache. */
static void forget(const char *path)
{
  int fd = open(path, O_RDONLY);
  if (fd < 0 || fsync(fd) != 0 || posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) != 0) { die("cannot drop the frame from memory"); }
  close(fd);
}

static double disk_mb(void)
{
  char line[256];
  long long bytes = 0;
  FILE *f = fopen("/proc/self/io", "r");
  while (f && fgets(line, sizeof line, f)) { (void)sscanf(line, "read_bytes: %lld", &bytes); }
  if (f) { fclose(f); }
  return 1e-6 * (double)bytes;
}

static int by_row(const void *a, const void *b)
{
  const nsl_fits_window *p = a, *q = b;
  return p->y0 < q->y0 ? -1 : p->y0 > q->y0;
}

static void by_noslit(const char *path, int n, nsl_fits_window (*w)[PLANES])
{
  nsl_fits *f;
  nsl_error err = NSL_ERROR_INIT;
  nsl_fits_window *list = malloc((size_t)n * sizeof *list);
  if (nsl_fits_open(path, &f, &err) != NSL_OK) { die(err.text); }
  for (int pass = 0; pass < 2; pass++) {
    for (int p = 0; p < PLANES; p++) {
      for (int i = 0; i < n; i++) { list[i] = w[i][p]; }
      if (pass == 0) {
        nsl_fits_announce(f, p + 1, (size_t)n, list);
      } else if (nsl_fits_read_windows(f, p + 1, p < 2, (size_t)n, list, &err) != NSL_OK) {
        die(err.text);
      }
    }
  }
  nsl_fits_close(f);
  free(list);
}

static void by_cfitsio(const char *path, int n, nsl_fits_window (*w)[PLANES], int whole)
{
  int status = 0, any;
  fitsfile *f;
  long step[2] = {1, 1};
  fits_open_diskfile(&f, path, READONLY, &status);
  char *frame = whole ? malloc(4L * NX * NY) : NULL;
  for (int p = 0; p < PLANES; p++) {
    int type = p < 2 ? TFLOAT : TINT;
    fits_movabs_hdu(f, p + 1, NULL, &status);
    if (whole) { fits_read_img(f, type, 1, (LONGLONG)NX * NY, NULL, frame, &any, &status); }
    for (int i = 0; i < n; i++) {
      nsl_fits_window *v = &w[i][p];
      long first[2] = {v->x0 + 1, v->y0 + 1}, last[2] = {v->x0 + W, v->y0 + H};
      for (int y = 0; y < H && whole; y++) { memcpy((char *)v->out + 4 * W * y, frame + 4 * ((v->y0 + y) * NX + v->x0), 4 * W); }
      if (!whole) { fits_read_subset(f, type, first, last, step, NULL, v->out, &any, &status); }
    }
  }
  fits_close_file(f, &status);
  free(frame);
  if (status) { die("cfitsio cannot read the frame"); }
}

static void cutouts(const char *way, const char *path, int cold, int n)
{
  nsl_fits_window(*w)[PLANES] = malloc((size_t)n * sizeof *w);
  char *pixels = malloc((size_t)n * PLANES * W * H * 4);
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 3, 0);
  memset(pixels, 0, (size_t)n * PLANES * W * H * 4);
  for (int i = 0; i < n; i++) {
    long x0 = (long)(nsl_rng_uniform(&r) * (NX - W)), y0 = (long)(nsl_rng_uniform(&r) * (NY - H));
    for (int p = 0; p < PLANES; p++) { w[i][p] = (nsl_fits_window){x0, y0, W, H, pixels + (size_t)(i * PLANES + p) * W * H * 4}; }
  }
  qsort(w, (size_t)n, sizeof *w, by_row);
  if (cold) { forget(path); }
  double mb = disk_mb(), start = nsl_clock_s();
  if (strcmp(way, "noslit") == 0) {
    by_noslit(path, n, w);
  } else {
    by_cfitsio(path, n, w, strcmp(way, "frame") == 0);
  }
  printf("%.6g %.6g\n", nsl_clock_s() - start, disk_mb() - mb);
  free(w);
  free(pixels);
}

int main(void)
{
  char line[8192], way[16], path[4096], what[16];
  int n;
  while (fgets(line, sizeof line, stdin)) {
    int fields = sscanf(line, "%15s %4095s %15s %d", way, path, what, &n);
    if (fields == 2 && strcmp(way, "make") == 0) {
      make(path);
    } else if (fields == 4) {
      cutouts(way, path, strcmp(what, "cold") == 0, n);
    } else {
      printf("unknown command\n");
    }
    fflush(stdout);
  }
  return 0;
}
