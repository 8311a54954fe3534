/* Data-parallel training under MPI. */
#ifndef NOSLIT_PAR_TRAIN_H
#define NOSLIT_PAR_TRAIN_H

#include "noslit/pipe/train.h"

/* Collective over MPI_COMM_WORLD. SIGTERM and SIGUSR1 are caught while it runs: NSL_E_DRAINED, with a checkpoint. */
nsl_status nsl_train_mpi(const nsl_train_options *o, const nsl_log *log, nsl_train_summary *summary, nsl_error *err);

#endif
