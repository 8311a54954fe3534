/* The source of a training stamp: drawn until one is bright enough. */
#include <math.h>

#include "mock_studio.h"

#define ATTEMPTS 1000     /* draws of a galaxy per stamp; also the spacing of identifiers */
#define ATTEMPTS_AT_Z 250 /* of simulate.target_nz: then another redshift is tried, at which galaxies may be bright enough */

/* Which type of target stamp `index` of a set has; *p is the population that gives it. Most are galaxies. */
static nsl_stamp_type draw_type(const nsl_mock *m, int64_t set, int64_t index, nsl_population *p)
{
  double star = nsl_error_size(m->cfg, "simulate.stamp_stars"), quasar = nsl_error_size(m->cfg, "simulate.stamp_quasars"),
         blend = nsl_error_size(m->cfg, "simulate.stamp_blends");
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)(set * NSL_MOCK_SET_STRIDE + index * ATTEMPTS), 9);
  double u = nsl_rng_uniform(&r);
  nsl_stamp_type type = u < star                    ? NSL_STAMP_STAR
                        : u < star + quasar         ? NSL_STAMP_QUASAR
                        : u < star + quasar + blend ? NSL_STAMP_BLEND
                                                    : NSL_STAMP_GALAXY;
  *p = m->population;
  p->star_fraction = type == NSL_STAMP_STAR;
  p->quasar_fraction = type == NSL_STAMP_QUASAR;
  return type;
}

/* The redshift that attempt k at a stamp is to have; NaN for any. */
static double draw_wanted(const nsl_mock *m, nsl_stamp_type type, int64_t id)
{
  if (m->target_nz.n == 0 || !(type == NSL_STAMP_GALAXY || type == NSL_STAMP_BLEND)) { return NAN; }
  int64_t k = id % ATTEMPTS;
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)(id - k), 20 + (uint64_t)(k / ATTEMPTS_AT_Z));
  return nsl_mock_nz_draw(&m->target_nz, nsl_rng_uniform(&r));
}

nsl_stamp_type nsl_mock_target(const nsl_mock *m, int64_t id, nsl_mock_source *out)
{
  nsl_population population;
  nsl_stamp_type type = draw_type(m, id / NSL_MOCK_SET_STRIDE, id % NSL_MOCK_SET_STRIDE / ATTEMPTS, &population);
  population.z_wanted = draw_wanted(m, type, id);
  nsl_population_draw(&population, m->seed, id, 1, nsl_config_real(m->cfg, "simulate.stamp_slope"), out);
  return type;
}

/* A target of the set that is bright enough; its spectrum is left in s->flam. */
nsl_status nsl_studio_draw_target(nsl_studio *s, int64_t index, nsl_mock_source *src, double snr[2], nsl_error *err)
{
  nsl_mock *m = s->m;
  double snr_min = nsl_config_real(m->cfg, "simulate.snr_min"), j[4];
  nsl_mock_local_map(m, 0, j);
  for (int64_t k = 0; k < ATTEMPTS; k++) {
    int64_t id = (int64_t)s->set * NSL_MOCK_SET_STRIDE + index * ATTEMPTS + k;
    s->type = nsl_mock_target(m, id, src);
    if (src->mag < m->population.mag_min) { continue; } /* stars are drawn from 15.5 mag on */
    nsl_sed_params p;
    nsl_mix mix, unused;
    nsl_mock_sed(m, id, src->kind, src->z, &p);
    nsl_spectra_make_parts(m->spectra, &p, src->mag, s->flam, s->of_lines, &s->lines);
    for (int slot = 1; slot >= 0; slot--) {
      (void)nsl_mock_profiles(m, src, m->psf_px[m->inst->stamp_band[slot]], j, &mix, &unused);
      snr[slot] = nsl_mock_true_snr(m, slot, s->flam, &mix, m->n_exposures);
      if (slot == 1 && snr[1] < snr_min) { break; }
    }
    if (snr[1] >= snr_min) { return NSL_OK; }
  }
  return nsl_fail(err, NSL_E_CONFIG, "none of %d galaxies reaches SNR_GI %g: lower simulate.snr_min or simulate.mag_max", ATTEMPTS,
                  snr_min);
}
