/* What the journals say of failures. A tile is the business of one journal at a time, but another division of the survey into parts
 * may move it to another: so all are read. Within a journal the order of lines counts, between journals the time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

#include "noslit/base/fsio.h"
#include "noslit/pipe/ledger_files.h"
#include "par/run_internal.h"

typedef struct {
  nsl_journal_tiles known;
  int32_t n;
  int32_t *failures;   /* in this journal */
  int64_t *cleared;    /* when a tile was last done or released, in any journal: yyyymmddhhmmss */
  int64_t *open_since; /* assigned then, and no answer yet; 0: not */
  int64_t now;         /* of the line */
} replay;

int32_t nsl_journal_find(const nsl_journal_tiles *t, int64_t tile)
{
  int32_t low = 0, high = t->n;
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if (t->tiles[middle] < tile) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < t->n && t->tiles[low] == tile ? low : -1;
}

const char *nsl_journal_value(const char *line, const char *key)
{
  char pattern[32];
  snprintf(pattern, sizeof pattern, "\"%s\":", key);
  const char *at = strstr(line, pattern);
  return at ? at + strlen(pattern) : NULL;
}

static int64_t time_of(const char *line)
{
  int64_t t = 0;
  const char *text = nsl_journal_value(line, "t");
  for (int i = 0; text && text[i] && text[i] != 'Z' && i < 24; i++) {
    if (text[i] >= '0' && text[i] <= '9') { t = 10 * t + (text[i] - '0'); }
  }
  return t;
}

static int is(const char *event, const char *name) { return !strncmp(event, name, strlen(name)); }

static void count(replay *r, int32_t i, int64_t when) { r->failures[i] += when >= r->cleared[i]; }

static void close_all(replay *r)
{
  for (int32_t i = 0; i < r->n; i++) {
    if (r->open_since[i]) { count(r, i, r->open_since[i]); }
    r->open_since[i] = 0;
  }
}

static void replay_line(replay *r, const char *line)
{
  const char *e = nsl_journal_value(line, "e"), *tile = nsl_journal_value(line, "tile");
  if (!e) { return; }
  r->now = time_of(line);
  if (is(e, "\"start\"")) { close_all(r); } /* what an earlier run left without a word counts as lost */
  if (is(e, "\"end\"")) { memset(r->open_since, 0, (size_t)r->n * sizeof *r->open_since); }
  int32_t i = tile ? nsl_journal_find(&r->known, strtoll(tile, NULL, 10)) : -1;
  if (i < 0) { return; }
  if (is(e, "\"assign\"")) {
    r->open_since[i] = r->now ? r->now : 1;
    return;
  }
  r->open_since[i] = 0;
  if (is(e, "\"fail\"") || is(e, "\"lost\"")) { count(r, i, r->now); }
  if (is(e, "\"done\"") || is(e, "\"whole\"") || is(e, "\"release\"")) {
    r->failures[i] = 0;
    if (r->now > r->cleared[i]) { r->cleared[i] = r->now; }
  }
}

/* Is a run writing it? Then the tiles under way are no failures. */
static int is_alive(FILE *f) { return flock(fileno(f), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK; }

static void replay_journal(replay *r, const char *path)
{
  char *line = NULL;
  size_t capacity = 0;
  FILE *f = fopen(path, "re");
  memset(r->failures, 0, (size_t)r->n * sizeof *r->failures);
  memset(r->open_since, 0, (size_t)r->n * sizeof *r->open_since);
  if (!f) { return; }
  while (getline(&line, &capacity, f) > 0) { replay_line(r, line); }
  if (!is_alive(f)) { close_all(r); }
  fclose(f);
  free(line);
}

nsl_status nsl_journal_failures(const char *workdir, const int64_t *tiles, int32_t *failures, int32_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char **paths = NULL;
  size_t n_paths = 0, room = (size_t)n + 1;
  replay r = {.known = {tiles, n},
              .n = n,
              .failures = calloc(room, sizeof *r.failures),
              .cleared = calloc(room, sizeof *r.cleared),
              .open_since = calloc(room, sizeof *r.open_since)};
  if (!r.failures || !r.cleared || !r.open_since) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for the journal", workdir); }
  memset(failures, 0, (size_t)n * sizeof *failures);
  NSL_TRY(nsl_ledger_files(workdir, "journal.jsonl", &paths, &n_paths, err));
  if (n_paths > 1) { /* first, when each tile was last cleared, in whichever journal */
    for (size_t k = 0; k < n_paths; k++) { replay_journal(&r, paths[k]); }
  }
  for (size_t k = 0; k < n_paths; k++) {
    replay_journal(&r, paths[k]);
    for (int32_t i = 0; i < n; i++) { failures[i] += r.failures[i]; }
  }
cleanup:
  nsl_paths_free(paths, n_paths);
  free(r.failures);
  free(r.cleared);
  free(r.open_since);
  return st;
}
