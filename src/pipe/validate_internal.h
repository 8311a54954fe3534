/* The steps of a validation: matched sources with their scores, their selections, the document. Private to validate. */
#ifndef NOSLIT_PIPE_VALIDATE_INTERNAL_H
#define NOSLIT_PIPE_VALIDATE_INTERNAL_H

#include "noslit/model/match.h"
#include "noslit/model/metrics.h"
#include "noslit/pipe/catalogue.h"
#include "noslit/pipe/truth.h"
#include "noslit/pipe/validate.h"

#define NSL_FEW 30               /* selections with fewer sources are marked */
#define NSL_FAR_APART_ARCSEC 5.0 /* sources with the same identifier further apart than this are hardly the same */
#define NSL_GOOD_E 0.02          /* |e| of a good redshift in purity and completeness */

/* One source of the catalogue with a true redshift. */
typedef struct {
  int64_t row; /* of the catalogue */
  int64_t object_id, tile;
  double ra, dec, separation_arcsec;
  float snr_gi; /* of the selections: the truth table's where it has one */
  float snr_gv, mag, contamination, odds, p_good, mutual_info, z_lo68, z_hi68, size_arcsec;
  float injected[NSL_N_INJECTED];
  int32_t n_exp_gi;
  uint32_t flags;
  int has_pdf;
} nsl_matched;

typedef struct {
  size_t n;
  nsl_matched *info;                       /* [n] */
  nsl_score *scores;                       /* [n]; of those without a PDF only z_true */
  int64_t n_catalogue, n_catalogue_no_pdf; /* rows selected, and of these without PDF */
  nsl_match_counts match;
  nsl_truth_counts truth;
  char *columns[NSL_TRUTH_N_COLUMNS]; /* the truth table's names; NULL where it has none */
  int by_position;
  int64_t n_far_apart; /* matched by identifier, although their positions are known and differ */
  nsl_pdf_grid grid;
  double *stacked; /* [grid.n] sum of the PDFs, probability per bin */
} nsl_validation;

/* The selected rows of the catalogue. */
typedef struct {
  size_t n, capacity;
  int64_t *row, *id; /* [n] */
  double *ra, *dec;
} nsl_sources;

/* realloc of an array to capacity items; 0 without memory, the array is then as before. */
int nsl_validation_grow(void **array, size_t capacity, size_t size);

/* Sets truth, columns, by_position, match, n and n_far_apart of v; matches [v->n], sorted by source: the caller frees. Collective:
 * every rank ends with all of it. */
nsl_status nsl_validation_match(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log,
                                const nsl_sources *s, nsl_validation *v, nsl_match **matches, nsl_error *err);

/* Reads catalogue and truth, matches them and scores every PDF. Collective: every rank ends with all of it. */
nsl_status nsl_validation_load(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log, nsl_validation *v,
                               nsl_error *err);
void nsl_validation_free(nsl_validation *v);

/* Gives each source its resampling unit: the coarsest sky pixels, from the catalogue's tiles downwards, of which at least
 * NSL_UNITS_MIN hold sources; single sources where the field is too small for that. order -1 means sources. */
#define NSL_UNITS_MIN 30
nsl_status nsl_validation_units(nsl_validation *v, int tile_order, int *order, uint32_t *n_units, nsl_error *err);

/* Selections: the fixed ones, then bins. */
typedef struct {
  char key[64];
  const char *axis; /* NULL for the fixed selections */
  double lo, hi;    /* lo <= value < hi */
  uint32_t flag;    /* axis "flags": the bit that must be set; 0 with axis "flags": none may be set */
} nsl_validation_bin;

/* Calls use for every selection that is fixed or has sources, in the document's order. */
typedef nsl_status (*nsl_validation_use)(const nsl_validation_bin *bin, const uint32_t *rows, size_t n, size_t n_no_pdf,
                                         void *context, nsl_error *err);
nsl_status nsl_validation_select(const nsl_validation *v, nsl_validation_use use, void *context, nsl_error *err);

/* Adds "confidence" and "worst" to the document. */
nsl_status nsl_validation_confidence(const nsl_validation *v, nsl_json *doc, nsl_error *err);

nsl_status nsl_validation_write_matched(const nsl_validation *v, const char *path, nsl_error *err);

#endif
