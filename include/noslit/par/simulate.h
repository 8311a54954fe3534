/* The mock under MPI: frames and shards of training stamps are independent items, dealt round-robin over the ranks. */
#ifndef NOSLIT_PAR_SIMULATE_H
#define NOSLIT_PAR_SIMULATE_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/instrument.h"
#include "noslit/par/mpi_env.h"

typedef struct {
  int64_t frames, stamps;
  double wall_s;
  double stamps_cpu_s; /* summed over ranks */
} nsl_simulate_summary;

/* Collective over MPI_COMM_WORLD. Writes simulate.stamps training stamps into simulate.stamps_dir, named <set>_<shard>.h5, and,
 * unless stamps_only, the survey's frames and tables into simulate.outdir. The files do not depend on the number of ranks.
 * Every rank fills summary. */
nsl_status nsl_simulate(const nsl_config *cfg, const nsl_instrument *inst, int stamps_only, nsl_mpi mpi, const nsl_log *log,
                        nsl_simulate_summary *summary, nsl_error *err);

#endif
