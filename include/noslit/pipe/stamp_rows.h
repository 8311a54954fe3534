/* What a model makes of all the stamps of a reader. Local. */
#ifndef NOSLIT_PIPE_STAMP_ROWS_H
#define NOSLIT_PIPE_STAMP_ROWS_H

#include "noslit/base/log.h"
#include "noslit/pipe/infer.h"
#include "noslit/pipe/stamp_file.h"

/* Rows of all stamps of the reader, or of the first `limit` if that is not 0, in the reader's order, allocated here. The stamps
 * have no place on the sky: ra = dec = 0. */
nsl_status nsl_stamp_rows(nsl_infer *inf, const nsl_stamp_reader *reader, size_t limit, int batch, const nsl_log *log,
                          nsl_rows *rows, nsl_error *err);

#endif
