#include "noslit/base/log.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "noslit/base/clock.h"

static const char *const level_name[] = {"error", "warning", "info", "debug"};

void nsl_log_write(const nsl_log *log, nsl_log_level level, const char *fmt, ...)
{
  if (!log || level > log->level) { return; }
  char line[1200];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  const char *mark = level == NSL_LOG_INFO ? "" : level_name[level];
  const char *colon = level == NSL_LOG_INFO ? "" : ": ";
  char who[24] = "";
  if (log->rank >= 0) { snprintf(who, sizeof who, "[%d] ", log->rank); }
  if (log->stream) { fprintf(log->stream, "%s%s%s%s\n", who, mark, colon, line); }
  if (log->file) {
    char stamp[32];
    nsl_clock_utc(stamp);
    fprintf(log->file, "%s %s%s%s%s\n", stamp, who, mark, colon, line);
    fflush(log->file);
  }
}

void nsl_progress_start(nsl_progress *p, const nsl_log *log, const char *what, long total)
{
  p->log = log;
  p->what = what;
  p->t_start_s = p->t_last_s = nsl_clock_s();
  p->total = total;
  p->is_terminal = log && log->stream && isatty(fileno(log->stream));
}

static void progress_text(const nsl_progress *p, long done, const char *note, double now_s, char *out, size_t size)
{
  double elapsed = now_s - p->t_start_s;
  double rate = elapsed > 0 ? (double)done / elapsed : 0.0;
  char eta[32] = "";
  if (rate > 0 && p->total > done) { snprintf(eta, sizeof eta, ", %.0f s left", (double)(p->total - done) / rate); }
  snprintf(out, size, "%ld/%ld %s, %.3g/s%s%s%s", done, p->total, p->what, rate, eta, note && *note ? ", " : "", note ? note : "");
}

void nsl_progress_update(nsl_progress *p, long done, const char *note)
{
  if (!p->log || p->log->level < NSL_LOG_INFO) { return; }
  double now = nsl_clock_s();
  if (now - p->t_last_s < (p->is_terminal ? 0.25 : 10.0)) { return; }
  p->t_last_s = now;
  char text[200];
  progress_text(p, done, note, now, text, sizeof text);
  if (p->is_terminal) {
    fprintf(p->log->stream, "\r\033[K%s", text);
    fflush(p->log->stream);
  } else {
    nsl_info(p->log, "%s", text);
  }
}

void nsl_progress_end(nsl_progress *p, long done, const char *note)
{
  if (!p->log) { return; }
  if (p->is_terminal) { fprintf(p->log->stream, "\r\033[K"); }
  double elapsed = nsl_clock_s() - p->t_start_s;
  nsl_info(p->log, "%ld/%ld %s in %.1f s%s%s", done, p->total, p->what, elapsed, note && *note ? ", " : "", note ? note : "");
}
