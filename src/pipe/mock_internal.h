/* The parts of the mock: population, sky, light, noise, frames, stamps. */
#ifndef NOSLIT_PIPE_MOCK_INTERNAL_H
#define NOSLIT_PIPE_MOCK_INTERNAL_H

#include "mock_images.h"
#include "mock_table.h"
#include "noslit/base/rng.h"
#include "noslit/io/fits.h"
#include "noslit/io/wcs.h"
#include "noslit/model/render.h"
#include "noslit/model/source.h"
#include "noslit/model/spectrum.h"
#include "noslit/pipe/simulate.h"
#include "noslit/pipe/stamp_file.h"
#include "noslit/pipe/stamper.h"

/* Identifiers: every set of galaxies has a range of its own, so that no galaxy (spectrum, shape) is in two sets. */
#define NSL_MOCK_SET_STRIDE INT64_C(1000000000000)
#define NSL_MOCK_FAINT_OFFSET INT64_C(500000000000) /* uncatalogued sources and neighbours inside a set's range */
#define NSL_MOCK_POOL_OFFSET INT64_C(900000000000)  /* neighbours' spectra */
#define NSL_MOCK_COUNT_SLOPE 0.35                   /* dex per magnitude, of the sky */
typedef enum { NSL_SET_SURVEY, NSL_SET_TRAIN, NSL_SET_VALIDATION, NSL_SET_CALIBRATION, NSL_SET_TEST } nsl_mock_set;

#define NSL_MOCK_EXPOSURES_MAX 64

typedef struct {
  int64_t id;
  nsl_kind kind;
  int catalogued;
  double z, mag;
  nsl_shape shape; /* re 0 for stars and quasars */
  int image;       /* 1 + its number in simulate.images, 0 for none */
  double ra_deg, dec_deg;
} nsl_mock_source;

/* What the population is drawn from (simulate.*). */
typedef struct {
  double density_arcmin2; /* galaxies between mag_min and mag_max */
  double mag_min, mag_max, faint_mag, z_min, z_max, star_fraction, quasar_fraction, astrometric_error_arcsec;
  double z_wanted;             /* of galaxies; NaN for what the population gives */
  const nsl_mock_table *table; /* borrowed, or NULL: what catalogued sources are drawn from */
  const nsl_images *images;    /* borrowed, or NULL: their shapes */
  double images_fraction;
} nsl_population;

/* --- mock_population.c: a source as a function of (seed, id) --- */
nsl_population nsl_population_from(const nsl_config *cfg);
/* Catalogued sources per arcmin2 (stars included), and uncatalogued galaxies per arcmin2. */
double nsl_population_density(const nsl_population *p);
double nsl_population_faint_density(const nsl_population *p);
/* A catalogued source (galaxy, quasar or star), or an uncatalogued galaxy, at position 0, 0. slope: of the number counts of
 * catalogued ones, dex per magnitude. */
void nsl_population_draw(const nsl_population *p, uint64_t seed, int64_t id, int catalogued, double slope, nsl_mock_source *out);
/* What the image catalogue says of it: position, magnitude and shape with small errors. */
void nsl_population_catalogue_entry(const nsl_population *p, uint64_t seed, const nsl_mock_source *s, nsl_source *out);

/* --- mock_light.c: electrons --- */
/* e-/s/px of the zodiacal sky of V magnitude sky_mag per arcsec2, through the first order of a conf. */
double nsl_mock_sky_rate(const nsl_instrument *inst, const nsl_trace_conf *conf, double sky_mag);
/* The first-order conf that stands for a band (its first detector's first grating); NULL if the band has no detector. */
const nsl_trace_conf *nsl_mock_band_conf(const nsl_instrument *inst, int band);
/* SNR as facts A1.5 define it, from noise-free light in the extraction box and the variance of n_exp exposures. */
double nsl_mock_true_snr(nsl_mock *m, int slot, const double *flam, const nsl_mix *mix, int n_exp);
/* Adds the light of a source: continuum and lines (of_lines is part of flam) by their own profiles. map: px per arcsec. */
nsl_status nsl_mock_render_galaxy(nsl_mock *m, const nsl_trace_conf *conf, double x_px, double y_px, const nsl_mock_source *s,
                                  const nsl_psf *psf, const double map[4], double *flam, const double *of_lines, nsl_window *window,
                                  nsl_error *err);
/* Adds a source to a window; faint sources only by their first and zeroth orders. */
nsl_status nsl_mock_render(nsl_mock *m, const nsl_trace_conf *conf, double x_px, double y_px, const nsl_mix *mix,
                           const nsl_sed *sed, double mag, double scale_seconds, nsl_window *window, nsl_error *err);

/* --- mock_errors.c: what the sky does and the instrument file does not know --- */
typedef enum { NSL_WAVE_NORMAL, NSL_WAVE_UNIFORM, NSL_WAVE_FIXED } nsl_wave_shape;

/* Sizes of the errors (simulate.error_*): rms, or half widths or the value itself of wavelength errors. */
typedef struct {
  nsl_wave_shape wave_shape;
  char wave_band[8]; /* the only band with wavelength errors; "": every one */
  double wave_grating_px, wave_exposure_px, dispersion, trace_px, psf, sky, stray;
} nsl_error_sizes;

nsl_error_sizes nsl_error_sizes_from(const nsl_config *cfg);
/* One of them: simulate.clean means none, but for those that are set by name. */
double nsl_error_size(const nsl_config *cfg, const char *key);

#define NSL_SKY_WAVES 3
/* The sky over its mean, minus 1: a few waves (flat field, scattered light) and a slope across the detector. */
typedef struct {
  double amplitude, slope_x, slope_y, nx, ny;
  struct {
    double kx, ky, phase;
  } wave[NSL_SKY_WAVES];
} nsl_sky_pattern;

typedef struct {
  double wave_px;    /* lines lie so many px towards the red of where the file says */
  double dispersion; /* relative: their distances from the band's middle are so much larger */
  double trace_px;   /* the trace lies so many rows higher */
} nsl_grating_error;

/* A detector on one exposure as it is. */
typedef struct {
  nsl_trace_conf conf[NSL_GRATINGS_MAX]; /* of its gratings; shares the instrument's sensitivities: not to be freed */
  nsl_grating_error grating[NSL_GRATINGS_MAX];
  double psf; /* relative error of the PSF's width */
  nsl_psf true_psf;
  nsl_sky_pattern sky;
} nsl_mock_optics;

/* Streams are named by (id, part) for what lasts and by exposure for what does not: detector and 0 in a survey, galaxy and band in
 * training stamps. */
void nsl_mock_optics_draw(const nsl_mock *m, const nsl_detector *det, uint64_t id, uint64_t part, uint64_t exposure,
                          nsl_mock_optics *out);
int nsl_mock_grating_at(const nsl_detector *det, double x_px); /* index into the detector's gratings, -1 for none */
/* Means of what a source meets, over its exposures. */
typedef struct {
  int n[2];
  double wave_px[2]; /* by the stamp's bands */
  double dispersion, trace_px, psf, sky;
} nsl_mock_met;

void nsl_mock_met_add(nsl_mock_met *met, const nsl_mock_optics *o, int grating, int slot, const nsl_trace *trace,
                      const nsl_band *band);
void nsl_mock_met_mean(nsl_mock_met *met); /* sums to means, 0 where there are none */
/* Distance of the catalogue's position from the true one, arcsec. */
double nsl_mock_astrometric_error(const nsl_mock_source *s, const nsl_source *entry);
/* How much more sky there is at a place than where its sky is measured, relative. */
double nsl_mock_sky_error(const nsl_sky_pattern *p, double x_px, double y_px);
/* Adds the sky of a mean of `electrons` per px, and the dark current's electrons. */
nsl_status nsl_mock_add_sky(const nsl_sky_pattern *p, double electrons, double dark, const nsl_window *w, nsl_error *err);

/* --- mock_noise.c --- */
enum { NSL_MOCK_NORMALS_LANES = 8, NSL_MOCK_NORMALS_STEP = 512 };

/* Standard normal numbers of a named stream; vectorised. */
typedef struct {
  uint32_t s[4][NSL_MOCK_NORMALS_LANES];
} nsl_mock_normals;
void nsl_mock_normals_start(nsl_mock_normals *g, nsl_rng *stream);
/* The next n numbers. In how many calls they are asked for makes no difference where n is a multiple of NSL_MOCK_NORMALS_STEP in
 * all but the last. */
void nsl_mock_normals_next(nsl_mock_normals *g, float *out, size_t n);

/* --- mock_detector.c: what the detector makes of light --- */
typedef struct {
  double dark_e_s, read_noise_e, gain_e_adu, saturation_e;
  double noise;          /* fraction of the shot and read noise that is drawn; err is that of all of it */
  double cosmic_rate_px; /* hits per pixel and exposure */
  unsigned bit_bad, bit_hot, bit_warm, bit_trail, bit_saturated, bit_cosmic;
} nsl_mock_detector;

nsl_mock_detector nsl_mock_detector_from(const nsl_config *cfg, const nsl_instrument *inst, double exptime_s);
/* Dead, hot and warm pixels of a patch: their fraction is `fraction`; light changes, dq gets bits. */
void nsl_mock_bad_pixels(const nsl_mock_detector *d, double fraction, double exptime_s, nsl_rng *rng, int w, int h,
                         float *electrons, int32_t *dq);
void nsl_mock_cosmic_rays(const nsl_mock_detector *d, nsl_rng *rng, int w, int h, float *electrons, int32_t *dq);
/* Charge above saturation flows along the columns; pixels it fills get the bit. */
void nsl_mock_bleed(const nsl_mock_detector *d, int w, int h, float *electrons, int32_t *dq);
/* With this probability a satellite crosses the frame. */
void nsl_mock_satellite(const nsl_mock_detector *d, double probability, nsl_rng *rng, int w, int h, float *electrons, int32_t *dq);
/* Mean electrons (light, sky and dark) of n pixels become measured ones: shot and read noise, saturation, gain steps; dark
 * subtracted. err is the pipeline's sigma (facts A3.3). electrons is overwritten. */
void nsl_mock_read_out(const nsl_mock_detector *d, double exptime_s, nsl_rng *rng, size_t n, float *electrons, float *err,
                       int32_t *dq);

/* --- mock_target.c --- */
/* The source of a stamp, by the stamp's source_id. */
nsl_stamp_type nsl_mock_target(const nsl_mock *m, int64_t id, nsl_mock_source *out);

/* --- mock_shape.c --- */
/* True profiles of the continuum and of the emission lines, a function of (seed, id); 0 when lines are as the continuum (their
 * profile is not set then). Catalogued galaxies have structure, others are Sersic profiles. */
int nsl_mock_profiles(const nsl_mock *m, const nsl_mock_source *s, double psf_px, const double sky_to_px[4], nsl_mix *continuum,
                      nsl_mix *lines);

/* --- mock_library.c --- */
nsl_status nsl_mock_read_library(const char *path, nsl_spectra *spectra, nsl_error *err);
/* What the source's spectrum is: built in, or of the library if there is one. Sets share no library spectrum. */
void nsl_mock_sed(const nsl_mock *m, int64_t id, nsl_kind kind, double z, nsl_sed_params *p);

/* --- mock_sky.c: the mock as a whole, and the pool of neighbours' spectra --- */
/* A spectrum of magnitude 0, borrowed. */
nsl_status nsl_mock_pool_entry(nsl_mock *m, nsl_mock_set set, uint64_t pick, int is_star, const nsl_sed **sed, nsl_error *err);

/* --- mock_field.c: pointings, frames and the survey's sources --- */
typedef struct {
  int index, pointing, exposure;
  const nsl_detector *det;
  double ra_deg, dec_deg; /* boresight */
  double rotation_deg;
} nsl_mock_frame;

nsl_mock_frame nsl_mock_frame_at(const nsl_mock *m, int index);
/* Draws the survey's sources, once. */
nsl_status nsl_mock_draw_sky(nsl_mock *m, nsl_error *err);

/* --- mock_header.c: names and headers of frames --- */
/* The WCS cards of a frame, 80 characters each, for nsl_wcs_new; caller frees. */
char *nsl_mock_wcs_cards(const nsl_mock *m, const nsl_mock_frame *f, int *n_cards);
char *nsl_mock_frame_name(const nsl_mock *m, const nsl_mock_frame *f);
nsl_status nsl_mock_put_primary(const nsl_mock *m, const nsl_mock_frame *f, nsl_fits_writer *w, nsl_error *err);
nsl_status nsl_mock_put_wcs(const nsl_mock *m, const nsl_mock_frame *f, nsl_fits_writer *w, nsl_error *err);
char *nsl_mock_outdir(const nsl_mock *m); /* caller frees */

/* --- mock_frame.c --- */
/* Detector and exposure as they are, errors of calibration included. */
void nsl_mock_frame_optics(const nsl_mock *m, const nsl_mock_frame *f, nsl_mock_optics *out);
/* Noise-free light of all survey sources, or of source `only` if that is not -1, on a window of a frame. */
nsl_status nsl_mock_light(nsl_mock *m, const nsl_mock_frame *f, nsl_wcs *wcs, long only, nsl_window *window, nsl_error *err);
/* Spectrum of a survey source on the observed grid. of_lines [NSL_SPECTRUM_N]: NULL, or what of it are emission lines. */
void nsl_mock_spectrum(nsl_mock *m, const nsl_mock_source *s, double *flam, double *of_lines, nsl_line_fluxes *lines);

struct nsl_mock {
  const nsl_config *cfg;
  const nsl_instrument *inst;
  const nsl_log *log;
  uint64_t seed;
  nsl_population population;
  int n_exposures;
  double exptime_s, sky_mag;
  nsl_mock_detector detector;
  double bad_pixels;
  nsl_error_sizes errors;
  nsl_spectra *spectra;
  double library_fraction;
  nsl_mock_table *table; /* simulate.population, or NULL */
  nsl_images *images;    /* simulate.images, or NULL */
  nsl_mock_nz target_nz; /* simulate.target_nz; n 0 for none */
  int structure;         /* galaxies are more than Sersic profiles */
  int one_profile;       /* and lines have the continuum's (simulate.clean: as the paper, which has one image a galaxy) */
  nsl_renderer *renderer;
  double psf_px[NSL_BANDS_MAX], sky_rate[NSL_BANDS_MAX]; /* e-/s/px */
  double *response[2];                                   /* [NSL_SPECTRUM_N] first-order sensitivity of the stamp's bands */
  /* survey */
  int drawn;
  size_t n_sources;
  nsl_mock_source *sources;
  /* neighbours' spectra, made when first asked for */
  nsl_sed *pool;
  int pool_set;
};

#endif
