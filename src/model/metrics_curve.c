/* Which redshifts to believe: purity and completeness against a cut in confidence. */
#include <stdlib.h>

#include "noslit/model/metrics.h"

static int most_confident_first(const void *a, const void *b, void *confidence)
{
  uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
  const float *c = confidence;
  if (c[i] != c[j]) { return c[i] > c[j] ? -1 : 1; }
  return i < j ? -1 : i > j;
}

static void rank_rows(const float *confidence, size_t n, uint32_t *order)
{
  for (size_t i = 0; i < n; i++) { order[i] = (uint32_t)i; }
  /* qsort_r only reads through its last argument. */
  qsort_r(order, n, sizeof *order, most_confident_first, (void *)(uintptr_t)confidence);
}

static nsl_cut_point point_at(double threshold, size_t passed, size_t passed_good, size_t n_total)
{
  return (nsl_cut_point){threshold, (double)passed / (double)n_total, (double)passed_good / (double)passed,
                         (double)passed_good / (double)n_total};
}

int nsl_purity_curve(const float *confidence, const uint8_t *good, size_t n, size_t n_total, uint32_t *order, nsl_cut_point *points,
                     int max_points)
{
  rank_rows(confidence, n, order);
  int n_points = 0;
  size_t passed_good = 0;
  for (size_t i = 0; i < n && n_points < max_points; i++) {
    passed_good += good[order[i]];
    int ends_tie = i + 1 == n || confidence[order[i + 1]] != confidence[order[i]];
    if (ends_tie && (i + 1) * (size_t)max_points >= (size_t)(n_points + 1) * n) {
      points[n_points++] = point_at(confidence[order[i]], i + 1, passed_good, n_total);
    }
  }
  return n_points;
}

int nsl_purity_cut(const float *confidence, const uint8_t *good, size_t n, size_t n_total, uint32_t *order, double purity,
                   nsl_cut_point *out)
{
  rank_rows(confidence, n, order);
  size_t passed_good = 0;
  int found = 0;
  for (size_t i = 0; i < n; i++) {
    passed_good += good[order[i]];
    int ends_tie = i + 1 == n || confidence[order[i + 1]] != confidence[order[i]];
    if (ends_tie && (double)passed_good >= purity * (double)(i + 1)) {
      *out = point_at(confidence[order[i]], i + 1, passed_good, n_total);
      found = 1;
    }
  }
  return found;
}
