#include "noslit/pipe/ledger_files.h"

#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

char *nsl_ledger_folder(const char *workdir, const nsl_select *select)
{
  int part, n = nsl_select_part(select, &part);
  return n ? nsl_strf("%s/run/part-%d-of-%d", workdir, part, n) : nsl_strf("%s/run", workdir);
}

nsl_status nsl_ledger_files(const char *workdir, const char *name, char ***paths, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char **parts = NULL, **all = NULL;
  size_t n_parts = 0;
  char *whole = nsl_strf("%s/run/%s", workdir, name), *pattern = nsl_strf("%s/run/part-*-of-*/%s", workdir, name);
  *n = 0;
  if (!whole || !pattern) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", workdir); }
  NSL_TRY(nsl_glob(pattern, &parts, &n_parts, err));
  all = calloc(n_parts + 2, sizeof *all);
  if (!all) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", workdir); }
  if (nsl_file_exists(whole)) {
    all[(*n)++] = whole;
    whole = NULL;
  }
  for (size_t i = 0; i < n_parts; i++) {
    all[(*n)++] = parts[i];
    parts[i] = NULL;
  }
  *paths = all;
cleanup:
  nsl_paths_free(parts, n_parts);
  free(whole);
  free(pattern);
  return st;
}
