/* Rows of the redshift catalogue, columnar, as tile files, the catalogue, the FITS export and validation share them. Pure. */
#ifndef NOSLIT_MODEL_ROWS_H
#define NOSLIT_MODEL_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/model/pdf.h"

typedef enum { NSL_COL_I64, NSL_COL_F64, NSL_COL_F32, NSL_COL_I32, NSL_COL_U32 } nsl_col_type;

/* X(member, C type, column type, unit, UCD, description); the member's name is the column's name in every product. */
#define NSL_ROW_COLUMNS(X)                                                                                                   \
  X(object_id, int64_t, NSL_COL_I64, "", "meta.id;meta.main", "identifier in the input catalogue")                           \
  X(ra, double, NSL_COL_F64, "deg", "pos.eq.ra;meta.main", "right ascension, ICRS")                                          \
  X(dec, double, NSL_COL_F64, "deg", "pos.eq.dec;meta.main", "declination, ICRS")                                            \
  X(tile, int64_t, NSL_COL_I64, "", "pos.healpix", "sky tile: HEALPix NESTED pixel at the survey's order")                   \
  X(mag, float, NSL_COL_F32, "mag", "phot.mag", "magnitude of the input catalogue, AB")                                      \
  X(z_mode, float, NSL_COL_F32, "", "src.redshift", "redshift at the peak of the PDF's likeliest interval")                  \
  X(z_median, float, NSL_COL_F32, "", "src.redshift;stat.median", "median redshift of the PDF")                              \
  X(z_mean, float, NSL_COL_F32, "", "src.redshift;stat.mean", "mean redshift of the PDF")                                    \
  X(z_lo68, float, NSL_COL_F32, "", "src.redshift;stat.min", "16 % quantile of the PDF")                                     \
  X(z_hi68, float, NSL_COL_F32, "", "src.redshift;stat.max", "84 % quantile of the PDF")                                     \
  X(sigma_epistemic, float, NSL_COL_F32, "", "stat.error;src.redshift", "spread of ln(1+z) between dropout samples")         \
  X(sigma_aleatoric, float, NSL_COL_F32, "", "stat.error;src.redshift", "rms width of ln(1+z) within dropout samples")       \
  X(mutual_info, float, NSL_COL_F32, "nat", "stat.value", "mutual information of PDF and dropout: how unusual the stamp is") \
  X(odds, float, NSL_COL_F32, "", "stat.probability", "probability within 0.01 (1+z) of z_mode")                             \
  X(p_good, float, NSL_COL_F32, "", "stat.probability", "probability that z_mode is right to 0.01 (1+z), calibrated")        \
  X(snr_gv, float, NSL_COL_F32, "", "stat.snr;em.opt.V", "mean signal to noise per extracted sample, GV")                    \
  X(snr_gi, float, NSL_COL_F32, "", "stat.snr;em.opt.I", "mean signal to noise per extracted sample, GI")                    \
  X(n_exp_gv, int32_t, NSL_COL_I32, "", "meta.number;obs.exposure", "GV exposures combined")                                 \
  X(n_exp_gi, int32_t, NSL_COL_I32, "", "meta.number;obs.exposure", "GI exposures combined")                                 \
  X(coverage_gv, float, NSL_COL_F32, "", "em.wl;arith.ratio", "fraction of the GV range seen")                               \
  X(coverage_gi, float, NSL_COL_F32, "", "em.wl;arith.ratio", "fraction of the GI range seen")                               \
  X(contamination, float, NSL_COL_F32, "", "phot.flux;arith.ratio", "expected neighbours' light over all light, worse band") \
  X(flags, uint32_t, NSL_COL_U32, "", "meta.code.qual", "quality bits, see docs/formats.md")                                 \
  X(n_samples, int32_t, NSL_COL_I32, "", "meta.number", "dropout samples behind the PDF")                                    \
  X(mc_error, float, NSL_COL_F32, "nat", "stat.error", "Monte Carlo error of the PDF: its divergence from that of endless samples")

typedef struct {
  const char *name, *unit, *ucd, *description;
  nsl_col_type type;
  size_t offset; /* of the column pointer in nsl_rows */
} nsl_column_info;

extern const nsl_column_info nsl_row_columns[];
extern const int nsl_n_row_columns;
size_t nsl_col_size(nsl_col_type type);

typedef struct {
  size_t n;
  nsl_pdf_grid grid;
#define NSL_ROW_MEMBER(name, ctype, type, unit, ucd, text) ctype *name;
  NSL_ROW_COLUMNS(NSL_ROW_MEMBER)
#undef NSL_ROW_MEMBER
  float *pdf; /* [n][grid.n] density per unit z; all zero for NSL_FLAG_NO_PDF */
} nsl_rows;

/* Zeroed, NaN in the redshift columns (z_mode to p_good). grid NULL: no PDFs (pdf stays NULL). 0 when out of memory. */
int nsl_rows_alloc(nsl_rows *rows, size_t n, const nsl_pdf_grid *grid);
void nsl_rows_free(nsl_rows *rows);
void *nsl_rows_column(const nsl_rows *rows, int column); /* data of column i of nsl_row_columns */

#endif
