#include "noslit/pipe/made_by.h"

#include <stdio.h>

#include <gnu/libc-version.h>

#include "noslit/base/program.h"
#include "noslit/io/libraries.h"
#include "noslit/nn/blas.h"

#ifdef __clang__
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

const char *nsl_serial_libraries(void)
{
  static char text[NSL_LIBRARIES_MAX - 48]; /* room for MPI behind it */
  char io[NSL_LIBRARIES_MAX / 2];
  if (!text[0]) {
    nsl_io_libraries(io, sizeof io);
    snprintf(text, sizeof text, "%s, openblas %s, glibc %s, %s", io, nsl_blas_version(), gnu_get_libc_version(), COMPILER);
  }
  return text;
}

const char *nsl_libraries(void)
{
  static char text[NSL_LIBRARIES_MAX];
  const char *mpi = nsl_program_mpi();
  if (!mpi[0]) { return nsl_serial_libraries(); }
  snprintf(text, sizeof text, "%s, mpi %s", nsl_serial_libraries(), mpi);
  return text;
}

const char *nsl_made_by_text(void)
{
  static char text[3 * NSL_PROGRAM_WORD_MAX];
  snprintf(text, sizeof text, "noslit %s (results %d, %s)", nsl_program_version(), nsl_results_version, nsl_program_commit());
  return text;
}

void nsl_made_by_json(nsl_json *o)
{
  nsl_json_set_text(o, "code_version", nsl_program_version());
  nsl_json_set_text(o, "code_commit", nsl_program_commit());
  nsl_json_set_i64(o, "results_version", nsl_results_version);
  nsl_json_set_text(o, "libraries", nsl_libraries());
  nsl_json_set_text(o, "blas_core", nsl_blas_core());
  nsl_json_set_text(o, "host", nsl_program_host());
  nsl_json_set_i64(o, "ranks", nsl_program_ranks());
}

nsl_status nsl_made_by_h5(nsl_h5 *f, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_h5_put_text(f, "/", "code_version", nsl_program_version(), err));
  NSL_TRY(nsl_h5_put_text(f, "/", "code_commit", nsl_program_commit(), err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "results_version", nsl_results_version, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "libraries", nsl_serial_libraries(), err));
  NSL_TRY(nsl_h5_put_text(f, "/", "blas_core", nsl_blas_core(), err));
  NSL_TRY(nsl_h5_put_text(f, "/", "host", nsl_program_host(), err));
cleanup:
  return st;
}
