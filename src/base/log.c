#include "noslit/base/log.h"

#include <stdarg.h>
#include <time.h>
#include <unistd.h>

#include "noslit/base/clock.h"

static const char *const level_name[] = {"error", "warning", "info", "debug"};

static int is_terminal(FILE *f) { return f && isatty(fileno(f)); }

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
  if (is_terminal(log->stream)) { fputs("\r\033[K", log->stream); } /* over a progress line */
  if (log->stream) { fprintf(log->stream, "%s%s%s%s\n", who, mark, colon, line); }
  if (log->file) {
    char stamp[32];
    nsl_clock_utc(stamp);
    fprintf(log->file, "%s %s%s%s%s\n", stamp, who, mark, colon, line);
    fflush(log->file);
  }
}

/* --- progress --- */

#define REDRAW_S 0.25
#define FIRST_LINE_S 10.0 /* in a log; later lines are rarer, so that a day's run leaves some thousand */
#define LAST_LINE_S 60.0

void nsl_duration_text(double seconds, char *out, size_t size)
{
  long s = seconds < 0 ? 0 : (long)(seconds + 0.5), m = (s + 30) / 60;
  if (s < 100) {
    snprintf(out, size, "%ld s", s);
  } else if (m < 100) {
    snprintf(out, size, "%ld min", m);
  } else if (m < 48 * 60) {
    snprintf(out, size, "%ld h %ld min", m / 60, m % 60);
  } else {
    snprintf(out, size, "%ld d %ld h", m / 1440, m % 1440 / 60);
  }
}

void nsl_progress_start(nsl_progress *p, const nsl_log *log, const char *what, long total)
{
  p->log = log;
  p->what = what;
  p->t_start_s = p->t_last_s = p->t_line_s = nsl_clock_s();
  p->eta_s = -1;
  p->total = total;
  p->is_terminal = log && is_terminal(log->stream);
}

static void progress_text(const nsl_progress *p, long done, const char *note, double now_s, char *out, size_t size)
{
  double elapsed = now_s - p->t_start_s, rate = elapsed > 0 ? (double)done / elapsed : 0.0;
  double left_s = p->eta_s >= 0 ? p->eta_s : rate > 0 ? (double)(p->total - done) / rate : -1;
  char eta[48] = "", left[32];
  if (left_s >= 0 && p->total > done) {
    nsl_duration_text(left_s, left, sizeof left);
    snprintf(eta, sizeof eta, ", %s left", left);
  }
  snprintf(out, size, "%ld/%ld %s, %.3g/s%s%s%s", done, p->total, p->what, rate, eta, note && *note ? ", " : "", note ? note : "");
}

static double line_interval_s(double elapsed_s)
{
  double s = elapsed_s / 20;
  return s < FIRST_LINE_S ? FIRST_LINE_S : s > LAST_LINE_S ? LAST_LINE_S : s;
}

void nsl_progress_update(nsl_progress *p, long done, const char *note)
{
  if (!p->log || p->log->level < NSL_LOG_INFO) { return; }
  double now = nsl_clock_s();
  int redraw = p->is_terminal && now - p->t_last_s >= REDRAW_S;
  int line = now - p->t_line_s >= line_interval_s(now - p->t_start_s);
  if (!redraw && !line) { return; }
  char text[300];
  progress_text(p, done, note, now, text, sizeof text);
  if (redraw) {
    p->t_last_s = now;
    fprintf(p->log->stream, "\r\033[K%s", text);
    fflush(p->log->stream);
  }
  if (line) {
    nsl_log plain = *p->log;
    if (p->is_terminal) { plain.stream = NULL; } /* the file's share */
    p->t_line_s = now;
    nsl_info(&plain, "%s", text);
  }
}

void nsl_progress_end(nsl_progress *p, long done, const char *note)
{
  if (!p->log) { return; }
  char took[32];
  double elapsed = nsl_clock_s() - p->t_start_s;
  if (elapsed < 100) {
    snprintf(took, sizeof took, "%.1f s", elapsed);
  } else {
    nsl_duration_text(elapsed, took, sizeof took);
  }
  nsl_info(p->log, "%ld/%ld %s in %s%s%s", done, p->total, p->what, took, note && *note ? ", " : "", note ? note : "");
}
