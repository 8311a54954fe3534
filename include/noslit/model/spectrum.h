/* Spectra of mock sources: a built-in parametric library (no data files) of galaxies, quasars and stars, or mixtures of the spectra
 * of a library file (docs/formats.md). Pure.
 *
 * A galaxy is a sum of seven kinds of stars weighted by the ages of an old, an intermediate and a young population, with breaks
 * and absorption features whose strengths vary from galaxy to galaxy, Calzetti (2000) dust, and emission lines whose ratios
 * follow the star-forming sequence of the BPT diagram (Kewley et al. 2013) or active nuclei. All parameters are continuous.
 * Wavelengths are vacuum. */
#ifndef NOSLIT_MODEL_SPECTRUM_H
#define NOSLIT_MODEL_SPECTRUM_H

#include <stdint.h>

#include "noslit/base/status.h"
#include "noslit/model/render.h"

/* What a mock source is; the value goes into the truth (subtype of nsl_stamp_label). */
typedef enum {
  NSL_KIND_FIELD = 0, /* flux-limited, mostly star-forming */
  NSL_KIND_RED = 1,   /* luminous red galaxy */
  NSL_KIND_ELG = 2,   /* strong emission lines */
  NSL_KIND_QUASAR = 3,
  NSL_KIND_STAR = 4
} nsl_kind;

/* Observed grid: point i is at NSL_SPECTRUM_LAMBDA0_A + NSL_SPECTRUM_STEP_A i. */
#define NSL_SPECTRUM_N 4251
#define NSL_SPECTRUM_LAMBDA0_A 3000.0
#define NSL_SPECTRUM_STEP_A 2.0
/* Reference band of magnitudes: AB, photon-weighted mean over a top hat (close to i; inside GI). */
#define NSL_MAG_BAND_MIN_A 6900.0
#define NSL_MAG_BAND_MAX_A 8200.0

#define NSL_SED_GROUPS 8 /* Balmer, blanketing, Ca-CN-CH, Fe, Na, TiO, Ca triplet, Mg */
#define NSL_SED_LINES 34

#define NSL_SED_MIXED 3 /* at most so many spectra of a library in a source */

/* The continuous parameters of one source's spectrum. */
typedef struct {
  nsl_kind kind;
  double z;
  double temperature_k;            /* stars */
  double log_age[3], fraction[3];  /* old, intermediate, young: log10 years, share of the light at 5500 A */
  double ebv_old, ebv_young;       /* Calzetti screens of old + intermediate and of young stars, mag */
  double strength[NSL_SED_GROUPS]; /* of the absorption groups, 1 is normal */
  double tilt[3];                  /* smooth wiggles of the continuum, relative amplitudes */
  double sigma_v_km_s;             /* of the narrow lines */
  double broad_km_s, slope;        /* quasars: rms width of broad lines, F_lambda ~ lambda^slope */
  double ew_ha_a;                  /* rest-frame equivalent width of H alpha, A */
  double line[NSL_SED_LINES];      /* fluxes of the emission lines relative to H alpha */
  int n_mixed;                     /* > 0: the light is of library spectra, not of the built-in stars */
  int mixed[NSL_SED_MIXED];
  double share[NSL_SED_MIXED]; /* of the light at 5500 A; sum 1 */
} nsl_sed_params;

/* Observed line fluxes, erg/s/cm2, kept for the truth table; only of lines that were put in, not of those in library spectra. */
typedef struct {
  double ha, hb, oiii5008, oii3728, nii6585; /* oii3728: both lines; nii6585: the stronger line alone */
} nsl_line_fluxes;

/* Parameters of source id: a function of (seed, id, kind, z) alone. */
void nsl_sed_params_draw(uint64_t seed, uint64_t id, nsl_kind kind, double z, nsl_sed_params *out);

typedef struct nsl_spectra nsl_spectra; /* the library's tables and scratch memory */
nsl_status nsl_spectra_new(nsl_spectra **out, nsl_error *err);
void nsl_spectra_free(nsl_spectra *s);
/* Adds a library spectrum: F_lambda on increasing rest-frame vacuum wavelengths, scaled to mean 1 over 5400-5600 A; ends are
 * continued as constants. has_lines: it has emission lines of its own. NSL_E_VALUE if it has no light there. */
nsl_status nsl_spectra_add(nsl_spectra *s, nsl_kind kind, int has_lines, size_t n, const double *lambda_a, const float *flam,
                           nsl_error *err);
int nsl_spectra_n_added(const nsl_spectra *s);
/* Makes p a mixture of library spectra of its kind: a function of (seed, id). The k-th spectrum of a kind belongs to part k %
 * n_parts (disjoint sets); a kind with fewer than n_parts spectra shares them. Nothing happens to kinds that the library does not
 * have. */
void nsl_spectra_mix(const nsl_spectra *s, uint64_t seed, uint64_t id, int part, int n_parts, nsl_sed_params *p);
/* The observed grid [NSL_SPECTRUM_N]. */
const double *nsl_spectra_lambda(const nsl_spectra *s);
/* Observed F_lambda [NSL_SPECTRUM_N] of AB magnitude mag in the reference band; lines may be NULL. */
void nsl_spectra_make(nsl_spectra *s, const nsl_sed_params *p, double mag, double *flam, nsl_line_fluxes *lines);

/* The same; of_lines [NSL_SPECTRUM_N] becomes what of it are emission lines. */
void nsl_spectra_make_parts(nsl_spectra *s, const nsl_sed_params *p, double mag, double *flam, double *of_lines,
                            nsl_line_fluxes *lines);

/* Photon-weighted AB magnitude of a spectrum on the observed grid in [lo, hi]. */
double nsl_spectrum_mag(const double *flam, double lo_a, double hi_a);

#endif
