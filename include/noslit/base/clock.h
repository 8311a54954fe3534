/* Wall and CPU time. */
#ifndef NOSLIT_BASE_CLOCK_H
#define NOSLIT_BASE_CLOCK_H

double nsl_clock_s(void);         /* monotonic wall time in seconds */
double nsl_clock_cpu_s(void);     /* CPU time of this process in seconds */
void nsl_clock_utc(char out[32]); /* "2026-11-22T14:11:45Z" */
void nsl_clock_sleep_s(double seconds);

#endif
