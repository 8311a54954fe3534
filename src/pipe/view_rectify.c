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

enum { FLUX, VARIANCE, NEIGHBOURS, GOOD, N_WINDOW_PLANES };

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
  grown.rejected = malloc((size_t)n_views * NSL_STAMP_PLANE);
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
  room->window = room->sky = NULL;
  nsl_view_room_free(room);
  *room = grown;
  return NSL_OK;
}

static nsl_status reserve_window(nsl_view_room *room, size_t pixels, nsl_error *err)
{
  if (pixels <= room->window_pixels) { return NSL_OK; }
  float *window = malloc(N_WINDOW_PLANES * pixels * sizeof *window), *sky = malloc(pixels * sizeof *sky);
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

static void clean_window(const nsl_view *view, const nsl_dq_bits *bits, float *window, size_t n)
{
  float *flux = window, *variance = window + VARIANCE * n, *neighbours = window + NEIGHBOURS * n, *good = window + GOOD * n;
  for (size_t i = 0; i < n; i++) {
    float f = view->sci[i], e = view->err[i];
    int ok = isfinite(f) && isfinite(e) && e > 0 && !((unsigned)view->dq[i] & bits->bad);
    good[i] = ok ? 1.0f : 0.0f;
    flux[i] = ok ? f : 0.0f;
    variance[i] = ok ? e * e : 0.0f;
  }
  if (view->neighbours) {
    memcpy(neighbours, view->neighbours, n * sizeof *neighbours);
  } else {
    memset(neighbours, 0, n * sizeof *neighbours);
  }
}

/* ---- the local sky ---- */

/* Collects flux - neighbours of good pixels farther than `from` and not farther than `to` rows from the trace, where the
 * neighbours' light is below `limit` sigma; *variance is their mean variance. */
static size_t sample_sky(const nsl_view *view, const float *window, double from, double to, float limit, float *sample,
                         double *variance)
{
  size_t n_pixels = (size_t)view->w * (size_t)view->h, n = 0;
  const float *flux = window, *var = window + VARIANCE * n_pixels, *neighbours = window + NEIGHBOURS * n_pixels,
              *good = window + GOOD * n_pixels;
  double sum = 0;
  for (int x = 0; x < view->w; x++) {
    double centre = view->trace.y0 + nsl_trace_dy(&view->trace, view->x0 + x - view->trace.x0) - view->y0;
    for (int y = 0; y < view->h; y++) {
      double off = fabs(y - centre);
      size_t i = (size_t)y * (size_t)view->w + (size_t)x;
      if (off <= from || off > to || good[i] == 0 || neighbours[i] * neighbours[i] > limit * limit * var[i]) { continue; }
      sample[n++] = flux[i] - neighbours[i];
      sum += var[i];
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
static double find_sky(const nsl_view *view, const nsl_view_settings *settings, const float *window, float *sample,
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

/* Where a stamp column comes from: 0-based position in the window of its centre row, rows' direction, ratio of pixel widths. */
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
  c.x = t->x0 + dx - view->x0;
  c.y = t->y0 + nsl_trace_dy(t, dx) - view->y0;
  c.ratio = band->dlambda_a / fabs(dispersion);
  c.direction = dispersion > 0 ? 1 : -1;
  return c;
}

/* Up to four detector pixels about a point, with bilinear weights. */
typedef struct {
  size_t index[4];
  float weight[4];
  int n;
} taps;

static taps taps_at(double x, double y, int w, int h)
{
  taps t = {.n = 0};
  double fx = floor(x), fy = floor(y);
  if (!(fx >= -1 && fx < w && fy >= -1 && fy < h)) { return t; }
  int ix = (int)fx, iy = (int)fy;
  float u = (float)(x - fx), v = (float)(y - fy);
  const float wx[2] = {1 - u, u}, wy[2] = {1 - v, v};
  for (int b = 0; b < 2; b++) {
    for (int a = 0; a < 2; a++) {
      if (ix + a < 0 || ix + a >= w || iy + b < 0 || iy + b >= h) { continue; }
      t.index[t.n] = (size_t)(iy + b) * (size_t)w + (size_t)(ix + a);
      t.weight[t.n++] = wx[a] * wy[b];
    }
  }
  return t;
}

typedef struct {
  const nsl_view *view;
  const float *window;
  size_t n; /* pixels of the window */
  float sky;
  unsigned saturated_bit;
} rectifier;

/* One stamp pixel. Weights on bad pixels are dropped and the rest scaled up by 1 / kept: the flux stays unbiased; the variance is
 * divided by kept twice, since the pixels that stand in for others enter the sum with more than their share. */
static void rectify_pixel(const rectifier *r, const column_source *c, double y, size_t out, int in_box, nsl_rectified *to)
{
  taps t = taps_at(c->x, y, r->view->w, r->view->h);
  if (t.n == 0) { return; }
  const float *flux = r->window, *variance = r->window + VARIANCE * r->n, *neighbours = r->window + NEIGHBOURS * r->n,
              *good = r->window + GOOD * r->n;
  float kept = 0, f = 0, v = 0, total = 0, light = 0;
  int saturated = 0;
  for (int k = 0; k < t.n; k++) {
    size_t i = t.index[k];
    float w = t.weight[k] * good[i];
    kept += w;
    f += w * flux[i];
    v += w * variance[i];
    total += t.weight[k];
    light += t.weight[k] * neighbours[i];
    saturated |= t.weight[k] >= 0.25f && ((unsigned)r->view->dq[i] & r->saturated_bit);
  }
  if (in_box && total >= KEPT_WEIGHT_MIN) {
    to->samples++;
    to->masked += kept < KEPT_WEIGHT_MIN;
    to->saturated += saturated;
  }
  if (kept < KEPT_WEIGHT_MIN) { return; }
  double seconds = r->view->exptime_s;
  to->rate[out] = (float)(c->ratio * (f / kept - r->sky) / seconds);
  to->variance[out] = (float)(c->ratio * v / (kept * kept) / (seconds * seconds));
  to->neighbours[out] = (float)(c->ratio * light / total / seconds);
}

/* sum w^2 of the bilinear weights, for a column whose rows all have the same fraction. */
static float scatter_of(const column_source *c)
{
  double u = c->x - floor(c->x), first = c->y - NSL_STAMP_YC * c->direction, v = first - floor(first);
  return (float)(c->ratio * (u * u + (1 - u) * (1 - u)) * (v * v + (1 - v) * (1 - v)));
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
  memset(to->rate, 0, 3 * NSL_STAMP_PLANE * sizeof(float)); /* the three planes lie together */
  to->samples = to->masked = to->saturated = 0;
  to->exptime_s = view->exptime_s;
  clean_window(view, dq_bits, room->window, n);
  double variance, sky = find_sky(view, settings, room->window, room->sky, &variance);
  to->background_variance = variance / (view->exptime_s * view->exptime_s);
  rectifier r = {.view = view, .window = room->window, .n = n, .sky = (float)sky, .saturated_bit = dq_bits->saturated};
  int x0, x1;
  nsl_band_columns(band, NSL_STAMP_NX, &x0, &x1);
  for (int x = 0; x < NSL_STAMP_NX; x++) {
    column_source c = locate_column(view, band, x);
    to->scatter[x] = 0;
    if (c.direction == 0) { continue; }
    to->scatter[x] = scatter_of(&c);
    for (int y = 0; y < NSL_STAMP_NY; y++) {
      int in_box = x >= x0 && x < x1 && nsl_stamp_box_weight(y) > 0;
      rectify_pixel(&r, &c, c.y + c.direction * (y - NSL_STAMP_YC), (size_t)y * NSL_STAMP_NX + (size_t)x, in_box, to);
    }
  }
  return NSL_OK;
}
