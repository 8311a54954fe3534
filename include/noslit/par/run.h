/* The survey run: master, workers, and the serial twin for one rank. */
#ifndef NOSLIT_PAR_RUN_H
#define NOSLIT_PAR_RUN_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"

/* Faults that a test asks for (`run --fault`); nothing can be asked for in a build without NOSLIT_FAULTS.
 * "kill:tile=12:times=1": the worker that measures tile 12 kills itself with SIGKILL, in the first attempt only. kill, hang
 * (SIGSTOP), crash (SIGSEGV), exit (1), fail (an error), slow (sleeps 60 s, with heartbeats), nap (0.2 s); rank=R for that rank
 * only; without times: always; tile=any for every tile. */
#define NSL_FAULTS_MAX 8
typedef enum {
  NSL_FAULT_KILL,
  NSL_FAULT_HANG,
  NSL_FAULT_CRASH,
  NSL_FAULT_EXIT,
  NSL_FAULT_FAIL,
  NSL_FAULT_SLOW,
  NSL_FAULT_NAP
} nsl_fault_kind;
typedef struct {
  nsl_fault_kind kind;
  int64_t tile; /* -1: any */
  int rank;     /* -1: any */
  int times;    /* attempts up to this one; 0: always */
} nsl_fault;
typedef struct {
  int n;
  nsl_fault items[NSL_FAULTS_MAX];
} nsl_faults;
nsl_status nsl_faults_add(nsl_faults *f, const char *text, nsl_error *err);

typedef struct {
  int64_t tiles_total;                /* of the plan */
  int64_t tiles_asked;                /* by the selection */
  int64_t tiles_made, tiles_verified; /* made now; found done and whole */
  int64_t tiles_quarantined;          /* of those asked for, now or earlier */
  int64_t tiles_left;                 /* asked for, not done, not quarantined */
  int64_t sources_measured;
  int complete; /* COMPLETE.json stands: every tile of the survey is done or quarantined */
  int drained, workers_lost;
  int workers_unseen; /* of the lost, on other hosts: nobody knows whether they still exist */
  double wall_s;
} nsl_run_summary;

/* Collective over MPI_COMM_WORLD at entry; no collective call is made while tiles are dealt out. Makes the plan when it is missing
 * or out of date. Does every asked tile that is not done and verified; a tile whose file is corrupt or stale is not done;
 * quarantined ones are left alone unless --failed or --force asks for them or what they depend on has changed. Writes
 * run/journal.jsonl and run/report.json (of a --part: in run/part-I-of-N/), run/quarantine.json and, when every tile of the survey
 * is done or quarantined, run/COMPLETE.json under the work directory. Runs of different parts may go on side by side; a second run
 * on the same journal is refused (NSL_E_MISMATCH).
 *
 * summary: rank 0 fills it; the others know workers_lost only. NSL_E_DRAINED after SIGTERM or SIGUSR1 (a second one gives up the
 * tiles under way as well). faults may be NULL. */
nsl_status nsl_run_survey(const nsl_config *cfg, const nsl_select *select, const nsl_faults *faults, const nsl_log *log,
                          nsl_run_summary *summary, nsl_error *err);

#endif
