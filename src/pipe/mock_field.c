/* The field: pointings in steps of one detector, dithers, and the sources where both bands look. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"

#define MARGIN_ARCSEC 15.0 /* sources this far outside the covered field are catalogued too, with partial coverage */
#define DEGREE (M_PI / 180)

static int is_used(const nsl_mock *m, const nsl_detector *d)
{
  return nsl_config_bool(m->cfg, "simulate.all_bands") || nsl_instrument_stamp_slot(m->inst, d->band) >= 0;
}

static int detectors_used(const nsl_mock *m)
{
  int n = 0;
  for (int d = 0; d < m->inst->n_detectors; d++) { n += is_used(m, &m->inst->detectors[d]); }
  return n;
}

static void grid(const nsl_mock *m, int *nx, int *ny)
{
  *nx = (int)nsl_config_int(m->cfg, "simulate.pointings_x");
  *ny = (int)nsl_config_int(m->cfg, "simulate.pointings_y");
}

int nsl_mock_n_frames(const nsl_mock *m)
{
  int nx, ny;
  grid(m, &nx, &ny);
  return nx * ny * m->n_exposures * detectors_used(m);
}

/* Offset of a pointing's boresight from the field's centre, arcsec to the east and to the north: steps of one detector. */
static void pointing_offset(const nsl_mock *m, int pointing, double *east, double *north)
{
  int nx, ny;
  grid(m, &nx, &ny);
  const nsl_detector *d = &m->inst->detectors[0];
  double s = m->inst->pixel_scale_arcsec;
  *east = (pointing % nx - 0.5 * (nx - 1)) * (double)d->nx * s;
  *north = (pointing / nx - 0.5 * (ny - 1)) * (double)d->ny * s;
}

/* The point east and north (arcsec) of a centre, by the gnomonic projection. */
static void offset_to_sky(double ra0_deg, double dec0_deg, double east, double north, double *ra_deg, double *dec_deg)
{
  double xi = east / 3600 * DEGREE, eta = north / 3600 * DEGREE, s = sin(dec0_deg * DEGREE), c = cos(dec0_deg * DEGREE);
  double d = c - eta * s, ra = atan2(xi, d);
  *dec_deg = atan2(cos(ra) * (s + eta * c), d) / DEGREE;
  *ra_deg = fmod(ra0_deg + ra / DEGREE + 360, 360);
}

nsl_mock_frame nsl_mock_frame_at(const nsl_mock *m, int index)
{
  int per_exposure = detectors_used(m), k = index % per_exposure;
  nsl_mock_frame f = {
      .index = index, .exposure = index / per_exposure % m->n_exposures, .pointing = index / per_exposure / m->n_exposures};
  for (int d = 0; d < m->inst->n_detectors; d++) {
    if (is_used(m, &m->inst->detectors[d]) && k-- == 0) { f.det = &m->inst->detectors[d]; }
  }
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)f.pointing, (uint64_t)(1000 + f.exposure));
  nsl_rng turn = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)f.pointing, 999);
  double dither = nsl_config_real(m->cfg, "simulate.dither"), east, north;
  pointing_offset(m, f.pointing, &east, &north);
  east += dither * nsl_rng_range(&r, -1, 1);
  north += dither * nsl_rng_range(&r, -1, 1);
  offset_to_sky(nsl_config_real(m->cfg, "simulate.ra"), nsl_config_real(m->cfg, "simulate.dec"), east, north, &f.ra_deg,
                &f.dec_deg);
  f.rotation_deg = nsl_config_real(m->cfg, "simulate.rotation") * nsl_rng_range(&turn, -1, 1);
  return f;
}

/* Does a detector of the stamp's band see the point (arcsec from the field's centre), pointings taken as undithered and unturned?
 * x of the pixels grows to the west. */
static int is_seen(const nsl_mock *m, int slot, double east, double north)
{
  int nx, ny;
  grid(m, &nx, &ny);
  for (int p = 0; p < nx * ny; p++) {
    double e, n;
    pointing_offset(m, p, &e, &n);
    for (int d = 0; d < m->inst->n_detectors; d++) {
      const nsl_detector *det = &m->inst->detectors[d];
      if (det->band != m->inst->stamp_band[slot]) { continue; }
      double half_x = 0.5 * (double)det->nx * m->inst->pixel_scale_arcsec,
             half_y = 0.5 * (double)det->ny * m->inst->pixel_scale_arcsec;
      double x = -(east - e) - det->offset_x_arcsec, y = north - n - det->offset_y_arcsec;
      if (fabs(x) < half_x + MARGIN_ARCSEC && fabs(y) < half_y + MARGIN_ARCSEC) { return 1; }
    }
  }
  return 0;
}

/* Half sizes of a box round the field's centre that holds everything any detector sees. */
static void field_box(const nsl_mock *m, double *east, double *north)
{
  int nx, ny;
  grid(m, &nx, &ny);
  double e, n;
  *east = *north = 0;
  for (int p = 0; p < nx * ny; p++) {
    pointing_offset(m, p, &e, &n);
    for (int d = 0; d < m->inst->n_detectors; d++) {
      const nsl_detector *det = &m->inst->detectors[d];
      if (!is_used(m, det)) { continue; }
      double s = 0.5 * m->inst->pixel_scale_arcsec;
      *east = fmax(*east, fabs(e) + fabs(det->offset_x_arcsec) + s * (double)det->nx + MARGIN_ARCSEC);
      *north = fmax(*north, fabs(n) + fabs(det->offset_y_arcsec) + s * (double)det->ny + MARGIN_ARCSEC);
    }
  }
}

static nsl_status draw_some(nsl_mock *m, int faint, int need_both, double half_e, double half_n, size_t *capacity, nsl_error *err)
{
  double density = faint ? nsl_population_faint_density(&m->population) : nsl_population_density(&m->population);
  double ra0 = nsl_config_real(m->cfg, "simulate.ra"), dec0 = nsl_config_real(m->cfg, "simulate.dec");
  int64_t n = (int64_t)(density * 4 * half_e * half_n / 3600 + 0.5);
  for (int64_t k = 0; k < n; k++) {
    int64_t id = (faint ? NSL_MOCK_FAINT_OFFSET : 0) + k + 1;
    nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_SKY, (uint64_t)id, 1);
    double east = half_e * nsl_rng_range(&r, -1, 1), north = half_n * nsl_rng_range(&r, -1, 1);
    int gv = is_seen(m, 0, east, north), gi = is_seen(m, 1, east, north);
    if (need_both ? !(gv && gi) : !(gv || gi)) { continue; }
    if (m->n_sources == *capacity) {
      size_t grown = *capacity ? 2 * *capacity : 1024;
      nsl_mock_source *p = realloc(m->sources, grown * sizeof *p);
      if (!p) { return nsl_fail(err, NSL_E_NOMEM, "%zu mock sources", grown); }
      m->sources = p;
      *capacity = grown;
    }
    nsl_mock_source *s = &m->sources[m->n_sources++];
    nsl_population_draw(&m->population, m->seed, id, !faint, NSL_MOCK_COUNT_SLOPE, s);
    offset_to_sky(ra0, dec0, east, north, &s->ra_deg, &s->dec_deg);
  }
  return NSL_OK;
}

nsl_status nsl_mock_draw_sky(nsl_mock *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t capacity = 0;
  double half_e, half_n;
  if (m->drawn) { return NSL_OK; }
  field_box(m, &half_e, &half_n);
  /* Sources only where both bands look; where no place is seen in both (one pointing of a mosaic), wherever any does. */
  for (int need_both = 1; need_both >= 0 && m->n_sources == 0; need_both--) {
    NSL_TRY(draw_some(m, 0, need_both, half_e, half_n, &capacity, err));
    NSL_TRY(draw_some(m, 1, need_both, half_e, half_n, &capacity, err));
  }
  m->drawn = 1;
cleanup:
  return st;
}
