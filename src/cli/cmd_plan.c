/* noslit plan: tiles, cost, disk; no pixel is read. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "noslit/io/json.h"
#include "noslit/par/choose.h"
#include "noslit/pipe/config_load.h"
#include "noslit/pipe/plan.h"

#define BYTES_PER_SOURCE 3000 /* of a tile file, with the default PDF grid, compressed */

typedef struct {
  int64_t tiles, sources, visits;
  double seconds, longest_s;
  nsl_tile_id longest;
} totals;

static totals add_up(const nsl_plan *plan, const unsigned char *chosen)
{
  totals t = {.longest = -1};
  for (size_t i = 0; i < plan->n_tiles; i++) {
    const nsl_plan_tile *p = &plan->tiles[i];
    if (!chosen[i]) { continue; }
    t.tiles++;
    t.sources += p->n_sources;
    t.visits += p->n_visits;
    t.seconds += p->cost_s;
    if (p->cost_s > t.longest_s) {
      t.longest_s = p->cost_s;
      t.longest = p->tile;
    }
  }
  return t;
}

static void print_text(const nsl_config *cfg, const nsl_plan *plan, const totals *t, const nsl_cost_model *m, int made)
{
  printf("%s: %s\n", nsl_config_text(cfg, "survey.name"), made ? "plan made" : "the plan is up to date");
  printf("  tiles       %lld%s of order %d\n", (long long)t->tiles, (size_t)t->tiles < plan->n_tiles ? " (selected)" : "",
         plan->order);
  printf("  sources     %lld to measure, %lld only as neighbours, %zu rejected\n", (long long)t->sources, (long long)plan->n_faint,
         plan->n_rejected);
  printf("  exposures   %zu, %zu left out; %lld spectra\n", plan->n_exposures, plan->n_lost, (long long)t->visits);
  printf("  cost        %.3g core-hours predicted (%s), the longest tile %lld: %.3g s\n", t->seconds / 3600,
         m->measured_tiles ? "measured" : "a guess until a run has measured it", (long long)t->longest, t->longest_s);
  printf("  disk        about %.3g GB of tile files\n", 1e-9 * BYTES_PER_SOURCE * (double)t->sources);
  if (plan->n_lost || plan->n_rejected) { printf("  `noslit status CONFIG --why` says why exposures and sources are left out\n"); }
}

static nsl_status print_json(const nsl_plan *plan, const totals *t, const nsl_cost_model *m, int made, nsl_error *err)
{
  nsl_json *root = nsl_json_object();
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(plan->hash, hex);
  nsl_json_set_bool(root, "made", made);
  nsl_json_set_text(root, "hash", hex);
  nsl_json_set_i64(root, "order", plan->order);
  nsl_json_set_i64(root, "tiles_total", (int64_t)plan->n_tiles);
  nsl_json_set_i64(root, "tiles", t->tiles);
  nsl_json_set_i64(root, "sources", t->sources);
  nsl_json_set_i64(root, "sources_faint", plan->n_faint);
  nsl_json_set_i64(root, "sources_rejected", (int64_t)plan->n_rejected);
  nsl_json_set_i64(root, "exposures", (int64_t)plan->n_exposures);
  nsl_json_set_i64(root, "exposures_left_out", (int64_t)plan->n_lost);
  nsl_json_set_i64(root, "spectra", t->visits);
  nsl_json_set_f64(root, "core_hours", t->seconds / 3600);
  nsl_json_set_i64(root, "cost_measured_tiles", m->measured_tiles);
  nsl_json_set_i64(root, "longest_tile", t->longest);
  nsl_json_set_f64(root, "longest_tile_s", t->longest_s);
  nsl_json_set_i64(root, "disk_bytes", BYTES_PER_SOURCE * t->sources);
  return nsl_cli_print_json(root, err);
}

/* Reads the plan, making it first unless the one on disk is of today's inputs. */
static nsl_status get_plan(nsl_cli *cli, const nsl_config *cfg, const nsl_instrument *inst, int remake, nsl_plan *plan, int *made,
                           nsl_error *err)
{
  char why[NSL_ERROR_TEXT_MAX] = "";
  int fresh = 0;
  nsl_error none = NSL_ERROR_INIT;
  *made = 0;
  if (!remake && nsl_plan_read(cfg, plan, &none) == NSL_OK) {
    nsl_status st = nsl_plan_is_fresh(cfg, inst, plan, &fresh, why, sizeof why, err);
    if (st != NSL_OK || fresh) { return st; }
    nsl_info(&cli->log, "%s", why);
    nsl_plan_free(plan);
  }
  nsl_status st = nsl_plan_make(cfg, inst, &cli->log, err);
  *made = 1;
  return st == NSL_OK ? nsl_plan_read(cfg, plan, err) : st;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_select *select = NULL;
  nsl_plan plan = {0};
  nsl_cost_model model;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  unsigned char *chosen = NULL;
  const char *path = NULL;
  int n = 0, json = 0, remake = 0, made;
  const nsl_option options[] = {{"--json", NULL, &json}, {"--remake", NULL, &remake}};
  if (!inst) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_select_new(&select, &err));
  NSL_TRY(nsl_cli_parse(cli, options, 2, select, &path, 1, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit plan CONFIG [SELECT]"); }
  NSL_TRY(nsl_cli_config(cli, path, &cfg, &err));
  NSL_TRY(nsl_config_require(cfg, "instrument.file", &err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(cfg, "instrument.file"), inst, &err));
  NSL_TRY(get_plan(cli, cfg, inst, remake, &plan, &made, &err));
  chosen = calloc(plan.n_tiles + 1, 1);
  if (!chosen) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_choose_tiles(cfg, inst, &plan, select, chosen, &err));
  nsl_cost_model_load(nsl_config_text(cfg, "survey.workdir"), &model);
  totals t = add_up(&plan, chosen);
  if (json) {
    NSL_TRY(print_json(&plan, &t, &model, made, &err));
  } else {
    print_text(cfg, &plan, &t, &model, made);
  }
cleanup:
  nsl_plan_free(&plan);
  nsl_select_free(select);
  nsl_config_free(cfg);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  free(chosen);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_plan = {
    "plan",
    "CONFIG [SELECT]",
    "tiles, sources, exposures, predicted cost and disk",
    0,
    run,
    "Reads the source catalogue and the exposures' headers, no pixel. `run` does it by itself when the inputs have changed.\n"
    "  --remake   also when nothing has changed\n"
    "  --json     as JSON\n",
};
