#include "noslit/io/table.h"
#include <fitsio.h>
#include <stdlib.h>
struct nsl_table { fitsfile *f; long n; };
nsl_status nsl_table_open(const char *path, const char *where, nsl_table **out, nsl_error *err)
{ (void)where; int s = 0; nsl_table *t = calloc(1, sizeof *t); fits_open_table(&t->f, path, READONLY, &s); fits_get_num_rows(t->f, &t->n, &s); *out = t; return s ? nsl_fail(err, NSL_E_IO, "%s", path) : NSL_OK; }
void nsl_table_close(nsl_table *t) { int s = 0; if (t) { fits_close_file(t->f, &s); free(t); } }
int64_t nsl_table_rows(const nsl_table *t) { return t->n; }
nsl_status nsl_table_require(const nsl_table *t, const char *name, int *column, nsl_error *err)
{ int s = 0; fits_get_colnum(t->f, CASEINSEN, (char *)(uintptr_t)name, column, &s); return s ? nsl_fail(err, NSL_E_IO, "%s", name) : NSL_OK; }
nsl_status nsl_table_read_f64(nsl_table *t, int column, int64_t first, int64_t n, double *out, nsl_error *err)
{ int s = 0, any; fits_read_col(t->f, TDOUBLE, column, first + 1, 1, n, NULL, out, &any, &s); return s ? nsl_fail(err, NSL_E_IO, "read") : NSL_OK; }
