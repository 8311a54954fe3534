/* noslit validate: a catalogue against true redshifts. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/par/choose.h"
#include "noslit/par/validate.h"
#include "noslit/pipe/card.h"
#include "python_tool.h"
#include "validate_output.h"

typedef struct {
  const char *radius, *deltachi2, *draws, *seed, *report, *require, *config;
  int json;
} arguments;

static nsl_status parse_number(const char *option, const char *text, double min, double max, double *out, nsl_error *err)
{
  if (!text) { return NSL_OK; }
  if (!nsl_parse_f64(text, out) || *out < min || *out > max) {
    return nsl_fail(err, NSL_E_USAGE, "%s %s: give a number from %g to %g", option, text, min, max);
  }
  return NSL_OK;
}

static nsl_status parse(nsl_cli *cli, nsl_select *select, nsl_validate_options *o, arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *catalogue = NULL;
  nsl_config *cfg = NULL;
  int n = 0;
  const nsl_option options[] = {{"--truth", &o->truth, NULL},
                                {"--truth-hdu", &o->truth_where, NULL},
                                {"--id", &o->id_column, NULL},
                                {"--z", &o->z_column, NULL},
                                {"--ra", &o->ra_column, NULL},
                                {"--dec", &o->dec_column, NULL},
                                {"--snr", &o->snr_column, NULL},
                                {"--radius", &a->radius, NULL},
                                {"--by-position", NULL, &o->by_position},
                                {"--min-deltachi2", &a->deltachi2, NULL},
                                {"--draws", &a->draws, NULL},
                                {"--seed", &a->seed, NULL},
                                {"--json", NULL, &a->json},
                                {"--report", &a->report, NULL},
                                {"--config", &a->config, NULL},
                                {"--require", &a->require, NULL}};
  NSL_TRY(nsl_cli_parse(cli, options, sizeof options / sizeof *options, select, &catalogue, 1, &n, err));
  if (!n || !o->truth) {
    NSL_THROW(err, NSL_E_USAGE, "noslit validate CATALOGUE --truth TABLE: %s", n ? "no truth given" : "no catalogue given");
  }
  if (nsl_select_needs_plan(select)) {
    if (!a->config) {
      NSL_THROW(err, NSL_E_USAGE, "--exposure, --failed and --stale name tiles of a survey: give its --config CONFIG");
    }
    NSL_TRY(nsl_cli_config(cli, a->config, &cfg, err));
    NSL_TRY(nsl_select_resolve(cfg, select, err));
  } else if (a->config && !a->report && nsl_select_is_all(select)) {
    NSL_THROW(err, NSL_E_USAGE, "--config is for the stamps in the report: give --report DIR too");
  }
  double draws = 0, seed = 1;
  NSL_TRY(parse_number("--radius", a->radius, 1e-6, 3600, &o->match_radius_arcsec, err));
  NSL_TRY(parse_number("--min-deltachi2", a->deltachi2, 0, 1e12, &o->min_deltachi2, err));
  NSL_TRY(parse_number("--draws", a->draws, 0, 10000, &draws, err));
  NSL_TRY(parse_number("--seed", a->seed, 0, 9e15, &seed, err));
  o->n_draws = a->draws && draws < 1 ? -1 : (int)draws;
  o->seed = (uint64_t)seed;
  o->catalogue = catalogue;
  o->select = select;
cleanup:
  nsl_config_free(cfg);
  return st;
}

/* Cards of the worst failures, with their stamps made again; one that cannot be made is said and left out. */
static nsl_status write_cards(const nsl_cli *cli, const arguments *a, const char *catalogue, const nsl_json *metrics,
                              nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_config *cfg = NULL;
  nsl_catalogue *c = NULL;
  const nsl_json *worst = nsl_json_get(metrics, "worst");
  char *dir = nsl_path_join(a->report, "cards");
  if (!dir) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_mkdirs(dir, err));
  NSL_TRY(nsl_cli_config(cli, a->config, &cfg, err));
  NSL_TRY(nsl_catalogue_open(catalogue, &c, err));
  for (int i = 0; i < nsl_json_length(worst); i++) {
    const nsl_json *w = nsl_json_at(worst, i);
    nsl_rows rows = {0};
    NSL_TRY(nsl_catalogue_read(c, (int64_t)nsl_json_get_f64(w, "row", 0), 1, 1, &rows, err));
    char *path = nsl_strf("%s/%lld.h5", dir, (long long)rows.object_id[0]);
    nsl_error card_err = NSL_ERROR_INIT;
    if (path && nsl_card_write(path, &rows, 0, nsl_json_get_f64(w, "z_true", NAN), cfg, &cli->log, NULL, &card_err) != NSL_OK) {
      nsl_warn(&cli->log, "no stamp of %lld: %s", (long long)rows.object_id[0], card_err.text);
    }
    free(path);
    nsl_rows_free(&rows);
  }
cleanup:
  nsl_catalogue_close(c);
  nsl_config_free(cfg);
  free(dir);
  return st;
}

/* metrics.json first: it stays when the pictures cannot be drawn. */
static nsl_status write_report(const nsl_cli *cli, const arguments *a, const char *matched, const char *catalogue,
                               const nsl_json *metrics, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *json = nsl_path_join(a->report, "metrics.json");
  if (!json) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_json_write(json, metrics, err));
  if (a->config) { NSL_TRY(write_cards(cli, a, catalogue, metrics, err)); }
  const char *args[] = {"--metrics", json, "--matched", matched, "--catalogue", catalogue, "--out", a->report, NULL};
  st = nsl_python_tool("report.py", NSL_PYTHON_PICTURES, args, err);
  if (st != NSL_OK) {
    st = nsl_error_context(err, st, "%s is written, index.html is not", json);
    goto cleanup;
  }
  nsl_info(&cli->log, "report: %s/index.html", a->report);
cleanup:
  free(json);
  return st;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_select *select = NULL;
  nsl_json *metrics = NULL;
  nsl_validate_options o = {.match_radius_arcsec = 0.5};
  arguments a = {0};
  char *matched = NULL, *text = NULL;
  int failed = 0;
  NSL_TRY(nsl_select_new(&select, &err));
  NSL_TRY(parse(cli, select, &o, &a, &err));
  if (a.report && cli->mpi.rank == 0) {
    NSL_TRY(nsl_mkdirs(a.report, &err));
    matched = nsl_path_join(a.report, "matched.h5");
    if (!matched) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
    o.matched_path = matched;
  }
  NSL_TRY(cli->mpi.size > 1 ? nsl_validate_mpi(&o, &cli->log, &metrics, &err)
                            : nsl_validate(&o, &nsl_validate_alone, &cli->log, &metrics, &err));
  if (cli->mpi.rank > 0) { goto cleanup; }
  if (a.json) {
    text = nsl_json_text(metrics);
    if (!text) { NSL_THROW(&err, NSL_E_NOMEM, "no memory for the metrics"); }
    puts(text);
  } else {
    nsl_validate_print(metrics);
  }
  if (a.require) {
    if (!a.json) { printf("\n"); }
    NSL_TRY(nsl_validate_require(a.require, metrics, a.json ? stderr : stdout, &failed, &err));
  }
  fflush(stdout);
  if (a.report) { NSL_TRY(write_report(cli, &a, matched, o.catalogue, metrics, &err)); }
cleanup:
  free(text);
  free(matched);
  nsl_json_free(metrics);
  nsl_select_free(select);
  if (st != NSL_OK) { return nsl_cli_error(cli, &err); }
  return failed ? NSL_EXIT_INTERNAL : NSL_EXIT_OK;
}

const nsl_command nsl_cmd_validate = {
    "validate",
    "CATALOGUE --truth TABLE [SELECT]",
    "a catalogue against true redshifts: metrics, gate, report (mpirun)",
    NSL_MPI_IF_LAUNCHED,
    run,
    "  --truth TABLE         FITS, CSV or HDF5: DESI zcatalog, redrock, SDSS spAll, or any; --truth-hdu X for a part of it\n"
    "  --id, --z, --ra, --dec, --snr COLUMN   where the usual names do not fit\n"
    "  --by-position         match by position within --radius ARCSEC (default 0.5); without an ID column this is done anyway\n"
    "  --min-deltachi2 X     leave out true redshifts with a smaller DELTACHI2\n"
    "  --json                the metrics as JSON on stdout\n"
    "  --report DIR          DIR/metrics.json, DIR/matched.h5 and DIR/index.html; with --config CONFIG also\n"
    "                        the stamps of the worst failures, made again from the exposures\n"
    "  --config CONFIG       of the survey: for that, and for --exposure, --failed and --stale\n"
    "  --require FILE        thresholds in YAML; exit code 1 when one fails:  \"snr_gi>=3\": {sigma_nmad: {max: 0.02}}\n"
    "  --draws N, --seed N   bootstrap (default 200 draws, seed 1; 0 draws for none)\n",
};
