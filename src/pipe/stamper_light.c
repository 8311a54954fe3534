/* The light expected in a window from everything but the source itself. */
#include <math.h>
#include <stdlib.h>

#include "stamper_internal.h"

nsl_status nsl_scene_mix(nsl_scene *s, const nsl_field *f, size_t source, const nsl_mix **out, nsl_error *err)
{
  nsl_optics *o = &s->optics[f->optics];
  if (!o->mix[source]) {
    o->mix[source] = malloc(sizeof(nsl_mix));
    if (!o->mix[source]) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for source profiles"); }
    nsl_mix_from_shape(&nsl_scene_source(s, source)->shape, o->psf.sigma_px, o->sky_to_px, o->mix[source]);
    o->mix[source]->psf = o->psf;
  }
  *out = o->mix[source];
  return NSL_OK;
}

/* First of the sorted sources with y not below. */
static size_t first_at(const nsl_field *f, double y)
{
  size_t lo = 0, hi = f->n_placed;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    if (f->by_y[mid].y < y) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

/* Does the zeroth order of a source at (x, y) fall on the box along the trace, within the band's range? */
static int zeroth_hits(const nsl_beam *beam, double x, double y, const nsl_trace *trace, double dx_lo, double dx_hi)
{
  const double half_box = 13.5, margin = 3;
  nsl_trace z;
  nsl_trace_at(beam, x, y, &z);
  double middle = 0.5 * (z.dx_min + z.dx_max), zx = z.x0 + middle, zy = z.y0 + nsl_trace_dy(&z, middle), dx = zx - trace->x0;
  if (!(dx >= dx_lo - margin && dx <= dx_hi + margin)) { return 0; }
  return fabs(zy - trace->y0 - nsl_trace_dy(trace, dx)) <= half_box + margin;
}

static void band_extent(const nsl_trace *t, const nsl_band *band, double *lo, double *hi)
{
  double a = t->dx_min, b = t->dx_max;
  (void)nsl_trace_dx_of_lambda(t, band->lambda_min_a, &a);
  (void)nsl_trace_dx_of_lambda(t, band->lambda_max_a, &b);
  *lo = fmin(a, b);
  *hi = fmax(a, b);
}

nsl_status nsl_scene_light(nsl_scene *s, const nsl_field *f, size_t self, const nsl_trace *trace, nsl_window *window,
                           double *zeroth, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_sed *sed = nsl_sed_flat_fnu();
  double dx_lo, dx_hi;
  band_extent(trace, f->band, &dx_lo, &dx_hi);
  *zeroth = 0;
  double y_last = window->y0 + window->h - 1 - f->dy_min;
  for (size_t k = first_at(f, window->y0 - f->dy_max); k < f->n_placed && f->by_y[k].y <= y_last; k++) {
    size_t i = (size_t)f->by_y[k].source;
    double x = f->x[i], y = f->y[i];
    if (x + f->dx_max < window->x0 || x + f->dx_min > window->x0 + window->w - 1) { continue; }
    const nsl_grating *grating = nsl_detector_grating(f->detector, x);
    if (!grating) { continue; }
    const nsl_trace_conf *conf = &s->inst->confs[grating->conf];
    double seconds = f->exptime_s * pow(10, -0.4 * nsl_scene_source(s, i)->mag);
    const nsl_mix *mix = NULL;
    NSL_TRY(nsl_scene_mix(s, f, i, &mix, err));
    for (int b = 0; b < conf->n_beams; b++) {
      const nsl_beam *beam = &conf->beams[b];
      if (i == self && beam->name == 'A') { continue; }
      NSL_TRY(nsl_render_beam(s->renderer, beam, x, y, mix, sed, seconds, window, err));
      if (i != self && beam->name == 'B' && zeroth_hits(beam, x, y, trace, dx_lo, dx_hi)) {
        *zeroth = fmax(*zeroth, seconds * s->zeroth_rate[grating->conf]);
      }
    }
  }
cleanup:
  return st;
}
