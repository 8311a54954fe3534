/* How far the scheduler carries. Alone: the state machine under a discrete-event simulation of large surveys, with workers that
 * take skewed times, beat, fail and die. Under mpirun: the MPI shell with jobs that do nothing but send signs of life, which is
 * what bounds the master; with many BEATS the workers flood it, without it waits for them as much as they for it. Usage: bench_par
 * [--json] [TILES WORKERS], exit code 1 when the simulation falls short of what docs/scaling.md promises;  mpirun -n 3 bench_par
 * [--json] [JOBS BEATS] */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "noslit/base/clock.h"
#include "noslit/base/rng.h"
#include "noslit/par/mpi_env.h"
#include "par/sched_mpi.h"

#define MEAN_TILE_S 120.0 /* docs/scaling.md */
#define TILE_SPREAD 0.7   /* rms of ln(cost) between tiles: clusters, number of exposures, coverage */
#define PREDICTION 0.2    /* rms of ln(truth / prediction) */
#define HEARTBEAT_S 5.0
#define DEATHS_PER_TILE 1e-4
#define FAILURES_PER_TILE 1e-3
#define IDLE_RETRY_S 1.0
#define TICK_S 0.05

typedef struct {
  double time_s, end_s; /* of the next event; of the tile */
  int worker;
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

/* A simulated survey, and what came of it. */
typedef struct {
  int n_tiles, n_workers;
  double *cost_s, *actual_s, longest_s, work_s;
  nsl_sched *sched;
  event *heap;
  int n_events, n_busy, n_alive;
  nsl_rng rng;
  double now_s, ticked_s, busy_s, alive_s;     /* busy_s, alive_s: worker seconds up to now */
  double empty_s, busy_empty_s, alive_empty_s; /* when no tile was left to deal out */
  int64_t messages;
  double cpu_s;
  nsl_sched_counts counts;
} survey;

static void ask(survey *v, event *e)
{
  e->lease = nsl_sched_request(v->sched, e->worker, v->now_s);
  if (e->lease.verb == NSL_ACT_STOP) { return; }
  e->time_s = v->now_s + IDLE_RETRY_S;
  if (e->lease.verb == NSL_ACT_ASSIGN) {
    if (nsl_rng_uniform(&v->rng) < DEATHS_PER_TILE) { /* it dies: no further event */
      v->n_alive--;
      return;
    }
    v->n_busy++;
    e->end_s = v->now_s + v->actual_s[e->lease.job];
    e->time_s = fmin(v->now_s + HEARTBEAT_S, e->end_s);
  }
  push(v->heap, &v->n_events, *e);
}

static void step(survey *v)
{
  event e = pop(v->heap, &v->n_events);
  v->busy_s += v->n_busy * (e.time_s - v->now_s);
  v->alive_s += v->n_alive * (e.time_s - v->now_s);
  v->now_s = e.time_s;
  if (v->now_s - v->ticked_s > TICK_S) {
    nsl_sched_tick(v->sched, v->now_s, NULL, NULL);
    v->ticked_s = v->now_s;
  }
  v->messages++;
  if (e.lease.verb == NSL_ACT_ASSIGN && v->now_s < e.end_s) {
    nsl_sched_heartbeat(v->sched, e.worker, v->now_s);
    e.time_s = fmin(v->now_s + HEARTBEAT_S, e.end_s);
    push(v->heap, &v->n_events, e);
    return;
  }
  if (e.lease.verb == NSL_ACT_ASSIGN) {
    int failed = nsl_rng_uniform(&v->rng) < FAILURES_PER_TILE;
    v->n_busy--;
    nsl_sched_finished(v->sched, e.worker, e.lease.job, e.lease.epoch, failed ? NSL_ANSWER_FAILED : NSL_ANSWER_DONE, v->now_s);
  }
  ask(v, &e);
  if (nsl_sched_count(v->sched).pending > 0) {
    v->empty_s = v->now_s;
    v->busy_empty_s = v->busy_s;
    v->alive_empty_s = v->alive_s;
  }
}

static int simulate(survey *v)
{
  const nsl_sched_options options = {
      .max_attempts = 3, .lease_min_s = 300, .lease_factor = 10, .speculate_factor = 3, .speculate_min_s = 30, .near_until = 4};
  nsl_error err = NSL_ERROR_INIT;
  v->rng = nsl_rng_make(1, NSL_RNG_TEST, 1, 0);
  v->n_alive = v->n_workers;
  v->cost_s = calloc((size_t)v->n_tiles, sizeof *v->cost_s);
  v->actual_s = calloc((size_t)v->n_tiles, sizeof *v->actual_s);
  v->heap = calloc((size_t)v->n_workers + 1, sizeof *v->heap);
  if (!v->cost_s || !v->actual_s || !v->heap) { return 0; }
  for (int i = 0; i < v->n_tiles; i++) {
    v->cost_s[i] = MEAN_TILE_S * exp(TILE_SPREAD * nsl_rng_normal(&v->rng) - 0.5 * TILE_SPREAD * TILE_SPREAD);
    v->actual_s[i] = v->cost_s[i] * exp(PREDICTION * nsl_rng_normal(&v->rng));
    v->longest_s = fmax(v->longest_s, v->actual_s[i]);
    v->work_s += v->actual_s[i];
  }
  double t0 = nsl_clock_cpu_s();
  if (nsl_sched_new(v->n_tiles, v->cost_s, v->n_workers, &options, &v->sched, &err) != NSL_OK) { return 0; }
  for (int w = 0; w < v->n_workers; w++) {
    push(v->heap, &v->n_events, (event){.time_s = 1e-3 * w, .worker = w, .lease = {.verb = NSL_ACT_WAIT}});
  }
  while (v->n_events && !nsl_sched_is_over(v->sched)) { step(v); }
  v->cpu_s = nsl_clock_cpu_s() - t0;
  v->counts = nsl_sched_count(v->sched);
  nsl_sched_free(v->sched);
  free(v->cost_s);
  free(v->actual_s);
  free(v->heap);
  return 1;
}

/* What the project promises (docs/scaling.md). */
#define UTILISATION_MIN 0.95
#define MESSAGES_MIN 50000.0

static double until_empty(const survey *v) { return v->busy_empty_s / v->alive_empty_s; } /* of the workers that live */

static int keeps_promises(const survey *v)
{
  return v->counts.done + v->counts.quarantined == v->n_tiles && until_empty(v) >= UTILISATION_MIN &&
         (double)v->messages / v->cpu_s >= MESSAGES_MIN;
}

static void print(const survey *v, int json)
{
  struct rusage use;
  getrusage(RUSAGE_SELF, &use);
  double ideal_s = fmax(v->work_s / v->n_workers, v->longest_s), per_s = (double)v->messages / v->cpu_s,
         mb = (double)use.ru_maxrss / 1024;
  double overall = v->busy_s / v->alive_s;
  if (json) {
    printf(
        "{\"tiles\": %d, \"workers\": %d, \"wall_s\": %.1f, \"ideal_s\": %.1f, \"longest_tile_s\": %.1f, \"queue_empty_s\": %.1f, "
        "\"utilisation_until_empty\": %.4f, \"utilisation\": %.4f, \"done\": %d, \"quarantined\": %d, \"workers_lost\": %d, "
        "\"retries\": %lld, \"twins\": %lld, \"messages\": %lld, \"messages_per_s\": %.0f, \"peak_mb\": %.1f}\n",
        v->n_tiles, v->n_workers, v->now_s, ideal_s, v->longest_s, v->empty_s, until_empty(v), overall, v->counts.done,
        v->counts.quarantined, v->counts.lost_workers, (long long)v->counts.retries, (long long)v->counts.speculated,
        (long long)v->messages, per_s, mb);
    return;
  }
  printf("%8d %8d %9.0f %9.0f %9.0f %8.4f %8.4f %5d %7lld %6lld %11.3g %7.1f\n", v->n_tiles, v->n_workers, v->now_s, ideal_s,
         v->empty_s, until_empty(v), overall, v->counts.lost_workers, (long long)v->counts.retries, (long long)v->counts.speculated,
         per_s, mb);
}

static int simulate_and_print(int n_tiles, int n_workers, int json)
{
  survey v = {.n_tiles = n_tiles, .n_workers = n_workers};
  if (!simulate(&v)) { return 1; }
  print(&v, json);
  if (!keeps_promises(&v)) {
    fprintf(stderr, "%d tiles, %d workers: not every tile ended, or utilisation is below %g, or messages/s below %g\n", n_tiles,
            n_workers, UTILISATION_MIN, MESSAGES_MIN);
    return 1;
  }
  return 0;
}

/* --- the MPI shell --- */

/* The workers' heartbeat_s is 0: every call sends a sign of life. */
static nsl_status do_nothing(void *ctx, int64_t id, int attempt, const nsl_farm_hint *hint, nsl_beat *beat, void *beat_ctx,
                             nsl_farm_result *result, nsl_error *err)
{
  (void)id, (void)attempt, (void)hint, (void)err;
  for (int i = *(const int *)ctx; i; i--) { beat(beat_ctx); }
  result->rows = 1;
  return NSL_OK;
}
static int go_on(void *ctx) { return (void)ctx, 0; }
static void on_assigned(void *ctx, int32_t job, int attempt, int worker) { (void)ctx, (void)job, (void)attempt, (void)worker; }
static void on_answered(void *ctx, const nsl_farm_answer *a) { *(int64_t *)ctx += a->ended; }
static void on_lost(void *ctx, int worker, int32_t job, int ended, const char *why)
{
  (void)ctx, (void)worker, (void)job, (void)ended, (void)why;
}
static void on_pulse(void *ctx, const nsl_sched_counts *counts) { (void)ctx, (void)counts; }

static int deal_out(int32_t n, int beats, int json, int rank, int size)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_identity master = nsl_farm_meet(MPI_COMM_WORLD);
  int lost = 0;
  if (rank) {
    const nsl_farm_worker hands = {&beats, NULL, do_nothing};
    return nsl_farm_work(MPI_COMM_WORLD, &hands, master, 0, &lost, &err) != NSL_OK;
  }
  int64_t *ids = calloc((size_t)n, sizeof *ids), ended = 0;
  const nsl_farm_jobs jobs = {
      .n = n, .ids = ids, .sched = {.max_attempts = 3, .lease_min_s = 300, .lease_factor = 10}, .heartbeat_s = HEARTBEAT_S};
  const nsl_farm_observer watch = {&ended, go_on, on_assigned, on_answered, on_lost, on_pulse};
  nsl_farm_outcome out;
  double t0 = nsl_clock_s(), c0 = nsl_clock_cpu_s();
  nsl_status st = nsl_farm_master(MPI_COMM_WORLD, &jobs, &watch, &out, &err);
  double wall_s = nsl_clock_s() - t0, cpu_s = nsl_clock_cpu_s() - c0,
         messages = (2.0 + beats) * n; /* an answer and an order each */
  printf(json ? "{\"jobs\": %d, \"beats\": %d, \"workers\": %d, \"wall_s\": %.3f, \"messages_per_s\": %.0f, "
                "\"messages_per_cpu_s\": %.0f}\n"
              : "%d jobs of %d signs of life, %d workers: %.2f s, %.0f messages a second of wall, %.0f of the master's CPU\n",
         n, beats, size - 1, wall_s, messages / wall_s, messages / cpu_s);
  nsl_farm_outcome_free(&out);
  free(ids);
  return st != NSL_OK || ended != n;
}

int main(int argc, char **argv)
{
  nsl_mpi mpi = nsl_mpi_start(&argc, &argv);
  int json = argc > 1 && !strcmp(argv[1], "--json"), bad = 0;
  char **words = argv + 1 + json;
  int n_words = argc - 1 - json;
  if (mpi.size > 1) {
    int32_t n = n_words ? atoi(words[0]) : 20000;
    bad = deal_out(n, n_words > 1 ? atoi(words[1]) : 0, json, mpi.rank, mpi.size);
  } else if (n_words == 2) {
    bad = simulate_and_print(atoi(words[0]), atoi(words[1]), json);
  } else {
    if (!json) {
      printf("   tiles  workers    wall_s   ideal_s   empty_s  u.empty    u.all  lost retries  twins  messages/s peak_MB\n");
    }
    for (int workers = 100; workers <= 10000; workers *= 10) { bad |= simulate_and_print(100000, workers, json); }
  }
  nsl_mpi_end(0, bad);
  return bad;
}
