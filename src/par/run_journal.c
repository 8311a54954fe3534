#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "par/run_internal.h"

#define FLUSH_BYTES (1 << 16)
#define DURABLE_EVERY_S 1.0

struct nsl_journal {
  int fd;
  char *run_id;
  nsl_str pending;
  double synced_s;
  int dirty;
};

static char *journal_path(const char *workdir) { return nsl_strf("%s/run/journal.jsonl", workdir); }

nsl_status nsl_journal_open(const char *workdir, const char *run_id, nsl_journal **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *path = journal_path(workdir);
  nsl_journal *j = calloc(1, sizeof *j);
  if (!path || !j || !(j->run_id = nsl_strdup(run_id))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for the journal", workdir); }
  nsl_str_init(&j->pending);
  j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (j->fd < 0) {
    st = nsl_fail_errno(err, errno, "%s: cannot write; choose another survey.workdir or make it writable", path);
    goto cleanup;
  }
  *out = j;
  j = NULL;
cleanup:
  if (j) { free(j->run_id); }
  free(j);
  free(path);
  return st;
}

void nsl_journal_close(nsl_journal *j)
{
  if (!j) { return; }
  nsl_journal_flush(j, 1);
  close(j->fd);
  nsl_str_free(&j->pending);
  free(j->run_id);
  free(j);
}

static void add_quoted(nsl_str *s, const char *text)
{
  nsl_str_add(s, "\"");
  for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
    if (*c == '"' || *c == '\\') {
      nsl_str_addf(s, "\\%c", *c);
    } else if (*c < 0x20) {
      nsl_str_addf(s, "\\u%04x", *c);
    } else {
      nsl_str_add_n(s, (const char *)c, 1);
    }
  }
  nsl_str_add(s, "\"");
}

void nsl_journal_add(nsl_journal *j, const char *event, int64_t tile, int attempt, int rank, double seconds, const char *why)
{
  char utc[32];
  nsl_str *s = &j->pending;
  nsl_clock_utc(utc);
  nsl_str_addf(s, "{\"t\":\"%s\",\"run\":\"%s\",\"e\":\"%s\"", utc, j->run_id, event);
  if (tile >= 0) { nsl_str_addf(s, ",\"tile\":%lld", (long long)tile); }
  if (attempt >= 0) { nsl_str_addf(s, ",\"attempt\":%d", attempt); }
  if (rank >= 0) { nsl_str_addf(s, ",\"rank\":%d", rank); }
  if (seconds >= 0) { nsl_str_addf(s, ",\"s\":%.3f", seconds); }
  if (why && *why) {
    nsl_str_add(s, ",\"why\":");
    add_quoted(s, why);
  }
  nsl_str_add(s, "}\n");
  if (s->n > FLUSH_BYTES) { nsl_journal_flush(j, 0); }
}

/* The journal explains, the tile files prove: a line that cannot be written is no reason to stop. */
void nsl_journal_flush(nsl_journal *j, int durable)
{
  for (size_t at = 0; at < j->pending.n;) {
    ssize_t n = write(j->fd, j->pending.text + at, j->pending.n - at);
    if (n < 0 && errno != EINTR) { break; }
    if (n > 0) { at += (size_t)n; }
    j->dirty = 1;
  }
  nsl_str_clear(&j->pending);
  double now = nsl_clock_s();
  if (j->dirty && (durable || now - j->synced_s > DURABLE_EVERY_S)) {
    fsync(j->fd);
    j->dirty = 0;
    j->synced_s = now;
  }
}

/* --- reading back --- */

typedef struct {
  const int64_t *tiles;
  int32_t n, *failures;
  unsigned char *open; /* assigned, and no answer yet */
} replay;

static int32_t find(const replay *r, int64_t tile)
{
  int32_t low = 0, high = r->n;
  while (low < high) {
    int32_t middle = low + (high - low) / 2;
    if (r->tiles[middle] < tile) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low < r->n && r->tiles[low] == tile ? low : -1;
}

/* The text after "key": in a line that this program wrote; NULL if it is not there. Reasons come last, so no quoted text can be
 * mistaken for a key. */
static const char *value_of(const char *line, const char *key)
{
  char pattern[32];
  snprintf(pattern, sizeof pattern, "\"%s\":", key);
  const char *at = strstr(line, pattern);
  return at ? at + strlen(pattern) : NULL;
}

static void close_all(replay *r)
{
  for (int32_t i = 0; i < r->n; i++) {
    r->failures[i] += r->open[i];
    r->open[i] = 0;
  }
}

static void replay_line(replay *r, const char *line)
{
  const char *e = value_of(line, "e"), *tile = value_of(line, "tile");
  if (!e) { return; }
  if (!strncmp(e, "\"start\"", 7)) { close_all(r); } /* what an earlier run left without a word counts as lost */
  if (!strncmp(e, "\"end\"", 5)) { memset(r->open, 0, (size_t)r->n); }
  int32_t i = tile ? find(r, strtoll(tile, NULL, 10)) : -1;
  if (i < 0) { return; }
  if (!strncmp(e, "\"assign\"", 8)) {
    r->open[i] = 1;
    return;
  }
  r->open[i] = 0;
  if (!strncmp(e, "\"fail\"", 6) || !strncmp(e, "\"lost\"", 6)) { r->failures[i]++; }
  if (!strncmp(e, "\"done\"", 6) || !strncmp(e, "\"whole\"", 7) || !strncmp(e, "\"release\"", 9)) { r->failures[i] = 0; }
}

nsl_status nsl_journal_failures(const char *workdir, const int64_t *tiles, int32_t *failures, int32_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *path = journal_path(workdir), *line = NULL;
  size_t capacity = 0;
  FILE *f = NULL;
  replay r = {.tiles = tiles, .n = n, .failures = failures, .open = calloc((size_t)n + 1, 1)};
  if (!path || !r.open) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for the journal", workdir); }
  memset(failures, 0, (size_t)n * sizeof *failures);
  f = fopen(path, "r");
  if (!f) { goto cleanup; } /* no earlier run */
  while (getline(&line, &capacity, f) > 0) { replay_line(&r, line); }
  close_all(&r);
cleanup:
  if (f) { fclose(f); }
  free(line);
  free(path);
  free(r.open);
  return st;
}
