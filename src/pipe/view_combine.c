/* Rectified views of one band become one: outliers out, the rest averaged.
 *
 * Weights are one number a view, its exposure time squared over the variance of its background: inverse variance, but blind to the
 * signal, so that the average stays unbiased. */
#include <math.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "noslit/model/flags.h"
#include "view_turn.h"
#include "views_internal.h"

/* Resampled at different phases the same line differs: views may disagree by this much of the brightest pixel nearby. */
#define RESAMPLING_DIFFERENCE 0.35f
/* Pixels beside a rejected one are doubted more: this share of the threshold. */
#define BESIDE_REJECTED 0.5f
/* Between two views nothing tells which is right: only an excess, and only above this multiple of the threshold. */
#define CAUTION_OF_TWO 2.0f
#define CONTAMINATED_ABOVE 0.2f
#define MANY_BAD_ABOVE 0.2

enum { VIEWS_MAX = 256 /* of one source in one band; more are left out */, ROWS = NSL_STAMP_NY };

/* What the views say together, plane by plane [480][40]: the reference, what a single view may differ from it by noise, the
 * brightest reference nearby, the number of views with data. */
typedef struct {
  float *reference, *noise, *brightest, *count;
} consensus;

static consensus consensus_in(const nsl_view_room *room)
{
  float *p = room->combine;
  return (consensus){p, p + NSL_STAMP_PLANE, p + 2 * NSL_STAMP_PLANE, p + 3 * NSL_STAMP_PLANE};
}

static inline float min_of(float a, float b) { return a < b ? a : b; }
static inline float max_of(float a, float b) { return a > b ? a : b; }

/* Sorts n values per row by growing size, all rows side by side: insertion without branches. */
NSL_VECTORISED static void sort_rows(float (*a)[ROWS], int n)
{
  for (int i = 1; i < n; i++) {
    for (int j = i; j > 0; j--) {
      float *restrict low = a[j - 1], *restrict high = a[j];
      for (int y = 0; y < ROWS; y++) {
        float l = min_of(low[y], high[y]), h = max_of(low[y], high[y]);
        low[y] = l;
        high[y] = h;
      }
    }
  }
}

/* Light without what neighbours are expected to give, and variance of a single pixel; infinite where there is no data. */
NSL_VECTORISED static void gather_rows(const float *restrict rate, const float *restrict variance, const float *restrict neighbours,
                                       float scatter, float *restrict light, float *restrict var, float *restrict count)
{
  for (int y = 0; y < ROWS; y++) {
    int data = variance[y] > 0;
    light[y] = data ? rate[y] - neighbours[y] : INFINITY;
    var[y] = data ? variance[y] * scatter : INFINITY;
    count[y] += data ? 1.0f : 0.0f;
  }
}

/* The lower median of sorted values: that of rank (count - 1) / 2. */
NSL_VECTORISED static void pick_medians(float (*sorted)[ROWS], int n, const float *restrict count, float *restrict out)
{
  memset(out, 0, ROWS * sizeof *out);
  for (int k = 0; 2 * k < n; k++) {
    for (int y = 0; y < ROWS; y++) { out[y] = count[y] >= (float)(2 * k + 1) ? sorted[k][y] : out[y]; }
  }
}

/* The reference is the lower median over the views with data, robust against excesses in up to half of them; the noise comes from
 * the lower median of their variances, which no cosmic ray has inflated. */
NSL_VECTORISED static void find_reference(const nsl_view_room *room, int n, float sigmas, consensus *to)
{
  float light[VIEWS_MAX][ROWS], var[VIEWS_MAX][ROWS];
  for (size_t x = 0, at = 0; x < NSL_STAMP_NX; x++, at += ROWS) {
    float *restrict count = to->count + at, *restrict noise = to->noise + at;
    memset(count, 0, ROWS * sizeof *count);
    for (int v = 0; v < n; v++) {
      const nsl_rectified *view = &room->views[v];
      gather_rows(view->rate + at, view->variance + at, view->neighbours + at, view->scatter[x], light[v], var[v], count);
    }
    sort_rows(light, n);
    sort_rows(var, n);
    pick_medians(light, n, count, to->reference + at);
    pick_medians(var, n, count, noise);
    for (int y = 0; y < ROWS; y++) {
      /* 1.57 / n: variance of a median */
      float s = count[y] == 2 ? sigmas * CAUTION_OF_TWO : sigmas;
      noise[y] = s * sqrtf(noise[y] * (1 + 1.57f / max_of(count[y], 1)));
    }
  }
}

/* Brightest of the 3 x 3 neighbourhood, at least 0: first along the column, then across. */
NSL_VECTORISED static void dilate(const float *restrict in, float *restrict out)
{
  float tall[3][ROWS] = {{0}}; /* of columns x - 1, x, x + 1 */
  for (int x = -1; x < NSL_STAMP_NX; x++) {
    float *restrict next = tall[(x + 2) % 3];
    memset(next, 0, sizeof tall[0]);
    if (x + 1 < NSL_STAMP_NX) {
      const float *column = in + (size_t)(x + 1) * ROWS;
      for (int y = 0; y < ROWS; y++) { next[y] = max_of(column[y], 0); }
      for (int y = 1; y < ROWS; y++) { next[y] = max_of(next[y], column[y - 1]); }
      for (int y = 0; y + 1 < ROWS; y++) { next[y] = max_of(next[y], column[y + 1]); }
    }
    if (x < 0) { continue; }
    for (int y = 0; y < ROWS; y++) { out[(size_t)x * ROWS + (size_t)y] = max_of(max_of(tall[0][y], tall[1][y]), tall[2][y]); }
  }
}

/* How far light d from the reference is allowed. */
static inline float allowance(const consensus *c, size_t i, float neighbours)
{
  return c->noise[i] + RESAMPLING_DIFFERENCE * (c->brightest[i] + max_of(neighbours, 0));
}

/* How far the pixel is from the reference; where two views alone tell, only an excess counts; a single view is right. */
static inline float distance(const consensus *c, size_t i, float light)
{
  float d = light - c->reference[i];
  float both = d < 0 ? -d : d, excess = d > 0 ? d : 0;
  return c->count[i] > 2 ? both : c->count[i] == 2 ? excess : 0;
}

/* 1 for pixels that are outliers, else 0; returns their number. */
NSL_VECTORISED static int mark_outliers(const nsl_rectified *view, const consensus *c, unsigned char *restrict rejected)
{
  int marked = 0;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    float nb = view->neighbours[i];
    int out = (view->variance[i] > 0) & (distance(c, i, view->rate[i] - nb) > allowance(c, i, nb));
    rejected[i] = (unsigned char)out;
    marked += out;
  }
  return marked;
}

/* Doubtful pixels beside outliers get 2. */
static void mark_beside(const nsl_rectified *view, const consensus *c, unsigned char *rejected)
{
  const unsigned char *end = rejected + NSL_STAMP_PLANE;
  for (const unsigned char *p = rejected; (p = memchr(p, 1, (size_t)(end - p))); p++) {
    int x = (int)((p - rejected) / ROWS), y = (int)((p - rejected) % ROWS);
    for (int a = x > 0 ? x - 1 : 0; a <= x + 1 && a < NSL_STAMP_NX; a++) {
      for (int b = y > 0 ? y - 1 : 0; b <= y + 1 && b < ROWS; b++) {
        size_t i = (size_t)a * ROWS + (size_t)b;
        if (rejected[i] || !(view->variance[i] > 0)) { continue; }
        float nb = view->neighbours[i];
        if (distance(c, i, view->rate[i] - nb) > BESIDE_REJECTED * allowance(c, i, nb)) { rejected[i] = 2; }
      }
    }
  }
}

/* Rejected pixels have no data any more. */
NSL_VECTORISED static void drop_marked(nsl_rectified *view, const unsigned char *rejected)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { view->variance[i] = rejected[i] ? 0 : view->variance[i]; }
}

static void reject_outliers(nsl_view_room *room, int n, float sigmas)
{
  consensus c = consensus_in(room);
  if (n < 2) { return; }
  find_reference(room, n, sigmas, &c);
  dilate(c.reference, c.brightest);
  for (int v = 0; v < n; v++) {
    if (!mark_outliers(&room->views[v], &c, room->rejected)) { continue; }
    mark_beside(&room->views[v], &c, room->rejected);
    drop_marked(&room->views[v], room->rejected);
  }
}

/* NSL_TILE columns of all views from `at` on, averaged, turned back to rows. weight: of largest 1, so that single precision does.
 */
NSL_VECTORISED static void average_columns(const nsl_rectified *views, int n, const float *weight, float total_s, size_t at,
                                           float *const to[3])
{
  for (size_t y = 0; y < ROWS; y += NSL_TILE) {
    vec flux[NSL_TILE], variance[NSL_TILE], light[NSL_TILE], turned[NSL_TILE];
    for (size_t k = 0; k < NSL_TILE; k++) {
      const vec none = {0};
      vec sum = none, f = none, v = none, nb = none;
      size_t i = at + k * ROWS + y;
      for (int view = 0; view < n; view++) {
        vec var = *(const vec *)(views[view].variance + i), w = (vec)((mask)(none + weight[view]) & (var > 0));
        sum += w;
        f += w * *(const vec *)(views[view].rate + i);
        v += w * w * var;
        nb += w * *(const vec *)(views[view].neighbours + i);
      }
      mask any = sum > 0;
      vec scale = (vec)((mask)(total_s / (vec)(((mask)sum & any) | ((mask)(none + 1) & ~any))) & any);
      flux[k] = f * scale;
      variance[k] = v * (scale * scale);
      light[k] = nb * scale;
    }
    const vec *const plane[3] = {flux, variance, light};
    for (int p = 0; p < 3; p++) {
      nsl_tile_turn(plane[p], turned);
      for (size_t k = 0; k < NSL_TILE; k++) { *(vec *)(to[p] + (y + k) * NSL_STAMP_NX) = turned[k]; }
    }
  }
}

static void average(const nsl_view_room *room, int n, const float *weight, float total_s, float *flux, float *variance,
                    float *contamination)
{
  for (size_t x = 0; x < NSL_STAMP_NX; x += NSL_TILE) {
    float *const to[3] = {flux + x, variance + x, contamination + x};
    average_columns(room->views, n, weight, total_s, x * ROWS, to);
  }
}

/* Moves the views that hold data of the band to the front; returns their number. */
static int keep_useful(nsl_view_room *room, int n)
{
  int kept = 0;
  for (int v = 0; v < n; v++) {
    if (room->views[v].samples - room->views[v].masked <= 0 || !(room->views[v].background_variance > 0)) { continue; }
    if (v != kept) {
      nsl_rectified t = room->views[kept];
      room->views[kept] = room->views[v];
      room->views[v] = t;
    }
    kept++;
  }
  return kept < VIEWS_MAX ? kept : VIEWS_MAX;
}

void nsl_rectified_combine(nsl_view_room *room, int n_views, const nsl_band *band, const nsl_view_settings *settings, float *flux,
                           float *variance, float *contamination, nsl_stamp_band_info *info, uint32_t *flags)
{
  float weight[VIEWS_MAX];
  double total_s = 0, tilt = 0, quietest = INFINITY;
  int x0, x1, samples = 0, masked = 0, saturated = 0, n = keep_useful(room, n_views);
  for (int v = 0; v < n; v++) {
    const nsl_rectified *view = &room->views[v];
    quietest = fmin(quietest, view->background_variance);
    total_s += view->exptime_s;
    tilt += view->tilt * view->exptime_s;
    samples += view->samples;
    masked += view->masked;
    saturated += view->saturated;
  }
  for (int v = 0; v < n; v++) { weight[v] = (float)(quietest / room->views[v].background_variance); }
  reject_outliers(room, n, (float)settings->reject_sigma);
  average(room, n, weight, (float)total_s, flux, variance, contamination);
  nsl_band_columns(band, NSL_STAMP_NX, &x0, &x1);
  *info = (nsl_stamp_band_info){.n_exp = n,
                                .exptime_s = (float)total_s,
                                .tilt = total_s > 0 ? (float)(tilt / total_s) : 0,
                                .coverage = nsl_stamp_coverage(variance, x0, x1),
                                .snr = nsl_stamp_snr(flux, variance, contamination, x0, x1),
                                .contamination = nsl_stamp_contamination(flux, variance, contamination, x0, x1)};
  if (n == 1) { *flags |= NSL_FLAG_FEW_EXPOSURES; }
  if (saturated > 0) { *flags |= NSL_FLAG_SATURATED; }
  if (masked > MANY_BAD_ABOVE * samples) { *flags |= NSL_FLAG_MANY_BAD; }
  if (info->contamination > CONTAMINATED_ABOVE) { *flags |= NSL_FLAG_CONTAMINATED; }
}

nsl_status nsl_views_combine(const nsl_view *views, int n_views, const nsl_band *band, const nsl_dq_bits *dq_bits,
                             const nsl_view_settings *settings, float *flux, float *variance, float *contamination,
                             nsl_stamp_band_info *info, uint32_t *flags, nsl_error *err)
{
  nsl_view_room room = {0};
  nsl_status st = nsl_view_room_reserve(&room, n_views > 0 ? n_views : 1, err);
  for (int v = 0; v < n_views && st == NSL_OK; v++) { st = nsl_view_rectify(&views[v], band, dq_bits, settings, &room, v, err); }
  if (st == NSL_OK) { nsl_rectified_combine(&room, n_views, band, settings, flux, variance, contamination, info, flags); }
  nsl_view_room_free(&room);
  return st;
}
