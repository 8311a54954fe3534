/* What `noslit validate` shows of a metrics document. */
#ifndef NOSLIT_CLI_VALIDATE_OUTPUT_H
#define NOSLIT_CLI_VALIDATE_OUTPUT_H

#include <stdio.h>

#include "noslit/io/json.h"

/* The readable table on stdout. */
void nsl_validate_print(const nsl_json *metrics);

/* Checks the document against a YAML file of thresholds,
 *
 *     "snr_gi>=3":
 *       sigma_nmad: {max: 0.02}
 *       "outlier_0.02": {max: 0.05}
 *     match:
 *       completeness: {min: 0.9}
 *
 * prints a table of what passed and failed to `out`, and sets *failed to how many failed. A number that does not exist fails;
 * a selection or metric that the document does not know is NSL_E_CONFIG. */
nsl_status nsl_validate_require(const char *path, const nsl_json *metrics, FILE *out, int *failed, nsl_error *err);

#endif
