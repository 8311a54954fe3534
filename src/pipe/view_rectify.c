/* One view: masked, its sky subtracted, laid on the canonical wavelength grid. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"
#include "views_internal.h"

/* A stamp pixel needs this much of its interpolation weight on good pixels. */
#define KEPT_WEIGHT_MIN 0.5f

enum { SPARE = LANES /* floats that whole vectors read beyond the window */ };

void nsl_view_room_free(nsl_view_room *room)
{
  free(room->views);
  free(room->planes);
  free(room->window);
  free(room->holes);
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
  grown.combine = malloc(NSL_COMBINE_PLANES * NSL_STAMP_PLANE * sizeof(float));
  grown.rejected = malloc(NSL_STAMP_PLANE);
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
  grown.holes = room->holes;
  grown.window_pixels = room->window_pixels;
  grown.window_columns = room->window_columns;
  room->window = room->sky = NULL;
  room->holes = NULL;
  nsl_view_room_free(room);
  *room = grown;
  return NSL_OK;
}

static nsl_status reserve_window(nsl_view_room *room, size_t w, size_t h, nsl_error *err)
{
  size_t pixels = w * h;
  if (w > room->window_columns) {
    int32_t *holes = realloc(room->holes, (w + NSL_COLUMNS_SPARE) * sizeof *holes);
    if (!holes) { return nsl_fail(err, NSL_E_NOMEM, "no memory for a cut-out of %zu columns", w); }
    room->holes = holes;
    room->window_columns = w;
  }
  if (pixels <= room->window_pixels) { return NSL_OK; }
  float *window = calloc(NSL_COLUMN_PLANES * pixels + SPARE, sizeof *window), *sky = malloc((pixels + NSL_SKY_SPARE) * sizeof *sky);
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

/* A column of the stamp. */
typedef struct {
  const nsl_view *view;
  const nsl_columns *columns;
  float sky;
  unsigned saturated_bit;
  int in_box; /* this column is in the band */
  int direction, ix, iy;
  float w[4], gain, gain_variance;
} rectifier;

static void place_column(const nsl_stamp_places *p, int x, rectifier *r)
{
  r->direction = p->direction[x];
  r->ix = p->ix[x];
  r->iy = p->iy[x];
  for (int t = 0; t < 4; t++) { r->w[t] = p->w[t][x]; }
  r->gain = p->gain[x];
  r->gain_variance = p->gain_variance[x];
}

/* What a run of pixels becomes, in order of growing window rows; whole vectors are written. */
typedef struct {
  float kept[NSL_STAMP_NY + LANES], rate[NSL_STAMP_NY + LANES], variance[NSL_STAMP_NY + LANES], neighbours[NSL_STAMP_NY + LANES];
} run;

/* The bilinear sum of eight pixels of a plane. */
#define WEIGH(left, right)                                        \
  ((w[0] * *(const vec *)(left) + w[1] * *(const vec *)(right)) + \
   (w[2] * *(const vec *)((left) + 1) + w[3] * *(const vec *)((right) + 1)))
#define ONLY(v, where) ((vec)((mask)(v) & (where)))
/* A weight, where the pixels' variance says that they are good. */
#define GOOD(k, variance) ONLY(none + w[k], *(const vec *)(variance) > 0)

/* Pixels [a, b) of a run, whose four detector pixels are all inside the window; left and right point at those of pixel a. Up to
 * LANES - 1 pixels after them are written as well. Weights on bad pixels are dropped and the rest scaled up by 1 / kept: the flux
 * stays unbiased; the variance is divided by kept twice, since the pixels that stand in for others enter the sum with more than
 * their share. */
NSL_VECTORISED static void rectify_run(const float *left, const float *right, size_t height, int a, int b, const rectifier *r,
                                       run *out)
{
  const float w[4] = {r->w[0], r->w[1], r->w[2], r->w[3]};
  const vec none = {0}, one = none + 1;
  for (int k = 0; k < b - a; k += LANES) {
    const float *l = left + k, *g = right + k;
    const float *lv = l + NSL_COLUMN_VARIANCE * height, *gv = g + NSL_COLUMN_VARIANCE * height;
    vec kept = (GOOD(0, lv) + GOOD(1, gv)) + (GOOD(2, lv + 1) + GOOD(3, gv + 1));
    vec f = WEIGH(l, g), v = WEIGH(lv, gv);
    vec light = WEIGH(l + NSL_COLUMN_NEIGHBOURS * height, g + NSL_COLUMN_NEIGHBOURS * height);
    mask ok = kept >= KEPT_WEIGHT_MIN;
    vec scale = one / (vec)(((mask)kept & ok) | ((mask)one & ~ok));
    *(vec *)(out->kept + a + k) = kept;
    *(vec *)(out->rate + a + k) = ONLY((f * scale - r->sky) * r->gain, ok);
    *(vec *)(out->variance + a + k) = ONLY(v * (scale * scale) * r->gain_variance, ok);
    *(vec *)(out->neighbours + a + k) = ONLY(light * r->gain, ok);
  }
}

/* A stamp's column from pixels of which none is bad or outside the window: the same numbers, without looking at each. */
NSL_VECTORISED static void rectify_whole(const float *left, const float *right, size_t height, const rectifier *r,
                                         float *restrict rate, float *restrict variance, float *restrict neighbours)
{
  const float w[4] = {r->w[0], r->w[1], r->w[2], r->w[3]}, kept = (w[0] + w[1]) + (w[2] + w[3]), scale = 1 / kept;
  const mask turn = {7, 6, 5, 4, 3, 2, 1, 0};
  for (int k = 0; k < NSL_STAMP_NY; k += LANES) {
    const float *l = left + k, *g = right + k, *lv = l + NSL_COLUMN_VARIANCE * height, *gv = g + NSL_COLUMN_VARIANCE * height;
    vec f = (WEIGH(l, g) * scale - r->sky) * r->gain, v = WEIGH(lv, gv) * (scale * scale) * r->gain_variance;
    vec light = WEIGH(l + NSL_COLUMN_NEIGHBOURS * height, g + NSL_COLUMN_NEIGHBOURS * height) * r->gain;
    int to = r->direction > 0 ? k : NSL_STAMP_NY - LANES - k;
    *(vec *)(rate + to) = r->direction > 0 ? f : __builtin_shuffle(f, turn);
    *(vec *)(variance + to) = r->direction > 0 ? v : __builtin_shuffle(v, turn);
    *(vec *)(neighbours + to) = r->direction > 0 ? light : __builtin_shuffle(light, turn);
  }
}

/* One pixel at the window's edge, where some of the four are missing; *total: the weight that is inside. */
static void rectify_edge(const rectifier *r, int iy, int k, float *total, run *out)
{
  float kept = 0, f = 0, v = 0, light = 0;
  size_t height = (size_t)r->columns->height;
  *total = 0;
  for (int t = 0; t < 4; t++) {
    int x = r->ix + (t & 1), y = iy + (t >> 1);
    if (x < 0 || x >= r->view->w || y < 0 || y >= r->view->h) { continue; }
    const float *at = nsl_column(r->columns, x) + y;
    kept += at[NSL_COLUMN_VARIANCE * height] > 0 ? r->w[t] : 0.0f;
    f += r->w[t] * at[NSL_COLUMN_FLUX * height];
    v += r->w[t] * at[NSL_COLUMN_VARIANCE * height];
    light += r->w[t] * at[NSL_COLUMN_NEIGHBOURS * height];
    *total += r->w[t];
  }
  int ok = kept >= KEPT_WEIGHT_MIN;
  out->kept[k] = kept;
  out->rate[k] = ok ? (f / kept - r->sky) * r->gain : 0.0f;
  out->variance[k] = ok ? v / (kept * kept) * r->gain_variance : 0.0f;
  out->neighbours[k] = ok ? light / *total * r->gain : 0.0f;
}

/* Whether a quarter or more of a pixel lies on a saturated detector pixel. */
static int is_saturated(const rectifier *r, int iy)
{
  for (int t = 0; t < 4; t++) {
    int x = r->ix + (t & 1), y = iy + (t >> 1);
    if (x < 0 || x >= r->view->w || y < 0 || y >= r->view->h || r->w[t] < 0.25f) { continue; }
    if ((unsigned)r->view->dq[(size_t)y * (size_t)r->view->w + (size_t)x] & r->saturated_bit) { return 1; }
  }
  return 0;
}

/* Which pixels [*a, *b) of a run whose first pixel is at window row `first` are wholly inside the window. */
static void find_inside(const rectifier *r, int first, int *a, int *b)
{
  *a = first < 0 ? -first : 0;
  *b = r->view->h - 1 - first < NSL_STAMP_NY ? r->view->h - 1 - first : NSL_STAMP_NY;
  if (r->ix < 0 || r->ix + 1 >= r->view->w || *b < *a) { *a = *b = 0; }
}

/* A run as a stamp's column. */
NSL_VECTORISED static void put_run(const float *restrict from, int forward, float *restrict to)
{
  if (forward) {
    memcpy(to, from, NSL_STAMP_NY * sizeof *to);
    return;
  }
  for (int y = 0; y < NSL_STAMP_NY; y++) { to[y] = from[NSL_STAMP_NY - 1 - y]; }
}

/* Rows [a, b] of the extraction box: how many are on the frame, and of these without data. total: the weight inside the window. */
NSL_VECTORISED static void count_rows(const float *restrict total, const float *restrict kept, int a, int b, int *samples,
                                      int *masked)
{
  int n = 0, without = 0;
  for (int k = a; k <= b; k++) {
    int on_frame = total[k] >= KEPT_WEIGHT_MIN;
    n += on_frame;
    without += on_frame & (kept[k] < KEPT_WEIGHT_MIN);
  }
  *samples += n;
  *masked += without;
}

static void count_box(const rectifier *r, int forward, int first, const float *total, const run *out, nsl_rectified *to)
{
  int a = forward ? NSL_STAMP_BOX_FIRST : NSL_STAMP_NY - 1 - NSL_STAMP_BOX_LAST;
  int b = forward ? NSL_STAMP_BOX_LAST : NSL_STAMP_NY - 1 - NSL_STAMP_BOX_FIRST;
  count_rows(total, out->kept, a, b, &to->samples, &to->masked);
  for (int k = a; k <= b && r->columns->any_saturated; k++) {
    to->saturated += total[k] >= KEPT_WEIGHT_MIN && is_saturated(r, first + k);
  }
}

static void rectify_column(const rectifier *r, int column, nsl_rectified *to)
{
  run out;
  float total[NSL_STAMP_NY];
  int forward = r->direction > 0, first = forward ? r->iy : r->iy - (NSL_STAMP_NY - 1), a, b;
  size_t at = (size_t)column * NSL_STAMP_NY, height = (size_t)r->columns->height;
  find_inside(r, first, &a, &b);
  const float *left = b > a ? nsl_column(r->columns, r->ix) + first : NULL,
              *right = b > a ? nsl_column(r->columns, r->ix + 1) + first : NULL;
  if (b - a == NSL_STAMP_NY && !r->columns->holes[r->ix] && !r->columns->holes[r->ix + 1] && !r->columns->any_saturated) {
    rectify_whole(left, right, height, r, to->rate + at, to->variance + at, to->neighbours + at);
    to->samples += r->in_box ? NSL_STAMP_BOX_LAST - NSL_STAMP_BOX_FIRST + 1 : 0;
    return;
  }
  if (b > a) { rectify_run(left + a, right + a, height, a, b, r, &out); }
  for (int k = 0; k < NSL_STAMP_NY; k++) { total[k] = 1; }
  for (int k = 0; k < a; k++) { rectify_edge(r, first + k, k, &total[k], &out); }
  for (int k = b; k < NSL_STAMP_NY; k++) { rectify_edge(r, first + k, k, &total[k], &out); }
  put_run(out.rate, forward, to->rate + at);
  put_run(out.variance, forward, to->variance + at);
  put_run(out.neighbours, forward, to->neighbours + at);
  if (r->in_box) { count_box(r, forward, first, total, &out, to); }
}

static void clear_column(nsl_rectified *to, int x)
{
  size_t at = (size_t)x * NSL_STAMP_NY;
  memset(to->rate + at, 0, NSL_STAMP_NY * sizeof(float));
  memset(to->variance + at, 0, NSL_STAMP_NY * sizeof(float));
  memset(to->neighbours + at, 0, NSL_STAMP_NY * sizeof(float));
}

nsl_status nsl_view_rectify(const nsl_view *view, const nsl_band *band, const nsl_dq_bits *dq_bits,
                            const nsl_view_settings *settings, nsl_view_room *room, int slot, nsl_error *err)
{
  if (view->w < 1 || view->h < 1 || !(view->exptime_s > 0)) {
    return nsl_fail(err, NSL_E_BUG, "a view of %d x %d pixels and %g s", view->w, view->h, view->exptime_s);
  }
  nsl_columns columns = {.height = nsl_columns_height(view->h)};
  nsl_status st = reserve_window(room, (size_t)view->w, (size_t)columns.height, err);
  if (st != NSL_OK) { return st; }
  columns.data = room->window;
  columns.holes = room->holes;
  nsl_columns_make(view, dq_bits, &columns);
  nsl_rectified *to = &room->views[slot];
  to->samples = to->masked = to->saturated = 0;
  to->exptime_s = view->exptime_s;
  double variance, sky = nsl_view_sky(view, settings, &columns, room->sky, &variance);
  to->tilt = view->tilt;
  to->background_variance = variance / (view->exptime_s * view->exptime_s);
  rectifier r = {.view = view, .columns = &columns, .sky = (float)sky, .saturated_bit = dq_bits->saturated};
  int x0, x1;
  nsl_band_columns(band, NSL_STAMP_NX, &x0, &x1);
  nsl_stamp_places placed;
  nsl_view_place(view, band, &placed);
  memcpy(to->scatter, placed.scatter, sizeof to->scatter);
  for (int x = 0; x < NSL_STAMP_NX; x++) {
    if (placed.direction[x] == 0) {
      clear_column(to, x);
      continue;
    }
    place_column(&placed, x, &r);
    r.in_box = x >= x0 && x < x1;
    rectify_column(&r, x, to);
  }
  return NSL_OK;
}
