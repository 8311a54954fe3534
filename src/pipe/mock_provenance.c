/* What made a mock survey, beside it: frames and tables have the same bytes whoever made them, this has not. */
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/clock.h"
#include "noslit/base/str.h"
#include "noslit/pipe/made_by.h"

static char *path_of(const nsl_mock *m, int of_stamps)
{
  if (of_stamps) {
    return nsl_strf("%s/%s_simulate.json", nsl_config_text(m->cfg, "simulate.stamps_dir"), nsl_config_text(m->cfg, "simulate.set"));
  }
  char *dir = nsl_mock_outdir(m), *path = dir ? nsl_path_join(dir, "simulate.json") : NULL;
  free(dir);
  return path;
}

nsl_status nsl_mock_write_provenance(nsl_mock *m, int of_stamps, double wall_s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char utc[32], hex[NSL_HASH_HEX];
  char *path = path_of(m, of_stamps);
  char *config = nsl_config_resolved(m->cfg, 0);
  nsl_json *root = nsl_json_object(), *settings = nsl_json_array();
  if (!path || !config) { NSL_THROW(err, NSL_E_NOMEM, "no memory for simulate.json"); }
  nsl_clock_utc(utc);
  nsl_hash_to_hex(m->inst->hash, hex);
  nsl_json_set_text(root, "utc", utc);
  nsl_json_set_f64(root, "wall_s", wall_s);
  nsl_made_by_json(root);
  if (of_stamps) {
    nsl_json_set_i64(root, "stamps", nsl_config_int(m->cfg, "simulate.stamps"));
  } else {
    nsl_json_set_i64(root, "frames", nsl_mock_n_frames(m));
  }
  nsl_json_set_i64(root, "seed", (int64_t)m->seed);
  nsl_json_set_text(root, "instrument", m->inst->name);
  nsl_json_set_text(root, "instrument_hash", hex);
  char *save = NULL;
  for (char *line = strtok_r(config, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) { nsl_json_push_text(settings, line); }
  nsl_json_set(root, "config", settings);
  settings = NULL;
  NSL_TRY(nsl_json_write(path, root, err));
cleanup:
  nsl_json_free(settings);
  nsl_json_free(root);
  free(config);
  free(path);
  return st;
}
