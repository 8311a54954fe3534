#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "par/sched_mpi.h"

#define AWAKE_S 500e-6 /* polls so long for orders before it naps: a master that is not busy answers within microseconds */

typedef struct {
  MPI_Comm comm;
  double heartbeat_s, last_beat_s;
  uint32_t epoch;
  int32_t job;
  int cancelled; /* the job under way is not wanted any more */
  /* The master, to notice that it is gone. */
  int master_pid, master_is_here;
  double patience_s, heard_s, looked_s;
} desk;

static void send(const desk *d, const nsl_message *m) { MPI_Send(m, (int)sizeof *m, MPI_BYTE, 0, NSL_TAG_TO_MASTER, d->comm); }

static void send_beat(desk *d)
{
  nsl_message m = nsl_message_make(NSL_MSG_BEAT);
  m.job = d->job;
  m.epoch = d->epoch;
  send(d, &m);
  d->last_beat_s = nsl_clock_s();
}

/* Called by the work between its batches. */
static int beat(void *ctx)
{
  desk *d = ctx;
  nsl_message m;
  if (nsl_clock_s() - d->last_beat_s >= d->heartbeat_s) { send_beat(d); }
  while (nsl_message_take(d->comm, 0, NSL_TAG_CANCEL, &m, NULL)) { d->cancelled |= m.epoch == d->epoch; }
  return d->cancelled;
}

static int master_is_gone(desk *d, double now_s)
{
  if (d->patience_s > 0 && now_s - d->heard_s > d->patience_s) { return 1; }
  if (!d->master_is_here || now_s - d->looked_s < 1.0) { return 0; }
  d->looked_s = now_s;
  return nsl_process_is_gone(d->master_pid);
}

/* Waits for the master, after a first moment without burning a core. An idle worker sends beats too, and the master answers them.
 */
static nsl_status wait_for_orders(desk *d, nsl_message *m, nsl_error *err)
{
  double nap_s = 50e-6, asked_s = nsl_clock_s();
  d->heard_s = asked_s;
  for (;;) {
    if (nsl_message_take(d->comm, 0, NSL_TAG_TO_WORKER, m, NULL)) {
      if (m->kind != NSL_MSG_PONG) { return NSL_OK; }
      d->heard_s = nsl_clock_s();
      continue;
    }
    double now = nsl_clock_s();
    if (master_is_gone(d, now)) {
      return nsl_fail(err, NSL_E_IO, "the master (rank 0) is gone; what is done is on disk: start the same command again");
    }
    if (d->patience_s > 0 && now - d->last_beat_s >= d->patience_s / 4) { send_beat(d); }
    if (now - asked_s < AWAKE_S) {
      sched_yield();
      continue;
    }
    nsl_clock_sleep_s(nap_s);
    nap_s = nap_s < 5e-3 ? nap_s * 1.5 : 5e-3;
  }
}

static void send_text(const desk *d, const char *text)
{
  size_t left = strlen(text);
  while (left) {
    nsl_message m = nsl_message_make(NSL_MSG_TEXT);
    size_t n = left < sizeof m.text - 1 ? left : sizeof m.text - 1;
    memcpy(m.text, text, n);
    send(d, &m);
    text += n;
    left -= n;
  }
}

/* Makes the worker ready and asks for the first job, or says why it cannot. */
static void get_ready(desk *d, const nsl_farm_worker *worker)
{
  nsl_error failure = NSL_ERROR_INIT;
  nsl_status st = worker->start ? worker->start(worker->ctx, &failure) : NSL_OK;
  nsl_message reply = nsl_message_make(st == NSL_OK ? NSL_MSG_REQUEST : NSL_MSG_BYE);
  reply.status = (int32_t)st;
  if (st != NSL_OK) { send_text(d, failure.text[0] ? failure.text : nsl_status_text(st)); }
  send(d, &reply);
}

static void do_job(desk *d, const nsl_farm_worker *worker, const nsl_message *order)
{
  nsl_error failure = NSL_ERROR_INIT;
  nsl_message m = nsl_message_make(NSL_MSG_ANSWER);
  d->job = order->job;
  d->epoch = order->epoch;
  d->cancelled = 0;
  m.job = order->job;
  m.epoch = order->epoch;
  m.attempt = order->attempt;
  m.id = order->id;
  d->last_beat_s = nsl_clock_s();
  m.status = (int32_t)worker->work(worker->ctx, order->id, order->attempt, &order->hint, beat, d, &m.result, &failure);
  if (m.status != NSL_OK) { send_text(d, failure.text[0] ? failure.text : nsl_status_text((nsl_status)m.status)); }
  send(d, &m);
  d->job = -1;
  d->last_beat_s = nsl_clock_s();
}

nsl_status nsl_farm_work(MPI_Comm comm, const nsl_farm_worker *worker, nsl_farm_identity master, double heartbeat_s, int *lost,
                         nsl_error *err)
{
  desk d = {.comm = comm, .heartbeat_s = heartbeat_s, .job = -1, .master_pid = master.pid};
  d.master_is_here = master.host != 0 && master.host == nsl_host_key();
  nsl_message m = nsl_message_make(NSL_MSG_HELLO);
  m.pid = (int32_t)getpid();
  m.host = nsl_host_key();
  send(&d, &m);
  *lost = 0;
  for (;;) {
    nsl_status st = wait_for_orders(&d, &m, err);
    if (st != NSL_OK) {
      *lost = 1; /* the master: MPI_Finalize may wait for it for ever */
      return st;
    }
    if (m.kind == NSL_MSG_ASSIGN) {
      do_job(&d, worker, &m);
    } else if (m.kind == NSL_MSG_STOP) {
      *lost = m.count;
      return NSL_OK;
    } else if (m.kind == NSL_MSG_GO) {
      d.patience_s = m.count / 1000.0;
      get_ready(&d, worker);
    }
  }
}
