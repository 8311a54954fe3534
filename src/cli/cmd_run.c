/* noslit run: the survey, tile by tile. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/str.h"
#include "noslit/io/json.h"
#include "noslit/par/run.h"

static nsl_status parse_faults(const char *text, nsl_faults *faults, nsl_error *err)
{
  if (!text) { return NSL_OK; }
  nsl_status st = NSL_OK;
  char *copy = nsl_strdup(text), *rest = copy, *one;
  if (!copy) { return nsl_fail(err, NSL_E_NOMEM, "no memory"); }
  while (st == NSL_OK && (one = strsep(&rest, ","))) { st = nsl_faults_add(faults, one, err); }
  free(copy);
  return st;
}

static nsl_status print_json(const nsl_run_summary *s, nsl_error *err)
{
  nsl_json *root = nsl_json_object();
  nsl_json_set_i64(root, "tiles_total", s->tiles_total);
  nsl_json_set_i64(root, "tiles_asked", s->tiles_asked);
  nsl_json_set_i64(root, "tiles_made", s->tiles_made);
  nsl_json_set_i64(root, "tiles_verified", s->tiles_verified);
  nsl_json_set_i64(root, "tiles_quarantined", s->tiles_quarantined);
  nsl_json_set_i64(root, "tiles_left", s->tiles_left);
  nsl_json_set_i64(root, "sources_measured", s->sources_measured);
  nsl_json_set_i64(root, "workers_lost", s->workers_lost);
  nsl_json_set_bool(root, "drained", s->drained);
  nsl_json_set_bool(root, "complete", s->complete);
  nsl_json_set_f64(root, "wall_s", s->wall_s);
  return nsl_cli_print_json(root, err);
}

static nsl_status report(const nsl_config *cfg, const nsl_run_summary *s, int json, nsl_error *err)
{
  if (json) { return print_json(s, err); }
  printf("%s: %lld of %lld tiles asked for: %lld made, %lld verified, %lld quarantined, %lld left; %lld sources in %.1f s\n",
         nsl_config_text(cfg, "survey.name"), (long long)s->tiles_asked, (long long)s->tiles_total, (long long)s->tiles_made,
         (long long)s->tiles_verified, (long long)s->tiles_quarantined, (long long)s->tiles_left, (long long)s->sources_measured,
         s->wall_s);
  if (s->workers_lost) { printf("workers lost: %d; what they held was dealt out again\n", s->workers_lost); }
  if (s->tiles_quarantined) {
    printf("`noslit status CONFIG --why` says why tiles are in quarantine; `run --failed` tries them again\n");
  }
  printf("%s\n", s->complete ? "the survey is complete (run/COMPLETE.json)" : "the survey is not complete");
  return NSL_OK;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_select *select = NULL;
  nsl_run_summary summary = {0};
  nsl_faults faults = {0};
  const char *path = NULL, *fault_text = NULL;
  int n = 0, json = 0;
  const nsl_option options[] = {{"--json", NULL, &json}, {"--fault", &fault_text, NULL}};
  NSL_TRY(nsl_select_new(&select, &err));
  NSL_TRY(nsl_cli_parse(cli, options, 2, select, &path, 1, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit run CONFIG [SELECT]"); }
  NSL_TRY(parse_faults(fault_text, &faults, &err));
  st = nsl_cli_config(cli, path, &cfg, &err);
  NSL_TRY(nsl_mpi_agree(st, &err));
  st = nsl_run_survey(cfg, select, &faults, &cli->log, &summary, &err);
  cli->lost_ranks = summary.workers_unseen ? -summary.workers_lost : summary.workers_lost;
  if (cli->mpi.rank == 0 && summary.tiles_total) {
    nsl_error print_err = NSL_ERROR_INIT;
    nsl_status printed = report(cfg, &summary, json, &print_err);
    if (st == NSL_OK && printed != NSL_OK) { st = printed, err = print_err; }
  } else if (cli->mpi.rank > 0 && st != NSL_OK) {
    nsl_warn(&cli->log, "%s", err.text);
  }
cleanup:
  nsl_select_free(select);
  nsl_config_free(cfg);
  if (st != NSL_OK) { return nsl_cli_error(cli, &err); }
  return summary.tiles_quarantined ? NSL_EXIT_QUARANTINED : NSL_EXIT_OK;
}

const nsl_command nsl_cmd_run = {
    "run",
    "CONFIG [SELECT]",
    "measure the survey's tiles (mpirun; one rank works alone)",
    1,
    run,
    "Does every selected tile that is not done and verified; without SELECT all of them. Corrupt and stale tiles are not done.\n"
    "  --stale          only tiles whose inputs, configuration or model have changed\n"
    "  --failed         only tiles in quarantine\n"
    "  --force          make the selected tiles anew, done or not\n"
    "  --json           the summary as JSON\n"
    "  --fault F[,F]    for tests: kill|hang|crash|exit|fail|slow|nap:tile=ID|any[:times=N][:rank=R]\n"
    "SIGTERM or SIGUSR1 drains: tiles under way are finished, exit code 75, the same command goes on. A second one gives them up.\n"
    "run/COMPLETE.json is the proof that every tile of the survey is done or in quarantine; mpirun's exit code is none.\n",
};
