/* Which tiles a selection names. */
#include <stdlib.h>
#include <string.h>

#include "pipe/plan_internal.h"

static int by_tile(const void *key, const void *entry)
{
  nsl_tile_id k = *(const nsl_tile_id *)key, e = ((const nsl_plan_tile *)entry)->tile;
  return k < e ? -1 : k > e;
}

const nsl_plan_tile *nsl_plan_find(const nsl_plan *plan, nsl_tile_id tile)
{
  return plan->n_tiles ? bsearch(&tile, plan->tiles, plan->n_tiles, sizeof *plan->tiles, by_tile) : NULL;
}

static nsl_status choose_by_exposure(const nsl_config *cfg, const nsl_plan *plan, const char *const *obsids, size_t n,
                                     unsigned char *chosen, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_plan with = {.n_exposures = plan->n_exposures};
  nsl_plan_pair *pairs = NULL;
  size_t n_pairs;
  NSL_TRY(nsl_plan_read_exposures(cfg, &with, err));
  NSL_TRY(nsl_plan_read_pairs(cfg, &pairs, &n_pairs, err));
  for (size_t k = 0; k < n; k++) {
    int known = 0;
    for (size_t i = 0; i < with.n_exposures; i++) { known |= !strcmp(with.exposures[i].obsid, obsids[k]); }
    if (!known) { NSL_THROW(err, NSL_E_NOTFOUND, "--exposure %s: the plan has no such observation", obsids[k]); }
    for (size_t i = 0; i < n_pairs; i++) {
      if (!strcmp(with.exposures[pairs[i].exposure].obsid, obsids[k])) { chosen[pairs[i].tile] = 1; }
    }
  }
cleanup:
  nsl_plan_free(&with);
  free(pairs);
  return st;
}

static int holds_id(const nsl_source *s, size_t n, int64_t id)
{
  for (size_t i = 0; i < n; i++) {
    if (s[i].id == id) { return 1; }
  }
  return 0;
}

/* Identifiers say nothing of places, so the plan's source files are read through once. */
static nsl_status choose_by_source(const nsl_config *cfg, const nsl_plan *plan, const int64_t *ids, size_t n, unsigned char *chosen,
                                   nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_source_reader *r = NULL;
  char *generation = nsl_plan_generation(plan), *folder = generation ? nsl_plan_path(cfg, generation) : NULL;
  unsigned char *found = calloc(n + 1, 1);
  if (!folder || !found) { NSL_THROW(err, NSL_E_NOMEM, "no memory to look for sources"); }
  NSL_TRY(nsl_source_reader_new(folder, &r, err));
  for (size_t t = 0; t < plan->n_tiles; t++) {
    const nsl_source *s;
    size_t n_in_tile;
    NSL_TRY(nsl_source_reader_get(r, plan->tiles[t].tile, &s, &n_in_tile, err));
    for (size_t k = 0; k < n; k++) {
      if (!found[k] && holds_id(s, n_in_tile, ids[k])) { found[k] = chosen[t] = 1; }
    }
  }
  for (size_t k = 0; k < n; k++) {
    if (!found[k]) { NSL_THROW(err, NSL_E_NOTFOUND, "--source %lld: no planned tile holds this source", (long long)ids[k]); }
  }
cleanup:
  nsl_source_reader_free(r);
  free(generation);
  free(folder);
  free(found);
  return st;
}

/* Keeps one of n shares: those tiles whose middle, on the scale of summed cost, lies in that share. */
static void keep_part(const nsl_plan *plan, int part, int n, unsigned char *chosen)
{
  nsl_cost_model model;
  double total = 0, before = 0;
  nsl_cost_model_default(&model);
  for (size_t i = 0; i < plan->n_tiles; i++) { total += chosen[i] ? nsl_cost_predict(&model, &plan->tiles[i]) : 0; }
  for (size_t i = 0; i < plan->n_tiles; i++) {
    if (!chosen[i]) { continue; }
    double cost = nsl_cost_predict(&model, &plan->tiles[i]);
    int mine = (int)((before + 0.5 * cost) / total * n);
    chosen[i] = (mine < n ? mine : n - 1) == part - 1;
    before += cost;
  }
}

nsl_status nsl_plan_choose(const nsl_config *cfg, const nsl_plan *plan, const nsl_select *select, unsigned char *chosen,
                           nsl_error *err)
{
  int all = nsl_select_is_open(select), part, n_parts = nsl_select_part(select, &part);
  if (n_parts && (nsl_select_failed(select) || nsl_select_stale(select))) {
    return nsl_fail(err, NSL_E_USAGE, "--part goes with tiles, regions, exposures and sources, not with --failed and --stale");
  }
  for (size_t i = 0; i < plan->n_tiles; i++) { chosen[i] = all || nsl_select_tile(select, plan->order, plan->tiles[i].tile); }
  const char *const *obsids;
  const int64_t *ids;
  nsl_status st = NSL_OK;
  size_t n = nsl_select_exposures(select, &obsids);
  if (n) { st = choose_by_exposure(cfg, plan, obsids, n, chosen, err); }
  n = nsl_select_sources(select, &ids);
  if (st == NSL_OK && n) { st = choose_by_source(cfg, plan, ids, n, chosen, err); }
  if (st == NSL_OK && n_parts) { keep_part(plan, part, n_parts, chosen); }
  return st;
}
