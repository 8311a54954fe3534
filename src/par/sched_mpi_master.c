#include <math.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "par/sched_mpi.h"

#define TICK_S 0.05
#define LOOK_S 1.0      /* between looks whether workers on this host still exist */
#define PATIENCE_S 60.0 /* least time after which an idle worker may take a silent master for gone */
#define AWAKE_S 500e-6  /* polls so long after a message before it naps: more are likely to come */
enum { BURST = 4096 };  /* messages taken between two ticks at most */

/* What the master knows of a worker. Worker k of the scheduler is rank k + 1. */
typedef struct {
  int pid, is_here, is_parked, is_home, is_gone; /* home: told to stop; gone: its process does not exist */
  int is_retired;                                /* could not start: waits for the others' end */
  int32_t attempt;
  uint32_t cancelled; /* epoch of the last cancel sent */
  double heard_s;
  size_t n_text;
  char text[NSL_ERROR_TEXT_MAX];
  nsl_message order, cancel; /* buffers of the messages under way */
  MPI_Request order_request, cancel_request;
} peer;

typedef struct {
  MPI_Comm comm;
  const nsl_farm_jobs *jobs;
  const nsl_farm_observer *o;
  nsl_sched *s;
  peer *peers;
  int n_workers;
  int *parked; /* stack of idle workers */
  int n_parked;
  uint64_t host;
  double now_s, looked_s;
  int stop;
  nsl_farm_outcome *out;
} master;

/* Never waits: an eager message is complete at once, and where it is not, nobody is there to receive the next one either. */
static int post(master *m, int w, nsl_message *buffer, MPI_Request *request, const nsl_message *content, nsl_message_tag tag)
{
  int complete = 1;
  if (*request != MPI_REQUEST_NULL) { MPI_Test(request, &complete, MPI_STATUS_IGNORE); }
  if (!complete) { return 0; }
  *buffer = *content;
  return MPI_Isend(buffer, (int)sizeof *buffer, MPI_BYTE, w + 1, (int)tag, m->comm, request) == MPI_SUCCESS;
}

static void order(master *m, int w, const nsl_message *content)
{
  peer *p = &m->peers[w];
  post(m, w, &p->order, &p->order_request, content, NSL_TAG_TO_WORKER);
}

static void cancel(master *m, int w, uint32_t epoch)
{
  peer *p = &m->peers[w];
  if (p->cancelled == epoch) { return; }
  nsl_message c = nsl_message_make(NSL_MSG_CANCEL);
  c.epoch = epoch;
  if (post(m, w, &p->cancel, &p->cancel_request, &c, NSL_TAG_CANCEL)) { p->cancelled = epoch; }
}

static void stop_worker(master *m, int w)
{
  nsl_message stop = nsl_message_make(NSL_MSG_STOP);
  stop.count = nsl_sched_count(m->s).lost_workers - m->out->n_workers_not_started;
  m->peers[w].is_home = 1;
  order(m, w, &stop);
}

/* Answers a worker that asks; returns 0 when it has to wait. */
static int serve(master *m, int w)
{
  nsl_sched_action a = nsl_sched_request(m->s, w, m->now_s);
  if (a.verb == NSL_ACT_WAIT) { return 0; }
  if (a.verb == NSL_ACT_STOP) {
    stop_worker(m, w);
    return 1;
  }
  nsl_message assign = nsl_message_make(NSL_MSG_ASSIGN);
  assign.job = a.job;
  assign.attempt = m->peers[w].attempt = a.attempt;
  assign.epoch = a.epoch;
  assign.id = m->jobs->ids[a.job];
  assign.hint = nsl_farm_hint_of(m->jobs, &a);
  m->o->assigned(m->o->ctx, a.job, a.attempt, w + 1);
  order(m, w, &assign);
  return 1;
}

static void serve_or_park(master *m, int w)
{
  if (m->peers[w].is_parked || serve(m, w)) { return; }
  m->peers[w].is_parked = 1;
  m->parked[m->n_parked++] = w;
}

/* Idle workers are all alike: when one has to wait, so have the others. */
static void serve_parked(master *m)
{
  while (m->n_parked) {
    int w = m->parked[m->n_parked - 1];
    if (!m->peers[w].is_gone && !serve(m, w)) { return; }
    m->peers[w].is_parked = 0;
    m->n_parked--;
  }
}

static void take_answer(master *m, int w, const nsl_message *a)
{
  peer *p = &m->peers[w];
  if (a->job >= 0 && a->job < m->jobs->n) {
    nsl_status status = (nsl_status)a->status;
    int rc = nsl_sched_finished(m->s, w, a->job, a->epoch, nsl_farm_judge(status), m->now_s);
    nsl_farm_answer answer = {.job = a->job,
                              .attempt = a->attempt,
                              .worker = w + 1,
                              .ended = rc == 1,
                              .fenced = rc < 0,
                              .status = status,
                              .text = p->text,
                              .result = status == NSL_OK ? &a->result : NULL};
    m->o->answered(m->o->ctx, &answer);
  }
  p->n_text = 0;
  p->text[0] = '\0';
  serve_or_park(m, w);
}

static void take_text(peer *p, const nsl_message *t)
{
  size_t n = strlen(t->text);
  if (n > sizeof p->text - 1 - p->n_text) { n = sizeof p->text - 1 - p->n_text; }
  memcpy(p->text + p->n_text, t->text, n);
  p->n_text += n;
  p->text[p->n_text] = '\0';
}

static void take_bye(master *m, int w, const nsl_message *b)
{
  peer *p = &m->peers[w];
  nsl_sched_worker_lost(m->s, w, NULL);
  m->out->n_workers_not_started++;
  nsl_fail(&m->out->worker_error, (nsl_status)b->status, "%s", p->text);
  p->is_retired = 1;
}

static void take_beat(master *m, int w, const nsl_message *b)
{
  nsl_sched_heartbeat(m->s, w, m->now_s);
  if (b->job >= 0 && !nsl_sched_is_wanted(m->s, w, b->job, b->epoch)) {
    cancel(m, w, b->epoch);
  } else if (m->peers[w].is_parked || m->peers[w].is_retired) {
    nsl_message pong = nsl_message_make(NSL_MSG_PONG);
    order(m, w, &pong);
  }
}

static void greet(master *m, int w, const nsl_message *hello)
{
  peer *p = &m->peers[w];
  p->pid = hello->pid;
  p->is_here = m->host != 0 && hello->host == m->host;
  if (nsl_sched_is_over(m->s)) {
    stop_worker(m, w);
    return;
  }
  nsl_message go = nsl_message_make(NSL_MSG_GO);
  go.count = (int32_t)(1000 * fmin(fmax(PATIENCE_S, m->jobs->sched.lease_min_s), 1e6));
  order(m, w, &go);
}

static void dispatch(master *m, int w, const nsl_message *msg)
{
  m->peers[w].heard_s = m->now_s;
  switch ((nsl_message_kind)msg->kind) {
  case NSL_MSG_HELLO:
    greet(m, w, msg);
    break;
  case NSL_MSG_REQUEST:
    serve_or_park(m, w);
    break;
  case NSL_MSG_TEXT:
    take_text(&m->peers[w], msg);
    break;
  case NSL_MSG_ANSWER:
    take_answer(m, w, msg);
    break;
  case NSL_MSG_BEAT:
    take_beat(m, w, msg);
    break;
  case NSL_MSG_BYE:
    take_bye(m, w, msg);
    break;
  default:
    break;
  }
}

static void on_silent(void *ctx, int w, int32_t job, int ended)
{
  master *m = ctx;
  m->o->lost(m->o->ctx, w + 1, job, ended, "no sign of life for longer than its lease (run.lease_s)");
}

static void lose(master *m, int w, const char *why)
{
  int ended;
  int32_t job = nsl_sched_worker_lost(m->s, w, &ended);
  m->o->lost(m->o->ctx, w + 1, job, ended, why);
}

/* Workers on this host are seen to be gone at once, without waiting for the lease. */
static void look_after_processes(master *m)
{
  if (m->now_s - m->looked_s < LOOK_S) { return; }
  m->looked_s = m->now_s;
  for (int w = 0; w < m->n_workers; w++) {
    peer *p = &m->peers[w];
    if (!p->is_here || p->is_home || p->is_gone || !nsl_process_is_gone(p->pid)) { continue; }
    p->is_gone = 1;
    if (!nsl_sched_worker_is_lost(m->s, w)) { lose(m, w, "its process is gone (killed, out of memory, or crashed)"); }
  }
}

static void heed_stop(master *m)
{
  m->stop = m->o->stop_asked(m->o->ctx);
  if (m->stop) { nsl_sched_drain(m->s); }
  for (int w = 0; m->stop >= 2 && w < m->n_workers; w++) {
    uint32_t epoch;
    if (nsl_sched_worker_job(m->s, w, &epoch) >= 0) { cancel(m, w, epoch); }
  }
}

/* The work is over: frees those who still hold a job that a twin has done, and takes those for lost that do not come home. */
static int all_are_home(master *m)
{
  int home = 1;
  for (int w = 0; w < m->n_workers; w++) {
    peer *p = &m->peers[w];
    if (p->is_retired && !p->is_home && !p->is_gone) { stop_worker(m, w); }
    if (p->is_home || nsl_sched_worker_is_lost(m->s, w)) { continue; }
    home = 0;
    uint32_t epoch;
    if (nsl_sched_worker_job(m->s, w, &epoch) >= 0) {
      cancel(m, w, epoch);
    } else if (m->now_s - p->heard_s > m->jobs->sched.lease_min_s) {
      lose(m, w, "it did not come for its orders at the end");
    }
  }
  return home;
}

static void tick(master *m)
{
  heed_stop(m);
  nsl_sched_tick(m->s, m->now_s, on_silent, m);
  look_after_processes(m);
  serve_parked(m);
  nsl_sched_counts c = nsl_sched_count(m->s);
  m->o->pulse(m->o->ctx, &c);
}

static void deal_out(master *m)
{
  double ticked_s = -1e9, taken_s = -1e9, nap_s = 20e-6;
  for (;;) {
    int taken = 0, from;
    nsl_message msg;
    m->now_s = nsl_clock_s();
    while (taken < BURST && nsl_message_take(m->comm, MPI_ANY_SOURCE, NSL_TAG_TO_MASTER, &msg, &from)) {
      dispatch(m, from - 1, &msg);
      taken++;
    }
    if (m->n_parked && taken) { serve_parked(m); }
    if (m->now_s - ticked_s >= TICK_S) {
      tick(m);
      ticked_s = m->now_s;
    }
    if (nsl_sched_is_over(m->s) && all_are_home(m)) { return; }
    if (taken) {
      taken_s = m->now_s;
      nap_s = 20e-6;
    } else if (m->now_s - taken_s < AWAKE_S) {
      sched_yield();
    } else {
      nsl_clock_sleep_s(nap_s);
      nap_s = fmin(nap_s * 1.5, 2e-3);
    }
  }
}

/* Which of the lost are still there, stopped or stuck? */
static nsl_status count_lost(master *m, nsl_error *err)
{
  nsl_farm_outcome *out = m->out;
  out->counts = nsl_sched_count(m->s);
  out->hung_pid = calloc((size_t)m->n_workers + 1, sizeof *out->hung_pid);
  if (!out->hung_pid) { return nsl_fail(err, NSL_E_NOMEM, "no memory at the end of the run"); }
  for (int w = 0; w < m->n_workers; w++) {
    const peer *p = &m->peers[w];
    if (p->is_home) { continue; }
    out->workers_lost++;
    if (!p->is_here) {
      out->n_lost_elsewhere++;
    } else if (!nsl_process_is_gone(p->pid)) {
      out->hung_pid[out->n_hung++] = p->pid;
    }
  }
  return NSL_OK;
}

/* Have all messages left? One that has not was for a rank that is gone, and its buffer belongs to MPI for ever. */
static int all_sent(master *m)
{
  int all = 1;
  for (int w = 0; w < m->n_workers; w++) {
    peer *p = &m->peers[w];
    MPI_Request *requests[2] = {&p->order_request, &p->cancel_request};
    for (int i = 0; i < 2; i++) {
      int complete = 1;
      if (*requests[i] != MPI_REQUEST_NULL) { MPI_Test(requests[i], &complete, MPI_STATUS_IGNORE); }
      all &= complete;
    }
  }
  return all;
}

nsl_status nsl_farm_master(MPI_Comm comm, const nsl_farm_jobs *jobs, const nsl_farm_observer *o, nsl_farm_outcome *out,
                           nsl_error *err)
{
  nsl_status st = NSL_OK;
  int size;
  MPI_Comm_size(comm, &size);
  *out = (nsl_farm_outcome){0};
  master m = {.comm = comm, .jobs = jobs, .o = o, .out = out, .n_workers = size - 1, .host = nsl_host_key()};
  m.now_s = nsl_clock_s();
  m.peers = calloc((size_t)size, sizeof *m.peers);
  m.parked = calloc((size_t)size, sizeof *m.parked);
  if (!m.peers || !m.parked) { NSL_THROW(err, NSL_E_NOMEM, "no memory to look after %d workers", size - 1); }
  for (int w = 0; w < m.n_workers; w++) {
    m.peers[w].order_request = m.peers[w].cancel_request = MPI_REQUEST_NULL;
    m.peers[w].heard_s = m.now_s;
  }
  NSL_TRY(nsl_farm_new_sched(jobs, m.n_workers, &m.s, err));
  deal_out(&m);
  st = count_lost(&m, err);
cleanup:
  nsl_sched_free(m.s);
  if (m.peers && all_sent(&m)) { free(m.peers); }
  free(m.parked);
  return st;
}

static int never_stop(void *ctx) { return ctx != NULL; }
static void no_assigned(void *ctx, int32_t job, int attempt, int worker) { (void)ctx, (void)job, (void)attempt, (void)worker; }
static void no_answered(void *ctx, const nsl_farm_answer *a) { (void)ctx, (void)a; }
static void no_lost(void *ctx, int worker, int32_t job, int ended, const char *why)
{
  (void)ctx, (void)worker, (void)job, (void)ended, (void)why;
}
static void no_pulse(void *ctx, const nsl_sched_counts *counts) { (void)ctx, (void)counts; }

void nsl_farm_dismiss(MPI_Comm comm)
{
  const nsl_farm_observer nobody = {NULL, never_stop, no_assigned, no_answered, no_lost, no_pulse};
  const nsl_farm_jobs none = {.sched = {.max_attempts = 1, .lease_min_s = 30}};
  nsl_farm_outcome out;
  nsl_farm_master(comm, &none, &nobody, &out, NULL);
  nsl_farm_outcome_free(&out);
}
