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

/* A linear function walked upwards or downwards. */
static double walk(const double *x, const double *y, size_t n, size_t *k, double at)
{
  if (at < x[0] || at > x[n - 1]) { return 0; }
  while (*k + 2 < n && at > x[*k + 1]) { ++*k; }
  while (*k > 0 && at < x[*k]) { --*k; }
  double t = (at - x[*k]) / (x[*k + 1] - x[*k]);
  return y[*k] + t * (y[*k + 1] - y[*k]);
}

/* Integral of F over [a, b] and its first moment about a; k is a hint that moves along. */
static double integrate(const nsl_sed *sed, size_t *k, double a, double b, double *moment)
{
  const double *x = sed->lambda_a, *y = sed->flam;
  double lo = a > x[0] ? a : x[0], hi = b < x[sed->n - 1] ? b : x[sed->n - 1], sum = 0, first = 0;
  if (!(hi > lo)) { return *moment = 0; }
  while (*k + 2 < sed->n && lo >= x[*k + 1]) { ++*k; }
  while (*k > 0 && lo < x[*k]) { --*k; }
  for (size_t i = *k; lo < hi; i++) {
    double end = i + 2 < sed->n && x[i + 1] < hi ? x[i + 1] : hi;
    double slope = (y[i + 1] - y[i]) / (x[i + 1] - x[i]);
    double fa = y[i] + slope * (lo - x[i]), fb = y[i] + slope * (end - x[i]), w = end - lo;
    sum += 0.5 * w * (fa + fb);
    first += w * (0.5 * (lo - a) * (fa + fb) + w * (fa + 2 * fb) / 6);
    lo = end;
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
  size_t ks = 0, kf = locate(sed->lambda_a, sed->n, nsl_trace_lambda(trace, dx_lo));
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
      double s = walk(sens->lambda_a, sens->value, sens->n, &ks, 0.5 * (lo + hi));
      if (!(s > 0)) { continue; }
      double f = integrate(sed, &kf, lo, hi, &moment);
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
