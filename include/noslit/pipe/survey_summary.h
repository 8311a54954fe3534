/* What a survey looks like at a glance: counts, flags, n(z), SNR. Sums are of integers, so that they do not depend on who added
 * what first. Local. */
#ifndef NOSLIT_PIPE_SURVEY_SUMMARY_H
#define NOSLIT_PIPE_SURVEY_SUMMARY_H

#include <stdint.h>

#include "noslit/io/json.h"
#include "noslit/model/rows.h"

#define NSL_SUMMARY_Z_BINS 200  /* of 0.01 in z, from 0; the last holds all above */
#define NSL_SUMMARY_SNR_BINS 50 /* of 0.5, from 0; the last holds all above */

/* Nothing but int64_t: ranks add theirs up as one array. */
typedef struct {
  int64_t rows, with_pdf;
  int64_t flags[32];
  int64_t nz_mode[NSL_SUMMARY_Z_BINS];  /* sources by z_mode */
  int64_t nz_stack[NSL_SUMMARY_Z_BINS]; /* sum of the PDFs, in units of 2^-32 sources */
  int64_t snr_gv[NSL_SUMMARY_SNR_BINS], snr_gi[NSL_SUMMARY_SNR_BINS];
} nsl_survey_summary;

void nsl_survey_summary_add(nsl_survey_summary *s, const nsl_rows *rows, size_t first, size_t n);
nsl_json *nsl_survey_summary_json(const nsl_survey_summary *s);

#endif
