/* What this program is, for the provenance of everything it writes. One mechanism: products take their words from here. Local. */
#ifndef NOSLIT_BASE_PROGRAM_H
#define NOSLIT_BASE_PROGRAM_H

enum { NSL_LIBRARIES_MAX = 192, NSL_PROGRAM_WORD_MAX = 64 };

/* Which numbers this program makes of the same inputs, configuration and model: a tile file of another results version is stale.
 * src/base/results_version.c says when it is raised. */
extern const int nsl_results_version;

const char *nsl_program_version(void); /* release, such as "0.1.0" */
const char *nsl_program_commit(void);  /* of the source tree, "-dirty" behind it when it was changed; "unknown" outside git */
const char *nsl_program_host(void);    /* this machine's name */

/* MPI's library ("Open MPI v4.1.4") and the number of ranks; told once by whoever starts MPI. Never told: no MPI, one rank. */
void nsl_program_set_mpi(const char *library, int n_ranks);
int nsl_program_ranks(void);
const char *nsl_program_mpi(void); /* "" without MPI */

#endif
