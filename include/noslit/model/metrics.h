/* Redshift metrics on arrays: what they are is said beside each (facts part C), with errors from a bootstrap over patches of
 * sky. Pure. Notation: z_p point estimate, z_t truth, dz = z_p - z_t, e = dz/(1+z_t), F and p the PDF's CDF and density in z. */
#ifndef NOSLIT_MODEL_METRICS_H
#define NOSLIT_MODEL_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"
#include "noslit/model/pdf.h"

/* X(name, key in metrics.json, definition) */
#define NSL_METRIC_LIST(X)                                                                                            \
  X(SIGMA_NMAD, "sigma_nmad", "1.48 median(|dz - median(dz)| / (1+z_t)): the CSST papers' formula")                   \
  X(SIGMA_MAD, "sigma_mad", "1.4826 median(|e - median(e)|)")                                                         \
  X(SIGMA_IQR, "sigma_iqr", "(q75(e) - q25(e)) / 1.349")                                                              \
  X(BIAS, "bias", "median(e)")                                                                                        \
  X(BIAS_MEAN, "bias_mean", "mean(e)")                                                                                \
  X(OUTLIER_002, "outlier_0.02", "fraction with |e| > 0.02")                                                          \
  X(OUTLIER_015, "outlier_0.15", "fraction with |e| > 0.15")                                                          \
  X(OUTLIER_3SIGMA, "outlier_3sigma", "fraction with |e| > max(0.06, 3 sigma_iqr)")                                   \
  X(OUTLIER_1000KMS, "outlier_1000kms", "fraction with c |e| > 1000 km/s")                                            \
  X(MEAN_E, "mean_e", "mean(E/(1+z_t)), E the standard deviation of the PDF in z")                                    \
  X(PULL_MEAN, "pull_mean", "mean(dz/E)")                                                                             \
  X(PULL_STD, "pull_std", "standard deviation of dz/E")                                                               \
  X(PIT_KS, "pit_ks", "Kolmogorov-Smirnov distance of the PITs F(z_t) from uniform")                                  \
  X(PIT_CVM, "pit_cvm", "Cramer-von Mises W2 = 1/(12N) + sum(((2i-1)/(2N) - u_i)^2), u the sorted PITs")              \
  X(PIT_AD, "pit_ad", "Anderson-Darling A2 of the PITs against uniform (one sample; PITs clipped to [1e-9, 1-1e-9])") \
  X(PIT_OUTLIER, "pit_outlier", "fraction of PITs below 1e-4 or above 0.9999")                                        \
  X(QQ_MAX, "qq_max", "largest |quantile of PIT - level| over the levels 0.01..0.99")                                 \
  X(QQ_MEAN, "qq_mean", "mean |quantile of PIT - level| over the levels 0.01..0.99")                                  \
  X(COVERAGE_68, "coverage_68", "fraction with z_t inside the central 68 % interval")                                 \
  X(COVERAGE_95, "coverage_95", "fraction with z_t inside the central 95 % interval")                                 \
  X(HPD_68, "hpd_68", "fraction with z_t inside the highest-density 68 % region")                                     \
  X(HPD_95, "hpd_95", "fraction with z_t inside the highest-density 95 % region")                                     \
  X(ECE, "ece", "mean |coverage - level| of central intervals over 20 levels 0.05..0.95")                             \
  X(CRPS, "crps", "mean of int (F(z) - [z >= z_t])^2 dz")                                                             \
  X(CDE_LOSS, "cde_loss", "mean(int p^2 dz) - 2 mean(p(z_t))")                                                        \
  X(NLL, "nll", "-mean ln p(z_t), p per unit z, not below 1e-10")                                                     \
  X(NLL_U, "nll_u", "-mean ln p(u_t), p per unit u = ln(1+z), not below 1e-10")                                       \
  X(BRIER, "brier", "mean of sum_b (P_b - [z_t in b])^2 over the PDF's bins, 0..2")                                   \
  X(SIGMA_NMAD_MEDIAN, "sigma_nmad_z_median", "sigma_nmad with z_median as the point estimate")                       \
  X(BIAS_MEDIAN, "bias_z_median", "bias with z_median as the point estimate")                                         \
  X(OUTLIER_002_MEDIAN, "outlier_0.02_z_median", "outlier_0.02 with z_median as the point estimate")                  \
  X(OUTLIER_015_MEDIAN, "outlier_0.15_z_median", "outlier_0.15 with z_median as the point estimate")

#define NSL_METRIC_ENUM(name, key, text) NSL_METRIC_##name,
typedef enum { NSL_METRIC_LIST(NSL_METRIC_ENUM) NSL_N_METRICS } nsl_metric;
#undef NSL_METRIC_ENUM

const char *nsl_metric_key(nsl_metric m);
const char *nsl_metric_definition(nsl_metric m);

/* Numbers of one matched source: all that the metrics need, so that no PDF is kept. */
typedef struct {
  double z_true, pit;
  float z_point, z_median;
  float sigma_z;      /* standard deviation of the PDF in z */
  float ln_p, ln_p_u; /* ln of the density at the truth, per unit z and per unit ln(1+z) */
  float crps, cde, brier;
  float hpd;     /* probability of the smallest highest-density region that reaches z_true */
  uint32_t unit; /* resampling unit (patch of sky), 0..n_units-1 */
} nsl_score;

/* Scores of histogram PDFs on one grid. */
typedef struct {
  nsl_pdf_grid grid;
  double *edge_z; /* [n+1] */
  double *prob;   /* [n] normalised probabilities of the PDF last scored */
} nsl_scorer;

nsl_status nsl_scorer_init(nsl_scorer *s, const nsl_pdf_grid *grid, nsl_error *err);
void nsl_scorer_free(nsl_scorer *s);
/* density per unit z [n], as the catalogue stores it; renormalised. Fills pit, sigma_z, ln_p, ln_p_u, crps, cde, brier, hpd.
 * 0 when the PDF has no mass or is not finite: then nothing is filled. */
int nsl_scorer_run(nsl_scorer *s, const float *density, double z_true, nsl_score *out);

/* Bootstrap draws: how often each unit is taken in each draw; the same for every selection, so that they can be compared. */
typedef struct {
  int n_draws;
  uint32_t n_units;
  uint16_t *count; /* [n_draws][n_units] */
} nsl_bootstrap;

nsl_status nsl_bootstrap_init(nsl_bootstrap *b, int n_draws, uint32_t n_units, uint64_t seed, nsl_error *err);
void nsl_bootstrap_free(nsl_bootstrap *b);

typedef struct {
  size_t n;
  double value[NSL_N_METRICS]; /* NaN where there is no value (no sources) */
  double error[NSL_N_METRICS]; /* standard deviation over the bootstrap draws; NaN without one */
} nsl_metrics;

/* Metrics of scores[rows[0..n)] (rows NULL: of scores[0..n)). bootstrap NULL: no errors. */
nsl_status nsl_metrics_compute(const nsl_score *scores, const uint32_t *rows, size_t n, const nsl_bootstrap *bootstrap,
                               nsl_metrics *out, nsl_error *err);

/* Purity and completeness against a cut confidence >= threshold.
 * efficiency = N(pass)/n_total, purity = N(pass and good)/N(pass), completeness = N(pass and good)/n_total. */
typedef struct {
  double threshold, efficiency, purity, completeness;
} nsl_cut_point;

/* good[i] says |e| is below the limit; n_total >= n counts all sources with a truth, also those without a PDF. Fills up to
 * max_points from the strictest cut to none, evenly spaced in number; returns how many. order: scratch [n]. */
int nsl_purity_curve(const float *confidence, const uint8_t *good, size_t n, size_t n_total, uint32_t *order, nsl_cut_point *points,
                     int max_points);
/* The most complete cut whose purity is at least `purity`; 0 when there is none. */
int nsl_purity_cut(const float *confidence, const uint8_t *good, size_t n, size_t n_total, uint32_t *order, double purity,
                   nsl_cut_point *out);

#endif
