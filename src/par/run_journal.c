#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
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

/* The lock goes with the process, however it ends. A file system without locks has none. */
static nsl_status take(int fd, const char *path, nsl_error *err)
{
  if (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) { return NSL_OK; }
  return nsl_fail(err, NSL_E_MISMATCH,
                  "%s: another run is at work on this; wait for it, drain it (SIGUSR1), or give each its --part I/N", path);
}

nsl_status nsl_journal_open(const char *folder, const char *run_id, nsl_journal **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *path = nsl_path_join(folder, "journal.jsonl");
  nsl_journal *j = calloc(1, sizeof *j);
  if (j) { j->fd = -1; }
  if (!path || !j || !(j->run_id = nsl_strdup(run_id))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for the journal", folder); }
  nsl_str_init(&j->pending);
  j->fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (j->fd < 0) {
    st = nsl_fail_errno(err, errno, "%s: cannot write; choose another survey.workdir or make it writable", path);
    goto cleanup;
  }
  NSL_TRY(take(j->fd, path, err));
  *out = j;
  j = NULL;
cleanup:
  if (j && j->fd >= 0) { close(j->fd); }
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

static void begin_line(nsl_journal *j, const char *event)
{
  char utc[32];
  nsl_clock_utc(utc);
  nsl_str_addf(&j->pending, "{\"t\":\"%s\",\"run\":\"%s\",\"e\":\"%s\"", utc, j->run_id, event);
}

static void end_line(nsl_journal *j, const char *why)
{
  nsl_str *s = &j->pending;
  if (why && *why) {
    nsl_str_add(s, ",\"why\":");
    add_quoted(s, why);
  }
  nsl_str_add(s, "}\n");
}

void nsl_journal_start(nsl_journal *j, nsl_batch_job job, const char *selection)
{
  begin_line(j, "start");
  if (job.id > 0) { nsl_str_addf(&j->pending, ",\"job\":%ld,\"restart\":%d", job.id, job.restart); }
  end_line(j, selection);
}

void nsl_journal_add(nsl_journal *j, const char *event, int64_t tile, int attempt, int rank, double seconds, const char *why)
{
  nsl_str *s = &j->pending;
  begin_line(j, event);
  if (tile >= 0) { nsl_str_addf(s, ",\"tile\":%lld", (long long)tile); }
  if (attempt >= 0) { nsl_str_addf(s, ",\"attempt\":%d", attempt); }
  if (rank >= 0) { nsl_str_addf(s, ",\"rank\":%d", rank); }
  if (seconds >= 0) { nsl_str_addf(s, ",\"s\":%.3f", seconds); }
  end_line(j, why);
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
