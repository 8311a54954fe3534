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
} nsl_validate_options;

/* Builds the metrics document: {"all": {...}, "snr_gi>=1": {...}, ...} (design section 2), plus "match" and "meta". */
nsl_status nsl_validate(const nsl_validate_options *o, const nsl_log *log, nsl_json **metrics, nsl_error *err);

#endif
