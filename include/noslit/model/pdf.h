/* Redshift PDFs: histograms on bins uniform in u = ln(1+z). Pure. */
#ifndef NOSLIT_MODEL_PDF_H
#define NOSLIT_MODEL_PDF_H

#include <stddef.h>

typedef struct {
  int n;         /* bins */
  double u0, du; /* bin i spans [u0 + i du, u0 + (i+1) du] in ln(1+z) */
} nsl_pdf_grid;

double nsl_pdf_edge_z(const nsl_pdf_grid *g, int i); /* z of edge i, 0..n */

/* Inside a bin the distribution is uniform in u. */

/* Summary of one PDF given as probabilities per bin (sum 1). */
typedef struct {
  double z_mode; /* probability-weighted mean of u over 11 bins round the peak, as z; the peak is the highest bin of the interval of
                    +-0.01 (1+z) that holds the most probability */
  double z_median, z_mean, z_lo68, z_hi68; /* quantiles 0.5, 0.16, 0.84, linear inside a bin; mean of z */
  double sigma_u;                          /* standard deviation of u = ln(1+z), i.e. E/(1+z) */
  double odds;                             /* probability within |dz|/(1+z) <= 0.01 of z_mode (quantile risk, facts C) */
  double entropy;                          /* nats */
} nsl_pdf_summary;

/* The histogram is normalised by its own sum; one without any probability gives NaN throughout. */
void nsl_pdf_summarise(const nsl_pdf_grid *g, const float *prob, nsl_pdf_summary *out);
/* u with cumulative probability q. */
double nsl_pdf_quantile_u(const nsl_pdf_grid *g, const float *prob, double q);
/* CDF at z (0 below the grid, 1 above). */
double nsl_pdf_cdf(const nsl_pdf_grid *g, const float *prob, double z);
/* Densities per unit z of each bin, as the catalogue stores them: prob / (z_{i+1} - z_i); and back. */
void nsl_pdf_density_z(const nsl_pdf_grid *g, const float *prob, float *density);
void nsl_pdf_from_density_z(const nsl_pdf_grid *g, const float *density, float *prob);

/* Rounds densities to the 12 bits of mantissa that products keep, ties to even: off by at most 2^-13 of the value. The bits behind
 * are noise that does not compress. Infinities and NaNs stay. */
#define NSL_PDF_MANTISSA_BITS 12
void nsl_pdf_round(float *density, size_t n);

#endif
