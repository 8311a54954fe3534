#include <string.h>
#include <strings.h>

#include "noslit/base/str.h"
#include "noslit/par/run.h"

static const char *const kind_names[] = {
    [NSL_FAULT_KILL] = "kill", [NSL_FAULT_HANG] = "hang", [NSL_FAULT_CRASH] = "crash", [NSL_FAULT_EXIT] = "exit",
    [NSL_FAULT_FAIL] = "fail", [NSL_FAULT_SLOW] = "slow", [NSL_FAULT_NAP] = "nap"};
enum { N_KINDS = sizeof kind_names / sizeof *kind_names };

static int parse_part(const char *part, nsl_fault *f)
{
  int64_t v;
  const char *eq = strchr(part, '=');
  if (!eq) { return 0; }
  if (!strcmp(part, "tile=any")) { return f->tile = -1, 1; }
  if (!nsl_parse_i64(eq + 1, &v) || v < 0) { return 0; }
  if (!strncmp(part, "tile=", 5)) { return f->tile = v, 1; }
  if (!strncmp(part, "rank=", 5)) { return f->rank = (int)v, 1; }
  if (!strncmp(part, "times=", 6)) { return f->times = (int)v, 1; }
  return 0;
}

nsl_status nsl_faults_add(nsl_faults *f, const char *text, nsl_error *err)
{
#ifndef NOSLIT_FAULTS
  (void)f, (void)parse_part, (void)kind_names;
  return nsl_fail(err, NSL_E_USAGE, "--fault %s: this program was built without fault injection (NOSLIT_FAULTS)", text);
#else
  char copy[128];
  nsl_fault fault = {.tile = -2, .rank = -1};
  if (f->n == NSL_FAULTS_MAX) { return nsl_fail(err, NSL_E_USAGE, "more than %d --fault", NSL_FAULTS_MAX); }
  snprintf(copy, sizeof copy, "%s", text);
  char *rest = copy, *word = strsep(&rest, ":");
  int kind = 0, ok;
  while (kind < N_KINDS && strcmp(kind_names[kind], word) != 0) { kind++; }
  ok = kind < N_KINDS && rest;
  while (ok && (word = strsep(&rest, ":"))) { ok = parse_part(word, &fault); }
  if (!ok || fault.tile == -2) {
    return nsl_fail(err, NSL_E_USAGE, "--fault wants kill|hang|crash|exit|fail|slow|nap:tile=ID|any[:times=N][:rank=R], not '%s'",
                    text);
  }
  fault.kind = (nsl_fault_kind)kind;
  f->items[f->n++] = fault;
  return NSL_OK;
#endif
}
