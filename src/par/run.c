#include "noslit/par/run.h"

#include <mpi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/pipe/config_record.h"
#include "noslit/pipe/ledger_files.h"
#include "par/run_internal.h"
#include "par/sched_mpi.h"

#define SPECULATE_FACTOR 3.0 /* a tile that takes this much longer than predicted gets a second worker at the end of the run */
#define SPECULATE_MIN_S 30.0
#define NEAR_UNTIL 4.0 /* jobs a worker pending: enough, largest first, to end everywhere at once */

/* Everything rank 0 holds. */
typedef struct {
  const nsl_config *cfg;
  const nsl_select *select;
  const nsl_log *log;
  nsl_run_worker worker; /* its runner loads the model: for the hashes, and to work when alone */
  nsl_plan plan;
  nsl_run_jobs jobs;
  nsl_run_ledger ledger;
  nsl_farm_outcome farm;
} chief;

static nsl_status make_folders(chief *c, nsl_error *err)
{
  const char *workdir = nsl_config_text(c->cfg, "survey.workdir");
  c->ledger.folder = nsl_ledger_folder(workdir, c->select);
  return c->ledger.folder ? nsl_mkdirs(c->ledger.folder, err) : nsl_fail(err, NSL_E_NOMEM, "%s: no memory", workdir);
}

/* The plan on disk if it is of today's inputs, else a new one. */
static nsl_status get_plan(chief *c, nsl_error *err)
{
  const nsl_instrument *inst = nsl_tile_runner_instrument(c->worker.runner);
  char why[NSL_ERROR_TEXT_MAX] = "there is none yet";
  int fresh = 0;
  nsl_error none = NSL_ERROR_INIT;
  nsl_status st = nsl_plan_read(c->cfg, &c->plan, &none);
  if (st == NSL_OK) {
    st = nsl_plan_is_fresh(c->cfg, inst, &c->plan, &fresh, why, sizeof why, err);
    if (st != NSL_OK || fresh) { return st; }
    nsl_plan_free(&c->plan);
  } else if (st != NSL_E_NOTFOUND) {
    snprintf(why, sizeof why, "the old one cannot be read");
  }
  nsl_info(c->log, "making the plan: %s", why);
  st = nsl_plan_make(c->cfg, inst, c->log, err);
  return st == NSL_OK ? nsl_plan_read(c->cfg, &c->plan, err) : st;
}

static void warn_of_disk(const chief *c)
{
  int64_t rows = 0, free_bytes;
  for (int32_t i = 0; i < c->jobs.n; i++) { rows += c->jobs.tiles[i]->n_sources; }
  int64_t need = rows * nsl_tile_runner_row_bytes(c->worker.runner);
  if (nsl_disk_free(nsl_config_text(c->cfg, "survey.workdir"), &free_bytes, NULL) == NSL_OK && need > free_bytes) {
    nsl_warn(c->log, "%s: %.1f GB free, but the tiles may take up to %.1f GB", nsl_config_text(c->cfg, "survey.workdir"),
             1e-9 * (double)free_bytes, 1e-9 * (double)need);
  }
}

static nsl_status open_ledger(chief *c, int n_ranks, double t_start_s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char utc[32];
  nsl_run_ledger *l = &c->ledger;
  const nsl_tile_expectation *e = nsl_tile_runner_expects(c->worker.runner);
  nsl_clock_utc(utc);
  snprintf(l->run_id, sizeof l->run_id, "%s-%ld", utc, (long)getpid());
  l->cfg = c->cfg;
  l->plan = &c->plan;
  l->expects = e;
  l->jobs = &c->jobs;
  l->log = c->log;
  l->n_ranks = n_ranks;
  l->t_start_s = t_start_s;
  NSL_TRY(nsl_run_ledger_init(l, err));
  NSL_TRY(nsl_journal_open(l->folder, l->run_id, &l->journal, err));
  l->selection = nsl_select_text(c->select);
  nsl_journal_start(l->journal, nsl_batch_job_here(), l->selection);
  for (size_t i = 0; i < c->jobs.n_released; i++) { nsl_journal_add(l->journal, "release", c->jobs.released[i], -1, -1, -1, NULL); }
  nsl_journal_flush(l->journal, 1);
  if (c->jobs.n_to_make) {
    nsl_proof_remove(e->workdir);
    l->proof_removed = 1;
  }
cleanup:
  return st;
}

static nsl_status prepare(chief *c, int n_ranks, double t_start_s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(make_folders(c, err));
  NSL_TRY(nsl_run_worker_start(&c->worker, err));
  NSL_TRY(nsl_config_record_keep(nsl_config_text(c->cfg, "survey.workdir"), c->cfg, err));
  NSL_TRY(get_plan(c, err));
  NSL_TRY(nsl_run_jobs_make(c->cfg, &c->plan, nsl_tile_runner_expects(c->worker.runner), c->select, c->ledger.folder,
                            nsl_batch_job_here(), c->log, &c->jobs, err));
  NSL_TRY(open_ledger(c, n_ranks, t_start_s, err));
  warn_of_disk(c);
  nsl_info(c->log, "%zu tiles, %lld sources; %lld tiles asked for: %lld to make, %lld to verify, %lld in quarantine",
           c->plan.n_tiles, (long long)c->plan.n_sources, (long long)c->jobs.asked, (long long)c->jobs.n_to_make,
           (long long)(c->jobs.n - c->jobs.n_to_make), (long long)c->jobs.n_quarantined);
cleanup:
  return st;
}

static nsl_farm_jobs farm_jobs(const chief *c)
{
  return (nsl_farm_jobs){.n = c->jobs.n,
                         .ids = c->jobs.ids,
                         .cost_s = c->jobs.cost_s,
                         .failures = c->jobs.failures,
                         .hints = c->jobs.hints,
                         .sched = {.max_attempts = (int)nsl_config_int(c->cfg, "run.max_attempts"),
                                   .lease_min_s = nsl_config_real(c->cfg, "run.lease_s"),
                                   .lease_factor = nsl_config_real(c->cfg, "run.lease_factor"),
                                   .speculate_factor = SPECULATE_FACTOR,
                                   .speculate_min_s = SPECULATE_MIN_S,
                                   .near_until = NEAR_UNTIL},
                         .heartbeat_s = nsl_config_real(c->cfg, "run.heartbeat_s")};
}

static void summarise(const chief *c, nsl_run_summary *s)
{
  const nsl_run_ledger *l = &c->ledger;
  *s = (nsl_run_summary){.tiles_total = (int64_t)c->plan.n_tiles,
                         .tiles_asked = c->jobs.asked,
                         .tiles_made = l->made,
                         .tiles_verified = l->verified,
                         .tiles_quarantined = c->jobs.n_quarantined + l->quarantined,
                         .tiles_left = c->farm.counts.pending + c->farm.counts.leased,
                         .sources_measured = l->rows,
                         .drained = nsl_run_signals_count() > 0,
                         .workers_lost = c->farm.workers_lost,
                         .workers_unseen = c->farm.n_lost_elsewhere};
}

/* How the run ended, as a status. */
static nsl_status verdict(const chief *c, const nsl_run_summary *s, nsl_error *err)
{
  if (c->ledger.fatal.status != NSL_OK) {
    return nsl_fail(err, c->ledger.fatal.status, "%s; %lld tiles are left: make room and start the same command again",
                    c->ledger.fatal.text, (long long)s->tiles_left);
  }
  if (s->tiles_left == 0) { return NSL_OK; }
  if (s->drained) {
    return nsl_fail(err, NSL_E_DRAINED, "drained on request; %lld tiles are left: start the same command again",
                    (long long)s->tiles_left);
  }
  if (c->farm.n_workers_not_started) { return nsl_fail(err, c->farm.worker_error.status, "%s", c->farm.worker_error.text); }
  return nsl_fail(err, NSL_E_IO,
                  "all workers were lost; %lld tiles are left: start the same command again (journal: %s/journal.jsonl)",
                  (long long)s->tiles_left, c->ledger.folder);
}

static nsl_status conclude(chief *c, double t_start_s, nsl_run_summary *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_run_ledger *l = &c->ledger;
  nsl_run_progress_end(l, &c->farm.counts);
  summarise(c, s);
  s->wall_s = nsl_clock_s() - t_start_s;
  NSL_TRY(nsl_proof_make(l->expects, &c->plan, l->run_id, &s->complete, err));
  NSL_TRY(nsl_run_report_write(l, &c->farm, s, err));
  st = verdict(c, s, err);
  nsl_journal_add(l->journal, "end", -1, -1, -1, s->wall_s, st == NSL_OK ? "finished" : err->text);
  nsl_journal_flush(l->journal, 1);
cleanup:
  return st;
}

/* Processes on this host that were taken for lost and still exist would keep mpirun waiting for ever. The tiles they held have been
 * dealt out again, and everything is on disk. Without --enable-recovery mpirun ends the job when rank 0 leaves. */
static void put_down_hung(const nsl_farm_outcome *farm, const nsl_log *log)
{
  const char *recovery = getenv("OMPI_MCA_orte_enable_recovery");
  if (!recovery || strcmp(recovery, "1") != 0) { return; }
  for (int i = 0; i < farm->n_hung; i++) {
    nsl_warn(log, "ending process %d, a worker that hangs", farm->hung_pid[i]);
    kill((pid_t)farm->hung_pid[i], SIGKILL);
  }
}

static nsl_status lead(chief *c, MPI_Comm comm, int n_ranks, nsl_run_summary *summary, nsl_error *err)
{
  double t_start_s = nsl_clock_s();
  nsl_status st = prepare(c, n_ranks, t_start_s, err);
  if (st != NSL_OK) {
    if (n_ranks > 1) { nsl_farm_dismiss(comm); }
    return st;
  }
  nsl_farm_jobs jobs = farm_jobs(c);
  nsl_farm_observer observer = nsl_run_ledger_observer(&c->ledger);
  nsl_farm_worker worker = {&c->worker, nsl_run_worker_start, nsl_run_worker_do};
  st = n_ranks > 1 ? nsl_farm_master(comm, &jobs, &observer, &c->farm, err)
                   : nsl_farm_serial(&jobs, &worker, &observer, &c->farm, err);
  if (st == NSL_OK) { st = conclude(c, t_start_s, summary, err); }
  put_down_hung(&c->farm, c->log);
  return st;
}

nsl_status nsl_run_survey(const nsl_config *cfg, const nsl_select *select, const nsl_faults *faults, const nsl_log *log,
                          nsl_run_summary *summary, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank, size, lost = 0;
  MPI_Comm comm;
  *summary = (nsl_run_summary){0};
  MPI_Comm_dup(MPI_COMM_WORLD, &comm);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  MPI_Comm_rank(comm, &rank);
  MPI_Comm_size(comm, &size);
  nsl_run_signals_catch();
  nsl_farm_identity master = nsl_farm_meet(comm);
  nsl_run_worker worker = {.cfg = cfg, .log = log, .faults = faults, .rank = rank};
  if (rank == 0) {
    chief c = {.cfg = cfg, .select = select, .log = log, .worker = worker};
    st = lead(&c, comm, size, summary, err);
    lost = summary->workers_lost;
    nsl_journal_close(c.ledger.journal);
    nsl_run_ledger_free(&c.ledger);
    nsl_run_jobs_free(&c.jobs);
    nsl_plan_free(&c.plan);
    nsl_farm_outcome_free(&c.farm);
    nsl_tile_runner_free(c.worker.runner);
  } else {
    const nsl_farm_worker hands = {&worker, nsl_run_worker_start, nsl_run_worker_do};
    st = nsl_farm_work(comm, &hands, master, nsl_config_real(cfg, "run.heartbeat_s"), &lost, err);
    summary->workers_lost = lost;
    nsl_tile_runner_free(worker.runner);
  }
  /* The communicator stays until MPI_Finalize: freeing it is collective, and ranks may be gone. */
  return st;
}
