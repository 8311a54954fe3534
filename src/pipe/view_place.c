/* Where the columns of a stamp lie in the window of a view. */
#include <math.h>

#include "lanes.h"
#include "views_internal.h"

/* dx of every column, NaN where the beam has none: exact at knots, a cubic Hermite polynomial between (right to 1e-6 px). */
static void find_columns(const nsl_trace *t, const nsl_band *band, double dx[NSL_STAMP_NX])
{
  enum { KNOT = 16 };
  double per_knot = band->dlambda_a * KNOT, a, b, ma, mb;
  int has_a = nsl_trace_dx_of_lambda(t, band->lambda0_a, &a), has_b;
  ma = has_a ? per_knot / nsl_trace_dlambda(t, a) : 0;
  for (int x = 0; x < NSL_STAMP_NX; x += KNOT, a = b, ma = mb, has_a = has_b) {
    double la = band->lambda0_a + x * band->dlambda_a;
    b = NAN;
    has_b = nsl_trace_dx_of_lambda(t, la + per_knot, &b);
    mb = has_b ? per_knot / nsl_trace_dlambda(t, b) : 0;
    for (int k = 0; k < KNOT && x + k < NSL_STAMP_NX; k++) {
      double u = (double)k / KNOT, v = 1 - u;
      if (has_a && has_b) {
        dx[x + k] = a * v * v * (1 + 2 * u) + b * u * u * (1 + 2 * v) + u * v * (ma * v - mb * u);
      } else if (!nsl_trace_dx_of_lambda(t, la + k * band->dlambda_a, &dx[x + k])) {
        dx[x + k] = NAN;
      }
    }
  }
}

/* Position in the window of each column's centre row (0-based) and ratio of pixel widths; direction 0 and ratio 0 off the beam. */
typedef struct {
  double x[NSL_STAMP_NX], y[NSL_STAMP_NX], ratio[NSL_STAMP_NX];
} centres;

static void find_centres(const nsl_view *view, const nsl_band *band, const double dx[NSL_STAMP_NX], centres *c, int *direction)
{
  const nsl_trace *t = &view->trace;
  for (int i = 0; i < NSL_STAMP_NX; i++) {
    int on_beam = dx[i] >= t->dx_min && dx[i] <= t->dx_max;
    double dispersion = on_beam ? nsl_trace_dlambda(t, dx[i]) : 0;
    c->x[i] = on_beam ? t->x0 + dx[i] - view->x0 : 0;
    c->y[i] = on_beam ? t->y0 + nsl_trace_dy(t, dx[i]) - view->y0 : 0;
    c->ratio[i] = on_beam ? band->dlambda_a / fabs(dispersion) : 0;
    direction[i] = on_beam ? (dispersion > 0 ? 1 : -1) : 0;
  }
}

/* A place on a detector or near it, so that it can be an int. */
static inline double near_detector(double v) { return v < -1e6 ? -1e6 : v > 1e6 ? 1e6 : v; }

NSL_VECTORISED static void weigh(const centres *c, double seconds, nsl_stamp_places *to)
{
  float *restrict w0 = to->w[0], *restrict w1 = to->w[1], *restrict w2 = to->w[2], *restrict w3 = to->w[3];
  for (int i = 0; i < NSL_STAMP_NX; i++) {
    double x = c->x[i], y = c->y[i] - to->direction[i] * NSL_STAMP_YC, fx = floor(near_detector(x)), fy = floor(near_detector(y));
    float u = (float)(x - fx), v = (float)(y - fy);
    to->ix[i] = (int)fx;
    to->iy[i] = (int)fy;
    w0[i] = (1 - u) * (1 - v);
    w1[i] = u * (1 - v);
    w2[i] = (1 - u) * v;
    w3[i] = u * v;
    to->gain[i] = (float)(c->ratio[i] / seconds);
    to->gain_variance[i] = (float)(c->ratio[i] / (seconds * seconds));
    to->scatter[i] = (float)c->ratio[i] * (w0[i] * w0[i] + w1[i] * w1[i] + w2[i] * w2[i] + w3[i] * w3[i]);
  }
}

void nsl_view_place(const nsl_view *view, const nsl_band *band, nsl_stamp_places *to)
{
  double dx[NSL_STAMP_NX];
  centres c;
  find_columns(&view->trace, band, dx);
  find_centres(view, band, dx, &c, to->direction);
  weigh(&c, view->exptime_s, to);
}
