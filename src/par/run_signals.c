/* A signal handler can reach nothing but a global; this one counts, and the run asks. */
#include <signal.h>
#include <string.h>

#include "par/run_internal.h"

static volatile sig_atomic_t count;
static struct sigaction old_term, old_usr1;

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
  sigaction(SIGTERM, &a, &old_term);
  sigaction(SIGUSR1, &a, &old_usr1);
}

void nsl_run_signals_release(void)
{
  sigaction(SIGTERM, &old_term, NULL);
  sigaction(SIGUSR1, &old_usr1, NULL);
}

int nsl_run_signals_count(void) { return count; }
