/* Fits a model's calibration (model/calibration.h) on stamps that it was not trained and not chosen on. Local. */
#ifndef NOSLIT_PIPE_CALIBRATE_H
#define NOSLIT_PIPE_CALIBRATE_H

#include "noslit/base/log.h"
#include "noslit/pipe/infer.h"

typedef struct {
  const char *model, *out; /* may be the same file */
  const char *const *stamps;
  size_t n_stamps;
  int samples; /* dropout samples */
  uint64_t seed;
} nsl_calibrate_job;

/* NLL per unit ln(1+z), PIT Kolmogorov-Smirnov distance and coverage on the calibration stamps. */
typedef struct {
  double nll, pit_ks, coverage_68, coverage_95;
} nsl_calibrate_score;

typedef struct {
  size_t n, n_good, n_unusual; /* galaxies that were used; with |dz|/(1+z) < 0.01; flagged */
  nsl_calibrate_score before, after;
} nsl_calibrate_summary;

/* Writes the model with its new calibration, which replaces any that it had; the model card gets what the summary says. */
nsl_status nsl_model_calibrate(const nsl_calibrate_job *job, const nsl_log *log, nsl_calibrate_summary *summary, nsl_error *err);

#endif
