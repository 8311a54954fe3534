#include "noslit/model/metrics.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/metrics_sorted.h"
#include "noslit/base/rng.h"

#define LIGHT_KMS 299792.458
#define ECE_LEVELS 20
#define PIT_CLIP 1e-9

static const char *const keys[] = {
#define KEY(name, key, text) key,
    NSL_METRIC_LIST(KEY)
#undef KEY
};
static const char *const definitions[] = {
#define TEXT(name, key, text) text,
    NSL_METRIC_LIST(TEXT)
#undef TEXT
};

const char *nsl_metric_key(nsl_metric m) { return keys[m]; }
const char *nsl_metric_definition(nsl_metric m) { return definitions[m]; }

/* Metrics that are means over sources: summed once per unit, so that a draw costs no pass over the sources. */
static const nsl_metric mean_metrics[] = {
    NSL_METRIC_BIAS_MEAN,
    NSL_METRIC_OUTLIER_002,
    NSL_METRIC_OUTLIER_015,
    NSL_METRIC_OUTLIER_1000KMS,
    NSL_METRIC_MEAN_E,
    NSL_METRIC_PULL_MEAN,
    NSL_METRIC_PULL_STD,
    NSL_METRIC_PIT_OUTLIER,
    NSL_METRIC_COVERAGE_68,
    NSL_METRIC_COVERAGE_95,
    NSL_METRIC_HPD_68,
    NSL_METRIC_HPD_95,
    NSL_METRIC_CRPS,
    NSL_METRIC_CDE_LOSS,
    NSL_METRIC_NLL,
    NSL_METRIC_NLL_U,
    NSL_METRIC_BRIER,
    NSL_METRIC_OUTLIER_002_MEDIAN,
    NSL_METRIC_OUTLIER_015_MEDIAN,
};
enum { N_MEANS = sizeof mean_metrics / sizeof *mean_metrics };

/* The term of each mean metric for one source; PULL_STD holds the square of the pull. */
static void terms_of(const nsl_score *s, double term[NSL_N_METRICS])
{
  double scale = 1 + s->z_true, e = ((double)s->z_point - s->z_true) / scale, e2 = ((double)s->z_median - s->z_true) / scale;
  double pull = s->sigma_z > 0 ? ((double)s->z_point - s->z_true) / s->sigma_z : 0, central = fabs(2 * s->pit - 1);
  term[NSL_METRIC_BIAS_MEAN] = e;
  term[NSL_METRIC_OUTLIER_002] = fabs(e) > 0.02;
  term[NSL_METRIC_OUTLIER_015] = fabs(e) > 0.15;
  term[NSL_METRIC_OUTLIER_1000KMS] = LIGHT_KMS * fabs(e) > 1000;
  term[NSL_METRIC_MEAN_E] = s->sigma_z / scale;
  term[NSL_METRIC_PULL_MEAN] = pull;
  term[NSL_METRIC_PULL_STD] = pull * pull;
  term[NSL_METRIC_PIT_OUTLIER] = s->pit < 1e-4 || s->pit > 0.9999;
  term[NSL_METRIC_COVERAGE_68] = central <= 0.68;
  term[NSL_METRIC_COVERAGE_95] = central <= 0.95;
  term[NSL_METRIC_HPD_68] = s->hpd <= 0.68;
  term[NSL_METRIC_HPD_95] = s->hpd <= 0.95;
  term[NSL_METRIC_CRPS] = s->crps;
  term[NSL_METRIC_CDE_LOSS] = s->cde;
  term[NSL_METRIC_NLL] = -s->ln_p;
  term[NSL_METRIC_NLL_U] = -s->ln_p_u;
  term[NSL_METRIC_BRIER] = s->brier;
  term[NSL_METRIC_OUTLIER_002_MEDIAN] = fabs(e2) > 0.02;
  term[NSL_METRIC_OUTLIER_015_MEDIAN] = fabs(e2) > 0.15;
}

/* One point estimate's errors, ready for draws. */
typedef struct {
  nsl_sorted e, dz; /* dz with factor 1/(1+z_t) */
  double mad, nmad; /* of the sample itself: where those of a draw will be */
} point_set;

typedef struct {
  size_t n, total;        /* rows; rows of the draw */
  uint32_t n_units;       /* units that have rows */
  uint32_t *global;       /* [n_units] their numbers */
  uint32_t *rows;         /* [n_units] rows of each */
  uint32_t *weight;       /* [n_units] copies of each in this draw */
  double (*sum)[N_MEANS]; /* [n_units] */
  point_set point, median;
  nsl_sorted pit;
  double *pit_logs;   /* [n][2] ln u, ln(1-u) */
  uint8_t *pit_level; /* [n] first ECE level whose interval holds the truth */
  double *deviation, *scratch;
  size_t scratch_size;
} metric_set;

static void point_set_free(point_set *p)
{
  nsl_sorted_free(&p->e);
  nsl_sorted_free(&p->dz);
}

static void set_free(metric_set *s)
{
  free(s->global);
  free(s->rows);
  free(s->weight);
  free(s->sum);
  point_set_free(&s->point);
  point_set_free(&s->median);
  nsl_sorted_free(&s->pit);
  free(s->pit_logs);
  free(s->pit_level);
  free(s->deviation);
  free(s->scratch);
}

static int by_number(const void *a, const void *b)
{
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* Numbers the units that have rows 0, 1, ... in ascending order; local[i] is that of row i. */
static int find_units(metric_set *s, const nsl_score *scores, const uint32_t *rows, uint32_t *local)
{
  s->global = malloc(s->n * sizeof *s->global);
  if (!s->global) { return 0; }
  for (size_t i = 0; i < s->n; i++) { s->global[i] = scores[rows ? rows[i] : i].unit; }
  qsort(s->global, s->n, sizeof *s->global, by_number);
  for (size_t i = 0; i < s->n; i++) {
    if (!i || s->global[i] != s->global[s->n_units - 1]) { s->global[s->n_units++] = s->global[i]; }
  }
  s->rows = calloc(s->n_units, sizeof *s->rows);
  s->weight = malloc(s->n_units * sizeof *s->weight);
  s->sum = calloc(s->n_units, sizeof *s->sum);
  if (!s->rows || !s->weight || !s->sum) { return 0; }
  for (size_t i = 0; i < s->n; i++) {
    uint32_t unit = scores[rows ? rows[i] : i].unit;
    const uint32_t *at = bsearch(&unit, s->global, s->n_units, sizeof unit, by_number);
    local[i] = (uint32_t)(at - s->global);
    s->rows[local[i]]++;
  }
  return 1;
}

static int point_set_init(point_set *p, const nsl_score *scores, const uint32_t *rows, const uint32_t *local, size_t n, int median,
                          double *a, double *b)
{
  p->mad = p->nmad = NAN;
  for (size_t i = 0; i < n; i++) {
    const nsl_score *s = &scores[rows ? rows[i] : i];
    a[i] = (median ? (double)s->z_median : (double)s->z_point) - s->z_true;
    b[i] = 1 / (1 + s->z_true);
  }
  if (!nsl_sorted_init(&p->dz, a, b, local, n)) { return 0; }
  for (size_t i = 0; i < n; i++) { a[i] *= b[i]; }
  return nsl_sorted_init(&p->e, a, NULL, local, n);
}

static int set_init(metric_set *s, const nsl_score *scores, const uint32_t *rows, size_t n)
{
  *s = (metric_set){.n = n, .scratch_size = n};
  uint32_t *local = malloc(n * sizeof *local);
  double *a = malloc(n * sizeof *a), *b = malloc(n * sizeof *b);
  s->deviation = malloc(n * sizeof *s->deviation);
  s->scratch = malloc(n * sizeof *s->scratch);
  s->pit_logs = malloc(n * 2 * sizeof *s->pit_logs);
  s->pit_level = malloc(n);
  int ok = local && a && b && s->deviation && s->scratch && s->pit_logs && s->pit_level && find_units(s, scores, rows, local) &&
           point_set_init(&s->point, scores, rows, local, n, 0, a, b) &&
           point_set_init(&s->median, scores, rows, local, n, 1, a, b);
  if (ok) {
    for (size_t i = 0; i < n; i++) {
      const nsl_score *score = &scores[rows ? rows[i] : i];
      double term[NSL_N_METRICS];
      terms_of(score, term);
      for (int m = 0; m < N_MEANS; m++) { s->sum[local[i]][m] += term[mean_metrics[m]]; }
      a[i] = score->pit;
    }
    ok = nsl_sorted_init(&s->pit, a, NULL, local, n);
  }
  for (size_t i = 0; ok && i < n; i++) {
    double u = fmin(fmax(s->pit.value[i], PIT_CLIP), 1 - PIT_CLIP), central = fabs(2 * s->pit.value[i] - 1);
    s->pit_logs[2 * i] = log(u);
    s->pit_logs[2 * i + 1] = log1p(-u);
    int level = (int)ceil((central - 0.05) / 0.9 * (ECE_LEVELS - 1) - 1e-12);
    s->pit_level[i] = (uint8_t)(level < 0 ? 0 : level > ECE_LEVELS ? ECE_LEVELS : level);
  }
  free(local);
  free(a);
  free(b);
  return ok;
}

static double nmad_of(metric_set *s, point_set *p)
{
  double half = 0.5, centre;
  nsl_sorted_quantiles(&p->dz, s->weight, s->total, &half, 1, &centre);
  for (size_t i = 0; i < s->n; i++) { s->deviation[i] = fabs(p->dz.value[i] - centre) * p->dz.factor[i]; }
  double median = nsl_weighted_median(s->deviation, p->dz.unit, s->weight, s->n, s->total, p->nmad, s->scratch);
  if (isnan(p->nmad)) { p->nmad = median; }
  return 1.48 * median;
}

static double mad_of(metric_set *s, point_set *p, double centre)
{
  for (size_t i = 0; i < s->n; i++) { s->deviation[i] = fabs(p->e.value[i] - centre); }
  double median = nsl_weighted_median(s->deviation, p->e.unit, s->weight, s->n, s->total, p->mad, s->scratch);
  if (isnan(p->mad)) { p->mad = median; }
  return 1.4826 * median;
}

static double fraction_beyond(const metric_set *s, const nsl_sorted *e, double limit)
{
  size_t count = 0;
  for (size_t i = 0; i < s->n; i++) {
    if (fabs(e->value[i]) > limit) { count += s->weight[e->unit[i]]; }
  }
  return (double)count / (double)s->total;
}

static double ece_of(const metric_set *s)
{
  size_t held[ECE_LEVELS + 1] = {0}, inside = 0;
  for (size_t i = 0; i < s->n; i++) { held[s->pit_level[i]] += s->weight[s->pit.unit[i]]; }
  double sum = 0;
  for (int k = 0; k < ECE_LEVELS; k++) {
    inside += held[k];
    sum += fabs((double)inside / (double)s->total - (0.05 + 0.9 * k / (ECE_LEVELS - 1)));
  }
  return sum / ECE_LEVELS;
}

/* Values for the weights now in s->weight; 0 when out of memory. */
static int set_evaluate(metric_set *s, double value[NSL_N_METRICS])
{
  s->total = 0;
  for (int m = 0; m < NSL_N_METRICS; m++) { value[m] = NAN; }
  for (uint32_t u = 0; u < s->n_units; u++) { s->total += (size_t)s->weight[u] * s->rows[u]; }
  if (!s->total) { return 1; }
  if (s->total > s->scratch_size) {
    free(s->scratch);
    s->scratch_size = s->total + s->total / 4;
    s->scratch = malloc(s->scratch_size * sizeof *s->scratch);
    if (!s->scratch) { return 0; }
  }
  double sum[N_MEANS] = {0};
  for (uint32_t u = 0; u < s->n_units; u++) {
    for (int m = 0; m < N_MEANS; m++) { sum[m] += s->weight[u] * s->sum[u][m]; }
  }
  for (int m = 0; m < N_MEANS; m++) { value[mean_metrics[m]] = sum[m] / (double)s->total; }
  double variance = value[NSL_METRIC_PULL_STD] - value[NSL_METRIC_PULL_MEAN] * value[NSL_METRIC_PULL_MEAN];
  value[NSL_METRIC_PULL_STD] = sqrt(fmax(variance, 0));

  double q[3] = {0.25, 0.5, 0.75}, at[3];
  nsl_sorted_quantiles(&s->point.e, s->weight, s->total, q, 3, at);
  value[NSL_METRIC_BIAS] = at[1];
  value[NSL_METRIC_SIGMA_IQR] = (at[2] - at[0]) / 1.349;
  value[NSL_METRIC_SIGMA_MAD] = mad_of(s, &s->point, at[1]);
  value[NSL_METRIC_SIGMA_NMAD] = nmad_of(s, &s->point);
  value[NSL_METRIC_OUTLIER_3SIGMA] = fraction_beyond(s, &s->point.e, fmax(0.06, 3 * value[NSL_METRIC_SIGMA_IQR]));
  nsl_sorted_quantiles(&s->median.e, s->weight, s->total, q + 1, 1, &value[NSL_METRIC_BIAS_MEDIAN]);
  value[NSL_METRIC_SIGMA_NMAD_MEDIAN] = nmad_of(s, &s->median);

  nsl_uniformity uniform;
  nsl_sorted_uniformity(&s->pit, s->pit_logs, s->weight, s->total, &uniform);
  value[NSL_METRIC_PIT_KS] = uniform.ks;
  value[NSL_METRIC_PIT_CVM] = uniform.cvm;
  value[NSL_METRIC_PIT_AD] = uniform.ad;
  value[NSL_METRIC_QQ_MAX] = uniform.qq_max;
  value[NSL_METRIC_QQ_MEAN] = uniform.qq_mean;
  value[NSL_METRIC_ECE] = ece_of(s);
  return 1;
}

/* Standard deviation over the draws that have rows at all. */
static int bootstrap_errors(metric_set *s, const nsl_bootstrap *b, double error[NSL_N_METRICS])
{
  double sum[NSL_N_METRICS] = {0}, square[NSL_N_METRICS] = {0}, origin[NSL_N_METRICS];
  int n = 0;
  for (int d = 0; d < b->n_draws; d++) {
    const uint16_t *count = b->count + (size_t)d * b->n_units;
    for (uint32_t u = 0; u < s->n_units; u++) { s->weight[u] = count[s->global[u]]; }
    double value[NSL_N_METRICS];
    if (!set_evaluate(s, value)) { return 0; }
    if (!s->total) { continue; }
    if (!n++) { memcpy(origin, value, sizeof origin); }
    for (int m = 0; m < NSL_N_METRICS; m++) {
      sum[m] += value[m] - origin[m];
      square[m] += (value[m] - origin[m]) * (value[m] - origin[m]);
    }
  }
  for (int m = 0; m < NSL_N_METRICS && n > 1; m++) { error[m] = sqrt(fmax(square[m] - sum[m] * sum[m] / n, 0) / (n - 1)); }
  return 1;
}

nsl_status nsl_metrics_compute(const nsl_score *scores, const uint32_t *rows, size_t n, const nsl_bootstrap *bootstrap,
                               nsl_metrics *out, nsl_error *err)
{
  out->n = n;
  for (int m = 0; m < NSL_N_METRICS; m++) { out->value[m] = out->error[m] = NAN; }
  if (!n) { return NSL_OK; }
  metric_set s;
  int ok = set_init(&s, scores, rows, n);
  if (ok) {
    for (uint32_t u = 0; u < s.n_units; u++) { s.weight[u] = 1; }
    ok = set_evaluate(&s, out->value);
  }
  if (ok && bootstrap && s.n_units > 1) { ok = bootstrap_errors(&s, bootstrap, out->error); }
  set_free(&s);
  return ok ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory for the metrics of %zu sources", n);
}

nsl_status nsl_bootstrap_init(nsl_bootstrap *b, int n_draws, uint32_t n_units, uint64_t seed, nsl_error *err)
{
  *b = (nsl_bootstrap){n_draws, n_units, calloc((size_t)n_draws * (n_units ? n_units : 1), sizeof *b->count)};
  if (!b->count) { return nsl_fail(err, NSL_E_NOMEM, "no memory for %d bootstrap draws of %u units", n_draws, n_units); }
  for (int d = 0; d < n_draws; d++) {
    nsl_rng r = nsl_rng_make(seed, NSL_RNG_BOOTSTRAP, (uint64_t)d, 0);
    uint16_t *count = b->count + (size_t)d * n_units;
    for (uint32_t i = 0; i < n_units; i++) { count[nsl_rng_below(&r, n_units)]++; }
  }
  return NSL_OK;
}

void nsl_bootstrap_free(nsl_bootstrap *b)
{
  free(b->count);
  b->count = NULL;
}
