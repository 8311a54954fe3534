/* A signal handler can reach nothing but a global; this one counts, and the run asks. */
#include <signal.h>
#include <string.h>

#include "par/run_internal.h"

static volatile sig_atomic_t count;

static void note(int sig)
{
  (void)sig;
  if (count < 100) { count++; }
}

void nsl_run_signals_catch(void)
{
  struct sigaction a;
  memset(&a, 0, sizeof a);
  a.sa_handler = note;
  a.sa_flags = SA_RESTART;
  sigemptyset(&a.sa_mask);
  count = 0;
  sigaction(SIGTERM, &a, NULL);
  sigaction(SIGUSR1, &a, NULL);
}

int nsl_run_signals_count(void) { return count; }
