/* From exposures to stamps: plans the windows of some sources, reads them exposure by exposure in row order, then makes each
 * source's stamp on its own, so that the result does not depend on how the sources are batched. */
#include "noslit/pipe/stamper.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/model/flags.h"
#include "stamper_internal.h"
#include "views_internal.h"

/* Pixels of cut-outs held at a time: 64 MiB in three planes. */
enum { PIXELS_AT_A_TIME = (64 << 20) / 12 };
/* A zeroth order matters when it exceeds the noise of this box of pixels, about its own size. */
#define ZEROTH_ORDER_BOX_PX (27.0 * 10.0)

/* A cut-out that a source needs. */
typedef struct {
  size_t source;
  int field;
  long x0, y0, w, h;
  size_t at; /* first pixel in the pool */
  int lost;
  nsl_trace trace;
} window_plan;

struct nsl_stamper {
  nsl_scene scene;
  const nsl_log *log;
  nsl_view_settings settings;
  nsl_view_room room;
  nsl_stamper_cost cost;
  size_t n_windows, windows_capacity;
  window_plan *windows;
  window_plan **order; /* for reading */
  nsl_cutout *cutouts; /* in that order */
  size_t pool_pixels;
  float *sci, *err_plane;
  int32_t *dq;
  size_t light_pixels;
  float *light;
};

nsl_status nsl_stamper_new(const nsl_config *cfg, const nsl_instrument *inst, const nsl_tile_task *task, nsl_exposure_cache *cache,
                           const nsl_log *log, nsl_stamper **out, nsl_error *err)
{
  nsl_stamper *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for stamps"); }
  double start = nsl_clock_s();
  s->log = log;
  s->settings = nsl_view_settings_from(cfg);
  nsl_status st = nsl_scene_make(cfg, inst, task, cache, log, &s->scene, err);
  s->cost.io_s += nsl_clock_s() - start;
  if (st != NSL_OK) {
    nsl_stamper_free(s);
    return st;
  }
  for (size_t f = 0; f < s->scene.n_fields; f++) { s->cost.exposures_lost += s->scene.fields[f].lost; }
  *out = s;
  return NSL_OK;
}

void nsl_stamper_free(nsl_stamper *s)
{
  if (!s) { return; }
  nsl_scene_free(&s->scene);
  nsl_view_room_free(&s->room);
  free(s->windows);
  free(s->order);
  free(s->cutouts);
  free(s->sci);
  free(s->err_plane);
  free(s->dq);
  free(s->light);
  free(s);
}

const nsl_stamper_cost *nsl_stamper_spent(const nsl_stamper *s) { return &s->cost; }

/* ---- which windows ---- */

static int plan_window(const nsl_stamper *s, size_t source, int field, window_plan *out)
{
  const nsl_field *f = &s->scene.fields[field];
  if (!f->exposure || !isfinite(f->x[source])) { return 0; }
  const nsl_grating *grating = nsl_detector_grating(f->detector, f->x[source]);
  if (!grating) { return 0; }
  *out = (window_plan){.source = source, .field = field};
  nsl_trace_at(nsl_trace_conf_beam(&s->scene.inst->confs[grating->conf], 'A'), f->x[source], f->y[source], &out->trace);
  return nsl_view_window(&out->trace, f->band, &s->settings, f->detector->nx, f->detector->ny, &out->x0, &out->y0, &out->w,
                         &out->h);
}

/* Plans sources from `first` on until the pool is full; returns the end of the range (at least one source). */
static nsl_status plan_windows(nsl_stamper *s, size_t first, size_t end, size_t *reached, nsl_error *err)
{
  size_t pixels = 0, i = first;
  s->n_windows = 0;
  for (; i < end; i++) {
    if (s->n_windows + s->scene.n_fields > s->windows_capacity) {
      size_t capacity = 2 * (s->windows_capacity + s->scene.n_fields);
      window_plan *grown = realloc(s->windows, capacity * sizeof *grown);
      if (!grown) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for stamps"); }
      s->windows = grown;
      s->windows_capacity = capacity;
    }
    size_t before = s->n_windows, with_this = pixels;
    for (size_t f = 0; f < s->scene.n_fields; f++) {
      window_plan *w = &s->windows[s->n_windows];
      if (!plan_window(s, i, (int)f, w)) { continue; }
      w->at = with_this;
      with_this += (size_t)w->w * (size_t)w->h;
      s->n_windows++;
    }
    if (with_this > PIXELS_AT_A_TIME && i > first) {
      s->n_windows = before;
      break;
    }
    pixels = with_this;
  }
  *reached = i;
  if (pixels > s->pool_pixels) {
    free(s->sci);
    free(s->err_plane);
    free(s->dq);
    s->pool_pixels = 0;
    s->sci = malloc(pixels * sizeof *s->sci);
    s->err_plane = malloc(pixels * sizeof *s->err_plane);
    s->dq = malloc(pixels * sizeof *s->dq);
    if (!s->sci || !s->err_plane || !s->dq) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for cut-outs"); }
    s->pool_pixels = pixels;
  }
  return NSL_OK;
}

/* ---- reading ---- */

static int compare_for_reading(const void *a, const void *b)
{
  const window_plan *p = *(window_plan *const *)a, *q = *(window_plan *const *)b;
  if (p->field != q->field) { return p->field - q->field; }
  if (p->y0 != q->y0) { return p->y0 < q->y0 ? -1 : 1; }
  if (p->x0 != q->x0) { return p->x0 < q->x0 ? -1 : 1; }
  return p->source < q->source ? -1 : p->source > q->source;
}

/* One by one: finds which windows of a damaged exposure can still be read. */
static nsl_status read_singly(nsl_stamper *s, nsl_field *f, window_plan *const *windows, const nsl_cutout *cutouts, size_t n,
                              nsl_error *err)
{
  for (size_t k = 0; k < n; k++) {
    nsl_error why = NSL_ERROR_INIT;
    const nsl_cutout *c = &cutouts[k];
    nsl_status st = nsl_exposure_read(f->exposure, c->x0, c->y0, c->w, c->h, c->sci, c->err, c->dq, &why);
    if (st == NSL_E_NOMEM) { return nsl_fail(err, st, "%s", why.text); }
    if (st != NSL_OK) {
      nsl_log_write(s->log, f->lost ? NSL_LOG_DEBUG : NSL_LOG_WARN, "cut-out left out (source %lld): %s",
                    (long long)s->scene.task->sources[windows[k]->source].id, why.text);
      s->cost.exposures_lost += !f->lost;
      windows[k]->lost = f->lost = 1;
    }
  }
  return NSL_OK;
}

/* Calls visit for the windows of each exposure in turn. */
typedef nsl_status field_visit(nsl_stamper *s, nsl_field *f, window_plan *const *windows, const nsl_cutout *cutouts, size_t n,
                               nsl_error *err);

static nsl_status for_fields(nsl_stamper *s, field_visit *visit, nsl_error *err)
{
  for (size_t k = 0, end; k < s->n_windows; k = end) {
    for (end = k; end < s->n_windows && s->order[end]->field == s->order[k]->field; end++) {}
    nsl_status st = visit(s, &s->scene.fields[s->order[k]->field], s->order + k, s->cutouts + k, end - k, err);
    if (st != NSL_OK) { return st; }
  }
  return NSL_OK;
}

static nsl_status announce_field(nsl_stamper *s, nsl_field *f, window_plan *const *windows, const nsl_cutout *cutouts, size_t n,
                                 nsl_error *err)
{
  (void)s, (void)windows;
  return nsl_exposure_announce(f->exposure, n, cutouts, err);
}

static nsl_status read_field(nsl_stamper *s, nsl_field *f, window_plan *const *windows, const nsl_cutout *cutouts, size_t n,
                             nsl_error *err)
{
  nsl_error why = NSL_ERROR_INIT;
  nsl_status st = nsl_exposure_read_many(f->exposure, n, cutouts, &why);
  if (st == NSL_E_NOMEM) { return nsl_fail(err, st, "%s", why.text); }
  return st == NSL_OK ? NSL_OK : read_singly(s, f, windows, cutouts, n, err);
}

/* All reading of pixels happens here: all of it is announced, then read exposure by exposure, from the first row to the last. */
static nsl_status read_windows(nsl_stamper *s, nsl_error *err)
{
  double start = nsl_clock_s();
  size_t n = s->windows_capacity ? s->windows_capacity : 1;
  window_plan **order = realloc(s->order, n * sizeof(*order));
  if (order) { s->order = order; }
  nsl_cutout *cutouts = realloc(s->cutouts, n * sizeof *cutouts);
  if (cutouts) { s->cutouts = cutouts; }
  if (!order || !cutouts) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for stamps"); }
  for (size_t k = 0; k < s->n_windows; k++) { order[k] = &s->windows[k]; }
  qsort(order, s->n_windows, sizeof *order, compare_for_reading);
  for (size_t k = 0; k < s->n_windows; k++) {
    const window_plan *w = order[k];
    cutouts[k] = (nsl_cutout){w->x0, w->y0, w->w, w->h, s->sci + w->at, s->err_plane + w->at, s->dq + w->at};
    s->cost.bytes_read += 10 * (int64_t)w->w * w->h;
  }
  nsl_status st = for_fields(s, announce_field, err);
  if (st == NSL_OK) { st = for_fields(s, read_field, err); }
  s->cost.io_s += nsl_clock_s() - start;
  return st;
}

nsl_status nsl_stamper_announce(nsl_stamper *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n_sources = s->scene.task->n_sources;
  double start = nsl_clock_s();
  nsl_cutout *cutouts = calloc(n_sources + 1, sizeof *cutouts);
  if (!cutouts) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for stamps"); }
  for (size_t f = 0; f < s->scene.n_fields && st == NSL_OK; f++) {
    size_t n = 0;
    for (size_t i = 0; i < n_sources; i++) {
      window_plan w;
      if (plan_window(s, i, (int)f, &w)) { cutouts[n++] = (nsl_cutout){.x0 = w.x0, .y0 = w.y0, .w = w.w, .h = w.h}; }
    }
    if (n) { st = nsl_exposure_announce(s->scene.fields[f].exposure, n, cutouts, err); }
  }
  free(cutouts);
  s->cost.io_s += nsl_clock_s() - start;
  return st;
}

/* ---- one source ---- */

/* Does the spectrum between the band's limits lie on both sides of a boundary between gratings? */
static int crosses_split(const nsl_field *f, double x, const nsl_trace *t)
{
  const nsl_grating *own = nsl_detector_grating(f->detector, x);
  const double limits[2] = {f->band->lambda_min_a, f->band->lambda_max_a};
  for (int k = 0; k < 2; k++) {
    double dx;
    if (!nsl_trace_dx_of_lambda(t, limits[k], &dx)) { continue; }
    double end = t->x0 + dx;
    if (end >= 0.5 && end < (double)f->detector->nx + 0.5 && nsl_detector_grating(f->detector, end) != own) { return 1; }
  }
  return 0;
}

/* Electrons to work in: the cut-out holds rates. */
static void scale_to_electrons(nsl_stamper *s, const window_plan *w, double seconds)
{
  size_t n = (size_t)w->w * (size_t)w->h;
  float t = (float)seconds, *sci = s->sci + w->at, *err_plane = s->err_plane + w->at;
  for (size_t i = 0; i < n; i++) {
    sci[i] *= t;
    err_plane[i] *= t;
  }
}

static nsl_status expected_light(nsl_stamper *s, const window_plan *w, double *zeroth, nsl_error *err)
{
  size_t n = (size_t)w->w * (size_t)w->h;
  if (n > s->light_pixels) {
    free(s->light);
    s->light_pixels = 0;
    s->light = malloc(n * sizeof *s->light);
    if (!s->light) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for cut-outs"); }
    s->light_pixels = n;
  }
  memset(s->light, 0, n * sizeof *s->light);
  nsl_window window = {.x0 = (double)w->x0 + 1, .y0 = (double)w->y0 + 1, .w = (int)w->w, .h = (int)w->h, .img = s->light};
  return nsl_scene_light(&s->scene, &s->scene.fields[w->field], w->source, &w->trace, &window, zeroth, err);
}

/* Window -> room->views[slot]; flags that one view tells. */
static nsl_status use_window(nsl_stamper *s, const window_plan *w, int slot, uint32_t *flags, nsl_error *err)
{
  nsl_field *f = &s->scene.fields[w->field];
  double zeroth, start = nsl_clock_s();
  nsl_status st = expected_light(s, w, &zeroth, err);
  double lit = nsl_clock_s();
  s->cost.contamination_s += lit - start;
  if (st != NSL_OK) { return st; }
  scale_to_electrons(s, w, f->exptime_s);
  const nsl_mix *mix;
  st = nsl_scene_mix(&s->scene, f, w->source, &mix, err);
  if (st != NSL_OK) { return st; }
  nsl_view view = {.x0 = (double)w->x0 + 1,
                   .y0 = (double)w->y0 + 1,
                   .w = (int)w->w,
                   .h = (int)w->h,
                   .sci = s->sci + w->at,
                   .err = s->err_plane + w->at,
                   .dq = s->dq + w->at,
                   .neighbours = s->light,
                   .exptime_s = f->exptime_s,
                   .trace = w->trace,
                   .tilt = nsl_mix_tilt(mix),
                   .own_beside = nsl_view_own_beside(mix, &s->settings)};
  st = nsl_view_rectify(&view, f->band, &s->scene.inst->dq, &s->settings, &s->room, slot, err);
  if (st != NSL_OK) { return st; }
  double noise = f->exptime_s * sqrt(ZEROTH_ORDER_BOX_PX * s->room.views[slot].background_variance);
  if (zeroth > noise) { *flags |= NSL_FLAG_ZEROTH_ORDER; }
  if (crosses_split(f, f->x[w->source], &w->trace)) { *flags |= NSL_FLAG_SPLIT; }
  s->cost.resample_s += nsl_clock_s() - lit;
  return NSL_OK;
}

static void describe_shape(const nsl_stamper *s, const nsl_source *source, const window_plan *windows, size_t n, nsl_stamp *stamp)
{
  double per_arcsec = 1 / s->scene.inst->pixel_scale_arcsec;
  const double upright[4] = {-per_arcsec, 0, 0, per_arcsec};
  const double *m = n > 0 ? s->scene.fields[windows[0].field].sky_to_px : upright;
  nsl_shape_to_pixels(&source->shape, m, &stamp->re_px, &stamp->q, &stamp->pa_x_deg);
  stamp->sersic_n = (float)source->shape.sersic_n;
}

static uint32_t input_flags(const nsl_stamper *s, const nsl_source *source)
{
  uint32_t flags = source->is_star ? NSL_FLAG_STAR : 0;
  if (!nsl_position_is_usable(source) || !isfinite(source->mag)) { flags |= NSL_FLAG_BAD_INPUT; }
  for (size_t f = 0; f < s->scene.n_fields; f++) {
    const nsl_field *field = &s->scene.fields[f];
    if (field->lost && !field->exposure && nsl_field_should_hold(field, source)) { flags |= NSL_FLAG_EXPOSURE_LOST; }
  }
  return flags;
}

/* windows[0..n): all of this source. */
static nsl_status make_stamp(nsl_stamper *s, size_t source, window_plan *windows, size_t n, nsl_stamp *stamp, nsl_error *err)
{
  const nsl_source *src = &s->scene.task->sources[source];
  stamp->source_id = src->id;
  stamp->flags = input_flags(s, src);
  describe_shape(s, src, windows, n, stamp);
  nsl_status st = nsl_view_room_reserve(&s->room, n > 0 ? (int)n : 1, err);
  for (int slot = 0; slot < NSL_STAMP_BANDS && st == NSL_OK; slot++) {
    int used = 0;
    for (size_t k = 0; k < n && st == NSL_OK; k++) {
      if (s->scene.fields[windows[k].field].slot != slot) { continue; }
      if (windows[k].lost) {
        stamp->flags |= NSL_FLAG_EXPOSURE_LOST;
        continue;
      }
      st = use_window(s, &windows[k], used++, &stamp->flags, err);
    }
    if (st != NSL_OK) { break; }
    double start = nsl_clock_s();
    size_t plane = (size_t)slot * NSL_STAMP_PLANE;
    nsl_rectified_combine(&s->room, used, &s->scene.inst->bands[s->scene.inst->stamp_band[slot]], &s->settings, stamp->flux + plane,
                          stamp->variance + plane, stamp->contamination + plane, &stamp->band[slot], &stamp->flags);
    stamp->flags |= nsl_stamp_slot_flags(&stamp->band[slot], slot);
    s->cost.combine_s += nsl_clock_s() - start;
  }
  if (stamp->band[0].n_exp + stamp->band[1].n_exp == 0) { stamp->flags |= NSL_FLAG_NO_PDF; }
  return st;
}

nsl_status nsl_stamper_make(nsl_stamper *s, size_t first, size_t n, nsl_stamp_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (first > s->scene.task->n_sources || n > s->scene.task->n_sources - first || n > set->capacity) {
    return nsl_fail(err, NSL_E_BUG, "stamps %zu to %zu of a task with %zu sources, room for %zu", first, first + n,
                    s->scene.task->n_sources, set->capacity);
  }
  nsl_stamp_set_clear(set);
  for (size_t i = first, end = first; i < first + n; i = end) {
    NSL_TRY(plan_windows(s, i, first + n, &end, err));
    NSL_TRY(read_windows(s, err));
    window_plan *w = s->windows, *last = s->windows + s->n_windows;
    for (size_t source = i; source < end; source++) {
      size_t own = 0;
      while (w + own < last && w[own].source == source) { own++; }
      NSL_TRY(make_stamp(s, source, w, own, &set->stamps[source - first], err));
      w += own;
    }
  }
  set->n = n;
cleanup:
  return st;
}
