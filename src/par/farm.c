#include "par/farm.h"

#include <stdlib.h>

#include "noslit/base/clock.h"

void nsl_farm_outcome_free(nsl_farm_outcome *o)
{
  free(o->hung_pid);
  *o = (nsl_farm_outcome){0};
}

nsl_sched_answer nsl_farm_judge(nsl_status status)
{
  switch (status) {
  case NSL_OK:
    return NSL_ANSWER_DONE;
  case NSL_E_DRAINED:
  case NSL_E_NOSPACE:
  case NSL_E_UNWRITABLE: /* no other worker can do better, and the tile is not to blame */
    return NSL_ANSWER_RETURNED;
  default:
    return NSL_ANSWER_FAILED;
  }
}

nsl_status nsl_farm_new_sched(const nsl_farm_jobs *jobs, int n_workers, nsl_sched **out, nsl_error *err)
{
  nsl_status st = nsl_sched_new(jobs->n, jobs->cost_s, n_workers, &jobs->sched, out, err);
  for (int32_t j = 0; st == NSL_OK && jobs->failures && j < jobs->n; j++) {
    if (jobs->failures[j]) { nsl_sched_mark_failures(*out, j, jobs->failures[j]); }
  }
  return st;
}

nsl_farm_hint nsl_farm_hint_of(const nsl_farm_jobs *jobs, const nsl_sched_action *assigned)
{
  nsl_farm_hint hint = jobs->hints ? jobs->hints[assigned->job] : (nsl_farm_hint){.n_sources = 0};
  hint.next_id = assigned->next >= 0 ? jobs->ids[assigned->next] : -1;
  return hint;
}

typedef struct {
  const nsl_farm_observer *o;
  nsl_sched *s;
  double pulse_s;
} serial;

static void pulse(serial *x)
{
  nsl_sched_counts c = nsl_sched_count(x->s);
  x->o->pulse(x->o->ctx, &c);
}

static int serial_beat(void *ctx)
{
  serial *x = ctx;
  pulse(x);
  return x->o->stop_asked(x->o->ctx) >= 2;
}

static void do_one(serial *x, const nsl_farm_jobs *jobs, const nsl_farm_worker *worker, nsl_sched_action a)
{
  nsl_error failure = NSL_ERROR_INIT;
  nsl_farm_result result = {0};
  nsl_farm_hint hint = nsl_farm_hint_of(jobs, &a);
  x->o->assigned(x->o->ctx, a.job, a.attempt, 0);
  nsl_status status = worker->work(worker->ctx, jobs->ids[a.job], a.attempt, &hint, serial_beat, x, &result, &failure);
  int rc = nsl_sched_finished(x->s, 0, a.job, a.epoch, nsl_farm_judge(status), nsl_clock_s());
  nsl_farm_answer answer = {.job = a.job,
                            .attempt = a.attempt,
                            .ended = rc == 1,
                            .status = status,
                            .text = failure.text,
                            .result = status == NSL_OK ? &result : NULL};
  x->o->answered(x->o->ctx, &answer);
}

nsl_status nsl_farm_serial(const nsl_farm_jobs *jobs, const nsl_farm_worker *worker, const nsl_farm_observer *o,
                           nsl_farm_outcome *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  *out = (nsl_farm_outcome){0};
  serial x = {.o = o};
  NSL_TRY(nsl_farm_new_sched(jobs, 1, &x.s, err));
  if (worker->start && !nsl_sched_is_over(x.s)) { NSL_TRY(worker->start(worker->ctx, err)); }
  for (;;) {
    if (o->stop_asked(o->ctx)) { nsl_sched_drain(x.s); }
    nsl_sched_action a = nsl_sched_request(x.s, 0, nsl_clock_s());
    if (a.verb != NSL_ACT_ASSIGN) { break; } /* with nothing leased there is nothing to wait for */
    do_one(&x, jobs, worker, a);
    pulse(&x);
  }
  out->counts = nsl_sched_count(x.s);
cleanup:
  nsl_sched_free(x.s);
  return st;
}
