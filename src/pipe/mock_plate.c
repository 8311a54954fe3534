/* The light of a stamp's source and neighbours: rendered once for each grating of a band, then moved from exposure to exposure. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_studio.h"
#include "noslit/base/vectorised.h"

#define MARGIN_PX 6   /* of the plate round the window: rounding, errors of calibration, the spline */
#define FAR_PX 100000 /* moves a trace away from the edges of a detector */
#define BOX_HALF_PX 13
/* Electrons whose place in a column does not matter, of the source and of neighbours: the noise of its extraction box is 45 e-. */
#define UNSEEN_OWN_E 0.1
#define UNSEEN_E 0.3

static nsl_status render_source(nsl_studio *s, const nsl_mock_setting *g, double x, double y, int grating,
                                const nsl_mock_source *src, nsl_window *w, nsl_error *err)
{
  const nsl_mock_optics *o = &s->optics;
  return nsl_mock_render_galaxy(s->m, &o->conf[grating], x, y, src, &o->true_psf, g->j, s->flam, s->of_lines, w, err);
}

static nsl_status render_others(nsl_studio *s, const nsl_mock_setting *g, double x, double y, nsl_window *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock *m = s->m;
  const nsl_mock_optics *o = &s->optics;
  nsl_mix mix;
  for (size_t k = 0; k < s->n_neighbours; k++) {
    const nsl_mock_neighbour *nb = &s->neighbours[k];
    double nx = x + g->j[0] * nb->east + g->j[1] * nb->north, ny = y + g->j[2] * nb->east + g->j[3] * nb->north;
    int grating = nsl_mock_grating_at(g->det, nx);
    if (grating < 0) { continue; }
    nsl_mix_from_shape(&nb->source.shape, o->true_psf.sigma_px, g->j, &mix);
    mix.psf = o->true_psf;
    NSL_TRY(nsl_mock_render(m, &o->conf[grating], nx, ny, &mix, nb->sed, nb->source.mag,
                            m->exptime_s * pow(10, -0.4 * nb->source.mag), w, err));
  }
cleanup:
  return st;
}

/* The contamination model of `run`: catalogued neighbours as flat spectra. */
static nsl_status render_expected(nsl_studio *s, const nsl_mock_setting *g, int band, double x, double y, nsl_window *w,
                                  nsl_error *err)
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

/* sum[i] += light[i] */
NSL_VECTORISED static void add_row(double *restrict sum, const float *restrict light, int n)
{
  for (int i = 0; i < n; i++) { sum[i] += (double)light[i]; }
}

#define NO_ROW LONG_MIN /* outside the band's wavelengths */

/* The middle row of the extraction box in a column. */
static long box_row(const nsl_band *band, const nsl_trace *t, const nsl_mock_plate *p, int column)
{
  double dx = p->x0 + column - t->x0, lambda = nsl_trace_lambda(t, dx);
  if (dx < t->dx_min || dx > t->dx_max || lambda < band->lambda_min_a || lambda > band->lambda_max_a) { return NO_ROW; }
  return lround(t->y0 + nsl_trace_dy(t, dx) - p->y0);
}

/* Light in the extraction box round the trace, column by column, over the band's wavelengths: by runs of columns with one row. */
static void sum_boxes(const nsl_band *band, const nsl_trace *t, const nsl_mock_plate *p, double *box)
{
  memset(box, 0, (size_t)p->w * sizeof *box);
  for (int a = 0, b; a < p->w; a = b) {
    long row = box_row(band, t, p, a);
    for (b = a + 1; b < p->w && box_row(band, t, p, b) == row; b++) {}
    if (row == NO_ROW) { continue; }
    for (long y = row < BOX_HALF_PX ? 0 : row - BOX_HALF_PX; y <= row + BOX_HALF_PX && y < p->h; y++) {
      add_row(box + a, p->light + y * p->w + a, b - a);
    }
  }
}

static int reserve(nsl_mock_plate *p)
{
  size_t n = (size_t)p->w * (size_t)p->h;
  if (n <= p->capacity) { return 1; }
  n += n / 4;
  float *light = malloc(2 * n * sizeof *light);
  double *box = malloc(2 * n * sizeof *box);
  free(p->light);
  free(p->own_box);
  p->light = light;
  p->own_box = box;
  p->capacity = light && box ? n : 0;
  return p->capacity > 0;
}

/* The window of a detector without edges. */
static int frame_plate(const nsl_studio *s, const nsl_band *band, const nsl_trace *trace, nsl_mock_plate *p)
{
  nsl_trace far = *trace;
  long x0, y0, w, h;
  far.x0 += FAR_PX;
  far.y0 += FAR_PX;
  if (!nsl_view_window(&far, band, &s->settings, 2 * FAR_PX, 2 * FAR_PX, &x0, &y0, &w, &h)) { return 0; }
  p->x0 = (double)(x0 + 1 - FAR_PX - MARGIN_PX);
  p->y0 = (double)(y0 + 1 - FAR_PX - MARGIN_PX);
  p->w = (int)w + 2 * MARGIN_PX;
  p->h = (int)h + 2 * MARGIN_PX;
  return 1;
}

static int any_light(const float *img, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    if (img[i] > 0) { return 1; }
  }
  return 0;
}

static nsl_status make_plate(nsl_studio *s, const nsl_mock_setting *g, const nsl_mock_source *src, const nsl_mock_sight *at,
                             nsl_mock_plate *p, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int bi = g->det->band;
  const nsl_band *band = &s->m->inst->bands[bi];
  const nsl_beam *first = nsl_trace_conf_beam(&s->optics.conf[at->grating], 'A');
  if (!frame_plate(s, band, &at->trace, p) || !reserve(p)) { NSL_THROW(err, NSL_E_NOMEM, "light of a stamp"); }
  size_t n = (size_t)p->w * (size_t)p->h;
  p->near = p->light + n;
  p->box = p->own_box + p->w;
  memset(p->light, 0, 2 * n * sizeof *p->light);
  nsl_trace_at(first, at->x, at->y, &p->trace);
  nsl_window light = {p->x0, p->y0, p->w, p->h, p->light}, near = light;
  near.img = p->near;
  nsl_renderer_neglect(s->m->renderer, UNSEEN_OWN_E);
  NSL_TRY(render_source(s, g, at->x, at->y, at->grating, src, &light, err));
  sum_boxes(band, &at->trace, p, p->own_box);
  nsl_renderer_neglect(s->m->renderer, UNSEEN_E);
  NSL_TRY(render_others(s, g, at->x, at->y, &light, err));
  sum_boxes(band, &at->trace, p, p->box);
  NSL_TRY(render_expected(s, g, bi, at->cx, at->cy, &near, err));
  p->any_near = any_light(p->near, n);
  p->made = 1;
  p->prepared = 0;
cleanup:
  nsl_renderer_neglect(s->m->renderer, 0);
  return st;
}

/* How much farther right and higher the plate has the light of the window's column at x. */
static void shift_at(const nsl_mock_plate *p, const nsl_trace *now, double x, double *dx, double *dy)
{
  double u = fmin(fmax(x - now->x0, now->dx_min), now->dx_max), v;
  if (!nsl_trace_dx_of_lambda(&p->trace, nsl_trace_lambda(now, u), &v)) { v = u; }
  *dx = (p->trace.x0 + v) - (now->x0 + u);
  *dy = (p->trace.y0 + nsl_trace_dy(&p->trace, v)) - (now->y0 + nsl_trace_dy(now, u));
}

/* The move from the window's pixels to the plate's: exact at the ends of the window and in its middle. */
static nsl_warp_move find_move(const nsl_mock_plate *p, const nsl_trace *now, const nsl_window *w)
{
  nsl_warp_move m = {.middle = 0.5 * (w->w - 1), .half = fmax(0.5 * (w->w - 1), 1)};
  double x[3], y[3];
  for (int k = 0; k < 3; k++) {
    shift_at(p, now, w->x0 + m.middle + (k - 1) * m.half, &x[k], &y[k]);
    x[k] += w->x0 - p->x0;
    y[k] += w->y0 - p->y0;
  }
  m.x[0] = x[1];
  m.x[1] = 0.5 * (x[2] - x[0]);
  m.x[2] = 0.5 * (x[2] + x[0]) - x[1];
  m.y[0] = y[1];
  m.y[1] = 0.5 * (y[2] - y[0]);
  m.y[2] = 0.5 * (y[2] + y[0]) - y[1];
  return m;
}

void nsl_plates_forget(nsl_studio *s)
{
  for (int k = 0; k < NSL_GRATINGS_MAX; k++) { s->plates[k].made = 0; }
}

void nsl_plates_free(nsl_studio *s)
{
  for (int k = 0; k < NSL_GRATINGS_MAX; k++) {
    free(s->plates[k].light);   /* and near */
    free(s->plates[k].own_box); /* and box */
  }
  nsl_warp_free(&s->warp);
}

/* The part of a plate that is not prepared yet, for the exposure it was rendered for. */
static void copy_window(const nsl_mock_plate *p, const float *plate, nsl_window *to)
{
  long x = lround(to->x0 - p->x0), y = lround(to->y0 - p->y0);
  for (int j = 0; j < to->h; j++) {
    memcpy(to->img + (size_t)j * (size_t)to->w, plate + (y + j) * p->w + x, (size_t)to->w * sizeof *to->img);
  }
}

static nsl_status prepare(nsl_studio *s, nsl_mock_plate *p, nsl_error *err)
{
  if (!p->prepared &&
      (!nsl_warp_prepare(&s->warp, p->light, p->w, p->h) || (p->any_near && !nsl_warp_prepare(&s->warp, p->near, p->w, p->h)))) {
    return nsl_fail(err, NSL_E_NOMEM, "light of a stamp");
  }
  p->prepared = 1;
  return NSL_OK;
}

/* Light in the box of the columns that the window shows. */
static void add_boxes(nsl_studio *s, const nsl_mock_plate *p, double shift, int w)
{
  double own = 0, all = 0;
  int from = (int)fmax(shift, 0), to = (int)fmin(shift + w, p->w);
  for (int i = from; i < to; i++) {
    own += p->own_box[i];
    all += p->box[i];
  }
  s->light_own += own;
  s->light_others += all - own;
}

nsl_status nsl_plates_show(nsl_studio *s, const nsl_mock_setting *g, const nsl_mock_source *src, const nsl_mock_sight *at,
                           nsl_window *light, nsl_window *near, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock_plate *p = &s->plates[at->grating];
  int first = !p->made;
  if (first) {
    NSL_TRY(make_plate(s, g, src, at, p, err));
  } else {
    NSL_TRY(prepare(s, p, err));
  }
  nsl_trace now;
  nsl_trace_at(nsl_trace_conf_beam(&s->optics.conf[at->grating], 'A'), at->x, at->y, &now);
  nsl_warp_move m = find_move(p, &now, light);
  for (int k = 0; k < 2; k++) {
    const float *from = k ? p->near : p->light;
    nsl_window *to = k ? near : light;
    if (k && !p->any_near) {
      memset(to->img, 0, (size_t)to->w * (size_t)to->h * sizeof *to->img);
    } else if (first) {
      copy_window(p, from, to);
    } else {
      nsl_warp_show(&m, from, p->w, p->h, to->w, to->h, to->img);
    }
  }
  add_boxes(s, p, m.x[0], light->w);
cleanup:
  return st;
}
