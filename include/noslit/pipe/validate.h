/* Validation of a catalogue against spectroscopic truth. Local. */
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
  const nsl_select *select; /* NULL for everything */
  double min_deltachi2;     /* truth rows with a smaller DELTACHI2 are left out; 0 for no cut */
  int n_draws;              /* bootstrap draws; 0 for the default (200), -1 for none */
  uint64_t seed;            /* of the bootstrap */
  const char *matched_path; /* HDF5 file to write with one row per matched source (what tools/report.py draws); NULL for none */
} nsl_validate_options;

/* Builds the metrics document: {"all": {...}, "snr_gi>=1": {...}, ...} (design section 2), then bins "<axis>[lo,hi)" and
 * "flag:<word>", plus "match", "confidence" (purity and completeness against the cut), "worst" (confident failures), "nz" and
 * "meta" (what was read, how each number is defined). A selection has n, n_no_pdf, every metric of model/metrics.h and its
 * bootstrap error as
 * "<key>_err"; "few" marks n < 30. Numbers that do not exist are null. */
nsl_status nsl_validate(const nsl_validate_options *o, const nsl_log *log, nsl_json **metrics, nsl_error *err);

#endif
