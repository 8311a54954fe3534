#include "noslit/base/program.h"

#include <stdio.h>
#include <unistd.h>

#include "noslit_version.h"

static char mpi_library[NSL_PROGRAM_WORD_MAX], host[NSL_PROGRAM_WORD_MAX];
static int ranks = 1;

const char *nsl_program_version(void) { return NOSLIT_VERSION; }

const char *nsl_program_commit(void) { return NOSLIT_COMMIT; }

const char *nsl_program_host(void)
{
  if (!host[0] && gethostname(host, sizeof host - 1)) { snprintf(host, sizeof host, "unknown"); }
  return host;
}

void nsl_program_set_mpi(const char *library, int n_ranks)
{
  snprintf(mpi_library, sizeof mpi_library, "%s", library);
  ranks = n_ranks;
}

int nsl_program_ranks(void) { return ranks; }

const char *nsl_program_mpi(void) { return mpi_library; }
