/* The matched sources as a flat HDF5 file, which tools/report.py draws. */
#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/h5.h"
#include "pipe/validate_internal.h"

static const nsl_h5_layout layout = {.chunk_rows = 16384, .deflate = 4, .shuffle = 1, .fletcher32 = 1};

/* Columns are copied out of the two arrays of records. */
static nsl_status put(nsl_h5 *f, const char *name, nsl_h5_type type, const void *records, size_t record_size, size_t offset,
                      size_t n, nsl_error *err)
{
  size_t size = nsl_h5_type_size(type);
  char *column = malloc((n ? n : 1) * size);
  if (!column) { return nsl_fail(err, NSL_E_NOMEM, "no memory for column %s of %zu rows", name, n); }
  for (size_t i = 0; i < n; i++) {
    const char *from = (const char *)records + i * record_size + offset;
    for (size_t b = 0; b < size; b++) { column[i * size + b] = from[b]; }
  }
  nsl_status st = nsl_h5_write(f, name, type, 1, &n, column, n ? &layout : NULL, err);
  free(column);
  return st;
}

static nsl_status put_columns(nsl_h5 *f, const nsl_validation *v, nsl_error *err)
{
  nsl_status st = NSL_OK;
#define INFO(member, type) NSL_TRY(put(f, "/" #member, type, v->info, sizeof *v->info, offsetof(nsl_matched, member), v->n, err))
#define SCORE(member, type) NSL_TRY(put(f, "/" #member, type, v->scores, sizeof *v->scores, offsetof(nsl_score, member), v->n, err))
  INFO(row, NSL_H5_I64);
  INFO(object_id, NSL_H5_I64);
  INFO(tile, NSL_H5_I64);
  INFO(ra, NSL_H5_F64);
  INFO(dec, NSL_H5_F64);
  INFO(separation_arcsec, NSL_H5_F64);
  INFO(snr_gi, NSL_H5_F32);
  INFO(snr_gv, NSL_H5_F32);
  INFO(mag, NSL_H5_F32);
  INFO(contamination, NSL_H5_F32);
  INFO(odds, NSL_H5_F32);
  INFO(p_good, NSL_H5_F32);
  INFO(mutual_info, NSL_H5_F32);
  INFO(z_lo68, NSL_H5_F32);
  INFO(z_hi68, NSL_H5_F32);
  INFO(size_arcsec, NSL_H5_F32);
#define INJECTED(word, key)                                      \
  NSL_TRY(put(f, "/" #key, NSL_H5_F32, v->info, sizeof *v->info, \
              offsetof(nsl_matched, injected) + NSL_INJECTED_##word * sizeof(float), v->n, err));
  NSL_INJECTED_LIST(INJECTED)
#undef INJECTED
  INFO(n_exp_gi, NSL_H5_I32);
  INFO(flags, NSL_H5_U32);
  INFO(has_pdf, NSL_H5_I32);
  SCORE(z_true, NSL_H5_F64);
  SCORE(pit, NSL_H5_F64);
  SCORE(z_point, NSL_H5_F32);
  SCORE(z_median, NSL_H5_F32);
  SCORE(sigma_z, NSL_H5_F32);
  SCORE(ln_p, NSL_H5_F32);
  SCORE(crps, NSL_H5_F32);
  SCORE(hpd, NSL_H5_F32);
#undef INFO
#undef SCORE
cleanup:
  return st;
}

nsl_status nsl_validation_write_matched(const nsl_validation *v, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  size_t n_bins = (size_t)v->grid.n;
  char *temp = nsl_temp_name(path, 0);
  if (!temp) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(put_columns(f, v, err));
  NSL_TRY(nsl_h5_write(f, "/stacked_pdf", NSL_H5_F64, 1, &n_bins, v->stacked, NULL, err));
  NSL_TRY(nsl_h5_put_f64(f, "/stacked_pdf", "u0", v->grid.u0, err));
  NSL_TRY(nsl_h5_put_f64(f, "/stacked_pdf", "du", v->grid.du, err));
  st = nsl_h5_close(f, err);
  f = NULL;
  if (st != NSL_OK) { goto cleanup; }
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  if (f) { nsl_h5_close(f, NULL); }
  if (st != NSL_OK) {
    unlink(temp);
    st = nsl_error_context(err, st, "%s", path);
  }
  free(temp);
  return st;
}
