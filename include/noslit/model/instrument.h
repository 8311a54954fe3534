/* The instrument: bands with their canonical wavelength grids, detectors with their gratings. Everything comes from the
 * instrument file (configs/instruments/csst.yaml documents every key); nothing is hard-coded for CSST. Pure. */
#ifndef NOSLIT_MODEL_INSTRUMENT_H
#define NOSLIT_MODEL_INSTRUMENT_H

#include "noslit/base/hash.h"
#include "noslit/base/kv.h"
#include "noslit/model/trace.h"

#define NSL_BANDS_MAX 4
#define NSL_DETECTORS_MAX 64
#define NSL_GRATINGS_MAX 4
#define NSL_CONFS_MAX 64

/* Canonical grid of a band: column i (0-based) of a stamp has lambda = lambda0_a + dlambda_a * i (vacuum, bin centre). */
typedef struct {
  char name[8]; /* "GV" */
  double lambda0_a, dlambda_a;
  double lambda_min_a, lambda_max_a; /* range that counts as the band's (coverage, SNR) */
  double psf_ree80_arcsec;           /* radius of 80 % encircled energy in the middle of it; Gaussian FWHM = 1.3126 x it */
  double psf_exponent;               /* the radius grows as wavelength to this power */
} nsl_band;

typedef struct {
  double x_min, x_max; /* columns (FITS) of direct positions that this grating serves, inclusive .. exclusive */
  int conf;            /* index into confs */
} nsl_grating;

typedef struct {
  int id;   /* as in the file name and the DETECTOR key */
  int band; /* index into bands */
  long nx, ny;
  int n_gratings;
  nsl_grating gratings[NSL_GRATINGS_MAX];
  double offset_x_arcsec, offset_y_arcsec; /* detector centre from the boresight, for the mock */
} nsl_detector;

/* DQ bits of the L1 files: which make a pixel unusable, and which single ones are told apart. */
typedef struct {
  unsigned bad; /* mask: any of these bits and the pixel is not used */
  unsigned saturated, cosmic;
} nsl_dq_bits;

typedef struct {
  char name[32];
  double pixel_scale_arcsec;
  double collecting_area_cm2;
  double dark_e_s, read_noise_e, gain_e_adu, saturation_e;
  int n_bands, n_detectors, n_confs;
  nsl_band bands[NSL_BANDS_MAX];
  nsl_detector detectors[NSL_DETECTORS_MAX];
  nsl_trace_conf confs[NSL_CONFS_MAX];
  int stamp_band[2]; /* the bands of a stamp, in its order: GV, GI */
  nsl_dq_bits dq;
  nsl_hash hash; /* of the file, the confs and the sensitivities */
} nsl_instrument;

/* Fills everything but the contents of the confs, whose file names are left in confs[i].name for the loader. */
nsl_status nsl_instrument_parse(const nsl_kvlist *doc, nsl_instrument *out, nsl_error *err);
void nsl_instrument_free(nsl_instrument *inst); /* what it holds, not the struct */

const nsl_detector *nsl_instrument_detector(const nsl_instrument *inst, int id); /* NULL if unknown */
/* The grating over a direct position, or NULL outside all. */
const nsl_grating *nsl_detector_grating(const nsl_detector *det, double x_px);
/* Columns [x0, x1) of n canonical ones whose centres lie in the band's range (coverage, SNR). */
void nsl_band_columns(const nsl_band *band, int n, int *x0, int *x1);
/* Position (0 or 1) of a band in the stamp, or -1. */
int nsl_instrument_stamp_slot(const nsl_instrument *inst, int band);

#endif
