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

/* Rows [a, b) of a column into the sample: what is bad, or where the neighbours' light is above limit2 variances, becomes infinite,
 * so that clipping leaves it out. Returns the number of others. */
NSL_VECTORISED static size_t sample_rows(const float *column, int height, int a, int b, float limit2, float *restrict sample,
                                         float *variance_sum)
{
  const float *restrict flux = column, *restrict variance = column + NSL_COLUMN_VARIANCE * height,
                        *restrict neighbours = column + NSL_COLUMN_NEIGHBOURS * height;
  size_t n = 0;
  vec sum = {0};
  mask counted = {0};
  for (int y = a; y < b; y += LANES) {
    mask number = {0, 1, 2, 3, 4, 5, 6, 7};
    vec f = *(const vec *)(flux + y), v = *(const vec *)(variance + y), light = *(const vec *)(neighbours + y);
    mask take = (v > 0) & (light * light <= limit2 * v) & (number < b - y);
    const vec far = {INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY, INFINITY};
    *(vec *)(sample + y - a) = (vec)(((mask)(f - light) & take) | ((mask)far & ~take));
    sum += (vec)((mask)v & take);
    counted -= take;
  }
  for (int k = 0; k < LANES; k++) {
    *variance_sum += sum[k];
    n += (size_t)counted[k];
  }
  return n;
}

static int row_within(double y, int h) { return !(y > 0) ? 0 : y > h ? h : (int)y; }

/* Pixels of the sky. */
typedef struct {
  float *value; /* [n], infinite for those that do not count */
  size_t n, good;
  double variance; /* mean of the good ones */
} sky_sample;

/* Collects flux - neighbours of good pixels farther than `from` and not farther than `to` rows from the trace, where the
 * neighbours' light is below `limit` sigma. */
static void sample_sky(const nsl_view *view, const nsl_columns *columns, double from, double to, float limit, sky_sample *s)
{
  double sum = 0;
  s->n = s->good = 0;
  float limit2 = fminf(limit * limit, 1e30f);
  for (int x = 0; x < view->w; x++) {
    double centre = view->trace.y0 + nsl_trace_dy(&view->trace, view->x0 + x - view->trace.x0) - view->y0;
    int below0 = row_within(ceil(centre - to), view->h), above1 = row_within(floor(centre + to) + 1, view->h);
    int below1 = from < 0 ? above1 : row_within(ceil(centre - from), view->h);
    int above0 = from < 0 ? above1 : row_within(floor(centre + from) + 1, view->h);
    const float *column = nsl_column(columns, x);
    float of_column = 0;
    s->good += sample_rows(column, columns->height, below0, below1, limit2, s->value + s->n, &of_column);
    s->n += (size_t)(below1 > below0 ? below1 - below0 : 0);
    s->good += sample_rows(column, columns->height, above0, above1, limit2, s->value + s->n, &of_column);
    s->n += (size_t)(above1 > above0 ? above1 - above0 : 0);
    sum += (double)of_column;
  }
  s->variance = s->good ? sum / (double)s->good : 0;
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

/* Sum, sum of squares and number of a - centre that are within the limit; n is a multiple of LANES. */
NSL_VECTORISED static void sum_within(const float *a, size_t n, float centre, float limit, double sums[2], size_t *kept)
{
  enum { BLOCK = 64 * LANES }; /* so few terms a lane that single precision does */
  sums[0] = sums[1] = 0;
  *kept = 0;
  for (size_t i = 0; i < n; i += BLOCK) {
    vec s = {0}, q = {0};
    mask m = {0};
    size_t end = i + BLOCK < n ? i + BLOCK : n;
    for (size_t k = i; k < end; k += LANES) {
      vec d = *(const vec *)(a + k) - centre;
      mask in = (d <= limit) & (d >= -limit);
      d = (vec)((mask)d & in);
      s += d;
      q += d * d;
      m -= in;
    }
    for (int k = 0; k < LANES; k++) {
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
 * room for LANES more. */
static double clipped_mean(sky_sample *s)
{
  float start[START_PIXELS], *a = s->value;
  size_t n = s->n, m = pick(s, (s->good + START_PIXELS - 1) / START_PIXELS, start);
  if (m == 0) { m = pick(s, 1, start); }
  double centre = select_kth(start, m, m / 2), low = select_kth(start, m / 2 + 1, m / 4),
         high = select_kth(start + m / 2, m - m / 2, m / 4);
  double spread = (high - low) / 1.349; /* of a Gaussian: its sigma */
  size_t padded = (n + LANES - 1) / LANES * LANES;
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

/* Adds flux - neighbours - level of the good ones of rows [a, b); returns their number. */
NSL_VECTORISED static size_t sum_rows(const float *restrict flux, const float *restrict neighbours, const float *restrict variance,
                                      float level, int a, int b, double *sum)
{
  vec all = {0};
  mask number = {0, 1, 2, 3, 4, 5, 6, 7}, n = {0};
  size_t counted = 0;
  for (int y = a; y < b; y += LANES) {
    mask take = (*(const vec *)(variance + y) > 0) & (number < b - y);
    all += (vec)((mask)(*(const vec *)(flux + y) - *(const vec *)(neighbours + y) - level) & take);
    n -= take;
  }
  for (int k = 0; k < LANES; k++) {
    *sum += (double)all[k];
    counted += (size_t)n[k];
  }
  return counted;
}

/* How much of the sky's level is the source's own light: a part of what its box has above the level. */
static double own_light(const nsl_view *view, const nsl_columns *columns, double level)
{
  double sum = 0;
  size_t n = 0;
  if (!(view->own_beside > 0)) { return 0; }
  for (int x = 0; x < view->w; x++) {
    double centre = view->trace.y0 + nsl_trace_dy(&view->trace, view->x0 + x - view->trace.x0) - view->y0;
    int a = row_within(ceil(centre - BOX_HALF), view->h), b = row_within(floor(centre + BOX_HALF) + 1, view->h);
    const float *flux = nsl_column(columns, x), *neighbours = flux + NSL_COLUMN_NEIGHBOURS * columns->height,
                *variance = flux + NSL_COLUMN_VARIANCE * columns->height;
    n += sum_rows(flux, neighbours, variance, (float)level, a, b, &sum);
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
  *variance = s.variance;
  if (s.good == 0 || settings->sky_rows <= 0) { return 0; }
  double level = clipped_mean(&s);
  return t < 2 ? level - own_light(view, columns, level) : level;
}
