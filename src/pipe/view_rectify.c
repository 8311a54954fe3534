/* One view: masked, its sky subtracted, laid on the canonical wavelength grid. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "views_internal.h"

/* A stamp pixel needs this much of its interpolation weight on good pixels. */
#define KEPT_WEIGHT_MIN 0.5f
/* Sky pixels needed for a local sky; below it the sample is widened. */
enum { SKY_PIXELS_MIN = 200 };
#define SKY_CLIP_SIGMA 3.0

/* What is interpolated of one detector pixel, together: with weights w the sums of w flux, w variance and w over good pixels (the
 * three are 0 in bad ones), and of w neighbours' light over all. */
enum { FLUX, VARIANCE, GOOD, NEIGHBOURS };

void nsl_view_room_free(nsl_view_room *room)
{
  free(room->views);
  free(room->planes);
  free(room->window);
  free(room->sky);
  free(room->combine);
  free(room->rejected);
  *room = (nsl_view_room){0};
}

nsl_status nsl_view_room_reserve(nsl_view_room *room, int n_views, nsl_error *err)
{
  if (n_views <= room->capacity) { return NSL_OK; }
  nsl_view_room grown = {.capacity = n_views};
  grown.views = calloc((size_t)n_views, sizeof *grown.views);
  grown.planes = malloc((size_t)n_views * 3 * NSL_STAMP_PLANE * sizeof(float));
  grown.combine = malloc(3 * NSL_STAMP_PLANE * sizeof(float));
  grown.rejected = malloc((size_t)(n_views + 1) * NSL_STAMP_PLANE);
  if (!grown.views || !grown.planes || !grown.combine || !grown.rejected) {
    nsl_view_room_free(&grown);
    return nsl_fail(err, NSL_E_NOMEM, "no memory for %d views", n_views);
  }
  for (int v = 0; v < n_views; v++) {
    grown.views[v].rate = grown.planes + (size_t)(3 * v) * NSL_STAMP_PLANE;
    grown.views[v].variance = grown.views[v].rate + NSL_STAMP_PLANE;
    grown.views[v].neighbours = grown.views[v].variance + NSL_STAMP_PLANE;
  }
  grown.window = room->window;
  grown.sky = room->sky;
  grown.window_pixels = room->window_pixels;
  room->window = NULL;
  room->sky = NULL;
  nsl_view_room_free(room);
  *room = grown;
  return NSL_OK;
}

static nsl_status reserve_window(nsl_view_room *room, size_t pixels, nsl_error *err)
{
  if (pixels <= room->window_pixels) { return NSL_OK; }
  nsl_pixel *window = aligned_alloc(sizeof *window, pixels * sizeof *window);
  float *sky = malloc(pixels * sizeof *sky);
  if (!window || !sky) {
    free(window);
    free(sky);
    return nsl_fail(err, NSL_E_NOMEM, "no memory for a cut-out of %zu pixels", pixels);
  }
  free(room->window);
  free(room->sky);
  room->window = window;
  room->sky = sky;
  room->window_pixels = pixels;
  return NSL_OK;
}

/* ---- the window: good pixels, their variance ---- */

static void clean_window(const nsl_view *view, const nsl_dq_bits *bits, nsl_pixel *window, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    float f = view->sci[i], e = view->err[i], light = view->neighbours ? view->neighbours[i] : 0;
    int ok = isfinite(f) && isfinite(e) && e > 0 && !((unsigned)view->dq[i] & bits->bad);
    window[i] = ok ? (nsl_pixel){f, e * e, 1, light} : (nsl_pixel){0, 0, 0, light};
  }
}

/* ---- the local sky ---- */

/* Collects flux - neighbours of good pixels farther than `from` and not farther than `to` rows from the trace, where the
 * neighbours' light is below `limit` sigma; *variance is their mean variance. */
static size_t sample_sky(const nsl_view *view, const nsl_pixel *window, double from, double to, float limit, float *sample,
                         double *variance)
{
  size_t n = 0;
  double sum = 0;
  for (int x = 0; x < view->w; x++) {
    double centre = view->trace.y0 + nsl_trace_dy(&view->trace, view->x0 + x - view->trace.x0) - view->y0;
    for (int y = 0; y < view->h; y++) {
      double off = fabs(y - centre);
      if (off <= from || off > to) { continue; }
      nsl_pixel p = window[(size_t)y * (size_t)view->w + (size_t)x];
      if (p[GOOD] == 0 || p[NEIGHBOURS] * p[NEIGHBOURS] > limit * limit * p[VARIANCE]) { continue; }
      sample[n++] = p[FLUX] - p[NEIGHBOURS];
      sum += p[VARIANCE];
    }
  }
  *variance = n ? sum / (double)n : 0;
  return n;
}

/* k-th smallest by three-way partition; reorders. */
static float select_kth(float *a, size_t n, size_t k)
{
  for (size_t lo = 0, hi = n; hi - lo > 1;) {
    float pivot = a[lo + (hi - lo) / 2];
    size_t below = lo, above = hi;
    for (size_t i = lo; i < above;) {
      float v = a[i];
      if (v < pivot) {
        a[i++] = a[below];
        a[below++] = v;
      } else if (v > pivot) {
        a[i] = a[--above];
        a[above] = v;
      } else {
        i++;
      }
    }
    if (k < below) {
      hi = below;
    } else if (k >= above) {
      lo = above;
    } else {
      return pivot;
    }
  }
  return a[k];
}

/* Mean after clipping about the median: first by the spread of the inner half, then by the standard deviation. */
static double clipped_mean(float *a, size_t n)
{
  double centre = select_kth(a, n, n / 2);
  double spread = (select_kth(a, n, n / 2 + n / 4) - select_kth(a, n, n / 4)) / 1.349; /* of a Gaussian: its sigma */
  for (int pass = 0; pass < 4; pass++) {
    double sum = 0, squares = 0, limit = SKY_CLIP_SIGMA * spread;
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
      double d = a[i] - centre;
      if (fabs(d) > limit) { continue; }
      sum += d;
      squares += d * d;
      kept++;
    }
    if (kept == 0) { break; }
    double mean = sum / (double)kept;
    centre += mean;
    spread = sqrt(fmax(squares / (double)kept - mean * mean, 0));
  }
  return centre;
}

/* The level of the sky and the variance of a pixel of it. With settings->sky_rows = 0 the level is 0. */
static double find_sky(const nsl_view *view, const nsl_view_settings *settings, const nsl_pixel *window, float *sample,
                       double *variance)
{
  const double half = 0.5 * NSL_STAMP_NY, all = INFINITY;
  /* rows beside the stamp free of known light; with known light; the stamp's own outer rows; whatever there is */
  const struct {
    double from, to;
    float limit;
  } tries[] = {
      {half, half + settings->sky_rows, 1}, {half, half + settings->sky_rows, INFINITY}, {0.7 * half, all, 1}, {-1, all, INFINITY}};
  size_t n = 0, n_tries = sizeof tries / sizeof *tries;
  for (size_t t = 0; t < n_tries; t++) {
    n = sample_sky(view, window, tries[t].from, tries[t].to, tries[t].limit, sample, variance);
    if (n >= SKY_PIXELS_MIN) { break; }
  }
  return n > 0 && settings->sky_rows > 0 ? clipped_mean(sample, n) : 0;
}

/* ---- the canonical grid ---- */

/* Where a stamp column comes from: 0-based position in the window of its row 0, the rows' direction, the ratio of pixel widths. */
typedef struct {
  double x, y, ratio;
  int direction; /* +1, -1 (turned by 180 degrees); 0: not on the beam */
} column_source;

static column_source locate_column(const nsl_view *view, const nsl_band *band, int column)
{
  column_source c = {0};
  const nsl_trace *t = &view->trace;
  double dx;
  if (!nsl_trace_dx_of_lambda(t, band->lambda0_a + column * band->dlambda_a, &dx) || dx < t->dx_min || dx > t->dx_max) { return c; }
  double dispersion = nsl_trace_dlambda(t, dx);
  c.direction = dispersion > 0 ? 1 : -1;
  c.ratio = band->dlambda_a / fabs(dispersion);
  c.x = t->x0 + dx - view->x0;
  c.y = t->y0 + nsl_trace_dy(t, dx) - view->y0 - c.direction * NSL_STAMP_YC;
  return c;
}

typedef struct {
  const nsl_view *view;
  const nsl_pixel *window;
  float sky;
  unsigned saturated_bit;
} rectifier;

/* The bilinear sum about a point; *total is the weight that lies inside the window, *saturated the DQ bit of what counts. */
static nsl_pixel interpolate(const rectifier *r, int ix, int iy, const float wx[2], const float wy[2], float *total, int *saturated)
{
  nsl_pixel sum = {0, 0, 0, 0};
  const int w = r->view->w, h = r->view->h;
  *total = 0;
  *saturated = 0;
  for (int b = 0; b < 2; b++) {
    for (int a = 0; a < 2; a++) {
      if (ix + a < 0 || ix + a >= w || iy + b < 0 || iy + b >= h) { continue; }
      size_t i = (size_t)(iy + b) * (size_t)w + (size_t)(ix + a);
      float weight = wx[a] * wy[b];
      sum += weight * r->window[i];
      *total += weight;
      *saturated |= weight >= 0.25f && ((unsigned)r->view->dq[i] & r->saturated_bit);
    }
  }
  return sum;
}

/* One column of the stamp. All rows have the same fractions. Weights on bad pixels are dropped and the rest scaled up by 1 / kept:
 * the flux stays unbiased; the variance is divided by kept twice, since the pixels that stand in for others enter the sum with more
 * than their share. */
static void rectify_column(const rectifier *r, const column_source *c, int x, int in_band, nsl_rectified *to)
{
  double fx = floor(c->x), fy = floor(c->y);
  if (!(fx >= -1 && fx < r->view->w && fabs(fy) < 1e6)) { return; }
  int ix = (int)fx, iy = (int)fy;
  float u = (float)(c->x - fx), v = (float)(c->y - fy);
  const float wx[2] = {1 - u, u}, wy[2] = {1 - v, v};
  float seconds = (float)r->view->exptime_s, ratio = (float)c->ratio, per_second = ratio / seconds;
  /* sum of w^2: what one pixel scatters by */
  to->scatter[x] = ratio * (wx[0] * wx[0] + wx[1] * wx[1]) * (wy[0] * wy[0] + wy[1] * wy[1]);
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    float total;
    int saturated;
    nsl_pixel sum = interpolate(r, ix, iy + c->direction * y, wx, wy, &total, &saturated);
    if (in_band && y >= NSL_STAMP_BOX_FIRST && y <= NSL_STAMP_BOX_LAST && total >= KEPT_WEIGHT_MIN) {
      to->samples++;
      to->masked += sum[GOOD] < KEPT_WEIGHT_MIN;
      to->saturated += saturated;
    }
    if (sum[GOOD] < KEPT_WEIGHT_MIN) { continue; }
    size_t out = (size_t)y * NSL_STAMP_NX + (size_t)x;
    to->rate[out] = per_second * (sum[FLUX] / sum[GOOD] - r->sky);
    to->variance[out] = per_second / seconds * sum[VARIANCE] / (sum[GOOD] * sum[GOOD]);
    to->neighbours[out] = per_second * sum[NEIGHBOURS] / total;
  }
}

nsl_status nsl_view_rectify(const nsl_view *view, const nsl_band *band, const nsl_dq_bits *dq_bits,
                            const nsl_view_settings *settings, nsl_view_room *room, int slot, nsl_error *err)
{
  if (view->w < 1 || view->h < 1 || !(view->exptime_s > 0)) {
    return nsl_fail(err, NSL_E_BUG, "a view of %d x %d pixels and %g s", view->w, view->h, view->exptime_s);
  }
  size_t n = (size_t)view->w * (size_t)view->h;
  nsl_status st = reserve_window(room, n, err);
  if (st != NSL_OK) { return st; }
  nsl_rectified *to = &room->views[slot];
  memset(to->rate, 0, NSL_STAMP_PLANE * sizeof(float));
  memset(to->variance, 0, NSL_STAMP_PLANE * sizeof(float));
  memset(to->neighbours, 0, NSL_STAMP_PLANE * sizeof(float));
  memset(to->scatter, 0, sizeof to->scatter);
  to->samples = to->masked = to->saturated = 0;
  to->exptime_s = view->exptime_s;
  clean_window(view, dq_bits, room->window, n);
  double variance, sky = find_sky(view, settings, room->window, room->sky, &variance);
  to->background_variance = variance / (view->exptime_s * view->exptime_s);
  rectifier r = {.view = view, .window = room->window, .sky = (float)sky, .saturated_bit = dq_bits->saturated};
  int x0, x1;
  nsl_band_columns(band, NSL_STAMP_NX, &x0, &x1);
  for (int x = 0; x < NSL_STAMP_NX; x++) {
    column_source c = locate_column(view, band, x);
    if (c.direction != 0) { rectify_column(&r, &c, x, x >= x0 && x < x1, to); }
  }
  return NSL_OK;
}
