/* The profile on the pixel grid, in the frame that follows the trace.
 *
 * With v = y - trace(x), light of wavelength position X lands at (x - X, v) = (dx, dy - slope dx): a shear, under which Gaussians
 * stay Gaussians. Integration over a pixel is, for Gaussians wider than half a pixel, the addition of the pixel's own second
 * moment 1/12 (the next term is below 1e-4 of the peak for CSST's PSF). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/hash.h"
#include "noslit/base/vectorised.h"
#include "render_internal.h"

#define SIGMA_MIN_STEPS 1.5 /* narrower Gaussians are not sampled on a coarse grid: as the PSF on the finest */

typedef struct {
  double flux, mx, mv, xx, xv, vv; /* in the sheared frame, pixel moments included */
  double rx, rv;                   /* reach */
} sheared;

/* In grid steps. */
static double reach_of(double variance, double flux, double cut, int step)
{
  double share = flux / cut;
  double sigmas = share > 1 ? sqrt(2 * log(share)) : 0;
  double r = (sigmas < 0.5 ? 0.5 : sigmas > 4.2 ? 4.2 : sigmas) * sqrt(variance);
  return r < NSL_REACH_MAX_PX / step ? r : NSL_REACH_MAX_PX / step;
}

/* Component i in the sheared frame, in grid steps. */
static sheared shear(const nsl_mix *mix, int i, double s, double cut, int step)
{
  double px = 1.0 / 12, xx = mix->g[i].xx + px, xy = mix->g[i].xy, yy = mix->g[i].yy + px;
  sheared c = {.flux = mix->g[i].flux, .mx = mix->g[i].dx, .mv = mix->g[i].dy - s * mix->g[i].dx};
  c.xx = xx;
  c.xv = xy - s * xx;
  c.vv = yy - 2 * s * xy + s * s * xx;
  /* On a coarse grid the spline that the line was deposited with is not undone by the prefilter; its variance is 1/3 px^2. */
  if (step > 1) { c.xx -= 1.0 / 3; }
  c.mx /= step;
  c.mv /= step;
  c.xx /= step * step;
  c.xv /= step * step;
  c.vv /= step * step;
  c.rx = reach_of(c.xx, c.flux, cut, step);
  c.rv = reach_of(c.vv, c.flux, cut, step);
  c.flux /= step * step; /* per px^2, not per step^2 */
  return c;
}

void nsl_mix_split(const nsl_mix *mix, double slope, nsl_mix parts[NSL_LEVELS])
{
  for (int l = 0; l < NSL_LEVELS; l++) { parts[l].n = 0; }
  for (int i = 0; i < mix->n; i++) {
    sheared c = shear(mix, i, slope, NSL_CUT_LIGHT, 1);
    double det = c.xx * c.vv - c.xv * c.xv, narrowest = sqrt(det / fmax(c.xx, c.vv)); /* along rows or columns */
    int l = 0;
    while (l + 1 < NSL_LEVELS && narrowest >= SIGMA_MIN_STEPS * nsl_level_step(l + 1)) { l++; }
    parts[l].g[parts[l].n++] = mix->g[i];
  }
}

nsl_reach nsl_kernel_reach(const nsl_mix *mix, double slope, double cut, int step)
{
  double t0 = 0, t1 = 0, m0 = 0, m1 = 0;
  for (int i = 0; i < mix->n; i++) {
    sheared c = shear(mix, i, slope, cut, step);
    t0 = fmin(t0, c.mx - c.rx);
    t1 = fmax(t1, c.mx + c.rx);
    m0 = fmin(m0, c.mv - c.rv);
    m1 = fmax(m1, c.mv + c.rv);
  }
  return (nsl_reach){(int)floor(t0) - NSL_KERNEL_MARGIN, (int)ceil(t1) + NSL_KERNEL_MARGIN, (int)floor(m0) - NSL_KERNEL_MARGIN,
                     (int)ceil(m1) + NSL_KERNEL_MARGIN};
}

/* e *= r, r *= q walks a Gaussian from row to row without an exponential; all taps at once. */
NSL_VECTORISED static void add_row(float *restrict k, double *restrict e, double *restrict r, double q, int taps)
{
  for (int t = 0; t < taps; t++) {
    k[t] += (float)e[t];
    e[t] *= r[t];
    r[t] *= q;
  }
}

/* A Gaussian of samples [m][t], rows `stride` apart. The first row is walked to as well: few exponentials a component. */
static void add_component(const nsl_kernel *kn, float *k, size_t stride, double *e, double *r, const sheared *c)
{
  double det = c->xx * c->vv - c->xv * c->xv, a = c->vv / det, b = -c->xv / det, d = c->xx / det;
  int t0 = (int)floor(c->mx - c->rx), t1 = (int)ceil(c->mx + c->rx), n = t1 - t0 + 1;
  int r0 = (int)floor(c->mv - c->rv), r1 = (int)ceil(c->mv + c->rv);
  double u = t0 - c->mx, v = r0 - c->mv;
  /* The box holds erf x erf of an uncorrelated Gaussian, a little more of a correlated one. */
  double inside = erf((c->rx + 0.5) / sqrt(2 * c->xx)) * erf((c->rv + 0.5) / sqrt(2 * c->vv));
  double value = c->flux / (2 * M_PI * sqrt(det) * inside) * exp(-0.5 * (a * u * u + 2 * b * u * v + d * v * v));
  double to_next = exp(-(a * (u + 0.5) + b * v)), next_row = exp(-(d * (v + 0.5) + b * u));
  double turn = exp(-a), row_turn = exp(-b), q = exp(-d);
  for (int i = 0; i < n; i++) {
    e[i] = value;
    r[i] = next_row;
    value *= to_next;
    to_next *= turn;
    next_row *= row_turn;
  }
  for (int m = r0; m <= r1; m++) { add_row(k + (size_t)(m - kn->m_min) * stride + (t0 - kn->t_min), e, r, q, n); }
}

typedef float eight __attribute__((vector_size(8 * sizeof(float)), aligned(4)));

/* Cubic B-spline coefficients of samples that are zero outside (Unser 1999): n samples of `width` adjacent series, a multiple of
 * eight of them. The last sample waits in a register for the next. */
NSL_VECTORISED static void prefilter(float *k, int n, int width)
{
  const float z = -0.26794919f; /* sqrt(3) - 2 */
  for (int w = 0; w < width; w += 8) {
    float *at = k + w;
    eight c = {0};
    for (int i = 0; i < n; i++, at += width) {
      c = *(const eight *)at + z * c;
      *(eight *)at = c;
    }
    at -= width;
    c *= -z / (1 - z * z) * 6;
    *(eight *)at = c;
    for (int i = 1; i < n; i++) {
      at -= width;
      c = z * (c - 6 * *(const eight *)at);
      *(eight *)at = c;
    }
  }
}

/* Rows, `from_stride` apart, become columns, `stride` apart and zero where there is no row. */
static void turn(const float *restrict by_row, int rows, int taps, int from_stride, int stride, float *restrict by_tap)
{
  for (int t = 0; t < taps; t++) {
    float *to = by_tap + (size_t)t * (size_t)stride;
    for (int m = 0; m < rows; m++) { to[m] = by_row[(size_t)m * (size_t)from_stride + (size_t)t]; }
    for (int m = rows; m < stride; m++) { to[m] = 0; }
  }
}

static int pad(int n) { return (n + 7) / 8 * 8; }

static int reserve(nsl_kernel *kn, size_t plane, size_t taps, size_t out)
{
  return nsl_grow((void **)&kn->by_row, &kn->by_row_capacity, plane, sizeof *kn->by_row) &&
         nsl_grow((void **)&kn->walk, &kn->walk_capacity, 2 * taps, sizeof *kn->walk) &&
         nsl_grow((void **)&kn->k, &kn->capacity, out, sizeof *kn->k);
}

static nsl_status make(nsl_kernel *kn, const nsl_mix *mix, double slope, double cut, int step, nsl_error *err)
{
  nsl_reach reach = nsl_kernel_reach(mix, slope, cut, step);
  kn->t_min = reach.t_min;
  kn->t_max = reach.t_max;
  kn->m_min = reach.m_min;
  kn->m_max = reach.m_max;
  int rows = kn->m_max - kn->m_min + 1, taps = kn->t_max - kn->t_min + 1;
  int taps_padded = pad(taps);
  kn->rows_padded = pad(rows + 3); /* four rows are read from any */
  size_t plane = (size_t)taps_padded * (size_t)rows;
  if (!reserve(kn, plane, (size_t)taps, (size_t)taps * (size_t)kn->rows_padded)) {
    return nsl_fail(err, NSL_E_NOMEM, "kernel of %d x %d", taps, rows);
  }
  float *by_row = kn->by_row;
  double *e = kn->walk, *r = e + taps;
  memset(by_row, 0, plane * sizeof *by_row);
  for (int i = 0; i < mix->n; i++) {
    sheared c = shear(mix, i, slope, cut, step);
    add_component(kn, by_row, (size_t)taps_padded, e, r, &c);
  }
  prefilter(by_row, rows, taps_padded);
  turn(by_row, rows, taps, taps_padded, kn->rows_padded, kn->k);
  prefilter(kn->k, taps, kn->rows_padded);
  return NSL_OK;
}

nsl_status nsl_kernel_get(nsl_kernel *cache, const nsl_mix *mix, double slope, double cut, int step, const nsl_kernel **out,
                          nsl_error *err)
{
  double head[4] = {slope, (double)mix->n, step, cut};
  nsl_hash a = nsl_hash_bytes(head, sizeof head), b = nsl_hash_bytes(mix->g, (size_t)mix->n * sizeof *mix->g);
  nsl_hash key = {a.hi ^ b.hi, a.lo + b.lo};
  nsl_kernel *kn = &cache[key.lo % NSL_KERNELS];
  *out = kn;
  if (kn->k && nsl_hash_equal(kn->key, key)) { return NSL_OK; }
  kn->key = (nsl_hash){0, 0};
  nsl_status st = make(kn, mix, slope, cut, step, err);
  if (st == NSL_OK) { kn->key = key; }
  return st;
}

void nsl_kernel_free(nsl_kernel *kn)
{
  free(kn->k);
  free(kn->by_row);
  free(kn->walk);
  memset(kn, 0, sizeof *kn);
}
