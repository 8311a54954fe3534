/* The serial twin of par/train_mpi.c: one rank by itself. */
#include <string.h>

#include "noslit/pipe/train.h"

static nsl_status sum(void *ctx, int n_groups, size_t n, const float *mine, float *total, nsl_error *err)
{
  (void)ctx;
  (void)err;
  memset(total, 0, n * sizeof *total);
  for (int g = 0; g < n_groups; g++) {
    for (size_t i = 0; i < n; i++) { total[i] += mine[(size_t)g * n + i]; }
  }
  return NSL_OK;
}

static nsl_status gather(void *ctx, const void *mine, size_t bytes, void *all, size_t total_bytes, nsl_error *err)
{
  (void)ctx;
  if (bytes != total_bytes) { return nsl_fail(err, NSL_E_BUG, "gathering %zu of %zu bytes", bytes, total_bytes); }
  memcpy(all, mine, bytes);
  return NSL_OK;
}

static nsl_status agree(void *ctx, nsl_status st, nsl_error *err)
{
  (void)ctx;
  (void)err;
  return st;
}

static int stop(void *ctx)
{
  (void)ctx;
  return 0;
}

const nsl_train_comm nsl_train_alone = {.rank = 0, .size = 1, .sum = sum, .gather = gather, .agree = agree, .stop = stop};
