/* Weighted order statistics for the bootstrap: a column is sorted once, then every draw only walks along it. A draw says how
 * often each unit is taken; statistics are those of the column with each row repeated that often. Private to metrics. */
#ifndef NOSLIT_MODEL_METRICS_SORTED_H
#define NOSLIT_MODEL_METRICS_SORTED_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  size_t n;
  double *value;  /* [n] ascending */
  double *factor; /* [n] what goes with each value; may be NULL */
  uint32_t *unit; /* [n] */
} nsl_sorted;

/* Copies and sorts; factor may be NULL. 0 when out of memory. */
int nsl_sorted_init(nsl_sorted *s, const double *value, const double *factor, const uint32_t *unit, size_t n);
void nsl_sorted_free(nsl_sorted *s);

/* Quantiles (linear between order statistics, numpy's default) of the column repeated by weight[unit]; total: sum of the weights
 * over rows, at least 1. At most 4 at once. */
void nsl_sorted_quantiles(const nsl_sorted *s, const uint32_t *weight, size_t total, const double *q, int n_q, double *out);

/* Median of v[i] >= 0 repeated by weight[unit[i]]. guess: about what it will be (NaN if unknown), which saves time.
 * scratch holds `total` values. */
double nsl_weighted_median(const double *v, const uint32_t *unit, const uint32_t *weight, size_t n, size_t total, double guess,
                           double *scratch);

/* Statistics of PITs against the uniform distribution. */
typedef struct {
  double ks, cvm, ad, qq_max, qq_mean;
} nsl_uniformity;

/* pit sorted, with factor[2 i] = ln u and factor[2 i + 1] = ln(1-u) given apart. */
void nsl_sorted_uniformity(const nsl_sorted *pit, const double *logs, const uint32_t *weight, size_t total, nsl_uniformity *out);

#endif
