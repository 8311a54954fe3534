/* The scheduler over MPI: a thin shell round par/sched.h. Rank 0 of the communicator is the master, all others are workers.
 *
 * Only small eager point-to-point messages; no collective call; the master answers only a worker that speaks to it, since a
 * message to a rank that is gone may block (docs/operations.md). A worker asks (pull), works, answers, sends signs of life. */
#ifndef NOSLIT_PAR_SCHED_MPI_H
#define NOSLIT_PAR_SCHED_MPI_H

#include <mpi.h>

#include "par/farm.h"

typedef struct {
  int pid;
  uint64_t host; /* nsl_host_key */
} nsl_farm_identity;

/* Collective: who the master is, so that workers notice when it is gone. The only collective call here. */
nsl_farm_identity nsl_farm_meet(MPI_Comm comm);
/* Local (of rank 0). Returns when every worker that lives has been told to stop. The outcome is set also when it fails. */
nsl_status nsl_farm_master(MPI_Comm comm, const nsl_farm_jobs *jobs, const nsl_farm_observer *o, nsl_farm_outcome *out,
                           nsl_error *err);
/* Local (of rank 0), in place of nsl_farm_master when there is nothing to deal out: sends the workers home. */
void nsl_farm_dismiss(MPI_Comm comm);
/* Local. Works until told to stop. *lost: ranks known to be gone by then. An error of `start` sends this worker home and is
 * the master's to report; a master that has vanished is NSL_E_IO. */
nsl_status nsl_farm_work(MPI_Comm comm, const nsl_farm_worker *worker, nsl_farm_identity master, double heartbeat_s, int *lost,
                         nsl_error *err);

/* --- messages --- */

#define NSL_MESSAGE_MAGIC 0x4e534c01u /* "NSL", version 1 */
#define NSL_MESSAGE_TEXT 104

typedef enum {
  /* worker to master */
  NSL_MSG_HELLO,   /* I exist: pid, host */
  NSL_MSG_REQUEST, /* I am ready for a job */
  NSL_MSG_TEXT,    /* a piece of the reason that the next ANSWER or BYE gives */
  NSL_MSG_ANSWER,  /* of a job; also a request for the next */
  NSL_MSG_BEAT,    /* I live */
  NSL_MSG_BYE,     /* I cannot work */
  /* master to worker */
  NSL_MSG_GO,     /* make yourself ready */
  NSL_MSG_ASSIGN, /* a job */
  NSL_MSG_STOP,   /* go home */
  NSL_MSG_PONG,   /* answer to the BEAT of an idle worker */
  NSL_MSG_CANCEL  /* nobody waits for that job any more */
} nsl_message_kind;

typedef enum { NSL_TAG_TO_MASTER = 1, NSL_TAG_TO_WORKER = 2, NSL_TAG_CANCEL = 3 } nsl_message_tag;

typedef struct {
  uint32_t magic;
  int32_t kind, job, attempt;
  uint32_t epoch;
  int32_t status, pid, count; /* count: lost workers (STOP), milliseconds of patience with a silent master (GO) */
  int64_t id;
  uint64_t host;
  union {
    nsl_farm_result result; /* ANSWER */
    nsl_farm_hint hint;     /* ASSIGN */
  };
  char text[NSL_MESSAGE_TEXT];
} nsl_message;
_Static_assert(sizeof(nsl_message) <= 256, "messages must stay eager");

/* Names this host and its process numbers: equal keys mean that kill(pid, 0) speaks of the same process. */
uint64_t nsl_host_key(void);
int nsl_process_is_gone(int pid);
/* A message of this kind with our pid and host. */
nsl_message nsl_message_make(nsl_message_kind kind);
/* Takes a waiting message; 0 if there is none. Foreign ones are dropped. */
int nsl_message_take(MPI_Comm comm, int source, nsl_message_tag tag, nsl_message *m, int *from);

#endif
