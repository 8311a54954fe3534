/* Rectified views of one band become one: outliers out, the rest averaged.
 *
 * Weights are one number a view, its exposure time squared over the variance of its background: inverse variance, but blind to the
 * signal, so that the average stays unbiased. */
#include <math.h>
#include <string.h>

#include "noslit/model/flags.h"
#include "views_internal.h"

/* Resampled at different phases the same line differs: views may disagree by this much of the brightest pixel nearby. */
#define RESAMPLING_DIFFERENCE 0.35f
/* Pixels beside a rejected one are doubted more: this share of the threshold. */
#define BESIDE_REJECTED 0.5f
/* Between two views nothing tells which is right: only an excess, and only above this multiple of the threshold. */
#define CAUTION_OF_TWO 2.0f
#define CONTAMINATED_ABOVE 0.2f
#define MANY_BAD_ABOVE 0.2

enum { VIEWS_MAX = 255 }; /* of one source in one band; more are left out */

/* Light of the view's pixel without what neighbours are expected to give. */
static float own_light(const nsl_rectified *v, size_t i) { return v->rate[i] - v->neighbours[i]; }

/* The reference: the lower median over the views with data, robust against excesses in up to half of them; and the lower median
 * of their variances, which no cosmic ray has inflated. Number of views with data. */
static int reference_of(const nsl_rectified *views, int n, size_t i, float *reference, float *variance)
{
  float light[VIEWS_MAX], var[VIEWS_MAX];
  int m = 0;
  for (int v = 0; v < n; v++) {
    if (!(views[v].variance[i] > 0)) { continue; }
    float a = own_light(&views[v], i), b = views[v].variance[i] * views[v].scatter[i % NSL_STAMP_NX];
    int j = m, k = m;
    for (; j > 0 && light[j - 1] > a; j--) { light[j] = light[j - 1]; }
    for (; k > 0 && var[k - 1] > b; k--) { var[k] = var[k - 1]; }
    light[j] = a;
    var[k] = b;
    m++;
  }
  *reference = m ? light[(m - 1) / 2] : 0;
  *variance = m ? var[(m - 1) / 2] : 0;
  return m;
}

/* Brightest of the 3 x 3 neighbourhood, at least 0: along each row, then over three rows that are kept in a ring. */
static void dilate(const float *in, float *out)
{
  static const int last = NSL_STAMP_NX - 1;
  float rows[3][NSL_STAMP_NX];
  for (int y = -1; y < NSL_STAMP_NY; y++) {
    float *next = rows[(y + 3) % 3];
    if (y + 1 < NSL_STAMP_NY) {
      const float *from = in + (size_t)(y + 1) * NSL_STAMP_NX;
      for (int x = 0; x <= last; x++) {
        float a = from[x > 0 ? x - 1 : 0], b = from[x], c = from[x < last ? x + 1 : last], top = a > b ? a : b;
        top = c > top ? c : top;
        next[x] = top > 0 ? top : 0;
      }
    } else {
      memset(next, 0, sizeof rows[0]);
    }
    if (y < 0) {
      memset(rows[1], 0, sizeof rows[1]); /* row -1 */
      continue;
    }
    for (int x = 0; x <= last; x++) {
      float a = rows[0][x] > rows[1][x] ? rows[0][x] : rows[1][x];
      out[(size_t)y * NSL_STAMP_NX + (size_t)x] = rows[2][x] > a ? rows[2][x] : a;
    }
  }
}

/* By how much a view may differ from the reference, apart from what its own neighbours' light allows. */
static float tolerance_of(int n_data, float variance, float brightest, float sigmas)
{
  if (n_data < 2) { return INFINITY; }
  if (n_data == 2) { sigmas *= CAUTION_OF_TWO; }
  return sigmas * sqrtf(variance * (1 + 1.57f / (float)n_data)) + RESAMPLING_DIFFERENCE * brightest; /* 1.57 / n: of a median */
}

static int beside_rejected(const unsigned char *rejected, int x, int y)
{
  for (int b = y > 0 ? y - 1 : 0; b <= y + 1 && b < NSL_STAMP_NY; b++) {
    for (int a = x > 0 ? x - 1 : 0; a <= x + 1 && a < NSL_STAMP_NX; a++) {
      if (rejected[b * NSL_STAMP_NX + a] == 1) { return 1; }
    }
  }
  return 0;
}

/* Marks the outliers of a view with 1; then, with a share of the tolerance, pixels beside them with 2. */
static void mark_outliers(const nsl_rectified *view, const unsigned char *n_data, const float *reference, const float *tolerance,
                          unsigned char *rejected)
{
  int any = 0;
  for (int grow = 0; grow <= any; grow++) {
    for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
      if (!(view->variance[i] > 0) || rejected[i]) { continue; }
      float d = own_light(view, i) - reference[i], limit = tolerance[i] + RESAMPLING_DIFFERENCE * fmaxf(view->neighbours[i], 0);
      if (n_data[i] == 2 && d < 0) { continue; }
      if (!(fabsf(d) > (grow ? BESIDE_REJECTED * limit : limit))) { continue; }
      if (grow && !beside_rejected(rejected, (int)(i % NSL_STAMP_NX), (int)(i / NSL_STAMP_NX))) { continue; }
      rejected[i] = grow ? 2 : 1;
      if (!grow) { any = 1; }
    }
  }
}

static void reject_outliers(nsl_view_room *room, int n, float sigmas)
{
  float *reference = room->combine, *tolerance = reference + NSL_STAMP_PLANE, *brightest = tolerance + NSL_STAMP_PLANE;
  unsigned char *n_data = room->rejected + (size_t)n * NSL_STAMP_PLANE;
  memset(room->rejected, 0, (size_t)n * NSL_STAMP_PLANE);
  if (n < 2) { return; }
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    n_data[i] = (unsigned char)reference_of(room->views, n, i, &reference[i], &tolerance[i]);
  }
  dilate(reference, brightest);
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { tolerance[i] = tolerance_of(n_data[i], tolerance[i], brightest[i], sigmas); }
  for (int v = 0; v < n; v++) {
    mark_outliers(&room->views[v], n_data, reference, tolerance, room->rejected + (size_t)v * NSL_STAMP_PLANE);
  }
}

static void average(const nsl_view_room *room, int n, const double *weight, double total_s, float *flux, float *variance,
                    float *contamination)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    double sum = 0, f = 0, v = 0, c = 0;
    for (int k = 0; k < n; k++) {
      const nsl_rectified *view = &room->views[k];
      if (!(view->variance[i] > 0) || room->rejected[(size_t)k * NSL_STAMP_PLANE + i]) { continue; }
      sum += weight[k];
      f += weight[k] * view->rate[i];
      v += weight[k] * weight[k] * view->variance[i];
      c += weight[k] * view->neighbours[i];
    }
    double scale = sum > 0 ? total_s / sum : 0;
    flux[i] = (float)(scale * f);
    variance[i] = (float)(scale * scale * v);
    contamination[i] = (float)(scale * c);
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
  double weight[VIEWS_MAX], total_s = 0;
  int x0, x1, samples = 0, masked = 0, saturated = 0, n = keep_useful(room, n_views);
  for (int v = 0; v < n; v++) {
    const nsl_rectified *view = &room->views[v];
    weight[v] = 1 / view->background_variance;
    total_s += view->exptime_s;
    samples += view->samples;
    masked += view->masked;
    saturated += view->saturated;
  }
  reject_outliers(room, n, (float)settings->reject_sigma);
  average(room, n, weight, total_s, flux, variance, contamination);
  nsl_band_columns(band, NSL_STAMP_NX, &x0, &x1);
  *info = (nsl_stamp_band_info){.n_exp = n,
                                .exptime_s = (float)total_s,
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
