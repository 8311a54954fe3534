/* Private to stamp_file_*.c: how one stamp is packed, and which datasets a stamp file has (docs/formats.md).
 *
 * Packing, per stamp and band (nsl_stamp_scale says with what numbers):
 *   flux           int16: zero + flux / quantum, quantum = max(sigma_05 / 16, max|flux| / 32639), sigma_05 the 5 % quantile of
 *                  sigma; the error is at most quantum / 2, so at most sigma/32 on 95 % of the pixels with data. zero is 128: the
 *                  noise of either sign stays in the lower byte, and deflate takes two thirds of the time for three quarters of
 *                  the bytes
 *   variance       uint8: 0 no data, else 1 + (ln variance - ln_var_min) / ln_var_step; sigma is right within ln_var_step / 4
 *   contamination  uint8: 255 sqrt(c / contamination_max); the error is at most sqrt(c c_max)/255 + c_max/255^2 / 4 */
#ifndef NOSLIT_PIPE_STAMP_FILE_LAYOUT_H
#define NOSLIT_PIPE_STAMP_FILE_LAYOUT_H

#include "noslit/pipe/stamp_file.h"
#include "pipe/band_attributes.h"

#define NSL_STAMPS_FORMAT "noslit-stamps"
/* 1 has no errors of calibration, 2 no noise fraction, 3 no lines and sizes, 4 no zero; they are still read. */
#define NSL_STAMPS_VERSION 5
#define NSL_STAMPS_BLOCK 64 /* stamps that are allocated, read and written together */

typedef struct {
  float quantum, zero, ln_var_min, ln_var_step, contamination_max;
} nsl_stamp_scale;

/* Everything of a stamp but its planes. */
typedef struct {
  nsl_stamp_label label;
  nsl_stamp_band_info band[NSL_STAMP_BANDS];
  nsl_stamp_scale scale[NSL_STAMP_BANDS];
  uint32_t flags;
  float re_px, q, pa_x_deg, sersic_n;
  int64_t hash; /* of the packed planes and of all above */
} nsl_stamp_record;

/* Packed planes of up to NSL_STAMPS_BLOCK stamps, each [stamp][band][y][x]. */
typedef struct {
  int16_t *flux;
  uint8_t *variance, *contamination;
} nsl_stamp_block;

int nsl_stamp_block_alloc(nsl_stamp_block *b, size_t n); /* 0 when out of memory */
void nsl_stamp_block_free(nsl_stamp_block *b);

/* One band. Planes [40][480]. Pixels with variance 0 are stored as "no data". */
nsl_status nsl_stamp_pack_band(const float *flux, const float *variance, const float *contamination, int16_t *pf, uint8_t *pv,
                               uint8_t *pc, nsl_stamp_scale *scale, nsl_error *err);
void nsl_stamp_unpack_band(const int16_t *pf, const uint8_t *pv, const uint8_t *pc, const nsl_stamp_scale *scale, float *flux,
                           float *variance, float *contamination);

/* Hash of a record and its packed planes (stamp i of the block). */
int64_t nsl_stamp_record_hash(int version, const nsl_stamp_record *r, const nsl_stamp_block *b, size_t i);
/* Hash of a whole file's meaning: band grids and all record hashes. */
nsl_hash nsl_stamps_content_hash(const nsl_band band[NSL_STAMP_BANDS], const int64_t *hashes, size_t n);

/* All columns of records, as datasets of the file; those that a version does not have are left alone. */
nsl_status nsl_stamp_records_write(nsl_h5 *f, const nsl_stamp_record *records, size_t n, nsl_error *err);
nsl_status nsl_stamp_records_read(nsl_h5 *f, int version, nsl_stamp_record *records, size_t n, nsl_error *err);

#endif
