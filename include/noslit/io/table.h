/* Tables as astronomers bring them: FITS binary tables, CSV (also whitespace or ECSV), HDF5 groups of equal-length
 * columns. Column names are matched case-insensitively. Reads by row range, so that big tables can be streamed. Local. */
#ifndef NOSLIT_IO_TABLE_H
#define NOSLIT_IO_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

typedef struct nsl_table nsl_table;

/* where: extension name or number (FITS; 1 is the first extension), group (HDF5); NULL or "" for the first table / the root.
 * A text table has a line of names, either plain or as the last comment (# id ra dec); its fields are separated by commas,
 * tabs or blanks. In an HDF5 group only 1-D datasets are columns. */
nsl_status nsl_table_open(const char *path, const char *where, nsl_table **out, nsl_error *err);
void nsl_table_close(nsl_table *t);
int64_t nsl_table_rows(const nsl_table *t);
int nsl_table_columns(const nsl_table *t);
const char *nsl_table_column_name(const nsl_table *t, int column);
/* -1 when there is no such column. */
int nsl_table_find(const nsl_table *t, const char *name);
/* The error names the file, the missing column and the nearest existing one. */
nsl_status nsl_table_require(const nsl_table *t, const char *name, int *column, nsl_error *err);

/* Rows [first, first+n) of a scalar column. Text that is a number is one. NULLs and blanks are NaN for f64; for i64 they are an
 * error that names the row. */
nsl_status nsl_table_read_f64(nsl_table *t, int column, int64_t first, int64_t n, double *out, nsl_error *err);
nsl_status nsl_table_read_i64(nsl_table *t, int column, int64_t first, int64_t n, int64_t *out, nsl_error *err);
/* Text (numbers are formatted), trailing blanks cut, NUL-terminated in out[i*size]. */
nsl_status nsl_table_read_text(nsl_table *t, int column, int64_t first, int64_t n, char *out, size_t size, nsl_error *err);

#endif
