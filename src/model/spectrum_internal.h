/* The parts of the spectrum library. */
#ifndef NOSLIT_MODEL_SPECTRUM_INTERNAL_H
#define NOSLIT_MODEL_SPECTRUM_INTERNAL_H

#include "noslit/model/spectrum.h"

/* Rest-frame grid of the stellar tables. */
#define REST_N 4200
#define REST_LAMBDA0_A 1100.0
#define REST_STEP_A 2.5

#define N_STARS 7 /* O, B, A, F, G, K, M */

extern const double nsl_star_temperature_k[N_STARS];

/* Tables [REST_N]: continuum of a kind of star (1 at 5500 A), and the optical depth of a group of features in it. depth is NULL
 * where a group has no feature. */
typedef struct {
  float *continuum;
  float *depth[NSL_SED_GROUPS];
} nsl_star_table;

nsl_status nsl_star_table_make(int star, nsl_star_table *out, nsl_error *err);
void nsl_star_table_free(nsl_star_table *t);

/* Shares of the light at 5500 A of the seven kinds in a population of one age; sum 1. */
void nsl_age_weights(double log_age, double w[N_STARS]);

/* Emission lines: rest wavelengths (vacuum) and whether broad in quasars. */
typedef struct {
  double lambda_a;
  double broad; /* flux relative to broad H beta in quasars; 0: narrow only */
} nsl_line_row;
extern const nsl_line_row nsl_line_list[NSL_SED_LINES];
enum { LINE_OII_A = 2, LINE_OII_B = 3, LINE_HB = 12, LINE_OIII = 14, LINE_NII = 19, LINE_HA = 20 };

double nsl_calzetti_k(double lambda_a);

/* A library spectrum on the rest-frame grid. */
typedef struct {
  nsl_kind kind;
  int has_lines;
  float *flux; /* [REST_N] */
} nsl_added;

nsl_status nsl_added_make(nsl_added *a, nsl_kind kind, int has_lines, size_t n, const double *lambda_a, const float *flam,
                          nsl_error *err);
void nsl_added_mix(const nsl_added *added, int n, uint64_t seed, uint64_t id, int part, int n_parts, nsl_sed_params *p);

/* Fluxes relative to H alpha from log [NII]6585/Ha, log [OIII]5008/Hb, log [OII]/Hb (dust-free), log [SII]/Ha and the gas E(B-V).
 */
void nsl_line_ratios(double n2, double oiii_hb, double oii_hb, double sii_ha, double ebv_gas, double ratio[NSL_SED_LINES]);

#endif
