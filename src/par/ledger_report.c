/* Looking back at reports. */
#include <string.h>
#include <time.h>

#include "noslit/base/fsio.h"
#include "noslit/par/ledger.h"
#include "noslit/pipe/ledger_files.h"

nsl_json *nsl_ledger_last_report(const char *workdir)
{
  nsl_json *last = NULL;
  char **paths;
  size_t n;
  if (nsl_ledger_files(workdir, "report.json", &paths, &n, NULL) != NSL_OK) { return NULL; }
  for (size_t i = 0; i < n; i++) {
    nsl_json *older = NULL;
    if (nsl_json_read(paths[i], &older, NULL) != NSL_OK) { continue; }
    if (!last || strcmp(nsl_json_get_text(older, "utc", ""), nsl_json_get_text(last, "utc", "")) > 0) {
      nsl_json *newer = older;
      older = last;
      last = newer;
    }
    nsl_json_free(older);
  }
  nsl_paths_free(paths, n);
  return last;
}

nsl_json *nsl_ledger_progress(const char *workdir)
{
  char **paths;
  size_t n;
  if (nsl_ledger_files(workdir, "progress.json", &paths, &n, NULL) != NSL_OK) { return NULL; }
  nsl_json *all = n ? nsl_json_array() : NULL;
  for (size_t i = 0; i < n; i++) {
    nsl_json *one = NULL;
    int64_t size, modified_ns;
    if (nsl_file_stat(paths[i], &size, &modified_ns, NULL) != NSL_OK || nsl_json_read(paths[i], &one, NULL) != NSL_OK) { continue; }
    nsl_json_set_f64(one, "age_s", difftime(time(NULL), (time_t)(modified_ns / 1000000000)));
    nsl_json_push(all, one);
  }
  nsl_paths_free(paths, n);
  return all;
}
