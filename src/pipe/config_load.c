#include "noslit/pipe/config_load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/str.h"
#include "noslit/io/yaml.h"

/* The folder whatever the working folder will be, so that a plan made from inside it is also the plan of jobs elsewhere. Links
 * stay: where they lead may differ between nodes. NULL without memory. */
static char *absolute_dir(const char *path)
{
  char *dir = nsl_path_dir(path), *here = dir && dir[0] != '/' ? getcwd(NULL, 0) : NULL;
  if (!here) { return dir; }
  char *out = strcmp(dir, ".") == 0 ? nsl_strdup(here) : nsl_path_join(here, dir);
  free(dir);
  free(here);
  return out;
}

nsl_status nsl_config_load(const char *path, const char *const *overrides, int n_overrides, nsl_config **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_kvlist doc = {0};
  nsl_config *cfg = NULL;
  char *dir = absolute_dir(path);
  if (!dir) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(nsl_yaml_read(path, &doc, err));
  NSL_TRY(nsl_config_new(&doc, dir, &cfg, err));
  for (int i = 0; i < n_overrides; i++) { NSL_TRY(nsl_config_override(cfg, overrides[i], err)); }
  *out = cfg;
  cfg = NULL;
cleanup:
  nsl_config_free(cfg);
  nsl_kvlist_free(&doc);
  free(dir);
  return st;
}
