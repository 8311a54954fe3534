/* Tables of true redshifts as they come: DESI zcatalog and redrock, SDSS spAll, or any FITS, CSV or HDF5 table. Rows are
 * streamed in blocks, so that a table of any length needs no memory; rows that are no trustworthy galaxy redshift are left out
 * and counted. Local. */
#ifndef NOSLIT_PIPE_TRUTH_H
#define NOSLIT_PIPE_TRUTH_H

#include "noslit/model/match.h"

typedef struct {
  const char *path, *where; /* where: HDU or group; NULL for the first table */
  /* NULL: found by the usual names (truth.c has the lists). A name that is given and not there is an error. */
  const char *id_column, *z_column, *ra_column, *dec_column, *snr_column;
  int need_position;    /* the position columns must be there */
  double min_deltachi2; /* rows with DELTACHI2 below this are left out; 0 for no cut */
} nsl_truth_options;

/* What became of the rows read so far. A row is counted once, at the first of these that holds. */
typedef struct {
  int64_t rows;        /* read */
  int64_t zwarn;       /* ZWARN (ZWARNING) not 0 */
  int64_t not_primary; /* ZCAT_PRIMARY (SPECPRIMARY) false */
  int64_t unsure;      /* DELTACHI2 too small */
  int64_t star, qso;   /* SPECTYPE (CLASS): no galaxies */
  int64_t bad;         /* redshift (or a needed position) not finite, or z <= -1 */
  int64_t used;        /* given to the caller */
} nsl_truth_counts;

typedef enum {
  NSL_TRUTH_ID,
  NSL_TRUTH_Z,
  NSL_TRUTH_RA,
  NSL_TRUTH_DEC,
  NSL_TRUTH_SNR_GI,
  NSL_TRUTH_SIZE,
  NSL_TRUTH_INJECTED, /* the first of NSL_N_INJECTED */
  NSL_TRUTH_INJECTED_LAST = NSL_TRUTH_INJECTED + NSL_N_INJECTED - 1,
  NSL_TRUTH_ZWARN,
  NSL_TRUTH_PRIMARY,
  NSL_TRUTH_DELTACHI2,
  NSL_TRUTH_SPECTYPE,
  NSL_TRUTH_N_COLUMNS
} nsl_truth_column;

typedef struct nsl_truth nsl_truth;

nsl_status nsl_truth_open(const nsl_truth_options *o, nsl_truth **out, nsl_error *err);
void nsl_truth_close(nsl_truth *t);
/* From now on only every size-th block of rows, beginning with block rank: `size` readers share a table. Before the first row is
 * read. */
void nsl_truth_stripe(nsl_truth *t, int rank, int size);
/* The table's name of a column, NULL when it has none. */
const char *nsl_truth_name(const nsl_truth *t, nsl_truth_column column);
/* The next usable rows (borrowed until the next call); *n is 0 at the end of the table. */
nsl_status nsl_truth_next(nsl_truth *t, const nsl_truth_row **rows, size_t *n, nsl_error *err);
const nsl_truth_counts *nsl_truth_counted(const nsl_truth *t);

#endif
