#include "noslit/pipe/tile_run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/config_load.h"
#include "noslit/pipe/config_record.h"
#include "noslit/pipe/made_by.h"
#include "noslit/pipe/stamper.h"

/* A tile about to be measured: its task and open exposures. Stands still, since the stamper refers to the task. */
typedef struct {
  nsl_tile_task task;
  nsl_stamper *stamper;
} prepared;

struct nsl_tile_runner {
  const nsl_config *cfg;
  const nsl_log *log;
  nsl_instrument *inst;
  nsl_infer *infer;
  nsl_exposure_cache *exposures;
  nsl_stamp_set batch;
  size_t batch_size;
  nsl_tile_expectation expected;
  prepared *ahead; /* the tile that will probably come next; NULL: none */
};

nsl_status nsl_tile_runner_new(const nsl_config *cfg, const nsl_log *log, nsl_tile_runner **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_runner *r = calloc(1, sizeof *r);
  if (!r || !(r->inst = calloc(1, sizeof *r->inst))) { NSL_THROW(err, NSL_E_NOMEM, "no memory to run tiles"); }
  r->cfg = cfg;
  r->log = log;
  r->batch_size = (size_t)nsl_config_int(cfg, "run.batch");
  NSL_TRY(nsl_config_require(cfg, "instrument.file", err));
  NSL_TRY(nsl_config_require(cfg, "run.model", err));
  NSL_TRY(nsl_blas_start(err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(cfg, "instrument.file"), r->inst, err));
  NSL_TRY(nsl_infer_new(nsl_config_text(cfg, "run.model"), r->inst, (int)nsl_config_int(cfg, "run.samples"), (int)r->batch_size,
                        (uint64_t)nsl_config_int(cfg, "survey.seed"), &r->infer, err));
  nsl_infer_stop_at(r->infer, nsl_config_real(cfg, "run.mc_error"));
  NSL_TRY(nsl_exposure_cache_new((int)nsl_config_int(cfg, "run.exposure_cache"), &r->exposures, err));
  if (!nsl_stamp_set_alloc(&r->batch, r->batch_size)) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu stamps", r->batch_size); }
  r->expected = (nsl_tile_expectation){.workdir = nsl_config_text(cfg, "survey.workdir"),
                                       .cfg = cfg,
                                       .order = (int)nsl_config_int(cfg, "tiles.order"),
                                       .config_hash = nsl_config_science_hash(cfg),
                                       .model_hash = nsl_infer_model(r->infer)->hash,
                                       .instrument_hash = r->inst->hash};
  *out = r;
  r = NULL;
cleanup:
  nsl_tile_runner_free(r);
  return st;
}

static void prepared_free(prepared *p)
{
  if (!p) { return; }
  nsl_stamper_free(p->stamper); /* before its task */
  nsl_tile_task_free(&p->task);
  free(p);
}

static nsl_status prepare(nsl_tile_runner *r, nsl_tile_id tile, prepared **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  prepared *p = calloc(1, sizeof *p);
  if (!p) { NSL_THROW(err, NSL_E_NOMEM, "tile %lld: no memory", (long long)tile); }
  NSL_TRY(nsl_plan_task(r->cfg, tile, &p->task, err));
  NSL_TRY(nsl_stamper_new(r->cfg, r->inst, &p->task, r->exposures, r->log, &p->stamper, err));
  *out = p;
  p = NULL;
cleanup:
  prepared_free(p);
  return st;
}

void nsl_tile_runner_free(nsl_tile_runner *r)
{
  if (!r) { return; }
  prepared_free(r->ahead);
  nsl_stamp_set_free(&r->batch);
  nsl_infer_free(r->infer);
  nsl_exposure_cache_free(r->exposures);
  if (r->inst) { nsl_instrument_free(r->inst); }
  free(r->inst);
  free(r);
}

const nsl_instrument *nsl_tile_runner_instrument(const nsl_tile_runner *r) { return r->inst; }

const nsl_tile_expectation *nsl_tile_runner_expects(const nsl_tile_runner *r) { return &r->expected; }

int64_t nsl_tile_runner_row_bytes(const nsl_tile_runner *r)
{
  int64_t bytes = (int64_t)nsl_infer_model(r->infer)->grid.n * (int64_t)sizeof(float);
  for (int c = 0; c < nsl_n_row_columns; c++) { bytes += (int64_t)nsl_col_size(nsl_row_columns[c].type); }
  return bytes;
}

static void fill_from_catalogue(const nsl_tile_task *task, nsl_rows *rows)
{
  for (size_t i = 0; i < task->n_sources; i++) {
    const nsl_source *s = &task->sources[i];
    rows->object_id[i] = s->id;
    rows->ra[i] = s->ra_deg;
    rows->dec[i] = s->dec_deg;
    rows->tile[i] = task->tile;
    rows->mag[i] = (float)s->mag;
  }
}

/* What the catalogue says of a source is not the stamps' to say. */
static void flag_from_catalogue(const nsl_tile_task *task, nsl_rows *rows)
{
  for (size_t i = 0; i < task->n_sources; i++) {
    if (!isfinite(task->sources[i].mag)) { rows->flags[i] |= NSL_FLAG_BAD_INPUT; }
    if (task->sources[i].is_star) { rows->flags[i] |= NSL_FLAG_STAR; }
  }
}

/* Best effort: what goes wrong here goes wrong again, and is said, when the tile's turn comes. */
static void read_ahead(nsl_tile_runner *r, nsl_tile_id next)
{
  nsl_error ignored = NSL_ERROR_INIT;
  if (next < 0 || r->ahead || prepare(r, next, &r->ahead, &ignored) != NSL_OK) { return; }
  nsl_stamper_announce(r->ahead->stamper, &ignored);
}

static nsl_status measure(nsl_tile_runner *r, prepared *tile, nsl_tile_id next, nsl_beat *beat, void *ctx, nsl_rows *rows,
                          nsl_tile_head *head, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_tile_task *task = &tile->task;
  /* Batches of a fixed size from the tile's first source: nothing else may decide which stamps share one. */
  for (size_t first = 0; first < task->n_sources; first += r->batch_size) {
    size_t n = task->n_sources - first < r->batch_size ? task->n_sources - first : r->batch_size;
    double t1 = nsl_clock_s();
    NSL_TRY(nsl_stamper_make(tile->stamper, first, n, &r->batch, err));
    double t2 = nsl_clock_s();
    head->stamp_s += t2 - t1;
    if (beat && beat(ctx)) {
      NSL_THROW(err, NSL_E_DRAINED, "tile %lld: given up on request, after %zu of %zu sources", (long long)task->tile, first,
                task->n_sources);
    }
    read_ahead(r, next); /* once, behind this tile's first reads */
    NSL_TRY(nsl_infer_run(r->infer, &r->batch, rows, first, err));
    head->infer_s += nsl_clock_s() - t2;
  }
  const nsl_stamper_cost *cost = nsl_stamper_spent(tile->stamper);
  head->io_s = cost->io_s;
  head->bytes_read = cost->bytes_read;
  head->n_exposures_lost = cost->exposures_lost;
cleanup:
  return st;
}

static void fill_provenance(const nsl_tile_runner *r, const nsl_tile_task *task, int attempt, nsl_tile_head *head)
{
  *head = (nsl_tile_head){.order = task->order,
                          .tile = task->tile,
                          .config_hash = r->expected.config_hash,
                          .model_hash = r->expected.model_hash,
                          .instrument_hash = r->expected.instrument_hash,
                          .input_hash = task->input_hash,
                          .first_row = task->first_row,
                          .results_version = nsl_results_version,
                          .ranks = nsl_program_ranks(),
                          .seed = (uint64_t)nsl_config_int(r->cfg, "survey.seed"),
                          .attempts = attempt};
  snprintf(head->code_version, sizeof head->code_version, "%s", nsl_program_version());
  snprintf(head->code_commit, sizeof head->code_commit, "%s", nsl_program_commit());
  snprintf(head->blas_core, sizeof head->blas_core, "%s", nsl_blas_core());
  snprintf(head->libraries, sizeof head->libraries, "%s", nsl_libraries());
  snprintf(head->host, sizeof head->host, "%s", nsl_program_host());
}

/* What was prepared, if it is this tile. */
static nsl_status take_tile(nsl_tile_runner *r, nsl_tile_id tile, prepared **out, nsl_error *err)
{
  prepared *ahead = r->ahead;
  r->ahead = NULL;
  if (ahead && ahead->task.tile == tile) {
    *out = ahead;
    return NSL_OK;
  }
  prepared_free(ahead);
  return prepare(r, tile, out, err);
}

nsl_status nsl_tile_run(nsl_tile_runner *r, nsl_tile_id tile, nsl_tile_id next, int attempt, nsl_beat *beat, void *ctx,
                        nsl_tile_head *head, nsl_error *err)
{
  nsl_status st = NSL_OK;
  prepared *p = NULL;
  nsl_rows rows = {0};
  char *path = NULL;
  double wall0 = nsl_clock_s(), cpu0 = nsl_clock_cpu_s();
  NSL_TRY(take_tile(r, tile, &p, err));
  fill_provenance(r, &p->task, attempt, head);
  head->stamp_s = nsl_clock_s() - wall0;
  path = nsl_tile_file_path(r->expected.workdir, p->task.order, tile);
  if (!path || !nsl_rows_alloc(&rows, p->task.n_sources, &nsl_infer_model(r->infer)->grid)) {
    NSL_THROW(err, NSL_E_NOMEM, "tile %lld: no memory for %zu rows", (long long)tile, p->task.n_sources);
  }
  fill_from_catalogue(&p->task, &rows);
  NSL_TRY(measure(r, p, next, beat, ctx, &rows, head, err));
  flag_from_catalogue(&p->task, &rows);
  head->wall_s = nsl_clock_s() - wall0;
  head->cpu_s = nsl_clock_cpu_s() - cpu0;
  NSL_TRY(nsl_tile_write(path, head, &rows, err));
cleanup:
  nsl_rows_free(&rows);
  prepared_free(p);
  free(path);
  return st;
}

/* --- is it done? --- */

void nsl_tile_expectation_make(const nsl_config *cfg, const nsl_instrument *inst, nsl_tile_expectation *out, char *why_no_model,
                               size_t size)
{
  nsl_model model;
  nsl_net *net;
  nsl_error err = NSL_ERROR_INIT;
  *out = (nsl_tile_expectation){.workdir = nsl_config_text(cfg, "survey.workdir"),
                                .cfg = cfg,
                                .order = (int)nsl_config_int(cfg, "tiles.order"),
                                .config_hash = nsl_config_science_hash(cfg),
                                .instrument_hash = inst->hash};
  if (size) { why_no_model[0] = '\0'; }
  nsl_status st = nsl_config_require(cfg, "run.model", &err);
  if (st == NSL_OK) { st = nsl_model_read(nsl_config_text(cfg, "run.model"), 1, 0, &model, &net, &err); }
  if (st != NSL_OK) {
    snprintf(why_no_model, size, "%s", err.text);
    return;
  }
  out->model_hash = model.hash;
  nsl_net_free(net);
  nsl_model_free(&model);
}

static int differs(nsl_hash is, nsl_hash wanted)
{
  const nsl_hash unknown = {0, 0};
  return !nsl_hash_equal(wanted, unknown) && !nsl_hash_equal(is, wanted);
}

/* Why the file is not what would be made today; 0 when it is. */
static int what_differs(const nsl_tile_expectation *e, const nsl_plan_tile *tile, const nsl_tile_head *head, char *why, size_t size)
{
  const char *text = NULL;
  if (differs(head->config_hash, e->config_hash)) {
    char change[160] = "";
    if (e->cfg) { nsl_config_record_compare(e->workdir, head->config_hash, e->config_hash, e->cfg, change, sizeof change); }
    snprintf(why, size, "the configuration has changed since it was made%s%s%s", change[0] ? " (" : "", change,
             change[0] ? ")" : "");
    return 1;
  }
  if (differs(head->model_hash, e->model_hash)) {
    text = "it was made with another model";
  } else if (differs(head->instrument_hash, e->instrument_hash)) {
    text = "the instrument file has changed since it was made";
  } else if (!nsl_hash_equal(head->input_hash, tile->input_hash)) {
    text = "its sources, neighbours or exposures have changed since it was made";
  } else if (head->results_version != nsl_results_version) {
    snprintf(why, size, "it was made by noslit %s (results %d, %s), this is noslit %s (results %d, %s)", head->code_version,
             head->results_version, head->code_commit, nsl_program_version(), nsl_results_version, nsl_program_commit());
    return 1;
  }
  if (text) { snprintf(why, size, "%s", text); }
  return text != NULL;
}

static nsl_tile_state judge(const nsl_tile_expectation *e, const nsl_plan_tile *tile, const nsl_tile_head *head, const char *path,
                            char *why, size_t size)
{
  if (head->tile != tile->tile || head->order != e->order) {
    snprintf(why, size, "%s: it is the file of tile %d:%lld", path, head->order, (long long)head->tile);
    return NSL_TILE_CORRUPT;
  }
  if (what_differs(e, tile, head, why, size)) { return NSL_TILE_STALE; }
  if (head->n_rows != tile->n_sources) {
    snprintf(why, size, "%s: %lld rows instead of %lld", path, (long long)head->n_rows, (long long)tile->n_sources);
    return NSL_TILE_CORRUPT;
  }
  return NSL_TILE_DONE;
}

/* A file that cannot be used is a finding, not a failure; only a lack of memory is one. */
static nsl_status as_state(const nsl_error *found, nsl_tile_state *state, char *why, size_t size, nsl_error *err)
{
  switch (found->status) {
  case NSL_E_NOMEM:
    if (err) { *err = *found; }
    return NSL_E_NOMEM;
  case NSL_E_NOTFOUND:
    *state = NSL_TILE_MISSING;
    snprintf(why, size, "not made yet");
    return NSL_OK;
  case NSL_E_MISMATCH: /* of another version of the program, and whole for all we know */
    *state = NSL_TILE_STALE;
    break;
  default:
    *state = NSL_TILE_CORRUPT;
  }
  snprintf(why, size, "%s", found->text);
  return NSL_OK;
}

static nsl_status check(const nsl_tile_expectation *e, const nsl_plan_tile *tile, int full, nsl_head_index *heads, size_t i,
                        nsl_tile_head *head, nsl_tile_state *state, char *why, size_t size, nsl_error *err)
{
  nsl_error found = NSL_ERROR_INIT;
  char *path = nsl_tile_file_path(e->workdir, e->order, tile->tile);
  if (!path) { return nsl_fail(err, NSL_E_NOMEM, "tile %lld: no memory to check it", (long long)tile->tile); }
  if (size) { why[0] = '\0'; }
  nsl_status st = heads ? nsl_head_index_look(heads, i, path, head, &found) : nsl_tile_read_head(path, head, NULL, &found);
  if (st == NSL_OK) {
    *state = judge(e, tile, head, path, why, size);
    if (*state == NSL_TILE_DONE && full) { st = nsl_tile_verify(path, head, &found); }
  }
  if (st != NSL_OK) { st = as_state(&found, state, why, size, err); }
  free(path);
  return st;
}

nsl_status nsl_tile_check(const nsl_tile_expectation *e, const nsl_plan_tile *tile, int full, nsl_tile_head *head,
                          nsl_tile_state *state, char *why, size_t size, nsl_error *err)
{
  return check(e, tile, full, NULL, 0, head, state, why, size, err);
}

nsl_status nsl_tile_check_head(const nsl_tile_expectation *e, const nsl_plan_tile *tile, nsl_head_index *heads, size_t i,
                               nsl_tile_head *head, nsl_tile_state *state, char *why, size_t size, nsl_error *err)
{
  return check(e, tile, 0, heads, i, head, state, why, size, err);
}
