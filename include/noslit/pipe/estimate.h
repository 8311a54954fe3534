/* Redshifts of stamp files: what a model makes of a test set, as a catalogue that `noslit validate` reads, and the stamps' truth
 * beside it. Local. */
#ifndef NOSLIT_PIPE_ESTIMATE_H
#define NOSLIT_PIPE_ESTIMATE_H

#include "noslit/base/log.h"
#include "noslit/pipe/infer.h"
#include "noslit/pipe/stamp_file.h"

typedef struct {
  const char *model, *out; /* out: "<name>.hdf5"; the truth goes to "<name>.truth.h5" */
  const char *const *stamps;
  size_t n_stamps;
  int samples, batch;
  uint64_t seed;
} nsl_estimate_job;

/* Rows of all stamps of the reader in the reader's order, allocated here. The stamps have no place on the sky: ra = dec = 0. */
nsl_status nsl_estimate_rows(nsl_infer *inf, const nsl_stamp_reader *reader, int batch, const nsl_log *log, nsl_rows *rows,
                             nsl_error *err);
/* Catalogue and truth, sorted by object_id. An identifier that comes twice is NSL_E_FORMAT. */
nsl_status nsl_estimate_run(const nsl_estimate_job *job, const nsl_log *log, size_t *n, nsl_error *err);

#endif
