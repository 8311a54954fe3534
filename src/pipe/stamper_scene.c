/* The exposures of a task and where its sources lie on them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/model/skytile.h"
#include "stamper_internal.h"

/* Profiles are shared between exposures whose pixels per arcsec differ by less than this part. */
#define SAME_OPTICS 1e-3
/* Light of a source is not looked for farther than this from its trace. */
#define PROFILE_REACH_PX 85.0

const nsl_source *nsl_scene_source(const nsl_scene *s, size_t i)
{
  return i < s->task->n_sources ? &s->task->sources[i] : &s->task->neighbours[i - s->task->n_sources];
}

/* ---- what the gratings of a detector reach ---- */

static void widen_by_beam(nsl_field *f, const nsl_beam *beam, double x, double y)
{
  nsl_trace t;
  nsl_trace_at(beam, x, y, &t);
  for (int k = 0; k <= 4; k++) {
    double dx = t.dx_min + (t.dx_max - t.dx_min) * k / 4, dy = t.y0 + nsl_trace_dy(&t, dx) - y;
    f->dy_min = fmin(f->dy_min, dy);
    f->dy_max = fmax(f->dy_max, dy);
  }
  f->dx_min = fmin(f->dx_min, t.x0 + t.dx_min - x);
  f->dx_max = fmax(f->dx_max, t.x0 + t.dx_max - x);
}

static void find_reach(const nsl_instrument *inst, nsl_field *f)
{
  const nsl_detector *det = f->detector;
  f->dx_min = f->dx_max = f->dy_min = f->dy_max = 0;
  for (int g = 0; g < det->n_gratings; g++) {
    const nsl_trace_conf *conf = &inst->confs[det->gratings[g].conf];
    for (int b = 0; b < conf->n_beams; b++) {
      for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? fmin(det->gratings[g].x_max, (double)det->nx) : fmax(det->gratings[g].x_min, 1);
        widen_by_beam(f, &conf->beams[b], x, corner & 2 ? (double)det->ny : 1);
      }
    }
  }
  /* room for what the field dependence does between the corners */
  f->dx_min -= PROFILE_REACH_PX + 2;
  f->dx_max += PROFILE_REACH_PX + 2;
  f->dy_min -= PROFILE_REACH_PX + 2;
  f->dy_max += PROFILE_REACH_PX + 2;
}

/* ---- sources on the detector ---- */

int nsl_position_is_usable(const nsl_source *s)
{
  return isfinite(s->ra_deg) && isfinite(s->dec_deg) && fabs(s->dec_deg) <= 90 && fabs(s->ra_deg) <= 720;
}

static int compare_placed(const void *a, const void *b)
{
  const nsl_placed *p = a, *q = b;
  if (p->y != q->y) { return p->y < q->y ? -1 : 1; }
  return p->source - q->source;
}

/* Sky positions far from the exposure are left out before the projection: a distortion polynomial may fold them back. */
static size_t list_near(const nsl_scene *s, const nsl_field *f, double *ra, double *dec, int *index)
{
  double reach_px = fmax(fmax(-f->dx_min, f->dx_max), fmax(-f->dy_min, f->dy_max));
  double radius = f->info->radius_deg + reach_px * s->inst->pixel_scale_arcsec / 3600;
  size_t n = 0;
  for (size_t i = 0; i < s->n_all; i++) {
    const nsl_source *src = nsl_scene_source(s, i);
    if (!nsl_position_is_usable(src) ||
        !(nsl_sky_distance_deg(f->info->ra_deg, f->info->dec_deg, src->ra_deg, src->dec_deg) < radius)) {
      continue;
    }
    ra[n] = src->ra_deg;
    dec[n] = src->dec_deg;
    index[n++] = (int)i;
  }
  return n;
}

/* May the light of a source at (x, y) reach the frame at all? */
static int reaches_frame(const nsl_field *f, double x, double y)
{
  return x + f->dx_max >= 1 && x + f->dx_min <= (double)f->detector->nx && y + f->dy_max >= 1 &&
         y + f->dy_min <= (double)f->detector->ny;
}

static nsl_status place_sources(const nsl_scene *s, nsl_field *f, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = s->n_all ? s->n_all : 1;
  double *sky = malloc(4 * n * sizeof *sky), *px = sky + 2 * n;
  int *index = malloc(n * sizeof *index);
  f->x = malloc(n * sizeof *f->x);
  f->y = malloc(n * sizeof *f->y);
  f->by_y = malloc(n * sizeof *f->by_y);
  if (!sky || !index || !f->x || !f->y || !f->by_y) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", f->info->path); }
  for (size_t i = 0; i < s->n_all; i++) { f->x[i] = f->y[i] = NAN; }
  size_t near = list_near(s, f, sky, sky + n, index);
  if (near > 0) { NSL_TRY(nsl_wcs_sky_to_pixel(nsl_exposure_wcs(f->exposure), near, sky, sky + n, px, px + n, err)); }
  for (size_t k = 0; k < near; k++) {
    double x = px[k], y = px[n + k];
    if (!(isfinite(x) && isfinite(y)) || !reaches_frame(f, x, y)) { continue; }
    f->x[index[k]] = x;
    f->y[index[k]] = y;
    double mag = nsl_scene_source(s, (size_t)index[k])->mag;
    if (mag <= s->neighbour_mag && mag > -5) { f->by_y[f->n_placed++] = (nsl_placed){y, index[k]}; }
  }
  qsort(f->by_y, f->n_placed, sizeof *f->by_y, compare_placed);
cleanup:
  free(sky);
  free(index);
  return st;
}

/* ---- optics ---- */

static int same_optics(const nsl_optics *o, const nsl_psf *psf, const double m[4])
{
  double scale = 0, d = 0;
  for (int k = 0; k < 4; k++) {
    scale = fmax(scale, fabs(o->sky_to_px[k]));
    d = fmax(d, fabs(o->sky_to_px[k] - m[k]));
  }
  return o->psf.sigma_px == psf->sigma_px && o->psf.lambda_a == psf->lambda_a && o->psf.exponent == psf->exponent &&
         d <= SAME_OPTICS * scale;
}

static nsl_status find_optics(nsl_scene *s, nsl_field *f, nsl_error *err)
{
  nsl_psf psf = nsl_psf_of_band(f->band, s->inst->pixel_scale_arcsec);
  for (int o = 0; o < s->n_optics; o++) {
    if (same_optics(&s->optics[o], &psf, f->sky_to_px)) {
      f->optics = o;
      return NSL_OK;
    }
  }
  nsl_mix **mix = calloc(s->n_all ? s->n_all : 1, sizeof(nsl_mix *));
  if (!mix) { return nsl_fail(err, NSL_E_NOMEM, "%s: out of memory", f->info->path); }
  f->optics = s->n_optics++;
  nsl_optics *o = &s->optics[f->optics];
  o->psf = psf;
  memcpy(o->sky_to_px, f->sky_to_px, sizeof o->sky_to_px);
  o->mix = mix;
  return NSL_OK;
}

/* ---- making and freeing ---- */

static nsl_status open_field(nsl_scene *s, nsl_field *f, nsl_error *err)
{
  nsl_status st = nsl_exposure_cache_open(s->cache, f->info->path, s->inst, &f->exposure, err);
  if (st != NSL_OK) { return st; }
  if (nsl_exposure_detector(f->exposure) != f->detector) {
    return nsl_fail(err, NSL_E_MISMATCH, "%s: was of detector %d when the plan was made, now of %d; plan again", f->info->path,
                    f->detector->id, nsl_exposure_detector(f->exposure)->id);
  }
  f->exptime_s = nsl_exposure_time_s(f->exposure);
  st = nsl_wcs_jacobian(nsl_exposure_wcs(f->exposure), f->info->ra_deg, f->info->dec_deg, f->sky_to_px, err);
  if (st == NSL_OK) { st = place_sources(s, f, err); }
  if (st == NSL_OK) { st = find_optics(s, f, err); }
  return st;
}

static void close_field(const nsl_scene *s, nsl_field *f)
{
  if (f->exposure) { nsl_exposure_cache_return(s->cache, f->exposure, !f->lost); }
  f->exposure = NULL;
  free(f->x);
  free(f->y);
  free(f->by_y);
  f->x = f->y = NULL;
  f->by_y = NULL;
  f->n_placed = 0;
}

/* Electrons per second of a flat-F_nu source of magnitude 0 through a sensitivity. */
static double rate_of_mag0(const nsl_sensitivity *s)
{
  double sum = 0;
  for (size_t i = 0; i + 1 < s->n; i++) {
    double a = s->value[i] * nsl_flat_fnu_flam(0, s->lambda_a[i]), b = s->value[i + 1] * nsl_flat_fnu_flam(0, s->lambda_a[i + 1]);
    sum += 0.5 * (a + b) * (s->lambda_a[i + 1] - s->lambda_a[i]);
  }
  return sum;
}

nsl_status nsl_scene_make(const nsl_config *cfg, const nsl_instrument *inst, const nsl_tile_task *task, nsl_exposure_cache *cache,
                          const nsl_log *log, nsl_scene *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_scene s = {.inst = inst, .task = task, .cache = cache, .n_all = task->n_sources + task->n_neighbours};
  s.neighbour_mag = nsl_config_real(cfg, "stamp.neighbour_mag");
  size_t n = task->n_exposures ? task->n_exposures : 1;
  s.fields = calloc(n, sizeof *s.fields);
  s.optics = calloc(n, sizeof *s.optics);
  s.renderer = nsl_renderer_new();
  if (!s.fields || !s.optics || !s.renderer) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for %zu exposures", n); }
  for (int c = 0; c < inst->n_confs; c++) {
    const nsl_beam *zeroth = nsl_trace_conf_beam(&inst->confs[c], 'B');
    s.zeroth_rate[c] = zeroth ? rate_of_mag0(&zeroth->sensitivity) : 0;
  }
  for (s.n_fields = 0; s.n_fields < task->n_exposures; s.n_fields++) {
    nsl_field *f = &s.fields[s.n_fields];
    f->info = &task->exposures[s.n_fields];
    f->detector = &inst->detectors[f->info->detector];
    f->band = &inst->bands[f->detector->band];
    f->slot = nsl_instrument_stamp_slot(inst, f->detector->band);
    if (f->slot < 0) { continue; }
    find_reach(inst, f);
    nsl_error why = NSL_ERROR_INIT;
    nsl_status opened = open_field(&s, f, &why);
    if (opened == NSL_OK) { continue; }
    if (opened == NSL_E_NOMEM) {
      s.n_fields++;
      NSL_THROW(err, opened, "%s", why.text);
    }
    nsl_warn(log, "exposure left out: %s", why.text);
    f->lost = 1;
    close_field(&s, f);
  }
  *out = s;
  return NSL_OK;

cleanup:
  nsl_scene_free(&s);
  return st;
}

void nsl_scene_free(nsl_scene *s)
{
  for (size_t i = 0; i < s->n_fields; i++) { close_field(s, &s->fields[i]); }
  for (int o = 0; o < s->n_optics; o++) {
    for (size_t i = 0; i < s->n_all; i++) { free(s->optics[o].mix[i]); }
    free(s->optics[o].mix);
  }
  free(s->fields);
  free(s->optics);
  nsl_renderer_free(s->renderer);
  *s = (nsl_scene){0};
}

/* ---- lost exposures ---- */

/* Gnomonic projection about the exposure's centre; small fields, so no care for the far hemisphere. */
static void project(const nsl_exposure_info *e, double ra, double dec, double *x, double *y)
{
  const double rad = M_PI / 180;
  double d = (ra - e->ra_deg) * rad, sd = sin(dec * rad), cd = cos(dec * rad), s0 = sin(e->dec_deg * rad),
         c0 = cos(e->dec_deg * rad);
  double depth = s0 * sd + c0 * cd * cos(d);
  *x = cd * sin(d) / depth;
  *y = (c0 * sd - s0 * cd * cos(d)) / depth;
}

int nsl_field_should_hold(const nsl_field *f, const nsl_source *source)
{
  const nsl_exposure_info *e = f->info;
  if (!nsl_position_is_usable(source) ||
      !(nsl_sky_distance_deg(e->ra_deg, e->dec_deg, source->ra_deg, source->dec_deg) <= e->radius_deg)) {
    return 0;
  }
  double x, y, cx[4], cy[4];
  project(e, source->ra_deg, source->dec_deg, &x, &y);
  for (int c = 0; c < 4; c++) { project(e, e->corner_ra_deg[c], e->corner_dec_deg[c], &cx[c], &cy[c]); }
  int left = 0, right = 0;
  for (int c = 0; c < 4; c++) {
    int d = (c + 1) % 4;
    double side = (cx[d] - cx[c]) * (y - cy[c]) - (cy[d] - cy[c]) * (x - cx[c]);
    left += side >= 0;
    right += side <= 0;
  }
  return left == 4 || right == 4;
}
