/* What one tile needs: its sources, its neighbours, its exposures, and the hash of all that. The planner and the worker find them
 * by the same code, so a worker notices when the plan's files are not what the planner saw. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

static nsl_status no_memory(nsl_tile_id tile, nsl_error *err)
{
  return nsl_fail(err, NSL_E_NOMEM, "tile %lld: no memory for its sources", (long long)tile);
}

void nsl_tile_task_free(nsl_tile_task *task)
{
  free(task->sources);
  free(task->neighbours);
  for (size_t i = 0; task->exposures && i < task->n_exposures; i++) { nsl_exposure_info_free(&task->exposures[i]); }
  free(task->exposures);
  *task = (nsl_tile_task){0};
}

/* A source of unknown magnitude is measured: nothing says that it is too faint. */
int nsl_is_measured(const nsl_task_rules *rules, const nsl_source *s) { return !(s->mag > rules->mag_faint); }

/* --- is there a measured source near a position? --- */

typedef struct {
  double dec_deg, v[3];
} point;

static int by_dec(const void *a, const void *b)
{
  double x = ((const point *)a)->dec_deg, y = ((const point *)b)->dec_deg;
  return x < y ? -1 : x > y;
}

static int is_near(const point *points, size_t n, const nsl_source *s, double radius_deg)
{
  double v[3], chord = 2.0 * sin(0.5 * radius_deg * M_PI / 180.0);
  nsl_unit_vector(s->ra_deg, s->dec_deg, v);
  size_t low = 0, high = n;
  while (low < high) { /* the first point not below dec - radius */
    size_t middle = (low + high) / 2;
    if (points[middle].dec_deg < s->dec_deg - radius_deg) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  for (size_t i = low; i < n && points[i].dec_deg <= s->dec_deg + radius_deg; i++) {
    double dx = points[i].v[0] - v[0], dy = points[i].v[1] - v[1], dz = points[i].v[2] - v[2];
    if (dx * dx + dy * dy + dz * dz <= chord * chord) { return 1; }
  }
  return 0;
}

static int by_id(const void *a, const void *b)
{
  int64_t x = ((const nsl_source *)a)->id, y = ((const nsl_source *)b)->id;
  return x < y ? -1 : x > y;
}

static nsl_status push_neighbour(nsl_tile_task *task, size_t *capacity, const nsl_source *s, nsl_error *err)
{
  if (task->n_neighbours == *capacity) {
    *capacity = *capacity ? 2 * *capacity : 64;
    nsl_source *grown = realloc(task->neighbours, *capacity * sizeof *grown);
    if (!grown) { return no_memory(task->tile, err); }
    task->neighbours = grown;
  }
  task->neighbours[task->n_neighbours++] = *s;
  return NSL_OK;
}

static nsl_status collect_neighbours(nsl_source_reader *r, const nsl_task_rules *rules, nsl_tile_task *task, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_id *around = NULL;
  size_t n_around = 0, capacity = 0;
  point *points = calloc(task->n_sources + 1, sizeof *points);
  if (!points) { return no_memory(task->tile, err); }
  for (size_t i = 0; i < task->n_sources; i++) {
    points[i].dec_deg = task->sources[i].dec_deg;
    nsl_unit_vector(task->sources[i].ra_deg, task->sources[i].dec_deg, points[i].v);
  }
  qsort(points, task->n_sources, sizeof *points, by_dec);
  double ra, dec;
  nsl_tile_centre(task->order, task->tile, &ra, &dec);
  NSL_TRY(
      nsl_tiles_in_disc(task->order, ra, dec, nsl_tile_radius_deg(task->order) + rules->neighbour_deg, &around, &n_around, err));
  for (size_t t = 0; t < n_around; t++) {
    const nsl_source *s;
    size_t n;
    NSL_TRY(nsl_source_reader_get(r, around[t], &s, &n, err));
    for (size_t i = 0; i < n; i++) {
      int is_own = around[t] == task->tile && nsl_is_measured(rules, &s[i]);
      if (is_own || !(s[i].mag <= rules->neighbour_mag) || !is_near(points, task->n_sources, &s[i], rules->neighbour_deg)) {
        continue;
      }
      NSL_TRY(push_neighbour(task, &capacity, &s[i], err));
    }
  }
  if (task->n_neighbours) { qsort(task->neighbours, task->n_neighbours, sizeof *task->neighbours, by_id); }
cleanup:
  free(points);
  free(around);
  return st;
}

nsl_status nsl_task_sources(nsl_source_reader *r, const nsl_task_rules *rules, nsl_tile_id tile, nsl_tile_task *task,
                            nsl_error *err)
{
  const nsl_source *s;
  size_t n;
  *task = (nsl_tile_task){.order = rules->order, .tile = tile};
  nsl_status st = nsl_source_reader_get(r, tile, &s, &n, err);
  if (st != NSL_OK) { return st; }
  task->sources = calloc(n + 1, sizeof *task->sources);
  if (!task->sources) { return no_memory(tile, err); }
  for (size_t i = 0; i < n; i++) {
    if (nsl_is_measured(rules, &s[i])) { task->sources[task->n_sources++] = s[i]; }
  }
  if (task->n_sources) { st = collect_neighbours(r, rules, task, err); }
  if (st != NSL_OK) { nsl_tile_task_free(task); }
  return st;
}

static void add_source(nsl_hasher *h, const nsl_source *s)
{
  const double values[8] = {s->ra_deg,       s->dec_deg,        s->mag,    s->shape.re_arcsec, s->shape.q,
                            s->shape.pa_deg, s->shape.sersic_n, s->is_star};
  nsl_hasher_add(h, &s->id, sizeof s->id);
  nsl_hasher_add(h, values, sizeof values);
}

nsl_status nsl_task_hash(nsl_tile_task *task, nsl_error *err)
{
  nsl_hasher *h = nsl_hasher_new();
  if (!h) { return no_memory(task->tile, err); }
  const int64_t shape[5] = {task->order, task->tile, (int64_t)task->n_sources, (int64_t)task->n_neighbours,
                            (int64_t)task->n_exposures};
  nsl_hasher_add(h, shape, sizeof shape);
  for (size_t i = 0; i < task->n_sources; i++) { add_source(h, &task->sources[i]); }
  for (size_t i = 0; i < task->n_neighbours; i++) { add_source(h, &task->neighbours[i]); }
  for (size_t i = 0; i < task->n_exposures; i++) {
    const nsl_exposure_info *e = &task->exposures[i];
    const int64_t detector = e->detector_id;
    nsl_hasher_add(h, e->obsid, strlen(e->obsid) + 1);
    nsl_hasher_add(h, &detector, sizeof detector);
    nsl_hasher_add(h, &e->header_hash, sizeof e->header_hash);
  }
  task->input_hash = nsl_hasher_value(h);
  nsl_hasher_free(h);
  return NSL_OK;
}

/* --- the worker's way --- */

static nsl_status read_rules(nsl_h5 *f, nsl_task_rules *rules, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t order;
  NSL_TRY(nsl_h5_get_i64(f, "/", "order", &order, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "mag_faint", &rules->mag_faint, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "neighbour_mag", &rules->neighbour_mag, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "neighbour_deg", &rules->neighbour_deg, err));
  rules->order = (int)order;
cleanup:
  return st;
}

/* The tile's line in the tile table of its Dir: tile, first exposure, number of exposures, hash, first row. */
static nsl_status find_line(nsl_h5 *f, const char *path, nsl_tile_id tile, int64_t line[NSL_PLAN_LINE], nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK], low = 0;
  int64_t *lines = NULL;
  NSL_TRY(nsl_h5_dims(f, "/tile", &rank, dims, err));
  if (rank != 2 || dims[1] != NSL_PLAN_LINE) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: not a tile file of a plan; run `noslit plan`", path);
  }
  lines = calloc(dims[0] + 1, NSL_PLAN_LINE * sizeof *lines);
  if (!lines) {
    st = no_memory(tile, err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_read(f, "/tile", NSL_H5_I64, NSL_PLAN_LINE * dims[0], lines, err));
  for (size_t high = dims[0]; low < high;) {
    size_t middle = (low + high) / 2;
    if (lines[NSL_PLAN_LINE * middle] < tile) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == dims[0] || lines[NSL_PLAN_LINE * low] != tile) {
    NSL_THROW(err, NSL_E_NOTFOUND, "%s: tile %lld is not in the plan", path, (long long)tile);
  }
  memcpy(line, lines + NSL_PLAN_LINE * low, NSL_PLAN_LINE * sizeof *line);
cleanup:
  free(lines);
  return st;
}

static nsl_status read_exposures(nsl_h5 *f, const int64_t line[NSL_PLAN_LINE], nsl_tile_task *task, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)line[2];
  int32_t *index = calloc(n + 1, sizeof *index);
  if (!index) { return no_memory(task->tile, err); }
  if (n) {
    NSL_TRY(nsl_h5_read_rows(f, "/tile_exposures", NSL_H5_I32, 1, (size_t)line[1], n, index, err));
    NSL_TRY(nsl_exposures_read(f, "/exposures", index, n, &task->exposures, err));
  }
  task->n_exposures = n;
cleanup:
  free(index);
  return st;
}

nsl_status nsl_plan_task(const nsl_config *cfg, nsl_tile_id tile, nsl_tile_task *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_plan ids = {0};
  char *generation = NULL, *folder = NULL, *path = NULL;
  nsl_h5 *f = NULL;
  nsl_source_reader *r = NULL;
  nsl_task_rules rules;
  int64_t line[NSL_PLAN_LINE] = {0};
  *out = (nsl_tile_task){0};
  NSL_TRY(nsl_plan_read_identities(cfg, &ids, err));
  generation = nsl_plan_generation(&ids);
  folder = generation ? nsl_plan_path(cfg, generation) : NULL;
  path = folder ? nsl_plan_shard_path(folder, nsl_plan_dir(tile), "tiles") : NULL;
  if (!path) {
    st = no_memory(tile, err);
    goto cleanup;
  }
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(read_rules(f, &rules, err));
  NSL_TRY(find_line(f, path, tile, line, err));
  NSL_TRY(nsl_source_reader_new(folder, &r, err));
  NSL_TRY(nsl_task_sources(r, &rules, tile, out, err));
  NSL_TRY(read_exposures(f, line, out, err));
  NSL_TRY(nsl_task_hash(out, err));
  out->first_row = line[5];
  nsl_hash promised = {(uint64_t)line[3], (uint64_t)line[4]};
  if (!nsl_hash_equal(out->input_hash, promised)) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: the plan's files for tile %lld are damaged; delete the folder and run `noslit plan`", folder,
              (long long)tile);
  }
cleanup:
  if (st != NSL_OK) { nsl_tile_task_free(out); }
  nsl_source_reader_free(r);
  nsl_h5_close(f, NULL);
  free(generation);
  free(folder);
  free(path);
  return st;
}
