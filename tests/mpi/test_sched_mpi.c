/* The scheduler's MPI shell with pretended work, at any number of ranks; with one rank its serial twin. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/par/mpi_env.h"
#include "par/sched_mpi.h"

static int failures;
static int rank, size;

#define CHECK(condition)                                                         \
  do {                                                                           \
    if (!(condition)) {                                                          \
      fprintf(stderr, "[%d] %s:%d: %s\n", rank, __FILE__, __LINE__, #condition); \
      failures++;                                                                \
    }                                                                            \
  } while (0)

enum { MAX_JOBS = 200 };

/* What a scenario makes of a worker. */
typedef struct {
  int64_t bad_id;       /* fails always; -1 for none */
  int64_t slow_id;      /* works until it is cancelled; -1 for none */
  int refuses_to_start; /* this rank cannot work */
  int full_disk_after;  /* jobs after which the disk is full; 0: never */
  double job_s;
  int jobs_done;
} scene;

static nsl_status start(void *ctx, nsl_error *err)
{
  const scene *x = ctx;
  return x->refuses_to_start == rank ? nsl_fail(err, NSL_E_CONFIG, "rank %d has no model", rank) : NSL_OK;
}

static nsl_status work(void *ctx, int64_t id, int attempt, const nsl_farm_hint *hint, nsl_beat *beat, void *beat_ctx,
                       nsl_farm_result *result, nsl_error *err)
{
  scene *x = ctx;
  (void)attempt;
  CHECK(hint->n_sources == 7 * id);
  if (id == x->bad_id) {
    return nsl_fail(
        err, NSL_E_CORRUPT, "tile %lld: %s: end of a long reason", (long long)id,
        "a reason that is longer than one message can carry, so that it has to be sent in pieces and put together again "
        "by the master, who shows it in the status and writes it into the quarantine ledger for the operator to read");
  }
  if (x->full_disk_after && x->jobs_done >= x->full_disk_after) { return nsl_fail(err, NSL_E_NOSPACE, "disk full"); }
  double t0 = nsl_clock_s();
  while (id == x->slow_id || nsl_clock_s() - t0 < x->job_s) {
    if (beat(beat_ctx)) { return nsl_fail(err, NSL_E_DRAINED, "given up"); }
    nsl_clock_sleep_s(0.001);
    if (nsl_clock_s() - t0 > 20) { return nsl_fail(err, NSL_E_BUG, "never cancelled"); }
  }
  result->rows = 10 * id;
  result->wall_s = nsl_clock_s() - t0;
  x->jobs_done++;
  return NSL_OK;
}

/* What the master has seen. */
typedef struct {
  const int64_t *ids;
  int ended[MAX_JOBS], ok[MAX_JOBS], n_lost, n_full, drain_after, n_done;
  int give_up;
  char text[NSL_ERROR_TEXT_MAX];
} seen;

static int stop_asked(void *ctx)
{
  const seen *s = ctx;
  if (s->give_up && s->n_done >= s->drain_after) { return 2; }
  return s->n_full || (s->drain_after && s->n_done >= s->drain_after);
}
static void assigned(void *ctx, int32_t job, int attempt, int worker)
{
  (void)ctx;
  CHECK(job >= 0 && attempt >= 1 && (size == 1 ? worker == 0 : worker > 0));
}
static void answered(void *ctx, const nsl_farm_answer *a)
{
  seen *s = ctx;
  s->ended[a->job] += a->ended;
  if (a->status == NSL_OK && a->ended) {
    s->ok[a->job]++;
    s->n_done++;
    CHECK(a->result->rows == 10 * s->ids[a->job]);
  }
  if (a->status == NSL_E_NOSPACE) { s->n_full++; }
  if (a->status == NSL_E_CORRUPT) { snprintf(s->text, sizeof s->text, "%s", a->text); }
}
static void lost(void *ctx, int worker, int32_t job, int ended, const char *why)
{
  seen *s = ctx;
  (void)job, (void)ended;
  fprintf(stderr, "lost worker %d: %s\n", worker, why);
  s->n_lost++;
}
static void pulse(void *ctx, const nsl_sched_counts *c) { (void)ctx, (void)c; }

static nsl_status play(MPI_Comm comm, scene *x, int n, seen *s, nsl_farm_outcome *out, nsl_error *err)
{
  static int64_t ids[MAX_JOBS];
  static nsl_farm_hint hints[MAX_JOBS];
  for (int i = 0; i < n; i++) {
    ids[i] = 1000 + i;
    hints[i] = (nsl_farm_hint){.n_sources = 7 * ids[i]};
  }
  *s = (seen){.ids = ids, .drain_after = s->drain_after, .give_up = s->give_up};
  *out = (nsl_farm_outcome){0};
  const nsl_farm_jobs jobs = {
      .n = n, .ids = ids, .hints = hints, .sched = {.max_attempts = 2, .lease_min_s = 20, .lease_factor = 1}, .heartbeat_s = 0.01};
  const nsl_farm_worker worker = {x, start, work};
  const nsl_farm_observer observer = {s, stop_asked, assigned, answered, lost, pulse};
  if (size == 1) { return nsl_farm_serial(&jobs, &worker, &observer, out, err); }
  nsl_farm_identity who = nsl_farm_meet(comm);
  int n_lost = -1;
  if (rank == 0) { return nsl_farm_master(comm, &jobs, &observer, out, err); }
  nsl_status st = nsl_farm_work(comm, &worker, who, jobs.heartbeat_s, &n_lost, err);
  CHECK(n_lost >= 0);
  return st;
}

#define NONE                                            \
  {                                                     \
    .bad_id = -1, .slow_id = -1, .refuses_to_start = -1 \
  }

static void every_job_once(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_outcome out;
  const int counts[] = {0, 1, 2, MAX_JOBS};
  for (int k = 0; k < 4; k++) {
    scene x = NONE;
    seen s = {0};
    CHECK(play(comm, &x, counts[k], &s, &out, &err) == NSL_OK);
    if (rank == 0) {
      for (int i = 0; i < counts[k]; i++) { CHECK(s.ended[i] == 1 && s.ok[i] == 1); }
      CHECK(out.counts.done == counts[k] && out.counts.pending == 0 && out.workers_lost == 0 && s.n_lost == 0);
    }
    nsl_farm_outcome_free(&out);
  }
}

static void a_bad_job_is_quarantined_with_its_whole_reason(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_outcome out;
  scene x = NONE;
  seen s = {0};
  x.bad_id = 1003;
  CHECK(play(comm, &x, 8, &s, &out, &err) == NSL_OK);
  if (rank == 0) {
    CHECK(out.counts.done == 7 && out.counts.quarantined == 1 && out.counts.retries == 1);
    CHECK(s.ended[3] == 1 && s.ok[3] == 0);
    CHECK(strstr(s.text, "tile 1003: a reason") == s.text && strstr(s.text, "to read: end of a long reason"));
  }
  nsl_farm_outcome_free(&out);
}

static void draining_leaves_the_rest(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_outcome out;
  scene x = NONE;
  seen s = {.drain_after = 5};
  x.job_s = 0.002;
  CHECK(play(comm, &x, MAX_JOBS, &s, &out, &err) == NSL_OK);
  if (rank == 0) {
    CHECK(out.counts.done >= 5 && out.counts.done < MAX_JOBS && out.counts.leased == 0);
    CHECK(out.counts.done + out.counts.pending == MAX_JOBS);
  }
  nsl_farm_outcome_free(&out);
}

static void giving_up_cancels_what_runs(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_outcome out;
  scene x = NONE;
  seen s = {.drain_after = size > 2 ? 1 : 0, .give_up = 1};
  x.slow_id = 1000;
  double t0 = nsl_clock_s();
  CHECK(play(comm, &x, 3, &s, &out, &err) == NSL_OK);
  if (rank == 0) { CHECK(out.counts.leased == 0 && out.counts.pending >= 1 && nsl_clock_s() - t0 < 10); }
  nsl_farm_outcome_free(&out);
}

static void a_full_disk_is_nobodys_fault(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_outcome out;
  scene x = NONE;
  seen s = {0};
  x.full_disk_after = 2;
  x.job_s = 0.001;
  CHECK(play(comm, &x, MAX_JOBS, &s, &out, &err) == NSL_OK);
  if (rank == 0) {
    CHECK(s.n_full >= 1 && out.counts.quarantined == 0 && out.counts.leased == 0);
    CHECK(out.counts.done >= 2 && out.counts.done + out.counts.pending == MAX_JOBS);
  }
  nsl_farm_outcome_free(&out);
}

static void a_worker_that_cannot_start_goes_home(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  nsl_farm_outcome out;
  scene x = NONE;
  seen s = {0};
  x.refuses_to_start = size - 1;
  nsl_status st = play(comm, &x, 20, &s, &out, &err);
  if (size == 1) {
    CHECK(st == NSL_E_CONFIG);
    return;
  }
  CHECK(st == NSL_OK);
  if (rank == 0) {
    CHECK(out.n_workers_not_started == 1 && out.workers_lost == 0);
    CHECK(strstr(out.worker_error.text, "has no model") && out.worker_error.status == NSL_E_CONFIG);
    CHECK(size == 2 ? out.counts.pending == 20 : out.counts.done == 20);
  }
  nsl_farm_outcome_free(&out);
}

static void dismissal(MPI_Comm comm)
{
  nsl_error err = NSL_ERROR_INIT;
  if (size == 1) { return; }
  scene x = NONE;
  const nsl_farm_worker worker = {&x, start, work};
  nsl_farm_identity who = nsl_farm_meet(comm);
  int n_lost;
  if (rank == 0) {
    nsl_farm_dismiss(comm);
  } else {
    CHECK(nsl_farm_work(comm, &worker, who, 1, &n_lost, &err) == NSL_OK);
    CHECK(x.jobs_done == 0);
  }
}

int main(int argc, char **argv)
{
  nsl_mpi mpi = nsl_mpi_start(&argc, &argv);
  rank = mpi.rank;
  size = mpi.size;
  void (*const scenes[])(MPI_Comm) = {every_job_once,
                                      a_bad_job_is_quarantined_with_its_whole_reason,
                                      draining_leaves_the_rest,
                                      giving_up_cancels_what_runs,
                                      a_full_disk_is_nobodys_fault,
                                      a_worker_that_cannot_start_goes_home,
                                      dismissal};
  for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
    MPI_Comm comm;
    MPI_Comm_dup(MPI_COMM_WORLD, &comm);
    scenes[i](comm);
    MPI_Comm_free(&comm);
  }
  int worst = 0;
  MPI_Allreduce(&failures, &worst, 1, MPI_INT, MPI_MAX, MPI_COMM_WORLD);
  nsl_mpi_end(0, worst != 0);
  return worst != 0;
}
