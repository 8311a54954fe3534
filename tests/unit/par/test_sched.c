/* The scheduler's rules one by one, and its invariants under random sequences of events. */
#include "unit/test_support.h"

#include "noslit/base/rng.h"
#include "noslit/par/sched.h"

static const nsl_sched_options plain = {.max_attempts = 3, .lease_min_s = 10, .lease_factor = 2};

static nsl_sched *make(int32_t n, const double *cost, int workers, const nsl_sched_options *o)
{
  nsl_sched *s;
  assert_ok(nsl_sched_new(n, cost, workers, o, &s, &test_err));
  return s;
}

static void costliest_first(void **state)
{
  (void)state;
  const double cost[] = {1, 5, 3, 5};
  const int32_t expected[] = {1, 3, 2, 0};
  nsl_sched *s = make(4, cost, 1, &plain);
  for (int i = 0; i < 4; i++) {
    nsl_sched_action a = nsl_sched_request(s, 0, i);
    assert_int_equal(a.verb, NSL_ACT_ASSIGN);
    assert_int_equal(a.job, expected[i]);
    assert_int_equal(a.attempt, 1);
    assert_int_equal(nsl_sched_finished(s, 0, a.job, a.epoch, NSL_ANSWER_DONE, i), 1);
  }
  assert_int_equal(nsl_sched_request(s, 0, 9).verb, NSL_ACT_STOP);
  assert_true(nsl_sched_is_over(s));
  nsl_sched_free(s);
}

/* Answers a lease and asks for the next. */
static nsl_sched_action done_and_next(nsl_sched *s, int w, nsl_sched_action a, double now_s)
{
  assert_int_equal(nsl_sched_finished(s, w, a.job, a.epoch, NSL_ANSWER_DONE, now_s), 1);
  return nsl_sched_request(s, w, now_s);
}

static void neighbours_follow_each_other_while_much_is_pending(void **state)
{
  (void)state;
  const double cost[] = {1, 1, 9, 2, 7, 3, 8, 1, 1, 1};
  nsl_sched_options o = plain;
  o.near_until = 2;
  nsl_sched *s = make(10, cost, 2, &o);
  nsl_sched_mark_failures(s, 5, 1);
  nsl_sched_action a = nsl_sched_request(s, 0, 0), b = nsl_sched_request(s, 1, 0);
  assert_int_equal(a.job, 2); /* the costliest */
  assert_int_equal(a.next, 3);
  assert_int_equal(b.job, 6);
  assert_int_equal(b.next, 7);
  a = done_and_next(s, 0, a, 1);
  assert_int_equal(a.job, 3);
  assert_int_equal(a.next, 4);
  a = done_and_next(s, 0, a, 2);
  assert_int_equal(a.job, 4);
  assert_int_equal(a.next, -1); /* 5 has failed before, 3 is done */
  b = done_and_next(s, 1, b, 3);
  assert_int_equal(b.job, 7);
  b = done_and_next(s, 1, b, 4);
  assert_int_equal(b.job, 8);   /* 5 were pending: more than 2 for each of 2 */
  assert_int_equal(b.next, -1); /* 4 are not */
  b = done_and_next(s, 1, b, 5);
  assert_int_equal(b.job, 0); /* largest first again, ties by index: not 9 */
  nsl_sched_free(s);
}

static void no_jobs_and_more_workers_than_jobs(void **state)
{
  (void)state;
  nsl_sched *s = make(0, NULL, 2, &plain);
  assert_true(nsl_sched_is_over(s));
  assert_int_equal(nsl_sched_request(s, 1, 0).verb, NSL_ACT_STOP);
  nsl_sched_free(s);
  s = make(1, NULL, 3, &plain);
  nsl_sched_action a = nsl_sched_request(s, 2, 0);
  assert_int_equal(a.verb, NSL_ACT_ASSIGN);
  assert_int_equal(nsl_sched_request(s, 0, 0).verb, NSL_ACT_WAIT);
  assert_false(nsl_sched_is_over(s));
  nsl_sched_finished(s, 2, a.job, a.epoch, NSL_ANSWER_DONE, 1);
  assert_int_equal(nsl_sched_request(s, 0, 2).verb, NSL_ACT_STOP);
  nsl_sched_free(s);
}

static void a_failing_job_goes_behind_and_is_quarantined(void **state)
{
  (void)state;
  const double cost[] = {9, 1};
  nsl_sched *s = make(2, cost, 1, &plain);
  nsl_sched_action a = nsl_sched_request(s, 0, 0);
  assert_int_equal(a.job, 0);
  assert_int_equal(nsl_sched_finished(s, 0, 0, a.epoch, NSL_ANSWER_FAILED, 1), 0);
  a = nsl_sched_request(s, 0, 1);
  assert_int_equal(a.job, 1);
  assert_int_equal(nsl_sched_finished(s, 0, 1, a.epoch, NSL_ANSWER_DONE, 2), 1);
  a = nsl_sched_request(s, 0, 2);
  assert_int_equal(a.attempt, 2);
  assert_int_equal(nsl_sched_finished(s, 0, 0, a.epoch, NSL_ANSWER_RETURNED, 3), 0); /* costs no attempt */
  a = nsl_sched_request(s, 0, 3);
  assert_int_equal(a.attempt, 2);
  nsl_sched_finished(s, 0, 0, a.epoch, NSL_ANSWER_FAILED, 4);
  a = nsl_sched_request(s, 0, 5);
  assert_int_equal(a.attempt, 3);
  assert_int_equal(nsl_sched_finished(s, 0, 0, a.epoch, NSL_ANSWER_FAILED, 6), 1);
  assert_int_equal(nsl_sched_job_state(s, 0), NSL_JOB_QUARANTINED);
  assert_int_equal(nsl_sched_request(s, 0, 7).verb, NSL_ACT_STOP);
  assert_int_equal(nsl_sched_count(s).retries, 2);
  nsl_sched_free(s);
}

static void a_silent_worker_loses_its_lease_and_its_late_answer_is_fenced_off(void **state)
{
  (void)state;
  const double cost[] = {20}; /* lease: 2 x 20 s */
  nsl_sched *s = make(1, cost, 2, &plain);
  nsl_sched_action a = nsl_sched_request(s, 0, 0);
  assert_int_equal(nsl_sched_tick(s, 39, NULL, NULL), 0);
  nsl_sched_heartbeat(s, 0, 39);
  assert_int_equal(nsl_sched_tick(s, 78, NULL, NULL), 0);
  assert_int_equal(nsl_sched_tick(s, 80, NULL, NULL), 1);
  assert_true(nsl_sched_worker_is_lost(s, 0));
  assert_false(nsl_sched_is_wanted(s, 0, 0, a.epoch));
  nsl_sched_action b = nsl_sched_request(s, 1, 81);
  assert_int_equal(b.job, 0);
  assert_int_equal(b.attempt, 2);
  assert_int_equal(nsl_sched_finished(s, 0, 0, a.epoch, NSL_ANSWER_DONE, 82), -1);
  assert_int_equal(nsl_sched_job_state(s, 0), NSL_JOB_LEASED);
  assert_int_equal(nsl_sched_request(s, 0, 83).verb, NSL_ACT_WAIT); /* it lives after all */
  assert_int_equal(nsl_sched_count(s).lost_workers, 0);
  assert_int_equal(nsl_sched_finished(s, 1, 0, b.epoch, NSL_ANSWER_DONE, 84), 1);
  assert_int_equal(nsl_sched_count(s).done, 1);
  assert_int_equal(nsl_sched_count(s).fenced, 1);
  nsl_sched_free(s);
}

static void a_job_that_kills_its_workers_is_quarantined(void **state)
{
  (void)state;
  nsl_sched *s = make(1, NULL, 4, &plain);
  for (int w = 0; w < 3; w++) {
    int ended;
    assert_int_equal(nsl_sched_request(s, w, w).job, 0);
    assert_int_equal(nsl_sched_worker_lost(s, w, &ended), 0);
    assert_int_equal(ended, w == 2);
  }
  assert_int_equal(nsl_sched_job_state(s, 0), NSL_JOB_QUARANTINED);
  assert_int_equal(nsl_sched_request(s, 3, 9).verb, NSL_ACT_STOP);
  assert_int_equal(nsl_sched_count(s).lost_workers, 3);
  nsl_sched_free(s);
}

static void all_workers_lost_is_the_end(void **state)
{
  (void)state;
  nsl_sched *s = make(5, NULL, 1, &plain);
  nsl_sched_request(s, 0, 0);
  assert_int_equal(nsl_sched_tick(s, 100, NULL, NULL), 1);
  assert_true(nsl_sched_is_over(s));
  assert_int_equal(nsl_sched_count(s).pending, 5);
  nsl_sched_free(s);
}

static void draining_finishes_what_runs(void **state)
{
  (void)state;
  nsl_sched *s = make(5, NULL, 2, &plain);
  nsl_sched_action a = nsl_sched_request(s, 0, 0);
  nsl_sched_drain(s);
  assert_false(nsl_sched_is_over(s));
  assert_int_equal(nsl_sched_request(s, 1, 1).verb, NSL_ACT_WAIT); /* all go home together */
  assert_int_equal(nsl_sched_finished(s, 0, a.job, a.epoch, NSL_ANSWER_DONE, 2), 1);
  assert_int_equal(nsl_sched_request(s, 1, 3).verb, NSL_ACT_STOP);
  assert_true(nsl_sched_is_over(s));
  assert_int_equal(nsl_sched_count(s).pending, 4);
  nsl_sched_free(s);
}

static void a_straggler_gets_a_twin_and_the_first_answer_counts(void **state)
{
  (void)state;
  nsl_sched_options o = plain;
  o.speculate_factor = 3;
  o.speculate_min_s = 5;
  const double cost[] = {2, 1};
  nsl_sched *s = make(2, cost, 3, &o);
  nsl_sched_action a = nsl_sched_request(s, 0, 0), b = nsl_sched_request(s, 1, 0);
  assert_int_equal(nsl_sched_request(s, 2, 4.9).verb, NSL_ACT_WAIT); /* at least 5 s, or 3 x 2 s for the first */
  nsl_sched_action twin = nsl_sched_request(s, 2, 5.5);
  assert_int_equal(twin.verb, NSL_ACT_ASSIGN);
  assert_int_equal(twin.job, b.job);
  assert_int_equal(twin.attempt, 1);
  assert_int_equal(nsl_sched_finished(s, 0, a.job, a.epoch, NSL_ANSWER_DONE, 7), 1);
  assert_int_equal(nsl_sched_request(s, 0, 8).verb, NSL_ACT_WAIT); /* two leases are enough */
  assert_int_equal(nsl_sched_finished(s, 2, twin.job, twin.epoch, NSL_ANSWER_DONE, 8), 1);
  assert_true(nsl_sched_is_over(s));
  assert_false(nsl_sched_is_wanted(s, 1, b.job, b.epoch));
  assert_int_equal(nsl_sched_finished(s, 1, b.job, b.epoch, NSL_ANSWER_FAILED, 9), -1);
  assert_int_equal(nsl_sched_count(s).done, 2);
  nsl_sched_free(s);
}

/* A tile that takes long because it is large must not hide one that is overdue. */
static void the_most_overdue_gets_the_twin(void **state)
{
  (void)state;
  nsl_sched_options o = plain;
  o.speculate_factor = 3;
  const double cost[] = {100, 1};
  nsl_sched *s = make(2, cost, 3, &o);
  assert_int_equal(nsl_sched_request(s, 0, 0).job, 0);
  assert_int_equal(nsl_sched_request(s, 1, 1).job, 1);
  assert_int_equal(nsl_sched_request(s, 2, 3).verb, NSL_ACT_WAIT);
  nsl_sched_action twin = nsl_sched_request(s, 2, 5);
  assert_int_equal(twin.verb, NSL_ACT_ASSIGN);
  assert_int_equal(twin.job, 1);
  nsl_sched_free(s);
}

static void a_suspect_of_earlier_runs_goes_last_and_alone(void **state)
{
  (void)state;
  const double cost[] = {9, 8, 7, 6};
  nsl_sched *s = make(4, cost, 2, &plain);
  nsl_sched_mark_failures(s, 0, 2);
  nsl_sched_mark_failures(s, 1, 3);
  nsl_sched_mark_done(s, 2);
  assert_int_equal(nsl_sched_job_state(s, 1), NSL_JOB_QUARANTINED);
  nsl_sched_action a = nsl_sched_request(s, 0, 0);
  assert_int_equal(a.job, 3);
  assert_int_equal(nsl_sched_request(s, 1, 0).verb, NSL_ACT_WAIT);
  nsl_sched_finished(s, 0, 3, a.epoch, NSL_ANSWER_DONE, 1);
  a = nsl_sched_request(s, 1, 2);
  assert_int_equal(a.job, 0);
  assert_int_equal(a.attempt, 3);
  assert_int_equal(nsl_sched_request(s, 0, 3).verb, NSL_ACT_WAIT);
  assert_int_equal(nsl_sched_finished(s, 1, 0, a.epoch, NSL_ANSWER_DONE, 4), 1);
  assert_int_equal(nsl_sched_count(s).done, 3);
  nsl_sched_free(s);
}

/* --- random sequences of events --- */

enum { MAX_WORKERS = 8, MAX_JOBS = 40 };

typedef struct {
  nsl_sched *s;
  int n_workers, n_jobs;
  nsl_sched_action has[MAX_WORKERS], stale[MAX_WORKERS]; /* what each worker believes; answers it might send late */
  int busy[MAX_WORKERS], has_stale[MAX_WORKERS];
  int done_events[MAX_JOBS], ended_events[MAX_JOBS];
} world;

static void check(world *w)
{
  nsl_sched_counts c = nsl_sched_count(w->s);
  int n[4] = {0}, leases = 0;
  for (int j = 0; j < w->n_jobs; j++) {
    nsl_job_state state = nsl_sched_job_state(w->s, j);
    n[state]++;
    assert_true(w->ended_events[j] == (state == NSL_JOB_DONE || state == NSL_JOB_QUARANTINED));
    assert_true(w->done_events[j] == (state == NSL_JOB_DONE));
  }
  for (int k = 0; k < w->n_workers; k++) {
    uint32_t epoch;
    int holds = nsl_sched_worker_job(w->s, k, &epoch) >= 0;
    leases += holds;
    assert_false(holds && nsl_sched_worker_is_lost(w->s, k));
  }
  assert_int_equal(c.pending, n[NSL_JOB_PENDING]);
  assert_int_equal(c.leased, n[NSL_JOB_LEASED]);
  assert_int_equal(c.done, n[NSL_JOB_DONE]);
  assert_int_equal(c.quarantined, n[NSL_JOB_QUARANTINED]);
  assert_int_equal(c.pending + c.leased + c.done + c.quarantined, w->n_jobs); /* none lost */
  assert_int_equal(c.live_workers + c.lost_workers, w->n_workers);
  assert_true(leases <= c.live_workers && c.leased <= leases);
}

static void on_lost(void *ctx, int worker, int32_t j, int ended)
{
  world *w = ctx;
  if (j >= 0 && ended) { w->ended_events[j]++; }
  if (w->busy[worker]) {
    w->busy[worker] = 0;
    w->has_stale[worker] = 1;
    w->stale[worker] = w->has[worker];
  }
}

static void answer(world *w, int k, nsl_sched_action a, nsl_sched_answer how, double now)
{
  nsl_job_state before = nsl_sched_job_state(w->s, a.job);
  int rc = nsl_sched_finished(w->s, k, a.job, a.epoch, how, now);
  if (rc == -1) {
    assert_int_equal(nsl_sched_job_state(w->s, a.job), before);
  } else if (rc == 1) {
    w->ended_events[a.job]++;
    w->done_events[a.job] += nsl_sched_job_state(w->s, a.job) == NSL_JOB_DONE;
  }
}

static void random_event(world *w, nsl_rng *r, double *now)
{
  int k = (int)nsl_rng_below(r, (uint64_t)w->n_workers);
  *now += nsl_rng_range(r, 0, 1);
  switch (nsl_rng_below(r, 12)) {
  case 0:
    nsl_sched_tick(w->s, *now, on_lost, w);
    break;
  case 1:
    nsl_sched_heartbeat(w->s, k, *now);
    break;
  case 2:
    if (nsl_rng_below(r, 5) == 0) {
      int ended = 0;
      int32_t j = nsl_sched_worker_lost(w->s, k, &ended);
      on_lost(w, k, j, ended);
    }
    break;
  case 3: /* a late answer of an old epoch, and sometimes the same answer twice */
    if (w->has_stale[k]) {
      answer(w, k, w->stale[k], (nsl_sched_answer)nsl_rng_below(r, 3), *now);
      w->has_stale[k] = (int)nsl_rng_below(r, 2);
    }
    break;
  case 4:
    if (nsl_rng_below(r, 400) == 0) { nsl_sched_drain(w->s); }
    break;
  default:
    if (w->busy[k]) {
      uint64_t dice = nsl_rng_below(r, 10);
      answer(w, k, w->has[k], dice < 2 ? NSL_ANSWER_FAILED : dice < 3 ? NSL_ANSWER_RETURNED : NSL_ANSWER_DONE, *now);
      w->busy[k] = 0;
    } else {
      w->has[k] = nsl_sched_request(w->s, k, *now);
      w->busy[k] = w->has[k].verb == NSL_ACT_ASSIGN;
      if (w->busy[k]) { assert_true(w->has[k].job >= 0 && w->has[k].job < w->n_jobs && w->has[k].attempt >= 1); }
    }
  }
}

static void random_sequences_keep_the_invariants_and_end(void **state)
{
  (void)state;
  for (uint64_t seed = 0; seed < 400; seed++) {
    nsl_rng r = nsl_rng_make(seed, NSL_RNG_TEST, 7, 0);
    world w = {.n_workers = 1 + (int)nsl_rng_below(&r, MAX_WORKERS), .n_jobs = (int)nsl_rng_below(&r, MAX_JOBS + 1)};
    double cost[MAX_JOBS], now = 0;
    for (int j = 0; j < w.n_jobs; j++) { cost[j] = nsl_rng_range(&r, 0, 5); }
    nsl_sched_options o = {.max_attempts = 1 + (int)nsl_rng_below(&r, 4),
                           .lease_min_s = nsl_rng_range(&r, 1, 20),
                           .lease_factor = 2,
                           .speculate_factor = (double)nsl_rng_below(&r, 2),
                           .speculate_min_s = 1,
                           .near_until = (double)nsl_rng_below(&r, 3)};
    w.s = make(w.n_jobs, cost, w.n_workers, &o);
    for (int j = 0; j < w.n_jobs; j++) {
      if (nsl_rng_below(&r, 8) == 0) { nsl_sched_mark_failures(w.s, j, 1 + (int)nsl_rng_below(&r, 3)); }
      if (nsl_rng_below(&r, 8) == 0) { nsl_sched_mark_done(w.s, j); }
      nsl_job_state at_start = nsl_sched_job_state(w.s, j);
      w.ended_events[j] = at_start == NSL_JOB_DONE || at_start == NSL_JOB_QUARANTINED;
      w.done_events[j] = at_start == NSL_JOB_DONE;
    }
    long events = 0;
    while (!nsl_sched_is_over(w.s)) {
      random_event(&w, &r, &now);
      check(&w);
      if (++events > 200000) { fail_msg("seed %llu does not end", (unsigned long long)seed); }
    }
    nsl_sched_free(w.s);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(costliest_first),
      cmocka_unit_test(neighbours_follow_each_other_while_much_is_pending),
      cmocka_unit_test(no_jobs_and_more_workers_than_jobs),
      cmocka_unit_test(a_failing_job_goes_behind_and_is_quarantined),
      cmocka_unit_test(a_silent_worker_loses_its_lease_and_its_late_answer_is_fenced_off),
      cmocka_unit_test(a_job_that_kills_its_workers_is_quarantined),
      cmocka_unit_test(all_workers_lost_is_the_end),
      cmocka_unit_test(draining_finishes_what_runs),
      cmocka_unit_test(a_straggler_gets_a_twin_and_the_first_answer_counts),
      cmocka_unit_test(the_most_overdue_gets_the_twin),
      cmocka_unit_test(a_suspect_of_earlier_runs_goes_last_and_alone),
      cmocka_unit_test(random_sequences_keep_the_invariants_and_end),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
