/* Stamp files of a survey's sources with known redshift: what a network is fine-tuned, calibrated and tested on when the sky is
 * real. The stamps are those that `run` would measure. Local. */
#ifndef NOSLIT_PIPE_SURVEY_STAMPS_H
#define NOSLIT_PIPE_SURVEY_STAMPS_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/match.h"
#include "noslit/model/select.h"
#include "noslit/pipe/truth.h"

#define NSL_SURVEY_SETS 3
extern const char *const nsl_survey_sets[NSL_SURVEY_SETS]; /* train, validation, calibration */

typedef struct {
  const nsl_config *cfg;
  const nsl_select *select; /* which tiles */
  nsl_truth_options truth;
  int by_position; /* match by position even when there are identifiers */
  double radius_arcsec;
  const char *dir;            /* gets <set>_00000.h5, ...; <set>_p<I>_00000.h5 with --part I/N; must hold none of these before */
  int share[NSL_SURVEY_SETS]; /* of the sources, by a hash of their identifier: the same source is always in the same set */
  int per_file;
} nsl_survey_stamps_job;

typedef struct {
  nsl_match_counts match;
  nsl_truth_counts truth;
  int64_t made[NSL_SURVEY_SETS];
  int64_t empty; /* matched, but nothing to measure */
  int files;
} nsl_survey_stamps_summary;

/* Makes the plan when it is missing or out of date. In the labels the SNR without noise is NaN: nobody knows it. */
nsl_status nsl_survey_stamps(const nsl_survey_stamps_job *job, const nsl_log *log, nsl_survey_stamps_summary *out, nsl_error *err);

#endif
