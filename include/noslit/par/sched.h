/* The scheduler as a pure state machine: no MPI, no clock, no allocation per event. The MPI shell (par/sched_mpi_*.c), the serial
 * driver and the discrete-event simulation drive the same code. Every event costs O(log n) or less. Local. */
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
  /* Stragglers: with an empty queue an idle worker gets a second lease on a running job, once that has run for longer than
   * max(speculate_min_s, speculate_factor x predicted); the most overdue first. speculate_factor 0: never. */
  double speculate_factor, speculate_min_s;
  /* Jobs next to each other in the list share exposures. While more than near_until jobs for each live worker are pending, a worker
   * gets a neighbour of the job it had last, if that is pending and has never failed; after that largest first again, so that the
   * work ends everywhere at once. 0: never. */
  double near_until;
} nsl_sched_options;

typedef enum { NSL_ACT_ASSIGN, NSL_ACT_WAIT, NSL_ACT_STOP } nsl_sched_verb;

typedef struct {
  nsl_sched_verb verb;
  int32_t job;     /* index, for ASSIGN */
  int32_t attempt; /* 1-based */
  uint32_t epoch;  /* fence: must come back with the answer */
  int32_t next;    /* the job this worker will probably be given after it, or -1; a guess, no lease */
} nsl_sched_action;

/* n_jobs jobs with predicted costs (dealt out largest first unless cost is NULL; ties by index; a job that failed before goes
 * behind those that did not). All memory is taken here. */
nsl_status nsl_sched_new(int32_t n_jobs, const double *cost_s, int n_workers, const nsl_sched_options *options, nsl_sched **out,
                         nsl_error *err);
void nsl_sched_free(nsl_sched *s);
/* Before the first request: a job known to be done, or known to have failed `failures` times in earlier runs. With max_attempts
 * failures it is quarantined at once; with one less it is dealt out last and alone, so that a job that takes the whole run with it
 * does not carry others into quarantine. */
void nsl_sched_mark_done(nsl_sched *s, int32_t job);
void nsl_sched_mark_failures(nsl_sched *s, int32_t job, int failures);

/* Events. request: the worker is idle and asks; exactly one action answers it. STOP comes only when no worker holds a lease any
 * more (not even a twin's that nobody wants), so that all go home together and know of each other's fate. After WAIT the caller may
 * ask again for it when anything has changed. A worker taken for lost that asks is alive again. */
nsl_sched_action nsl_sched_request(nsl_sched *s, int worker, double now_s);

typedef enum {
  NSL_ANSWER_FAILED,  /* counts against the job */
  NSL_ANSWER_DONE,    /* done and durable */
  NSL_ANSWER_RETURNED /* given back through no fault of the job (cancelled, disk full): pending again */
} nsl_sched_answer;
/* The worker answers for its lease. Returns 1 if this ended the job (done or quarantined), 0 if it goes on (retry, or its twin
 * still runs), -1 if the answer was fenced off (an old epoch, or the job has ended). */
int nsl_sched_finished(nsl_sched *s, int worker, int32_t job, uint32_t epoch, nsl_sched_answer answer, double now_s);
void nsl_sched_heartbeat(nsl_sched *s, int worker, double now_s);

/* Called for each worker that a tick or nsl_sched_worker_lost takes for lost. job is the one it held, or -1; ended tells that
 * the loss quarantined it. */
typedef void nsl_sched_lost_fn(void *ctx, int worker, int32_t job, int ended);
/* Lease expiry: returns how many workers were declared lost now. */
int nsl_sched_tick(nsl_sched *s, double now_s, nsl_sched_lost_fn *lost, void *ctx);
/* The worker is known to be gone. Returns the job it held, or -1; *ended (may be NULL) as above. */
int32_t nsl_sched_worker_lost(nsl_sched *s, int worker, int *ended);
void nsl_sched_drain(nsl_sched *s); /* no new leases */

/* Nothing pending and nothing leased; or drained and nothing leased; or no worker left. (A lost worker holds no lease.) */
int nsl_sched_is_over(const nsl_sched *s);
nsl_job_state nsl_sched_job_state(const nsl_sched *s, int32_t job);
int nsl_sched_worker_is_lost(const nsl_sched *s, int worker);
/* The job a worker holds, or -1; *epoch its fence. A worker may hold a job that its twin has already done: see is_wanted. */
int32_t nsl_sched_worker_job(const nsl_sched *s, int worker, uint32_t *epoch);
/* Is the answer with this epoch still of use, or may the worker drop the job? */
int nsl_sched_is_wanted(const nsl_sched *s, int worker, int32_t job, uint32_t epoch);

typedef struct {
  int32_t pending, leased, done, quarantined;
  int lost_workers, live_workers;
  int64_t retries, fenced, speculated;
} nsl_sched_counts;
nsl_sched_counts nsl_sched_count(const nsl_sched *s);

#endif
