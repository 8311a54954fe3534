/* How the ranks of a validation talk. */
#include "noslit/par/validate.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>

#include "noslit/par/mpi_env.h"

/* Counts are of whole items, so that two thousand million of them go through MPI's ints. */
static nsl_status gather(void *ctx, const void *mine, size_t n, size_t item_bytes, void **all, size_t *n_all, nsl_error *err)
{
  const int *size = ctx;
  nsl_status st = NSL_OK;
  MPI_Datatype item;
  int *counts = malloc(2 * (size_t)*size * sizeof *counts), *at = counts + *size, count = n < INT_MAX ? (int)n : INT_MAX, sum = 0;
  *all = NULL;
  NSL_TRY(nsl_mpi_agree(!counts ? nsl_fail(err, NSL_E_NOMEM, "%d ranks", *size) : NSL_OK, err));
  MPI_Allgather(&count, 1, MPI_INT, counts, 1, MPI_INT, MPI_COMM_WORLD);
  for (int q = 0; q < *size; q++) {
    at[q] = sum;
    if (counts[q] > INT_MAX - 1 - sum) { NSL_THROW(err, NSL_E_VALUE, "too many sources to validate at once: select a part"); }
    sum += counts[q];
  }
  *n_all = (size_t)sum;
  *all = malloc(*n_all * item_bytes + 1);
  NSL_TRY(nsl_mpi_agree(!*all ? nsl_fail(err, NSL_E_NOMEM, "%zu sources to validate", *n_all) : NSL_OK, err));
  MPI_Type_contiguous((int)item_bytes, MPI_BYTE, &item);
  MPI_Type_commit(&item);
  if (MPI_Allgatherv(mine, count, item, *all, counts, at, item, MPI_COMM_WORLD) != MPI_SUCCESS) {
    st = nsl_fail(err, NSL_E_IO, "exchange of matched sources failed");
  }
  MPI_Type_free(&item);
cleanup:
  free(counts);
  if (st != NSL_OK) {
    free(*all);
    *all = NULL;
  }
  return st;
}

static nsl_status agree(void *ctx, nsl_status st, nsl_error *err)
{
  (void)ctx;
  return nsl_mpi_agree(st, err);
}

nsl_status nsl_validate_mpi(const nsl_validate_options *o, const nsl_log *log, nsl_json **metrics, nsl_error *err)
{
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  const nsl_validate_comm comm = {.rank = rank, .size = size, .ctx = &size, .gather = gather, .agree = agree};
  return nsl_mpi_agree(nsl_validate(o, &comm, log, metrics, err), err);
}
