/* noslit status: where a survey stands, from its files alone. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/base/tally.h"
#include "noslit/io/json.h"
#include "noslit/par/ledger.h"
#include "noslit/pipe/config_load.h"

#define SETTLE_S 5.0  /* the coarsest times of a file system, and clocks that differ */
#define SILENT_S 60.0 /* a run that has not said how far it is for so long is no longer believed to be at work */
#define THREADS 8     /* more than cores: they wait for the file system */

enum { DONE, MISSING, CORRUPT, STALE, QUARANTINED, N_STATES };
static const char *const state_names[N_STATES] = {"done", "missing", "corrupt", "stale", "quarantined"};

typedef struct {
  nsl_cli *cli;
  nsl_config *cfg;
  nsl_select *select;
  nsl_instrument *inst;
  nsl_plan plan;
  nsl_tile_expectation expects;
  nsl_head_index *heads; /* NULL: read every file */
  nsl_quarantine quarantine;
  unsigned char *chosen, *state;                /* per planned tile */
  char **why;                                   /* per planned tile; NULL where there is nothing to say */
  int64_t count[N_STATES], rows, orphans, poor; /* poor: done, but an exposure could not be read */
  int why_wanted, full, ranks, json, plan_fresh, proof_valid;
  char plan_why[NSL_ERROR_TEXT_MAX], no_model[NSL_ERROR_TEXT_MAX];
  nsl_json *proof, *last_run, *running;
} status;

/* What one thread finds: a stripe of the tiles, since looking is waiting for the file system. Counts are added up afterwards. */
typedef struct {
  status *s;
  size_t first, step;
  int every;
  int64_t count[N_STATES], rows, poor;
  nsl_status st;
  nsl_error err;
} looker;

static nsl_status look_at_tile(looker *l, size_t i)
{
  status *s = l->s;
  const nsl_plan_tile *t = &s->plan.tiles[i];
  nsl_tile_head head;
  nsl_tile_state state;
  char why[NSL_ERROR_TEXT_MAX];
  nsl_status st = s->full ? nsl_tile_check(&s->expects, t, 1, &head, &state, why, sizeof why, &l->err)
                          : nsl_tile_check_head(&s->expects, t, s->heads, i, &head, &state, why, sizeof why, &l->err);
  if (st != NSL_OK) { return st; }
  static const int plain[] = {
      [NSL_TILE_DONE] = DONE, [NSL_TILE_MISSING] = MISSING, [NSL_TILE_CORRUPT] = CORRUPT, [NSL_TILE_STALE] = STALE};
  int mine = plain[state];
  const nsl_quarantined *q = mine == DONE ? NULL : nsl_quarantine_find(&s->quarantine, t->tile);
  if (q) { mine = QUARANTINED; }
  s->state[i] = (unsigned char)mine;
  l->count[mine]++;
  if (mine == DONE) {
    l->rows += head.n_rows;
    l->poor += head.n_exposures_lost > 0;
  }
  if (mine == DONE && head.n_exposures_lost > 0 && s->why_wanted) {
    s->why[i] = nsl_strf("%d of its exposures could not be read; its sources are flagged (exposure_lost)", head.n_exposures_lost);
  }
  if (mine != DONE && s->why_wanted) {
    s->why[i] = q ? nsl_strf("%s (after %d attempts, %s)", q->reason, q->attempts, q->utc) : nsl_strdup(why);
  }
  return NSL_OK;
}

static void *look(void *argument)
{
  looker *l = argument;
  for (size_t i = l->first; i < l->s->plan.n_tiles && l->st == NSL_OK; i += l->step) {
    if (l->every || l->s->chosen[i]) { l->st = look_at_tile(l, i); }
  }
  return NULL;
}

/* HDF5 reads (--full) are for one thread: the library has a lock or none. */
static nsl_status look_at_tiles(status *s, int every, nsl_error *err)
{
  looker lookers[THREADS];
  pthread_t thread[THREADS];
  int n = s->full || s->plan.n_tiles < 1000 ? 1 : THREADS, started[THREADS] = {0};
  nsl_status st = NSL_OK;
  for (int k = 0; k < n; k++) {
    lookers[k] = (looker){.s = s, .first = (size_t)k, .step = (size_t)n, .every = every, .err = NSL_ERROR_INIT};
    started[k] = k > 0 && pthread_create(&thread[k], NULL, look, &lookers[k]) == 0;
  }
  for (int k = 0; k < n; k++) {
    if (!started[k]) { look(&lookers[k]); }
  }
  for (int k = 0; k < n; k++) {
    if (started[k]) { pthread_join(thread[k], NULL); }
    for (int c = 0; c < N_STATES; c++) { s->count[c] += lookers[k].count[c]; }
    s->rows += lookers[k].rows;
    s->poor += lookers[k].poor;
    if (lookers[k].st != NSL_OK && st == NSL_OK) {
      st = lookers[k].st;
      if (err) { *err = lookers[k].err; }
    }
  }
  return st;
}

static nsl_status open_heads(status *s, nsl_error *err)
{
  nsl_tile_id *ids = malloc((s->plan.n_tiles + 1) * sizeof *ids);
  for (size_t i = 0; ids && i < s->plan.n_tiles; i++) { ids[i] = s->plan.tiles[i].tile; }
  s->heads = ids ? nsl_head_index_open(s->expects.workdir, ids, s->plan.n_tiles, SETTLE_S) : NULL;
  free(ids);
  return s->heads ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory for the heads of %zu tiles", s->plan.n_tiles);
}

/* Which tiles are spoken of: those named, those of a wanted state, all without a selection. */
static int is_meant(const status *s, size_t i)
{
  if (s->chosen[i]) { return 1; }
  return (nsl_select_failed(s->select) && s->state[i] == QUARANTINED) || (nsl_select_stale(s->select) && s->state[i] == STALE);
}

/* Tile files that no planned tile owns any more; merge leaves them out. */
static int64_t count_orphans(const status *s)
{
  int64_t orphans = 0;
  char **paths;
  size_t n;
  char *pattern = nsl_strf("%s/tiles/Norder=%d/Dir=*/Npix=*.h5", s->expects.workdir, s->expects.order);
  if (pattern && nsl_glob(pattern, &paths, &n, NULL) == NSL_OK) {
    for (size_t i = 0; i < n; i++) {
      const char *name = nsl_path_base(paths[i]);
      orphans += !nsl_plan_find(&s->plan, strtoll(name + strlen("Npix="), NULL, 10));
    }
    nsl_paths_free(paths, n);
  }
  free(pattern);
  return orphans;
}

static nsl_status gather(status *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_plan_read(s->cfg, &s->plan, err));
  nsl_error why = NSL_ERROR_INIT;
  if (nsl_plan_is_fresh(s->cfg, s->inst, &s->plan, &s->plan_fresh, s->plan_why, sizeof s->plan_why, &why) != NSL_OK) {
    snprintf(s->plan_why, sizeof s->plan_why, "%s", why.text);
  }
  nsl_tile_expectation_make(s->cfg, s->inst, &s->expects, s->no_model, sizeof s->no_model);
  NSL_TRY(nsl_quarantine_read(s->expects.workdir, &s->quarantine, err));
  size_t n = s->plan.n_tiles + 1;
  s->chosen = calloc(n, 1);
  s->state = calloc(n, 1);
  s->why = calloc(n, sizeof *s->why);
  if (!s->chosen || !s->state || !s->why) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_plan_choose(s->cfg, &s->plan, s->select, s->chosen, err));
  int every = nsl_select_is_all(s->select) || nsl_select_failed(s->select) || nsl_select_stale(s->select);
  if (!s->full) { NSL_TRY(open_heads(s, err)); }
  NSL_TRY(look_at_tiles(s, every, err));
  if (s->heads) { nsl_head_index_save(s->heads); }
  s->orphans = count_orphans(s);
  if (nsl_proof_read(&s->expects, &s->plan, &s->proof_valid, &s->proof, &why) != NSL_OK) { nsl_warn(&s->cli->log, "%s", why.text); }
  /* The proof speaks of the moment it was written; the files speak of now. */
  s->proof_valid = s->proof_valid && s->plan_fresh && !s->count[MISSING] && !s->count[CORRUPT] && !s->count[STALE];
  s->last_run = nsl_ledger_last_report(s->expects.workdir);
  s->running = nsl_ledger_progress(s->expects.workdir);
cleanup:
  return st;
}

/* Many tiles share few reasons. */
static void print_summary_of_reasons(const status *s)
{
  for (int state = 0; state < N_STATES; state++) {
    nsl_tally t = {.n = 0};
    for (size_t i = 0; state != CORRUPT && i < s->plan.n_tiles; i++) {
      if (s->why[i] && s->state[i] == state && is_meant(s, i)) { nsl_tally_add(&t, s->why[i]); }
    }
    for (int k = 0; k < t.n; k++) { printf("%lld %s: %s\n", (long long)t.items[k].count, state_names[state], t.items[k].text); }
    if (t.others) { printf("%lld %s for other reasons\n", (long long)t.others, state_names[state]); }
  }
}

static void print_reasons(const status *s)
{
  print_summary_of_reasons(s);
  for (size_t i = 0; i < s->plan.n_tiles; i++) {
    if (s->why[i] && is_meant(s, i)) {
      printf("tile %lld: %s: %s\n", (long long)s->plan.tiles[i].tile, state_names[s->state[i]], s->why[i]);
    }
  }
  for (size_t i = 0; i < s->plan.n_lost; i++) { printf("exposure left out: %s\n", s->plan.lost_reason[i]); }
  for (size_t i = 0; i < s->plan.n_rejected; i++) {
    const nsl_plan_rejected *r = &s->plan.rejected[i];
    printf("source %lld rejected: row %lld: %s\n", (long long)r->id, (long long)r->row, nsl_reject_text(r->reason));
  }
}

static void print_ranks(const nsl_json *run)
{
  const nsl_json *list = nsl_json_get(run, "per_rank");
  double elapsed = nsl_json_get_f64(run, "elapsed_s", 0);
  printf("    rank  tiles    busy     I/O    wait  at tile\n");
  for (int i = 0; elapsed > 0 && i < nsl_json_length(list); i++) {
    const nsl_json *r = nsl_json_at(list, i);
    printf("  %6.0f %6.0f %5.1f %% %5.1f %% %5.1f %%", nsl_json_get_f64(r, "rank", 0), nsl_json_get_f64(r, "tiles", 0),
           100 * nsl_json_get_f64(r, "busy_s", 0) / elapsed, 100 * nsl_json_get_f64(r, "io_s", 0) / elapsed,
           100 * nsl_json_get_f64(r, "wait_s", 0) / elapsed);
    if (nsl_json_get(r, "tile")) { printf("  %.0f for %.0f s", nsl_json_get_f64(r, "tile", 0), nsl_json_get_f64(r, "tile_s", 0)); }
    printf("\n");
  }
}

static void print_running(const status *s)
{
  for (int i = 0; i < nsl_json_length(s->running); i++) {
    const nsl_json *run = nsl_json_at(s->running, i);
    char age[32], left[32];
    double age_s = nsl_json_get_f64(run, "age_s", 0), eta_s = nsl_json_get_f64(run, "eta_s", -1);
    nsl_duration_text(age_s, age, sizeof age);
    nsl_duration_text(eta_s - age_s, left, sizeof left);
    printf(age_s < SILENT_S ? "running (%s), said %s ago: " : "a run (%s) was last heard of %s ago, and did not end: ",
           nsl_json_get_text(run, "select", "all"), age);
    printf("%.0f of %.0f tiles ended, %.0f made, %.0f attempts failed, %.0f quarantined; %.0f of %.0f workers, busy %.0f %%",
           nsl_json_get_f64(run, "ended", 0), nsl_json_get_f64(run, "tiles", 0), nsl_json_get_f64(run, "made", 0),
           nsl_json_get_f64(run, "failed_attempts", 0), nsl_json_get_f64(run, "quarantined", 0),
           nsl_json_get_f64(run, "workers", 0) - nsl_json_get_f64(run, "workers_lost", 0), nsl_json_get_f64(run, "workers", 0),
           100 * nsl_json_get_f64(run, "busy", 0));
    printf(eta_s >= 0 && age_s < SILENT_S ? ", %s left\n" : "\n", left);
    if (s->ranks) { print_ranks(run); }
  }
}

static void print_text(const status *s)
{
  printf("%s: %zu tiles, %lld sources, %zu exposures\n", nsl_config_text(s->cfg, "survey.name"), s->plan.n_tiles,
         (long long)s->plan.n_sources, s->plan.n_exposures);
  if (!s->plan_fresh) { printf("the plan is out of date: %s; the next run makes it anew\n", s->plan_why); }
  if (s->no_model[0]) { printf("tiles are not compared with the model: %s\n", s->no_model); }
  for (int k = 0; k < N_STATES; k++) { printf("  %-12s %lld\n", state_names[k], (long long)s->count[k]); }
  if (s->full) {
    printf("%lld rows done; every byte looked at\n", (long long)s->rows);
  } else {
    printf("%lld rows done; every tile file looked at, %zu heads read, the others are as before (--full reads every byte)\n",
           (long long)s->rows, nsl_head_index_n_read(s->heads));
  }
  if (s->poor) {
    printf("%lld done tiles could not read all their exposures; make them anew with `run --tiles ... --force` when the files are "
           "back\n",
           (long long)s->poor);
  }
  if (s->orphans) { printf("%lld tile files belong to no planned tile and are left out by merge\n", (long long)s->orphans); }
  if (s->plan.n_lost) { printf("%zu exposures are left out\n", s->plan.n_lost); }
  if (s->plan.n_rejected) { printf("%zu sources belong to no tile\n", s->plan.n_rejected); }
  if (s->last_run) {
    printf("last run %s (%s): %.0f tiles made in %.1f s on %.0f ranks of %s by noslit %s%s\n",
           nsl_json_get_text(s->last_run, "utc", "?"), nsl_json_get_text(s->last_run, "select", "all"),
           nsl_json_get_f64(nsl_json_get(s->last_run, "tiles"), "made", 0), nsl_json_get_f64(s->last_run, "wall_s", 0),
           nsl_json_get_f64(s->last_run, "ranks", 0), nsl_json_get_text(s->last_run, "host", "?"),
           nsl_json_get_text(s->last_run, "code_version", "?"),
           nsl_json_get_f64(s->last_run, "workers_lost", 0) > 0 ? ", workers were lost" : "");
  }
  print_running(s);
  printf("complete: %s\n", s->proof_valid ? "yes" : "no");
  if (s->why_wanted) { print_reasons(s); }
}

static nsl_json *reasons(const status *s)
{
  nsl_json *list = nsl_json_array();
  for (size_t i = 0; i < s->plan.n_tiles; i++) {
    if (!s->why[i] || !is_meant(s, i)) { continue; }
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "tile", s->plan.tiles[i].tile);
    nsl_json_set_text(o, "state", state_names[s->state[i]]);
    nsl_json_set_text(o, "why", s->why[i]);
    nsl_json_push(list, o);
  }
  return list;
}

static nsl_json *left_out(const status *s)
{
  nsl_json *list = nsl_json_array();
  for (size_t i = 0; i < s->plan.n_lost; i++) {
    nsl_json *o = nsl_json_object();
    nsl_json_set_text(o, "exposure", s->plan.lost_path[i]);
    nsl_json_set_text(o, "why", s->plan.lost_reason[i]);
    nsl_json_push(list, o);
  }
  return list;
}

static nsl_json *rejected(const status *s)
{
  nsl_json *list = nsl_json_array();
  for (size_t i = 0; i < s->plan.n_rejected; i++) {
    const nsl_plan_rejected *r = &s->plan.rejected[i];
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "source", r->id);
    nsl_json_set_i64(o, "row", r->row);
    nsl_json_set_text(o, "why", nsl_reject_text(r->reason));
    nsl_json_push(list, o);
  }
  return list;
}

static nsl_status print_json(status *s, nsl_error *err)
{
  nsl_json *root = nsl_json_object(), *tiles = nsl_json_object();
  for (int k = 0; k < N_STATES; k++) { nsl_json_set_i64(tiles, state_names[k], s->count[k]); }
  nsl_json_set_i64(root, "tiles_total", (int64_t)s->plan.n_tiles);
  nsl_json_set(root, "tiles", tiles);
  nsl_json_set_i64(root, "rows", s->rows);
  nsl_json_set_i64(root, "tiles_without_some_exposures", s->poor);
  nsl_json_set_i64(root, "orphans", s->orphans);
  nsl_json_set_i64(root, "exposures", (int64_t)s->plan.n_exposures);
  nsl_json_set_i64(root, "exposures_left_out", (int64_t)s->plan.n_lost);
  nsl_json_set_i64(root, "sources", s->plan.n_sources);
  nsl_json_set_i64(root, "sources_rejected", (int64_t)s->plan.n_rejected);
  nsl_json_set_bool(root, "plan_fresh", s->plan_fresh);
  nsl_json_set_text(root, "plan_why", s->plan_why);
  nsl_json_set_text(root, "checked", s->full ? "content" : "heads");
  if (s->heads) { nsl_json_set_i64(root, "heads_read", (int64_t)nsl_head_index_n_read(s->heads)); }
  nsl_json_set_bool(root, "complete", s->proof_valid);
  if (s->running) {
    nsl_json_set(root, "running", s->running);
    s->running = NULL;
  }
  if (s->why_wanted) {
    nsl_json_set(root, "why", reasons(s));
    nsl_json_set(root, "left_out", left_out(s));
    nsl_json_set(root, "rejected", rejected(s));
  }
  return nsl_cli_print_json(root, err);
}

static void release(status *s)
{
  for (size_t i = 0; s->why && i < s->plan.n_tiles; i++) { free(s->why[i]); }
  free(s->why);
  free(s->chosen);
  free(s->state);
  nsl_json_free(s->proof);
  nsl_json_free(s->last_run);
  nsl_json_free(s->running);
  nsl_quarantine_free(&s->quarantine);
  nsl_head_index_free(s->heads);
  nsl_plan_free(&s->plan);
  nsl_select_free(s->select);
  nsl_config_free(s->cfg);
  if (s->inst) { nsl_instrument_free(s->inst); }
  free(s->inst);
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  const char *path = NULL;
  int n = 0;
  status s = {.cli = cli, .inst = calloc(1, sizeof *s.inst)};
  const nsl_option options[] = {
      {"--why", NULL, &s.why_wanted}, {"--full", NULL, &s.full}, {"--ranks", NULL, &s.ranks}, {"--json", NULL, &s.json}};
  if (!s.inst) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_select_new(&s.select, &err));
  NSL_TRY(nsl_cli_parse(cli, options, 4, s.select, &path, 1, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit status CONFIG [SELECT] [--why]"); }
  NSL_TRY(nsl_cli_config(cli, path, &s.cfg, &err));
  NSL_TRY(nsl_config_require(s.cfg, "instrument.file", &err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(s.cfg, "instrument.file"), s.inst, &err));
  NSL_TRY(gather(&s, &err));
  if (s.json) {
    NSL_TRY(print_json(&s, &err));
  } else {
    print_text(&s);
  }
cleanup:
  release(&s);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_status = {
    "status",
    "CONFIG [SELECT] [--why]",
    "where the survey stands, from its files alone",
    0,
    run,
    "  --why    the reason of each tile that is not done, of each exposure left out, of each source without a tile\n"
    "  --full   read and hash every tile file; else heads, and only of files that changed since the last status\n"
    "  --ranks  what each rank of a run under way is at: shares of busy, I/O and waiting time\n"
    "  --json   as JSON\n",
};
