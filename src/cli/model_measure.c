/* noslit model calibrate, renorm, layers: what needs stamps. */
#include "model_verbs.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/calibrate.h"
#include "noslit/pipe/model_layers.h"
#include "noslit/pipe/renorm.h"

#define SAMPLES 64
#define BATCH 64
#define COUNT 4

/* The stamp files of --stamps, and OpenBLAS started. */
static nsl_status prepare(const char *verb, const nsl_model_arguments *a, char ***paths, size_t *n_paths, nsl_error *err)
{
  if (!a->stamps) { return nsl_fail(err, NSL_E_USAGE, "noslit model %s FILE --stamps PATTERN: no stamps given", verb); }
  nsl_status st = nsl_glob_all(&a->stamps, 1, paths, n_paths, err);
  return st == NSL_OK ? nsl_blas_start(err) : st;
}

static nsl_status parse_count(const char *option, const char *text, int otherwise, int max, int *out, nsl_error *err)
{
  double n = otherwise;
  if (text && (!nsl_parse_f64(text, &n) || n < 1 || n > max)) {
    return nsl_fail(err, NSL_E_USAGE, "%s %s: give a number from 1 to %d", option, text, max);
  }
  *out = (int)n;
  return NSL_OK;
}

nsl_status nsl_model_verb_calibrate(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_calibrate_job job = {.model = file, .out = a->out ? a->out : file, .seed = 1};
  nsl_calibrate_summary summary;
  char **paths = NULL;
  NSL_TRY(parse_count("--samples", a->samples, SAMPLES, 4096, &job.samples, err));
  NSL_TRY(prepare("calibrate", a, &paths, &job.n_stamps, err));
  job.stamps = (const char *const *)paths;
  NSL_TRY(nsl_model_calibrate(&job, &cli->log, &summary, err));
cleanup:
  nsl_paths_free(paths, job.n_stamps);
  return st;
}

nsl_status nsl_model_verb_renorm(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_renorm_job job = {.model = file, .out = a->out ? a->out : file};
  nsl_renorm_summary summary;
  char **paths = NULL;
  NSL_TRY(parse_count("--batch", a->batch, BATCH, 4096, &job.batch, err));
  NSL_TRY(prepare("renorm", a, &paths, &job.n_stamps, err));
  job.stamps = (const char *const *)paths;
  NSL_TRY(nsl_model_renorm(&job, &cli->log, &summary, err));
cleanup:
  nsl_paths_free(paths, job.n_stamps);
  return st;
}

nsl_status nsl_model_verb_layers(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_layers_job job = {.model = file, .out = a->out};
  char **paths = NULL;
  if (!a->out) { NSL_THROW(err, NSL_E_USAGE, "noslit model layers FILE --stamps PATTERN --out FILE.h5: no --out given"); }
  NSL_TRY(parse_count("--count", a->count, COUNT, 256, &job.count, err));
  NSL_TRY(prepare("layers", a, &paths, &job.n_stamps, err));
  job.stamps = (const char *const *)paths;
  NSL_TRY(nsl_model_layers(&job, &cli->log, err));
cleanup:
  nsl_paths_free(paths, job.n_stamps);
  return st;
}
