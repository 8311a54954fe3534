/* The local sky of a view: a clipped mean of the rows beside the stamp. */
#include <math.h>
#include <string.h>

#include "lanes.h"
#include "views_internal.h"

/* Sky pixels needed for a local sky; below it the sample is widened. */
enum { SKY_PIXELS_MIN = 200 };
#define SKY_CLIP_SIGMA 3.0
#define CLIP_PASSES 4
/* Rows of the extraction box on each side of the trace; a source that has more than this beside is larger than its stamp. */
#define BOX_HALF 13.5
#define OWN_BESIDE_MAX 0.5
/* So many pixels, evenly picked, say where clipping starts. */
enum { START_PIXELS = 1024 };

enum { CHUNK = 64 /* columns that are looked at in one go: so few that sums of a lane may be in single precision */ };

/* Columns `first` .. of a view. */
typedef struct {
  const float *column; /* the first */
  size_t height;
  int n;
  double centre[CHUNK]; /* row of the trace, 0-based */
  /* one or two ranges of rows [low, high) of each column */
  int n_ranges, low[2][CHUNK], high[2][CHUNK];
} chunk;

static void open_chunk(const nsl_view *view, const nsl_columns *columns, int first, int n_ranges, chunk *c)
{
  c->column = nsl_column(columns, first);
  c->height = (size_t)columns->height;
  c->n = view->w - first < CHUNK ? view->w - first : CHUNK;
  c->n_ranges = n_ranges;
  for (int i = 0; i < c->n; i++) {
    c->centre[i] = view->trace.y0 + nsl_trace_dy(&view->trace, view->x0 + first + i - view->trace.x0) - view->y0;
  }
}

static inline int row_within(double y, int h) { return (int)(y > 0 ? y < h ? y : h : 0); }

/* The first row at or above the trace + offset, within 0 .. h. */
NSL_VECTORISED static void rows_from(const chunk *c, double offset, int h, int *restrict row)
{
  for (int i = 0; i < c->n; i++) { row[i] = row_within(ceil(c->centre[i] + offset), h); }
}

/* The first row above the trace + offset. */
NSL_VECTORISED static void rows_after(const chunk *c, double offset, int h, int *restrict row)
{
  for (int i = 0; i < c->n; i++) { row[i] = row_within(floor(c->centre[i] + offset) + 1, h); }
}

/* Pixels of the sky. */
typedef struct {
  float *value; /* [n], infinite for those that do not count */
  size_t n, good;
  double variance; /* sum of the good ones */
} sky_sample;

static double sum_lanes(const vec *v)
{
  double sum = 0;
  for (int k = 0; k < LANES; k++) { sum += (double)(*v)[k]; }
  return sum;
}

static size_t count_lanes(const mask *m)
{
  size_t n = 0;
  for (int k = 0; k < LANES; k++) { n += (size_t)(*m)[k]; }
  return n;
}

/* Rows of a chunk into the sample: what is bad, or where the neighbours' light is above limit2 variances, becomes infinite, so that
 * clipping leaves it out. Whole vectors are written. */
NSL_VECTORISED static void sample_rows(const chunk *c, float limit2, sky_sample *s)
{
  const vec far = (vec){0} + INFINITY;
  const mask number = {0, 1, 2, 3, 4, 5, 6, 7};
  vec sum = {0};
  mask counted = {0};
  for (int k = 0; k < c->n * c->n_ranges; k++) {
    int i = k / c->n_ranges, range = k % c->n_ranges, low = c->low[range][i], rows = c->high[range][i] - low;
    const float *flux = c->column + (size_t)i * NSL_COLUMN_PLANES * c->height + low,
                *variance = flux + NSL_COLUMN_VARIANCE * c->height, *neighbours = flux + NSL_COLUMN_NEIGHBOURS * c->height;
    for (int y = 0; y < rows; y += LANES) {
      vec f = *(const vec *)(flux + y), v = *(const vec *)(variance + y), light = *(const vec *)(neighbours + y);
      mask take = (v > 0) & (light * light <= limit2 * v) & (number < rows - y);
      *(vec *)(s->value + s->n + y) = (vec)(((mask)(f - light) & take) | ((mask)far & ~take));
      sum += (vec)((mask)v & take);
      counted -= take;
    }
    s->n += rows > 0 ? (size_t)rows : 0;
  }
  s->variance += sum_lanes(&sum);
  s->good += count_lanes(&counted);
}

/* Collects flux - neighbours of good pixels farther than `from` (any when negative) and not farther than `to` rows from the trace,
 * where the neighbours' light is below `limit` sigma. */
static void sample_sky(const nsl_view *view, const nsl_columns *columns, double from, double to, float limit, sky_sample *s)
{
  float limit2 = fminf(limit * limit, 1e30f);
  s->n = s->good = 0;
  s->variance = 0;
  for (int x = 0; x < view->w; x += CHUNK) {
    chunk c;
    open_chunk(view, columns, x, from < 0 ? 1 : 2, &c);
    rows_from(&c, -to, view->h, c.low[0]);
    rows_after(&c, to, view->h, c.high[c.n_ranges - 1]);
    if (from >= 0) {
      rows_from(&c, -from, view->h, c.high[0]);
      rows_after(&c, from, view->h, c.low[1]);
    }
    sample_rows(&c, limit2, s);
  }
}

/* k-th smallest; what is before it is not larger, what is after it not smaller. */
static float select_kth(float *a, size_t n, size_t k)
{
  for (size_t lo = 0, hi = n; hi - lo > 1;) {
    float pivot = a[lo + (hi - lo) / 2];
    size_t below = lo, equal;
    for (size_t i = lo; i < hi; i++) { /* without branches: no processor guesses them */
      float v = a[i];
      a[i] = a[below];
      a[below] = v;
      below += v < pivot;
    }
    if (k < below) {
      hi = below;
      continue;
    }
    equal = below;
    for (size_t i = below; i < hi; i++) {
      float v = a[i];
      a[i] = a[equal];
      a[equal] = v;
      equal += v == pivot;
    }
    if (k < equal) { return pivot; }
    lo = equal;
  }
  return a[k];
}

/* Sum, sum of squares and number of a - centre that are within the limit; n is a multiple of WIDE_LANES. */
NSL_VECTORISED static void sum_within(const float *a, size_t n, float centre, float limit, double sums[2], size_t *kept)
{
  enum { BLOCK = 64 * WIDE_LANES }; /* so few terms a lane that single precision does */
  sums[0] = sums[1] = 0;
  *kept = 0;
  for (size_t i = 0; i < n; i += BLOCK) {
    wide s = {0}, q = {0};
    wide_mask m = {0};
    size_t end = i + BLOCK < n ? i + BLOCK : n;
    for (size_t k = i; k < end; k += WIDE_LANES) {
      wide d = *(const wide *)(a + k) - centre;
      wide_mask in = d * d <= limit * limit;
      d = (wide)((wide_mask)d & in);
      s += d;
      q += d * d;
      m -= in;
    }
    for (int k = 0; k < WIDE_LANES; k++) {
      sums[0] += (double)s[k];
      sums[1] += (double)q[k];
      *kept += (size_t)m[k];
    }
  }
}

/* Every step-th of the values, those that count, START_PIXELS at most. */
static size_t pick(const sky_sample *s, size_t step, float *out)
{
  size_t m = 0;
  for (size_t i = 0; i < s->n && m < START_PIXELS; i += step) {
    out[m] = s->value[i];
    m += s->value[i] < INFINITY;
  }
  return m;
}

/* Mean after clipping about the median: first by the spread of the inner half, then by the standard deviation. The values have
 * room for WIDE_LANES more. */
static double clipped_mean(sky_sample *s)
{
  float start[START_PIXELS], *a = s->value;
  size_t n = s->n, m = pick(s, (s->good + START_PIXELS - 1) / START_PIXELS, start);
  if (m == 0) { m = pick(s, 1, start); }
  double centre = select_kth(start, m, m / 2), low = select_kth(start, m / 2 + 1, m / 4),
         high = select_kth(start + m / 2, m - m / 2, m / 4);
  double spread = (high - low) / 1.349; /* of a Gaussian: its sigma */
  size_t padded = (n + WIDE_LANES - 1) / WIDE_LANES * WIDE_LANES;
  for (size_t i = n; i < padded; i++) { a[i] = INFINITY; }
  for (int pass = 0; pass < CLIP_PASSES; pass++) {
    double sums[2];
    size_t kept;
    sum_within(a, padded, (float)centre, (float)(SKY_CLIP_SIGMA * spread), sums, &kept);
    if (kept == 0) { break; }
    double mean = sums[0] / (double)kept;
    centre = (double)(float)centre + mean;
    spread = sqrt(fmax(sums[1] / (double)kept - mean * mean, 0));
  }
  return centre;
}

static double light_between(const nsl_mix *mix, double a, double b)
{
  double sum = 0;
  for (int g = 0; g < mix->n; g++) {
    double s = sqrt(2 * mix->g[g].yy);
    sum += 0.5 * mix->g[g].flux * (erf((b - mix->g[g].dy) / s) - erf((a - mix->g[g].dy) / s));
  }
  return sum;
}

double nsl_view_own_beside(const nsl_mix *mix, const nsl_view_settings *settings)
{
  const double half = 0.5 * NSL_STAMP_NY, rows = settings->sky_rows;
  if (!(rows > 0)) { return 0; }
  double beside = (light_between(mix, half, half + rows) + light_between(mix, -half - rows, -half)) / (2 * rows);
  double box = light_between(mix, -BOX_HALF, BOX_HALF) / (2 * BOX_HALF);
  return box > 0 ? fmin(beside / box, OWN_BESIDE_MAX) : 0;
}

/* Adds flux - neighbours - level of the good pixels of a chunk's rows; returns their number. */
NSL_VECTORISED static size_t sum_rows(const chunk *c, float level, double *sum)
{
  const mask number = {0, 1, 2, 3, 4, 5, 6, 7};
  vec all = {0};
  mask counted = {0};
  for (int i = 0; i < c->n; i++) {
    int low = c->low[0][i], rows = c->high[0][i] - low;
    const float *flux = c->column + (size_t)i * NSL_COLUMN_PLANES * c->height + low,
                *variance = flux + NSL_COLUMN_VARIANCE * c->height, *neighbours = flux + NSL_COLUMN_NEIGHBOURS * c->height;
    for (int y = 0; y < rows; y += LANES) {
      mask take = (*(const vec *)(variance + y) > 0) & (number < rows - y);
      all += (vec)((mask)(*(const vec *)(flux + y) - *(const vec *)(neighbours + y) - level) & take);
      counted -= take;
    }
  }
  *sum += sum_lanes(&all);
  return count_lanes(&counted);
}

/* How much of the sky's level is the source's own light: a part of what its box has above the level. */
static double own_light(const nsl_view *view, const nsl_columns *columns, double level)
{
  double sum = 0;
  size_t n = 0;
  if (!(view->own_beside > 0)) { return 0; }
  for (int x = 0; x < view->w; x += CHUNK) {
    chunk c;
    open_chunk(view, columns, x, 1, &c);
    rows_from(&c, -BOX_HALF, view->h, c.low[0]);
    rows_after(&c, BOX_HALF, view->h, c.high[0]);
    n += sum_rows(&c, (float)level, &sum);
  }
  double box = n > 0 ? sum / (double)n : 0;
  return box > 0 ? view->own_beside * box / (1 - view->own_beside) : 0;
}

double nsl_view_sky(const nsl_view *view, const nsl_view_settings *settings, const nsl_columns *columns, float *sample,
                    double *variance)
{
  const double half = 0.5 * NSL_STAMP_NY, all = INFINITY;
  /* rows beside the stamp free of known light; with known light; the stamp's own outer rows; whatever there is */
  const struct {
    double from, to;
    float limit;
  } tries[] = {
      {half, half + settings->sky_rows, 1}, {half, half + settings->sky_rows, INFINITY}, {0.7 * half, all, 1}, {-1, all, INFINITY}};
  size_t t = 0, n_tries = sizeof tries / sizeof *tries;
  sky_sample s = {.value = sample};
  for (; t < n_tries; t++) {
    sample_sky(view, columns, tries[t].from, tries[t].to, tries[t].limit, &s);
    if (s.good >= SKY_PIXELS_MIN) { break; }
  }
  *variance = s.good ? s.variance / (double)s.good : 0;
  if (s.good == 0 || settings->sky_rows <= 0) { return 0; }
  double level = clipped_mean(&s);
  return t < 2 ? level - own_light(view, columns, level) : level;
}
