/* How the ranks of a training talk. Gradients are reduced by slices: each rank gets its slice of every group's vector, adds them
 * in group order, and the sums go back to all. As much traffic as MPI_Allreduce, but the same bits for any number of ranks. */
#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/par/mpi_env.h"
#include "noslit/par/train.h"

static volatile sig_atomic_t asked_to_stop; /* set by the signal handler alone */

static void on_signal(int sig)
{
  (void)sig;
  asked_to_stop = 1;
}

typedef struct {
  int rank, size;
  int *out_count, *out_at, *in_count, *in_at; /* [size] */
  float *slices;                              /* [size][slice] */
  size_t slice;                               /* that slices has room for */
} exchange;

static size_t slice_begin(size_t n, int rank, int size) { return n * (size_t)rank / (size_t)size; }

static nsl_status mpi_error(int rc, const char *what, nsl_error *err)
{
  if (rc == MPI_SUCCESS) { return NSL_OK; }
  char text[MPI_MAX_ERROR_STRING] = "";
  int length;
  MPI_Error_string(rc, text, &length);
  return nsl_fail(err, NSL_E_IO, "%s: %s", what, text);
}

static nsl_status sum(void *ctx, int n_groups, size_t n, const float *mine, float *total, nsl_error *err)
{
  nsl_status st = NSL_OK;
  exchange *x = ctx;
  size_t begin = slice_begin(n, x->rank, x->size), slice = slice_begin(n, x->rank + 1, x->size) - begin;
  nsl_status memory = NSL_OK;
  if (slice > x->slice) {
    free(x->slices);
    x->slices = malloc((slice * (size_t)x->size + 1) * sizeof *x->slices);
    x->slice = x->slices ? slice : 0;
    memory = x->slices ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "exchange of %zu gradients", n);
  }
  if (memory != NSL_OK) { return memory; } /* the job ends: nothing collective can follow */
  memset(total + begin, 0, slice * sizeof *total);
  for (int first = 0; first < n_groups; first += x->size) {
    int here = n_groups - first < x->size ? n_groups - first : x->size; /* ranks with a group in this round */
    for (int q = 0; q < x->size; q++) {
      size_t b = slice_begin(n, q, x->size), e = slice_begin(n, q + 1, x->size);
      x->out_at[q] = (int)b;
      x->out_count[q] = x->rank < here ? (int)(e - b) : 0;
      x->in_at[q] = (int)((size_t)q * slice);
      x->in_count[q] = q < here ? (int)slice : 0;
    }
    const float *vector = x->rank < here ? mine + (size_t)(first / x->size) * n : mine;
    NSL_TRY(mpi_error(
        MPI_Alltoallv(vector, x->out_count, x->out_at, MPI_FLOAT, x->slices, x->in_count, x->in_at, MPI_FLOAT, MPI_COMM_WORLD),
        "exchange of gradients", err));
    for (int q = 0; q < here; q++) {
      const float *from = x->slices + (size_t)q * slice;
      for (size_t i = 0; i < slice; i++) { total[begin + i] += from[i]; }
    }
  }
  for (int q = 0; q < x->size; q++) {
    x->in_at[q] = (int)slice_begin(n, q, x->size);
    x->in_count[q] = (int)(slice_begin(n, q + 1, x->size) - slice_begin(n, q, x->size));
  }
  NSL_TRY(mpi_error(MPI_Allgatherv(MPI_IN_PLACE, 0, MPI_FLOAT, total, x->in_count, x->in_at, MPI_FLOAT, MPI_COMM_WORLD),
                    "exchange of summed gradients", err));
cleanup:
  return st;
}

static nsl_status gather(void *ctx, const void *mine, size_t bytes, void *all, size_t total_bytes, nsl_error *err)
{
  nsl_status st = NSL_OK;
  exchange *x = ctx;
  int count = (int)bytes, at = 0;
  NSL_TRY(mpi_error(MPI_Allgather(&count, 1, MPI_INT, x->in_count, 1, MPI_INT, MPI_COMM_WORLD), "gathering of counts", err));
  for (int q = 0; q < x->size; q++) {
    x->in_at[q] = at;
    at += x->in_count[q];
  }
  if ((size_t)at != total_bytes) { NSL_THROW(err, NSL_E_BUG, "gathering %d of %zu bytes", at, total_bytes); }
  NSL_TRY(mpi_error(MPI_Allgatherv(mine, count, MPI_BYTE, all, x->in_count, x->in_at, MPI_BYTE, MPI_COMM_WORLD), "gathering", err));
cleanup:
  return st;
}

static nsl_status agree(void *ctx, nsl_status st, nsl_error *err)
{
  (void)ctx;
  return nsl_mpi_agree(st, err);
}

static int stop(void *ctx)
{
  (void)ctx;
  return asked_to_stop;
}

nsl_status nsl_train_mpi(const nsl_train_options *o, const nsl_log *log, nsl_train_summary *summary, nsl_error *err)
{
  nsl_status st = NSL_OK;
  exchange x = {0};
  MPI_Comm_rank(MPI_COMM_WORLD, &x.rank);
  MPI_Comm_size(MPI_COMM_WORLD, &x.size);
  int *lists = calloc((size_t)x.size * 4, sizeof *lists);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, old_term, old_usr1;
  asked_to_stop = 0;
  sigaction(SIGTERM, &action, &old_term);
  sigaction(SIGUSR1, &action, &old_usr1);
  NSL_TRY(nsl_mpi_agree(lists ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "training on %d ranks", x.size), err));
  x.out_count = lists;
  x.out_at = lists + x.size;
  x.in_count = lists + 2 * x.size;
  x.in_at = lists + 3 * x.size;
  const nsl_train_comm comm = {
      .rank = x.rank, .size = x.size, .ctx = &x, .sum = sum, .gather = gather, .agree = agree, .stop = stop};
  NSL_TRY(nsl_train_run(o, &comm, log, summary, err));
cleanup:
  sigaction(SIGTERM, &old_term, NULL);
  sigaction(SIGUSR1, &old_usr1, NULL);
  free(x.slices);
  free(lists);
  return st;
}
