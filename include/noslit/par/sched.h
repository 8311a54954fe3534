/* The scheduler as a pure state machine: no MPI, no clock, no allocation per event. The MPI shell (par/run_mpi.c), the serial
 * driver and the discrete-event simulation drive the same code. Local. */
#ifndef NOSLIT_PAR_SCHED_H
#define NOSLIT_PAR_SCHED_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

typedef struct nsl_sched nsl_sched;

typedef enum { NSL_JOB_PENDING, NSL_JOB_LEASED, NSL_JOB_DONE, NSL_JOB_QUARANTINED } nsl_job_state;

typedef struct {
  int max_attempts;   /* failures or lost workers before a job is quarantined */
  double lease_min_s; /* a worker silent for longer than max(this, lease_factor x predicted) is taken for lost */
  double lease_factor;
  int speculate; /* re-lease the oldest running job when the queue is empty */
} nsl_sched_options;

typedef enum { NSL_ACT_ASSIGN, NSL_ACT_WAIT, NSL_ACT_STOP } nsl_sched_verb;

typedef struct {
  nsl_sched_verb verb;
  int32_t job;     /* index, for ASSIGN */
  int32_t attempt; /* 1-based */
  uint32_t epoch;  /* fence: must come back with the answer */
} nsl_sched_action;

/* n_jobs jobs with predicted costs (dealt out largest first unless cost is NULL; ties by index). All memory is taken here. */
nsl_status nsl_sched_new(int32_t n_jobs, const double *cost_s, int n_workers, const nsl_sched_options *options, nsl_sched **out,
                         nsl_error *err);
void nsl_sched_free(nsl_sched *s);
void nsl_sched_mark_done(nsl_sched *s, int32_t job); /* found done and verified before the start */

/* Events. request: the worker is idle and asks; exactly one action answers it. */
nsl_sched_action nsl_sched_request(nsl_sched *s, int worker, double now_s);
/* The worker finished its lease: ok 1 success, 0 failure. Returns 1 if this ended the job (done or quarantined), 0 if it goes on
 * (retry), -1 if the answer was fenced off (an old epoch, the job is already done). */
int nsl_sched_finished(nsl_sched *s, int worker, int32_t job, uint32_t epoch, int ok, double now_s);
void nsl_sched_heartbeat(nsl_sched *s, int worker, double now_s);
/* Lease expiry: returns how many workers were declared lost now. */
int nsl_sched_tick(nsl_sched *s, double now_s);
void nsl_sched_worker_lost(nsl_sched *s, int worker, double now_s);
void nsl_sched_drain(nsl_sched *s); /* no new leases; requests are answered with STOP */

int nsl_sched_is_over(const nsl_sched *s); /* nothing pending, nothing leased to a living worker (or drained and nothing leased) */
nsl_job_state nsl_sched_job_state(const nsl_sched *s, int32_t job);
int nsl_sched_worker_is_lost(const nsl_sched *s, int worker);

typedef struct {
  int32_t pending, leased, done, quarantined;
  int lost_workers, live_workers;
  int64_t retries, fenced;
} nsl_sched_counts;
nsl_sched_counts nsl_sched_count(const nsl_sched *s);

#endif
