/* Private: turns the Monte Carlo samples of one source into its mean PDF and what their spread says. Samples are added one by
 * one in their order, so the result does not depend on how they were batched. */
#ifndef NOSLIT_PIPE_INFER_SAMPLES_H
#define NOSLIT_PIPE_INFER_SAMPLES_H

#include "noslit/pipe/model_file.h"

typedef struct {
  int n, bad;                       /* samples added; 1 once a sample was not finite */
  float centre;                     /* bin that moments are counted from */
  double mean, mean2, var, entropy; /* sums over samples of: mean bin, its square, variance in bins^2, entropy */
  float *sum, *odd;                 /* [grid.n] sum of the samples' probabilities, and of every second one's */
} nsl_samples;

/* Scratch shared by all sources: allocated once. */
typedef struct {
  nsl_head head;
  nsl_pdf_grid grid;
  float per_temperature;
  int n_padded; /* grid.n rounded up to whole vectors */
  float *work;  /* [2][n_padded], aligned */
} nsl_sample_kernel;

nsl_status nsl_sample_kernel_init(nsl_sample_kernel *k, const nsl_model *model, nsl_error *err);
void nsl_sample_kernel_free(nsl_sample_kernel *k);

void nsl_samples_clear(const nsl_sample_kernel *k, nsl_samples *s);
/* Adds one output of the network: logits [grid.n], or {mean z, ln variance}. */
void nsl_samples_add(nsl_sample_kernel *k, nsl_samples *s, const float *output);

/* How far the mean PDF may still be from that of endless samples: their Kullback-Leibler divergence to second order, sum (dp)^2 /
 * 2p, the variance of dp estimated from the means of the odd and of the even samples. Infinite below two samples. */
double nsl_samples_error(const nsl_sample_kernel *k, const nsl_samples *s);

typedef struct {
  double sigma_epistemic, sigma_aleatoric; /* in ln(1+z) */
  double mean_entropy;                     /* of the samples, nats */
  double mc_error;                         /* nsl_samples_error */
} nsl_samples_spread;

/* Mean PDF (sum 1) into prob [grid.n]. 0 when there is none: no sample, or one that was not finite. */
int nsl_samples_finish(const nsl_sample_kernel *k, const nsl_samples *s, float *prob, nsl_samples_spread *spread);

#endif
