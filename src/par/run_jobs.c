/* Which tiles a run has to look at. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/str.h"
#include "noslit/base/tally.h"
#include "par/run_internal.h"

#define VERIFY_S 0.01 /* hashing a file; what has to be made comes first */

typedef struct {
  const nsl_config *cfg;
  const nsl_plan *plan;
  const nsl_tile_expectation *e;
  const nsl_select *select;
  const nsl_log *log;
  nsl_quarantine quarantine;
  int32_t *failures;      /* per planned tile */
  unsigned char *settled; /* per planned tile: by an earlier start of this job */
  int max_attempts;
  nsl_tally reasons; /* why tiles are to be made */
  nsl_run_jobs *out;
} chooser;

void nsl_run_jobs_free(nsl_run_jobs *j)
{
  free(j->tiles);
  free(j->ids);
  free(j->cost_s);
  free(j->failures);
  free(j->hints);
  free(j->released);
  *j = (nsl_run_jobs){0};
}

static nsl_status no_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the run's tiles"); }

static nsl_status allocate(const nsl_plan *plan, nsl_run_jobs *j, nsl_error *err)
{
  size_t n = plan->n_tiles + 1;
  j->tiles = calloc(n, sizeof *j->tiles);
  j->ids = calloc(n, sizeof *j->ids);
  j->cost_s = calloc(n, sizeof *j->cost_s);
  j->failures = calloc(n, sizeof *j->failures);
  j->hints = calloc(n, sizeof *j->hints);
  j->released = calloc(n, sizeof *j->released);
  return j->tiles && j->ids && j->cost_s && j->failures && j->hints && j->released ? NSL_OK : no_memory(err);
}

static nsl_status read_journals(chooser *c, const char *folder, nsl_batch_job job, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = c->plan->n_tiles;
  int64_t *ids = calloc(n + 1, sizeof *ids);
  c->failures = calloc(n + 1, sizeof *c->failures);
  c->settled = calloc(n + 1, 1);
  if (!ids || !c->failures || !c->settled) {
    st = no_memory(err);
    goto cleanup;
  }
  for (size_t i = 0; i < n; i++) { ids[i] = c->plan->tiles[i].tile; }
  const nsl_journal_tiles known = {ids, (int32_t)n};
  NSL_TRY(nsl_journal_failures(c->e->workdir, ids, c->failures, (int32_t)n, err));
  NSL_TRY(nsl_journal_settled(folder, job, &known, c->settled, err));
cleanup:
  free(ids);
  return st;
}

static int is_forced(const chooser *c, size_t i) { return nsl_select_force(c->select) && !c->settled[i]; }

/* A tile that was under way each time the whole job died has no reason in quarantine yet, since nobody was left to write it. */
static nsl_status quarantine_suspect(chooser *c, size_t i, nsl_error *err)
{
  char reason[128];
  snprintf(reason, sizeof reason, "the job or its worker died %d times while this tile was under way", c->failures[i]);
  nsl_quarantined item = {.tile = c->plan->tiles[i].tile,
                          .attempts = c->failures[i],
                          .reason = reason,
                          .identity = nsl_quarantine_identity(c->e, &c->plan->tiles[i])};
  nsl_clock_utc(item.utc);
  nsl_warn(c->log, "tile %lld: quarantined: %s", (long long)item.tile, reason);
  return nsl_quarantine_add(c->e->workdir, &item, err);
}

/* Does the tile stay in quarantine? Otherwise it is released: on request, because what it depends on has changed, or because its
 * file is there after all. */
static nsl_status stays_quarantined(chooser *c, size_t i, nsl_tile_state state, int *stays, nsl_error *err)
{
  const nsl_plan_tile *t = &c->plan->tiles[i];
  const nsl_quarantined *q = nsl_quarantine_find(&c->quarantine, t->tile);
  int suspect = c->failures[i] >= c->max_attempts;
  *stays = 0;
  if (!q && !suspect) { return NSL_OK; }
  int asked = (nsl_select_force(c->select) || nsl_select_failed(c->select)) && !c->settled[i];
  int changed = q && !nsl_hash_equal(q->identity, nsl_quarantine_identity(c->e, t));
  if (asked || changed || state == NSL_TILE_DONE) {
    if (changed && !asked) { nsl_info(c->log, "tile %lld: out of quarantine, since its inputs have changed", (long long)t->tile); }
    c->out->released[c->out->n_released++] = t->tile;
    c->failures[i] = 0;
    return NSL_OK;
  }
  *stays = 1;
  c->out->n_quarantined++;
  return q ? NSL_OK : quarantine_suspect(c, i, err);
}

static void add_job(chooser *c, size_t i, int to_make)
{
  nsl_run_jobs *j = c->out;
  const nsl_plan_tile *t = &c->plan->tiles[i];
  j->tiles[j->n] = t;
  j->ids[j->n] = t->tile;
  j->cost_s[j->n] = to_make ? t->cost_s : VERIFY_S;
  j->failures[j->n] = c->failures[i];
  j->hints[j->n] = (nsl_farm_hint){t->input_hash, t->n_sources, is_forced(c, i), -1};
  j->n++;
}

static nsl_status choose_tile(chooser *c, size_t i, int named, nsl_error *err)
{
  const nsl_plan_tile *t = &c->plan->tiles[i];
  nsl_tile_head head;
  nsl_tile_state state;
  char why[NSL_ERROR_TEXT_MAX];
  int stays, asked = named;
  if (nsl_select_failed(c->select) && (nsl_quarantine_find(&c->quarantine, t->tile) || c->failures[i] >= c->max_attempts)) {
    asked = 1;
  }
  if (!asked && !nsl_select_stale(c->select)) { return NSL_OK; }
  nsl_status st = nsl_tile_check(c->e, t, 0, &head, &state, why, sizeof why, err);
  if (st != NSL_OK) { return st; }
  asked |= nsl_select_stale(c->select) && state == NSL_TILE_STALE;
  if (!asked) { return NSL_OK; }
  c->out->asked++;
  st = stays_quarantined(c, i, state, &stays, err);
  if (st != NSL_OK || stays) { return st; }
  if (state != NSL_TILE_DONE) { nsl_debug(c->log, "tile %lld: will be made: %s", (long long)t->tile, why); }
  int to_make = state != NSL_TILE_DONE || is_forced(c, i);
  c->out->n_to_make += to_make;
  if (to_make) {
    nsl_tally_add(&c->reasons, state == NSL_TILE_DONE ? "asked for anew" : state == NSL_TILE_CORRUPT ? "damaged" : why);
  }
  add_job(c, i, to_make);
  return NSL_OK;
}

static void say_reasons(const chooser *c)
{
  for (int i = 0; i < c->reasons.n; i++) {
    nsl_info(c->log, "%lld tiles to make: %s", (long long)c->reasons.items[i].count, c->reasons.items[i].text);
  }
  if (c->reasons.others) { nsl_info(c->log, "%lld tiles to make for other reasons", (long long)c->reasons.others); }
}

nsl_status nsl_run_jobs_make(const nsl_config *cfg, const nsl_plan *plan, const nsl_tile_expectation *e, const nsl_select *select,
                             const char *folder, nsl_batch_job job, const nsl_log *log, nsl_run_jobs *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  chooser c = {.cfg = cfg, .plan = plan, .e = e, .select = select, .log = log, .out = out};
  unsigned char *named = calloc(plan->n_tiles + 1, 1);
  *out = (nsl_run_jobs){0};
  c.max_attempts = (int)nsl_config_int(cfg, "run.max_attempts");
  if (!named) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(allocate(plan, out, err));
  NSL_TRY(nsl_plan_choose(cfg, plan, select, named, err));
  NSL_TRY(nsl_quarantine_read(e->workdir, &c.quarantine, err));
  NSL_TRY(read_journals(&c, folder, job, err));
  for (size_t i = 0; i < plan->n_tiles; i++) { NSL_TRY(choose_tile(&c, i, named[i], err)); }
  say_reasons(&c);
  if (out->n_released) { NSL_TRY(nsl_quarantine_remove(e->workdir, out->released, out->n_released, err)); }
cleanup:
  if (st != NSL_OK) { nsl_run_jobs_free(out); }
  nsl_quarantine_free(&c.quarantine);
  free(c.failures);
  free(c.settled);
  free(named);
  return st;
}
