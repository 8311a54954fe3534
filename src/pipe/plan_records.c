/* Exposure tables and lists of texts in the plan's HDF5 files. docs/formats.md has the layout. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

/* Columns of <group>/int and <group>/real. */
enum { I_DETECTOR_ID, I_DETECTOR, I_NX, I_NY, I_SIZE, I_MTIME, I_HASH_HI, I_HASH_LO, I_TEXT_FIRST, I_TEXT_LENGTH, N_INT };
enum { R_EXPTIME, R_RA, R_DEC, R_RADIUS, R_CORNERS, N_REAL = R_CORNERS + 8 };
#define INT_COLUMNS "detector_id,detector,nx,ny,size_bytes,mtime_ns,header_hash_hi,header_hash_lo,text_first,text_length"
#define REAL_COLUMNS "exptime_s,ra_deg,dec_deg,radius_deg,corner_ra_deg[4],corner_dec_deg[4]"

static nsl_status no_memory(nsl_error *err) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the plan's exposure table"); }

static void pack(const nsl_exposure_info *e, int64_t *i, double *r)
{
  i[I_DETECTOR_ID] = e->detector_id;
  i[I_DETECTOR] = e->detector;
  i[I_NX] = e->nx;
  i[I_NY] = e->ny;
  i[I_SIZE] = e->size_bytes;
  i[I_MTIME] = e->mtime_ns;
  i[I_HASH_HI] = (int64_t)e->header_hash.hi;
  i[I_HASH_LO] = (int64_t)e->header_hash.lo;
  r[R_EXPTIME] = e->exptime_s;
  r[R_RA] = e->ra_deg;
  r[R_DEC] = e->dec_deg;
  r[R_RADIUS] = e->radius_deg;
  memcpy(r + R_CORNERS, e->corner_ra_deg, 4 * sizeof *r);
  memcpy(r + R_CORNERS + 4, e->corner_dec_deg, 4 * sizeof *r);
}

/* text: "<obsid>\n<path>" */
static nsl_status unpack(const int64_t *i, const double *r, const char *text, nsl_exposure_info *e, nsl_error *err)
{
  *e = (nsl_exposure_info){.detector_id = (int)i[I_DETECTOR_ID],
                           .detector = (int)i[I_DETECTOR],
                           .exptime_s = r[R_EXPTIME],
                           .nx = (long)i[I_NX],
                           .ny = (long)i[I_NY],
                           .ra_deg = r[R_RA],
                           .dec_deg = r[R_DEC],
                           .radius_deg = r[R_RADIUS],
                           .size_bytes = i[I_SIZE],
                           .mtime_ns = i[I_MTIME],
                           .header_hash = {(uint64_t)i[I_HASH_HI], (uint64_t)i[I_HASH_LO]}};
  memcpy(e->corner_ra_deg, r + R_CORNERS, 4 * sizeof *r);
  memcpy(e->corner_dec_deg, r + R_CORNERS + 4, 4 * sizeof *r);
  const char *end = strchr(text, '\n');
  if (!end || (size_t)(end - text) >= sizeof e->obsid) { return nsl_fail(err, NSL_E_CORRUPT, "damaged exposure table"); }
  memcpy(e->obsid, text, (size_t)(end - text));
  e->path = nsl_strdup(end + 1);
  return e->path ? NSL_OK : no_memory(err);
}

static nsl_status write_part(nsl_h5 *f, const char *group, const char *name, nsl_h5_type type, int rank, const size_t *dims,
                             const void *data, const char *columns, nsl_error *err)
{
  char path[96];
  snprintf(path, sizeof path, "%s/%s", group, name);
  nsl_status st = nsl_h5_write(f, path, type, rank, dims, data, NULL, err);
  if (st == NSL_OK && columns) { st = nsl_h5_put_text(f, path, "columns", columns, err); }
  return st;
}

nsl_status nsl_exposures_write(nsl_h5 *f, const char *group, const nsl_exposure_info *const *exposures, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_str text;
  nsl_str_init(&text);
  int64_t *ints = calloc(n + 1, N_INT * sizeof *ints);
  double *reals = calloc(n + 1, N_REAL * sizeof *reals);
  if (!ints || !reals) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan's exposure table"); }
  for (size_t k = 0; k < n; k++) {
    size_t first = text.n;
    nsl_str_addf(&text, "%s\n%s", exposures[k]->obsid, exposures[k]->path);
    pack(exposures[k], ints + k * N_INT, reals + k * N_REAL);
    ints[k * N_INT + I_TEXT_FIRST] = (int64_t)first;
    ints[k * N_INT + I_TEXT_LENGTH] = (int64_t)(text.n - first);
  }
  if (text.failed) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan's exposure table"); }
  NSL_TRY(nsl_h5_group(f, group, err));
  NSL_TRY(write_part(f, group, "int", NSL_H5_I64, 2, (size_t[]){n, N_INT}, ints, INT_COLUMNS, err));
  NSL_TRY(write_part(f, group, "real", NSL_H5_F64, 2, (size_t[]){n, N_REAL}, reals, REAL_COLUMNS, err));
  NSL_TRY(write_part(f, group, "text", NSL_H5_U8, 1, &text.n, text.text, NULL, err));
cleanup:
  nsl_str_free(&text);
  free(ints);
  free(reals);
  return st;
}

static nsl_status read_run(nsl_h5 *f, const char *group, size_t first, size_t count, nsl_exposure_info *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char path[96];
  char *text = NULL, *one = NULL;
  int64_t *ints = calloc(count, N_INT * sizeof *ints);
  double *reals = calloc(count, N_REAL * sizeof *reals);
  if (!ints || !reals) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan's exposure table"); }
  snprintf(path, sizeof path, "%s/int", group);
  NSL_TRY(nsl_h5_read_rows(f, path, NSL_H5_I64, N_INT, first, count, ints, err));
  snprintf(path, sizeof path, "%s/real", group);
  NSL_TRY(nsl_h5_read_rows(f, path, NSL_H5_F64, N_REAL, first, count, reals, err));
  const int64_t *last = ints + (count - 1) * N_INT;
  int64_t text_first = ints[I_TEXT_FIRST], length = last[I_TEXT_FIRST] + last[I_TEXT_LENGTH] - text_first;
  if (text_first < 0 || length < 0) { NSL_THROW(err, NSL_E_CORRUPT, "damaged exposure table"); }
  text = malloc((size_t)length + 1);
  if (!text) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan's exposure table"); }
  snprintf(path, sizeof path, "%s/text", group);
  NSL_TRY(nsl_h5_read_rows(f, path, NSL_H5_U8, 1, (size_t)text_first, (size_t)length, text, err));
  for (size_t k = 0; k < count; k++) {
    const int64_t *i = ints + k * N_INT;
    int64_t at = i[I_TEXT_FIRST] - text_first;
    if (at < 0 || i[I_TEXT_LENGTH] < 0 || at + i[I_TEXT_LENGTH] > length) {
      NSL_THROW(err, NSL_E_CORRUPT, "damaged exposure table");
    }
    one = strndup(text + at, (size_t)i[I_TEXT_LENGTH]);
    if (!one) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan's exposure table"); }
    NSL_TRY(unpack(i, reals + k * N_REAL, one, &out[k], err));
    free(one);
    one = NULL;
  }
cleanup:
  free(one);
  free(text);
  free(ints);
  free(reals);
  return st;
}

nsl_status nsl_exposures_read(nsl_h5 *f, const char *group, const int32_t *index, size_t n, nsl_exposure_info **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_exposure_info *e = calloc(n + 1, sizeof *e);
  if (!e) { return no_memory(err); }
  for (size_t k = 0; k < n;) { /* runs of neighbouring entries in one go */
    size_t run = 1;
    while (k + run < n && (!index || index[k + run] == index[k] + (int32_t)run)) { run++; }
    NSL_TRY(read_run(f, group, index ? (size_t)index[k] : k, run, e + k, err));
    k += run;
  }
  *out = e;
  e = NULL;
cleanup:
  for (size_t k = 0; e && k < n; k++) { nsl_exposure_info_free(&e[k]); }
  free(e);
  return st;
}

nsl_status nsl_texts_write(nsl_h5 *f, const char *path, char *const *texts, size_t n, nsl_error *err)
{
  nsl_str all;
  nsl_str_init(&all);
  for (size_t i = 0; i < n; i++) { nsl_str_add_n(&all, texts[i], strlen(texts[i]) + 1); }
  nsl_status st = all.failed ? no_memory(err) : nsl_h5_write(f, path, NSL_H5_U8, 1, &all.n, all.text, NULL, err);
  nsl_str_free(&all);
  return st;
}

nsl_status nsl_texts_read(nsl_h5 *f, const char *path, char ***texts, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK], at = 0;
  char *all = NULL;
  char **out = calloc(n + 1, sizeof *out);
  NSL_TRY(nsl_h5_dims(f, path, &rank, dims, err));
  all = malloc(dims[0] + 1);
  if (!all || !out) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan"); }
  all[dims[0]] = '\0';
  NSL_TRY(nsl_h5_read(f, path, NSL_H5_U8, dims[0], all, err));
  for (size_t i = 0; i < n; i++) {
    if (at >= dims[0]) { NSL_THROW(err, NSL_E_CORRUPT, "%s: fewer texts than it should hold", path); }
    out[i] = nsl_strdup(all + at);
    if (!out[i]) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the plan"); }
    at += strlen(all + at) + 1;
  }
  *texts = out;
  out = NULL;
cleanup:
  free(all);
  if (out) { nsl_paths_free(out, n); }
  return st;
}
