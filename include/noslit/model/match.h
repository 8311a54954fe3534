/* Matching a streamed table of true redshifts to the rows of a catalogue, by identifier or by position on the sky. Only the
 * catalogue's side is held. The result does not depend on how the table was cut into blocks. Pure. */
#ifndef NOSLIT_MODEL_MATCH_H
#define NOSLIT_MODEL_MATCH_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

/* Errors of calibration that a mock put in and its truth table tells. X(enum word, key in metrics and matched.h5) */
#define NSL_INJECTED_LIST(X)                                        \
  X(WAVE, wave_error_px) /* wavelength zero point, of both bands */ \
  X(WAVE_GV, wave_error_gv_px)                                      \
  X(WAVE_GI, wave_error_gi_px)                                      \
  X(DISPERSION, dispersion_error) /* relative */                    \
  X(TRACE, trace_error_px)                                          \
  X(PSF, psf_error)                       /* relative */            \
  X(SKY, sky_error)                       /* relative */            \
  X(ASTROMETRY, astrometric_error_arcsec) /* distance of the catalogue's position from the true one */
#define NSL_INJECTED_ENUM(word, key) NSL_INJECTED_##word,
typedef enum { NSL_INJECTED_LIST(NSL_INJECTED_ENUM) NSL_N_INJECTED } nsl_injected;
#undef NSL_INJECTED_ENUM

typedef struct {
  int64_t row;            /* of the table, from 0 */
  int64_t id;             /* the table's identifier, or its row number (from 0) when it has none */
  double z;               /* true redshift */
  double ra_deg, dec_deg; /* NaN when unknown */
  float snr_gi;           /* NaN when unknown, as the following */
  float size_arcsec;      /* half-light radius */
  float injected[NSL_N_INJECTED];
} nsl_truth_row;

typedef struct {
  uint32_t source; /* index into the arrays given to nsl_matcher_new_... */
  nsl_truth_row truth;
  double separation_arcsec; /* NaN when a position is unknown */
} nsl_match;

typedef struct {
  int64_t offered;           /* truth rows */
  int64_t matched;           /* sources with a partner */
  int64_t ambiguous;         /* truth rows that had more than one source within the radius, or whose source had a partner already */
  int64_t unmatched;         /* truth rows without a partner in the end */
  int64_t duplicate_sources; /* sources with the identifier of an earlier one: never matched */
} nsl_match_counts;

typedef struct nsl_matcher nsl_matcher;

/* By identifier: the first truth row of an identifier wins. ids is copied into the index. */
nsl_status nsl_matcher_new_by_id(const int64_t *ids, size_t n, nsl_matcher **out, nsl_error *err);
/* By position: a truth row goes to the nearest source within the radius, a source keeps the nearest such row (one to one).
 * Positions in degrees; a source with a position that is not finite is never matched. */
nsl_status nsl_matcher_new_by_position(const double *ra_deg, const double *dec_deg, size_t n, double radius_arcsec,
                                       nsl_matcher **out, nsl_error *err);
void nsl_matcher_free(nsl_matcher *m);
nsl_status nsl_matcher_add(nsl_matcher *m, const nsl_truth_row *rows, size_t n, nsl_error *err);
/* Could this row be matched? A row that could not changes nothing but the count of rows: nsl_matcher_pass counts n of them. */
int nsl_matcher_touches(const nsl_matcher *m, const nsl_truth_row *row);
void nsl_matcher_pass(nsl_matcher *m, int64_t n);
/* All matches so far, sorted by source; caller frees. */
nsl_status nsl_matcher_result(const nsl_matcher *m, nsl_match **matches, size_t *n, nsl_match_counts *counts, nsl_error *err);

#endif
