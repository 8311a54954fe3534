/* MPI start and end, in one place. par is the only room that sees mpi.h. */
#ifndef NOSLIT_PAR_MPI_ENV_H
#define NOSLIT_PAR_MPI_ENV_H

typedef struct {
  int rank, size;
} nsl_mpi;

/* Collective. MPI_Init_thread(FUNNELED), MPI_ERRORS_RETURN; also right without mpirun (size 1). */
nsl_mpi nsl_mpi_start(int *argc, char ***argv);
/* Collective. H5close, MPI_Finalize; bounded: when a rank is gone (lost != 0) an alarm ends the process with exit_code. */
void nsl_mpi_end(int lost, int exit_code);

/* Collective: the largest status code of all ranks, its error text everywhere. */
#include "noslit/base/status.h"
nsl_status nsl_mpi_agree(nsl_status st, nsl_error *err);
void nsl_mpi_barrier(void);

#endif
