#include "model/metrics_sorted.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
  double value;
  uint32_t row;
} keyed;

static int by_value(const void *a, const void *b)
{
  const keyed *x = a, *y = b;
  if (x->value != y->value) { return x->value < y->value ? -1 : 1; }
  return x->row < y->row ? -1 : x->row > y->row;
}

int nsl_sorted_init(nsl_sorted *s, const double *value, const double *factor, const uint32_t *unit, size_t n)
{
  *s = (nsl_sorted){.n = n};
  keyed *key = malloc((n ? n : 1) * sizeof *key);
  s->value = malloc((n ? n : 1) * sizeof *s->value);
  s->unit = malloc((n ? n : 1) * sizeof *s->unit);
  if (factor) { s->factor = malloc((n ? n : 1) * sizeof *s->factor); }
  if (!key || !s->value || !s->unit || (factor && !s->factor)) {
    free(key);
    nsl_sorted_free(s);
    return 0;
  }
  for (size_t i = 0; i < n; i++) { key[i] = (keyed){value[i], (uint32_t)i}; }
  qsort(key, n, sizeof *key, by_value);
  for (size_t i = 0; i < n; i++) {
    s->value[i] = key[i].value;
    s->unit[i] = unit[key[i].row];
    if (factor) { s->factor[i] = factor[key[i].row]; }
  }
  free(key);
  return 1;
}

void nsl_sorted_free(nsl_sorted *s)
{
  free(s->value);
  free(s->factor);
  free(s->unit);
  *s = (nsl_sorted){0};
}

void nsl_sorted_quantiles(const nsl_sorted *s, const uint32_t *weight, size_t total, const double *q, int n_q, double *out)
{
  size_t rank[8];
  double found[8] = {0};
  int order[8], n_ranks = 2 * n_q;
  for (int j = 0; j < n_q; j++) {
    rank[2 * j] = (size_t)floor((double)(total - 1) * q[j]);
    rank[2 * j + 1] = rank[2 * j] + 1 < total ? rank[2 * j] + 1 : total - 1;
  }
  for (int j = 0; j < n_ranks; j++) { /* ascending order of the ranks, by insertion */
    int k = j;
    for (; k > 0 && rank[order[k - 1]] > rank[j]; k--) { order[k] = order[k - 1]; }
    order[k] = j;
  }
  size_t seen = 0;
  for (size_t i = 0, j = 0; i < s->n && j < (size_t)n_ranks; i++) {
    seen += weight[s->unit[i]];
    while (j < (size_t)n_ranks && rank[order[j]] < seen) { found[order[j++]] = s->value[i]; }
  }
  for (int j = 0; j < n_q; j++) {
    double h = (double)(total - 1) * q[j];
    out[j] = found[2 * j] + (h - floor(h)) * (found[2 * j + 1] - found[2 * j]);
  }
}

/* Puts the k-th smallest value in its place, smaller ones before it, larger ones after it (Hoare's selection). */
static double select_kth(double *v, size_t n, size_t k)
{
  size_t lo = 0, hi = n - 1;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2, i = lo, j = hi;
    double a = v[lo], b = v[mid], c = v[hi];
    double pivot = a < b ? (b < c ? b : a < c ? c : a) : (a < c ? a : b < c ? c : b);
    for (;;) {
      while (v[i] < pivot) { i++; }
      while (v[j] > pivot) { j--; }
      if (i >= j) { break; }
      double t = v[i];
      v[i++] = v[j];
      v[j--] = t;
    }
    /* Now v[lo..j] <= pivot <= v[j+1..hi], with j < hi. */
    if (k <= j) {
      hi = j;
    } else {
      lo = j + 1;
    }
  }
  return v[k];
}

double nsl_weighted_median(const double *v, const uint32_t *unit, const uint32_t *weight, size_t n, size_t total, double guess,
                           double *scratch)
{
  size_t k0 = (total - 1) / 2, k1 = total / 2, below = 0, m = 0;
  double lo = guess > 0 ? 0.8 * guess : -1, hi = guess > 0 ? 1.25 * guess : INFINITY;
  for (size_t i = 0; i < n; i++) {
    uint32_t w = weight[unit[i]];
    if (v[i] < lo) {
      below += w;
    } else if (v[i] <= hi) {
      for (uint32_t c = 0; c < w; c++) { scratch[m++] = v[i]; }
    }
  }
  if (k0 < below || k1 >= below + m) { return nsl_weighted_median(v, unit, weight, n, total, NAN, scratch); }
  double first = select_kth(scratch, m, k0 - below), second = first;
  if (k1 != k0) {
    second = INFINITY;
    for (size_t i = k1 - below; i < m; i++) { second = fmin(second, scratch[i]); }
  }
  return 0.5 * (first + second);
}

void nsl_sorted_uniformity(const nsl_sorted *pit, const double *logs, const uint32_t *weight, size_t total, nsl_uniformity *out)
{
  enum { LEVELS = 99 };
  double n = (double)total, ks = 0, cvm = 0, ad = 0, qq_max = 0, qq_sum = 0;
  size_t rank = 1; /* 1-based rank of the next copy */
  int level = 1;
  for (size_t i = 0; i < pit->n; i++) {
    uint32_t copies = weight[pit->unit[i]];
    if (!copies) { continue; }
    double u = pit->value[i], first = (double)rank, last = first + copies - 1, extra = (double)copies * (copies - 1.0);
    ks = fmax(ks, fmax(last / n - u, u - (first - 1) / n));
    for (double r = first; r <= last; r++) { cvm += ((2 * r - 1) / (2 * n) - u) * ((2 * r - 1) / (2 * n) - u); }
    ad += (copies * (2 * first - 1) + extra) * logs[2 * i] + (copies * (2 * (n - first) + 1) - extra) * logs[2 * i + 1];
    rank += copies;
    while (level <= LEVELS && last >= level * n / (LEVELS + 1)) { /* the smallest value with at least this share at or below */
      double d = fabs(u - level / (LEVELS + 1.0));
      qq_max = fmax(qq_max, d);
      qq_sum += d;
      level++;
    }
  }
  *out = (nsl_uniformity){ks, cvm + 1 / (12 * n), -n - ad / n, qq_max, qq_sum / LEVELS};
}
