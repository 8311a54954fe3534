/* Redshifts of stamp files: what a model makes of a test set, as a catalogue that `noslit validate` reads, and the stamps' truth
 * beside it. Local. */
#ifndef NOSLIT_PIPE_ESTIMATE_STAMPS_H
#define NOSLIT_PIPE_ESTIMATE_STAMPS_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/log.h"
#include "noslit/base/status.h"

typedef enum { NSL_ESTIMATE_NETWORK, NSL_ESTIMATE_TEMPLATE, NSL_ESTIMATE_ORACLE } nsl_estimator;

typedef struct {
  nsl_estimator estimator;
  const char *model;            /* of the network */
  const char *instrument;       /* NULL, or an instrument file that the model must belong to; fits need it */
  const char *config;           /* oracle: the configuration that the stamps were made with */
  const char *const *overrides; /* and the "key=value" that were set beside it */
  int n_overrides;
  size_t limit;    /* at most so many stamps, the first ones; 0 for all */
  const char *out; /* out: "<name>.hdf5"; the truth goes to "<name>.truth.h5" */
  const char *const *stamps;
  size_t n_stamps;
  int samples, batch;
  uint64_t seed;
} nsl_estimate_job;

/* Catalogue and truth, sorted by object_id. An identifier that comes twice is NSL_E_FORMAT. */
nsl_status nsl_estimate_stamps(const nsl_estimate_job *job, const nsl_log *log, size_t *n, nsl_error *err);

#endif
