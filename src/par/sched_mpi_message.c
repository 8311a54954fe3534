#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/hash.h"
#include "par/sched_mpi.h"

uint64_t nsl_host_key(void)
{
  char text[256] = "";
  size_t n = 0;
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "r");
  if (f) {
    n = fread(text, 1, 128, f);
    fclose(f);
  }
  ssize_t more = readlink("/proc/self/ns/pid", text + n, sizeof text - n);
  if (n == 0 || more <= 0) { return 0; } /* unknown: never equal, see the master */
  return nsl_hash_bytes(text, n + (size_t)more).lo;
}

int nsl_process_is_gone(int pid) { return kill((pid_t)pid, 0) && errno == ESRCH; }

nsl_message nsl_message_make(nsl_message_kind kind)
{
  nsl_message m;
  memset(&m, 0, sizeof m);
  m.magic = NSL_MESSAGE_MAGIC;
  m.kind = (int32_t)kind;
  m.job = -1;
  return m;
}

int nsl_message_take(MPI_Comm comm, int source, nsl_message_tag tag, nsl_message *m, int *from)
{
  int waiting = 0;
  MPI_Status status;
  if (MPI_Iprobe(source, (int)tag, comm, &waiting, &status) != MPI_SUCCESS || !waiting) { return 0; }
  int length = 0;
  MPI_Get_count(&status, MPI_BYTE, &length);
  if (length != (int)sizeof *m) { /* from another program: take it out of the way */
    char scrap[512];
    if (length <= (int)sizeof scrap) { MPI_Recv(scrap, length, MPI_BYTE, status.MPI_SOURCE, (int)tag, comm, MPI_STATUS_IGNORE); }
    return 0;
  }
  if (MPI_Recv(m, (int)sizeof *m, MPI_BYTE, status.MPI_SOURCE, (int)tag, comm, MPI_STATUS_IGNORE) != MPI_SUCCESS) { return 0; }
  if (m->magic != NSL_MESSAGE_MAGIC) { return 0; }
  m->text[sizeof m->text - 1] = '\0';
  if (from) { *from = status.MPI_SOURCE; }
  return 1;
}

nsl_farm_identity nsl_farm_meet(MPI_Comm comm)
{
  nsl_farm_identity me = {(int)getpid(), nsl_host_key()};
  MPI_Bcast(&me, (int)sizeof me, MPI_BYTE, 0, comm);
  return me;
}
