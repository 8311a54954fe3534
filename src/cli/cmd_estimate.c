/* noslit estimate: what a model makes of stamp files, as a catalogue with its truth beside it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/estimate_stamps.h"

#define WORDS_MAX 1024

static nsl_status parse_count(const char *option, const char *text, double max, double *out, nsl_error *err)
{
  if (text && (!nsl_parse_f64(text, out) || *out < 1 || *out > max)) {
    return nsl_fail(err, NSL_E_USAGE, "%s %s: give a number from 1 to %g", option, text, max);
  }
  return NSL_OK;
}

/* Which estimator, and whether what it needs was given. */
static nsl_status parse_estimator(const char *word, const char *model, const char *instrument, const char *config,
                                  nsl_estimator *out, nsl_error *err)
{
  static const char *const words[] = {"network", "template", "oracle"};
  int k = 0;
  while (word && k < 3 && strcmp(word, words[k]) != 0) { k++; }
  if (k == 3) { return nsl_fail(err, NSL_E_USAGE, "--estimator %s: network, template or oracle", word); }
  *out = (nsl_estimator)k;
  const char *missing = k == 0 && !model       ? "--model FILE"
                        : k > 0 && !instrument ? "--instrument FILE"
                        : k == 2 && !config    ? "--config FILE"
                                               : NULL;
  return missing ? nsl_fail(err, NSL_E_USAGE, "--estimator %s needs %s", words[k], missing) : NSL_OK;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  const char *words[WORDS_MAX], *model = NULL, *instrument = NULL, *out = NULL, *samples = NULL, *seed = NULL, *estimator = NULL,
                                *config = NULL, *limit = NULL;
  const nsl_option options[] = {
      {"--model", &model, NULL}, {"--instrument", &instrument, NULL}, {"--out", &out, NULL},       {"--samples", &samples, NULL},
      {"--seed", &seed, NULL},   {"--estimator", &estimator, NULL},   {"--config", &config, NULL}, {"--limit", &limit, NULL}};
  double n_samples = 64, seed_value = 1, limit_value = 0;
  nsl_estimator which = NSL_ESTIMATE_NETWORK;
  char **paths = NULL;
  size_t n_paths = 0, n_rows = 0;
  int n = 0;
  NSL_TRY(nsl_cli_parse(cli, options, sizeof options / sizeof *options, NULL, words, WORDS_MAX, &n, &err));
  if (!n || !out) { NSL_THROW(&err, NSL_E_USAGE, "%s given", !n ? "no stamps" : "no --out"); }
  NSL_TRY(parse_estimator(estimator, model, instrument, config, &which, &err));
  NSL_TRY(parse_count("--limit", limit, 1e9, &limit_value, &err));
  NSL_TRY(parse_count("--samples", samples, 4096, &n_samples, &err));
  NSL_TRY(parse_count("--seed", seed, 9e15, &seed_value, &err));
  NSL_TRY(nsl_glob_all(words, (size_t)n, &paths, &n_paths, &err));
  const nsl_estimate_job job = {.estimator = which,
                                .config = config,
                                .overrides = cli->overrides,
                                .n_overrides = cli->n_overrides,
                                .limit = (size_t)limit_value,
                                .model = model,
                                .instrument = instrument,
                                .out = out,
                                .stamps = (const char *const *)paths,
                                .n_stamps = n_paths,
                                .samples = (int)n_samples,
                                .batch = 64,
                                .seed = (uint64_t)seed_value};
  NSL_TRY(nsl_blas_start(&err));
  NSL_TRY(nsl_estimate_stamps(&job, &cli->log, &n_rows, &err));
  nsl_info(&cli->log, "%s: %zu sources", out, n_rows);
cleanup:
  nsl_paths_free(paths, n_paths);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_estimate = {
    "estimate",
    "STAMPS... --model FILE|--estimator E --out NAME.hdf5",
    "redshifts of stamp files, with their truth beside them",
    0,
    run,
    "  STAMPS           stamp files or patterns\n"
    "  --out NAME.hdf5  catalogue; the stamps' truth is written to NAME.truth.h5, for `noslit validate NAME.hdf5 --truth`\n"
    "  --model FILE     model file; --instrument FILE: that it must belong to this instrument\n"
    "  --estimator E    network (default); template: a fit of stellar populations and lines to the pixels; oracle: the same with\n"
    "                   the source's own true spectrum and shape, made again from --config FILE (and --set) of the simulation\n"
    "  --limit N        the first N stamps only\n"
    "  --samples N      dropout samples (64)\n"
    "  --seed N         of the dropout masks (1)\n",
};
