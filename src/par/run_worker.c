/* What a worker does with one tile: look whether it is done, else make it. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "par/run_internal.h"

nsl_status nsl_run_worker_start(void *worker, nsl_error *err)
{
  nsl_run_worker *w = worker;
  return w->runner ? NSL_OK : nsl_tile_runner_new(w->cfg, w->log, &w->runner, err);
}

/* --- faults on request --- */

typedef struct {
  const nsl_run_worker *w;
  int64_t tile;
  int attempt, failed;
  nsl_beat *beat;
  void *beat_ctx;
} watch;

#ifdef NOSLIT_FAULTS
static void act(watch *x, const nsl_fault *f)
{
  switch (f->kind) {
  case NSL_FAULT_KILL:
    raise(SIGKILL);
    break;
  case NSL_FAULT_HANG:
    raise(SIGSTOP);
    break;
  case NSL_FAULT_CRASH:
    signal(SIGSEGV, SIG_DFL);
    raise(SIGSEGV);
    break;
  case NSL_FAULT_EXIT:
    _exit(1);
  case NSL_FAULT_FAIL:
    x->failed = 1;
    break;
  case NSL_FAULT_SLOW:
  case NSL_FAULT_NAP: {
    double seconds = f->kind == NSL_FAULT_SLOW ? 60 : 0.2;
    for (double t0 = nsl_clock_s(); nsl_clock_s() - t0 < seconds && !x->beat(x->beat_ctx);) { nsl_clock_sleep_s(0.02); }
    break;
  }
  }
}

static void act_out_faults(watch *x)
{
  for (int i = 0; x->w->faults && i < x->w->faults->n; i++) {
    const nsl_fault *f = &x->w->faults->items[i];
    int meant = (f->tile < 0 || f->tile == x->tile) && (f->rank < 0 || f->rank == x->w->rank);
    if (meant && (f->times == 0 || x->attempt <= f->times)) { act(x, f); }
  }
}
#else
static void act_out_faults(watch *x) { (void)x; }
#endif

/* Between two batches of stamps: in the middle of a tile, where a fault hurts most. */
static int watched_beat(void *ctx)
{
  watch *x = ctx;
  act_out_faults(x);
  return x->beat(x->beat_ctx) || x->failed;
}

/* --- files that are not what they should be --- */

/* A damaged or foreign file is kept, out of the way, for whoever wants to know how it came about. */
static nsl_status move_aside(const nsl_tile_expectation *e, int64_t tile, const char *why, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *path = nsl_tile_file_path(e->workdir, e->order, tile), *folder = nsl_path_join(e->workdir, "quarantine");
  char *to = folder ? nsl_strf("%s/Norder=%d.Npix=%lld.%lld.h5", folder, e->order, (long long)tile, (long long)getpid()) : NULL;
  if (!path || !to) { NSL_THROW(err, NSL_E_NOMEM, "tile %lld: no memory", (long long)tile); }
  NSL_TRY(nsl_mkdirs(folder, err));
  if (rename(path, to) && errno != ENOENT) {
    st = nsl_fail_errno(err, errno, "%s: cannot move this damaged file to %s", path, to);
    goto cleanup;
  }
  nsl_warn(log, "tile %lld: made anew, since %s (kept as %s)", (long long)tile, why, to);
cleanup:
  free(path);
  free(folder);
  free(to);
  return st;
}

static void report(const nsl_tile_head *head, nsl_farm_result *result)
{
  result->wall_s = head->wall_s;
  result->cpu_s = head->cpu_s;
  result->io_s = head->io_s;
  result->stamp_s = head->stamp_s;
  result->infer_s = head->infer_s;
  result->bytes_read = head->bytes_read;
  result->rows = head->n_rows;
  result->content_hash = head->content_hash;
  result->exposures_lost = head->n_exposures_lost;
}

nsl_status nsl_run_worker_do(void *worker, int64_t tile, int attempt, const nsl_farm_hint *hint, nsl_beat *beat, void *beat_ctx,
                             nsl_farm_result *result, nsl_error *err)
{
  nsl_run_worker *w = worker;
  const nsl_tile_expectation *e = nsl_tile_runner_expects(w->runner);
  const nsl_plan_tile planned = {.tile = tile, .n_sources = hint->n_sources, .input_hash = hint->input_hash};
  nsl_tile_head head;
  nsl_tile_state state;
  char why[NSL_ERROR_TEXT_MAX];
  nsl_status st = nsl_tile_check(e, &planned, 1, &head, &state, why, sizeof why, err);
  if (st != NSL_OK) { return st; }
  if (state == NSL_TILE_DONE && !hint->force) {
    report(&head, result);
    result->was_done = 1;
    return NSL_OK;
  }
  if (state == NSL_TILE_CORRUPT) {
    st = move_aside(e, tile, why, w->log, err);
    if (st != NSL_OK) { return st; }
  }
  watch x = {.w = w, .tile = tile, .attempt = attempt, .beat = beat, .beat_ctx = beat_ctx};
  st = nsl_tile_run(w->runner, tile, hint->next_id, attempt, watched_beat, &x, &head, err);
  if (x.failed) { return nsl_fail(err, NSL_E_IO, "tile %lld: fails on request (--fault)", (long long)tile); }
  if (st == NSL_OK) { report(&head, result); }
  return st;
}
