#include "mock_images.h"

#include <math.h>
#include <stdlib.h>

#include "mock_format.h"
#include "mock_internal.h"
#include "noslit/io/h5.h"

#define FORMAT "noslit-images"
#define VERSION 1
#define NEAREST 32      /* so many images of the set, nearest in size, are weighed by size and magnitude */
#define MAG_MATCH 0.5   /* rms differences that are as good as none: of magnitude, */
#define SIZE_MATCH 0.15 /* and of ln size */
#define SETS 4          /* training, validation, calibration, test and survey */

typedef struct {
  double log_re;
  int image;
} by_size;

struct nsl_images {
  int n;
  float *mixture; /* [n][NSL_MIX_MAX][6]: flux, x, y, xx, xy, yy; arcsec */
  double *re, *q, *pa, *sersic_n, *mag;
  int n_set[SETS];
  by_size *set[SETS]; /* by size */
};

static int set_of_part(int part) { return part < NSL_IMAGES_PARTS - 3 ? 0 : part - (NSL_IMAGES_PARTS - 4); }

static int set_of_id(int64_t id)
{
  switch (id / NSL_MOCK_SET_STRIDE) {
  case NSL_SET_TRAIN:
    return 0;
  case NSL_SET_VALIDATION:
    return 1;
  case NSL_SET_CALIBRATION:
    return 2;
  default:
    return 3;
  }
}

/* Light 1 about the centroid; 0 when it is no mixture of Gaussians. */
static int tidy(float *g)
{
  double sum = 0, x = 0, y = 0;
  for (int k = 0; k < NSL_MIX_MAX; k++, g += 6) {
    for (int i = 0; i < 6; i++) {
      if (!isfinite(g[i])) { return 0; }
    }
    if (!(g[0] >= 0)) { return 0; }
    if (g[0] > 0 && !(g[3] > 0 && g[5] > 0 && (double)g[3] * (double)g[5] >= (double)g[4] * (double)g[4])) { return 0; }
    sum += (double)g[0];
    x += (double)(g[0] * g[1]);
    y += (double)(g[0] * g[2]);
  }
  if (!(sum > 0)) { return 0; }
  g -= 6 * NSL_MIX_MAX;
  for (int k = 0; k < NSL_MIX_MAX; k++, g += 6) {
    g[0] = (float)(g[0] / sum);
    g[1] = (float)(g[1] - x / sum);
    g[2] = (float)(g[2] - y / sum);
  }
  return 1;
}

static int compare_sizes(const void *a, const void *b)
{
  const by_size *x = a, *y = b;
  return x->log_re < y->log_re ? -1 : x->log_re > y->log_re ? 1 : (x->image > y->image) - (x->image < y->image);
}

static nsl_status check_and_sort(nsl_images *im, nsl_error *err)
{
  for (int s = 0; s < SETS; s++) {
    im->set[s] = malloc((size_t)im->n * sizeof *im->set[s]);
    if (!im->set[s]) { return nsl_fail(err, NSL_E_NOMEM, "%d images", im->n); }
  }
  for (int i = 0; i < im->n; i++) {
    if (!tidy(im->mixture + (size_t)i * NSL_MIX_MAX * 6)) {
      return nsl_fail(err, NSL_E_VALUE, "image %d is not a mixture of Gaussians with positive light and widths", i);
    }
    if (!(im->re[i] > 0 && isfinite(im->re[i]) && im->q[i] > 0 && im->q[i] <= 1 && isfinite(im->pa[i]) && isfinite(im->mag[i]) &&
          im->sersic_n[i] > 0)) {
      return nsl_fail(err, NSL_E_VALUE, "image %d: re and sersic_n must be positive, q in (0, 1], pa and mag numbers", i);
    }
    int s = set_of_part(i % NSL_IMAGES_PARTS);
    im->set[s][im->n_set[s]++] = (by_size){log(im->re[i]), i};
  }
  for (int s = 0; s < SETS; s++) { qsort(im->set[s], (size_t)im->n_set[s], sizeof *im->set[s], compare_sizes); }
  return NSL_OK;
}

static nsl_status read_all(nsl_h5 *f, nsl_images *im, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  NSL_TRY(nsl_mock_check_format(f, FORMAT, VERSION, "an image library", "make_images.py", err));
  NSL_TRY(nsl_h5_dims(f, "/mixture", &rank, dims, err));
  if (rank != 3 || dims[1] != NSL_MIX_MAX || dims[2] != 6 || dims[0] > 10000000) {
    NSL_THROW(err, NSL_E_FORMAT, "mixture must have the shape [images][%d][6]", NSL_MIX_MAX);
  }
  if (dims[0] < NSL_IMAGES_PARTS) {
    NSL_THROW(err, NSL_E_VALUE, "%zu images: at least %d are needed, for every set has its own", dims[0], NSL_IMAGES_PARTS);
  }
  size_t n = dims[0];
  im->n = (int)n;
  im->mixture = malloc(n * NSL_MIX_MAX * 6 * sizeof *im->mixture);
  im->re = malloc(5 * n * sizeof *im->re);
  if (!im->mixture || !im->re) { NSL_THROW(err, NSL_E_NOMEM, "%zu images", n); }
  im->q = im->re + n;
  im->pa = im->q + n;
  im->sersic_n = im->pa + n;
  im->mag = im->sersic_n + n;
  NSL_TRY(nsl_h5_read(f, "/mixture", NSL_H5_F32, n * NSL_MIX_MAX * 6, im->mixture, err));
  NSL_TRY(nsl_h5_read(f, "/re", NSL_H5_F64, n, im->re, err));
  NSL_TRY(nsl_h5_read(f, "/q", NSL_H5_F64, n, im->q, err));
  NSL_TRY(nsl_h5_read(f, "/pa", NSL_H5_F64, n, im->pa, err));
  NSL_TRY(nsl_h5_read(f, "/sersic_n", NSL_H5_F64, n, im->sersic_n, err));
  NSL_TRY(nsl_h5_read(f, "/mag", NSL_H5_F64, n, im->mag, err));
  NSL_TRY(check_and_sort(im, err));
cleanup:
  return st;
}

nsl_status nsl_images_read(const char *path, nsl_images **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  nsl_images *im = calloc(1, sizeof *im);
  if (!im) { return nsl_fail(err, NSL_E_NOMEM, "image library"); }
  st = nsl_h5_open(path, &f, err);
  if (st == NSL_OK) { st = read_all(f, im, err); }
  nsl_h5_close(f, NULL);
  if (st != NSL_OK) {
    nsl_images_free(im);
    return nsl_error_context(err, st, "%s", path);
  }
  *out = im;
  return NSL_OK;
}

void nsl_images_free(nsl_images *im)
{
  if (!im) { return; }
  for (int s = 0; s < SETS; s++) { free(im->set[s]); }
  free(im->mixture);
  free(im->re); /* and the columns after it */
  free(im);
}

int nsl_images_pick(const nsl_images *im, uint64_t seed, int64_t id, double mag, nsl_shape *shape)
{
  int s = set_of_id(id), lo = 0, hi = im->n_set[s];
  double at = log(shape->re_arcsec), weight[NEAREST], sum = 0;
  while (lo < hi) {
    int middle = (lo + hi) / 2;
    if (im->set[s][middle].log_re < at) {
      lo = middle + 1;
    } else {
      hi = middle;
    }
  }
  int first = lo - NEAREST / 2, n = im->n_set[s] < NEAREST ? im->n_set[s] : NEAREST;
  first = first < 0 ? 0 : first > im->n_set[s] - n ? im->n_set[s] - n : first;
  for (int k = 0; k < n; k++) {
    const by_size *b = &im->set[s][first + k];
    double off = (im->mag[b->image] - mag) / MAG_MATCH, off_size = (b->log_re - at) / SIZE_MATCH;
    weight[k] = exp(-0.5 * (off * off + off_size * off_size)) + 1e-30; /* a library may hold no galaxy as bright or large */
    sum += weight[k];
  }
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_SHAPE, (uint64_t)id, 2);
  double u = sum * nsl_rng_uniform(&r);
  int k = 0;
  while (k < n - 1 && u >= weight[k]) { u -= weight[k++]; }
  int image = im->set[s][first + k].image;
  shape->q = im->q[image];
  shape->sersic_n = im->sersic_n[image];
  return image;
}

void nsl_images_mix(const nsl_images *im, int image, uint64_t seed, int64_t id, const nsl_shape *shape, double psf_sigma_px,
                    const double j[4], nsl_mix *out)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_SHAPE, (uint64_t)id, 3);
  double u = nsl_rng_uniform(&r), mirror = u < 0.5 ? -1 : 1, half_turn = fmod(2 * u, 1) < 0.5 ? 180 : 0;
  double turn = (shape->pa_deg - mirror * im->pa[image] + half_turn) * M_PI / 180;
  double scale = shape->re_arcsec / im->re[image], c = scale * cos(turn), s = scale * sin(turn);
  /* From the image's x, y (arcsec) to px: mirrored, turned from north to east, put on the detector. */
  double ex = mirror * c, ey = s, nx = -mirror * s, ny = c;
  double a = j[0] * ex + j[1] * nx, b = j[0] * ey + j[1] * ny, d = j[2] * ex + j[3] * nx, e = j[2] * ey + j[3] * ny;
  const float *g = im->mixture + (size_t)image * NSL_MIX_MAX * 6;
  out->n = 0;
  for (int k = 0; k < NSL_MIX_MAX; k++, g += 6) {
    if (!(g[0] > 0)) { continue; }
    double xx = (double)g[3], xy = (double)g[4], yy = (double)g[5];
    out->g[out->n].flux = (double)g[0];
    out->g[out->n].dx = a * (double)g[1] + b * (double)g[2];
    out->g[out->n].dy = d * (double)g[1] + e * (double)g[2];
    out->g[out->n].xx = a * a * xx + 2 * a * b * xy + b * b * yy + psf_sigma_px * psf_sigma_px;
    out->g[out->n].xy = a * d * xx + (a * e + b * d) * xy + b * e * yy;
    out->g[out->n].yy = d * d * xx + 2 * d * e * xy + e * e * yy + psf_sigma_px * psf_sigma_px;
    out->n++;
  }
}
