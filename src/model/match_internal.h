/* What the two ways of matching share: who is matched to whom. Private to match. */
#ifndef NOSLIT_MODEL_MATCH_INTERNAL_H
#define NOSLIT_MODEL_MATCH_INTERNAL_H

#include "noslit/model/match.h"

/* A source found by its identifier: an open-addressing table. */
typedef struct {
  int64_t id;
  uint32_t source_plus_1; /* 0: empty */
} nsl_id_slot;

/* A source in its declination zone, sorted by right ascension there. */
typedef struct {
  double ra_deg, dec_deg;
  uint32_t source;
} nsl_zone_entry;

struct nsl_matcher {
  size_t n_sources;
  uint32_t *partner; /* [n_sources] index into matches plus 1; 0: none */
  nsl_match *matches;
  size_t n_matches, capacity;
  nsl_match_counts counts;

  nsl_id_slot *slots; /* by identifier, else NULL */
  size_t slot_mask;

  double radius_deg, zone_deg; /* by position */
  size_t n_zones;
  size_t *zone_start; /* [n_zones + 1] into entries */
  nsl_zone_entry *entries;
};

nsl_status nsl_matcher_alloc(size_t n_sources, nsl_matcher **out, nsl_error *err);
/* Gives a truth row to a source that has none. */
nsl_status nsl_matcher_pair(nsl_matcher *m, uint32_t source, const nsl_truth_row *row, double separation_arcsec, nsl_error *err);
int nsl_match_touches_id(const nsl_matcher *m, const nsl_truth_row *row);
int nsl_match_touches_position(const nsl_matcher *m, const nsl_truth_row *row);
nsl_status nsl_match_by_id(nsl_matcher *m, const nsl_truth_row *row, nsl_error *err);
nsl_status nsl_match_by_position(nsl_matcher *m, const nsl_truth_row *row, nsl_error *err);

#endif
