/* What every product says of the program that made it: release, commit, results version, libraries, host, ranks. Local. */
#ifndef NOSLIT_PIPE_MADE_BY_H
#define NOSLIT_PIPE_MADE_BY_H

#include "noslit/io/h5.h"
#include "noslit/io/json.h"

/* "hdf5 1.10.8, cfitsio 4.2.0, ..., mpi Open MPI v4.1.4": the libraries that numbers or bytes go through, the C library and the
 * compiler, in their versions of this moment; without mpi when MPI was not started. */
const char *nsl_libraries(void);
/* The same without MPI, for products whose bytes do not depend on ranks. */
const char *nsl_serial_libraries(void);
/* "noslit 0.1.0 (results 1, 0a1b2c3d4e5f)" */
const char *nsl_made_by_text(void);
/* Members of an object: code_version, code_commit, results_version, libraries, blas_core, host, ranks. */
void nsl_made_by_json(nsl_json *o);
/* The same as attributes of the root, but for MPI and ranks: on those the bytes of stamp files do not depend (simulate.json beside
 * them has both). */
nsl_status nsl_made_by_h5(nsl_h5 *f, nsl_error *err);

#endif
