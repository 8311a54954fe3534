/* One exposure of one detector: light of all sources, sky, detector, file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

#define REACH_Y_PX 200.0  /* sources farther above or below a window send no light into it */
#define ROWS_PER_BLOCK 64 /* rows that share a noise stream */

void nsl_mock_spectrum(nsl_mock *m, const nsl_mock_source *s, double *flam, double *of_lines, nsl_line_fluxes *lines)
{
  nsl_sed_params p;
  nsl_mock_sed(m, s->id, s->kind, s->z, &p);
  if (of_lines) {
    nsl_spectra_make_parts(m->spectra, &p, s->mag, flam, of_lines, lines);
  } else {
    nsl_spectra_make(m->spectra, &p, s->mag, flam, lines);
  }
}

/* Adds source s, whose direct position is (x, y). flam: scratch [2 NSL_SPECTRUM_N]. */
static nsl_status add_source(nsl_mock *m, const nsl_mock_frame *f, const nsl_mock_optics *optics, nsl_wcs *wcs,
                             const nsl_mock_source *s, double x, double y, double *flam, nsl_window *window, nsl_error *err)
{
  nsl_status st = NSL_OK;
  double j[4], *of_lines = flam + NSL_SPECTRUM_N;
  int g = nsl_mock_grating_at(f->det, x);
  if (g < 0 || !(y > window->y0 - REACH_Y_PX && y < window->y0 + window->h + REACH_Y_PX)) { return NSL_OK; }
  NSL_TRY(nsl_wcs_jacobian(wcs, s->ra_deg, s->dec_deg, j, err));
  nsl_mock_spectrum(m, s, flam, of_lines, NULL);
  NSL_TRY(nsl_mock_render_galaxy(m, &optics->conf[g], x, y, s, &optics->true_psf, j, flam, of_lines, window, err));
cleanup:
  return st;
}

void nsl_mock_frame_optics(const nsl_mock *m, const nsl_mock_frame *f, nsl_mock_optics *out)
{
  nsl_mock_optics_draw(m, f->det, (uint64_t)f->det->id, 0, (uint64_t)(f->pointing * m->n_exposures + f->exposure), out);
}

nsl_status nsl_mock_light(nsl_mock *m, const nsl_mock_frame *f, nsl_wcs *wcs, long only, nsl_window *window, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t first = only < 0 ? 0 : (size_t)only, n = only < 0 ? m->n_sources : 1;
  double *ra = calloc(4 * n + 2 * NSL_SPECTRUM_N, sizeof *ra), *dec = ra + n, *x = dec + n, *y = x + n, *flam = y + n;
  nsl_mock_optics optics;
  if (!ra) { NSL_THROW(err, NSL_E_NOMEM, "positions of %zu sources", n); }
  nsl_mock_frame_optics(m, f, &optics);
  for (size_t i = 0; i < n; i++) {
    ra[i] = m->sources[first + i].ra_deg;
    dec[i] = m->sources[first + i].dec_deg;
  }
  NSL_TRY(nsl_wcs_sky_to_pixel(wcs, n, ra, dec, x, y, err));
  for (size_t i = 0; i < n; i++) { NSL_TRY(add_source(m, f, &optics, wcs, &m->sources[first + i], x[i], y[i], flam, window, err)); }
cleanup:
  free(ra);
  return st;
}

typedef struct {
  size_t n;
  float *sci, *err;
  int32_t *dq;
  int16_t *dq16;
} planes;

/* Light to counts, in place: bad pixels belong to the detector, cosmic rays and noise to the frame. */
static nsl_status detect(nsl_mock *m, const nsl_mock_frame *f, planes *p, nsl_error *err)
{
  int w = (int)f->det->nx, h = (int)f->det->ny;
  float seconds = (float)m->exptime_s;
  nsl_mock_optics optics;
  nsl_window all = {1, 1, w, h, p->sci};
  nsl_mock_frame_optics(m, f, &optics);
  double sky = m->sky_rate[f->det->band] * m->exptime_s, dark = m->detector.dark_e_s * m->exptime_s;
  nsl_status st = nsl_mock_add_sky(&optics.sky, sky, dark, &all, err);
  if (!nsl_config_bool(m->cfg, "simulate.clean")) {
    nsl_rng bad = nsl_rng_make(m->seed, NSL_RNG_CALIBRATION_ERROR, (uint64_t)f->det->id, 1);
    nsl_rng cosmic = nsl_rng_make(m->seed, NSL_RNG_COSMIC, (uint64_t)f->index, 0);
    nsl_mock_bad_pixels(&m->detector, m->bad_pixels, m->exptime_s, &bad, w, h, p->sci, p->dq);
    nsl_mock_satellite(&m->detector, nsl_config_real(m->cfg, "simulate.satellites"), &cosmic, w, h, p->sci, p->dq);
    nsl_mock_cosmic_rays(&m->detector, &cosmic, w, h, p->sci, p->dq);
    nsl_mock_bleed(&m->detector, w, h, p->sci, p->dq);
  }
  for (int row = 0; row < h && st == NSL_OK; row += ROWS_PER_BLOCK) {
    size_t at = (size_t)row * (size_t)w, n = (size_t)(h - row < ROWS_PER_BLOCK ? h - row : ROWS_PER_BLOCK) * (size_t)w;
    nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_NOISE, (uint64_t)f->index, (uint64_t)(100000 + row));
    nsl_mock_read_out(&m->detector, m->exptime_s, &r, n, p->sci + at, p->err + at, p->dq + at);
  }
  for (size_t i = 0; i < p->n; i++) {
    p->sci[i] /= seconds;
    p->err[i] /= seconds;
    p->dq16[i] = (int16_t)p->dq[i];
  }
  return st;
}

static nsl_status write_file(nsl_mock *m, const nsl_mock_frame *f, const planes *p, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_fits_writer *w = NULL;
  int compress = nsl_config_bool(m->cfg, "simulate.compress");
  NSL_TRY(nsl_fits_create(path, 1, &w, err));
  NSL_TRY(nsl_mock_put_primary(m, f, w, err));
  NSL_TRY(nsl_fits_add_image(w, "SCI", NSL_FITS_F32, f->det->nx, f->det->ny, p->sci, compress, err));
  NSL_TRY(nsl_fits_put_text(w, "BUNIT", "e-/s", NULL, err));
  NSL_TRY(nsl_mock_put_wcs(m, f, w, err));
  NSL_TRY(nsl_fits_put_f64(w, "GAIN1", m->detector.gain_e_adu, "e-/ADU", err));
  NSL_TRY(nsl_fits_put_f64(w, "RDNOISE1", m->detector.read_noise_e, "e-", err));
  NSL_TRY(nsl_fits_add_image(w, "ERR", NSL_FITS_F32, f->det->nx, f->det->ny, p->err, compress, err));
  NSL_TRY(nsl_fits_put_text(w, "BUNIT", "e-/s", NULL, err));
  NSL_TRY(nsl_fits_add_image(w, "DQ", NSL_FITS_I16, f->det->nx, f->det->ny, p->dq16, compress, err));
  NSL_TRY(nsl_fits_put_text(w, "BUNIT", "UNITLESS", NULL, err));
  st = nsl_fits_finish(w, err);
  w = NULL;
cleanup:
  if (w) { nsl_fits_discard(w); }
  return st;
}

nsl_status nsl_mock_write_frame(nsl_mock *m, int frame, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock_frame f = nsl_mock_frame_at(m, frame);
  planes p = {.n = (size_t)f.det->nx * (size_t)f.det->ny};
  nsl_wcs *wcs = NULL;
  int n_cards;
  char *cards = nsl_mock_wcs_cards(m, &f, &n_cards), *outdir = nsl_mock_outdir(m), *name = nsl_mock_frame_name(m, &f), *dir = NULL,
       *path = NULL;
  p.sci = calloc(p.n, sizeof *p.sci);
  p.err = malloc(p.n * sizeof *p.err);
  p.dq = calloc(p.n, sizeof *p.dq);
  p.dq16 = malloc(p.n * sizeof *p.dq16);
  if (outdir) { dir = nsl_path_join(outdir, "exposures"); }
  if (dir && name) { path = nsl_path_join(dir, name); }
  if (!p.sci || !p.err || !p.dq || !p.dq16 || !cards || !path) { NSL_THROW(err, NSL_E_NOMEM, "a frame of %zu pixels", p.n); }
  NSL_TRY(nsl_mkdirs(dir, err));
  NSL_TRY(nsl_mock_draw_sky(m, err));
  NSL_TRY(nsl_wcs_new(cards, n_cards, name, &wcs, err));
  nsl_window window = {1, 1, (int)f.det->nx, (int)f.det->ny, p.sci};
  NSL_TRY(nsl_mock_light(m, &f, wcs, -1, &window, err));
  NSL_TRY(detect(m, &f, &p, err));
  NSL_TRY(write_file(m, &f, &p, path, err));
cleanup:
  nsl_wcs_free(wcs);
  free(p.sci);
  free(p.err);
  free(p.dq);
  free(p.dq16);
  free(cards);
  free(outdir);
  free(name);
  free(dir);
  free(path);
  return st;
}
