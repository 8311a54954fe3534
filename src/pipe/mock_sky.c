/* The mock as a whole: settings, the survey's sources and frames, the pool of neighbours' spectra. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/str.h"

#define POOL_SIZE 512 /* spectra that neighbours of training stamps share; one in POOL_STARS is a star */
#define POOL_STARS 8

static nsl_status check_bands(nsl_mock *m, nsl_error *err)
{
  for (int slot = 0; slot < 2; slot++) {
    int band = m->inst->stamp_band[slot];
    const nsl_trace_conf *conf = nsl_mock_band_conf(m->inst, band);
    const nsl_beam *a = conf ? nsl_trace_conf_beam(conf, 'A') : NULL;
    if (!a || a->sensitivity.n < 2) {
      return nsl_fail(err, NSL_E_CONFIG, "%s: band %s has no detector with a first order (beam A) and its sensitivity",
                      m->inst->name, m->inst->bands[band].name);
    }
    m->response[slot] = malloc(NSL_SPECTRUM_N * sizeof(double));
    if (!m->response[slot]) { return nsl_fail(err, NSL_E_NOMEM, "sensitivity of band %s", m->inst->bands[band].name); }
    for (int i = 0; i < NSL_SPECTRUM_N; i++) {
      m->response[slot][i] = nsl_sensitivity_at(&a->sensitivity, NSL_SPECTRUM_LAMBDA0_A + NSL_SPECTRUM_STEP_A * i);
    }
  }
  return NSL_OK;
}

static nsl_status settings(nsl_mock *m, nsl_error *err)
{
  m->seed = (uint64_t)nsl_config_int(m->cfg, "survey.seed");
  m->population = nsl_population_from(m->cfg);
  m->n_exposures = (int)nsl_config_int(m->cfg, "simulate.exposures");
  m->exptime_s = nsl_config_real(m->cfg, "simulate.exptime");
  m->sky_mag = nsl_config_real(m->cfg, "simulate.sky_mag");
  m->detector = nsl_mock_detector_from(m->cfg, m->inst, m->exptime_s);
  m->bad_pixels = nsl_config_real(m->cfg, "simulate.bad_pixels");
  m->errors = nsl_error_sizes_from(m->cfg);
  const nsl_population *p = &m->population;
  if (!(p->mag_max > p->mag_min)) {
    return nsl_fail(err, NSL_E_CONFIG, "%s: simulate.mag_max (%g) must be above simulate.mag_min (%g)", nsl_config_file(m->cfg),
                    p->mag_max, p->mag_min);
  }
  if (!(p->z_max > p->z_min)) {
    return nsl_fail(err, NSL_E_CONFIG, "%s: simulate.z_max (%g) must be above simulate.z_min (%g)", nsl_config_file(m->cfg),
                    p->z_max, p->z_min);
  }
  for (int b = 0; b < m->inst->n_bands; b++) {
    const nsl_trace_conf *conf = nsl_mock_band_conf(m->inst, b);
    m->psf_px[b] = nsl_psf_sigma_px(m->inst->bands[b].psf_ree80_arcsec, m->inst->pixel_scale_arcsec);
    m->sky_rate[b] = conf ? nsl_mock_sky_rate(m->inst, conf, m->sky_mag) : 0;
  }
  return check_bands(m, err);
}

/* The files that sources are drawn from, where there are any. */
static nsl_status read_population(nsl_mock *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_population *p = &m->population;
  const char *images = nsl_config_text(m->cfg, "simulate.images"), *table = nsl_config_text(m->cfg, "simulate.population"),
             *nz = nsl_config_text(m->cfg, "simulate.target_nz");
  if (*images) { NSL_TRY(nsl_images_read(images, &m->images, err)); }
  if (*table) { NSL_TRY(nsl_mock_table_read(table, p->mag_min, p->mag_max, p->z_min, p->z_max, &m->table, err)); }
  if (*nz) { NSL_TRY(nsl_mock_nz_read(nz, p->z_min, p->z_max, &m->target_nz, err)); }
  p->images = m->images;
  p->table = m->table;
cleanup:
  return st;
}

nsl_status nsl_mock_new(const nsl_config *cfg, const nsl_instrument *inst, const nsl_log *log, nsl_mock **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = calloc(1, sizeof *m);
  if (!m) { NSL_THROW(err, NSL_E_NOMEM, "mock"); }
  m->cfg = cfg;
  m->inst = inst;
  m->log = log;
  m->pool_set = -1;
  NSL_TRY(settings(m, err));
  NSL_TRY(nsl_spectra_new(&m->spectra, err));
  m->structure = nsl_config_bool(cfg, "simulate.structure");
  m->one_profile = nsl_config_bool(cfg, "simulate.clean");
  m->library_fraction = nsl_config_real(cfg, "simulate.library_fraction");
  const char *library = nsl_config_text(cfg, "simulate.library");
  if (*library) { NSL_TRY(nsl_mock_read_library(library, m->spectra, err)); }
  NSL_TRY(read_population(m, err));
  m->renderer = nsl_renderer_new();
  m->pool = calloc(POOL_SIZE, sizeof *m->pool);
  if (!m->renderer || !m->pool) { NSL_THROW(err, NSL_E_NOMEM, "mock"); }
  *out = m;
  m = NULL;
cleanup:
  nsl_mock_free(m);
  return st;
}

static void drop_pool(nsl_mock *m)
{
  for (int i = 0; m->pool && i < POOL_SIZE; i++) {
    free((void *)m->pool[i].flam);
    m->pool[i] = (nsl_sed){0};
  }
}

void nsl_mock_free(nsl_mock *m)
{
  if (!m) { return; }
  drop_pool(m);
  free(m->pool);
  free(m->sources);
  free(m->response[0]);
  free(m->response[1]);
  nsl_images_free(m->images);
  nsl_mock_table_free(m->table);
  nsl_mock_nz_free(&m->target_nz);
  nsl_spectra_free(m->spectra);
  nsl_renderer_free(m->renderer);
  free(m);
}

nsl_status nsl_mock_pool_entry(nsl_mock *m, nsl_mock_set set, uint64_t pick, int is_star, const nsl_sed **sed, nsl_error *err)
{
  if (m->pool_set != (int)set) {
    drop_pool(m);
    m->pool_set = (int)set;
  }
  uint64_t k = pick % POOL_SIZE;
  k = is_star ? k - k % POOL_STARS : k % POOL_STARS ? k : k + 1;
  if (!m->pool[k].flam) {
    nsl_mock_source s;
    nsl_sed_params p;
    int64_t id = (int64_t)set * NSL_MOCK_SET_STRIDE + NSL_MOCK_POOL_OFFSET + (int64_t)k;
    nsl_population_draw(&m->population, m->seed, id, 0, NSL_MOCK_COUNT_SLOPE, &s);
    double *flam = malloc(NSL_SPECTRUM_N * sizeof *flam);
    if (!flam) { return nsl_fail(err, NSL_E_NOMEM, "neighbours' spectra"); }
    nsl_mock_sed(m, id, is_star ? NSL_KIND_STAR : s.kind, s.z, &p);
    nsl_spectra_make(m->spectra, &p, 0, flam, NULL);
    m->pool[k] = (nsl_sed){.n = NSL_SPECTRUM_N, .lambda_a = nsl_spectra_lambda(m->spectra), .flam = flam};
    m->pool[k].hash = nsl_sed_hash(&m->pool[k]);
  }
  *sed = &m->pool[k];
  return NSL_OK;
}
