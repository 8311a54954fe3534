/* Private: the parts of `noslit model`. */
#ifndef NOSLIT_CLI_MODEL_VERBS_H
#define NOSLIT_CLI_MODEL_VERBS_H

#include "command.h"

typedef struct {
  const char *stamps, *out, *samples, *instrument, *map, *bins, *batch, *count; /* NULL: not given */
} nsl_model_arguments;

/* Each does one verb with one file. */
nsl_status nsl_model_verb_calibrate(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err);
nsl_status nsl_model_verb_renorm(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err);
nsl_status nsl_model_verb_layers(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err);
nsl_status nsl_model_verb_import(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err);
nsl_status nsl_model_verb_export(const nsl_cli *cli, const char *file, const nsl_model_arguments *a, nsl_error *err);

#endif
