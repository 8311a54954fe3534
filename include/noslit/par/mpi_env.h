/* MPI start and end, in one place. par is the only room that sees mpi.h. */
#ifndef NOSLIT_PAR_MPI_ENV_H
#define NOSLIT_PAR_MPI_ENV_H

typedef struct {
  int rank, size;
} nsl_mpi;

/* Was this process started by mpirun or srun, as one of several or alone? Asks the environment only. */
int nsl_mpi_is_launched(void);
/* Collective. MPI_Init_thread(FUNNELED), MPI_ERRORS_RETURN; also right without mpirun (size 1). */
nsl_mpi nsl_mpi_start(int *argc, char ***argv);
/* H5close, MPI_Finalize. Collective unless ranks are gone: lost is their number, negative if some of them may still exist, stuck,
 * on other hosts. Then the end is bounded: Open MPI's Finalize may wait for them for ever, so an alarm leaves with exit_code, and
 * rank 0 takes stuck ranks along with MPI_Abort. */
void nsl_mpi_end(int lost, int exit_code);

/* Collective: the largest status code of all ranks, its error text everywhere. */
#include "noslit/base/status.h"
nsl_status nsl_mpi_agree(nsl_status st, nsl_error *err);
void nsl_mpi_barrier(void);

#endif
