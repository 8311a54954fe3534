/* One rank by itself. */
#include <stdlib.h>
#include <string.h>

#include "noslit/pipe/validate.h"

static nsl_status gather(void *ctx, const void *mine, size_t n, size_t item_bytes, void **all, size_t *n_all, nsl_error *err)
{
  (void)ctx;
  *all = malloc(n * item_bytes + 1);
  if (!*all) { return nsl_fail(err, NSL_E_NOMEM, "%zu items", n); }
  if (n > 0) { memcpy(*all, mine, n * item_bytes); }
  *n_all = n;
  return NSL_OK;
}

static nsl_status agree(void *ctx, nsl_status st, nsl_error *err)
{
  (void)ctx;
  (void)err;
  return st;
}

const nsl_validate_comm nsl_validate_alone = {.rank = 0, .size = 1, .gather = gather, .agree = agree};
