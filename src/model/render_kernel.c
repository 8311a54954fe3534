/* The profile on the pixel grid, in the frame that follows the trace.
 *
 * With v = y - trace(x), light of wavelength position X lands at (x - X, v) = (dx, dy - slope dx): a shear, under which Gaussians
 * stay Gaussians. Integration over a pixel is, for Gaussians wider than half a pixel, the addition of the pixel's own second
 * moment 1/12 (the next term is below 1e-4 of the peak for CSST's PSF). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "render_internal.h"

#define LOST_LIGHT 2e-4 /* of the whole, per component and direction, beyond its reach */
#define REACH_MAX_PX 80.0
#define MARGIN 4      /* for the ringing of the prefilter where the profile ends */
#define CUT_MARGIN 10 /* and where the window cuts it, perhaps through its peak */

typedef struct {
  double flux, mx, mv, xx, xv, vv; /* in the sheared frame, pixel moments included */
  double rx, rv;                   /* reach */
} sheared;

static double reach_of(double variance, double flux)
{
  double share = flux / LOST_LIGHT;
  double sigmas = share > 1 ? sqrt(2 * log(share)) : 0;
  double r = (sigmas < 1 ? 1 : sigmas > 4.2 ? 4.2 : sigmas) * sqrt(variance);
  return r < REACH_MAX_PX ? r : REACH_MAX_PX;
}

static sheared shear(const nsl_mix *mix, int i, double s)
{
  double px = 1.0 / 12, xx = mix->g[i].xx + px, xy = mix->g[i].xy, yy = mix->g[i].yy + px;
  sheared c = {.flux = mix->g[i].flux, .mx = mix->g[i].dx, .mv = mix->g[i].dy - s * mix->g[i].dx};
  c.xx = xx;
  c.xv = xy - s * xx;
  c.vv = yy - 2 * s * xy + s * s * xx;
  c.rx = reach_of(c.xx, c.flux);
  c.rv = reach_of(c.vv, c.flux);
  return c;
}

nsl_reach nsl_kernel_reach(const nsl_mix *mix, double slope)
{
  double t0 = 0, t1 = 0, m0 = 0, m1 = 0;
  for (int i = 0; i < mix->n; i++) {
    sheared c = shear(mix, i, slope);
    t0 = fmin(t0, c.mx - c.rx);
    t1 = fmax(t1, c.mx + c.rx);
    m0 = fmin(m0, c.mv - c.rv);
    m1 = fmax(m1, c.mv + c.rv);
  }
  return (nsl_reach){(int)floor(t0) - MARGIN, (int)ceil(t1) + MARGIN, (int)floor(m0) - MARGIN, (int)ceil(m1) + MARGIN};
}

/* e *= r, r *= q walks a Gaussian along t without an exponential; all rows at once. */
__attribute__((target_clones("avx2", "default"))) static void add_column(double *restrict k, double *restrict e, double *restrict r,
                                                                         double q, int rows)
{
  for (int m = 0; m < rows; m++) {
    k[m] += e[m];
    e[m] *= r[m];
    r[m] *= q;
  }
}

static void add_component(const nsl_kernel *kn, double *k, double *e, double *r, const sheared *c, int m_min, int rows)
{
  double det = c->xx * c->vv - c->xv * c->xv, a = c->vv / det, b = -c->xv / det, d = c->xx / det;
  double norm = c->flux / (2 * M_PI * sqrt(det));
  int t0 = (int)floor(c->mx - c->rx), t1 = (int)ceil(c->mx + c->rx);
  int r0 = (int)floor(c->mv - c->rv), r1 = (int)ceil(c->mv + c->rv);
  if (r0 < m_min) { r0 = m_min; }
  if (r1 >= m_min + rows) { r1 = m_min + rows - 1; }
  if (r1 < r0) { return; }
  int n = r1 - r0 + 1;
  double u = t0 - c->mx;
  for (int i = 0; i < n; i++) {
    double v = r0 + i - c->mv;
    e[i] = norm * exp(-0.5 * (a * u * u + 2 * b * u * v + d * v * v));
    r[i] = exp(-(a * (u + 0.5) + b * v));
  }
  double q = exp(-a);
  for (int t = t0; t <= t1; t++) { add_column(k + (size_t)(t - kn->t_min) * (size_t)kn->rows_padded + (r0 - m_min), e, r, q, n); }
}

/* Cubic B-spline coefficients of samples that are zero outside (Unser 1999): n samples of `width` adjacent series, one series step
 * apart by `step`. */
__attribute__((target_clones("avx2", "default"))) static void prefilter(double *k, int n, size_t step, int width)
{
  const double z = -0.26794919243112270; /* sqrt(3) - 2 */
  for (int i = 1; i < n; i++) {
    double *restrict now = k + (size_t)i * step;
    const double *restrict last = k + (size_t)(i - 1) * step;
    for (int w = 0; w < width; w++) { now[w] += z * last[w]; }
  }
  double *end = k + (size_t)(n - 1) * step;
  for (int w = 0; w < width; w++) { end[w] *= -z / (1 - z * z) * 6; }
  for (int i = n - 2; i >= 0; i--) {
    double *restrict now = k + (size_t)i * step;
    const double *restrict next = k + (size_t)(i + 1) * step;
    for (int w = 0; w < width; w++) { now[w] = z * (next[w] - 6 * now[w]); }
  }
}

static int pad(int n) { return (n + NSL_LANES - 1) / NSL_LANES * NSL_LANES; }

nsl_status nsl_kernel_make(nsl_kernel *kn, const nsl_mix *mix, double slope, int m_min, int m_max, nsl_error *err)
{
  nsl_reach reach = nsl_kernel_reach(mix, slope);
  kn->t_min = reach.t_min;
  kn->t_max = reach.t_max;
  kn->m_min = m_min > reach.m_min ? m_min : reach.m_min;
  kn->m_max = m_max < reach.m_max ? m_max : reach.m_max;
  if (kn->m_max < kn->m_min) { kn->m_max = kn->m_min; }
  /* The prefilter needs rows beyond the ones asked for. */
  int lo = kn->m_min - CUT_MARGIN, rows = kn->m_max - kn->m_min + 1 + 2 * CUT_MARGIN, taps = kn->t_max - kn->t_min + 1;
  kn->rows_padded = pad(kn->m_max - kn->m_min + 1);
  int work_rows = pad(rows);
  size_t need = (size_t)taps * (size_t)work_rows + 2 * (size_t)work_rows, out = (size_t)taps * (size_t)kn->rows_padded;
  if (need > kn->work_capacity) {
    double *p = realloc(kn->work, need * sizeof *p);
    if (!p) { return nsl_fail(err, NSL_E_NOMEM, "kernel of %d x %d", taps, rows); }
    kn->work = p;
    kn->work_capacity = need;
  }
  if (out > kn->capacity) {
    float *p = realloc(kn->k, out * sizeof *p);
    if (!p) { return nsl_fail(err, NSL_E_NOMEM, "kernel of %d x %d", taps, rows); }
    kn->k = p;
    kn->capacity = out;
  }
  double *work = kn->work, *e = work + (size_t)taps * (size_t)work_rows, *r = e + work_rows;
  memset(work, 0, (size_t)taps * (size_t)work_rows * sizeof *work);
  nsl_kernel wide = *kn;
  wide.rows_padded = work_rows;
  for (int i = 0; i < mix->n; i++) {
    sheared c = shear(mix, i, slope);
    add_component(&wide, work, e, r, &c, lo, rows);
  }
  prefilter(work, taps, (size_t)work_rows, rows);
  for (int t = 0; t < taps; t++) {
    double *col = work + (size_t)t * (size_t)work_rows;
    prefilter(col, rows, 1, 1);
    float *to = kn->k + (size_t)t * (size_t)kn->rows_padded;
    for (int m = 0; m < kn->rows_padded; m++) { to[m] = m <= kn->m_max - kn->m_min ? (float)col[m + CUT_MARGIN] : 0.0f; }
  }
  return NSL_OK;
}

void nsl_kernel_free(nsl_kernel *kn)
{
  free(kn->k);
  free(kn->work);
  memset(kn, 0, sizeof *kn);
}
