/* Populations from tables (docs/formats.md, noslit-population) and the redshift distribution that a test set is to have. */
#ifndef PIPE_MOCK_TABLE_H
#define PIPE_MOCK_TABLE_H

#include "noslit/base/rng.h"
#include "noslit/base/status.h"
#include "noslit/model/spectrum.h"

typedef struct nsl_mock_table nsl_mock_table;

/* Rows between the limits are kept (stars: fainter than mag_max are not; redshifts are not asked). NSL_E_FORMAT, NSL_E_VALUE with
 * the row, or when no galaxy is left. */
nsl_status nsl_mock_table_read(const char *path, double mag_min, double mag_max, double z_min, double z_max, nsl_mock_table **out,
                               nsl_error *err);
void nsl_mock_table_free(nsl_mock_table *t); /* NULL is fine */

typedef struct {
  nsl_kind kind;
  double z, mag, re_arcsec; /* re NaN when the table does not know it */
} nsl_mock_row;

/* The classes that are drawn together. */
typedef enum { NSL_ROWS_GALAXIES, NSL_ROWS_QUASARS, NSL_ROWS_STARS, NSL_ROWS_GROUPS } nsl_row_group;

/* A row by its weight times 10^((slope - NSL_MOCK_COUNT_SLOPE) mag), moved by the kernel: no row is drawn twice alike. 0 when the
 * table has no such rows or no magnitudes. */
int nsl_mock_table_draw(const nsl_mock_table *t, nsl_rng *r, nsl_row_group group, double slope, nsl_mock_row *out);
/* Of a table without magnitudes: a redshift of this kind; 0 when there is none. */
int nsl_mock_table_draw_z(const nsl_mock_table *t, nsl_rng *r, nsl_kind kind, double *z);

/* A distribution of redshifts, a straight line between its points. */
typedef struct {
  int n;
  double *z, *density, *cumulative; /* [n] */
} nsl_mock_nz;

/* Text, two columns: z (increasing) and density (any unit); lines that start with # are comments. Cut to the limits. */
nsl_status nsl_mock_nz_read(const char *path, double z_min, double z_max, nsl_mock_nz *out, nsl_error *err);
void nsl_mock_nz_free(nsl_mock_nz *nz);
double nsl_mock_nz_draw(const nsl_mock_nz *nz, double u); /* u in [0, 1) */

#endif
