/* One level of the renderer: the components of a profile that are sampled on a grid of `step` px. With a step above 1 the taps of
 * the kernel are `step` columns apart, and rows are taken in `step` phases: every pixel gets the value of the kernel's spline at
 * its own place, as it does on the finest grid. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "render_internal.h"

enum { STEP_MAX = 1 << (NSL_LEVELS - 1), PADDING = 2 * NSL_LANES, TAPS = 6 };

static int min_int(int a, int b) { return a < b ? a : b; }
static int max_int(int a, int b) { return a > b ? a : b; }

/* smooth[e] = the deposit of the line on a coarse column at e: a cubic B-spline of `step` px. line is 2 step - 1 zeros longer at
 * both ends. */
NSL_VECTORISED static void smooth_line(const float *restrict line, int n, int step, float *restrict smooth)
{
  for (int e = 0; e < n; e++) { smooth[e] = 0; }
  for (int o = 1 - 2 * step; o < 2 * step; o++) {
    double u = (double)(o < 0 ? -o : o) / step;
    float weight = (float)(u < 1 ? (4 - 6 * u * u + 3 * u * u * u) / 6 : (2 - u) * (2 - u) * (2 - u) / 6);
    const float *restrict from = line + o;
    for (int e = 0; e < n; e++) { smooth[e] += weight * from[e]; }
  }
}

/* Kernel rows m_min .. m_max convolved: r->rows. */
static nsl_status convolve(nsl_renderer *r, const nsl_kernel *kn, int m_min, int m_max, int step, int n, int stride, nsl_error *err)
{
  int before = r->line_before - kn->t_max * step;
  if (step == 1) {
    nsl_convolve_rows(kn, m_min, m_max, r->line + before, 1, n, stride, r->rows);
    return NSL_OK;
  }
  int margin = 2 * STEP_MAX, n_line = r->line_n + NSL_LINE_SPARE;
  if (!nsl_grow((void **)&r->smooth, &r->smooth_n, (size_t)(2 * n_line + 2 * margin), sizeof *r->smooth)) {
    return nsl_fail(err, NSL_E_NOMEM, "renderer");
  }
  float *smooth = r->smooth, *padded = r->smooth + n_line;
  memset(padded, 0, (size_t)margin * sizeof *padded);
  memcpy(padded + margin, r->line, (size_t)n_line * sizeof *padded);
  memset(padded + margin + n_line, 0, (size_t)margin * sizeof *padded);
  smooth_line(padded + margin, n_line, step, smooth);
  nsl_convolve_rows(kn, m_min, m_max, smooth + before, step, n, stride, r->rows);
  return NSL_OK;
}

/* Rows q, q + step, .. of the window: coarse row of the trace for each column, and how far the trace is above it. */
NSL_VECTORISED static void follow_trace(const double *restrict y, int n, int q, double per_px, int *restrict row_of,
                                        float *restrict above)
{
  for (int i = 0; i < n; i++) {
    double at = (y[i] - q) * per_px;
    int row = (int)(at + 2 * ROW_LIMIT) - (int)(2 * ROW_LIMIT); /* floor */
    row_of[i] = row;
    above[i] = (float)(at - row);
  }
}

/* Spline weights: coarse pixel row j gets w[0..5] of kernel rows j - row - 3 .. j - row + 2; the first and the last are for the
 * blur alone and not set here. */
NSL_VECTORISED static void weigh(const float *restrict above, int n, float *restrict weight)
{
  float *restrict w1 = weight + n, *restrict w2 = w1 + n, *restrict w3 = w2 + n, *restrict w4 = w3 + n;
  for (int i = 0; i < n; i++) {
    float u = above[i], v = 1 - u;
    w1[i] = u * u * u * (1.0f / 6);
    w2[i] = (4 - 6 * v * v + 3 * v * v * v) * (1.0f / 6);
    w3[i] = (4 - 6 * u * u + 3 * u * u * u) * (1.0f / 6);
    w4[i] = v * v * v * (1.0f / 6);
  }
}

/* The same, blurred: as nsl_line_blur, the fourth difference taken between the two rows beside the trace, so that six do. */
NSL_VECTORISED static void weigh_blurred(const float *restrict above, const float *restrict delta, float scale, int n,
                                         float *restrict weight)
{
  float *restrict w0 = weight, *restrict w1 = w0 + n, *restrict w2 = w1 + n, *restrict w3 = w2 + n, *restrict w4 = w3 + n,
                  *restrict w5 = w4 + n;
  for (int i = 0; i < n; i++) {
    float u = above[i], v = 1 - u, d = delta[i] * scale, a = d * (0.5f / 6), c = (1 - d) * (1.0f / 6);
    float b = (3 * d * d - d) * (1.0f / 24), lower = b * u, upper = b * v;
    float s0 = u * u * u, s1 = 4 - 6 * v * v + 3 * v * v * v, s2 = 4 - 6 * u * u + 3 * u * u * u, s3 = v * v * v;
    w0[i] = a * s0 + lower;
    w1[i] = c * s0 + a * s1 + (upper - 4 * lower);
    w2[i] = a * s0 + c * s1 + a * s2 + (6 * lower - 4 * upper);
    w3[i] = a * s1 + c * s2 + a * s3 + (6 * upper - 4 * lower);
    w4[i] = a * s2 + c * s3 + (lower - 4 * upper);
    w5[i] = a * s3 + upper;
  }
}

/* to += the spline of coefficient rows; the spline's ringing (1e-4 of the peak) is kept from going below zero. */
NSL_VECTORISED static void add_run(float *restrict to, const float *const g[TAPS], const float *w, size_t w_stride, int n)
{
  const float *restrict g0 = g[1], *restrict g1 = g[2], *restrict g2 = g[3], *restrict g3 = g[4];
  const float *restrict w0 = w + w_stride, *restrict w1 = w0 + w_stride, *restrict w2 = w1 + w_stride, *restrict w3 = w2 + w_stride;
  for (int i = 0; i < n; i++) {
    float v = w0[i] * g0[i] + w1[i] * g1[i] + w2[i] * g2[i] + w3[i] * g3[i];
    to[i] += v > 0 ? v : 0;
  }
}

/* The same with all six. */
NSL_VECTORISED static void add_blurred(float *restrict to, const float *const g[TAPS], const float *w, size_t w_stride, int n)
{
  const float *restrict g0 = g[0], *restrict g1 = g[1], *restrict g2 = g[2], *restrict g3 = g[3], *restrict g4 = g[4],
                        *restrict g5 = g[5];
  const float *restrict w0 = w, *restrict w1 = w0 + w_stride, *restrict w2 = w1 + w_stride, *restrict w3 = w2 + w_stride,
                        *restrict w4 = w3 + w_stride, *restrict w5 = w4 + w_stride;
  for (int i = 0; i < n; i++) {
    float v = w0[i] * g0[i] + w1[i] * g1[i] + w2[i] * g2[i] + w3[i] * g3[i] + w4[i] * g4[i] + w5[i] * g5[i];
    to[i] += v > 0 ? v : 0;
  }
}

/* Adds the convolved rows to rows q, q + step, .. of the window, run by run of columns where the trace stays in one row. The row
 * after the last of r->rows is zero: it stands for kernel rows that were not convolved. */
static void place_rows(const nsl_renderer *r, int m_min, int m_max, int q, int step, int blurred, const nsl_footprint *f,
                       int stride, nsl_window *w)
{
  const float *zeros = r->rows + (size_t)(m_max - m_min + 1) * (size_t)stride;
  int last = (w->h - 1 - q) / step;
  for (int a = 0, b; a < f->n; a = b) {
    int row = r->row_of[a];
    for (b = a + 1; b < f->n && r->row_of[b] == row; b++) {}
    int reach = blurred ? 1 : 0;
    for (int j = max_int(row + m_min - 1 - reach, 0); j <= min_int(row + m_max + 2 + reach, last); j++) {
      const float *g[TAPS];
      for (int c = 0; c < TAPS; c++) {
        int m = j - row - 3 + c;
        g[c] = m < m_min || m > m_max ? zeros + a : r->rows + (size_t)(m - m_min) * (size_t)stride + a;
      }
      float *to = w->img + (size_t)(q + j * step) * (size_t)w->w + f->i0 + a;
      (blurred ? add_blurred : add_run)(to, g, r->weight + a, (size_t)f->n, b - a);
    }
  }
}

nsl_status nsl_render_level(nsl_renderer *r, const nsl_mix *part, double slope, double cut, int step, const nsl_footprint *f,
                            nsl_window *w, nsl_error *err)
{
  double y_min = INFINITY, y_max = -INFINITY;
  for (int i = 0; i < f->n; i++) {
    y_min = r->y[i] < y_min ? r->y[i] : y_min;
    y_max = r->y[i] > y_max ? r->y[i] : y_max;
  }
  /* Only the kernel rows that reach the window. */
  nsl_reach reach = nsl_kernel_reach(part, slope, cut, step);
  int m_min = max_int(-(int)floor(y_max / step) - 3, reach.m_min);
  int m_max = min_int((w->h - 1) / step - (int)floor((y_min - step + 1) / step) + 2, reach.m_max);
  if (m_min > reach.m_max - NSL_KERNEL_MARGIN || m_max < reach.m_min + NSL_KERNEL_MARGIN || m_min > m_max) { return NSL_OK; }
  const nsl_kernel *kernel;
  nsl_status st = nsl_kernel_get(r->kernels, part, slope, cut, step, &kernel, err);
  if (st != NSL_OK) { return st; }
  int blurred = r->delta && step < STEP_MAX; /* the coarsest have a mean blur in their kernel */
  int stride = (f->n + PADDING - 1) / PADDING * PADDING;
  size_t n_rows = (size_t)(m_max - m_min + 2);
  if (!nsl_grow((void **)&r->rows, &r->rows_n, n_rows * (size_t)stride, sizeof *r->rows) ||
      !nsl_grow((void **)&r->weight, &r->weight_n, (TAPS + 1) * (size_t)f->n, sizeof *r->weight) ||
      !nsl_grow((void **)&r->row_of, &r->row_of_n, (size_t)f->n, sizeof *r->row_of)) {
    return nsl_fail(err, NSL_E_NOMEM, "renderer");
  }
  st = convolve(r, kernel, m_min, m_max, step, f->n, stride, err);
  if (st != NSL_OK) { return st; }
  memset(r->rows + (n_rows - 1) * (size_t)stride, 0, (size_t)stride * sizeof *r->rows);
  for (int q = 0; q < step && q < w->h; q++) {
    float *above = r->weight + (size_t)TAPS * (size_t)f->n;
    follow_trace(r->y, f->n, q, 1.0 / step, r->row_of, above);
    if (blurred) {
      weigh_blurred(above, r->delta + r->line_before, 1.0f / (float)(step * step), f->n, r->weight);
    } else {
      weigh(above, f->n, r->weight);
    }
    place_rows(r, m_min, m_max, q, step, blurred, f, stride, w);
  }
  return NSL_OK;
}
