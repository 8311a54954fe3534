/* Redshifts of stamp files: what a model makes of a test set, as a catalogue that `noslit validate` reads, and the stamps' truth
 * beside it. Local. */
#ifndef NOSLIT_PIPE_ESTIMATE_STAMPS_H
#define NOSLIT_PIPE_ESTIMATE_STAMPS_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/log.h"
#include "noslit/base/status.h"

typedef struct {
  const char *model, *instrument; /* instrument: NULL, or an instrument file that the model must belong to */
  const char *out;                /* out: "<name>.hdf5"; the truth goes to "<name>.truth.h5" */
  const char *const *stamps;
  size_t n_stamps;
  int samples, batch;
  uint64_t seed;
} nsl_estimate_job;

/* Catalogue and truth, sorted by object_id. An identifier that comes twice is NSL_E_FORMAT. */
nsl_status nsl_estimate_stamps(const nsl_estimate_job *job, const nsl_log *log, size_t *n, nsl_error *err);

#endif
