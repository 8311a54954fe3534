/* The settings behind a configuration hash, kept beside the tiles, so that a stale tile can say which setting has changed. Local.
 */
#ifndef NOSLIT_PIPE_CONFIG_RECORD_H
#define NOSLIT_PIPE_CONFIG_RECORD_H

#include "noslit/model/config.h"

/* <workdir>/run/configs/<hash>.txt: the settings that can change a result, a line each. Written once. */
nsl_status nsl_config_record_keep(const char *workdir, const nsl_config *cfg, nsl_error *err);
/* "run.samples: 128 -> 64, ..." from the settings of the hash `was` to those of cfg, whose hash is `is`; "" when they are not
 * known. Fit for threads, and for a hundred thousand calls with the same hashes. */
void nsl_config_record_compare(const char *workdir, nsl_hash was, nsl_hash is, const nsl_config *cfg, char *out, size_t size);

#endif
