/* Batch normalisation's running statistics, measured anew on stamps: a network's fit to data that differ from its training set in
 * level or noise, without labels and without training. Local. */
#ifndef NOSLIT_PIPE_RENORM_H
#define NOSLIT_PIPE_RENORM_H

#include "noslit/base/log.h"
#include "noslit/pipe/model_file.h"

typedef struct {
  const char *model, *out; /* may be the same file */
  const char *const *stamps;
  size_t n_stamps; /* files */
  int batch;       /* stamps whose statistics are taken together */
} nsl_renorm_job;

typedef struct {
  size_t n;              /* stamps used: whole batches only */
  int n_norms;           /* batch norms of the network */
  double largest_shift;  /* of a channel's mean, in its old standard deviations */
  double largest_factor; /* of a channel's standard deviation, up or down, >= 1 */
} nsl_renorm_summary;

/* Mean of the batches' means, and mean of their variances plus the variance of their means; each batch is normalised by itself on
 * its way through the layers, as in training (facts A1.9). The calibration was fitted to the old statistics and is dropped. */
nsl_status nsl_model_renorm(const nsl_renorm_job *job, const nsl_log *log, nsl_renorm_summary *summary, nsl_error *err);

#endif
