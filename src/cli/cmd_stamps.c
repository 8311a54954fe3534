/* noslit stamps: stamp files of a survey's sources with known redshift. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "noslit/base/str.h"
#include "noslit/pipe/survey_stamps.h"

#define RADIUS_ARCSEC 1.0
#define PER_FILE 500

static nsl_status parse_split(const char *text, int share[NSL_SURVEY_SETS], nsl_error *err)
{
  char end;
  if (sscanf(text, "%d,%d,%d%c", &share[0], &share[1], &share[2], &end) != 3 || share[0] < 0 || share[1] < 0 || share[2] < 0 ||
      share[0] > 1000 || share[1] > 1000 || share[2] > 1000 || share[0] + share[1] + share[2] == 0) {
    return nsl_fail(err, NSL_E_USAGE, "--split %s: give three whole numbers, train,validation,calibration, such as 8,1,1", text);
  }
  return NSL_OK;
}

static void report(const nsl_cli *cli, const nsl_survey_stamps_job *job, const nsl_survey_stamps_summary *s)
{
  const nsl_truth_counts *t = &s->truth;
  nsl_info(&cli->log, "%s: %lld rows, %lld galaxies with a trusted redshift; %lld of them are sources of the survey",
           job->truth.path, (long long)t->rows, (long long)t->used, (long long)s->match.matched);
  nsl_info(&cli->log, "%s: %lld stamps to train, %lld to validate, %lld to calibrate, in %d files; %lld sources have no data",
           job->dir, (long long)s->made[0], (long long)s->made[1], (long long)s->made[2], s->files, (long long)s->empty);
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_select *select = NULL;
  const char *path = NULL, *radius = NULL, *deltachi2 = NULL, *split = NULL, *per_file = NULL;
  double n_file = PER_FILE;
  int n = 0;
  nsl_survey_stamps_job job = {.radius_arcsec = RADIUS_ARCSEC, .share = {8, 1, 1}};
  nsl_survey_stamps_summary summary;
  const nsl_option options[] = {{"--truth", &job.truth.path, NULL},        {"--truth-hdu", &job.truth.where, NULL},
                                {"--id", &job.truth.id_column, NULL},      {"--z", &job.truth.z_column, NULL},
                                {"--ra", &job.truth.ra_column, NULL},      {"--dec", &job.truth.dec_column, NULL},
                                {"--by-position", NULL, &job.by_position}, {"--radius", &radius, NULL},
                                {"--min-deltachi2", &deltachi2, NULL},     {"--split", &split, NULL},
                                {"--per-file", &per_file, NULL},           {"--out", &job.dir, NULL}};
  NSL_TRY(nsl_select_new(&select, &err));
  NSL_TRY(nsl_cli_parse(cli, options, sizeof options / sizeof *options, select, &path, 1, &n, &err));
  if (!n || !job.truth.path || !job.dir) {
    NSL_THROW(&err, NSL_E_USAGE, "noslit stamps CONFIG --truth TABLE --out DIR: %s",
              !n                ? "no configuration given"
              : !job.truth.path ? "no truth given"
                                : "no --out given");
  }
  if (radius && (!nsl_parse_f64(radius, &job.radius_arcsec) || !(job.radius_arcsec > 0) || job.radius_arcsec > 3600)) {
    NSL_THROW(&err, NSL_E_USAGE, "--radius %s: give a number of arcsec, up to 3600", radius);
  }
  if (deltachi2 && (!nsl_parse_f64(deltachi2, &job.truth.min_deltachi2) || job.truth.min_deltachi2 < 0)) {
    NSL_THROW(&err, NSL_E_USAGE, "--min-deltachi2 %s: give a number from 0", deltachi2);
  }
  if (per_file && (!nsl_parse_f64(per_file, &n_file) || n_file < 1 || n_file > 100000)) {
    NSL_THROW(&err, NSL_E_USAGE, "--per-file %s: give a number from 1 to 100000", per_file);
  }
  if (nsl_select_failed(select) || nsl_select_stale(select)) {
    NSL_THROW(&err, NSL_E_USAGE, "--failed and --stale are for run: stamps takes tiles, regions, exposures, sources and --part");
  }
  job.per_file = (int)n_file;
  if (split) { NSL_TRY(parse_split(split, job.share, &err)); }
  NSL_TRY(nsl_cli_config(cli, path, &cfg, &err));
  job.cfg = cfg;
  job.select = select;
  NSL_TRY(nsl_survey_stamps(&job, &cli->log, &summary, &err));
  report(cli, &job, &summary);
cleanup:
  nsl_select_free(select);
  nsl_config_free(cfg);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_stamps = {
    "stamps",
    "CONFIG --truth TABLE --out DIR [SELECT]",
    "stamp files of the sources with known redshift, to train or calibrate on",
    0,
    run,
    "The stamps are those that `run` would measure; each source is in one of the sets train, validation and calibration.\n"
    "  --truth TABLE      true redshifts, matched by identifier, or else by position (docs/validation.md)\n"
    "    --truth-hdu X, --id, --z, --ra, --dec COLUMN, --min-deltachi2 D, --by-position, --radius ARCSEC (1)\n"
    "  --out DIR          gets train_00000.h5, validation_00000.h5, calibration_00000.h5 and so on\n"
    "  --split A,B,C      shares of the three sets (8,1,1)\n"
    "  --per-file N       stamps a file (500)\n"
    "  --part I/N         one share of the tiles, for N jobs at a time\n",
};
