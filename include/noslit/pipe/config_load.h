/* Reads configuration and instrument files: io for bytes, model for meaning. Local. */
#ifndef NOSLIT_PIPE_CONFIG_LOAD_H
#define NOSLIT_PIPE_CONFIG_LOAD_H

#include "noslit/model/config.h"
#include "noslit/model/instrument.h"

/* overrides: "key=value" strings from the command line. */
nsl_status nsl_config_load(const char *path, const char *const *overrides, int n_overrides, nsl_config **out, nsl_error *err);

/* Instrument file, its conf files (paths relative to it) and their sensitivity tables (FITS table WAVELENGTH, SENSITIVITY, or
 * two-column text; paths relative to the conf). out is big: allocate it on the heap. */
nsl_status nsl_instrument_load(const char *path, nsl_instrument *out, nsl_error *err);

#endif
