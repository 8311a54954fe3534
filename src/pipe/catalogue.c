#include "noslit/pipe/catalogue.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/pipe/rows_h5.h"

struct nsl_catalogue {
  nsl_h5 *file;
  char *path;
  nsl_catalogue_info info;
};

static nsl_status get_hash(nsl_h5 *f, const char *path, const char *key, nsl_hash *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *hex = NULL;
  NSL_TRY(nsl_h5_get_text(f, "/", key, &hex, err));
  if (strlen(hex) != NSL_HASH_HEX - 1 || !nsl_hash_from_hex(hex, out)) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its attribute '%s' is no hash", path, key);
  }
cleanup:
  free(hex);
  return st;
}

static nsl_status check_format(const char *path, nsl_h5 *f, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *format = NULL;
  int64_t version = 0, complete = 0;
  if (nsl_h5_get_text(f, "/", "format", &format, NULL) != NSL_OK || strcmp(format, NSL_CATALOGUE_FORMAT) != 0) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: is no noslit catalogue (%s)", path, format ? format : "no attribute 'format'");
  }
  NSL_TRY(nsl_h5_get_i64(f, "/", "version", &version, err));
  if (version != NSL_CATALOGUE_VERSION) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: is a catalogue of format version %lld; this program reads %d", path, (long long)version,
              NSL_CATALOGUE_VERSION);
  }
  if (nsl_h5_get_i64(f, "/", "complete", &complete, NULL) != NSL_OK || complete != 1) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: is not complete; `noslit merge` makes it again", path);
  }
cleanup:
  free(format);
  return st;
}

static nsl_status read_info(nsl_catalogue *c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue_info *info = &c->info;
  int64_t order, bins;
  NSL_TRY(nsl_h5_get_i64(c->file, "/", "order", &order, err));
  NSL_TRY(nsl_h5_get_i64(c->file, "/", "n_rows", &info->n_rows, err));
  NSL_TRY(nsl_h5_get_i64(c->file, "/", "n_tiles", &info->n_tiles, err));
  NSL_TRY(nsl_h5_get_i64(c->file, "/", "n_tiles_left_out", &info->n_tiles_left_out, err));
  NSL_TRY(nsl_h5_get_i64(c->file, "/", "pdf_n", &bins, err));
  NSL_TRY(nsl_h5_get_f64(c->file, "/", "pdf_u0", &info->grid.u0, err));
  NSL_TRY(nsl_h5_get_f64(c->file, "/", "pdf_du", &info->grid.du, err));
  NSL_TRY(get_hash(c->file, c->path, "content_hash", &info->content_hash, err));
  NSL_TRY(get_hash(c->file, c->path, "config_hash", &info->config_hash, err));
  NSL_TRY(get_hash(c->file, c->path, "model_hash", &info->model_hash, err));
  NSL_TRY(get_hash(c->file, c->path, "instrument_hash", &info->instrument_hash, err));
  NSL_TRY(get_hash(c->file, c->path, "plan_hash", &info->plan_hash, err));
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  NSL_TRY(nsl_h5_dims(c->file, "/data/pdfs", &rank, dims, err));
  if (rank != 2 || (int64_t)dims[0] != info->n_rows || (int64_t)dims[1] != bins || order < 0 || order > NSL_TILE_ORDER_MAX ||
      bins < 2) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: data/pdfs does not have the %lld rows of %lld bins that the attributes say", c->path,
              (long long)info->n_rows, (long long)bins);
  }
  info->order = (int)order;
  info->grid.n = (int)bins;
cleanup:
  return st;
}

nsl_status nsl_catalogue_open(const char *path, nsl_catalogue **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue *c = calloc(1, sizeof *c);
  if (!c || !(c->path = nsl_strdup(path))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(nsl_h5_open(path, &c->file, err));
  NSL_TRY(check_format(path, c->file, err));
  NSL_TRY(read_info(c, err));
  *out = c;
  c = NULL;
cleanup:
  nsl_catalogue_close(c);
  return st;
}

void nsl_catalogue_close(nsl_catalogue *c)
{
  if (!c) { return; }
  nsl_h5_close(c->file, NULL);
  free(c->path);
  free(c);
}

int64_t nsl_catalogue_rows(const nsl_catalogue *c) { return c->info.n_rows; }
int nsl_catalogue_order(const nsl_catalogue *c) { return c->info.order; }
const nsl_pdf_grid *nsl_catalogue_grid(const nsl_catalogue *c) { return &c->info.grid; }
const nsl_catalogue_info *nsl_catalogue_get_info(const nsl_catalogue *c) { return &c->info; }
nsl_h5 *nsl_catalogue_file(nsl_catalogue *c) { return c->file; }

nsl_status nsl_catalogue_read(nsl_catalogue *c, int64_t first, int64_t n, int with_pdf, nsl_rows *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  if (first < 0 || n < 0 || first + n > c->info.n_rows) {
    NSL_THROW(err, NSL_E_VALUE, "%s: rows %lld to %lld are asked for, it has %lld", c->path, (long long)first,
              (long long)(first + n), (long long)c->info.n_rows);
  }
  if (!nsl_rows_alloc(&rows, (size_t)n, with_pdf ? &c->info.grid : NULL)) {
    NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %lld rows", c->path, (long long)n);
  }
  rows.grid = c->info.grid;
  char name[80];
  for (int k = 0; k < nsl_n_row_columns; k++) {
    snprintf(name, sizeof name, "/ancil/%s", nsl_row_columns[k].name);
    NSL_TRY(nsl_h5_read_rows(c->file, name, nsl_col_h5_type(nsl_row_columns[k].type), 1, (size_t)first, (size_t)n,
                             nsl_rows_column(&rows, k), err));
  }
  if (with_pdf) {
    NSL_TRY(nsl_h5_read_rows(c->file, "/data/pdfs", NSL_H5_F32, (size_t)c->info.grid.n, (size_t)first, (size_t)n, rows.pdf, err));
  }
  *out = rows;
  memset(&rows, 0, sizeof rows);
cleanup:
  nsl_rows_free(&rows);
  return st;
}
