#include "noslit/base/clock.h"

#include <time.h>

static double read_clock(clockid_t id)
{
  struct timespec t;
  clock_gettime(id, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double nsl_clock_s(void) { return read_clock(CLOCK_MONOTONIC); }

double nsl_clock_cpu_s(void) { return read_clock(CLOCK_PROCESS_CPUTIME_ID); }

void nsl_clock_utc(char out[32])
{
  time_t now = time(NULL);
  struct tm tm;
  gmtime_r(&now, &tm);
  strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

void nsl_clock_sleep_s(double seconds)
{
  struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  nanosleep(&t, NULL);
}
