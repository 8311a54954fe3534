/* A beam at one position: trace, path length, wavelengths and their inversion. */
#include "noslit/model/trace.h"

#include <math.h>
#include <string.h>

static double field_value(const nsl_field_poly *p, double x, double y)
{
  const double *a = p->a;
  return a[0] + a[1] * x + a[2] * y + a[3] * x * x + a[4] * x * y + a[5] * y * y;
}

void nsl_trace_at(const nsl_beam *beam, double x_px, double y_px, nsl_trace *out)
{
  *out = (nsl_trace){.n_dydx = beam->n_dydx, .n_dldp = beam->n_dldp};
  double xoff = field_value(&beam->xoff, x_px, y_px);
  out->x0 = x_px + xoff;
  out->y0 = y_px + field_value(&beam->yoff, x_px, y_px);
  out->dx_min = beam->dx_min - xoff;
  out->dx_max = beam->dx_max - xoff;
  for (int i = 0; i < beam->n_dydx; i++) { out->dydx[i] = field_value(&beam->dydx[i], x_px, y_px); }
  for (int i = 0; i < beam->n_dldp; i++) { out->dldp[i] = field_value(&beam->dldp[i], x_px, y_px); }
}

static double poly(const double *c, int n, double t)
{
  double v = 0;
  for (int i = n - 1; i >= 0; i--) { v = v * t + c[i]; }
  return v;
}

static double poly_derivative(const double *c, int n, double t)
{
  double v = 0;
  for (int i = n - 1; i >= 1; i--) { v = v * t + i * c[i]; }
  return v;
}

double nsl_trace_dy(const nsl_trace *t, double dx) { return poly(t->dydx, t->n_dydx, dx); }

double nsl_trace_slope(const nsl_trace *t, double dx) { return poly_derivative(t->dydx, t->n_dydx, dx); }

double nsl_trace_path(const nsl_trace *t, double dx)
{
  if (t->n_dydx <= 1) { return dx; }
  if (t->n_dydx == 2) { return dx * sqrt(1 + t->dydx[1] * t->dydx[1]); }
  /* Gauss-Legendre, 8 points: exact to rounding for the gentle curvature of a trace */
  static const double node[4] = {0.1834346424956498, 0.5255324099163290, 0.7966664774136267, 0.9602898564975363};
  static const double weight[4] = {0.3626837833783620, 0.3137066458778873, 0.2223810344533745, 0.1012285362903763};
  double sum = 0, half = 0.5 * dx;
  for (int i = 0; i < 4; i++) {
    double a = nsl_trace_slope(t, half * (1 - node[i])), b = nsl_trace_slope(t, half * (1 + node[i]));
    sum += weight[i] * (sqrt(1 + a * a) + sqrt(1 + b * b));
  }
  return half * sum;
}

double nsl_trace_lambda(const nsl_trace *t, double dx) { return poly(t->dldp, t->n_dldp, nsl_trace_path(t, dx)); }

double nsl_trace_dlambda(const nsl_trace *t, double dx)
{
  double slope = nsl_trace_slope(t, dx);
  return poly_derivative(t->dldp, t->n_dldp, nsl_trace_path(t, dx)) * sqrt(1 + slope * slope);
}

int nsl_trace_dx_of_lambda(const nsl_trace *t, double lambda_a, double *dx)
{
  double lo = t->dx_min - 1, hi = t->dx_max + 1;
  double f_lo = nsl_trace_lambda(t, lo) - lambda_a, f_hi = nsl_trace_lambda(t, hi) - lambda_a;
  double sign = f_hi > f_lo ? 1 : -1;
  if (!(sign * f_lo <= 0 && sign * f_hi >= 0)) { return 0; } /* outside, or not a number */
  if (!(sign * nsl_trace_dlambda(t, lo) > 0 && sign * nsl_trace_dlambda(t, hi) > 0)) { return 0; }
  /* Newton, kept inside a shrinking bracket */
  double x = f_hi != f_lo ? lo - f_lo * (hi - lo) / (f_hi - f_lo) : lo;
  for (int i = 0; i < 60; i++) {
    double f = nsl_trace_lambda(t, x) - lambda_a, slope = nsl_trace_dlambda(t, x);
    if (sign * f > 0) {
      hi = x;
    } else {
      lo = x;
    }
    double next = x - f / slope;
    if (!(next >= lo && next <= hi)) { next = 0.5 * (lo + hi); }
    double step = fabs(next - x);
    x = next;
    if (step < 1e-9) { break; }
  }
  if (!(sign * nsl_trace_dlambda(t, x) > 0)) { return 0; }
  *dx = x;
  return 1;
}

double nsl_sensitivity_at(const nsl_sensitivity *s, double lambda_a)
{
  if (s->n < 2 || !(lambda_a >= s->lambda_a[0] && lambda_a <= s->lambda_a[s->n - 1])) { return 0; }
  size_t lo = 0, hi = s->n - 1;
  while (hi - lo > 1) {
    size_t mid = lo + (hi - lo) / 2;
    if (s->lambda_a[mid] > lambda_a) {
      hi = mid;
    } else {
      lo = mid;
    }
  }
  double f = (lambda_a - s->lambda_a[lo]) / (s->lambda_a[hi] - s->lambda_a[lo]);
  return s->value[lo] + f * (s->value[hi] - s->value[lo]);
}
