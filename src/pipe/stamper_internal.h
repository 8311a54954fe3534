/* Inside the stamper: exposures as fields of sources, and the light that falls into a window. */
#ifndef PIPE_STAMPER_INTERNAL_H
#define PIPE_STAMPER_INTERNAL_H

#include "noslit/model/instrument.h"
#include "noslit/model/render.h"
#include "noslit/pipe/exposure.h"
#include "noslit/pipe/stamper.h"

typedef struct {
  double y;
  int source;
} nsl_placed;

/* One exposure with the detector positions of all sources of the task (own first, then neighbours). */
typedef struct {
  const nsl_exposure_info *info;
  nsl_exposure *exposure; /* NULL when it is lost or of no use */
  const nsl_detector *detector;
  const nsl_band *band;
  int slot; /* of the band in the stamp; -1: not needed */
  int lost; /* could not be opened, or a window of it could not be read (said once) */
  double exptime_s;
  double sky_to_px[4]; /* at the detector's centre */
  int optics;          /* index of the PSF and orientation whose profiles it shares */
  double *x, *y;       /* [n_all]; NaN where the source cannot matter */
  size_t n_placed;
  nsl_placed *by_y;                      /* sources that may send light onto the frame, sorted by y */
  double dx_min, dx_max, dy_min, dy_max; /* of all beams about the direct position */
} nsl_field;

/* Profiles of all sources under one PSF and orientation, made when first needed. */
typedef struct {
  nsl_psf psf;
  double sky_to_px[4];
  nsl_mix **mix; /* [n_all] */
} nsl_optics;

typedef struct {
  const nsl_instrument *inst;
  const nsl_tile_task *task;
  nsl_exposure_cache *cache; /* NULL: exposures are closed with the scene */
  double neighbour_mag;
  size_t n_all;
  size_t n_fields;
  nsl_field *fields;
  int n_optics;
  nsl_optics *optics;
  double zeroth_rate[NSL_CONFS_MAX]; /* e-/s of a source of AB magnitude 0 in beam B */
  nsl_renderer *renderer;
} nsl_scene;

int nsl_position_is_usable(const nsl_source *s);                  /* finite and on the sphere */
const nsl_source *nsl_scene_source(const nsl_scene *s, size_t i); /* own, then neighbours */
nsl_status nsl_scene_make(const nsl_config *cfg, const nsl_instrument *inst, const nsl_tile_task *task, nsl_exposure_cache *cache,
                          const nsl_log *log, nsl_scene *out, nsl_error *err);
void nsl_scene_free(nsl_scene *s);
/* Is the source inside the exposure's corners? For exposures that cannot be opened. */
int nsl_field_should_hold(const nsl_field *f, const nsl_source *source);

/* Profile of a source on a field, PSF included; borrowed. */
nsl_status nsl_scene_mix(nsl_scene *s, const nsl_field *f, size_t source, const nsl_mix **out, nsl_error *err);
/* Adds the light expected in the window of all sources but the first order of source `self`. *zeroth becomes the electrons of the
 * brightest zeroth order of another source whose centre lies in the box along `trace` between the dx of the band's range. */
nsl_status nsl_scene_light(nsl_scene *s, const nsl_field *f, size_t self, const nsl_trace *trace, nsl_window *window,
                           double *zeroth, nsl_error *err);

#endif
