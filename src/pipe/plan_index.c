/* The plan's index: the tile table, the exposure table, and what the plan was made from. docs/formats.md has the layout. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

enum { T_TILE, T_SOURCES, T_VISITS, T_EXPOSURES, T_HASH_HI, T_HASH_LO, N_TILE_COLUMNS };
#define TILE_COLUMNS "tile,n_sources,n_visits,n_exposures,input_hash_hi,input_hash_lo"

static nsl_status no_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the plan"); }

char *nsl_plan_path(const nsl_config *cfg, const char *name)
{
  return nsl_strf("%s/plan/%s", nsl_config_text(cfg, "survey.workdir"), name);
}

/* --- identities --- */

static nsl_status identify_catalogue(const nsl_config *cfg, nsl_hash *out, nsl_error *err)
{
  nsl_status st = nsl_config_require(cfg, "input.catalogue", err);
  if (st != NSL_OK) { return st; }
  const char *path = nsl_config_text(cfg, "input.catalogue");
  int64_t size, mtime;
  st = nsl_file_stat(path, &size, &mtime, err);
  if (st != NSL_OK) { return nsl_error_context(err, st, "input.catalogue"); }
  char *text = nsl_strf("%s\n%lld\n%lld", path, (long long)size, (long long)mtime);
  if (!text) { return no_memory(err); }
  *out = nsl_hash_bytes(text, strlen(text));
  free(text);
  return NSL_OK;
}

static nsl_status identify_keys(const nsl_config *cfg, nsl_hash *out, nsl_error *err)
{
  static const char *const texts[] = {"input.catalogue_hdu",   "input.column_id",  "input.column_ra", "input.column_dec",
                                      "input.column_mag",      "input.column_re",  "input.column_q",  "input.column_pa",
                                      "input.column_sersic_n", "input.column_star"};
  nsl_str s;
  nsl_str_init(&s);
  nsl_str_addf(&s, "%d\n%lld\n%.17g\n%.17g\n", NSL_PLAN_VERSION, (long long)nsl_config_int(cfg, "tiles.order"),
               nsl_config_real(cfg, "input.mag_faint"), nsl_config_real(cfg, "stamp.neighbour_mag"));
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) { nsl_str_addf(&s, "%s\n", nsl_config_text(cfg, texts[i])); }
  *out = nsl_hash_bytes(s.text, s.n);
  int failed = s.failed;
  nsl_str_free(&s);
  return failed ? no_memory(err) : NSL_OK;
}

nsl_status nsl_plan_identify(const nsl_config *cfg, const nsl_instrument *inst, const nsl_exposure_list *list, nsl_plan *plan,
                             nsl_error *err)
{
  nsl_status st = identify_catalogue(cfg, &plan->catalogue_id, err);
  if (st == NSL_OK) { st = identify_keys(cfg, &plan->keys_id, err); }
  plan->exposures_id = list->id;
  plan->instrument_hash = inst->hash;
  return st;
}

char *nsl_plan_generation(const nsl_plan *plan)
{
  const nsl_hash all[4] = {plan->catalogue_id, plan->exposures_id, plan->instrument_hash, plan->keys_id};
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(nsl_hash_bytes(all, sizeof all), hex);
  return nsl_strf("%.16s", hex);
}

/* Which exposures differ from those the plan was made from, if its exposure table can be read. */
static void name_exposures(const nsl_config *cfg, const nsl_plan *plan, const nsl_exposure_list *list, char *why, size_t size)
{
  nsl_plan table = {.n_exposures = plan->n_exposures}, known = *plan;
  nsl_status st = nsl_plan_read_exposures(cfg, &table, NULL);
  known.exposures = table.exposures;
  if (st == NSL_OK) { st = nsl_exposure_list_compare(list, &known, why, size, NULL); }
  if (st != NSL_OK) { snprintf(why, size, "exposures were added, removed or changed"); }
  nsl_plan_free(&table);
}

nsl_status nsl_plan_is_fresh(const nsl_config *cfg, const nsl_instrument *inst, const nsl_plan *plan, int *fresh, char *why,
                             size_t size, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_plan now = {0};
  nsl_exposure_list list = {0};
  if (size) { why[0] = '\0'; }
  *fresh = 0;
  NSL_TRY(nsl_exposure_list_make(cfg, &list, NULL, err));
  NSL_TRY(nsl_plan_identify(cfg, inst, &list, &now, err));
  if (!nsl_hash_equal(now.keys_id, plan->keys_id)) {
    snprintf(why, size, "the configuration (tiles, columns, magnitude limits) has changed");
  } else if (!nsl_hash_equal(now.instrument_hash, plan->instrument_hash)) {
    snprintf(why, size, "the instrument file or its confs have changed");
  } else if (!nsl_hash_equal(now.catalogue_id, plan->catalogue_id)) {
    snprintf(why, size, "the source catalogue has changed: %s", nsl_config_text(cfg, "input.catalogue"));
  } else if (!nsl_hash_equal(now.exposures_id, plan->exposures_id)) {
    if (size) { name_exposures(cfg, plan, &list, why, size); }
  } else {
    *fresh = 1;
  }
cleanup:
  nsl_exposure_list_free(&list);
  return st;
}

/* --- writing --- */

static nsl_status put_hash(nsl_h5 *f, const char *key, nsl_hash h, nsl_error *err)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  return nsl_h5_put_text(f, "/", key, hex, err);
}

static nsl_status write_head(nsl_h5 *f, const nsl_plan *plan, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_PLAN_VERSION, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "order", plan->order, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_sources", plan->n_sources, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_faint", plan->n_faint, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_lost", (int64_t)plan->n_lost, err));
  NSL_TRY(put_hash(f, "hash", plan->hash, err));
  NSL_TRY(put_hash(f, "catalogue_id", plan->catalogue_id, err));
  NSL_TRY(put_hash(f, "exposures_id", plan->exposures_id, err));
  NSL_TRY(put_hash(f, "instrument_hash", plan->instrument_hash, err));
  NSL_TRY(put_hash(f, "keys_id", plan->keys_id, err));
cleanup:
  return st;
}

static nsl_status write_tiles(nsl_h5 *f, const nsl_plan *plan, nsl_error *err)
{
  int64_t *lines = calloc(plan->n_tiles + 1, N_TILE_COLUMNS * sizeof *lines);
  if (!lines) { return no_memory(err); }
  for (size_t i = 0; i < plan->n_tiles; i++) {
    const nsl_plan_tile *t = &plan->tiles[i];
    int64_t *l = lines + i * N_TILE_COLUMNS;
    l[T_TILE] = t->tile;
    l[T_SOURCES] = t->n_sources;
    l[T_VISITS] = t->n_visits;
    l[T_EXPOSURES] = t->n_exposures;
    l[T_HASH_HI] = (int64_t)t->input_hash.hi;
    l[T_HASH_LO] = (int64_t)t->input_hash.lo;
  }
  nsl_status st = nsl_h5_write(f, "/tile", NSL_H5_I64, 2, (size_t[]){plan->n_tiles, N_TILE_COLUMNS}, lines, NULL, err);
  if (st == NSL_OK) { st = nsl_h5_put_text(f, "/tile", "columns", TILE_COLUMNS, err); }
  free(lines);
  return st;
}

static nsl_status write_exposures(nsl_h5 *f, const nsl_plan *plan, const nsl_plan_pair *pairs, size_t n_pairs, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_exposure_info **e = calloc(plan->n_exposures + 1, sizeof *e);
  int32_t *flat = calloc(n_pairs + 1, 2 * sizeof *flat);
  if (!e || !flat) {
    st = no_memory(err);
    goto cleanup;
  }
  for (size_t i = 0; i < plan->n_exposures; i++) { e[i] = &plan->exposures[i]; }
  for (size_t i = 0; i < n_pairs; i++) {
    flat[2 * i] = pairs[i].exposure;
    flat[2 * i + 1] = pairs[i].tile;
  }
  NSL_TRY(nsl_exposures_write(f, "/exposures", e, plan->n_exposures, err));
  NSL_TRY(nsl_h5_write(f, "/exposure_tile", NSL_H5_I32, 2, (size_t[]){n_pairs, 2}, flat, NULL, err));
  NSL_TRY(nsl_h5_put_text(f, "/exposure_tile", "columns", "index in exposures,index in tile", err));
cleanup:
  free(e);
  free(flat);
  return st;
}

static nsl_status write_left_out(nsl_h5 *f, const nsl_plan *plan, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t *rejected = calloc(plan->n_rejected + 1, 3 * sizeof *rejected);
  if (!rejected) { return no_memory(err); }
  for (size_t i = 0; i < plan->n_rejected; i++) {
    const nsl_plan_rejected *r = &plan->rejected[i];
    memcpy(rejected + 3 * i, (int64_t[]){r->id, r->row, (int64_t)r->reason}, 3 * sizeof *rejected);
  }
  NSL_TRY(nsl_texts_write(f, "/lost_path", plan->lost_path, plan->n_lost, err));
  NSL_TRY(nsl_texts_write(f, "/lost_reason", plan->lost_reason, plan->n_lost, err));
  NSL_TRY(nsl_h5_write(f, "/rejected", NSL_H5_I64, 2, (size_t[]){plan->n_rejected, 3}, rejected, NULL, err));
  NSL_TRY(nsl_h5_put_text(f, "/rejected", "columns", "id,row,reason", err));
cleanup:
  free(rejected);
  return st;
}

nsl_status nsl_plan_write_index(const nsl_config *cfg, const nsl_plan *plan, const nsl_plan_pair *pairs, size_t n_pairs,
                                nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char *path = nsl_plan_path(cfg, "index.h5"), *temp = path ? nsl_temp_name(path, 0) : NULL;
  if (!temp) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  st = write_head(f, plan, err);
  if (st == NSL_OK) { st = write_tiles(f, plan, err); }
  if (st == NSL_OK) { st = write_exposures(f, plan, pairs, n_pairs, err); }
  if (st == NSL_OK) { st = write_left_out(f, plan, err); }
  nsl_status closed = nsl_h5_close(f, st == NSL_OK ? err : NULL);
  if (st == NSL_OK) { st = closed; }
  if (st == NSL_OK) {
    st = nsl_publish(temp, path, err);
  } else {
    remove(temp);
  }
cleanup:
  free(path);
  free(temp);
  return st;
}

/* --- reading --- */

static nsl_status get_hash(nsl_h5 *f, const char *key, nsl_hash *h, nsl_error *err)
{
  char *hex = NULL;
  nsl_status st = nsl_h5_get_text(f, "/", key, &hex, err);
  if (st == NSL_OK && !nsl_hash_from_hex(hex, h)) { st = nsl_fail(err, NSL_E_CORRUPT, "the plan's '%s' is no hash", key); }
  free(hex);
  return st;
}

static nsl_status open_index(const nsl_config *cfg, nsl_h5 **f, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t version;
  char *path = nsl_plan_path(cfg, "index.h5");
  *f = NULL;
  if (!path) { return no_memory(err); }
  if (!nsl_file_exists(path)) { NSL_THROW(err, NSL_E_NOTFOUND, "%s: there is no plan yet; `noslit plan` makes one", path); }
  NSL_TRY(nsl_h5_open(path, f, err));
  NSL_TRY(nsl_h5_get_i64(*f, "/", "version", &version, err));
  if (version != NSL_PLAN_VERSION) {
    NSL_THROW(err, NSL_E_NOTFOUND, "%s: made by another version of noslit; run `noslit plan`", path);
  }
cleanup:
  if (st != NSL_OK) {
    nsl_h5_close(*f, NULL);
    *f = NULL;
  }
  free(path);
  return st;
}

static nsl_status read_identities(nsl_h5 *f, nsl_plan *plan, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(get_hash(f, "catalogue_id", &plan->catalogue_id, err));
  NSL_TRY(get_hash(f, "exposures_id", &plan->exposures_id, err));
  NSL_TRY(get_hash(f, "instrument_hash", &plan->instrument_hash, err));
  NSL_TRY(get_hash(f, "keys_id", &plan->keys_id, err));
cleanup:
  return st;
}

nsl_status nsl_plan_read_identities(const nsl_config *cfg, nsl_plan *plan, nsl_error *err)
{
  nsl_h5 *f;
  nsl_status st = open_index(cfg, &f, err);
  if (st == NSL_OK) { st = read_identities(f, plan, err); }
  nsl_h5_close(f, NULL);
  return st;
}

static nsl_status read_head(nsl_h5 *f, nsl_plan *plan, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t order, n_lost;
  NSL_TRY(nsl_h5_get_i64(f, "/", "order", &order, err));
  NSL_TRY(nsl_h5_get_i64(f, "/", "n_sources", &plan->n_sources, err));
  NSL_TRY(nsl_h5_get_i64(f, "/", "n_faint", &plan->n_faint, err));
  NSL_TRY(nsl_h5_get_i64(f, "/", "n_lost", &n_lost, err));
  NSL_TRY(get_hash(f, "hash", &plan->hash, err));
  NSL_TRY(read_identities(f, plan, err));
  plan->order = (int)order;
  NSL_TRY(nsl_texts_read(f, "/lost_path", &plan->lost_path, (size_t)n_lost, err));
  NSL_TRY(nsl_texts_read(f, "/lost_reason", &plan->lost_reason, (size_t)n_lost, err));
  plan->n_lost = (size_t)n_lost;
cleanup:
  return st;
}

/* A whole integer matrix; caller frees. */
static nsl_status read_lines(nsl_h5 *f, const char *name, size_t columns, int64_t **lines, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  int64_t *l = NULL;
  NSL_TRY(nsl_h5_dims(f, name, &rank, dims, err));
  if (rank != 2 || dims[1] != columns) { NSL_THROW(err, NSL_E_CORRUPT, "%s: wrong shape; run `noslit plan`", name); }
  l = calloc(dims[0] + 1, columns * sizeof *l);
  if (!l) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_read(f, name, NSL_H5_I64, dims[0] * columns, l, err));
  *lines = l;
  *n = dims[0];
  l = NULL;
cleanup:
  free(l);
  return st;
}

static nsl_status read_tiles(nsl_h5 *f, const nsl_cost_model *cost, nsl_plan *plan, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t *lines = NULL;
  size_t n;
  NSL_TRY(read_lines(f, "/tile", N_TILE_COLUMNS, &lines, &n, err));
  plan->tiles = calloc(n + 1, sizeof *plan->tiles);
  if (!plan->tiles) {
    st = no_memory(err);
    goto cleanup;
  }
  plan->n_tiles = n;
  for (size_t i = 0; i < n; i++) {
    const int64_t *l = lines + i * N_TILE_COLUMNS;
    nsl_plan_tile *t = &plan->tiles[i];
    *t = (nsl_plan_tile){.tile = l[T_TILE],
                         .n_sources = l[T_SOURCES],
                         .n_visits = l[T_VISITS],
                         .n_exposures = (int)l[T_EXPOSURES],
                         .input_hash = {(uint64_t)l[T_HASH_HI], (uint64_t)l[T_HASH_LO]}};
    t->cost_s = nsl_cost_predict(cost, t);
  }
cleanup:
  free(lines);
  return st;
}

static nsl_status read_rejected(nsl_h5 *f, nsl_plan *plan, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t *lines = NULL;
  size_t n;
  NSL_TRY(read_lines(f, "/rejected", 3, &lines, &n, err));
  plan->rejected = calloc(n + 1, sizeof *plan->rejected);
  if (!plan->rejected) {
    st = no_memory(err);
    goto cleanup;
  }
  plan->n_rejected = n;
  for (size_t i = 0; i < n; i++) {
    plan->rejected[i] = (nsl_plan_rejected){lines[3 * i], lines[3 * i + 1], (nsl_reject_reason)lines[3 * i + 2]};
  }
cleanup:
  free(lines);
  return st;
}

nsl_status nsl_plan_read(const nsl_config *cfg, nsl_plan *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  nsl_cost_model cost;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  *out = (nsl_plan){0};
  NSL_TRY(open_index(cfg, &f, err));
  nsl_cost_model_load(nsl_config_text(cfg, "survey.workdir"), &cost);
  NSL_TRY(read_head(f, out, err));
  NSL_TRY(read_tiles(f, &cost, out, err));
  NSL_TRY(read_rejected(f, out, err));
  NSL_TRY(nsl_h5_dims(f, "/exposures/int", &rank, dims, err));
  out->n_exposures = dims[0];
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK) { nsl_plan_free(out); }
  return st;
}

nsl_status nsl_plan_read_exposures(const nsl_config *cfg, nsl_plan *plan, nsl_error *err)
{
  nsl_h5 *f;
  nsl_status st = open_index(cfg, &f, err);
  if (st == NSL_OK) { st = nsl_exposures_read(f, "/exposures", NULL, plan->n_exposures, &plan->exposures, err); }
  nsl_h5_close(f, NULL);
  return st;
}

nsl_status nsl_plan_read_pairs(const nsl_config *cfg, nsl_plan_pair **pairs, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  int64_t *lines = NULL;
  NSL_TRY(open_index(cfg, &f, err));
  NSL_TRY(read_lines(f, "/exposure_tile", 2, &lines, n, err));
  *pairs = calloc(*n + 1, sizeof **pairs);
  if (!*pairs) {
    st = no_memory(err);
    goto cleanup;
  }
  for (size_t i = 0; i < *n; i++) { (*pairs)[i] = (nsl_plan_pair){(int32_t)lines[2 * i], (int32_t)lines[2 * i + 1]}; }
cleanup:
  free(lines);
  nsl_h5_close(f, NULL);
  return st;
}

void nsl_plan_free(nsl_plan *plan)
{
  free(plan->tiles);
  for (size_t i = 0; plan->exposures && i < plan->n_exposures; i++) { nsl_exposure_info_free(&plan->exposures[i]); }
  free(plan->exposures);
  nsl_paths_free(plan->lost_path, plan->n_lost);
  nsl_paths_free(plan->lost_reason, plan->n_lost);
  free(plan->rejected);
  *plan = (nsl_plan){0};
}
