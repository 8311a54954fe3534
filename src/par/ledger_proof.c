/* COMPLETE.json: mpiexec's exit code says nothing under --enable-recovery, so this file is the proof that a survey is done. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/par/ledger.h"
#include "noslit/pipe/catalogue.h"
#include "noslit/pipe/made_by.h"

static char *proof_path(const char *workdir) { return nsl_strf("%s/run/COMPLETE.json", workdir); }

void nsl_proof_remove(const char *workdir)
{
  char *path = proof_path(workdir);
  if (path) { unlink(path); }
  free(path);
}

static void set_hash(nsl_json *root, const char *key, nsl_hash h)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  nsl_json_set_text(root, key, hex);
}

static int hash_is(const nsl_json *root, const char *key, nsl_hash h)
{
  nsl_hash other;
  return nsl_hash_from_hex(nsl_json_get_text(root, key, ""), &other) && nsl_hash_equal(other, h);
}

static void describe(nsl_json *root, const nsl_tile_expectation *e, const nsl_plan *plan, const nsl_quarantine *q,
                     const nsl_catalogue_tile *done, size_t n_done, const char *run_id)
{
  char utc[32];
  int64_t rows = 0;
  nsl_json *quarantined = nsl_json_array();
  for (size_t i = 0; i < n_done; i++) { rows += done[i].n_rows; }
  for (size_t i = 0; i < q->n; i++) {
    if (!nsl_plan_find(plan, q->items[i].tile)) { continue; }
    nsl_json *entry = nsl_json_object();
    nsl_json_set_i64(entry, "tile", q->items[i].tile);
    nsl_json_set_text(entry, "reason", q->items[i].reason);
    nsl_json_push(quarantined, entry);
  }
  nsl_clock_utc(utc);
  nsl_json_set_bool(root, "complete", 1);
  nsl_json_set_text(root, "utc", utc);
  nsl_json_set_text(root, "run", run_id);
  nsl_json_set_i64(root, "order", plan->order);
  nsl_json_set_i64(root, "tiles", (int64_t)plan->n_tiles);
  nsl_json_set_i64(root, "tiles_done", (int64_t)n_done);
  nsl_json_set_i64(root, "rows", rows);
  nsl_json_set(root, "quarantined", quarantined);
  nsl_json_set_i64(root, "exposures_left_out", (int64_t)plan->n_lost);
  nsl_json_set_i64(root, "sources_rejected", (int64_t)plan->n_rejected);
  set_hash(root, "content_hash", nsl_catalogue_hash(plan->order, done, n_done));
  set_hash(root, "plan_hash", plan->hash);
  set_hash(root, "config_hash", e->config_hash);
  set_hash(root, "model_hash", e->model_hash);
  set_hash(root, "instrument_hash", e->instrument_hash);
  nsl_made_by_json(root);
}

nsl_status nsl_proof_make(const nsl_tile_expectation *e, const nsl_plan *plan, const char *run_id, int *complete, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_quarantine q = {0};
  nsl_json *root = NULL;
  char *path = proof_path(e->workdir), why[NSL_ERROR_TEXT_MAX];
  nsl_catalogue_tile *done = calloc(plan->n_tiles + 1, sizeof *done);
  size_t n_done = 0, n = 0;
  *complete = 0;
  if (!path || !done) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to prove completion", e->workdir); }
  NSL_TRY(nsl_quarantine_read(e->workdir, &q, err));
  for (; n < plan->n_tiles; n++) {
    nsl_tile_head head;
    nsl_tile_state state;
    NSL_TRY(nsl_tile_check(e, &plan->tiles[n], 0, &head, &state, why, sizeof why, err));
    if (state != NSL_TILE_DONE && nsl_quarantine_find(&q, plan->tiles[n].tile)) { continue; }
    if (state != NSL_TILE_DONE) { break; }
    done[n_done++] = (nsl_catalogue_tile){.tile = head.tile, .n_rows = head.n_rows, .content_hash = head.content_hash};
  }
  if (n < plan->n_tiles) {
    unlink(path);
    goto cleanup;
  }
  root = nsl_json_object();
  describe(root, e, plan, &q, done, n_done, run_id);
  NSL_TRY(nsl_json_write(path, root, err));
  *complete = 1;
cleanup:
  nsl_json_free(root);
  nsl_quarantine_free(&q);
  free(done);
  free(path);
  return st;
}

nsl_status nsl_proof_read(const nsl_tile_expectation *e, const nsl_plan *plan, int *valid, nsl_json **document, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *path = proof_path(e->workdir);
  *valid = 0;
  *document = NULL;
  if (!path) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", e->workdir); }
  if (!nsl_file_exists(path)) { goto cleanup; }
  NSL_TRY(nsl_json_read(path, document, err));
  *valid = hash_is(*document, "plan_hash", plan->hash) && hash_is(*document, "config_hash", e->config_hash) &&
           hash_is(*document, "model_hash", e->model_hash) && hash_is(*document, "instrument_hash", e->instrument_hash) &&
           nsl_json_get_f64(*document, "results_version", 0) == nsl_results_version;
cleanup:
  free(path);
  return st;
}
