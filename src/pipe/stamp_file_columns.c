/* The columns of a stamp file: one table says where each stands in memory and in the file, so reading, writing and hashing
 * agree. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/stamp_file_layout.h"

typedef struct {
  const char *path;
  nsl_h5_type type;
  int per_band;  /* [n][2] instead of [n] */
  size_t offset; /* in nsl_stamp_record; of band 0 */
  size_t stride; /* from band to band */
  int since;     /* version of the format */
} column;

#define LABEL(member, type)                                                   \
  {                                                                           \
    "label/" #member, type, 0, offsetof(nsl_stamp_record, label.member), 0, 1 \
  }
#define ERROR_LABEL(member)                                                         \
  {                                                                                 \
    "label/" #member, NSL_H5_F32, 0, offsetof(nsl_stamp_record, label.member), 0, 2 \
  }
#define TRUTH_LABEL(member)                                                         \
  {                                                                                 \
    "label/" #member, NSL_H5_F32, 0, offsetof(nsl_stamp_record, label.member), 0, 4 \
  }
#define BAND(member, type)                                                                                \
  {                                                                                                       \
    "facts/" #member, type, 1, offsetof(nsl_stamp_record, band[0].member), sizeof(nsl_stamp_band_info), 1 \
  }
#define SCALE(member, since)                                                                                     \
  {                                                                                                              \
    "scale/" #member, NSL_H5_F32, 1, offsetof(nsl_stamp_record, scale[0].member), sizeof(nsl_stamp_scale), since \
  }
#define FACT(member, type)                                              \
  {                                                                     \
    "facts/" #member, type, 0, offsetof(nsl_stamp_record, member), 0, 1 \
  }

static const column columns[] = {
    LABEL(source_id, NSL_H5_I64),
    LABEL(z, NSL_H5_F64),
    LABEL(mag, NSL_H5_F32),
    LABEL(snr_gv, NSL_H5_F32),
    LABEL(snr_gi, NSL_H5_F32),
    LABEL(snr_gv_true, NSL_H5_F32),
    LABEL(snr_gi_true, NSL_H5_F32),
    LABEL(contamination, NSL_H5_F32),
    LABEL(type, NSL_H5_I32),
    LABEL(subtype, NSL_H5_I32),
    ERROR_LABEL(wave_error_gv),
    ERROR_LABEL(wave_error_gi),
    ERROR_LABEL(dispersion_error),
    ERROR_LABEL(trace_error),
    ERROR_LABEL(psf_error),
    ERROR_LABEL(sky_error),
    ERROR_LABEL(astrometric_error),
    {"label/noise_missing", NSL_H5_F32, 0, offsetof(nsl_stamp_record, label.noise_missing), 0, 3},
    TRUTH_LABEL(flux_oii),
    TRUTH_LABEL(flux_hb),
    TRUTH_LABEL(flux_oiii),
    TRUTH_LABEL(flux_ha),
    TRUTH_LABEL(flux_nii),
    TRUTH_LABEL(re_arcsec),
    TRUTH_LABEL(axis_ratio),
    TRUTH_LABEL(pa_deg),
    BAND(n_exp, NSL_H5_I32),
    BAND(exptime_s, NSL_H5_F32),
    {"facts/tilt", NSL_H5_F32, 1, offsetof(nsl_stamp_record, band[0].tilt), sizeof(nsl_stamp_band_info), 3},
    BAND(coverage, NSL_H5_F32),
    BAND(snr, NSL_H5_F32),
    BAND(contamination, NSL_H5_F32),
    FACT(flags, NSL_H5_U32),
    FACT(re_px, NSL_H5_F32),
    FACT(q, NSL_H5_F32),
    FACT(pa_x_deg, NSL_H5_F32),
    FACT(sersic_n, NSL_H5_F32),
    SCALE(quantum, 1),
    SCALE(zero, 5),
    SCALE(ln_var_min, 1),
    SCALE(ln_var_step, 1),
    SCALE(contamination_max, 1),
    FACT(hash, NSL_H5_I64)};
enum { N_COLUMNS = sizeof columns / sizeof *columns, HASH_COLUMN = N_COLUMNS - 1 };

static size_t per_row(const column *c) { return c->per_band ? NSL_STAMP_BANDS : 1; }

nsl_status nsl_stamp_records_write(nsl_h5 *f, const nsl_stamp_record *records, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *flat = malloc((n + 1) * NSL_STAMP_BANDS * sizeof(int64_t));
  if (!flat) { NSL_THROW(err, NSL_E_NOMEM, "columns of %zu stamps", n); }
  NSL_TRY(nsl_h5_group(f, "/label", err));
  NSL_TRY(nsl_h5_group(f, "/facts", err));
  NSL_TRY(nsl_h5_group(f, "/scale", err));
  for (int k = 0; k < N_COLUMNS; k++) {
    const column *c = &columns[k];
    size_t size = nsl_h5_type_size(c->type), m = per_row(c);
    for (size_t i = 0; i < n * m; i++) {
      memcpy(flat + i * size, (const char *)&records[i / m] + c->offset + i % m * c->stride, size);
    }
    size_t dims[2] = {n, m};
    NSL_TRY(nsl_h5_write(f, c->path, c->type, c->per_band ? 2 : 1, dims, flat, NULL, err));
  }
cleanup:
  free(flat);
  return st;
}

/* What files before version 4 do not say. */
static void forget_truth(nsl_stamp_label *l)
{
  l->flux_oii = l->flux_hb = l->flux_oiii = l->flux_ha = l->flux_nii = NAN;
  l->re_arcsec = l->axis_ratio = l->pa_deg = NAN;
}

nsl_status nsl_stamp_records_read(nsl_h5 *f, int version, nsl_stamp_record *records, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *flat = malloc((n + 1) * NSL_STAMP_BANDS * sizeof(int64_t));
  if (!flat) { NSL_THROW(err, NSL_E_NOMEM, "columns of %zu stamps", n); }
  for (size_t i = 0; i < n && version < 4; i++) { forget_truth(&records[i].label); }
  for (int k = 0; k < N_COLUMNS; k++) {
    const column *c = &columns[k];
    if (c->since > version) { continue; }
    size_t size = nsl_h5_type_size(c->type), m = per_row(c);
    NSL_TRY(nsl_h5_read(f, c->path, c->type, n * m, flat, err));
    for (size_t i = 0; i < n * m; i++) { memcpy((char *)&records[i / m] + c->offset + i % m * c->stride, flat + i * size, size); }
  }
cleanup:
  free(flat);
  return st;
}

int64_t nsl_stamp_record_hash(int version, const nsl_stamp_record *r, const nsl_stamp_block *b, size_t i)
{
  char facts[N_COLUMNS * NSL_STAMP_BANDS * sizeof(int64_t)];
  size_t used = 0;
  for (int k = 0; k < HASH_COLUMN; k++) {
    const column *c = &columns[k];
    if (c->since > version) { continue; }
    size_t size = nsl_h5_type_size(c->type);
    for (size_t j = 0; j < per_row(c); j++) {
      memcpy(facts + used, (const char *)r + c->offset + j * c->stride, size);
      used += size;
    }
  }
  nsl_hash part[4] = {nsl_hash_bytes(facts, used),
                      nsl_hash_bytes(b->flux + i * NSL_STAMP_PIXELS, NSL_STAMP_PIXELS * sizeof *b->flux),
                      nsl_hash_bytes(b->variance + i * NSL_STAMP_PIXELS, NSL_STAMP_PIXELS),
                      nsl_hash_bytes(b->contamination + i * NSL_STAMP_PIXELS, NSL_STAMP_PIXELS)};
  return (int64_t)nsl_hash_bytes(part, sizeof part).lo;
}

nsl_hash nsl_stamps_content_hash(const nsl_band band[NSL_STAMP_BANDS], const int64_t *hashes, size_t n)
{
  struct {
    nsl_hash stamps;
    double grid[NSL_STAMP_BANDS][4];
    char name[NSL_STAMP_BANDS][8];
  } all;
  memset(&all, 0, sizeof all);
  all.stamps = nsl_hash_bytes(hashes, n * sizeof *hashes);
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    const double grid[4] = {band[b].lambda0_a, band[b].dlambda_a, band[b].lambda_min_a, band[b].lambda_max_a};
    memcpy(all.grid[b], grid, sizeof grid);
    memcpy(all.name[b], band[b].name, strnlen(band[b].name, sizeof all.name[b]));
  }
  return nsl_hash_bytes(&all, sizeof all);
}
