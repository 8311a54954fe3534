#include "noslit/par/choose.h"

#include <stdlib.h>

#include "noslit/base/str.h"
#include "noslit/par/ledger.h"
#include "noslit/pipe/config_load.h"

static nsl_status add_states(const nsl_config *cfg, const nsl_instrument *inst, const nsl_plan *plan, const nsl_select *select,
                             unsigned char *chosen, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_expectation expects;
  nsl_quarantine q = {0};
  char no_model[NSL_ERROR_TEXT_MAX], why[NSL_ERROR_TEXT_MAX];
  nsl_tile_expectation_make(cfg, inst, &expects, no_model, sizeof no_model);
  NSL_TRY(nsl_quarantine_read(expects.workdir, &q, err));
  for (size_t i = 0; i < plan->n_tiles; i++) {
    nsl_tile_head head;
    nsl_tile_state state;
    if (chosen[i]) { continue; }
    int failed = nsl_select_failed(select) && nsl_quarantine_find(&q, plan->tiles[i].tile);
    if (!failed && !nsl_select_stale(select)) { continue; }
    NSL_TRY(nsl_tile_check(&expects, &plan->tiles[i], 0, &head, &state, why, sizeof why, err));
    chosen[i] = failed ? state != NSL_TILE_DONE : state == NSL_TILE_STALE; /* a good file is no failure, whatever the list says */
  }
cleanup:
  nsl_quarantine_free(&q);
  return st;
}

nsl_status nsl_choose_tiles(const nsl_config *cfg, const nsl_instrument *inst, const nsl_plan *plan, const nsl_select *select,
                            unsigned char *chosen, nsl_error *err)
{
  nsl_status st = nsl_plan_choose(cfg, plan, select, chosen, err);
  if (st != NSL_OK || !(nsl_select_failed(select) || nsl_select_stale(select))) { return st; }
  return add_states(cfg, inst, plan, select, chosen, err);
}

int nsl_select_needs_plan(const nsl_select *select)
{
  const char *const *obsids;
  return nsl_select_failed(select) || nsl_select_stale(select) || nsl_select_exposures(select, &obsids);
}

/* The words that need a plan, alone: a region names positions in a catalogue, and not the whole tiles that it touches. */
static nsl_status only_plan_words(const nsl_select *select, nsl_select **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *const *obsids;
  size_t n = nsl_select_exposures(select, &obsids);
  NSL_TRY(nsl_select_new(out, err));
  for (size_t i = 0; i < n; i++) { NSL_TRY(nsl_select_add(*out, "--exposure", obsids[i], err)); }
  if (nsl_select_failed(select)) { NSL_TRY(nsl_select_add(*out, "--failed", NULL, err)); }
  if (nsl_select_stale(select)) { NSL_TRY(nsl_select_add(*out, "--stale", NULL, err)); }
cleanup:
  return st;
}

nsl_status nsl_select_resolve(const nsl_config *cfg, nsl_select *select, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_select *words = NULL;
  nsl_plan plan = {0};
  unsigned char *chosen = NULL;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_str list;
  nsl_str_init(&list);
  if (!inst) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_config_require(cfg, "instrument.file", err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(cfg, "instrument.file"), inst, err));
  NSL_TRY(nsl_plan_read(cfg, &plan, err));
  chosen = calloc(plan.n_tiles + 1, 1);
  if (!chosen) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu tiles", plan.n_tiles); }
  NSL_TRY(only_plan_words(select, &words, err));
  NSL_TRY(nsl_choose_tiles(cfg, inst, &plan, words, chosen, err));
  for (size_t i = 0; i < plan.n_tiles; i++) {
    if (chosen[i]) { nsl_str_addf(&list, "%s%lld", list.n ? "," : "", (long long)plan.tiles[i].tile); }
  }
  if (list.failed) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu tiles", plan.n_tiles); }
  if (list.n) { NSL_TRY(nsl_select_add(select, "--tiles", list.text, err)); }
cleanup:
  nsl_str_free(&list);
  nsl_select_free(words);
  nsl_plan_free(&plan);
  free(chosen);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  return st;
}
