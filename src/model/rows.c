#include "noslit/model/rows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_INFO(name, ctype, type, unit, ucd, text) {#name, unit, ucd, text, type, offsetof(nsl_rows, name)},
const nsl_column_info nsl_row_columns[] = {NSL_ROW_COLUMNS(COLUMN_INFO)};
#undef COLUMN_INFO
const int nsl_n_row_columns = sizeof nsl_row_columns / sizeof *nsl_row_columns;

size_t nsl_col_size(nsl_col_type type) { return type == NSL_COL_I64 || type == NSL_COL_F64 ? 8 : 4; }

static void **column_slot(nsl_rows *rows, int column) { return (void **)((char *)rows + nsl_row_columns[column].offset); }

void *nsl_rows_column(const nsl_rows *rows, int column)
{
  return *(void *const *)((const char *)rows + nsl_row_columns[column].offset);
}

int nsl_rows_alloc(nsl_rows *rows, size_t n, const nsl_pdf_grid *grid)
{
  memset(rows, 0, sizeof *rows);
  rows->n = n;
  if (grid) { rows->grid = *grid; }
  size_t count = n ? n : 1; /* an empty column is still a pointer one may pass on */
  int ok = 1;
  for (int c = 0; c < nsl_n_row_columns; c++) {
    *column_slot(rows, c) = calloc(count, nsl_col_size(nsl_row_columns[c].type));
    ok = ok && *column_slot(rows, c);
  }
  if (rows->grid.n > 0) {
    rows->pdf = calloc(count, (size_t)rows->grid.n * sizeof *rows->pdf);
    ok = ok && rows->pdf;
  }
  if (!ok) {
    nsl_rows_free(rows);
    return 0;
  }
  float *redshifts[] = {rows->z_mode,          rows->z_median,    rows->z_mean, rows->z_lo68, rows->z_hi68,  rows->sigma_epistemic,
                        rows->sigma_aleatoric, rows->mutual_info, rows->odds,   rows->p_good, rows->mc_error};
  for (size_t c = 0; c < sizeof redshifts / sizeof *redshifts; c++) {
    for (size_t i = 0; i < n; i++) { redshifts[c][i] = NAN; }
  }
  return 1;
}

void nsl_rows_free(nsl_rows *rows)
{
  if (!rows) { return; }
  for (int c = 0; c < nsl_n_row_columns; c++) { free(*column_slot(rows, c)); }
  free(rows->pdf);
  memset(rows, 0, sizeof *rows);
}
