#include "noslit/par/mpi_env.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/program.h"
#include "noslit/io/h5.h"

int nsl_mpi_is_launched(void)
{
  static const char *const told[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};
  for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
    if (getenv(told[i])) { return 1; }
  }
  return 0;
}

/* "Open MPI v4.1.4" of "Open MPI v4.1.4, package: ...", "MPICH Version: 4.0.2" of as many lines. */
static void note_library(int n_ranks)
{
  char text[MPI_MAX_LIBRARY_VERSION_STRING] = "";
  int n = 0;
  MPI_Get_library_version(text, &n);
  text[strcspn(text, ",\n")] = '\0';
  for (char *p = text; *p; p++) {
    if (*p == '\t') { *p = ' '; }
  }
  nsl_program_set_mpi(text, n_ranks);
}

nsl_mpi nsl_mpi_start(int *argc, char ***argv)
{
  nsl_mpi mpi = {0, 1};
  int provided;
  MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &mpi.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &mpi.size);
  note_library(mpi.size);
  return mpi;
}

static volatile sig_atomic_t end_code;

static void leave_now(int sig)
{
  (void)sig;
  _exit(end_code);
}

/* Does a rank that leaves without MPI_Finalize leave the others alone? (mpirun --enable-recovery) */
static int others_survive(void)
{
  const char *v = getenv("OMPI_MCA_orte_enable_recovery");
  return v && !strcmp(v, "1");
}

void nsl_mpi_end(int lost, int exit_code)
{
  /* Without recovery the first rank to leave unfinalised takes all others with it, so the master must be the one: the workers
   * have nothing more to say, and wait for it. */
  enum { MASTER_TIMEOUT_S = 5, WORKER_TIMEOUT_S = 600 };
  int rank;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  fflush(NULL);
  nsl_h5_shutdown();
  if (lost) {
    if (lost < 0 && rank == 0 && others_survive()) { MPI_Abort(MPI_COMM_WORLD, exit_code); }
    end_code = exit_code;
    signal(SIGALRM, leave_now);
    alarm(rank == 0 || others_survive() ? MASTER_TIMEOUT_S : WORKER_TIMEOUT_S);
  }
  MPI_Finalize();
}

nsl_status nsl_mpi_agree(nsl_status st, nsl_error *err)
{
  struct {
    int status, rank;
  } mine = {(int)st, 0}, worst;
  MPI_Comm_rank(MPI_COMM_WORLD, &mine.rank);
  MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD);
  if (worst.status == NSL_OK) { return NSL_OK; }
  char text[NSL_ERROR_TEXT_MAX] = "";
  if (err && mine.rank == worst.rank) { memcpy(text, err->text, sizeof text); }
  MPI_Bcast(text, sizeof text, MPI_CHAR, worst.rank, MPI_COMM_WORLD);
  return nsl_fail(err, (nsl_status)worst.status, "%s", text);
}

void nsl_mpi_barrier(void) { MPI_Barrier(MPI_COMM_WORLD); }
