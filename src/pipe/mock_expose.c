/* Exposures of a training stamp's band, and the stamp that `run` would cut out of them. */
#include <math.h>
#include <string.h>

#include "mock_studio.h"

#define BAND_MISSING 0.015 /* stamps without an exposure of a band */

/* One band's conditions, drawn once. */
typedef struct {
  const nsl_detector *det;
  double x_px, y_px, rotation_deg, j[4];
  int n_exp;
} setting;

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

static setting draw_setting(const nsl_studio *s, int slot, nsl_rng *r)
{
  const nsl_mock *m = s->m;
  setting g = {.det = pick_detector(m->inst, m->inst->stamp_band[slot], r), .n_exp = m->n_exposures};
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

static nsl_status render_source(nsl_studio *s, const setting *g, double x, double y, const nsl_mock_source *src, nsl_window *w,
                                nsl_error *err)
{
  const nsl_mock_optics *o = &s->optics;
  int grating = nsl_mock_grating_at(g->det, x);
  if (grating < 0) { return NSL_OK; }
  return nsl_mock_render_galaxy(s->m, &o->conf[grating], x, y, src, &o->true_psf, g->j, s->flam, s->of_lines, w, err);
}

static nsl_status render_others(nsl_studio *s, const setting *g, double x, double y, nsl_window *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  const nsl_mock_optics *o = &s->optics;
  nsl_mix mix;
  nsl_sed sed = {NSL_SPECTRUM_N, nsl_spectra_lambda(m->spectra), NULL};
  for (size_t k = 0; k < s->n_neighbours; k++) {
    const nsl_mock_neighbour *nb = &s->neighbours[k];
    double nx = x + g->j[0] * nb->east + g->j[1] * nb->north, ny = y + g->j[2] * nb->east + g->j[3] * nb->north;
    int grating = nsl_mock_grating_at(g->det, nx);
    if (grating < 0) { continue; }
    nsl_mix_from_shape(&nb->source.shape, o->true_psf.sigma_px, g->j, &mix);
    mix.psf = o->true_psf;
    sed.flam = nb->flam;
    NSL_TRY(nsl_mock_render(m, &o->conf[grating], nx, ny, &mix, &sed, nb->source.mag, m->exptime_s * pow(10, -0.4 * nb->source.mag),
                            w, err));
  }
cleanup:
  return st;
}

/* The contamination model of `run`: catalogued neighbours as flat spectra. */
static nsl_status render_expected(nsl_studio *s, const setting *g, int band, double x, double y, nsl_window *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  double limit = nsl_config_real(m->cfg, "stamp.neighbour_mag");
  nsl_psf psf = nsl_psf_of_band(&m->inst->bands[band], m->inst->pixel_scale_arcsec);
  for (size_t k = 0; k < s->n_neighbours; k++) {
    const nsl_mock_neighbour *nb = &s->neighbours[k];
    if (!nb->source.catalogued || nb->entry.mag > limit) { continue; }
    double nx = x + g->j[0] * nb->entry_east + g->j[1] * nb->entry_north,
           ny = y + g->j[2] * nb->entry_east + g->j[3] * nb->entry_north;
    const nsl_grating *grating = nsl_detector_grating(g->det, nx);
    if (!grating) { continue; }
    nsl_mix mix;
    nsl_mix_from_shape(&nb->entry.shape, psf.sigma_px, g->j, &mix);
    mix.psf = psf;
    NSL_TRY(nsl_mock_render(m, &m->inst->confs[grating->conf], nx, ny, &mix, nsl_sed_flat_fnu(), nb->entry.mag,
                            m->exptime_s * pow(10, -0.4 * nb->entry.mag), w, err));
  }
cleanup:
  return st;
}

/* Light in the extraction box round the trace, over the band's wavelengths. */
static double sum_box(const nsl_band *band, const nsl_trace *t, const nsl_window *w)
{
  double sum = 0;
  for (int i = 0; i < w->w; i++) {
    double dx = w->x0 + i - t->x0;
    if (dx < t->dx_min || dx > t->dx_max) { continue; }
    double lambda = nsl_trace_lambda(t, dx);
    if (lambda < band->lambda_min_a || lambda > band->lambda_max_a) { continue; }
    long row = lround(t->y0 + nsl_trace_dy(t, dx) - w->y0), first = row < 13 ? 0 : row - 13;
    for (long y = first; y <= row + 13 && y < w->h; y++) { sum += (double)w->img[y * w->w + i]; }
  }
  return sum;
}

/* One exposure: fills the planes and the view. *used 0 when the trace is off the detector. */
static nsl_status expose(nsl_studio *s, const setting *g, const nsl_mock_source *src, const nsl_source *entry, int slot, int e,
                         nsl_view *view, int *used, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  int bi = m->inst->stamp_band[slot];
  const nsl_band *band = &m->inst->bands[bi];
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_NOISE, (uint64_t)src->id, (uint64_t)(slot * 256 + e));
  double dither = nsl_config_real(m->cfg, "simulate.dither") / m->inst->pixel_scale_arcsec;
  double x = g->x_px + dither * nsl_rng_range(&r, -1, 1), y = g->y_px + dither * nsl_rng_range(&r, -1, 1);
  /* The trace is where the catalogue says; the light is where the galaxy is. */
  double east = entry->ra_deg * 3600, north = entry->dec_deg * 3600;
  double cx = x + g->j[0] * east + g->j[1] * north, cy = y + g->j[2] * east + g->j[3] * north;
  int grating_index = nsl_mock_grating_at(g->det, cx);
  const nsl_beam *a = grating_index >= 0 ? nsl_trace_conf_beam(&m->inst->confs[g->det->gratings[grating_index].conf], 'A') : NULL;
  long x0, y0, w, h;
  *used = 0;
  if (!a) { return NSL_OK; }
  nsl_trace_at(a, cx, cy, &view->trace);
  if (!nsl_view_window(&view->trace, band, &s->settings, g->det->nx, g->det->ny, &x0, &y0, &w, &h)) { return NSL_OK; }
  size_t n = (size_t)w * (size_t)h;
  if (!nsl_studio_reserve(s, n)) { NSL_THROW(err, NSL_E_NOMEM, "stamp windows"); }
  memset(s->sci, 0, n * sizeof(float));
  memset(s->near, 0, n * sizeof(float));
  memset(s->dq, 0, n * sizeof(int32_t));
  nsl_window light = {(double)x0 + 1, (double)y0 + 1, (int)w, (int)h, s->sci}, near = light;
  near.img = s->near;
  nsl_mock_optics_draw(m, g->det, (uint64_t)src->id, 1 + (uint64_t)slot, (uint64_t)e, &s->optics);
  nsl_mock_met_add(&s->met, &s->optics, grating_index, slot, &view->trace, band);
  NSL_TRY(render_source(s, g, x, y, src, &light, err));
  double own = sum_box(band, &view->trace, &light);
  NSL_TRY(render_others(s, g, x, y, &light, err));
  s->light_own += own;
  s->light_others += sum_box(band, &view->trace, &light) - own;
  NSL_TRY(render_expected(s, g, bi, cx, cy, &near, err));
  NSL_TRY(nsl_mock_add_sky(&s->optics.sky, m->sky_rate[bi] * m->exptime_s, &light, err));
  float dark = (float)(m->detector.dark_e_s * m->exptime_s);
  for (size_t i = 0; i < n; i++) { s->sci[i] += dark; }
  if (!s->clean) {
    nsl_mock_bad_pixels(&m->detector, m->bad_pixels, m->exptime_s, &r, (int)w, (int)h, s->sci, s->dq);
    nsl_mock_cosmic_rays(&m->detector, &r, (int)w, (int)h, s->sci, s->dq);
    nsl_mock_bleed(&m->detector, (int)w, (int)h, s->sci, s->dq);
  }
  nsl_mock_read_out(&m->detector, m->exptime_s, &r, n, s->sci, s->err, s->dq, s->noise);
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
  setting g = draw_setting(s, slot, &r);
  int n_views = 0;
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
