/* One view: masked, its sky subtracted, laid on the canonical wavelength grid. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "views_internal.h"

/* A stamp pixel needs this much of its interpolation weight on good pixels. */
#define KEPT_WEIGHT_MIN 0.5f

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
  grown.combine = malloc(NSL_COMBINE_PLANES * NSL_STAMP_PLANE * sizeof(float));
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
  float *window = malloc(NSL_COLUMN_PLANES * pixels * sizeof *window), *sky = malloc((pixels + NSL_SKY_SPARE) * sizeof *sky);
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

/* A column and what its pixels share: the two window columns it lies between and the four bilinear weights (lower left, lower
 * right, upper left, upper right). */
typedef struct {
  const nsl_view *view;
  const nsl_columns *columns;
  float sky;
  unsigned saturated_bit;
  int in_box; /* this column is in the band */
  column_source c;
  int ix, iy; /* lower left pixel of the first row; the next row's is one farther in c.direction */
  float w[4];
  float gain, gain_variance; /* electrons to stamp units */
} rectifier;

static void place_column(rectifier *r)
{
  const column_source *c = &r->c;
  double seconds = r->view->exptime_s, y = c->y - c->direction * NSL_STAMP_YC, fx = floor(c->x), fy = floor(y);
  float u = (float)(c->x - fx), v = (float)(y - fy);
  r->ix = (int)fmax(fmin(fx, 1e6), -1e6);
  r->iy = (int)fmax(fmin(fy, 1e6), -1e6);
  r->w[0] = (1 - u) * (1 - v);
  r->w[1] = u * (1 - v);
  r->w[2] = (1 - u) * v;
  r->w[3] = u * v;
  r->gain = (float)(c->ratio / seconds);
  r->gain_variance = (float)(c->ratio / (seconds * seconds));
}

/* What a run of pixels becomes, in order of growing window rows. */
typedef struct {
  float kept[NSL_STAMP_NY], rate[NSL_STAMP_NY], variance[NSL_STAMP_NY], neighbours[NSL_STAMP_NY];
} run;

/* Pixels [a, b) of a run, whose four detector pixels are all inside the window; left and right point at those of pixel a. Weights
 * on bad pixels are dropped and the rest scaled up by 1 / kept: the flux stays unbiased; the variance is divided by kept twice,
 * since the pixels that stand in for others enter the sum with more than their share. */
__attribute__((target_clones("avx2", "default"))) static void rectify_run(const float *left, const float *right, size_t height,
                                                                          int a, int b, const rectifier *r, run *out)
{
  const float *fl = left, *vl = left + NSL_COLUMN_VARIANCE * height, *nl = left + NSL_COLUMN_NEIGHBOURS * height,
              *gl = left + NSL_COLUMN_GOOD * height;
  const float *fr = right, *vr = right + NSL_COLUMN_VARIANCE * height, *nr = right + NSL_COLUMN_NEIGHBOURS * height,
              *gr = right + NSL_COLUMN_GOOD * height;
  float w0 = r->w[0], w1 = r->w[1], w2 = r->w[2], w3 = r->w[3], sky = r->sky;
  float gain = r->gain, gain_variance = r->gain_variance;
  float *restrict kepts = out->kept + a, *restrict rate = out->rate + a, *restrict variance = out->variance + a,
                  *restrict neighbours = out->neighbours + a;
  for (int k = 0; k < b - a; k++) {
    float kept = w0 * gl[k] + w1 * gr[k] + w2 * gl[k + 1] + w3 * gr[k + 1];
    /* flux and variance of bad pixels are 0 */
    float f = w0 * fl[k] + w1 * fr[k] + w2 * fl[k + 1] + w3 * fr[k + 1];
    float v = w0 * vl[k] + w1 * vr[k] + w2 * vl[k + 1] + w3 * vr[k + 1];
    float light = w0 * nl[k] + w1 * nr[k] + w2 * nl[k + 1] + w3 * nr[k + 1];
    int ok = kept >= KEPT_WEIGHT_MIN;
    float scale = 1 / (ok ? kept : 1.0f);
    kepts[k] = kept;
    rate[k] = ok ? (f * scale - sky) * gain : 0.0f;
    variance[k] = ok ? v * (scale * scale) * gain_variance : 0.0f;
    neighbours[k] = ok ? light * gain : 0.0f;
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
    kept += r->w[t] * at[NSL_COLUMN_GOOD * height];
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

static void rectify_column(const rectifier *r, int column, nsl_rectified *to)
{
  run out;
  float total[NSL_STAMP_NY];
  int forward = r->c.direction > 0, first = forward ? r->iy : r->iy - (NSL_STAMP_NY - 1), a, b;
  find_inside(r, first, &a, &b);
  for (int k = 0; k < NSL_STAMP_NY; k++) {
    total[k] = 1;
    if (k < a || k >= b) { rectify_edge(r, first + k, k, &total[k], &out); }
  }
  if (b > a) {
    const float *left = nsl_column(r->columns, r->ix) + first + a, *right = nsl_column(r->columns, r->ix + 1) + first + a;
    rectify_run(left, right, (size_t)r->columns->height, a, b, r, &out);
  }
  size_t at = (size_t)column * NSL_STAMP_NY;
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    int k = forward ? y : NSL_STAMP_NY - 1 - y;
    to->rate[at + (size_t)y] = out.rate[k];
    to->variance[at + (size_t)y] = out.variance[k];
    to->neighbours[at + (size_t)y] = out.neighbours[k];
  }
  if (!r->in_box) { return; }
  for (int y = NSL_STAMP_BOX_FIRST; y <= NSL_STAMP_BOX_LAST; y++) {
    int k = forward ? y : NSL_STAMP_NY - 1 - y;
    int on_frame = total[k] >= KEPT_WEIGHT_MIN;
    to->samples += on_frame;
    to->masked += on_frame && out.kept[k] < KEPT_WEIGHT_MIN;
    to->saturated += on_frame && r->columns->any_saturated && is_saturated(r, first + k);
  }
}

/* sum w^2 of the bilinear weights, for a column whose rows all have the same fraction. */
static float scatter_of(const rectifier *r)
{
  const float *w = r->w;
  return (float)r->c.ratio * (w[0] * w[0] + w[1] * w[1] + w[2] * w[2] + w[3] * w[3]);
}

nsl_status nsl_view_rectify(const nsl_view *view, const nsl_band *band, const nsl_dq_bits *dq_bits,
                            const nsl_view_settings *settings, nsl_view_room *room, int slot, nsl_error *err)
{
  if (view->w < 1 || view->h < 1 || !(view->exptime_s > 0)) {
    return nsl_fail(err, NSL_E_BUG, "a view of %d x %d pixels and %g s", view->w, view->h, view->exptime_s);
  }
  nsl_columns columns = {.height = nsl_columns_height(view->h)};
  nsl_status st = reserve_window(room, (size_t)view->w * (size_t)columns.height, err);
  if (st != NSL_OK) { return st; }
  columns.data = room->window;
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
  memset(to->rate, 0, 3 * NSL_STAMP_PLANE * sizeof(float)); /* the three planes lie together */
  for (int x = 0; x < NSL_STAMP_NX; x++) {
    r.c = locate_column(view, band, x);
    to->scatter[x] = 0;
    if (r.c.direction == 0) { continue; }
    place_column(&r);
    to->scatter[x] = scatter_of(&r);
    r.in_box = x >= x0 && x < x1;
    rectify_column(&r, x, to);
  }
  return NSL_OK;
}
