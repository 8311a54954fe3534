/* Logging for the command line and the pipeline: one line per event, to stderr and optionally to a file.
 * No global state: a logger is passed around; NULL is a logger that says nothing. */
#ifndef NOSLIT_BASE_LOG_H
#define NOSLIT_BASE_LOG_H

#include <stdio.h>

typedef enum { NSL_LOG_ERROR, NSL_LOG_WARN, NSL_LOG_INFO, NSL_LOG_DEBUG } nsl_log_level;

typedef struct nsl_log {
  nsl_log_level level; /* lines above this level are dropped */
  FILE *stream;        /* borrowed; usually stderr */
  FILE *file;          /* borrowed; NULL for none; gets every line with a UTC time stamp */
  int rank;            /* shown as [rank] when >= 0 */
} nsl_log;

/* Writes one line (a newline is added). */
void nsl_log_write(const nsl_log *log, nsl_log_level level, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define nsl_info(log, ...) nsl_log_write((log), NSL_LOG_INFO, __VA_ARGS__)
#define nsl_warn(log, ...) nsl_log_write((log), NSL_LOG_WARN, __VA_ARGS__)
#define nsl_debug(log, ...) nsl_log_write((log), NSL_LOG_DEBUG, __VA_ARGS__)

/* Progress of a long command: a self-overwriting line on a terminal; in a log a plain line every 10 s, later every minute. */
typedef struct {
  const nsl_log *log;
  const char *what;                     /* "tiles" */
  double t_start_s, t_last_s, t_line_s; /* last: on the terminal, line: in a log */
  double eta_s;                         /* what is left, from a caller who knows better than the rate; negative: unknown */
  long total;
  int is_terminal;
} nsl_progress;

void nsl_progress_start(nsl_progress *p, const nsl_log *log, const char *what, long total);
/* note: short text appended to the line, e.g. "2 failed"; may be NULL. Shows rate and ETA. */
void nsl_progress_update(nsl_progress *p, long done, const char *note);
void nsl_progress_end(nsl_progress *p, long done, const char *note);
/* "45 s", "12 min", "3 h 20 min", "2 d 4 h" */
void nsl_duration_text(double seconds, char *out, size_t size);

#endif
