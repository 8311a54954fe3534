/* Exposures of a training stamp's band, and the stamp that `run` would cut out of them. */
#include <math.h>
#include <string.h>

#include "mock_studio.h"

#define BAND_MISSING 0.015 /* stamps without an exposure of a band */

static const nsl_detector *pick_detector(const nsl_instrument *inst, int band, nsl_rng *r)
{
  int n = 0, k = 0;
  for (int d = 0; d < inst->n_detectors; d++) { n += inst->detectors[d].band == band; }
  int pick = (int)nsl_rng_below(r, (uint64_t)n);
  for (int d = 0; d < inst->n_detectors; d++) {
    if (inst->detectors[d].band == band && k++ == pick) { return &inst->detectors[d]; }
  }
  return NULL;
}

static nsl_mock_setting draw_setting(const nsl_studio *s, int slot, nsl_rng *r)
{
  const nsl_mock *m = s->m;
  nsl_mock_setting g = {.det = pick_detector(m->inst, m->inst->stamp_band[slot], r), .n_exp = m->n_exposures};
  g.x_px = nsl_rng_range(r, 1, (double)g.det->nx);
  g.y_px = nsl_rng_range(r, 1, (double)g.det->ny);
  g.rotation_deg = nsl_config_real(m->cfg, "simulate.rotation") * nsl_rng_range(r, -1, 1);
  nsl_mock_local_map(m, g.rotation_deg, g.j);
  double u = nsl_rng_uniform(r);
  if (!s->clean) { /* gaps, edges and lost exposures */
    g.n_exp -= u < 0.02 ? 3 : u < 0.06 ? 2 : u < 0.12 ? 1 : 0;
    if (g.n_exp < 1) { g.n_exp = 1; }
    if (nsl_rng_uniform(r) < BAND_MISSING) { g.n_exp = 0; }
  }
  return g;
}

/* One exposure: fills the planes and the view. *used 0 when the trace is off the detector. */
static nsl_status expose(nsl_studio *s, const nsl_mock_setting *g, const nsl_mock_source *src, const nsl_source *entry, int slot,
                         int e, nsl_view *view, int *used, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  int bi = m->inst->stamp_band[slot];
  const nsl_band *band = &m->inst->bands[bi];
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_NOISE, (uint64_t)src->id, (uint64_t)(slot * 256 + e));
  double dither = nsl_config_real(m->cfg, "simulate.dither") / m->inst->pixel_scale_arcsec;
  nsl_mock_sight at = {.x = g->x_px + dither * nsl_rng_range(&r, -1, 1)};
  at.y = g->y_px + dither * nsl_rng_range(&r, -1, 1);
  /* The trace is where the catalogue says; the light is where the galaxy is. */
  double east = entry->ra_deg * 3600, north = entry->dec_deg * 3600;
  at.cx = at.x + g->j[0] * east + g->j[1] * north;
  at.cy = at.y + g->j[2] * east + g->j[3] * north;
  at.grating = nsl_mock_grating_at(g->det, at.cx);
  const nsl_beam *a = at.grating >= 0 ? nsl_trace_conf_beam(&m->inst->confs[g->det->gratings[at.grating].conf], 'A') : NULL;
  long x0, y0, w, h;
  *used = 0;
  if (!a) { return NSL_OK; }
  nsl_trace_at(a, at.cx, at.cy, &at.trace);
  if (!nsl_view_window(&at.trace, band, &s->settings, g->det->nx, g->det->ny, &x0, &y0, &w, &h)) { return NSL_OK; }
  size_t n = (size_t)w * (size_t)h;
  if (!nsl_studio_reserve(s, n)) { NSL_THROW(err, NSL_E_NOMEM, "stamp windows"); }
  memset(s->dq, 0, n * sizeof(int32_t));
  nsl_window light = {(double)x0 + 1, (double)y0 + 1, (int)w, (int)h, s->sci}, near = light;
  near.img = s->near;
  nsl_mock_optics_draw(m, g->det, (uint64_t)src->id, 1 + (uint64_t)slot, (uint64_t)e, &s->optics);
  nsl_mock_met_add(&s->met, &s->optics, at.grating, slot, &at.trace, band);
  NSL_TRY(nsl_plates_show(s, g, src, &at, &light, &near, err));
  NSL_TRY(nsl_mock_add_sky(&s->optics.sky, m->sky_rate[bi] * m->exptime_s, m->detector.dark_e_s * m->exptime_s, &light, err));
  if (!s->clean) {
    nsl_mock_bad_pixels(&m->detector, m->bad_pixels, m->exptime_s, &r, (int)w, (int)h, s->sci, s->dq);
    nsl_mock_cosmic_rays(&m->detector, &r, (int)w, (int)h, s->sci, s->dq);
    nsl_mock_bleed(&m->detector, (int)w, (int)h, s->sci, s->dq);
  }
  nsl_mock_read_out(&m->detector, m->exptime_s, &r, n, s->sci, s->err, s->dq);
  view->trace = at.trace;
  view->x0 = light.x0;
  view->y0 = light.y0;
  view->sci = s->sci;
  view->err = s->err;
  view->dq = s->dq;
  view->neighbours = s->near;
  view->w = (int)w;
  view->h = (int)h;
  view->exptime_s = m->exptime_s;
  nsl_mix shape; /* as the catalogue and the instrument file have it */
  nsl_mix_from_shape(&entry->shape, m->psf_px[bi], g->j, &shape);
  view->tilt = nsl_mix_tilt(&shape);
  view->own_beside = nsl_view_own_beside(&shape, &s->settings);
  if (s->witness) { s->witness(s->witness_self, g->det, e, &at, view); }
  *used = 1;
cleanup:
  return st;
}

nsl_status nsl_studio_make_band(nsl_studio *s, const nsl_mock_source *src, const nsl_source *entry, int slot, nsl_stamp *stamp,
                                nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  const nsl_band *band = &m->inst->bands[m->inst->stamp_band[slot]];
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)src->id, (uint64_t)(2 + slot));
  nsl_mock_setting g = draw_setting(s, slot, &r);
  int n_views = 0;
  nsl_plates_forget(s);
  NSL_TRY(nsl_view_room_reserve(&s->room, g.n_exp > 0 ? g.n_exp : 1, err));
  for (int e = 0; e < g.n_exp; e++) {
    nsl_view view;
    int used;
    NSL_TRY(expose(s, &g, src, entry, slot, e, &view, &used, err));
    if (!used) { continue; }
    NSL_TRY(nsl_view_rectify(&view, band, &m->inst->dq, &s->settings, &s->room, n_views, err));
    n_views++;
  }
  size_t plane = (size_t)slot * NSL_STAMP_PLANE;
  nsl_rectified_combine(&s->room, n_views, band, &s->settings, stamp->flux + plane, stamp->variance + plane,
                        stamp->contamination + plane, &stamp->band[slot], &stamp->flags);
  stamp->flags |= nsl_stamp_slot_flags(&stamp->band[slot], slot);
  if (slot == 1) { nsl_shape_to_pixels(&entry->shape, g.j, &stamp->re_px, &stamp->q, &stamp->pa_x_deg); }
cleanup:
  return st;
}
