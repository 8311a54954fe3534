/* noslit show: one source. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/par/choose.h"
#include "noslit/pipe/truth.h"
#include "python_tool.h"
#include "show_output.h"

typedef struct {
  const char *catalogue, *config, *png, *truth, *truth_where;
  nsl_select *select;
  int64_t id;
  int list; /* what the selection names, a line each, and not one source */
} arguments;

static nsl_status parse(nsl_cli *cli, arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *id = NULL;
  int n = 0;
  const nsl_option options[] = {{"--id", &id, NULL},
                                {"--config", &a->config, NULL},
                                {"--png", &a->png, NULL},
                                {"--truth", &a->truth, NULL},
                                {"--truth-hdu", &a->truth_where, NULL}};
  NSL_TRY(nsl_select_new(&a->select, err));
  NSL_TRY(nsl_cli_parse(cli, options, sizeof options / sizeof *options, a->select, &a->catalogue, 1, &n, err));
  const int64_t *ids;
  size_t n_ids = nsl_select_sources(a->select, &ids);
  if (id && !nsl_parse_i64(id, &a->id)) { NSL_THROW(err, NSL_E_USAGE, "--id %s: an identifier is an integer", id); }
  if (!n) { NSL_THROW(err, NSL_E_USAGE, "which catalogue? noslit show CATALOGUE --id N, or SELECT for a list"); }
  char *text = nsl_select_text(a->select);
  char *only = n_ids == 1 ? nsl_strf("--source %lld", (long long)ids[0]) : NULL;
  int one_source = only && text && !strcmp(only, text);
  a->list = !id && !one_source;
  if (one_source && !id) { a->id = ids[0]; }
  free(only);
  free(text);
  int part;
  if (a->list && (nsl_select_is_all(a->select) || nsl_select_part(a->select, &part))) {
    NSL_THROW(err, NSL_E_USAGE, "noslit show CATALOGUE --id N for one source, or tiles, regions, exposures, sources for a list");
  }
  if (a->list && (a->png || a->truth)) { NSL_THROW(err, NSL_E_USAGE, "--png and --truth go with one source: --id N"); }
  if (nsl_select_needs_plan(a->select) && !a->config) {
    NSL_THROW(err, NSL_E_USAGE, "--exposure, --failed and --stale name tiles of a survey: give its --config CONFIG");
  }
cleanup:
  return st;
}

/* True redshift of one source by its identifier; stays NaN when the table does not have it. */
static nsl_status find_truth(const arguments *a, double *z, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_truth *truth = NULL;
  nsl_truth_options options = {.path = a->truth, .where = a->truth_where};
  NSL_TRY(nsl_truth_open(&options, &truth, err));
  if (!nsl_truth_name(truth, NSL_TRUTH_ID)) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: has no identifier column, so that the source cannot be found in it", a->truth);
  }
  const nsl_truth_row *rows;
  for (size_t n = 1; n && isnan(*z);) {
    NSL_TRY(nsl_truth_next(truth, &rows, &n, err));
    for (size_t i = 0; i < n && isnan(*z); i++) {
      if (rows[i].id == a->id) { *z = rows[i].z; }
    }
  }
cleanup:
  nsl_truth_close(truth);
  return st;
}

/* The card goes to a temporary file, beside the picture when there is one. */
static nsl_status draw(const nsl_cli *cli, const arguments *a, const nsl_rows *rows, double z_true, const nsl_config *cfg,
                       nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_card_facts facts = {0};
  char *card = nsl_temp_name(a->png ? a->png : "/tmp/noslit-card", 1);
  if (!card) { return nsl_fail(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_card_write(card, rows, 0, z_true, cfg, &cli->log, &facts, err));
  if (cfg) { nsl_show_print_facts(&facts); }
  if (a->png) {
    const char *args[] = {"--card", card, "--out", a->png, NULL};
    NSL_TRY(nsl_python_tool("show.py", NSL_PYTHON_PICTURES, args, err));
  }
cleanup:
  unlink(card);
  free(card);
  nsl_card_facts_free(&facts);
  return st;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  arguments a = {0};
  nsl_catalogue *c = NULL;
  nsl_config *cfg = NULL;
  nsl_rows rows = {0};
  int64_t row;
  double z_true = NAN;
  NSL_TRY(parse(cli, &a, &err));
  NSL_TRY(nsl_catalogue_open(a.catalogue, &c, &err));
  if (a.list) {
    if (a.config) { NSL_TRY(nsl_cli_config(cli, a.config, &cfg, &err)); }
    if (nsl_select_needs_plan(a.select)) { NSL_TRY(nsl_select_resolve(cfg, a.select, &err)); }
    NSL_TRY(nsl_show_list(c, a.select, &err));
    goto cleanup;
  }
  NSL_TRY(nsl_card_find(c, a.catalogue, a.id, &rows, &row, &err));
  if (a.truth) { NSL_TRY(find_truth(&a, &z_true, &err)); }
  NSL_TRY(nsl_show_print(c, &rows, row, z_true, &err));
  if (a.config) { NSL_TRY(nsl_cli_config(cli, a.config, &cfg, &err)); }
  fflush(stdout);
  if (cfg || a.png) { NSL_TRY(draw(cli, &a, &rows, z_true, cfg, &err)); }
cleanup:
  nsl_select_free(a.select);
  nsl_config_free(cfg);
  nsl_rows_free(&rows);
  nsl_catalogue_close(c);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_show = {
    "show",
    "CATALOGUE --id N | SELECT",
    "one source: redshift, PDF, flags, provenance, stamp; or a list",
    0,
    run,
    "  --id N            the source (or --source N)\n"
    "  SELECT            a list of all sources it names, a line each; --exposure, --failed, --stale with --config\n"
    "  --truth TABLE     its true redshift from a table with identifiers; --truth-hdu X for a part of it\n"
    "  --config CONFIG   make its stamp again from the exposures and list these\n"
    "  --png FILE        a picture: PDF, and with --config the stamps with rest-frame lines\n",
};
