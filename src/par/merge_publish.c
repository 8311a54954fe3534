/* After the writing: the files beside the catalogue, and the names. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/program.h"
#include "noslit/io/fits.h"
#include "noslit/io/json.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/made_by.h"
#include "par/merge_internal.h"

#define EXPORT_ROWS (1 << 18)

static nsl_fits_type fits_type(nsl_col_type type)
{
  switch (type) {
  case NSL_COL_I64:
    return NSL_FITS_I64;
  case NSL_COL_F64:
    return NSL_FITS_F64;
  case NSL_COL_F32:
    return NSL_FITS_F32;
  case NSL_COL_I32:
  case NSL_COL_U32: /* the flags: 16 bits are in use, so that no sign is in the way */
    return NSL_FITS_I32;
  }
  return NSL_FITS_F64;
}

static nsl_status put_hash(nsl_fits_writer *w, const char *key, nsl_hash h, const char *comment, nsl_error *err)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  return nsl_fits_put_text(w, key, hex, comment, err);
}

static nsl_status put_provenance(nsl_fits_writer *w, const nsl_merge_job *job, const nsl_merge_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(put_hash(w, "CATHASH", set->content_hash, "content hash of the catalogue with the PDFs", err));
  NSL_TRY(put_hash(w, "CONFHASH", job->config_hash, "hash of the configuration", err));
  NSL_TRY(put_hash(w, "MODHASH", set->model_hash, "hash of the model", err));
  NSL_TRY(put_hash(w, "INSTHASH", set->instrument_hash, "hash of the instrument file", err));
  NSL_TRY(put_hash(w, "PLANHASH", job->plan_hash, "hash of the plan, so of all inputs", err));
  NSL_TRY(nsl_fits_put_i64(w, "SEED", job->seed, "survey.seed", err));
  NSL_TRY(nsl_fits_put_text(w, "SELECT", job->selection, "tiles that were asked for", err));
  NSL_TRY(nsl_fits_put_text(w, "CREATOR", nsl_made_by_text(), NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "LIBS", nsl_libraries(), NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "BLASCORE", nsl_blas_core(), "kernels of OpenBLAS", err));
  NSL_TRY(nsl_fits_put_text(w, "HOST", nsl_program_host(), "of rank 0 of the merging", err));
  NSL_TRY(nsl_fits_put_i64(w, "RANKS", nsl_program_ranks(), "of the merging", err));
cleanup:
  return st;
}

/* All columns without PDFs, in blocks. */
static nsl_status export_fits(const nsl_merge_job *job, const nsl_merge_set *set, const char *catalogue, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue *c = NULL;
  nsl_fits_writer *w = NULL;
  nsl_rows rows = {0};
  nsl_fits_column columns[64];
  for (int k = 0; k < nsl_n_row_columns; k++) {
    const nsl_column_info *info = &nsl_row_columns[k];
    columns[k] = (nsl_fits_column){info->name, info->unit, info->ucd, info->description, fits_type(info->type), 1, NULL};
  }
  NSL_TRY(nsl_catalogue_open(catalogue, &c, err));
  NSL_TRY(nsl_fits_create(job->fits, 1, &w, err));
  NSL_TRY(nsl_fits_add_table(w, "CATALOGUE", (long)set->n_rows, nsl_n_row_columns, columns, err));
  NSL_TRY(nsl_fits_put_text(w, "SURVEY", job->survey, "name of the survey", err));
  NSL_TRY(nsl_fits_put_i64(w, "ORDER", job->order, "HEALPix order of column tile, NESTED", err));
  NSL_TRY(put_provenance(w, job, set, err));
  for (int64_t first = 0; first < set->n_rows; first += EXPORT_ROWS) {
    int64_t n = set->n_rows - first < EXPORT_ROWS ? set->n_rows - first : EXPORT_ROWS;
    NSL_TRY(nsl_catalogue_read(c, first, n, 0, &rows, err));
    for (int k = 0; k < nsl_n_row_columns; k++) { columns[k].data = nsl_rows_column(&rows, k); }
    NSL_TRY(nsl_fits_put_rows(w, (long)first, (long)n, nsl_n_row_columns, columns, err));
    nsl_rows_free(&rows);
  }
  nsl_fits_writer *finishing = w;
  w = NULL;
  NSL_TRY(nsl_fits_finish(finishing, err));
cleanup:
  nsl_rows_free(&rows);
  nsl_fits_discard(w);
  nsl_catalogue_close(c);
  return st;
}

static void set_hash(nsl_json *o, const char *key, nsl_hash h)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  nsl_json_set_text(o, key, hex);
}

static nsl_status write_summary(const nsl_merge_job *job, const nsl_merge_set *set, const nsl_survey_summary *total, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_json *root = nsl_survey_summary_json(total), *hashes = nsl_json_object();
  char now[32], *path = nsl_catalogue_sibling(job->catalogue, ".summary.json");
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  nsl_clock_utc(now);
  nsl_json_set_text(root, "survey", job->survey);
  nsl_json_set_text(root, "catalogue", nsl_path_base(job->catalogue));
  nsl_json_set_text(root, "date", now);
  nsl_made_by_json(root);
  nsl_json_set_i64(root, "order", job->order);
  nsl_json_set_i64(root, "tiles", (int64_t)set->n);
  nsl_json_set_i64(root, "tiles_left_out", (int64_t)set->n_left_out);
  nsl_json_set_bool(root, "partial", set->n_left_out > 0);
  nsl_json_set_text(root, "selection", job->selection);
  set_hash(hashes, "content", set->content_hash);
  set_hash(hashes, "config", job->config_hash);
  set_hash(hashes, "model", set->model_hash);
  set_hash(hashes, "instrument", set->instrument_hash);
  set_hash(hashes, "plan", job->plan_hash);
  nsl_json_set(root, "hashes", hashes);
  NSL_TRY(nsl_json_write(path, root, err));
cleanup:
  nsl_json_free(root);
  free(path);
  return st;
}

nsl_status nsl_merge_publish(const nsl_merge_job *job, const nsl_merge_set *set, const char *partial,
                             const nsl_survey_summary *total, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (total->rows != set->n_rows) { NSL_THROW(err, NSL_E_BUG, "%s: not every row was read back", partial); }
  if (job->fits[0]) { NSL_TRY(export_fits(job, set, partial, err)); }
  NSL_TRY(nsl_catalogue_index_write(job->catalogue, set->content_hash, set->heads, set->n, err));
  NSL_TRY(write_summary(job, set, total, err));
  NSL_TRY(nsl_publish(partial, job->catalogue, err));
cleanup:
  return st;
}
