/* The scheduler under a discrete-event simulation of a large survey: workers that take skewed times, beat, fail and die. Prints how
 * well the workers are used and what an event costs the master. Usage: par [tiles] [workers] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "noslit/base/clock.h"
#include "noslit/base/rng.h"
#include "noslit/par/sched.h"

#define HEARTBEAT_S 5.0
#define DEATHS_PER_TILE 1e-4
#define FAILURES_PER_TILE 1e-3
#define IDLE_RETRY_S 1.0

typedef struct {
  double time_s, end_s; /* of the next event; of the tile */
  int worker, dead;
  nsl_sched_action lease;
} event;

static int before(const event *a, const event *b)
{
  return a->time_s < b->time_s || (a->time_s == b->time_s && a->worker < b->worker);
}

static void push(event *heap, int *n, event e)
{
  int i = (*n)++;
  for (; i && before(&e, &heap[(i - 1) / 2]); i = (i - 1) / 2) { heap[i] = heap[(i - 1) / 2]; }
  heap[i] = e;
}

static event pop(event *heap, int *n)
{
  event top = heap[0], last = heap[--*n];
  int i = 0;
  for (int child; (child = 2 * i + 1) < *n; i = child) {
    if (child + 1 < *n && before(&heap[child + 1], &heap[child])) { child++; }
    if (!before(&heap[child], &last)) { break; }
    heap[i] = heap[child];
  }
  heap[i] = last;
  return top;
}

int main(int argc, char **argv)
{
  int n_tiles = argc > 1 ? atoi(argv[1]) : 100000, n_workers = argc > 2 ? atoi(argv[2]) : 10000, n_events = 0;
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, 1, 0);
  double *cost = calloc((size_t)n_tiles, sizeof *cost), *actual = calloc((size_t)n_tiles, sizeof *actual);
  event *heap = calloc((size_t)n_workers + 1, sizeof *heap);
  const nsl_sched_options options = {
      .max_attempts = 3, .lease_min_s = 300, .lease_factor = 10, .speculate_factor = 3, .speculate_min_s = 30};
  nsl_sched *s;
  nsl_error err = NSL_ERROR_INIT;
  if (!cost || !actual || !heap) { return 1; }
  for (int i = 0; i < n_tiles; i++) { /* a factor of 2 rms between tiles, 20 % rms between prediction and truth */
    cost[i] = 60 * exp(0.7 * nsl_rng_normal(&r));
    actual[i] = cost[i] * exp(0.2 * nsl_rng_normal(&r));
  }
  double t0 = nsl_clock_cpu_s(), busy_s = 0, queue_empty_s = 0, busy_until_empty_s = 0, now = 0, ticked_s = 0;
  int64_t messages = 0;
  if (nsl_sched_new(n_tiles, cost, n_workers, &options, &s, &err) != NSL_OK) { return 1; }
  for (int w = 0; w < n_workers; w++) {
    push(heap, &n_events, (event){.time_s = 1e-3 * w, .worker = w, .lease = {.verb = NSL_ACT_WAIT}});
  }
  while (n_events && !nsl_sched_is_over(s)) {
    event e = pop(heap, &n_events);
    now = e.time_s;
    if (now - ticked_s > 0.05) {
      nsl_sched_tick(s, now, NULL, NULL);
      ticked_s = now;
    }
    messages++;
    if (e.lease.verb == NSL_ACT_ASSIGN && now < e.end_s) { /* a sign of life; the dead give none */
      nsl_sched_heartbeat(s, e.worker, now);
      e.time_s = fmin(now + HEARTBEAT_S, e.end_s);
      push(heap, &n_events, e);
      continue;
    }
    if (e.lease.verb == NSL_ACT_ASSIGN) {
      int failed = nsl_rng_uniform(&r) < FAILURES_PER_TILE;
      nsl_sched_finished(s, e.worker, e.lease.job, e.lease.epoch, failed ? NSL_ANSWER_FAILED : NSL_ANSWER_DONE, now);
    }
    e.lease = nsl_sched_request(s, e.worker, now);
    if (e.lease.verb == NSL_ACT_STOP) { continue; }
    e.time_s = now + IDLE_RETRY_S;
    if (e.lease.verb == NSL_ACT_ASSIGN) {
      e.end_s = now + actual[e.lease.job];
      e.time_s = fmin(now + HEARTBEAT_S, e.end_s);
      busy_s += actual[e.lease.job];
      if (nsl_rng_uniform(&r) < DEATHS_PER_TILE) { continue; } /* it dies: no further event */
    }
    if (nsl_sched_count(s).pending > 0) {
      queue_empty_s = now;
      busy_until_empty_s = busy_s;
    }
    push(heap, &n_events, e);
  }
  double cpu_s = nsl_clock_cpu_s() - t0;
  nsl_sched_counts c = nsl_sched_count(s);
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  printf("%d tiles on %d workers: %.0f s, %d done, %d quarantined, %d workers lost, %lld retries, %lld twins\n", n_tiles, n_workers,
         now, c.done, c.quarantined, c.lost_workers, (long long)c.retries, (long long)c.speculated);
  printf("utilisation %.3f until the queue is empty (%.0f s), %.3f to the end\n",
         fmin(1, busy_until_empty_s / (queue_empty_s * n_workers)), queue_empty_s, busy_s / (now * n_workers));
  printf("%lld messages in %.2f s: %.0f per second, simulation included; %.1f MB\n", (long long)messages, cpu_s,
         (double)messages / cpu_s, (double)use.ru_maxrss / 1024);
  nsl_sched_free(s);
  free(cost);
  free(actual);
  free(heap);
  return 0;
}
