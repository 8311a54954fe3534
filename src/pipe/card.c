#include "noslit/pipe/card.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "noslit/model/skytile.h"
#include "noslit/pipe/config_load.h"
#include "noslit/pipe/stamper.h"

enum { ID_BLOCK = 262144 };

nsl_status nsl_card_find(nsl_catalogue *c, const char *path, int64_t object_id, nsl_rows *out, int64_t *row, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t total = nsl_catalogue_rows(c), *ids = malloc(ID_BLOCK * sizeof *ids);
  if (!ids) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", path); }
  for (int64_t first = 0; first < total; first += ID_BLOCK) {
    int64_t n = total - first < ID_BLOCK ? total - first : ID_BLOCK;
    NSL_TRY(nsl_h5_read_rows(nsl_catalogue_file(c), "/ancil/object_id", NSL_H5_I64, 1, (size_t)first, (size_t)n, ids, err));
    for (int64_t i = 0; i < n; i++) {
      if (ids[i] != object_id) { continue; }
      *row = first + i;
      st = nsl_catalogue_read(c, *row, 1, 1, out, err);
      goto cleanup;
    }
  }
  NSL_THROW(err, NSL_E_NOTFOUND, "%s: none of its %lld sources is %lld", path, (long long)total, (long long)object_id);
cleanup:
  free(ids);
  return st;
}

void nsl_card_facts_free(nsl_card_facts *facts)
{
  for (size_t i = 0; i < facts->n_exposures; i++) { free(facts->exposures[i]); }
  free(facts->exposures);
  *facts = (nsl_card_facts){0};
}

static nsl_status list_exposures(const nsl_tile_task *task, double ra, double dec, nsl_card_facts *facts, nsl_error *err)
{
  facts->exposures = calloc(task->n_exposures ? task->n_exposures : 1, sizeof *facts->exposures);
  if (!facts->exposures) { return nsl_fail(err, NSL_E_NOMEM, "no memory for %zu exposures", task->n_exposures); }
  for (size_t i = 0; i < task->n_exposures; i++) {
    const nsl_exposure_info *e = &task->exposures[i];
    if (nsl_sky_distance_deg(ra, dec, e->ra_deg, e->dec_deg) > e->radius_deg) { continue; }
    facts->exposures[facts->n_exposures++] = nsl_strf("%s detector %d: %s", e->obsid, e->detector_id, e->path);
  }
  return NSL_OK;
}

static nsl_status put_stamp(nsl_h5 *f, const nsl_instrument *inst, const nsl_stamp *stamp, nsl_error *err)
{
  static const size_t shape[3] = {NSL_STAMP_BANDS, NSL_STAMP_NY, NSL_STAMP_NX}, grid[2] = {NSL_STAMP_BANDS, NSL_STAMP_NX};
  nsl_status st = NSL_OK;
  double wavelength[NSL_STAMP_BANDS][NSL_STAMP_NX];
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    const nsl_band *band = &inst->bands[inst->stamp_band[b]];
    for (int x = 0; x < NSL_STAMP_NX; x++) { wavelength[b][x] = band->lambda0_a + band->dlambda_a * x; }
    NSL_TRY(nsl_h5_put_text(f, "/", b ? "band_1" : "band_0", band->name, err));
  }
  NSL_TRY(nsl_h5_write(f, "/flux", NSL_H5_F32, 3, shape, stamp->flux, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/variance", NSL_H5_F32, 3, shape, stamp->variance, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/contamination", NSL_H5_F32, 3, shape, stamp->contamination, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/wavelength", NSL_H5_F64, 2, grid, wavelength, NULL, err));
cleanup:
  return st;
}

/* "<obsid>/<detector>", comma between them. */
static nsl_status put_exposures(nsl_h5 *f, const nsl_card_facts *facts, nsl_error *err)
{
  nsl_str all;
  nsl_str_init(&all);
  for (size_t i = 0; i < facts->n_exposures; i++) {
    char obsid[64];
    int detector;
    if (!facts->exposures[i] || sscanf(facts->exposures[i], "%63s detector %d", obsid, &detector) != 2) { continue; }
    nsl_str_addf(&all, "%s%s/%d", all.n ? "," : "", obsid, detector);
  }
  nsl_status st = nsl_h5_put_text(f, "/", "exposures", all.n ? all.text : "", err);
  nsl_str_free(&all);
  return st;
}

/* Makes the source's stamp again, as a worker does. */
static nsl_status remake_stamp(nsl_h5 *f, const nsl_rows *rows, size_t i, const nsl_config *cfg, const nsl_log *log,
                               nsl_card_facts *facts, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_task task = {0};
  nsl_stamper *stamper = NULL;
  nsl_stamp_set set = {0};
  size_t k = 0;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  if (!inst) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the instrument"); }
  NSL_TRY(nsl_config_require(cfg, "instrument.file", err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(cfg, "instrument.file"), inst, err));
  NSL_TRY(nsl_plan_task(cfg, rows->tile[i], &task, err));
  while (k < task.n_sources && task.sources[k].id != rows->object_id[i]) { k++; }
  if (k == task.n_sources) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: its plan has no source %lld in tile %lld; is it the configuration of this catalogue?",
              nsl_config_file(cfg), (long long)rows->object_id[i], (long long)rows->tile[i]);
  }
  if (!nsl_stamp_set_alloc(&set, 1)) { NSL_THROW(err, NSL_E_NOMEM, "no memory for a stamp"); }
  NSL_TRY(nsl_stamper_new(cfg, inst, &task, NULL, log, &stamper, err));
  NSL_TRY(nsl_stamper_make(stamper, k, 1, &set, err));
  NSL_TRY(put_stamp(f, inst, &set.stamps[0], err));
  if (facts) {
    facts->flags = set.stamps[0].flags;
    NSL_TRY(list_exposures(&task, rows->ra[i], rows->dec[i], facts, err));
    NSL_TRY(put_exposures(f, facts, err));
  }
cleanup:
  nsl_stamper_free(stamper);
  nsl_stamp_set_free(&set);
  nsl_tile_task_free(&task);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  return st;
}

/* Number `row` of a column as double, for the attributes (identifiers go apart: they need 64 bits). */
static double column_value(const nsl_rows *rows, int column, size_t row)
{
  const void *data = nsl_rows_column(rows, column);
  switch (nsl_row_columns[column].type) {
  case NSL_COL_I64:
    return (double)((const int64_t *)data)[row];
  case NSL_COL_F64:
    return ((const double *)data)[row];
  case NSL_COL_F32:
    return (double)((const float *)data)[row];
  case NSL_COL_I32:
    return ((const int32_t *)data)[row];
  case NSL_COL_U32:
    return ((const uint32_t *)data)[row];
  }
  return NAN;
}

static nsl_status put_row(nsl_h5 *f, const nsl_rows *rows, size_t i, double z_true, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)rows->grid.n, n_edges = n + 1;
  char words[256];
  double *edge = malloc(n_edges * sizeof *edge);
  if (!edge) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu bins", n); }
  for (size_t b = 0; b < n_edges; b++) { edge[b] = nsl_pdf_edge_z(&rows->grid, (int)b); }
  for (int c = 0; c < nsl_n_row_columns; c++) {
    NSL_TRY(nsl_h5_put_f64(f, "/", nsl_row_columns[c].name, column_value(rows, c, i), err));
  }
  NSL_TRY(nsl_h5_put_i64(f, "/", "object_id", rows->object_id[i], err));
  nsl_flags_words(rows->flags[i], words, sizeof words);
  NSL_TRY(nsl_h5_put_text(f, "/", "flag_words", words, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "z_true", z_true, err));
  NSL_TRY(nsl_h5_write(f, "/pdf", NSL_H5_F32, 1, &n, rows->pdf + i * n, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/edge_z", NSL_H5_F64, 1, &n_edges, edge, NULL, err));
cleanup:
  free(edge);
  return st;
}

nsl_status nsl_card_write(const char *path, const nsl_rows *rows, size_t i, double z_true, const nsl_config *cfg,
                          const nsl_log *log, nsl_card_facts *facts, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  if (facts) { *facts = (nsl_card_facts){0}; }
  char *temp = nsl_temp_name(path, 0);
  if (!temp) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(put_row(f, rows, i, z_true, err));
  if (cfg) { NSL_TRY(remake_stamp(f, rows, i, cfg, log, facts, err)); }
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK) {
    unlink(temp);
    if (facts) { nsl_card_facts_free(facts); }
  }
  free(temp);
  return st;
}
