/* Makes the plan: exposures, sources into Dirs of tiles, then tile by tile what it needs. */
#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

typedef struct {
  const nsl_config *cfg;
  const nsl_instrument *inst;
  const nsl_log *log;
  nsl_plan *plan;
  nsl_task_rules rules;
  double exposure_deg;       /* margin round a detector */
  nsl_footprint *footprints; /* of plan->exposures */
  char *folder;              /* of this generation */
  nsl_plan_pair *pairs;      /* which exposure serves which tile */
  size_t n_pairs, pairs_capacity;
  int64_t n_rows; /* of the tiles planned so far, in their order */
} maker;

static nsl_status no_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the plan"); }

/* --- sources into files --- */

static int by_tile_and_id(const void *a, const void *b)
{
  const nsl_plan_source *x = a, *y = b;
  if (x->tile != y->tile) { return x->tile < y->tile ? -1 : 1; }
  return x->source.id < y->source.id ? -1 : x->source.id > y->source.id;
}

/* The tiles of sorted sources that have something to measure become tiles of the plan. */
static nsl_status add_tiles(maker *m, const nsl_plan_source *s, size_t n, nsl_error *err)
{
  for (size_t i = 0; i < n;) {
    nsl_tile_id tile = s[i].tile;
    int64_t measured = 0, faint = 0;
    for (; i < n && s[i].tile == tile; i++) {
      if (nsl_is_measured(&m->rules, &s[i].source)) {
        measured++;
      } else {
        faint++;
      }
    }
    m->plan->n_faint += faint;
    m->plan->n_sources += measured;
    if (!measured) { continue; }
    if ((m->plan->n_tiles & (m->plan->n_tiles - 1)) == 0) {
      size_t capacity = m->plan->n_tiles ? 2 * m->plan->n_tiles : 1;
      nsl_plan_tile *grown = realloc(m->plan->tiles, capacity * sizeof *grown);
      if (!grown) { return no_memory(err); }
      m->plan->tiles = grown;
    }
    m->plan->tiles[m->plan->n_tiles++] = (nsl_plan_tile){.tile = tile, .n_sources = measured};
  }
  return NSL_OK;
}

static nsl_status write_sources(maker *m, nsl_plan_catalogue *c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n_dirs = nsl_spool_buckets(c->sources);
  for (size_t d = 0; d < n_dirs && st == NSL_OK; d++) {
    int64_t dir;
    void *records;
    size_t n;
    st = nsl_spool_load(c->sources, d, &dir, &records, &n, err);
    if (st != NSL_OK) { break; }
    nsl_plan_source *s = records;
    if (n) { qsort(s, n, sizeof *s, by_tile_and_id); }
    st = nsl_shard_write_sources(m->folder, dir, s, n, err);
    if (st == NSL_OK) { st = add_tiles(m, s, n, err); }
    free(records);
  }
  return st;
}

/* --- which exposures may touch which tiles --- */

static int by_tile_then_exposure(const void *a, const void *b)
{
  const nsl_plan_pair *x = a, *y = b;
  if (x->tile != y->tile) { return x->tile < y->tile ? -1 : 1; }
  return x->exposure < y->exposure ? -1 : x->exposure > y->exposure;
}

static int by_exposure_then_tile(const void *a, const void *b)
{
  const nsl_plan_pair *x = a, *y = b;
  if (x->exposure != y->exposure) { return x->exposure < y->exposure ? -1 : 1; }
  return x->tile < y->tile ? -1 : x->tile > y->tile;
}

static nsl_status add_pair(maker *m, size_t exposure, size_t tile, nsl_error *err)
{
  if (m->n_pairs == m->pairs_capacity) {
    m->pairs_capacity = m->pairs_capacity ? 2 * m->pairs_capacity : 256;
    nsl_plan_pair *grown = realloc(m->pairs, m->pairs_capacity * sizeof *grown);
    if (!grown) { return no_memory(err); }
    m->pairs = grown;
  }
  m->pairs[m->n_pairs++] = (nsl_plan_pair){(int32_t)exposure, (int32_t)tile};
  return NSL_OK;
}

static nsl_status pair_up(maker *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  m->footprints = calloc(m->plan->n_exposures + 1, sizeof *m->footprints);
  if (!m->footprints) { return no_memory(err); }
  for (size_t e = 0; e < m->plan->n_exposures; e++) {
    const nsl_exposure_info *info = &m->plan->exposures[e];
    nsl_tile_id *tiles;
    size_t n;
    nsl_footprint_make(info, m->exposure_deg, &m->footprints[e]);
    st = nsl_tiles_in_disc(m->plan->order, info->ra_deg, info->dec_deg, info->radius_deg + m->exposure_deg, &tiles, &n, err);
    for (size_t t = 0; t < n && st == NSL_OK; t++) {
      const nsl_plan_tile *planned = nsl_plan_find(m->plan, tiles[t]);
      if (planned) { st = add_pair(m, e, (size_t)(planned - m->plan->tiles), err); }
    }
    if (st != NSL_OK) { return st; }
    free(tiles);
  }
  if (m->n_pairs) { qsort(m->pairs, m->n_pairs, sizeof *m->pairs, by_tile_then_exposure); }
  return NSL_OK;
}

/* --- the tiles of one Dir --- */

typedef struct {
  int64_t *lines; /* [n][NSL_PLAN_LINE]: tile, first, count, hash, first row */
  size_t n;
  int32_t *exposures; /* indexes into the plan's exposures */
  size_t n_exposures, capacity;
} dir_tables;

/* Keeps those of the tile's candidate exposures that may hold a source of it, and counts visits. Exposures go into the task as
 * borrowed copies, for the hash. */
static nsl_status sift_exposures(maker *m, const nsl_plan_pair *candidates, size_t n, nsl_tile_task *task, nsl_plan_tile *tile,
                                 dir_tables *d, nsl_error *err)
{
  task->exposures = calloc(n + 1, sizeof *task->exposures);
  double(*v)[3] = calloc(task->n_sources + 1, sizeof *v);
  if (!task->exposures || !v) {
    free(v);
    return no_memory(err);
  }
  for (size_t i = 0; i < task->n_sources; i++) { nsl_unit_vector(task->sources[i].ra_deg, task->sources[i].dec_deg, v[i]); }
  for (size_t k = 0; k < n; k++) {
    int32_t e = candidates[k].exposure;
    int64_t visits = 0;
    for (size_t i = 0; i < task->n_sources; i++) { visits += nsl_footprint_holds(&m->footprints[e], v[i]); }
    if (!visits) { continue; }
    tile->n_visits += visits;
    task->exposures[task->n_exposures++] = m->plan->exposures[e];
    if (d->n_exposures == d->capacity) {
      d->capacity = d->capacity ? 2 * d->capacity : 64;
      int32_t *grown = realloc(d->exposures, d->capacity * sizeof *grown);
      if (!grown) {
        free(v);
        return no_memory(err);
      }
      d->exposures = grown;
    }
    d->exposures[d->n_exposures++] = e;
  }
  free(v);
  tile->n_exposures = (int)task->n_exposures;
  return NSL_OK;
}

static nsl_status plan_tile(maker *m, nsl_source_reader *r, const nsl_plan_pair *candidates, size_t n, nsl_plan_tile *tile,
                            dir_tables *d, nsl_error *err)
{
  nsl_tile_task task;
  int64_t *line = d->lines + NSL_PLAN_LINE * d->n++;
  size_t first = d->n_exposures;
  nsl_status st = nsl_task_sources(r, &m->rules, tile->tile, &task, err);
  if (st != NSL_OK) { return st; }
  st = sift_exposures(m, candidates, n, &task, tile, d, err);
  if (st == NSL_OK) { st = nsl_task_hash(&task, err); }
  tile->input_hash = task.input_hash;
  const int64_t values[NSL_PLAN_LINE] = {
      tile->tile, (int64_t)first, (int64_t)(d->n_exposures - first), (int64_t)task.input_hash.hi, (int64_t)task.input_hash.lo,
      m->n_rows};
  m->n_rows += tile->n_sources;
  memcpy(line, values, sizeof values);
  free(task.exposures); /* their paths belong to the plan */
  task.exposures = NULL;
  nsl_tile_task_free(&task);
  return st;
}

static int by_number(const void *a, const void *b)
{
  int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
  return x < y ? -1 : x > y;
}

/* Writes the tables with an exposure table of their own, so that a worker need not open the index. */
static nsl_status write_tables(maker *m, nsl_h5 *f, const dir_tables *d, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int32_t *used = calloc(d->n_exposures + 1, sizeof *used), *local = calloc(d->n_exposures + 1, sizeof *local);
  const nsl_exposure_info **infos = calloc(d->n_exposures + 1, sizeof *infos);
  size_t n_used = 0;
  if (!used || !local || !infos) {
    st = no_memory(err);
    goto cleanup;
  }
  memcpy(used, d->exposures, d->n_exposures * sizeof *used);
  if (d->n_exposures) { qsort(used, d->n_exposures, sizeof *used, by_number); }
  for (size_t i = 0; i < d->n_exposures; i++) {
    if (n_used == 0 || used[n_used - 1] != used[i]) { used[n_used++] = used[i]; }
  }
  for (size_t i = 0; i < n_used; i++) { infos[i] = &m->plan->exposures[used[i]]; }
  for (size_t i = 0; i < d->n_exposures; i++) {
    const int32_t *at = bsearch(&d->exposures[i], used, n_used, sizeof *used, by_number);
    local[i] = (int32_t)(at - used);
  }
  NSL_TRY(nsl_h5_put_i64(f, "/", "order", m->rules.order, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "mag_faint", m->rules.mag_faint, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "neighbour_mag", m->rules.neighbour_mag, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "neighbour_deg", m->rules.neighbour_deg, err));
  NSL_TRY(nsl_h5_write(f, "/tile", NSL_H5_I64, 2, (size_t[]){d->n, NSL_PLAN_LINE}, d->lines, NULL, err));
  NSL_TRY(nsl_h5_put_text(f, "/tile", "columns", "tile,first,count,input_hash_hi,input_hash_lo,first_row", err));
  NSL_TRY(nsl_h5_write(f, "/tile_exposures", NSL_H5_I32, 1, &d->n_exposures, local, NULL, err));
  NSL_TRY(nsl_exposures_write(f, "/exposures", infos, n_used, err));
cleanup:
  free(used);
  free(local);
  free(infos);
  return st;
}

static nsl_status publish_tables(maker *m, int64_t dir, const dir_tables *d, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char *path = nsl_plan_shard_path(m->folder, dir, "tiles"), *temp = path ? nsl_temp_name(path, 0) : NULL;
  if (!temp) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  st = write_tables(m, f, d, err);
  nsl_status closed = nsl_h5_close(f, st == NSL_OK ? err : NULL);
  if (st == NSL_OK) { st = closed; }
  if (st == NSL_OK) {
    st = nsl_publish(temp, path, err);
  } else {
    unlink(temp);
  }
cleanup:
  free(path);
  free(temp);
  return st;
}

/* Plans the tiles [first, last) of one Dir; *pair goes through the pairs in step. */
static nsl_status plan_dir(maker *m, nsl_source_reader *r, size_t first, size_t last, size_t *pair, nsl_progress *progress,
                           nsl_error *err)
{
  nsl_status st = NSL_OK;
  dir_tables d = {.lines = calloc(last - first + 1, NSL_PLAN_LINE * sizeof *d.lines)};
  if (!d.lines) { return no_memory(err); }
  for (size_t t = first; t < last; t++) {
    size_t from = *pair;
    while (*pair < m->n_pairs && m->pairs[*pair].tile == (int32_t)t) { ++*pair; }
    NSL_TRY(plan_tile(m, r, m->pairs + from, *pair - from, &m->plan->tiles[t], &d, err));
    nsl_progress_update(progress, (long)t + 1, NULL);
  }
  NSL_TRY(publish_tables(m, nsl_plan_dir(m->plan->tiles[first].tile), &d, err));
cleanup:
  free(d.lines);
  free(d.exposures);
  return st;
}

static nsl_status plan_tiles(maker *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_source_reader *r = NULL;
  nsl_progress progress;
  size_t pair = 0;
  nsl_progress_start(&progress, m->log, "tiles planned", (long)m->plan->n_tiles);
  NSL_TRY(nsl_source_reader_new(m->folder, &r, err));
  for (size_t first = 0, last; first < m->plan->n_tiles; first = last) {
    int64_t dir = nsl_plan_dir(m->plan->tiles[first].tile);
    for (last = first; last < m->plan->n_tiles && nsl_plan_dir(m->plan->tiles[last].tile) == dir; last++) {}
    NSL_TRY(plan_dir(m, r, first, last, &pair, &progress, err));
  }
cleanup:
  nsl_source_reader_free(r);
  return st;
}

static nsl_status hash_plan(nsl_plan *plan, nsl_error *err)
{
  nsl_hasher *h = nsl_hasher_new();
  if (!h) { return no_memory(err); }
  const int64_t shape[2] = {plan->order, (int64_t)plan->n_tiles};
  nsl_hasher_add(h, shape, sizeof shape);
  for (size_t i = 0; i < plan->n_tiles; i++) {
    nsl_hasher_add(h, &plan->tiles[i].tile, sizeof plan->tiles[i].tile);
    nsl_hasher_add(h, &plan->tiles[i].input_hash, sizeof plan->tiles[i].input_hash);
  }
  plan->hash = nsl_hasher_value(h);
  nsl_hasher_free(h);
  return NSL_OK;
}

/* --- old generations: the one before the current is left for runs that still use it --- */

static void remove_folder(const char *folder)
{
  DIR *d = opendir(folder);
  if (!d) { return; }
  for (struct dirent *e; (e = readdir(d));) {
    char *path = e->d_name[0] == '.' && (!e->d_name[1] || e->d_name[1] == '.') ? NULL : nsl_strf("%s/%s", folder, e->d_name);
    if (path) { unlink(path); }
    free(path);
  }
  closedir(d);
  rmdir(folder);
}

static void tidy_generations(const nsl_config *cfg, const char *current, const char *previous)
{
  char *top = nsl_plan_path(cfg, "");
  DIR *d = top ? opendir(top) : NULL;
  for (struct dirent *e; d && (e = readdir(d));) {
    if (strlen(e->d_name) != 16 || strspn(e->d_name, "0123456789abcdef") != 16) { continue; }
    if (!strcmp(e->d_name, current) || (previous && !strcmp(e->d_name, previous))) { continue; }
    char *folder = nsl_plan_path(cfg, e->d_name);
    if (folder) { remove_folder(folder); }
    free(folder);
  }
  if (d) { closedir(d); }
  free(top);
}

/* The plan on disk with its exposures, to save looking at unchanged files again; nothing if there is none that can be read. */
static void read_old(const nsl_config *cfg, nsl_plan *old)
{
  if (nsl_plan_read(cfg, old, NULL) == NSL_OK && nsl_plan_read_exposures(cfg, old, NULL) != NSL_OK) { nsl_plan_free(old); }
}

nsl_status nsl_plan_make(const nsl_config *cfg, const nsl_instrument *inst, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_plan plan = {.order = (int)nsl_config_int(cfg, "tiles.order")}, old = {0};
  nsl_exposure_list list = {0};
  nsl_plan_catalogue catalogue = {0};
  char *generation = NULL, *previous = NULL;
  maker m = {.cfg = cfg, .inst = inst, .log = log, .plan = &plan};
  m.rules = (nsl_task_rules){.order = plan.order,
                             .mag_faint = nsl_config_real(cfg, "input.mag_faint"),
                             .neighbour_mag = nsl_config_real(cfg, "stamp.neighbour_mag")};
  nsl_plan_margins(inst, &m.exposure_deg, &m.rules.neighbour_deg);
  NSL_TRY(nsl_exposure_list_make(cfg, &list, log, err));
  NSL_TRY(nsl_plan_identify(cfg, inst, &list, &plan, err));
  read_old(cfg, &old);
  generation = nsl_plan_generation(&plan);
  previous = old.n_tiles ? nsl_plan_generation(&old) : NULL;
  m.folder = generation ? nsl_plan_path(cfg, generation) : NULL;
  if (!m.folder) {
    st = no_memory(err);
    goto cleanup;
  }
  NSL_TRY(nsl_mkdirs(m.folder, err));
  NSL_TRY(nsl_plan_read_catalogue(cfg, m.folder, &catalogue, err)); /* first: its mistakes are quick to find */
  NSL_TRY(nsl_plan_inspect(&list, inst, &old, &plan, log, err));
  NSL_TRY(write_sources(&m, &catalogue, err));
  plan.rejected = catalogue.rejected;
  plan.n_rejected = catalogue.n_rejected;
  catalogue.rejected = NULL;
  if (plan.n_rejected) {
    nsl_warn(log, "%s: %zu sources have no usable position and belong to no tile; `noslit status --why` lists them",
             nsl_config_text(cfg, "input.catalogue"), plan.n_rejected);
  }
  NSL_TRY(pair_up(&m, err));
  NSL_TRY(plan_tiles(&m, err));
  NSL_TRY(hash_plan(&plan, err));
  if (m.n_pairs) { qsort(m.pairs, m.n_pairs, sizeof *m.pairs, by_exposure_then_tile); }
  NSL_TRY(nsl_plan_write_index(cfg, &plan, m.pairs, m.n_pairs, err));
  tidy_generations(cfg, generation, previous);
cleanup:
  nsl_plan_catalogue_free(&catalogue);
  nsl_exposure_list_free(&list);
  nsl_plan_free(&plan);
  nsl_plan_free(&old);
  free(m.footprints);
  free(m.pairs);
  free(m.folder);
  free(generation);
  free(previous);
  return st;
}
