/* Reading the merged catalogue (qp-compatible HDF5) by row ranges. Local. */
#ifndef NOSLIT_PIPE_CATALOGUE_H
#define NOSLIT_PIPE_CATALOGUE_H

#include "noslit/io/h5.h"
#include "noslit/model/rows.h"

typedef struct nsl_catalogue nsl_catalogue;
nsl_status nsl_catalogue_open(const char *path, nsl_catalogue **out, nsl_error *err);
void nsl_catalogue_close(nsl_catalogue *c);
int64_t nsl_catalogue_rows(const nsl_catalogue *c);
int nsl_catalogue_order(const nsl_catalogue *c); /* HEALPix order of the tiles */
const nsl_pdf_grid *nsl_catalogue_grid(const nsl_catalogue *c);
nsl_h5 *nsl_catalogue_file(nsl_catalogue *c); /* for attributes */
/* Rows [first, first+n) into newly allocated rows (caller frees with nsl_rows_free). with_pdf 0 leaves pdf NULL. */
nsl_status nsl_catalogue_read(nsl_catalogue *c, int64_t first, int64_t n, int with_pdf, nsl_rows *out, nsl_error *err);

#endif
