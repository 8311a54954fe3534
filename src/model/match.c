#include "noslit/model/match.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/match_internal.h"

nsl_status nsl_matcher_alloc(size_t n_sources, nsl_matcher **out, nsl_error *err)
{
  nsl_matcher *m = calloc(1, sizeof *m);
  if (n_sources >= UINT32_MAX) {
    free(m);
    return nsl_fail(err, NSL_E_VALUE, "%zu sources are too many to match at once: select a part of the catalogue", n_sources);
  }
  if (m) { m->partner = calloc(n_sources ? n_sources : 1, sizeof *m->partner); }
  if (!m || !m->partner) {
    nsl_matcher_free(m);
    return nsl_fail(err, NSL_E_NOMEM, "no memory to match %zu sources", n_sources);
  }
  m->n_sources = n_sources;
  *out = m;
  return NSL_OK;
}

void nsl_matcher_free(nsl_matcher *m)
{
  if (!m) { return; }
  free(m->partner);
  free(m->matches);
  free(m->slots);
  free(m->zone_start);
  free(m->entries);
  free(m);
}

nsl_status nsl_matcher_pair(nsl_matcher *m, uint32_t source, const nsl_truth_row *row, double separation_arcsec, nsl_error *err)
{
  if (m->n_matches == m->capacity) {
    size_t capacity = m->capacity ? 2 * m->capacity : 1024;
    nsl_match *grown = realloc(m->matches, capacity * sizeof *grown);
    if (!grown) { return nsl_fail(err, NSL_E_NOMEM, "no memory for %zu matches", capacity); }
    m->matches = grown;
    m->capacity = capacity;
  }
  m->matches[m->n_matches++] = (nsl_match){source, *row, separation_arcsec};
  m->partner[source] = (uint32_t)m->n_matches;
  return NSL_OK;
}

nsl_status nsl_matcher_add(nsl_matcher *m, const nsl_truth_row *rows, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (size_t i = 0; i < n; i++) {
    m->counts.offered++;
    NSL_TRY(m->slots ? nsl_match_by_id(m, &rows[i], err) : nsl_match_by_position(m, &rows[i], err));
  }
cleanup:
  return st;
}

int nsl_matcher_touches(const nsl_matcher *m, const nsl_truth_row *row)
{
  return m->slots ? nsl_match_touches_id(m, row) : nsl_match_touches_position(m, row);
}

void nsl_matcher_pass(nsl_matcher *m, int64_t n) { m->counts.offered += n; }

nsl_status nsl_matcher_result(const nsl_matcher *m, nsl_match **matches, size_t *n, nsl_match_counts *counts, nsl_error *err)
{
  nsl_match *sorted = malloc((m->n_matches ? m->n_matches : 1) * sizeof *sorted);
  if (!sorted) { return nsl_fail(err, NSL_E_NOMEM, "no memory for %zu matches", m->n_matches); }
  size_t k = 0;
  for (size_t i = 0; i < m->n_sources; i++) {
    if (m->partner[i]) { sorted[k++] = m->matches[m->partner[i] - 1]; }
  }
  *matches = sorted;
  *n = k;
  *counts = m->counts;
  counts->matched = (int64_t)k;
  counts->unmatched = counts->offered - counts->matched;
  return NSL_OK;
}
