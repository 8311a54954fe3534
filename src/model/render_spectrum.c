/* From F_lambda to electrons along the trace: the integral of F_lambda x SENSITIVITY over half pixels, each put at its
 * centroid, so that lines narrower than a pixel keep flux and position. */
#include <math.h>

#include "render_internal.h"

#define STEPS_PER_PX 2
#define KNOT_PX 16 /* the wavelength solution is interpolated (cubic Hermite) between exact knots */

/* Index of the last point not above x, in [0, n - 2]. */
static size_t locate(const double *a, size_t n, double x)
{
  size_t lo = 0, hi = n - 1;
  while (hi - lo > 1) {
    size_t mid = (lo + hi) / 2;
    if (a[mid] <= x) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
  return lo;
}

/* A linear function walked upwards or downwards: the segment it is in, its slope. */
typedef struct {
  const double *x, *y;
  size_t n, k;
  double slope;
} walker;

static void stand_at(walker *w, size_t k)
{
  w->k = k;
  w->slope = (w->y[k + 1] - w->y[k]) / (w->x[k + 1] - w->x[k]);
}

static double walk(walker *w, double at)
{
  if (at < w->x[0] || at > w->x[w->n - 1]) { return 0; }
  size_t k = w->k;
  while (k + 2 < w->n && at > w->x[k + 1]) { k++; }
  while (k > 0 && at < w->x[k]) { k--; }
  if (k != w->k) { stand_at(w, k); }
  return w->y[k] + w->slope * (at - w->x[k]);
}

/* Integral of F over [a, b] and its first moment about a; f is where the last integral ended and moves along. */
static double integrate(walker *f, double a, double b, double *moment)
{
  const double *x = f->x, *y = f->y;
  double lo = a > x[0] ? a : x[0], hi = b < x[f->n - 1] ? b : x[f->n - 1], sum = 0, first = 0;
  *moment = 0;
  if (!(hi > lo)) { return 0; }
  double at_lo = walk(f, lo), at_hi = walk(f, hi);
  size_t end = f->k, i = end; /* hi is in segment `end` */
  while (i > 0 && x[i] > lo) { i--; }
  for (; lo < hi; i++) {
    double to = i < end ? x[i + 1] : hi, at_to = i < end ? y[i + 1] : at_hi, w = to - lo;
    sum += 0.5 * w * (at_lo + at_to);
    first += w * (0.5 * (lo - a) * (at_lo + at_to) + w * (at_lo + 2 * at_to) * (1.0 / 6));
    lo = to;
    at_lo = at_to;
  }
  *moment = first;
  return sum;
}

static double hermite(double t, double step, double y0, double d0, double y1, double d1)
{
  double u = 1 - t;
  return y0 * u * u * (1 + 2 * t) + y1 * t * t * (1 + 2 * u) + step * t * u * (d0 * u - d1 * t);
}

void nsl_spectrum_deposit(const nsl_trace *trace, const nsl_sensitivity *sens, const nsl_sed *sed, double scale_seconds,
                          double dx_lo, double dx_hi, double x_first, int n, double *line)
{
  if (sed->n < 2 || sens->n < 2 || !(dx_hi > dx_lo)) { return; }
  double step = 1.0 / STEPS_PER_PX, shift = trace->x0 - x_first;
  walker response = {sens->lambda_a, sens->value, sens->n, 0, 0}, flux = {sed->lambda_a, sed->flam, sed->n, 0, 0};
  stand_at(&response, locate(sens->lambda_a, sens->n, nsl_trace_lambda(trace, dx_lo)));
  stand_at(&flux, locate(sed->lambda_a, sed->n, nsl_trace_lambda(trace, dx_lo)));
  for (double k0 = dx_lo; k0 < dx_hi; k0 += KNOT_PX) {
    double l0 = nsl_trace_lambda(trace, k0), l1 = nsl_trace_lambda(trace, k0 + KNOT_PX);
    double d0 = nsl_trace_dlambda(trace, k0), d1 = nsl_trace_dlambda(trace, k0 + KNOT_PX), before = l0;
    for (int j = 0; j < KNOT_PX * STEPS_PER_PX; j++) {
      double a = k0 + j * step, b = a + step;
      if (a >= dx_hi) { break; }
      if (b > dx_hi) { b = dx_hi; }
      double after = hermite((b - k0) / KNOT_PX, KNOT_PX, l0, d0, l1, d1);
      double lo = before < after ? before : after, hi = before < after ? after : before, moment;
      int backwards = after < before;
      before = after;
      double s = walk(&response, 0.5 * (lo + hi));
      if (!(s > 0)) { continue; }
      double f = integrate(&flux, lo, hi, &moment);
      if (f == 0) { continue; }
      double t = moment / (f * (hi - lo));
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      double w[4], e = scale_seconds * s * f;
      long i = nsl_spline_weights(shift + (backwards ? b - t * (b - a) : a + t * (b - a)), w);
      if (i < 0 || i + 3 >= n) { continue; }
      for (int c = 0; c < 4; c++) { line[i + c] += e * w[c]; }
    }
  }
}
