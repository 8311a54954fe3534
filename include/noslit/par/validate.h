/* Validation by the ranks of MPI_COMM_WORLD. Collective. */
#ifndef NOSLIT_PAR_VALIDATE_H
#define NOSLIT_PAR_VALIDATE_H

#include "noslit/pipe/validate.h"

/* As nsl_validate; *metrics is NULL on other ranks than 0. */
nsl_status nsl_validate_mpi(const nsl_validate_options *o, const nsl_log *log, nsl_json **metrics, nsl_error *err);

#endif
