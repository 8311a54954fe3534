/* Validation of a catalogue against spectroscopic truth. Collective over a group of ranks that nsl_validate_comm stands for: they
 * share the blocks of the truth table and of the PDFs. The numbers are the same for any number of ranks. */
#ifndef NOSLIT_PIPE_VALIDATE_H
#define NOSLIT_PIPE_VALIDATE_H

#include "noslit/base/log.h"
#include "noslit/io/json.h"
#include "noslit/model/select.h"

typedef struct {
  const char *catalogue, *truth, *truth_where;                            /* truth_where: HDU or group; NULL for the first table */
  const char *id_column, *z_column, *ra_column, *dec_column, *snr_column; /* NULL: found by the usual names */
  double match_radius_arcsec; /* used when there is no ID column or by_position is set */
  int by_position;
  const nsl_select *select; /* NULL for everything; --exposure, --failed, --stale as the tiles they name (par/choose.h) */
  double min_deltachi2;     /* truth rows with a smaller DELTACHI2 are left out; 0 for no cut */
  int n_draws;              /* bootstrap draws; 0 for the default (200), -1 for none */
  uint64_t seed;            /* of the bootstrap */
  const char *matched_path; /* HDF5 file to write with one row per matched source (what tools/report.py draws); NULL for none */
} nsl_validate_options;

/* How ranks talk: nsl_validate_alone is one rank by itself, par/validate_mpi.c the MPI twin. All calls are collective. */
typedef struct {
  int rank, size;
  void *ctx;
  /* *all: the items of rank 0, then rank 1, ..., on every rank; caller frees. */
  nsl_status (*gather)(void *ctx, const void *mine, size_t n, size_t item_bytes, void **all, size_t *n_all, nsl_error *err);
  nsl_status (*agree)(void *ctx, nsl_status st, nsl_error *err); /* the worst status of all ranks, its text everywhere */
} nsl_validate_comm;

extern const nsl_validate_comm nsl_validate_alone;

/* Builds the metrics document: {"all": {...}, "snr_gi>=1": {...}, ...} (design section 2), then bins "<axis>[lo,hi)" and
 * "flag:<word>", plus "match", "confidence" (purity and completeness against the cut), "worst" (confident failures), "nz" and
 * "meta" (what was read, how each number is defined). A selection has n, n_no_pdf, every metric of model/metrics.h and its
 * bootstrap error as
 * "<key>_err"; "few" marks n < 30. Numbers that do not exist are null. *metrics is NULL on other ranks than 0. */
nsl_status nsl_validate(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log, nsl_json **metrics,
                        nsl_error *err);

#endif
