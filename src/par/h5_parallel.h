/* One HDF5 file written by all ranks of MPI_COMM_WORLD: the only parallel HDF5 code. Everything here is Collective: every rank
 * makes the same calls in the same order with the same arguments, rows and data of nsl_h5p_write_rows apart.
 *
 * A failure on one rank is returned on that rank only; the caller goes on with the same sequence of calls and then agrees
 * (nsl_mpi_agree). Filters work only with collective transfers, fixed extents and whole chunks per rank (facts G 3). */
#ifndef NOSLIT_PAR_H5_PARALLEL_H
#define NOSLIT_PAR_H5_PARALLEL_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"
#include "noslit/io/h5.h"

typedef struct nsl_h5p nsl_h5p;

nsl_status nsl_h5p_create(const char *path, nsl_h5p **out, nsl_error *err); /* truncates; the caller publishes */
nsl_status nsl_h5p_close(nsl_h5p *f, nsl_error *err);                       /* frees f in any case */
nsl_status nsl_h5p_group(nsl_h5p *f, const char *path, nsl_error *err);
/* A dataset of fixed extent; chunks of chunk_rows whole rows, shuffle, deflate and fletcher32. No rows: no chunks. */
nsl_status nsl_h5p_create_rows(nsl_h5p *f, const char *path, nsl_h5_type type, int rank, const size_t *dims, size_t chunk_rows,
                               int deflate, nsl_error *err);
/* This rank's rows [first, first + count), which must be whole chunks (or end the dataset); count 0 takes part with nothing. */
nsl_status nsl_h5p_write_rows(nsl_h5p *f, const char *path, nsl_h5_type type, size_t first, size_t count, const void *data,
                              nsl_error *err);
/* A small dataset, the same on every rank. */
nsl_status nsl_h5p_write(nsl_h5p *f, const char *path, nsl_h5_type type, int rank, const size_t *dims, const void *data,
                         nsl_error *err);
/* n strings of exactly `size` bytes, padded with NULs. */
nsl_status nsl_h5p_write_fixed_text(nsl_h5p *f, const char *path, size_t n, size_t size, const char *data, nsl_error *err);
nsl_status nsl_h5p_put_text(nsl_h5p *f, const char *path, const char *key, const char *v, nsl_error *err);
nsl_status nsl_h5p_put_f64(nsl_h5p *f, const char *path, const char *key, double v, nsl_error *err);
nsl_status nsl_h5p_put_i64(nsl_h5p *f, const char *path, const char *key, int64_t v, nsl_error *err);

#endif
