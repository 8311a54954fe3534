/* The memory and the settings that stay while stamps are made. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_studio.h"

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

void nsl_studio_close(nsl_studio *s)
{
  nsl_view_room_free(&s->room);
  nsl_plates_free(s);
  free(s->flam); /* and of_lines */
  free(s->neighbours);
  free(s->sci); /* and all other planes */
}

nsl_status nsl_studio_open(nsl_mock *m, nsl_studio *s, nsl_error *err)
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
  s->neighbours = malloc(NSL_STUDIO_NEIGHBOURS_MAX * sizeof *s->neighbours);
  if (!s->flam || !s->neighbours) { return nsl_fail(err, NSL_E_NOMEM, "stamps"); }
  return NSL_OK;
}

int nsl_studio_reserve(nsl_studio *s, size_t n)
{
  if (n <= s->capacity) { return 1; }
  n += n / 4;
  float *p = malloc(3 * n * sizeof *p + n * sizeof *s->dq);
  if (!p) { return 0; }
  free(s->sci);
  s->sci = p;
  s->err = p + n;
  s->near = s->err + n;
  s->dq = (int32_t *)(s->near + n);
  s->capacity = n;
  return 1;
}

void nsl_mock_local_map(const nsl_mock *m, double rotation_deg, double j[4])
{
  double s = 1 / m->inst->pixel_scale_arcsec, c = cos(rotation_deg * M_PI / 180), t = sin(rotation_deg * M_PI / 180);
  j[0] = -s * c;
  j[1] = s * t;
  j[2] = s * t;
  j[3] = s * c;
}
