/* Private: the canonical grids of a stamp's bands in a file, for stamp files and model files. */
#ifndef NOSLIT_PIPE_BAND_ATTRIBUTES_H
#define NOSLIT_PIPE_BAND_ATTRIBUTES_H

#include "noslit/io/h5.h"
#include "noslit/model/instrument.h"
#include "noslit/model/stamp.h"

/* The canonical grids as attributes of the root. */
nsl_status nsl_bands_put(nsl_h5 *f, const nsl_band band[NSL_STAMP_BANDS], nsl_error *err);
nsl_status nsl_bands_get(nsl_h5 *f, nsl_band band[NSL_STAMP_BANDS], nsl_error *err);
/* NULL when the grids are the same, else a line that says what differs; caller frees. */
char *nsl_bands_difference(const nsl_band a[NSL_STAMP_BANDS], const nsl_band b[NSL_STAMP_BANDS]);

#endif
