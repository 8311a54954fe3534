#include "noslit/par/sched.h"

#include <math.h>
#include <stdlib.h>

#include "par/sched_heap.h"

enum { NOBODY = -1 };

typedef struct {
  double cost_s;
  int32_t failures;
  int32_t leases;    /* 0, 1, or 2 with a twin */
  int32_t runner[2]; /* the workers that hold it, the older lease first */
  int8_t state;      /* nsl_job_state */
  int8_t alone;      /* must not run beside others */
} job;

typedef struct {
  double limit_s, heard_s;
  double patience_s; /* when its job may get a twin */
  double deadline_s; /* key in the heap of deadlines; heard_s + limit_s or an older value of it */
  int32_t holds;     /* job or NOBODY */
  int32_t had;       /* the job it was given last, or NOBODY */
  uint32_t epoch;
  int8_t lost;
} worker;

struct nsl_sched {
  nsl_sched_options o;
  int32_t n_jobs;
  int n_workers;
  job *jobs;
  worker *workers;
  nsl_heap queue;     /* pending jobs */
  nsl_heap deadlines; /* workers that hold a lease */
  nsl_heap singles;   /* workers that hold the only lease on a job that has not ended, by patience */
  uint32_t last_epoch;
  int drained, alone_running;
  nsl_sched_counts c;
};

static int job_before(const void *ctx, int32_t a, int32_t b)
{
  const nsl_sched *s = ctx;
  const job *x = &s->jobs[a], *y = &s->jobs[b];
  if (x->alone != y->alone) { return x->alone < y->alone; }
  if (x->failures != y->failures) { return x->failures < y->failures; }
  if (x->cost_s != y->cost_s) { return x->cost_s > y->cost_s; }
  return a < b;
}

static int deadline_before(const void *ctx, int32_t a, int32_t b)
{
  const nsl_sched *s = ctx;
  double x = s->workers[a].deadline_s, y = s->workers[b].deadline_s;
  return x != y ? x < y : a < b;
}

static int patience_before(const void *ctx, int32_t a, int32_t b)
{
  const nsl_sched *s = ctx;
  double x = s->workers[a].patience_s, y = s->workers[b].patience_s;
  return x != y ? x < y : a < b;
}

nsl_status nsl_sched_new(int32_t n_jobs, const double *cost_s, int n_workers, const nsl_sched_options *options, nsl_sched **out,
                         nsl_error *err)
{
  nsl_sched *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the scheduler"); }
  *s = (nsl_sched){.o = *options, .n_jobs = n_jobs, .n_workers = n_workers};
  s->jobs = calloc((size_t)n_jobs + 1, sizeof *s->jobs);
  s->workers = calloc((size_t)n_workers + 1, sizeof *s->workers);
  int ok = nsl_heap_init(&s->queue, n_jobs, job_before, s);
  ok = nsl_heap_init(&s->deadlines, n_workers, deadline_before, s) && ok;
  ok = nsl_heap_init(&s->singles, n_workers, patience_before, s) && ok;
  if (!ok || !s->jobs || !s->workers) {
    nsl_sched_free(s);
    return nsl_fail(err, NSL_E_NOMEM, "no memory to schedule %d tiles on %d workers", n_jobs, n_workers);
  }
  for (int32_t i = 0; i < n_jobs; i++) {
    s->jobs[i].cost_s = cost_s && isfinite(cost_s[i]) ? cost_s[i] : 0.0;
    nsl_heap_push(&s->queue, i);
  }
  for (int w = 0; w < n_workers; w++) { s->workers[w].holds = s->workers[w].had = NOBODY; }
  s->c.pending = n_jobs;
  s->c.live_workers = n_workers;
  *out = s;
  return NSL_OK;
}

void nsl_sched_free(nsl_sched *s)
{
  if (!s) { return; }
  nsl_heap_free(&s->queue);
  nsl_heap_free(&s->deadlines);
  nsl_heap_free(&s->singles);
  free(s->jobs);
  free(s->workers);
  free(s);
}

static int32_t *counter(nsl_sched *s, int state)
{
  switch ((nsl_job_state)state) {
  case NSL_JOB_PENDING:
    return &s->c.pending;
  case NSL_JOB_LEASED:
    return &s->c.leased;
  case NSL_JOB_DONE:
    return &s->c.done;
  case NSL_JOB_QUARANTINED:
    break;
  }
  return &s->c.quarantined;
}

static void set_state(nsl_sched *s, int32_t j, nsl_job_state state)
{
  job *b = &s->jobs[j];
  if (b->state == NSL_JOB_PENDING) { nsl_heap_remove(&s->queue, j); }
  --*counter(s, b->state);
  ++*counter(s, state);
  b->state = (int8_t)state;
  if (state == NSL_JOB_PENDING) { nsl_heap_push(&s->queue, j); }
}

static int has_ended(const job *b) { return b->state == NSL_JOB_DONE || b->state == NSL_JOB_QUARANTINED; }

void nsl_sched_mark_done(nsl_sched *s, int32_t j)
{
  if (s->jobs[j].state == NSL_JOB_PENDING) { set_state(s, j, NSL_JOB_DONE); }
}

void nsl_sched_mark_failures(nsl_sched *s, int32_t j, int failures)
{
  job *b = &s->jobs[j];
  if (b->state != NSL_JOB_PENDING) { return; }
  b->failures = failures;
  if (failures >= s->o.max_attempts) {
    set_state(s, j, NSL_JOB_QUARANTINED);
    return;
  }
  b->alone = failures > 0 && failures + 1 >= s->o.max_attempts;
  nsl_heap_moved(&s->queue, j);
}

/* --- leases --- */

static void leave_singles(nsl_sched *s, int32_t w)
{
  if (nsl_heap_has(&s->singles, w)) { nsl_heap_remove(&s->singles, w); }
}

/* A pending neighbour of a job, or NOBODY. */
static int32_t neighbour_of(const nsl_sched *s, int32_t j)
{
  if (j == NOBODY || s->c.pending <= s->o.near_until * s->c.live_workers) { return NOBODY; }
  for (int32_t step = 1; s->o.near_until > 0 && step >= -1; step -= 2) {
    int32_t k = j + step;
    if (k >= 0 && k < s->n_jobs && s->jobs[k].state == NSL_JOB_PENDING && !s->jobs[k].failures) { return k; }
  }
  return NOBODY;
}

static nsl_sched_action lease(nsl_sched *s, int w, int32_t j, double now_s)
{
  job *b = &s->jobs[j];
  worker *k = &s->workers[w];
  if (b->state == NSL_JOB_PENDING) { set_state(s, j, NSL_JOB_LEASED); }
  b->runner[b->leases] = w;
  k->patience_s = now_s + fmax(s->o.speculate_min_s, s->o.speculate_factor * b->cost_s);
  if (b->leases++ == 0) {
    nsl_heap_push(&s->singles, w);
  } else {
    leave_singles(s, b->runner[0]); /* two leases are enough */
    s->c.speculated++;
  }
  s->alone_running |= b->alone;
  k->holds = k->had = j;
  k->epoch = ++s->last_epoch;
  k->heard_s = now_s;
  k->limit_s = fmax(s->o.lease_min_s, s->o.lease_factor * b->cost_s);
  k->deadline_s = now_s + k->limit_s;
  nsl_heap_push(&s->deadlines, w);
  return (nsl_sched_action){NSL_ACT_ASSIGN, j, b->failures + 1, k->epoch, neighbour_of(s, j)};
}

/* Takes the lease away from a worker and judges the job. Returns 1 if the job ended by it. */
static int end_lease(nsl_sched *s, int32_t w, nsl_sched_answer answer)
{
  worker *k = &s->workers[w];
  int32_t j = k->holds;
  job *b = &s->jobs[j];
  leave_singles(s, w);
  nsl_heap_remove(&s->deadlines, w);
  k->holds = NOBODY;
  b->leases--;
  if (b->leases == 1) { /* the twin goes on by itself and may get another */
    if (b->runner[0] == w) { b->runner[0] = b->runner[1]; }
    if (!has_ended(b)) { nsl_heap_push(&s->singles, b->runner[0]); }
  }
  if (b->alone && b->leases == 0) { s->alone_running = 0; }
  if (has_ended(b)) { return 0; }
  if (answer == NSL_ANSWER_DONE) {
    if (b->leases) { leave_singles(s, b->runner[0]); }
    set_state(s, j, NSL_JOB_DONE);
    return 1;
  }
  b->failures += answer == NSL_ANSWER_FAILED;
  if (b->leases) { return 0; }
  if (b->failures >= s->o.max_attempts) {
    set_state(s, j, NSL_JOB_QUARANTINED);
    return 1;
  }
  s->c.retries += answer == NSL_ANSWER_FAILED;
  set_state(s, j, NSL_JOB_PENDING);
  return 0;
}

static void revive(nsl_sched *s, worker *k)
{
  if (!k->lost) { return; }
  k->lost = 0;
  s->c.lost_workers--;
  s->c.live_workers++;
}

nsl_sched_action nsl_sched_request(nsl_sched *s, int w, double now_s)
{
  const nsl_sched_action wait = {.verb = NSL_ACT_WAIT, .job = NOBODY, .next = NOBODY},
                         stop = {.verb = NSL_ACT_STOP, .job = NOBODY, .next = NOBODY};
  worker *k = &s->workers[w];
  revive(s, k);
  if (k->holds != NOBODY) { end_lease(s, w, NSL_ANSWER_FAILED); } /* it asks without having answered: it started anew */
  if (s->drained || (!s->c.pending && !s->c.leased)) { return s->deadlines.n ? wait : stop; }
  if (s->alone_running) { return wait; }
  if (s->c.pending) {
    int32_t j = s->queue.items[0];
    if (s->jobs[j].alone && s->c.leased) { return wait; }
    int32_t near = neighbour_of(s, k->had);
    return lease(s, w, near != NOBODY ? near : j, now_s);
  }
  if (s->o.speculate_factor > 0 && s->singles.n) {
    const worker *slow = &s->workers[s->singles.items[0]];
    if (now_s > slow->patience_s) { return lease(s, w, slow->holds, now_s); }
  }
  return wait;
}

int nsl_sched_finished(nsl_sched *s, int w, int32_t j, uint32_t epoch, nsl_sched_answer answer, double now_s)
{
  worker *k = &s->workers[w];
  nsl_sched_heartbeat(s, w, now_s);
  if (k->lost || k->holds == NOBODY || k->holds != j || k->epoch != epoch) {
    s->c.fenced++;
    return -1;
  }
  if (has_ended(&s->jobs[j])) {
    end_lease(s, w, answer);
    s->c.fenced++;
    return -1;
  }
  return end_lease(s, w, answer);
}

void nsl_sched_heartbeat(nsl_sched *s, int w, double now_s)
{
  if (now_s > s->workers[w].heard_s) { s->workers[w].heard_s = now_s; }
}

int32_t nsl_sched_worker_lost(nsl_sched *s, int w, int *ended)
{
  worker *k = &s->workers[w];
  int32_t j = k->holds;
  int end = 0;
  if (!k->lost) {
    k->lost = 1;
    s->c.lost_workers++;
    s->c.live_workers--;
    if (j != NOBODY) { end = end_lease(s, w, NSL_ANSWER_FAILED); }
  }
  if (ended) { *ended = end; }
  return j;
}

int nsl_sched_tick(nsl_sched *s, double now_s, nsl_sched_lost_fn *lost, void *ctx)
{
  int n_lost = 0;
  while (s->deadlines.n) {
    int32_t w = s->deadlines.items[0];
    worker *k = &s->workers[w];
    if (k->deadline_s >= now_s) { break; }
    if (k->heard_s + k->limit_s >= now_s) { /* it has been heard since: deadlines are brought up to date only here */
      k->deadline_s = k->heard_s + k->limit_s;
      nsl_heap_moved(&s->deadlines, w);
      continue;
    }
    int ended;
    int32_t j = nsl_sched_worker_lost(s, w, &ended);
    if (lost) { lost(ctx, w, j, ended); }
    n_lost++;
  }
  return n_lost;
}

void nsl_sched_drain(nsl_sched *s) { s->drained = 1; }

/* A twin that still works on a job that has ended holds nothing that anybody waits for. */
int nsl_sched_is_over(const nsl_sched *s) { return (!s->c.leased && (!s->c.pending || s->drained)) || !s->c.live_workers; }

nsl_job_state nsl_sched_job_state(const nsl_sched *s, int32_t j) { return (nsl_job_state)s->jobs[j].state; }

int nsl_sched_worker_is_lost(const nsl_sched *s, int w) { return s->workers[w].lost; }

int32_t nsl_sched_worker_job(const nsl_sched *s, int w, uint32_t *epoch)
{
  *epoch = s->workers[w].epoch;
  return s->workers[w].holds;
}

int nsl_sched_is_wanted(const nsl_sched *s, int w, int32_t j, uint32_t epoch)
{
  const worker *k = &s->workers[w];
  return !k->lost && k->holds == j && k->epoch == epoch && !has_ended(&s->jobs[j]);
}

nsl_sched_counts nsl_sched_count(const nsl_sched *s) { return s->c; }
