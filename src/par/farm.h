/* Dealing out jobs: what the MPI shell of the scheduler and its serial twin have in common. A job is a number (a sky tile) that
 * some function of the caller's works on; an observer on the master hears of everything that happens. */
#ifndef NOSLIT_PAR_FARM_H
#define NOSLIT_PAR_FARM_H

#include "noslit/par/sched.h"
#include "noslit/pipe/tile_run.h"

/* What a worker reports of a job that it did. */
typedef struct {
  double wall_s, cpu_s, io_s, stamp_s, infer_s;
  int64_t bytes_read, rows;
  nsl_hash content_hash;
  int32_t exposures_lost;
  int32_t was_done; /* found done and verified: nothing had to be made */
} nsl_farm_result;

/* What the master tells a worker of a job beside its number. */
typedef struct {
  nsl_hash input_hash;
  int64_t n_sources;
  int32_t force;   /* make it anew even if it is done */
  int64_t next_id; /* the job that will probably follow, or -1: its pixels may be read ahead */
} nsl_farm_hint;

/* A worker's side. */
typedef struct {
  void *ctx;
  nsl_status (*start)(void *ctx, nsl_error *err); /* before the first job; may be NULL */
  nsl_status (*work)(void *ctx, int64_t id, int attempt, const nsl_farm_hint *hint, nsl_beat *beat, void *beat_ctx,
                     nsl_farm_result *result, nsl_error *err);
} nsl_farm_worker;

typedef struct {
  int32_t n;
  const int64_t *ids;
  const double *cost_s;
  const int32_t *failures;    /* in earlier runs; NULL for none */
  const nsl_farm_hint *hints; /* NULL for none */
  nsl_sched_options sched;
  double heartbeat_s;
} nsl_farm_jobs;

typedef struct {
  int32_t job, attempt;
  int worker; /* MPI rank; 0 for the serial twin */
  int ended;  /* the job is done or quarantined now */
  int fenced; /* the answer came too late to count */
  nsl_status status;
  const char *text;              /* reason of a failure; "" */
  const nsl_farm_result *result; /* of a success, else NULL */
} nsl_farm_answer;

/* The master's observer. Nothing here may block for long: leases run on. */
typedef struct {
  void *ctx;
  int (*stop_asked)(void *ctx); /* 0 go on, 1 drain, 2 give up what runs as well */
  void (*assigned)(void *ctx, int32_t job, int attempt, int worker);
  void (*answered)(void *ctx, const nsl_farm_answer *a);
  /* job is -1 when the worker held none. ended: the loss quarantined the job. */
  void (*lost)(void *ctx, int worker, int32_t job, int ended, const char *why);
  void (*pulse)(void *ctx, const nsl_sched_counts *counts); /* now and then */
} nsl_farm_observer;

typedef struct {
  nsl_sched_counts counts;
  int workers_lost; /* at the end */
  int n_hung;       /* of those, processes on this host that still exist */
  int *hung_pid;
  int n_lost_elsewhere;      /* of those, on other hosts, where nobody can look */
  nsl_error worker_error;    /* why a worker could not start, if one could not */
  int n_workers_not_started; /* how many */
} nsl_farm_outcome;

void nsl_farm_outcome_free(nsl_farm_outcome *o);

/* How a status counts: failures are held against the job, except those that no other attempt could mend (a full disk) or that
 * were asked for (drained). */
nsl_sched_answer nsl_farm_judge(nsl_status status);

nsl_status nsl_farm_new_sched(const nsl_farm_jobs *jobs, int n_workers, nsl_sched **out, nsl_error *err);

nsl_farm_hint nsl_farm_hint_of(const nsl_farm_jobs *jobs, const nsl_sched_action *assigned);

/* One process does everything, through the same state machine. */
nsl_status nsl_farm_serial(const nsl_farm_jobs *jobs, const nsl_farm_worker *worker, const nsl_farm_observer *o,
                           nsl_farm_outcome *out, nsl_error *err);

#endif
