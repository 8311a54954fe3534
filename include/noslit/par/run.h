/* The survey run under MPI: master, workers, and the serial twin for one rank. */
#ifndef NOSLIT_PAR_RUN_H
#define NOSLIT_PAR_RUN_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"

typedef struct {
  int64_t tiles_total, tiles_done, tiles_skipped, tiles_quarantined;
  int64_t sources_done;
  int drained, workers_lost;
  double wall_s;
} nsl_run_summary;

/* Collective over MPI_COMM_WORLD at entry; no collective call is made while tiles are dealt out. Writes run/journal.jsonl,
 * run/report.json and, when nothing is left to do, run/COMPLETE.json under the work directory. Only rank 0 fills summary.
 * NSL_E_DRAINED after SIGTERM or SIGUSR1. */
nsl_status nsl_run_survey(const nsl_config *cfg, const nsl_select *select, const nsl_log *log, nsl_run_summary *summary,
                          nsl_error *err);

#endif
