#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/train.h"

void nsl_train_options_free(nsl_train_options *o)
{
  if (!o) { return; }
  nsl_paths_free(o->stamps, o->n_stamps);
  nsl_paths_free(o->validation, o->n_validation);
  nsl_paths_free(o->calibration, o->n_calibration);
  free(o->output);
  free(o->from);
  free(o->checkpoint);
  free(o->architecture);
  *o = (nsl_train_options){0};
}

/* Files of all patterns of a key; a pattern without a file is an error. */
static nsl_status expand(const nsl_config *cfg, const char *key, char ***paths, size_t *n, nsl_error *err)
{
  const char *const *patterns;
  size_t n_patterns = nsl_config_list(cfg, key, &patterns);
  nsl_status st = nsl_glob_all(patterns, n_patterns, paths, n, err);
  if (st == NSL_E_NOTFOUND) { st = NSL_E_CONFIG; }
  return st == NSL_OK ? st : nsl_error_context(err, st, "%s (%s)", key, nsl_config_origin(cfg, key));
}

nsl_status nsl_train_options_new(const nsl_config *cfg, nsl_train_options *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_train_options o = {
      .seed = (uint64_t)nsl_config_int(cfg, "survey.seed"),
      .width = (int)nsl_config_int(cfg, "train.width"),
      .bins = (int)nsl_config_int(cfg, "train.bins"),
      .epochs = (int)nsl_config_int(cfg, "train.epochs"),
      .batch = (int)nsl_config_int(cfg, "train.batch"),
      .group = (int)nsl_config_int(cfg, "train.group"),
      .validate_steps = (int)nsl_config_int(cfg, "train.validate_steps"),
      .shift_y = (int)nsl_config_int(cfg, "train.shift_y"),
      .squared = strcmp(nsl_config_text(cfg, "train.loss"), "squared") == 0,
      .shift_x_range = (int)nsl_config_int(cfg, "train.shift_x_range"),
      .shift_bands_apart = strcmp(nsl_config_text(cfg, "train.shift_bands"), "apart") == 0,
      .shift_roll = strcmp(nsl_config_text(cfg, "train.shift_edge"), "roll") == 0,
      .flip = nsl_config_bool(cfg, "train.flip"),
      .dropout = nsl_config_real(cfg, "train.dropout"),
      .lr = nsl_config_real(cfg, "train.lr"),
      .lr_min = nsl_config_real(cfg, "train.lr_min"),
      .warm_up = nsl_config_real(cfg, "train.warm_up"),
      .weight_decay = nsl_config_real(cfg, "train.weight_decay"),
      .beta2 = nsl_config_real(cfg, "train.beta2"),
      .clip = nsl_config_real(cfg, "train.clip"),
      .label_sigma = nsl_config_real(cfg, "train.label_sigma"),
      .shift_x = nsl_config_real(cfg, "train.shift_x"),
      .contamination_k = nsl_config_real(cfg, "train.contamination_k"),
      .checkpoint_s = nsl_config_real(cfg, "train.checkpoint_s"),
  };
  NSL_TRY(nsl_config_require(cfg, "train.stamps", err));
  NSL_TRY(expand(cfg, "train.stamps", &o.stamps, &o.n_stamps, err));
  NSL_TRY(expand(cfg, "train.validation", &o.validation, &o.n_validation, err));
  NSL_TRY(expand(cfg, "train.calibration", &o.calibration, &o.n_calibration, err));
  const char *checkpoint = nsl_config_text(cfg, "train.checkpoint");
  o.output = nsl_strdup(nsl_config_text(cfg, "train.output"));
  o.from = nsl_strdup(nsl_config_text(cfg, "train.from"));
  o.architecture = nsl_strdup(nsl_config_text(cfg, "train.architecture"));
  o.checkpoint = checkpoint[0] ? nsl_strdup(checkpoint) : nsl_strf("%s.checkpoint", o.output ? o.output : "");
  if (!o.output || !o.from || !o.architecture || !o.checkpoint) { NSL_THROW(err, NSL_E_NOMEM, "training options"); }
  *out = o;
  o = (nsl_train_options){0};
cleanup:
  nsl_train_options_free(&o);
  return st;
}
