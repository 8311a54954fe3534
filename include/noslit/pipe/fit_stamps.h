/* Redshifts of stamps by fitting spectra to their pixels, without a network: what one would do by hand, and the yardstick that a
 * network is held against. Local.
 *
 * template  non-negative combinations of built-in stellar populations and groups of emission lines, seen through the shape that the
 *           catalogue gives; the PDF is exp(-chi2/2) x nsl_fit_prior with every amplitude at its best
 * oracle    the same with the source's own true spectrum and shape, which the mock makes again from its identifier */
#ifndef NOSLIT_PIPE_FIT_STAMPS_H
#define NOSLIT_PIPE_FIT_STAMPS_H

#include "noslit/base/log.h"
#include "noslit/model/fit.h"
#include "noslit/model/rows.h"
#include "noslit/pipe/simulate.h"
#include "noslit/pipe/stamp_file.h"

/* mock: NULL for template; for the oracle the mock that made the stamps (same configuration and seed). limit: at most so many
 * stamps are fitted, 0 for all. Rows in the reader's order, allocated here; stars have no PDF. NSL_E_MISMATCH: the mock does not
 * make a source of these stamps with their redshift and magnitude. */
nsl_status nsl_fit_rows(const nsl_instrument *inst, nsl_mock *mock, const nsl_stamp_reader *reader, size_t limit,
                        const nsl_log *log, nsl_rows *rows, nsl_error *err);

#endif
