/* The master hears of everything that happens to tiles and workers, and writes it down. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/str.h"
#include "par/run_internal.h"

nsl_status nsl_run_ledger_init(nsl_run_ledger *l, nsl_error *err)
{
  size_t n = (size_t)l->jobs->n + 1;
  l->ranks = calloc((size_t)l->n_ranks, sizeof *l->ranks);
  l->made_s = calloc(n, sizeof *l->made_s);
  l->why = calloc(n, sizeof *l->why);
  l->last_attempt = calloc(n, sizeof *l->last_attempt);
  if (!l->ranks || !l->made_s || !l->why || !l->last_attempt) {
    return nsl_fail(err, NSL_E_NOMEM, "no memory for the run's ledger");
  }
  for (int32_t i = 0; i < l->jobs->n; i++) {
    l->made_s[i] = -1;
    l->to_make_cost_s += l->jobs->cost_s[i];
  }
  for (int r = 0; r < l->n_ranks; r++) { l->ranks[r].job = -1; }
  nsl_progress_start(&l->progress, l->log, "tiles", l->jobs->n);
  return NSL_OK;
}

void nsl_run_ledger_free(nsl_run_ledger *l)
{
  for (int32_t i = 0; l->why && i < l->jobs->n; i++) { free(l->why[i]); }
  free(l->why);
  free(l->ranks);
  free(l->made_s);
  free(l->last_attempt);
  free(l->folder);
  free(l->selection);
}

static void remember(nsl_run_ledger *l, int32_t job, const char *why)
{
  free(l->why[job]);
  l->why[job] = nsl_strdup(why);
}

static void put_in_quarantine(nsl_run_ledger *l, int32_t job)
{
  const nsl_plan_tile *t = l->jobs->tiles[job];
  char unknown[] = "unknown";
  nsl_quarantined item = {.tile = t->tile,
                          .attempts = l->last_attempt[job],
                          .reason = l->why[job] ? l->why[job] : unknown,
                          .identity = nsl_quarantine_identity(l->expects, t)};
  nsl_error err = NSL_ERROR_INIT;
  nsl_clock_utc(item.utc);
  l->quarantined++;
  nsl_journal_add(l->journal, "quarantine", t->tile, item.attempts, -1, -1, item.reason);
  nsl_warn(l->log, "tile %lld: quarantined after %d attempts: %s", (long long)t->tile, item.attempts, item.reason);
  if (nsl_quarantine_add(l->expects->workdir, &item, &err) != NSL_OK) { nsl_warn(l->log, "%s", err.text); }
}

static int stop_asked(void *ctx)
{
  const nsl_run_ledger *l = ctx;
  int signals = nsl_run_signals_count();
  return l->fatal.status != NSL_OK && !signals ? 1 : signals;
}

static void assigned(void *ctx, int32_t job, int attempt, int worker)
{
  nsl_run_ledger *l = ctx;
  l->last_attempt[job] = attempt;
  l->ranks[worker].job = job;
  l->ranks[worker].since_s = nsl_clock_s();
  nsl_journal_add(l->journal, "assign", l->jobs->ids[job], attempt, worker, -1, NULL);
  nsl_journal_flush(l->journal, 0); /* before the worker can die of it */
}

static void book(nsl_run_ledger *l, const nsl_farm_answer *a)
{
  const nsl_farm_result *r = a->result;
  nsl_rank_use *use = &l->ranks[a->worker];
  if (r->was_done) {
    l->verified++;
    nsl_journal_add(l->journal, "whole", l->jobs->ids[a->job], -1, a->worker, -1, NULL);
    return;
  }
  use->tiles++;
  use->busy_s += r->wall_s;
  use->cpu_s += r->cpu_s;
  use->io_s += r->io_s;
  use->stamp_s += r->stamp_s;
  use->infer_s += r->infer_s;
  use->bytes_read += r->bytes_read;
  l->made++;
  l->made_cost_s += l->jobs->cost_s[a->job];
  l->rows += r->rows;
  l->exposures_lost += r->exposures_lost;
  l->made_s[a->job] = (float)r->wall_s;
  nsl_journal_add(l->journal, "done", l->jobs->ids[a->job], a->attempt, a->worker, r->wall_s, NULL);
  nsl_debug(l->log, "tile %lld: %lld sources in %.2f s on rank %d", (long long)l->jobs->ids[a->job], (long long)r->rows, r->wall_s,
            a->worker);
}

static void answered(void *ctx, const nsl_farm_answer *a)
{
  nsl_run_ledger *l = ctx;
  int64_t tile = l->jobs->ids[a->job];
  if (l->ranks[a->worker].job == a->job) { l->ranks[a->worker].job = -1; }
  if (a->ended && !a->fenced) { l->ended_cost_s += l->jobs->cost_s[a->job]; }
  if (!l->proof_removed && !(a->result && a->result->was_done)) { /* something was not as the proof says */
    nsl_proof_remove(l->expects->workdir);
    l->proof_removed = 1;
  }
  if (a->fenced) {
    nsl_journal_add(l->journal, "late", tile, a->attempt, a->worker, -1, a->text);
    return;
  }
  if (a->result) {
    book(l, a);
    return;
  }
  switch (nsl_farm_judge(a->status)) {
  case NSL_ANSWER_RETURNED:
    nsl_journal_add(l->journal, "return", tile, a->attempt, a->worker, -1, a->text);
    if (a->status != NSL_E_DRAINED && l->fatal.status == NSL_OK) {
      nsl_fail(&l->fatal, a->status, "%s", a->text);
      nsl_warn(l->log, "tile %lld: %s; the run stops", (long long)tile, a->text);
    }
    break;
  default:
    l->failed_attempts++;
    remember(l, a->job, a->text);
    nsl_journal_add(l->journal, "fail", tile, a->attempt, a->worker, -1, a->text);
    if (a->ended) {
      put_in_quarantine(l, a->job);
    } else {
      nsl_warn(l->log, "tile %lld: attempt %d failed on rank %d and will be repeated: %s", (long long)tile, a->attempt, a->worker,
               a->text);
    }
  }
}

static void lost(void *ctx, int worker, int32_t job, int ended, const char *why)
{
  nsl_run_ledger *l = ctx;
  char text[256];
  l->workers_lost_events++;
  l->ranks[worker].job = -1;
  if (ended && job >= 0) { l->ended_cost_s += l->jobs->cost_s[job]; }
  if (job < 0) {
    nsl_warn(l->log, "worker %d is lost: %s", worker, why);
    nsl_journal_add(l->journal, "gone", -1, -1, worker, -1, why);
    return;
  }
  snprintf(text, sizeof text, "its worker (rank %d) was lost: %s", worker, why);
  nsl_warn(l->log, "tile %lld: %s", (long long)l->jobs->ids[job], text);
  remember(l, job, text);
  nsl_journal_add(l->journal, "lost", l->jobs->ids[job], l->last_attempt[job], worker, -1, text);
  if (ended) { put_in_quarantine(l, job); }
}

nsl_farm_observer nsl_run_ledger_observer(nsl_run_ledger *l)
{
  return (nsl_farm_observer){l, stop_asked, assigned, answered, lost, nsl_run_progress_pulse};
}
