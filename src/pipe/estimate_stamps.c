/* A catalogue of the sources of stamp files. */
#include "noslit/pipe/estimate_stamps.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/catalogue.h"
#include "noslit/pipe/config_load.h"
#include "noslit/pipe/fit_stamps.h"
#include "noslit/pipe/rows_h5.h"
#include "noslit/pipe/stamp_rows.h"
#include "pipe/band_attributes.h"

#define SPECTYPE_SIZE 8
#define COLUMN_CHUNK 8192
#define PDF_CHUNK 64

/* --- sorted by identifier --- */

typedef struct {
  int64_t id;
  size_t at;
} place;

static int by_id(const void *a, const void *b)
{
  int64_t x = ((const place *)a)->id, y = ((const place *)b)->id;
  return (x > y) - (x < y);
}

static nsl_status sort_places(const nsl_rows *rows, place **out, nsl_error *err)
{
  place *p = malloc((rows->n + 1) * sizeof *p);
  if (!p) { return nsl_fail(err, NSL_E_NOMEM, "order of %zu sources", rows->n); }
  for (size_t i = 0; i < rows->n; i++) { p[i] = (place){rows->object_id[i], i}; }
  qsort(p, rows->n, sizeof *p, by_id);
  for (size_t i = 1; i < rows->n; i++) {
    if (p[i].id == p[i - 1].id) {
      nsl_status st =
          nsl_fail(err, NSL_E_FORMAT, "source %lld comes twice in the stamp files: give each file once and one set only",
                   (long long)p[i].id);
      free(p);
      return st;
    }
  }
  *out = p;
  return NSL_OK;
}

static nsl_status sort_rows(const nsl_rows *rows, const place *order, nsl_rows *out, nsl_error *err)
{
  if (!nsl_rows_alloc(out, rows->n, &rows->grid)) { return nsl_fail(err, NSL_E_NOMEM, "PDFs of %zu sources", rows->n); }
  size_t bins = (size_t)rows->grid.n;
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t size = nsl_col_size(nsl_row_columns[c].type);
    char *to = nsl_rows_column(out, c);
    const char *from = nsl_rows_column(rows, c);
    for (size_t i = 0; i < rows->n; i++) { memcpy(to + i * size, from + order[i].at * size, size); }
  }
  for (size_t i = 0; i < rows->n; i++) { memcpy(out->pdf + i * bins, rows->pdf + order[i].at * bins, bins * sizeof(float)); }
  return NSL_OK;
}

/* --- the catalogue --- */

static nsl_status put_hash(nsl_h5 *f, const char *key, nsl_hash h, nsl_error *err)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  return nsl_h5_put_text(f, "/", key, hex, err);
}

static nsl_status put_attributes(nsl_h5 *f, const nsl_estimate_job *job, const nsl_rows *rows, nsl_hash model, nsl_hash stamps,
                                 nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_hash none = {0, 0};
  nsl_catalogue_tile tile = {.tile = rows->n ? rows->tile[0] : 0, .n_rows = (int64_t)rows->n};
  NSL_TRY(nsl_tile_content_hash(0, tile.tile, rows, 0, rows->n, &tile.content_hash, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "format", NSL_CATALOGUE_FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_CATALOGUE_VERSION, err));
  static const char *const estimator[] = {"network", "template", "oracle"};
  NSL_TRY(nsl_h5_put_text(f, "/", "survey", "stamps", err));
  NSL_TRY(nsl_h5_put_text(f, "/", "estimator", estimator[job->estimator], err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "order", 0, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_rows", (int64_t)rows->n, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_tiles", 1, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "n_tiles_left_out", 0, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "selection", "", err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "pdf_n", rows->grid.n, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "pdf_u0", rows->grid.u0, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "pdf_du", rows->grid.du, err));
  NSL_TRY(put_hash(f, "content_hash", nsl_catalogue_hash(0, &tile, 1), err));
  NSL_TRY(put_hash(f, "config_hash", none, err));
  NSL_TRY(put_hash(f, "model_hash", model, err));
  NSL_TRY(put_hash(f, "instrument_hash", none, err));
  NSL_TRY(put_hash(f, "plan_hash", stamps, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "seed", (int64_t)job->seed, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "config", "", err));
cleanup:
  return st;
}

static nsl_status put_data(nsl_h5 *f, const nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_h5_layout column = {.chunk_rows = COLUMN_CHUNK, .deflate = 1, .shuffle = 1, .fletcher32 = 1};
  const nsl_h5_layout block = {.chunk_rows = PDF_CHUNK, .deflate = 1, .shuffle = 1, .fletcher32 = 1};
  size_t bins = (size_t)rows->grid.n, edges[2] = {1, bins + 1}, pdfs[2] = {rows->n, bins}, one = 1;
  int64_t version = 0;
  char name[80];
  double *edge = malloc((bins + 1) * sizeof *edge);
  if (!edge) { NSL_THROW(err, NSL_E_NOMEM, "bins of the catalogue"); }
  for (size_t b = 0; b <= bins; b++) { edge[b] = nsl_pdf_edge_z(&rows->grid, (int)b); }
  NSL_TRY(nsl_h5_group(f, "/meta", err));
  NSL_TRY(nsl_h5_group(f, "/data", err));
  NSL_TRY(nsl_h5_group(f, "/ancil", err));
  NSL_TRY(nsl_h5_write_fixed_text(f, "/meta/pdf_name", 1, 4, "hist", err));
  NSL_TRY(nsl_h5_write(f, "/meta/pdf_version", NSL_H5_I64, 1, &one, &version, NULL, err));
  NSL_TRY(nsl_h5_write(f, "/meta/bins", NSL_H5_F64, 2, edges, edge, NULL, err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    const nsl_column_info *info = &nsl_row_columns[c];
    snprintf(name, sizeof name, "/ancil/%s", info->name);
    NSL_TRY(nsl_h5_write(f, name, nsl_col_h5_type(info->type), 1, &rows->n, nsl_rows_column(rows, c), &column, err));
    NSL_TRY(nsl_h5_put_text(f, name, "unit", info->unit, err));
    NSL_TRY(nsl_h5_put_text(f, name, "ucd", info->ucd, err));
    NSL_TRY(nsl_h5_put_text(f, name, "description", info->description, err));
  }
  NSL_TRY(nsl_h5_write(f, "/data/pdfs", NSL_H5_F32, 2, pdfs, rows->pdf, &block, err));
cleanup:
  free(edge);
  return st;
}

/* --- the truth --- */

/* Of both bands, where both were seen (0 in one that was not). */
static float wave_error(const nsl_stamp_label *l)
{
  int gv = l->wave_error_gv != 0, gi = l->wave_error_gi != 0;
  return gv && gi ? 0.5f * (l->wave_error_gv + l->wave_error_gi) : l->wave_error_gv + l->wave_error_gi;
}

static nsl_status put_truth(nsl_h5 *f, const nsl_stamp_reader *reader, const place *order, size_t n, nsl_error *err)
{
  static const char *const spectype[] = {"GALAXY", "STAR", "QSO", "GALAXY"};
  nsl_status st = NSL_OK;
  int64_t *id = malloc((n + 1) * sizeof *id);
  double *value = malloc((n + 1) * sizeof *value);
  char *words = calloc(n + 1, SPECTYPE_SIZE);
  if (!id || !value || !words) { NSL_THROW(err, NSL_E_NOMEM, "truth of %zu stamps", n); }
#define COLUMN(name, expression)                                            \
  for (size_t i = 0; i < n; i++) {                                          \
    const nsl_stamp_label *l = nsl_stamp_reader_label(reader, order[i].at); \
    value[i] = (double)(expression);                                        \
  }                                                                         \
  NSL_TRY(nsl_h5_write(f, "/" name, NSL_H5_F64, 1, &n, value, NULL, err))
  for (size_t i = 0; i < n; i++) {
    const nsl_stamp_label *l = nsl_stamp_reader_label(reader, order[i].at);
    id[i] = l->source_id;
    snprintf(words + i * SPECTYPE_SIZE, SPECTYPE_SIZE, "%s", spectype[l->type & 3]);
  }
  NSL_TRY(nsl_h5_write(f, "/object_id", NSL_H5_I64, 1, &n, id, NULL, err));
  NSL_TRY(nsl_h5_write_fixed_text(f, "/spectype", n, SPECTYPE_SIZE, words, err));
  COLUMN("z", l->z);
  COLUMN("mag", l->mag);
  COLUMN("true_snr_gv", l->snr_gv_true);
  COLUMN("true_snr_gi", l->snr_gi_true);
  COLUMN("contamination", l->contamination);
  COLUMN("type", l->type);
  COLUMN("subtype", l->subtype);
  COLUMN("wave_error_px", wave_error(l));
  COLUMN("wave_error_gv_px", l->wave_error_gv);
  COLUMN("wave_error_gi_px", l->wave_error_gi);
  COLUMN("dispersion_error", l->dispersion_error);
  COLUMN("trace_error_px", l->trace_error);
  COLUMN("psf_error", l->psf_error);
  COLUMN("sky_error", l->sky_error);
  COLUMN("astrometric_error", l->astrometric_error);
#undef COLUMN
cleanup:
  free(id);
  free(value);
  free(words);
  return st;
}

/* --- files --- */

static nsl_status finish(nsl_h5 **f, char **temp, const char *path, nsl_error *err)
{
  nsl_h5 *closing = *f;
  *f = NULL;
  nsl_status st = nsl_h5_close(closing, err);
  if (st == NSL_OK) { st = nsl_publish(*temp, path, err); }
  if (st != NSL_OK) { remove(*temp); }
  free(*temp);
  *temp = NULL;
  return st;
}

static nsl_status write_files(const nsl_estimate_job *job, const nsl_rows *rows, const place *order, const nsl_stamp_reader *reader,
                              nsl_hash model, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char *truth = nsl_catalogue_sibling(job->out, ".truth.h5"), *temp = NULL;
  if (!truth) { NSL_THROW(err, NSL_E_NOMEM, "%s", job->out); }
  if (!(temp = nsl_temp_name(truth, 0))) { NSL_THROW(err, NSL_E_NOMEM, "%s", truth); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(put_truth(f, reader, order, rows->n, err));
  NSL_TRY(finish(&f, &temp, truth, err));
  if (!(temp = nsl_temp_name(job->out, 0))) { NSL_THROW(err, NSL_E_NOMEM, "%s", job->out); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(put_attributes(f, job, rows, model, nsl_stamp_reader_hash(reader), err));
  NSL_TRY(put_data(f, rows, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "complete", 1, err));
  NSL_TRY(finish(&f, &temp, job->out, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (temp) { remove(temp); }
  free(temp);
  free(truth);
  return st;
}

/* --- who estimates --- */

static nsl_status by_network(const nsl_estimate_job *job, const nsl_instrument *inst, const nsl_stamp_reader *reader,
                             const nsl_log *log, nsl_rows *rows, nsl_hash *model, nsl_error *err)
{
  nsl_infer *inf = NULL;
  nsl_status st = nsl_infer_new(job->model, inst, job->samples, job->batch, job->seed, &inf, err);
  if (st == NSL_OK) { st = nsl_stamp_rows(inf, reader, job->limit, job->batch, log, rows, err); }
  if (st == NSL_OK) { *model = nsl_infer_model(inf)->hash; }
  nsl_infer_free(inf);
  return st;
}

static nsl_status by_fit(const nsl_estimate_job *job, const nsl_instrument *inst, const nsl_stamp_reader *reader,
                         const nsl_log *log, nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_config *cfg = NULL;
  nsl_mock *mock = NULL;
  char *difference = NULL;
  nsl_band band[NSL_STAMP_BANDS];
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) { band[slot] = inst->bands[inst->stamp_band[slot]]; }
  difference = nsl_bands_difference(nsl_stamp_reader_bands(reader), band);
  if (difference) { NSL_THROW(err, NSL_E_MISMATCH, "stamps: %s as in %s", difference, inst->name); }
  if (job->estimator == NSL_ESTIMATE_ORACLE) {
    NSL_TRY(nsl_config_load(job->config, job->overrides, job->n_overrides, &cfg, err));
    NSL_TRY(nsl_mock_new(cfg, inst, log, &mock, err));
  }
  st = nsl_fit_rows(inst, mock, reader, job->limit, log, rows, err);
  if (st == NSL_E_MISMATCH) { st = nsl_error_context(err, st, "%s", job->config); }
cleanup:
  free(difference);
  nsl_mock_free(mock);
  nsl_config_free(cfg);
  return st;
}

nsl_status nsl_estimate_stamps(const nsl_estimate_job *job, const nsl_log *log, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_instrument *inst = NULL;
  nsl_stamp_reader *reader = NULL;
  nsl_rows rows = {0}, sorted = {0};
  nsl_hash model = {0, 0};
  place *order = NULL;
  if (job->instrument) {
    inst = calloc(1, sizeof *inst);
    if (!inst) { NSL_THROW(err, NSL_E_NOMEM, "%s", job->instrument); }
    NSL_TRY(nsl_instrument_load(job->instrument, inst, err));
  }
  NSL_TRY(nsl_stamp_reader_open(job->stamps, job->n_stamps, 0, 1, &reader, err));
  if (job->estimator == NSL_ESTIMATE_NETWORK) {
    NSL_TRY(by_network(job, inst, reader, log, &rows, &model, err));
  } else {
    NSL_TRY(by_fit(job, inst, reader, log, &rows, err));
  }
  NSL_TRY(sort_places(&rows, &order, err));
  NSL_TRY(sort_rows(&rows, order, &sorted, err));
  NSL_TRY(write_files(job, &sorted, order, reader, model, err));
  *n = rows.n;
cleanup:
  free(order);
  nsl_rows_free(&rows);
  nsl_rows_free(&sorted);
  nsl_stamp_reader_close(reader);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  return st;
}
