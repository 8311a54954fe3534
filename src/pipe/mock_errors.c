/* Errors of calibration: what the sky does to light and the instrument file does not know. A survey has one set of them for each
 * grating, and others for each exposure; a training stamp has its own. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/vectorised.h"

#define SKY_PERIOD_MIN_PX 60.0
#define SKY_PERIOD_MAX_PX 600.0
#define SKY_ROWS_BESIDE 26.0 /* where `run` takes the sky of a stamp from, from the trace */

double nsl_error_size(const nsl_config *cfg, const char *key)
{
  return nsl_config_bool(cfg, "simulate.clean") && !nsl_config_is_set(cfg, key) ? 0 : nsl_config_real(cfg, key);
}

nsl_error_sizes nsl_error_sizes_from(const nsl_config *cfg)
{
  const char *shape = nsl_config_text(cfg, "simulate.error_wave_shape");
  const char *band = nsl_config_text(cfg, "simulate.error_wave_bands");
  nsl_error_sizes s = {.wave_shape = !strcmp(shape, "fixed")     ? NSL_WAVE_FIXED
                                     : !strcmp(shape, "uniform") ? NSL_WAVE_UNIFORM
                                                                 : NSL_WAVE_NORMAL,
                       .wave_grating_px = nsl_error_size(cfg, "simulate.error_wave_grating"),
                       .wave_exposure_px = nsl_error_size(cfg, "simulate.error_wave_exposure"),
                       .dispersion = nsl_error_size(cfg, "simulate.error_dispersion"),
                       .trace_px = nsl_error_size(cfg, "simulate.error_trace"),
                       .psf = nsl_error_size(cfg, "simulate.error_psf"),
                       .sky = nsl_error_size(cfg, "simulate.error_sky"),
                       .stray = nsl_error_size(cfg, "simulate.stray_light")};
  if (strcmp(band, "both") != 0) { snprintf(s.wave_band, sizeof s.wave_band, "%s", band); }
  return s;
}

/* One number of the shape; always takes the same from the stream. */
static double draw_wave(const nsl_error_sizes *s, double size, nsl_rng *r)
{
  double normal = nsl_rng_normal(r), uniform = nsl_rng_range(r, -1, 1);
  return size * (s->wave_shape == NSL_WAVE_FIXED ? 1 : s->wave_shape == NSL_WAVE_UNIFORM ? uniform : normal);
}

/* lambda'(l) = lambda(scale l + offset). */
static void substitute(nsl_beam *b, double scale, double offset)
{
  for (int j = 0; j < b->n_dldp; j++) {
    nsl_field_poly sum = {{0}};
    double binomial = 1, power = pow(scale, j);
    for (int i = j; i < b->n_dldp; i++) {
      for (int k = 0; k < 6; k++) { sum.a[k] += binomial * power * b->dldp[i].a[k]; }
      binomial *= (double)(i + 1) / (i + 1 - j);
      power *= offset;
    }
    b->dldp[j] = sum;
  }
}

/* The dx that a dispersed order gives the wavelength, at the middle of the detector; 0 if it does not reach it. */
static double place_of(const nsl_beam *b, const nsl_detector *det, double lambda_a)
{
  nsl_trace t;
  double dx;
  nsl_trace_at(b, 0.5 * (double)det->nx, 0.5 * (double)det->ny, &t);
  return nsl_trace_dx_of_lambda(&t, lambda_a, &dx) ? dx : 0;
}

static void disturb(nsl_beam *b, const nsl_detector *det, double pivot_a, const nsl_grating_error *e)
{
  b->yoff.a[0] += e->trace_px;
  if (b->name == 'B' || b->n_dldp < 2) { return; } /* the zeroth order is where positions are measured from */
  double to_red = b->dldp[1].a[0] < 0 ? -1 : 1, pivot = place_of(b, det, pivot_a), scale = 1 / (1 + e->dispersion);
  substitute(b, scale, pivot * (1 - scale) - to_red * e->wave_px);
  double wider = fabs(e->wave_px) + fabs(e->dispersion) * (b->dx_max - b->dx_min);
  b->dx_min -= wider;
  b->dx_max += wider;
}

static void draw_sky(const nsl_error_sizes *s, nsl_rng *r, nsl_sky_pattern *p)
{
  for (int k = 0; k < NSL_SKY_WAVES; k++) {
    double period = SKY_PERIOD_MIN_PX * pow(SKY_PERIOD_MAX_PX / SKY_PERIOD_MIN_PX, nsl_rng_uniform(r));
    double angle = nsl_rng_range(r, 0, 2 * M_PI);
    p->wave[k].kx = 2 * M_PI / period * cos(angle);
    p->wave[k].ky = 2 * M_PI / period * sin(angle);
    p->wave[k].phase = nsl_rng_range(r, 0, 2 * M_PI);
  }
  p->amplitude = s->sky * sqrt(2.0 / NSL_SKY_WAVES);
  double angle = nsl_rng_range(r, 0, 2 * M_PI), size = s->stray * nsl_rng_normal(r);
  p->slope_x = size * cos(angle);
  p->slope_y = size * sin(angle);
}

void nsl_mock_optics_draw(const nsl_mock *m, const nsl_detector *det, uint64_t id, uint64_t part, uint64_t exposure,
                          nsl_mock_optics *out)
{
  const nsl_error_sizes *s = &m->errors;
  const nsl_band *band = &m->inst->bands[det->band];
  nsl_rng fixed = nsl_rng_make(m->seed, NSL_RNG_OPTICS, id, part << 32),
          changing = nsl_rng_make(m->seed, NSL_RNG_OPTICS, id, (part << 32) + 1 + exposure);
  out->psf = s->psf * nsl_rng_normal(&fixed);
  out->true_psf = nsl_psf_of_band(band, m->inst->pixel_scale_arcsec);
  out->true_psf.sigma_px *= fmax(1 + out->psf, 0.5);
  int shifted = !s->wave_band[0] || strcmp(s->wave_band, band->name) == 0;
  double of_exposure = draw_wave(s, s->wave_exposure_px, &changing);
  draw_sky(s, &changing, &out->sky);
  out->sky.nx = (double)det->nx;
  out->sky.ny = (double)det->ny;
  for (int g = 0; g < det->n_gratings; g++) {
    nsl_grating_error *e = &out->grating[g];
    e->wave_px = shifted * (draw_wave(s, s->wave_grating_px, &fixed) + of_exposure);
    e->dispersion = s->dispersion * nsl_rng_normal(&fixed);
    e->trace_px = s->trace_px * nsl_rng_normal(&fixed);
    out->conf[g] = m->inst->confs[det->gratings[g].conf];
    for (int b = 0; b < out->conf[g].n_beams; b++) {
      disturb(&out->conf[g].beams[b], det, 0.5 * (band->lambda_min_a + band->lambda_max_a), e);
    }
  }
}

int nsl_mock_grating_at(const nsl_detector *det, double x_px)
{
  const nsl_grating *g = nsl_detector_grating(det, x_px);
  return g ? (int)(g - det->gratings) : -1;
}

static double sky_at(const nsl_sky_pattern *p, double x, double y)
{
  double v = p->slope_x * (x / p->nx - 0.5) + p->slope_y * (y / p->ny - 0.5);
  for (int k = 0; k < NSL_SKY_WAVES; k++) { v += p->amplitude * cos(p->wave[k].kx * x + p->wave[k].ky * y + p->wave[k].phase); }
  return v;
}

double nsl_mock_sky_error(const nsl_sky_pattern *p, double x_px, double y_px)
{
  return sky_at(p, x_px, y_px) - 0.5 * (sky_at(p, x_px, y_px - SKY_ROWS_BESIDE) + sky_at(p, x_px, y_px + SKY_ROWS_BESIDE));
}

void nsl_mock_met_add(nsl_mock_met *met, const nsl_mock_optics *o, int grating, int slot, const nsl_trace *trace,
                      const nsl_band *band)
{
  double dx;
  if (!nsl_trace_dx_of_lambda(trace, 0.5 * (band->lambda_min_a + band->lambda_max_a), &dx)) { return; }
  met->n[slot]++;
  met->wave_px[slot] += o->grating[grating].wave_px;
  met->dispersion += o->grating[grating].dispersion;
  met->trace_px += o->grating[grating].trace_px;
  met->psf += o->psf;
  met->sky += nsl_mock_sky_error(&o->sky, trace->x0 + dx, trace->y0 + nsl_trace_dy(trace, dx));
}

void nsl_mock_met_mean(nsl_mock_met *met)
{
  double all = met->n[0] + met->n[1];
  for (int slot = 0; slot < 2; slot++) { met->wave_px[slot] /= met->n[slot] ? met->n[slot] : 1; }
  if (all == 0) { return; }
  met->dispersion /= all;
  met->trace_px /= all;
  met->psf /= all;
  met->sky /= all;
}

double nsl_mock_astrometric_error(const nsl_mock_source *s, const nsl_source *entry)
{
  double east = (entry->ra_deg - s->ra_deg) * cos(s->dec_deg * M_PI / 180), north = entry->dec_deg - s->dec_deg;
  return 3600 * hypot(east, north);
}

_Static_assert(NSL_SKY_WAVES == 3, "add_row adds three waves");

/* to[i] += at_0 + slope i + the waves' a c[i] + b s[i]; c and s of a wave are `n` values each, one after the other. */
NSL_VECTORISED static void add_row(float *restrict to, float at_0, float slope, const float *restrict table,
                                   const float a[NSL_SKY_WAVES], const float b[NSL_SKY_WAVES], int n)
{
  const float *restrict c0 = table, *restrict s0 = c0 + n, *restrict c1 = s0 + n, *restrict s1 = c1 + n, *restrict c2 = s1 + n,
                        *restrict s2 = c2 + n;
  for (int i = 0; i < n; i++) {
    float line = at_0 + slope * (float)i, first = a[0] * c0[i] + b[0] * s0[i];
    to[i] += (line + first) + ((a[1] * c1[i] + b[1] * s1[i]) + (a[2] * c2[i] + b[2] * s2[i]));
  }
}

NSL_VECTORISED static void add_flat(float *restrict to, float level, size_t n)
{
  for (size_t i = 0; i < n; i++) { to[i] += level; }
}

/* cos and sin of the waves' phases along a row, [2][w] a wave: a turn a column, rounding stays below 1e-11. The waves side by side:
 * each would wait for its last turn. */
static void make_table(const nsl_sky_pattern *p, const nsl_window *w, float *table)
{
  size_t n = (size_t)w->w;
  double c[NSL_SKY_WAVES], s[NSL_SKY_WAVES], dc[NSL_SKY_WAVES], ds[NSL_SKY_WAVES];
  for (int k = 0; k < NSL_SKY_WAVES; k++) {
    double phase = p->wave[k].kx * w->x0 + p->wave[k].phase;
    c[k] = cos(phase);
    s[k] = sin(phase);
    dc[k] = cos(p->wave[k].kx);
    ds[k] = sin(p->wave[k].kx);
  }
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < NSL_SKY_WAVES; k++) {
      table[2 * k * n + i] = (float)c[k];
      table[(2 * k + 1) * n + i] = (float)s[k];
      double next = c[k] * dc[k] - s[k] * ds[k];
      s[k] = s[k] * dc[k] + c[k] * ds[k];
      c[k] = next;
    }
  }
}

nsl_status nsl_mock_add_sky(const nsl_sky_pattern *p, double electrons, double dark, const nsl_window *w, nsl_error *err)
{
  size_t n = (size_t)w->w;
  if (p->amplitude == 0 && p->slope_x == 0 && p->slope_y == 0) {
    add_flat(w->img, (float)(electrons + dark), n * (size_t)w->h);
    return NSL_OK;
  }
  float *table = malloc(2 * NSL_SKY_WAVES * n * sizeof *table);
  if (!table) { return nsl_fail(err, NSL_E_NOMEM, "sky of a frame"); }
  make_table(p, w, table);
  double turn[NSL_SKY_WAVES][4]; /* cos and sin of ky y, and of ky: a turn a row */
  for (int k = 0; k < NSL_SKY_WAVES; k++) {
    turn[k][0] = cos(p->wave[k].ky * w->y0);
    turn[k][1] = sin(p->wave[k].ky * w->y0);
    turn[k][2] = cos(p->wave[k].ky);
    turn[k][3] = sin(p->wave[k].ky);
  }
  for (int j = 0; j < w->h; j++) {
    float a[NSL_SKY_WAVES], b[NSL_SKY_WAVES];
    for (int k = 0; k < NSL_SKY_WAVES; k++) {
      double *t = turn[k], next = t[0] * t[2] - t[1] * t[3];
      a[k] = (float)(electrons * p->amplitude * t[0]);
      b[k] = (float)(-electrons * p->amplitude * t[1]);
      t[1] = t[1] * t[2] + t[0] * t[3];
      t[0] = next;
    }
    double left = 1 + p->slope_x * (w->x0 / p->nx - 0.5) + p->slope_y * ((w->y0 + j) / p->ny - 0.5);
    add_row(w->img + (size_t)j * n, (float)(electrons * left + dark), (float)(electrons * p->slope_x / p->nx), table, a, b, w->w);
  }
  free(table);
  return NSL_OK;
}
