/* A job that was drained or died goes back into the queue and starts with the same words. Those that ask for tiles whatever their
 * files say (--force, --failed) must then mean the tiles that the job's earlier starts have not come to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "par/run_internal.h"

static long number_in(const char *variable)
{
  const char *text = getenv(variable);
  return text ? strtol(text, NULL, 10) : 0;
}

nsl_batch_job nsl_batch_job_here(void)
{
  nsl_batch_job b = {number_in("SLURM_JOB_ID"), (int)number_in("SLURM_RESTART_COUNT")};
  return b;
}

static void settle(const nsl_journal_tiles *t, const char *line, unsigned char *settled)
{
  const char *e = nsl_journal_value(line, "e"), *tile = nsl_journal_value(line, "tile");
  if (!e || !tile || (strncmp(e, "\"done\"", 6) != 0 && strncmp(e, "\"quarantine\"", 12) != 0)) { return; }
  int32_t i = nsl_journal_find(t, strtoll(tile, NULL, 10));
  if (i >= 0) { settled[i] = 1; }
}

/* Job numbers begin anew on a new cluster, so what the same number did before its first start does not count. */
nsl_status nsl_journal_settled(const char *folder, nsl_batch_job job, const nsl_journal_tiles *tiles, unsigned char *settled,
                               nsl_error *err)
{
  memset(settled, 0, (size_t)tiles->n);
  if (job.id <= 0 || job.restart <= 0) { return NSL_OK; }
  char *path = nsl_path_join(folder, "journal.jsonl"), *line = NULL;
  if (!path) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory for the journal", folder); }
  size_t capacity = 0;
  int ours = 0;
  FILE *f = fopen(path, "re");
  while (f && getline(&line, &capacity, f) > 0) {
    const char *e = nsl_journal_value(line, "e"), *by = nsl_journal_value(line, "job");
    if (e && !strncmp(e, "\"start\"", 7)) {
      const char *restart = nsl_journal_value(line, "restart");
      ours = by && strtol(by, NULL, 10) == job.id;
      if (ours && (!restart || strtol(restart, NULL, 10) == 0)) { memset(settled, 0, (size_t)tiles->n); }
    } else if (ours) {
      settle(tiles, line, settled);
    }
  }
  if (f) { fclose(f); }
  free(line);
  free(path);
  return NSL_OK;
}
