/* The joint distribution of spectral parameters: what a source of a kind looks like. */
#include <math.h>
#include <string.h>

#include "noslit/base/rng.h"
#include "spectrum_internal.h"

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Median times a log-normal factor of `dex`. */
static double log_normal(nsl_rng *r, double median, double dex) { return median * pow(10, dex * nsl_rng_normal(r)); }

static void draw_strengths(nsl_rng *r, double metallicity, nsl_sed_params *p)
{
  for (int g = 0; g < NSL_SED_GROUPS; g++) { p->strength[g] = clamp(log_normal(r, g == 0 ? 1 : metallicity, 0.10), 0.3, 2); }
  for (int k = 0; k < 3; k++) { p->tilt[k] = 0.04 * nsl_rng_normal(r); }
}

/* log [OIII]/Hb on the star-forming sequence: the form of Kewley et al. (2013), moved by 0.04 towards the limit of pure star
 * formation and cut at the metal-rich end, so that the ratios are distributed as DESI's galaxies (docs/mock.md). */
static double bpt_ridge(double n2) { return 0.61 / (fmin(n2, -0.38) + 0.04) + 1.1; }

static void draw_active_lines(nsl_rng *r, double ebv_gas, double weight, nsl_sed_params *p)
{
  int liner = nsl_rng_uniform(r) < 0.5;
  double n2 = liner ? 0.05 + 0.12 * nsl_rng_normal(r) : -0.10 + 0.15 * nsl_rng_normal(r);
  double o3 = liner ? 0.25 + 0.15 * nsl_rng_normal(r) : 0.85 + 0.18 * nsl_rng_normal(r);
  double active[NSL_SED_LINES];
  nsl_line_ratios(n2, o3, 0.45 + 0.15 * nsl_rng_normal(r), -0.15 + 0.1 * nsl_rng_normal(r), ebv_gas, active);
  for (int i = 0; i < NSL_SED_LINES; i++) { p->line[i] = (1 - weight) * p->line[i] + weight * active[i]; }
}

static void draw_star_forming(nsl_rng *r, double blue, double n2, nsl_sed_params *p)
{
  double young = clamp(0.04 + 0.55 * blue + 0.10 * nsl_rng_normal(r), 0.01, 0.85);
  double middle = (1 - young) * clamp(0.35 + 0.2 * nsl_rng_normal(r), 0.02, 0.9);
  p->fraction[0] = 1 - young - middle;
  p->fraction[1] = middle;
  p->fraction[2] = young;
  p->log_age[0] = nsl_rng_range(r, 9.3, 10.1);
  p->log_age[1] = nsl_rng_range(r, 8.2, 9.3);
  p->log_age[2] = nsl_rng_range(r, 6.4, 8.1);
  double gas = clamp(-0.16 * log(1 - nsl_rng_uniform(r)) + 0.12 * (1 - blue), 0, 0.9);
  p->ebv_young = 0.7 * gas;
  p->ebv_old = 0.44 * gas;
  draw_strengths(r, clamp(0.85 + 0.5 * (n2 + 0.8) + 0.1 * nsl_rng_normal(r), 0.4, 1.3), p);
  double o3 = bpt_ridge(n2) + 0.12 * nsl_rng_normal(r);
  double o2 = 0.50 - 0.45 * (n2 + 1.0) * (n2 + 1.0) + 0.13 * nsl_rng_normal(r);
  double s2 = -0.55 - 0.25 * (o3 - 0.1) + 0.09 * nsl_rng_normal(r);
  nsl_line_ratios(n2, o3, o2, s2, gas, p->line);
  p->sigma_v_km_s = clamp(log_normal(r, 90, 0.15), 40, 250);
  if (nsl_rng_uniform(r) < 0.05) { draw_active_lines(r, gas, nsl_rng_range(r, 0.2, 1), p); }
}

static void draw_red(nsl_rng *r, nsl_sed_params *p)
{
  double middle = nsl_rng_uniform(r) < 0.15 ? nsl_rng_range(r, 0.1, 0.6) : nsl_rng_range(r, 0, 0.12);
  double young = nsl_rng_uniform(r) < 0.25 ? nsl_rng_range(r, 0, 0.06) : 0;
  p->fraction[0] = 1 - young - middle;
  p->fraction[1] = middle;
  p->fraction[2] = young;
  p->log_age[0] = nsl_rng_range(r, 9.4, 10.2);
  p->log_age[1] = nsl_rng_range(r, 8.7, 9.4);
  p->log_age[2] = nsl_rng_range(r, 7.5, 8.5);
  p->ebv_old = p->ebv_young = -0.04 * log(1 - nsl_rng_uniform(r));
  draw_strengths(r, clamp(1.0 + 0.14 * nsl_rng_normal(r), 0.5, 1.5), p);
  p->strength[NSL_SED_GROUPS - 1] *= pow(10, 0.08 * nsl_rng_normal(r)); /* magnesium over iron */
  nsl_line_ratios(-0.3, -0.3, 0.4, -0.35, 0.1, p->line);
  draw_active_lines(r, 0.1, 0.8, p);
  p->ew_ha_a = log_normal(r, 1.3, 0.35);
  p->sigma_v_km_s = clamp(log_normal(r, 200, 0.1), 100, 350);
}

void nsl_sed_params_draw(uint64_t seed, uint64_t id, nsl_kind kind, double z, nsl_sed_params *p)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_SPECTRUM, id, 0);
  memset(p, 0, sizeof *p);
  p->kind = kind;
  p->z = z;
  switch (kind) {
  case NSL_KIND_STAR:
    /* Mostly cool dwarfs at high galactic latitude. */
    p->z = 0;
    p->temperature_k = clamp(3500 + 1100 * fabs(nsl_rng_normal(&r)) + (nsl_rng_uniform(&r) < 0.35 ? 1800 : 0), 3400, 16000);
    draw_strengths(&r, clamp(0.9 + 0.2 * nsl_rng_normal(&r), 0.4, 1.4), p);
    break;
  case NSL_KIND_QUASAR:
    p->slope = -1.5 + 0.3 * nsl_rng_normal(&r);
    p->broad_km_s = clamp(log_normal(&r, 2000, 0.15), 900, 5000);
    p->ew_ha_a = log_normal(&r, 220, 0.15); /* broad */
    p->sigma_v_km_s = clamp(log_normal(&r, 180, 0.1), 100, 350);
    draw_strengths(&r, 1, p);
    draw_active_lines(&r, 0.1, 1, p);
    break;
  case NSL_KIND_RED:
    draw_red(&r, p);
    break;
  case NSL_KIND_ELG: {
    double blue = nsl_rng_range(&r, 0.6, 1);
    draw_star_forming(&r, blue, clamp(-1.0 + 0.28 * nsl_rng_normal(&r), -1.9, -0.35), p);
    p->ew_ha_a = log_normal(&r, 95, 0.30);
    break;
  }
  case NSL_KIND_FIELD: {
    double blue = nsl_rng_uniform(&r);
    draw_star_forming(&r, blue, clamp(-0.45 - 0.45 * blue + 0.22 * nsl_rng_normal(&r), -1.7, -0.2), p);
    /* One in eight is on its way out of star formation. */
    p->ew_ha_a = log_normal(&r, pow(10, 0.70 + 1.10 * blue - (nsl_rng_uniform(&r) < 0.125 ? 0.6 : 0)), 0.30);
    break;
  }
  }
}
