/* Stamp files: training, validation, calibration and test stamps with their truth, stored compactly (HDF5). Local.
 * flux as int16 in units of quantum electrons; variance and contamination as logarithmic / square-root uint8. What that loses
 * (src/pipe/stamp_file_layout.h): flux at most sigma/32 on 95 % of the pixels, sigma under 2 %. Every stamp carries a hash that
 * the reader checks. docs/formats.md has the layout. */
#ifndef NOSLIT_PIPE_STAMP_FILE_H
#define NOSLIT_PIPE_STAMP_FILE_H

#include "noslit/base/hash.h"
#include "noslit/io/h5.h"
#include "noslit/model/instrument.h"
#include "noslit/model/stamp.h"

/* A star has no redshift (its z is 0); a blend has that of the brighter one of two galaxies. */
typedef enum { NSL_STAMP_GALAXY, NSL_STAMP_STAR, NSL_STAMP_QUASAR, NSL_STAMP_BLEND } nsl_stamp_type;

/* Truth of one stamp. */
typedef struct {
  int64_t source_id;
  double z;
  float mag, snr_gv, snr_gi;      /* snr of the noisy data, as in the catalogue */
  float snr_gv_true, snr_gi_true; /* from noise-free flux and variance */
  float contamination;            /* true fraction */
  int32_t type;                   /* nsl_stamp_type */
  int32_t subtype;                /* of the mock's population */
  /* errors of calibration put in, means over the exposures: lines lie so many px to the red, relative error of the dispersion,
   * rows, relative error of the PSF's width, relative sky left, arcsec of the catalogue's position */
  float wave_error_gv, wave_error_gi, dispersion_error, trace_error, psf_error, sky_error, astrometric_error;
  float
      noise_missing; /* of the noise that variance tells, this part (in sigma) is not in flux: training draws it (simulate.noise) */
  /* true line fluxes, erg/s/cm2: [OII] 3728 (both), H beta, [OIII] 5008, H alpha, [NII] 6585; half-light radius (0 for point
   * sources), axis ratio, position angle (north through east). NaN where they are not known: in real surveys, in files before
   * version 4. */
  float flux_oii, flux_hb, flux_oiii, flux_ha, flux_nii, re_arcsec, axis_ratio, pa_deg;
} nsl_stamp_label;

/* Keeps the stamps packed in memory (about 43 kB each) until finish writes and publishes the file. A plane that is not finite, or a
 * negative variance or contamination, is NSL_E_VALUE and the stamp is not added. provenance_json may be NULL. */
typedef struct nsl_stamp_writer nsl_stamp_writer;
nsl_status nsl_stamp_writer_new(const char *path, const nsl_instrument *inst, const char *provenance_json, nsl_stamp_writer **out,
                                nsl_error *err);
nsl_status nsl_stamp_writer_add(nsl_stamp_writer *w, const nsl_stamp *stamp, const nsl_stamp_label *label, nsl_error *err);
nsl_status nsl_stamp_writer_finish(nsl_stamp_writer *w, nsl_error *err); /* publishes; frees w in any case */
void nsl_stamp_writer_discard(nsl_stamp_writer *w);                      /* frees without writing; NULL is fine */

/* A set of shards read as one sequence, kept packed in memory (about 150 kB a stamp). */
typedef struct nsl_stamp_reader nsl_stamp_reader;
/* rank, size: this reader keeps stamps i with i % size == rank. */
nsl_status nsl_stamp_reader_open(const char *const *paths, size_t n_paths, int rank, int size, nsl_stamp_reader **out,
                                 nsl_error *err);
void nsl_stamp_reader_close(nsl_stamp_reader *r);
size_t nsl_stamp_reader_count(const nsl_stamp_reader *r);
size_t nsl_stamp_reader_total(const nsl_stamp_reader *r);           /* stamps of all ranks together */
size_t nsl_stamp_reader_index(const nsl_stamp_reader *r, size_t i); /* place of stamp i in the whole sequence */
const nsl_band *nsl_stamp_reader_bands(const nsl_stamp_reader *r);  /* [2]: the canonical grids, the same in all shards */
const nsl_stamp_label *nsl_stamp_reader_label(const nsl_stamp_reader *r, size_t i);
/* Unpacks stamp i into planes [2][40][480] that stamp points to (allocated by the caller). */
void nsl_stamp_reader_get(const nsl_stamp_reader *r, size_t i, nsl_stamp *stamp);
nsl_hash nsl_stamp_reader_hash(const nsl_stamp_reader *r); /* of the shards' contents, for provenance */

#endif
