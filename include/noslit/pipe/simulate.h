/* The mock survey: exposures, source catalogue, truth table, training stamps. Work is split in independent items so that any
 * number of ranks gives the same bits. Local; par/simulate_mpi deals the items out. */
#ifndef NOSLIT_PIPE_SIMULATE_H
#define NOSLIT_PIPE_SIMULATE_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/instrument.h"

typedef struct nsl_mock nsl_mock;

/* Draws the sky (sources, spectra, shapes; a function of the seed alone). */
nsl_status nsl_mock_new(const nsl_config *cfg, const nsl_instrument *inst, const nsl_log *log, nsl_mock **out, nsl_error *err);
void nsl_mock_free(nsl_mock *m);

/* Exposures: n frames, each written by one call (atomic; L1 format of facts A3). */
int nsl_mock_n_frames(const nsl_mock *m);
nsl_status nsl_mock_write_frame(nsl_mock *m, int frame, nsl_error *err);
/* Catalogue and truth table (FITS); called once, by one rank, after the frames. */
nsl_status nsl_mock_write_tables(nsl_mock *m, nsl_error *err);
/* What made frames and tables (<outdir>/simulate.json) or stamps (<stamps_dir>/<set>_simulate.json): program, host, ranks and all
 * settings, which may differ between runs that make the same bits. */
nsl_status nsl_mock_write_provenance(nsl_mock *m, int of_stamps, double wall_s, nsl_error *err);

/* Training stamps, made through the same render and combine code as frames and run: one galaxy with its own small sky. */
nsl_status nsl_mock_make_stamps(nsl_mock *m, int64_t first, int64_t n, const char *path, nsl_error *err); /* one stamp file shard */

#endif
