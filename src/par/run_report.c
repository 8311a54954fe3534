/* run/report.json: what the last run did, how well the ranks were used, how right the predictions were. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/made_by.h"
#include "par/run_internal.h"

enum { SLOWEST = 10, LOST_LISTED = 100 };

static nsl_json *rank_list(const nsl_run_ledger *l, double wall_s, double *busy_s, double *busiest_s)
{
  nsl_json *list = nsl_json_array();
  *busy_s = *busiest_s = 0;
  for (int r = l->n_ranks > 1; r < l->n_ranks; r++) {
    const nsl_rank_use *u = &l->ranks[r];
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "rank", r);
    nsl_json_set_i64(o, "tiles", u->tiles);
    nsl_json_set_f64(o, "busy_s", u->busy_s);
    nsl_json_set_f64(o, "wait_s", wall_s > u->busy_s ? wall_s - u->busy_s : 0);
    nsl_json_set_f64(o, "cpu_s", u->cpu_s);
    nsl_json_set_f64(o, "io_s", u->io_s);
    nsl_json_set_f64(o, "stamp_s", u->stamp_s);
    nsl_json_set_f64(o, "infer_s", u->infer_s);
    nsl_json_set_i64(o, "bytes_read", u->bytes_read);
    nsl_json_push(list, o);
    *busy_s += u->busy_s;
    if (u->busy_s > *busiest_s) { *busiest_s = u->busy_s; }
  }
  return list;
}

typedef struct {
  double seconds;
  int32_t job;
} timed;

static int slower_first(const void *a, const void *b)
{
  const timed *x = a, *y = b;
  if (x->seconds != y->seconds) { return x->seconds > y->seconds ? -1 : 1; }
  return x->job < y->job ? -1 : x->job > y->job;
}

static nsl_json *slowest_list(const nsl_run_ledger *l, timed *t, size_t n)
{
  nsl_json *list = nsl_json_array();
  if (n) { qsort(t, n, sizeof *t, slower_first); }
  for (size_t i = 0; i < n && i < SLOWEST; i++) {
    const nsl_plan_tile *tile = l->jobs->tiles[t[i].job];
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "tile", tile->tile);
    nsl_json_set_f64(o, "seconds", t[i].seconds);
    nsl_json_set_f64(o, "predicted_s", tile->cost_s);
    nsl_json_set_i64(o, "sources", tile->n_sources);
    nsl_json_set_i64(o, "exposures", tile->n_exposures);
    nsl_json_push(list, o);
  }
  return list;
}

static nsl_json *cost_object(const nsl_cost_model *m)
{
  nsl_json *o = nsl_json_object();
  nsl_json_set_f64(o, "per_visit_s", m->per_visit_s);
  nsl_json_set_f64(o, "per_source_s", m->per_source_s);
  nsl_json_set_f64(o, "per_exposure_s", m->per_exposure_s);
  nsl_json_set_f64(o, "per_tile_s", m->per_tile_s);
  nsl_json_set_i64(o, "measured_tiles", m->measured_tiles);
  return o;
}

/* The model learns from this run when it made enough tiles; a re-run of a few must not unlearn it. */
static nsl_status add_costs(const nsl_run_ledger *l, nsl_json *root, nsl_error *err)
{
  size_t n = 0;
  nsl_cost_model model;
  double predicted = 0, measured = 0;
  nsl_plan_tile *tiles = calloc((size_t)l->jobs->n + 1, sizeof *tiles);
  double *seconds = calloc((size_t)l->jobs->n + 1, sizeof *seconds);
  timed *t = calloc((size_t)l->jobs->n + 1, sizeof *t);
  if (!tiles || !seconds || !t) {
    free(tiles);
    free(seconds);
    free(t);
    return nsl_fail(err, NSL_E_NOMEM, "no memory for the run's report");
  }
  for (int32_t i = 0; i < l->jobs->n; i++) {
    if (l->made_s[i] < 0) { continue; }
    tiles[n] = *l->jobs->tiles[i];
    seconds[n] = l->made_s[i];
    t[n] = (timed){seconds[n], i};
    predicted += tiles[n].cost_s;
    measured += seconds[n++];
  }
  nsl_cost_model_load(l->expects->workdir, &model);
  if (n && (int64_t)n * 4 >= model.measured_tiles) { nsl_cost_fit(tiles, seconds, n, &model); }
  nsl_json_set(root, "cost_model", cost_object(&model));
  nsl_json_set_f64(root, "predicted_s", predicted);
  nsl_json_set_f64(root, "measured_s", measured);
  nsl_json_set(root, "slowest", slowest_list(l, t, n));
  free(tiles);
  free(seconds);
  free(t);
  return NSL_OK;
}

static nsl_json *lost_exposures(const nsl_plan *plan)
{
  nsl_json *list = nsl_json_array();
  for (size_t i = 0; i < plan->n_lost && i < LOST_LISTED; i++) {
    nsl_json *o = nsl_json_object();
    nsl_json_set_text(o, "path", plan->lost_path[i]);
    nsl_json_set_text(o, "reason", plan->lost_reason[i]);
    nsl_json_push(list, o);
  }
  return list;
}

static nsl_json *tile_counts(const nsl_run_ledger *l, const nsl_run_summary *s, const nsl_farm_outcome *farm)
{
  nsl_json *o = nsl_json_object();
  nsl_json_set_i64(o, "total", s->tiles_total);
  nsl_json_set_i64(o, "asked", s->tiles_asked);
  nsl_json_set_i64(o, "made", s->tiles_made);
  nsl_json_set_i64(o, "verified", s->tiles_verified);
  nsl_json_set_i64(o, "quarantined", s->tiles_quarantined);
  nsl_json_set_i64(o, "left", s->tiles_left);
  nsl_json_set_i64(o, "failed_attempts", l->failed_attempts);
  nsl_json_set_i64(o, "speculated", farm->counts.speculated);
  nsl_json_set_i64(o, "late_answers", farm->counts.fenced);
  return o;
}

/* The last run may have had nothing to do; what the others did is worth keeping. */
static nsl_status keep(const nsl_run_ledger *l, const nsl_json *root, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *folder = nsl_path_join(l->folder, "reports"), *path = folder ? nsl_strf("%s/%s.json", folder, l->run_id) : NULL;
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the run's report"); }
  NSL_TRY(nsl_mkdirs(folder, err));
  NSL_TRY(nsl_json_write(path, root, err));
cleanup:
  free(path);
  free(folder);
  return st;
}

nsl_status nsl_run_report_write(const nsl_run_ledger *l, const nsl_farm_outcome *farm, const nsl_run_summary *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char utc[32], *path = nsl_path_join(l->folder, "report.json");
  double busy, busiest;
  nsl_json *root = nsl_json_object();
  int workers = l->n_ranks > 1 ? l->n_ranks - 1 : 1;
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the run's report"); }
  nsl_clock_utc(utc);
  nsl_json_set_text(root, "run", l->run_id);
  nsl_json_set_text(root, "select", l->selection);
  nsl_json_set_text(root, "utc", utc);
  nsl_json_set_text(root, "config", nsl_config_file(l->cfg));
  nsl_made_by_json(root);
  nsl_json_set_f64(root, "wall_s", s->wall_s);
  nsl_json_set_bool(root, "complete", s->complete);
  nsl_json_set_bool(root, "drained", s->drained);
  nsl_json_set(root, "tiles", tile_counts(l, s, farm));
  nsl_json_set_i64(root, "sources_measured", s->sources_measured);
  nsl_json_set_f64(root, "sources_per_s", s->wall_s > 0 ? (double)s->sources_measured / s->wall_s : 0);
  nsl_json_set_i64(root, "workers_lost", s->workers_lost);
  nsl_json_set_i64(root, "workers_not_started", farm->n_workers_not_started);
  nsl_json_set_i64(root, "exposures_unreadable", l->exposures_lost);
  nsl_json_set_i64(root, "exposures_left_out", (int64_t)l->plan->n_lost);
  nsl_json_set(root, "left_out", lost_exposures(l->plan));
  nsl_json_set_i64(root, "sources_rejected", (int64_t)l->plan->n_rejected);
  nsl_json_set(root, "per_rank", rank_list(l, s->wall_s, &busy, &busiest));
  nsl_json_set_f64(root, "utilisation", s->wall_s > 0 ? busy / (s->wall_s * workers) : 0);
  nsl_json_set_f64(root, "imbalance", busy > 0 ? busiest * workers / busy : 1);
  NSL_TRY(add_costs(l, root, err));
  NSL_TRY(nsl_json_write(path, root, err));
  if (s->tiles_made) { NSL_TRY(keep(l, root, err)); }
cleanup:
  nsl_json_free(root);
  free(path);
  return st;
}
