/* Training stamps: one galaxy with a small sky of its own round it, seen by random detectors of both bands through the same
 * renderer, detector and view code as the survey's frames and `run`. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "noslit/pipe/stamp_file.h"
#include "views_internal.h"

#define ATTEMPTS 1000 /* draws of a galaxy per stamp; also the spacing of identifiers */
#define NEIGHBOURS_MAX 4000
#define CROWDING 2.0       /* stamps' neighbours are between the survey's density over this and times this */
#define BAND_MISSING 0.015 /* stamps without an exposure of a band */
#define REACH_Y_PX 80.0    /* neighbours farther across the dispersion do not matter */

/* A neighbour, relative to the source. */
typedef struct {
  nsl_mock_source source;
  nsl_source entry; /* what the catalogue says of it */
  const double *flam;
  double east, north, entry_east, entry_north; /* arcsec */
} neighbour;

/* Everything that stays while stamps are made. */
typedef struct {
  nsl_mock *m;
  nsl_view_settings settings;
  nsl_mock_set set;
  nsl_stamp_type type; /* of the stamp */
  int clean;
  double reach_x_px; /* how far along the dispersion light can come from */
  double *flam, *of_lines;
  neighbour *neighbours;
  size_t n_neighbours;
  size_t capacity; /* px per view */
  nsl_view_room room;
  float *own, *others, *sci[NSL_MOCK_EXPOSURES_MAX], *err[NSL_MOCK_EXPOSURES_MAX], *near[NSL_MOCK_EXPOSURES_MAX], *noise;
  int32_t *dq[NSL_MOCK_EXPOSURES_MAX];
  double light_own, light_others; /* in the extraction boxes of the stamp */
  nsl_mock_optics optics;         /* of the exposure */
  nsl_mock_met met;               /* errors of calibration that the stamp meets */
} studio;

static nsl_mock_set set_of(const nsl_config *cfg)
{
  const char *name = nsl_config_text(cfg, "simulate.set");
  return !strcmp(name, "validation")    ? NSL_SET_VALIDATION
         : !strcmp(name, "calibration") ? NSL_SET_CALIBRATION
         : !strcmp(name, "test")        ? NSL_SET_TEST
                                        : NSL_SET_TRAIN;
}

static double longest_beam(const nsl_instrument *inst)
{
  double reach = 0;
  for (int c = 0; c < inst->n_confs; c++) {
    for (int b = 0; b < inst->confs[c].n_beams; b++) {
      reach = fmax(reach, fmax(fabs(inst->confs[c].beams[b].dx_min), fabs(inst->confs[c].beams[b].dx_max)));
    }
  }
  return reach;
}

static void studio_close(studio *s)
{
  nsl_view_room_free(&s->room);
  free(s->flam); /* and of_lines */
  free(s->neighbours);
  free(s->own);
  free(s->others);
  free(s->noise);
  for (int e = 0; e < NSL_MOCK_EXPOSURES_MAX; e++) {
    free(s->sci[e]);
    free(s->err[e]);
    free(s->near[e]);
    free(s->dq[e]);
  }
}

static nsl_status studio_open(nsl_mock *m, studio *s, nsl_error *err)
{
  memset(s, 0, sizeof *s);
  s->m = m;
  s->set = set_of(m->cfg);
  s->clean = nsl_config_bool(m->cfg, "simulate.clean");
  m->detector.noise = nsl_config_real(m->cfg, "simulate.noise");
  s->settings = nsl_view_settings_from(m->cfg);
  s->reach_x_px = longest_beam(m->inst) + NSL_STAMP_NX + 100;
  s->flam = malloc(2 * NSL_SPECTRUM_N * sizeof *s->flam);
  s->of_lines = s->flam ? s->flam + NSL_SPECTRUM_N : NULL;
  s->neighbours = malloc(NEIGHBOURS_MAX * sizeof *s->neighbours);
  if (!s->flam || !s->neighbours) { return nsl_fail(err, NSL_E_NOMEM, "stamps"); }
  return NSL_OK;
}

static int grow(void **p, size_t bytes)
{
  void *q = realloc(*p, bytes);
  if (q) { *p = q; }
  return q != NULL;
}

/* Room for n pixels in every plane; what earlier exposures hold stays. */
static int grow_planes(studio *s, size_t n)
{
  if (n <= s->capacity) { return 1; }
  n += n / 4;
  int ok = grow((void **)&s->own, n * sizeof(float)) && grow((void **)&s->others, n * sizeof(float)) &&
           grow((void **)&s->noise, n * sizeof(float));
  for (int e = 0; e < s->m->n_exposures && ok; e++) {
    ok = grow((void **)&s->sci[e], n * sizeof(float)) && grow((void **)&s->err[e], n * sizeof(float)) &&
         grow((void **)&s->near[e], n * sizeof(float)) && grow((void **)&s->dq[e], n * sizeof(int32_t));
  }
  if (ok) { s->capacity = n; }
  return ok;
}

/* px per arcsec: x grows to the west, y to the north, turned by the pointing's rotation. */
static void local_map(const nsl_mock *m, double rotation_deg, double j[4])
{
  double s = 1 / m->inst->pixel_scale_arcsec, c = cos(rotation_deg * M_PI / 180), t = sin(rotation_deg * M_PI / 180);
  j[0] = -s * c;
  j[1] = s * t;
  j[2] = s * t;
  j[3] = s * c;
}

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

nsl_stamp_type nsl_mock_target(const nsl_mock *m, int64_t id, nsl_mock_source *out)
{
  nsl_population population;
  nsl_stamp_type type = draw_type(m, id / NSL_MOCK_SET_STRIDE, id % NSL_MOCK_SET_STRIDE / ATTEMPTS, &population);
  nsl_population_draw(&population, m->seed, id, 1, nsl_config_real(m->cfg, "simulate.stamp_slope"), out);
  return type;
}

/* A target of the set that is bright enough; its spectrum is left in s->flam. */
static nsl_status draw_source(studio *s, int64_t index, nsl_mock_source *src, double snr[2], nsl_error *err)
{
  nsl_mock *m = s->m;
  double snr_min = nsl_config_real(m->cfg, "simulate.snr_min"), j[4];
  local_map(m, 0, j);
  for (int64_t k = 0; k < ATTEMPTS; k++) {
    int64_t id = (int64_t)s->set * NSL_MOCK_SET_STRIDE + index * ATTEMPTS + k;
    s->type = nsl_mock_target(m, id, src);
    if (src->mag < m->population.mag_min) { continue; } /* stars are drawn from 15.5 mag on */
    nsl_sed_params p;
    nsl_mix mix, unused;
    nsl_mock_sed(m, id, src->kind, src->z, &p);
    nsl_spectra_make_parts(m->spectra, &p, src->mag, s->flam, s->of_lines, NULL);
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

/* The second galaxy of a blend: no brighter than the first, no farther than half an arc second, and not in the catalogue. */
static nsl_status add_companion(studio *s, const nsl_mock_source *src, nsl_error *err)
{
  nsl_mock *m = s->m;
  neighbour *nb = &s->neighbours[s->n_neighbours];
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)src->id, 10);
  int64_t id = (int64_t)s->set * NSL_MOCK_SET_STRIDE + NSL_MOCK_FAINT_OFFSET + (int64_t)(nsl_rng_u64(&r) % 300000000000u);
  nsl_population galaxies = m->population;
  galaxies.star_fraction = galaxies.quasar_fraction = 0;
  nsl_population_draw(&galaxies, m->seed, id, 1, NSL_MOCK_COUNT_SLOPE, &nb->source);
  nb->source.mag = src->mag + nsl_rng_range(&r, 0, 1.5);
  nb->source.catalogued = 0;
  nb->entry = (nsl_source){.id = id};
  nb->east = nsl_rng_range(&r, -0.5, 0.5);
  nb->north = nsl_rng_range(&r, -0.5, 0.5);
  s->n_neighbours++;
  return nsl_mock_pool_entry(m, s->set, (uint64_t)id, 0, &nb->flam, err);
}

static nsl_status draw_neighbours(studio *s, const nsl_mock_source *src, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  s->n_neighbours = 0;
  if (s->type == NSL_STAMP_BLEND) { NSL_TRY(add_companion(s, src, err)); }
  if (s->clean) { return NSL_OK; }
  double scale = m->inst->pixel_scale_arcsec, half_x = s->reach_x_px * scale, half_y = REACH_Y_PX * scale;
  double area_arcmin2 = 4 * half_x * half_y / 3600;
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)src->id, 1);
  for (int faint = 0; faint < 2; faint++) {
    double density = faint ? nsl_population_faint_density(&m->population) : nsl_population_density(&m->population);
    long n = (long)nsl_rng_poisson(&r, density * area_arcmin2);
    for (long k = 0; k < n && s->n_neighbours < NEIGHBOURS_MAX; k++) {
      neighbour *nb = &s->neighbours[s->n_neighbours];
      /* Their identifiers are drawn, in the set's own range. */
      int64_t id = (int64_t)s->set * NSL_MOCK_SET_STRIDE + NSL_MOCK_FAINT_OFFSET + (int64_t)(nsl_rng_u64(&r) % 300000000000u);
      nb->east = nsl_rng_range(&r, -half_x, half_x);
      nb->north = nsl_rng_range(&r, -half_y, half_y);
      nsl_population_draw(&m->population, m->seed, id, !faint, NSL_MOCK_COUNT_SLOPE, &nb->source);
      NSL_TRY(nsl_mock_pool_entry(m, s->set, (uint64_t)id, nb->source.kind == NSL_KIND_STAR, &nb->flam, err));
      nsl_population_catalogue_entry(&m->population, m->seed, &nb->source, &nb->entry);
      nb->entry_east = nb->east + nb->entry.ra_deg * 3600;
      nb->entry_north = nb->north + nb->entry.dec_deg * 3600;
      s->n_neighbours++;
    }
  }
cleanup:
  return st;
}

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

static setting draw_setting(const studio *s, int slot, nsl_rng *r)
{
  const nsl_mock *m = s->m;
  setting g = {.det = pick_detector(m->inst, m->inst->stamp_band[slot], r), .n_exp = m->n_exposures};
  g.x_px = nsl_rng_range(r, 1, (double)g.det->nx);
  g.y_px = nsl_rng_range(r, 1, (double)g.det->ny);
  g.rotation_deg = nsl_config_real(m->cfg, "simulate.rotation") * nsl_rng_range(r, -1, 1);
  local_map(m, g.rotation_deg, g.j);
  double u = nsl_rng_uniform(r);
  if (!s->clean) { /* gaps, edges and lost exposures */
    g.n_exp -= u < 0.02 ? 3 : u < 0.06 ? 2 : u < 0.12 ? 1 : 0;
    if (g.n_exp < 1) { g.n_exp = 1; }
    if (nsl_rng_uniform(r) < BAND_MISSING) { g.n_exp = 0; }
  }
  return g;
}

static nsl_status render_true(studio *s, const setting *g, double x, double y, const nsl_mock_source *src, nsl_window *w,
                              nsl_window *w_others, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  const nsl_mock_optics *o = &s->optics;
  int grating = nsl_mock_grating_at(g->det, x);
  nsl_mix mix;
  nsl_sed sed = {NSL_SPECTRUM_N, nsl_spectra_lambda(m->spectra), s->flam};
  if (grating >= 0) {
    NSL_TRY(nsl_mock_render_galaxy(m, &o->conf[grating], x, y, src, o->psf_px, g->j, s->flam, s->of_lines, w, err));
  }
  for (size_t k = 0; k < s->n_neighbours; k++) {
    const neighbour *nb = &s->neighbours[k];
    double nx = x + g->j[0] * nb->east + g->j[1] * nb->north, ny = y + g->j[2] * nb->east + g->j[3] * nb->north;
    grating = nsl_mock_grating_at(g->det, nx);
    if (grating < 0) { continue; }
    nsl_mix_from_shape(&nb->source.shape, o->psf_px, g->j, &mix);
    sed.flam = nb->flam;
    NSL_TRY(nsl_mock_render(m, &o->conf[grating], nx, ny, &mix, &sed, nb->source.mag, m->exptime_s * pow(10, -0.4 * nb->source.mag),
                            w_others, err));
  }
cleanup:
  return st;
}

/* The contamination model of `run`: catalogued neighbours as flat spectra. */
static nsl_status render_expected(studio *s, const setting *g, int band, double x, double y, nsl_window *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  double limit = nsl_config_real(m->cfg, "stamp.neighbour_mag");
  for (size_t k = 0; k < s->n_neighbours; k++) {
    const neighbour *nb = &s->neighbours[k];
    if (!nb->source.catalogued || nb->entry.mag > limit) { continue; }
    double nx = x + g->j[0] * nb->entry_east + g->j[1] * nb->entry_north,
           ny = y + g->j[2] * nb->entry_east + g->j[3] * nb->entry_north;
    const nsl_grating *grating = nsl_detector_grating(g->det, nx);
    if (!grating) { continue; }
    nsl_mix mix;
    nsl_mix_from_shape(&nb->entry.shape, m->psf_px[band], g->j, &mix);
    NSL_TRY(nsl_mock_render(m, &m->inst->confs[grating->conf], nx, ny, &mix, nsl_sed_flat_fnu(), nb->entry.mag,
                            m->exptime_s * pow(10, -0.4 * nb->entry.mag), w, err));
  }
cleanup:
  return st;
}

/* Light in the extraction box round the trace, over the band's wavelengths. */
static void sum_box(const nsl_band *band, const nsl_trace *t, const nsl_window *own, const nsl_window *others, double *a, double *b)
{
  for (int i = 0; i < own->w; i++) {
    double dx = own->x0 + i - t->x0;
    if (dx < t->dx_min || dx > t->dx_max) { continue; }
    double lambda = nsl_trace_lambda(t, dx);
    if (lambda < band->lambda_min_a || lambda > band->lambda_max_a) { continue; }
    long row = lround(t->y0 + nsl_trace_dy(t, dx) - own->y0);
    for (long y = row - 13; y <= row + 13; y++) {
      if (y < 0 || y >= own->h) { continue; }
      *a += (double)own->img[y * own->w + i];
      *b += (double)others->img[y * own->w + i];
    }
  }
}

/* One exposure: fills planes e and the view. *used 0 when the trace is off the detector. */
static nsl_status expose(studio *s, const setting *g, const nsl_mock_source *src, const nsl_source *entry, int slot, int e,
                         int n_used, nsl_view *view, int *used, nsl_error *err)
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
  if (!grow_planes(s, n)) { NSL_THROW(err, NSL_E_NOMEM, "stamp windows"); }
  memset(s->own, 0, n * sizeof(float));
  memset(s->others, 0, n * sizeof(float));
  memset(s->near[n_used], 0, n * sizeof(float));
  memset(s->dq[n_used], 0, n * sizeof(int32_t));
  nsl_window own = {(double)x0 + 1, (double)y0 + 1, (int)w, (int)h, s->own}, others = own, near = own;
  others.img = s->others;
  near.img = s->near[n_used];
  nsl_mock_optics_draw(m, g->det, (uint64_t)src->id, 1 + (uint64_t)slot, (uint64_t)e, &s->optics);
  nsl_mock_met_add(&s->met, &s->optics, grating_index, slot, &view->trace, band);
  NSL_TRY(render_true(s, g, x, y, src, &own, &others, err));
  NSL_TRY(render_expected(s, g, bi, cx, cy, &near, err));
  sum_box(band, &view->trace, &own, &others, &s->light_own, &s->light_others);
  float dark = (float)(m->detector.dark_e_s * m->exptime_s), *sci = s->sci[n_used];
  for (size_t i = 0; i < n; i++) { sci[i] = s->own[i] + s->others[i] + dark; }
  nsl_window whole = own;
  whole.img = sci;
  NSL_TRY(nsl_mock_add_sky(&s->optics.sky, m->sky_rate[bi] * m->exptime_s, &whole, err));
  if (!s->clean) {
    nsl_mock_bad_pixels(&m->detector, m->bad_pixels, m->exptime_s, &r, (int)w, (int)h, sci, s->dq[n_used]);
    nsl_mock_cosmic_rays(&m->detector, &r, (int)w, (int)h, sci, s->dq[n_used]);
    nsl_mock_bleed(&m->detector, (int)w, (int)h, sci, s->dq[n_used]);
  }
  nsl_mock_read_out(&m->detector, m->exptime_s, &r, n, sci, s->err[n_used], s->dq[n_used], s->noise);
  view->x0 = own.x0;
  view->y0 = own.y0;
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

static nsl_status make_band(studio *s, const nsl_mock_source *src, const nsl_source *entry, int slot, nsl_stamp *stamp,
                            nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  const nsl_band *band = &m->inst->bands[m->inst->stamp_band[slot]];
  nsl_view views[NSL_MOCK_EXPOSURES_MAX];
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_POINTING, (uint64_t)src->id, (uint64_t)(2 + slot));
  setting g = draw_setting(s, slot, &r);
  int n_views = 0;
  for (int e = 0; e < g.n_exp; e++) {
    int used;
    NSL_TRY(expose(s, &g, src, entry, slot, e, n_views, &views[n_views], &used, err));
    n_views += used;
  }
  NSL_TRY(nsl_view_room_reserve(&s->room, n_views > 0 ? n_views : 1, err));
  for (int v = 0; v < n_views; v++) {
    views[v].sci = s->sci[v];
    views[v].err = s->err[v];
    views[v].dq = s->dq[v];
    views[v].neighbours = s->near[v];
    NSL_TRY(nsl_view_rectify(&views[v], band, &m->inst->dq, &s->settings, &s->room, v, err));
  }
  size_t plane = (size_t)slot * NSL_STAMP_PLANE;
  nsl_rectified_combine(&s->room, n_views, band, &s->settings, stamp->flux + plane, stamp->variance + plane,
                        stamp->contamination + plane, &stamp->band[slot], &stamp->flags);
  stamp->flags |= nsl_stamp_slot_flags(&stamp->band[slot], slot);
  if (slot == 1) { nsl_shape_to_pixels(&entry->shape, g.j, &stamp->re_px, &stamp->q, &stamp->pa_x_deg); }
cleanup:
  return st;
}

static nsl_status make_stamp(studio *s, int64_t index, nsl_stamp *stamp, nsl_stamp_label *label, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock_source src;
  nsl_source entry;
  double snr[2];
  NSL_TRY(draw_source(s, index, &src, snr, err));
  NSL_TRY(draw_neighbours(s, &src, err));
  nsl_population_catalogue_entry(&s->m->population, s->m->seed, &src, &entry);
  stamp->source_id = src.id;
  stamp->sersic_n = (float)entry.shape.sersic_n;
  s->light_own = s->light_others = 0;
  s->met = (nsl_mock_met){0};
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) { NSL_TRY(make_band(s, &src, &entry, slot, stamp, err)); }
  double all = s->light_own + s->light_others;
  *label = (nsl_stamp_label){.source_id = src.id,
                             .z = src.z,
                             .mag = (float)src.mag,
                             .snr_gv = stamp->band[0].snr,
                             .snr_gi = stamp->band[1].snr,
                             .snr_gv_true = (float)snr[0],
                             .snr_gi_true = (float)snr[1],
                             .contamination = all > 0 ? (float)(s->light_others / all) : 0,
                             .type = (int32_t)s->type,
                             .subtype = (int32_t)src.kind,
                             .noise_missing = (float)sqrt(1 - s->m->detector.noise * s->m->detector.noise)};
  nsl_mock_met_mean(&s->met);
  label->wave_error_gv = (float)s->met.wave_px[0];
  label->wave_error_gi = (float)s->met.wave_px[1];
  label->dispersion_error = (float)s->met.dispersion;
  label->trace_error = (float)s->met.trace_px;
  label->psf_error = (float)s->met.psf;
  label->sky_error = (float)s->met.sky;
  label->astrometric_error = (float)nsl_mock_astrometric_error(&src, &entry);
cleanup:
  return st;
}

static char *provenance(const nsl_mock *m, int64_t first, int64_t n)
{
  return nsl_strf("{\"set\": \"%s\", \"seed\": %llu, \"first\": %lld, \"n\": %lld, \"instrument\": \"%s\", \"clean\": %s}",
                  nsl_config_text(m->cfg, "simulate.set"), (unsigned long long)m->seed, (long long)first, (long long)n,
                  m->inst->name, nsl_config_bool(m->cfg, "simulate.clean") ? "true" : "false");
}

nsl_status nsl_mock_make_stamps(nsl_mock *m, int64_t first, int64_t n, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  studio s = {0};
  nsl_stamp_writer *writer = NULL;
  nsl_stamp_set set = {0};
  char *json = provenance(m, first, n);
  NSL_TRY(studio_open(m, &s, err));
  if (!json || !nsl_stamp_set_alloc(&set, 1)) { NSL_THROW(err, NSL_E_NOMEM, "stamps"); }
  NSL_TRY(nsl_stamp_writer_new(path, m->inst, json, &writer, err));
  for (int64_t i = first; i < first + n; i++) {
    nsl_stamp_label label;
    nsl_stamp_set_clear(&set);
    NSL_TRY(make_stamp(&s, i, &set.stamps[0], &label, err));
    NSL_TRY(nsl_stamp_writer_add(writer, &set.stamps[0], &label, err));
  }
  st = nsl_stamp_writer_finish(writer, err);
  writer = NULL;
cleanup:
  nsl_stamp_writer_discard(writer);
  nsl_stamp_set_free(&set);
  studio_close(&s);
  free(json);
  return st;
}
