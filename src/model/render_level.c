/* One level of the renderer: the components of a profile that are sampled on a grid of `step` px. With a step above 1 the taps of
 * the kernel are `step` columns apart, and rows are taken in `step` phases: every pixel gets the value of the kernel's spline at
 * its own place, as it does on the finest grid. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "render_internal.h"

enum { STEP_MAX = 1 << (NSL_LEVELS - 1), PADDING = NSL_LANES, TAPS = 6 };

typedef nsl_lanes vec;
typedef int mask __attribute__((vector_size(NSL_LANES * sizeof(int)), aligned(4)));

static int min_int(int a, int b) { return a < b ? a : b; }
static int max_int(int a, int b) { return a > b ? a : b; }

/* smooth[e] = the deposit of the line on a coarse column at e: a cubic B-spline of `step` px. line is 2 step - 1 zeros longer at
 * both ends. Whole vectors are read and written. */
NSL_VECTORISED static void smooth_line(const float *restrict line, int n, int step, float *restrict smooth)
{
  float weight[4 * STEP_MAX];
  int reach = 2 * step - 1;
  for (int o = -reach; o <= reach; o++) {
    double u = (double)(o < 0 ? -o : o) / step;
    weight[o + reach] = (float)(u < 1 ? (4 - 6 * u * u + 3 * u * u * u) / 6 : (2 - u) * (2 - u) * (2 - u) / 6);
  }
  for (int e = 0; e < n; e += NSL_LANES) {
    vec sum = {0};
    for (int o = 0; o <= 2 * reach; o++) { sum += weight[o] * *(const vec *)(line + e - reach + o); }
    *(vec *)(smooth + e) = sum;
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
  size_t margin = 2 * STEP_MAX, n_line = (size_t)r->line_n + NSL_LINE_SPARE, whole = (n_line + PADDING - 1) / PADDING * PADDING;
  if (!nsl_grow((void **)&r->smooth, &r->smooth_n, 2 * whole + 2 * margin, sizeof *r->smooth)) {
    return nsl_fail(err, NSL_E_NOMEM, "renderer");
  }
  float *smooth = r->smooth, *padded = smooth + whole, *line = padded + margin;
  memset(padded, 0, margin * sizeof *padded);
  memcpy(line, r->line, n_line * sizeof *line);
  memset(line + n_line, 0, (whole - n_line + margin) * sizeof *line);
  smooth_line(line, (int)n_line, step, smooth);
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

/* Spline weights of columns whose trace is `above` a row by so much: coarse pixel row j gets w[0..5] of kernel rows j - row - 3 ..
 * j - row + 2; the first and the last are for the blur alone and not set here. */
static inline __attribute__((always_inline)) void weigh(const vec *above, vec *w)
{
  vec u = *above, v = 1 - u;
  w[1] = u * u * u * (1.0f / 6);
  w[2] = (4 - 6 * v * v + 3 * v * v * v) * (1.0f / 6);
  w[3] = (4 - 6 * u * u + 3 * u * u * u) * (1.0f / 6);
  w[4] = v * v * v * (1.0f / 6);
}

/* The same, blurred: as nsl_line_blur, the fourth difference taken between the two rows beside the trace, so that six do. */
static inline __attribute__((always_inline)) void weigh_blurred(const vec *above, const vec *delta, float scale, vec *w)
{
  vec u = *above, v = 1 - u, d = *delta * scale, a = d * (0.5f / 6), c = (1 - d) * (1.0f / 6);
  vec b = (3 * d * d - d) * (1.0f / 24), lower = b * u, upper = b * v;
  vec s0 = u * u * u, s1 = 4 - 6 * v * v + 3 * v * v * v, s2 = 4 - 6 * u * u + 3 * u * u * u, s3 = v * v * v;
  w[0] = a * s0 + lower;
  w[1] = c * s0 + a * s1 + (upper - 4 * lower);
  w[2] = a * s0 + c * s1 + a * s2 + (6 * lower - 4 * upper);
  w[3] = a * s1 + c * s2 + a * s3 + (6 * upper - 4 * lower);
  w[4] = a * s2 + c * s3 + (lower - 4 * upper);
  w[5] = a * s3 + upper;
}

/* NSL_LANES columns: where the trace is (`row`, and how far above it), by how much the PSF grows there (NULL: it does not), kernel
 * rows m_min .. m_max convolved, and where they go, row by row of one phase. */
typedef struct {
  const int *row;
  const float *above, *delta;
  float delta_scale;
  const float *rows;
  float *to;
  size_t rows_stride, to_stride;
  int m_min, m_max, last; /* the window has rows 0 .. last */
} block;

static inline __attribute__((always_inline)) void read_row(const block *b, int m, vec *out)
{
  const vec none = {0};
  *out = m < b->m_min || m > b->m_max ? none : *(const vec *)(b->rows + (size_t)(m - b->m_min) * b->rows_stride);
}

/* Adds the spline of coefficient rows, of columns whose trace is in `row`; the spline's ringing (1e-4 of the peak) is kept from
 * going below zero. Rows wait in registers until the next ones have had them. */
static inline __attribute__((always_inline)) void add_block(const block *b, int row, const vec *w, const int first, const int taps)
{
  int reach = (taps - 4) / 2, from = max_int(row + b->m_min - 1 - reach, 0), to = min_int(row + b->m_max + 2 + reach, b->last);
  vec g[TAPS];
  for (int c = 0; c + 1 < taps; c++) { read_row(b, from - row - 3 + first + c, &g[c + 1]); }
  for (int j = from; j <= to; j++) {
    for (int c = 0; c + 1 < taps; c++) { g[c] = g[c + 1]; }
    read_row(b, j - row - 3 + first + taps - 1, &g[taps - 1]);
    vec v = w[first] * g[0];
    for (int c = 1; c < taps; c++) { v += w[first + c] * g[c]; }
    vec *at = (vec *)(b->to + (size_t)j * b->to_stride);
    *at += (vec)((mask)v & (v > 0));
  }
}

static inline __attribute__((always_inline)) void weigh_block(const block *b, vec *w)
{
  if (b->delta) {
    weigh_blurred((const vec *)b->above, (const vec *)b->delta, b->delta_scale, w);
  } else {
    weigh((const vec *)b->above, w);
  }
}

/* The columns from lane `skip` on: one pass for each row that the trace has there. */
NSL_VECTORISED static void place_block(const block *b, int skip)
{
  vec all[TAPS] = {{0}}, w[TAPS];
  int low = b->row[skip], high = low;
  for (int i = skip; i < NSL_LANES; i++) {
    low = b->row[i] < low ? b->row[i] : low;
    high = b->row[i] > high ? b->row[i] : high;
  }
  weigh_block(b, all);
  for (int row = low; row <= high; row++) {
    float here[NSL_LANES];
    for (int i = 0; i < NSL_LANES; i++) { here[i] = (b->row[i] == row) & (i >= skip) ? 1.0f : 0.0f; }
    for (int c = 0; c < TAPS; c++) { w[c] = *(const vec *)here * all[c]; }
    if (b->delta) {
      add_block(b, row, w, 0, TAPS);
    } else {
      add_block(b, row, w, 1, 4);
    }
  }
}

/* The same for a footprint of n columns, fewer than there are lanes. */
static void place_columns(const block *b, int n)
{
  float above[NSL_LANES] = {0}, delta[NSL_LANES] = {0};
  vec w[TAPS] = {{0}};
  block padded = *b;
  memcpy(above, b->above, (size_t)n * sizeof *above);
  padded.above = above;
  if (b->delta) {
    memcpy(delta, b->delta, (size_t)n * sizeof *delta);
    padded.delta = delta;
  }
  weigh_block(&padded, w);
  for (int i = 0; i < n; i++) {
    for (int j = 0; j <= b->last; j++) {
      float v = 0;
      for (int c = 0; c < TAPS; c++) {
        int m = j - b->row[i] - 3 + c;
        if (m >= b->m_min && m <= b->m_max) { v += w[c][i] * b->rows[(size_t)(m - b->m_min) * b->rows_stride + (size_t)i]; }
      }
      b->to[(size_t)j * b->to_stride + (size_t)i] += v > 0 ? v : 0;
    }
  }
}

/* Adds the convolved rows to rows q, q + step, .. of the window. */
static void place_rows(const nsl_renderer *r, int m_min, int m_max, int q, int step, const nsl_footprint *f, int stride,
                       nsl_window *w)
{
  block all = {.row = r->row_of,
               .above = r->above,
               .delta = r->delta && step < STEP_MAX ? r->delta + r->line_before : NULL, /* the coarsest have a mean blur */
               .delta_scale = 1.0f / (float)(step * step),
               .rows = r->rows,
               .rows_stride = (size_t)stride,
               .to = w->img + (size_t)q * (size_t)w->w + f->i0,
               .to_stride = (size_t)step * (size_t)w->w,
               .m_min = m_min,
               .m_max = m_max,
               .last = (w->h - 1 - q) / step};
  if (f->n < NSL_LANES) {
    place_columns(&all, f->n);
    return;
  }
  for (int i = 0; i < f->n; i += NSL_LANES) {
    int start = min_int(i, f->n - NSL_LANES); /* the last block begins earlier and skips columns that are done */
    block b = all;
    b.row += start;
    b.above += start;
    b.delta = all.delta ? all.delta + start : NULL;
    b.rows += start;
    b.to += start;
    place_block(&b, i - start);
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
  int stride = (f->n + PADDING - 1) / PADDING * PADDING;
  size_t n_rows = (size_t)(m_max - m_min + 1);
  if (!nsl_grow((void **)&r->rows, &r->rows_n, n_rows * (size_t)stride, sizeof *r->rows) ||
      !nsl_grow((void **)&r->above, &r->above_n, (size_t)f->n, sizeof *r->above) ||
      !nsl_grow((void **)&r->row_of, &r->row_of_n, (size_t)f->n, sizeof *r->row_of)) {
    return nsl_fail(err, NSL_E_NOMEM, "renderer");
  }
  st = convolve(r, kernel, m_min, m_max, step, f->n, stride, err);
  if (st != NSL_OK) { return st; }
  for (int q = 0; q < step && q < w->h; q++) {
    follow_trace(r->y, f->n, q, 1.0 / step, r->row_of, r->above);
    place_rows(r, m_min, m_max, q, step, f, stride, w);
  }
  return NSL_OK;
}
