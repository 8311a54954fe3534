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

/* Integrals of F and of F (x - from), from `from` to knot k; walks with the wavelengths. */
typedef struct {
  const double *x, *y;
  size_t n, k;
  double from, flux, moment;
} integral;

static void add_segment(integral *g, double sign)
{
  size_t k = g->k;
  double w = g->x[k + 1] - g->x[k], f = 0.5 * w * (g->y[k] + g->y[k + 1]);
  g->flux += sign * f;
  g->moment += sign * ((g->x[k] - g->from) * f + w * w * (g->y[k] + 2 * g->y[k + 1]) * (1.0 / 6));
}

/* The two integrals up to a wavelength; F is zero outside its table. */
static void integrate_to(integral *g, double at, double *flux, double *moment)
{
  const double *x = g->x, *y = g->y;
  at = at < x[0] ? x[0] : at > x[g->n - 1] ? x[g->n - 1] : at;
  for (; g->k + 2 < g->n && at > x[g->k + 1]; g->k++) { add_segment(g, 1); }
  while (g->k > 0 && at < x[g->k]) {
    g->k--;
    add_segment(g, -1);
  }
  size_t k = g->k;
  double u = at - x[k], slope = (y[k + 1] - y[k]) / (x[k + 1] - x[k]), f = u * (y[k] + 0.5 * u * slope);
  *flux = g->flux + f;
  *moment = g->moment + (x[k] - g->from) * f + u * u * (0.5 * y[k] + u * slope * (1.0 / 3));
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
  double start = nsl_trace_lambda(trace, dx_lo);
  walker response = {.x = sens->lambda_a, .y = sens->value, .n = sens->n};
  stand_at(&response, locate(sens->lambda_a, sens->n, start));
  integral sum = {.x = sed->lambda_a, .y = sed->flam, .n = sed->n, .k = locate(sed->lambda_a, sed->n, start)};
  sum.from = sum.x[sum.k];
  for (double k0 = dx_lo; k0 < dx_hi; k0 += KNOT_PX) {
    double l0 = nsl_trace_lambda(trace, k0), l1 = nsl_trace_lambda(trace, k0 + KNOT_PX);
    double d0 = nsl_trace_dlambda(trace, k0), d1 = nsl_trace_dlambda(trace, k0 + KNOT_PX), before = l0, f0, m0;
    integrate_to(&sum, l0, &f0, &m0);
    for (int j = 0; j < KNOT_PX * STEPS_PER_PX; j++) {
      double a = k0 + j * step, b = a + step;
      if (a >= dx_hi) { break; }
      if (b > dx_hi) { b = dx_hi; }
      double after = hermite((b - k0) / KNOT_PX, KNOT_PX, l0, d0, l1, d1);
      double lo = before < after ? before : after, width = fabs(after - before), f1, m1;
      int backwards = after < before;
      integrate_to(&sum, after, &f1, &m1);
      double f = backwards ? f0 - f1 : f1 - f0, moment = (backwards ? m0 - m1 : m1 - m0) - (lo - sum.from) * f;
      before = after;
      f0 = f1;
      m0 = m1;
      double s = walk(&response, lo + 0.5 * width);
      if (!(s > 0) || f == 0) { continue; }
      double t = moment / (f * width); /* the centroid, from lo on */
      t = t < 0 ? 0 : t > 1 ? 1 : t;
      double w[4], e = scale_seconds * s * f;
      long i = nsl_spline_weights(shift + (backwards ? b - t * (b - a) : a + t * (b - a)), w);
      if (i < 0 || i + 3 >= n) { continue; }
      for (int c = 0; c < 4; c++) { line[i + c] += e * w[c]; }
    }
  }
}
