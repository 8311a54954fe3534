#include <math.h>
#include <stdlib.h>

#include "model/match_internal.h"

/* Mixes the bits of an identifier (the finaliser of SplitMix64, Steele et al. 2014): survey identifiers are far from random. */
static size_t mix(int64_t id)
{
  uint64_t x = (uint64_t)id + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return (size_t)(x ^ (x >> 31));
}

/* The slot of an identifier: its own, or the empty one where it belongs. */
static nsl_id_slot *find(const nsl_matcher *m, int64_t id)
{
  size_t i = mix(id) & m->slot_mask;
  while (m->slots[i].source_plus_1 && m->slots[i].id != id) { i = (i + 1) & m->slot_mask; }
  return &m->slots[i];
}

nsl_status nsl_matcher_new_by_id(const int64_t *ids, size_t n, nsl_matcher **out, nsl_error *err)
{
  nsl_matcher *m = NULL;
  nsl_status st = nsl_matcher_alloc(n, &m, err);
  if (st != NSL_OK) { return st; }
  size_t size = 16;
  while (size < 2 * n) { size *= 2; }
  m->slots = calloc(size, sizeof *m->slots);
  if (!m->slots) {
    nsl_matcher_free(m);
    return nsl_fail(err, NSL_E_NOMEM, "no memory to index %zu identifiers", n);
  }
  m->slot_mask = size - 1;
  for (size_t i = 0; i < n; i++) {
    nsl_id_slot *slot = find(m, ids[i]);
    if (slot->source_plus_1) {
      m->counts.duplicate_sources++;
    } else {
      *slot = (nsl_id_slot){ids[i], (uint32_t)i + 1};
    }
  }
  *out = m;
  return NSL_OK;
}

int nsl_match_touches_id(const nsl_matcher *m, const nsl_truth_row *row) { return find(m, row->id)->source_plus_1 != 0; }

nsl_status nsl_match_by_id(nsl_matcher *m, const nsl_truth_row *row, nsl_error *err)
{
  const nsl_id_slot *slot = find(m, row->id);
  if (!slot->source_plus_1) { return NSL_OK; }
  if (m->partner[slot->source_plus_1 - 1]) {
    m->counts.ambiguous++;
    return NSL_OK;
  }
  return nsl_matcher_pair(m, slot->source_plus_1 - 1, row, NAN, err);
}
