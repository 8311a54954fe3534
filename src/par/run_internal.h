/* The pieces of a survey run share these. */
#ifndef NOSLIT_PAR_RUN_INTERNAL_H
#define NOSLIT_PAR_RUN_INTERNAL_H

#include "noslit/par/ledger.h"
#include "noslit/par/run.h"
#include "par/farm.h"

/* --- run_requeue.c: the job of a batch system in which we run --- */
typedef struct {
  long id;     /* SLURM's number; 0: none */
  int restart; /* how often it went back into the queue */
} nsl_batch_job;
nsl_batch_job nsl_batch_job_here(void);

/* --- run_jobs.c: which tiles --- */
typedef struct {
  const nsl_plan_tile **tiles; /* of the plan; sorted by tile */
  int64_t *ids;
  double *cost_s; /* predicted; next to nothing for a tile that only has to be verified */
  int32_t *failures;
  nsl_farm_hint *hints;
  int32_t n;
  int64_t asked;         /* tiles the selection names */
  int64_t n_quarantined; /* of them, left alone in quarantine */
  int64_t n_to_make;     /* jobs whose file is missing, stale, corrupt or forced */
  nsl_tile_id *released; /* taken out of quarantine */
  size_t n_released;
} nsl_run_jobs;
/* folder: of the run's journal. In a job that was requeued, --force and --failed do not ask again for tiles that it has made or
 * given up already. */
nsl_status nsl_run_jobs_make(const nsl_config *cfg, const nsl_plan *plan, const nsl_tile_expectation *e, const nsl_select *select,
                             const char *folder, nsl_batch_job job, const nsl_log *log, nsl_run_jobs *out, nsl_error *err);
void nsl_run_jobs_free(nsl_run_jobs *j);

/* --- run_worker.c: one tile --- */
typedef struct {
  const nsl_config *cfg;
  const nsl_log *log;
  const nsl_faults *faults;
  int rank;
  nsl_tile_runner *runner; /* made by start unless it is there */
} nsl_run_worker;
nsl_status nsl_run_worker_start(void *worker, nsl_error *err);
nsl_status nsl_run_worker_do(void *worker, int64_t tile, int attempt, const nsl_farm_hint *hint, nsl_beat *beat, void *beat_ctx,
                             nsl_farm_result *result, nsl_error *err);

/* --- run_journal.c: run/journal.jsonl --- */
typedef struct nsl_journal nsl_journal;
/* NSL_E_MISMATCH when another run is writing it. */
nsl_status nsl_journal_open(const char *folder, const char *run_id, nsl_journal **out, nsl_error *err);
void nsl_journal_close(nsl_journal *j);
/* One line: {"t":...,"run":...,"e":event[,"tile":tile][,"attempt":attempt][,"rank":rank][,"s":seconds][,"why":why]}; negative
 * numbers and NULL are left out. Kept in memory until the next flush. */
void nsl_journal_add(nsl_journal *j, const char *event, int64_t tile, int attempt, int rank, double seconds, const char *why);
/* The first line of a run: "start" with "job" and "restart" of the batch system, if there is one, and what was asked for. */
void nsl_journal_start(nsl_journal *j, nsl_batch_job job, const char *selection);
/* Writes what was added; makes it durable about once a second. The first failure is kept in *err. */
void nsl_journal_flush(nsl_journal *j, int durable);
/* Counts from all journals of the work directory, per tile of the ascending list, failures since it was last done or released:
 * attempts that failed, workers lost, and tiles under way when a run ended without a word. */
nsl_status nsl_journal_failures(const char *workdir, const int64_t *tiles, int32_t *failures, int32_t n, nsl_error *err);

/* --- reading a journal --- */
typedef struct {
  const int64_t *tiles; /* ascending */
  int32_t n;
} nsl_journal_tiles;
int32_t nsl_journal_find(const nsl_journal_tiles *t, int64_t tile); /* its index; -1: not there */
/* The text after "key": in a line that this program wrote; NULL if it is not there. Reasons come last, so no quoted text can be
 * mistaken for a key. */
const char *nsl_journal_value(const char *line, const char *key);
/* settled[tiles->n] is 1 for tiles that earlier starts of this job have made or put into quarantine. */
nsl_status nsl_journal_settled(const char *folder, nsl_batch_job job, const nsl_journal_tiles *tiles, unsigned char *settled,
                               nsl_error *err);

/* --- run_ledger.c: the master's observer --- */
typedef struct {
  int64_t tiles;
  double busy_s, cpu_s, io_s, stamp_s, infer_s;
  int64_t bytes_read;
  int32_t job;    /* under way; -1: none */
  double since_s; /* nsl_clock_s of its start */
} nsl_rank_use;

typedef struct {
  const nsl_config *cfg;
  const nsl_plan *plan;
  const nsl_tile_expectation *expects;
  const nsl_run_jobs *jobs;
  const nsl_log *log;
  nsl_journal *journal;
  char run_id[48];
  char *folder, *selection; /* of journal and report; what was asked for */
  int n_ranks;
  double t_start_s;
  nsl_progress progress;
  nsl_rank_use *ranks; /* [n_ranks] */
  float *made_s;       /* [jobs->n] seconds a tile took when it was made now, else -1 */
  char **why;          /* [jobs->n] last reason of failure */
  int32_t *last_attempt;
  double made_cost_s, ended_cost_s, to_make_cost_s; /* predicted: of tiles made now; of all that ended; of all there were to make */
  double t_looked_s, t_progress_s;                  /* at the ranks; progress.json was written */
  int64_t made, verified, quarantined, failed_attempts, rows, exposures_lost;
  int workers_lost_events;
  int proof_removed;
  nsl_error fatal; /* a full disk: the run ends with it */
} nsl_run_ledger;

nsl_status nsl_run_ledger_init(nsl_run_ledger *l, nsl_error *err); /* after the caller has set the borrowed members */
void nsl_run_ledger_free(nsl_run_ledger *l);
nsl_farm_observer nsl_run_ledger_observer(nsl_run_ledger *l);

/* --- run_progress.c: how far it is, on the terminal, in the log and in progress.json --- */
void nsl_run_progress_pulse(void *ledger, const nsl_sched_counts *c);
void nsl_run_progress_end(nsl_run_ledger *l, const nsl_sched_counts *c);

/* --- run_report.c --- */
nsl_status nsl_run_report_write(const nsl_run_ledger *l, const nsl_farm_outcome *farm, const nsl_run_summary *summary,
                                nsl_error *err);

/* --- run_signals.c --- */
void nsl_run_signals_catch(void); /* SIGTERM and SIGUSR1 are counted from now on, to the end of the process */
int nsl_run_signals_count(void);

#endif
