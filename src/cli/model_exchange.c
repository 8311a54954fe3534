/* noslit model import, export: weights from and to PyTorch, through tools/torch_to_model.py. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model_verbs.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/config_load.h"
#include "noslit/pipe/model_import.h"
#include "python_tool.h"

#define SCRIPT "torch_to_model.py"
#define MODULES "numpy h5py"
#define BINS 1280
#define DROPOUT 0.1

nsl_status nsl_model_verb_import(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_instrument *inst = NULL;
  double bins = BINS;
  char *staged = NULL;
  if (!a->out) { NSL_THROW(err, NSL_E_USAGE, "noslit model import FILE --out MODEL: no --out given"); }
  if (a->bins && (!nsl_parse_f64(a->bins, &bins) || bins < 16 || bins > 16384)) {
    NSL_THROW(err, NSL_E_USAGE, "--bins %s: give a number from 16 to 16384", a->bins);
  }
  if (a->instrument) {
    if (!(inst = calloc(1, sizeof *inst))) { NSL_THROW(err, NSL_E_NOMEM, "%s", a->instrument); }
    NSL_TRY(nsl_instrument_load(a->instrument, inst, err));
  }
  if (!(staged = nsl_temp_name(a->out, 1))) { NSL_THROW(err, NSL_E_NOMEM, "%s", a->out); }
  const char *arguments[] = {"import", file, "--out", staged, a->map ? "--map" : NULL, a->map, NULL};
  NSL_TRY(nsl_python_tool(SCRIPT, MODULES, arguments, err));
  const nsl_model_import_job job = {
      .staged = staged, .source = file, .out = a->out, .inst = inst, .bins = (int)bins, .dropout = DROPOUT};
  NSL_TRY(nsl_blas_start(err));
  NSL_TRY(nsl_model_import(&job, err));
  nsl_info(&cli->log, "%s: made from %s", a->out, file);
cleanup:
  if (staged) { unlink(staged); }
  free(staged);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  return st;
}

nsl_status nsl_model_verb_export(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (!a->out) { NSL_THROW(err, NSL_E_USAGE, "noslit model export MODEL --out FILE: no --out given (.npz or .safetensors)"); }
  const char *arguments[] = {"export", file, "--out", a->out, NULL};
  NSL_TRY(nsl_python_tool(SCRIPT, MODULES, arguments, err));
  nsl_info(&cli->log, "%s: weights of %s", a->out, file);
cleanup:
  return st;
}
