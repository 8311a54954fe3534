/* The source catalogue, as an imaging survey would give it, and the truth table with DESI's column names. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

#define EDGE_PX 20.0 /* a trace this near a detector's upper or lower edge has lost part of its box */

/* The real numbers of a row of the truth. */
enum {
  MAG,
  SNR_GV,
  SNR_GI,
  CONTAMINATION,
  HALPHA,
  OIII,
  OII,
  HBETA,
  NII,
  RE,
  Q,
  PA,
  SERSIC_N,
  WAVE_ERROR,
  WAVE_ERROR_GV,
  WAVE_ERROR_GI,
  DISPERSION_ERROR,
  TRACE_ERROR,
  PSF_ERROR,
  SKY_ERROR,
  ASTROMETRIC_ERROR,
  N_REALS
};

static const struct {
  const char *name, *unit, *ucd, *comment;
} reals[N_REALS] = {
    [MAG] = {"MAG", "mag", "phot.mag;em.opt.I", "true, AB, 6900-8200 A"},
    [SNR_GV] = {"SNR_GV", NULL, "stat.snr", "noise-free mean of F/sigma, 27 rows"},
    [SNR_GI] = {"SNR_GI", NULL, "stat.snr", "noise-free mean of F/sigma, 27 rows"},
    [CONTAMINATION] = {"CONTAMINATION", NULL, NULL, "others' share of the light in the box"},
    [HALPHA] = {"HALPHA_FLUX", "erg s-1 cm-2", "phot.flux;em.line.Halpha", NULL},
    [OIII] = {"OIII_5008_FLUX", "erg s-1 cm-2", "phot.flux;em.line.OIII", NULL},
    [OII] = {"OII_3728_FLUX", "erg s-1 cm-2", "phot.flux;em.line", "both lines"},
    [HBETA] = {"HBETA_FLUX", "erg s-1 cm-2", "phot.flux;em.line.Hbeta", NULL},
    [NII] = {"NII_6585_FLUX", "erg s-1 cm-2", "phot.flux;em.line", NULL},
    [RE] = {"RE", "arcsec", "phys.angSize", "true half-light radius"},
    [Q] = {"Q", NULL, NULL, "true axis ratio"},
    [PA] = {"PA", "deg", "pos.posAng", "true, north through east"},
    [SERSIC_N] = {"SERSIC_N", NULL, NULL, "true"},
    [WAVE_ERROR] = {"WAVE_ERROR_PX", "pix", "stat.error;em.wl", "lines lie so far to the red of the solution, mean of both bands"},
    [WAVE_ERROR_GV] = {"WAVE_ERROR_GV_PX", "pix", "stat.error;em.wl", "the same in GV"},
    [WAVE_ERROR_GI] = {"WAVE_ERROR_GI_PX", "pix", "stat.error;em.wl", "the same in GI"},
    [DISPERSION_ERROR] = {"DISPERSION_ERROR", NULL, "stat.error", "relative"},
    [TRACE_ERROR] = {"TRACE_ERROR_PX", "pix", "stat.error", "rows from where the solution has the trace"},
    [PSF_ERROR] = {"PSF_ERROR", NULL, "stat.error", "relative, of the width"},
    [SKY_ERROR] = {"SKY_ERROR", NULL, "stat.error", "sky at the trace over that 26 rows off, minus 1"},
    [ASTROMETRIC_ERROR] = {"ASTROMETRIC_ERROR", "arcsec", "stat.error;pos", "of the catalogue's position"}};

typedef struct {
  int64_t *id;
  double *ra, *dec, *z, *zerr;
  float *real; /* [N_REALS][n] */
  size_t n;
  int32_t *zwarn, *n_gv, *n_gi;
  char *spectype, *type;
} columns;

enum { SPECTYPE_WIDTH = 6, TYPE_WIDTH = 6 };

static const char *const kind_name[] = {"FIELD", "RED", "ELG", "QSO", "STAR"};

static const char *spectype_of(nsl_kind k) { return k == NSL_KIND_STAR ? "STAR" : k == NSL_KIND_QUASAR ? "QSO" : "GALAXY"; }

static size_t catalogued(const nsl_mock *m)
{
  size_t n = 0;
  for (size_t i = 0; i < m->n_sources; i++) { n += m->sources[i].catalogued != 0; }
  return n;
}

static nsl_status write_catalogue(const nsl_mock *m, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_fits_writer *w = NULL;
  size_t n = catalogued(m), k = 0, room = n ? n : 1;
  int64_t *id = malloc(room * sizeof *id);
  double *sky = malloc(2 * room * sizeof *sky), *ra = sky, *dec = sky + n;
  float *f = malloc(5 * room * sizeof *f), *mag = f, *re = f + n, *q = re + n, *pa = q + n, *sersic = pa + n;
  int16_t *star = malloc(room * sizeof *star);
  if (!id || !sky || !f || !star) { NSL_THROW(err, NSL_E_NOMEM, "catalogue of %zu sources", n); }
  for (size_t i = 0; i < m->n_sources; i++) {
    if (!m->sources[i].catalogued) { continue; }
    nsl_source e;
    nsl_population_catalogue_entry(&m->population, m->seed, &m->sources[i], &e);
    id[k] = e.id;
    ra[k] = e.ra_deg;
    dec[k] = e.dec_deg;
    mag[k] = (float)e.mag;
    re[k] = (float)e.shape.re_arcsec;
    q[k] = (float)e.shape.q;
    pa[k] = (float)e.shape.pa_deg;
    sersic[k] = (float)e.shape.sersic_n;
    star[k++] = (int16_t)e.is_star;
  }
  const nsl_fits_column c[] = {{"ID", NULL, "meta.id;meta.main", NULL, NSL_FITS_I64, 1, id},
                               {"RA", "deg", "pos.eq.ra;meta.main", NULL, NSL_FITS_F64, 1, ra},
                               {"DEC", "deg", "pos.eq.dec;meta.main", NULL, NSL_FITS_F64, 1, dec},
                               {"MAG", "mag", "phot.mag;em.opt.I", "AB, 6900-8200 A", NSL_FITS_F32, 1, mag},
                               {"RE", "arcsec", "phys.angSize", "half-light radius, major axis", NSL_FITS_F32, 1, re},
                               {"Q", NULL, NULL, "axis ratio", NSL_FITS_F32, 1, q},
                               {"PA", "deg", "pos.posAng", "north through east", NSL_FITS_F32, 1, pa},
                               {"SERSIC_N", NULL, NULL, "Sersic index", NSL_FITS_F32, 1, sersic},
                               {"STAR", NULL, "meta.code.class", "1 for stars", NSL_FITS_I16, 1, star}};
  NSL_TRY(nsl_fits_create(path, 1, &w, err));
  NSL_TRY(nsl_fits_add_table(w, "CATALOGUE", (long)n, sizeof c / sizeof *c, c, err));
  st = nsl_fits_finish(w, err);
  w = NULL;
cleanup:
  if (w) { nsl_fits_discard(w); }
  free(id);
  free(sky);
  free(f);
  free(star);
  return st;
}

/* What one source meets in the survey. */
typedef struct {
  int n_exp[2];
  double own[2], others[2]; /* light in the box of one exposure a band */
  nsl_mock_met met;
} fate;

/* Sums a window over the source's box. */
static double box_light(const nsl_window *w, const nsl_trace *t, const nsl_band *band)
{
  double sum = 0;
  for (int i = 0; i < w->w; i++) {
    double dx = w->x0 + i - t->x0;
    if (dx < t->dx_min || dx > t->dx_max) { continue; }
    double lambda = nsl_trace_lambda(t, dx);
    if (lambda < band->lambda_min_a || lambda > band->lambda_max_a) { continue; }
    long row = lround(t->y0 + nsl_trace_dy(t, dx) - w->y0);
    for (long y = row - 13; y <= row + 13; y++) {
      if (y >= 0 && y < w->h) { sum += (double)w->img[y * w->w + i]; }
    }
  }
  return sum;
}

/* Own and others' light in the box of source i, from the light of all on the frame. */
static nsl_status weigh(nsl_mock *m, const nsl_mock_frame *f, nsl_wcs *wcs, long i, const nsl_trace *t, const nsl_window *all,
                        int slot, fate *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_band *band = &m->inst->bands[f->det->band];
  const nsl_view_settings none = {.reject_sigma = 5, .sky_rows = 0};
  long x0, y0, w, h;
  float *img = NULL;
  if (!nsl_view_window(t, band, &none, f->det->nx, f->det->ny, &x0, &y0, &w, &h)) { return NSL_OK; }
  img = calloc((size_t)w * (size_t)h, sizeof *img);
  if (!img) { NSL_THROW(err, NSL_E_NOMEM, "contamination"); }
  nsl_window own = {(double)x0 + 1, (double)y0 + 1, (int)w, (int)h, img};
  NSL_TRY(nsl_mock_light(m, f, wcs, i, &own, err));
  out->own[slot] = box_light(&own, t, band);
  out->others[slot] = fmax(box_light(all, t, band) - out->own[slot], 0);
cleanup:
  free(img);
  return st;
}

/* The first order of a source on a frame; 0 unless the middle of the band falls on the detector. */
static int find_trace(const nsl_mock_frame *f, const nsl_band *band, const nsl_instrument *inst, double x, double y, nsl_trace *t)
{
  const nsl_grating *g = nsl_detector_grating(f->det, x);
  const nsl_beam *a = g ? nsl_trace_conf_beam(&inst->confs[g->conf], 'A') : NULL;
  double dx;
  if (!a) { return 0; }
  nsl_trace_at(a, x, y, t);
  if (!nsl_trace_dx_of_lambda(t, 0.5 * (band->lambda_min_a + band->lambda_max_a), &dx)) { return 0; }
  double tx = t->x0 + dx, ty = t->y0 + nsl_trace_dy(t, dx);
  return tx >= 1 && tx <= (double)f->det->nx && ty >= EDGE_PX && ty <= (double)f->det->ny - EDGE_PX;
}

/* Counts the exposures of every source, and weighs the light in the first of each band. */
static nsl_status follow_frame(nsl_mock *m, int index, fate *fates, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock_frame f = nsl_mock_frame_at(m, index);
  int slot = nsl_instrument_stamp_slot(m->inst, f.det->band), n_cards;
  if (slot < 0) { return NSL_OK; }
  const nsl_band *band = &m->inst->bands[f.det->band];
  char *cards = nsl_mock_wcs_cards(m, &f, &n_cards);
  nsl_wcs *wcs = NULL;
  nsl_window all = {1, 1, (int)f.det->nx, (int)f.det->ny, NULL};
  nsl_mock_optics optics;
  if (!cards) { NSL_THROW(err, NSL_E_NOMEM, "header of a frame"); }
  nsl_mock_frame_optics(m, &f, &optics);
  NSL_TRY(nsl_wcs_new(cards, n_cards, "mock", &wcs, err));
  for (size_t i = 0; i < m->n_sources; i++) {
    const nsl_mock_source *s = &m->sources[i];
    double x, y;
    nsl_trace t;
    if (!s->catalogued) { continue; }
    NSL_TRY(nsl_wcs_sky_to_pixel(wcs, 1, &s->ra_deg, &s->dec_deg, &x, &y, err));
    if (!find_trace(&f, band, m->inst, x, y, &t)) { continue; }
    nsl_mock_met_add(&fates[i].met, &optics, nsl_mock_grating_at(f.det, x), slot, &t, band);
    if (fates[i].n_exp[slot]++ > 0) { continue; }
    if (!all.img) {
      all.img = calloc((size_t)all.w * (size_t)all.h, sizeof *all.img);
      if (!all.img) { NSL_THROW(err, NSL_E_NOMEM, "light of a frame"); }
      NSL_TRY(nsl_mock_light(m, &f, wcs, -1, &all, err));
    }
    NSL_TRY(weigh(m, &f, wcs, (long)i, &t, &all, slot, &fates[i], err));
  }
cleanup:
  nsl_wcs_free(wcs);
  free(all.img);
  free(cards);
  return st;
}

static int columns_alloc(columns *c, size_t n)
{
  memset(c, 0, sizeof *c);
  c->n = n ? n : 1;
  c->id = malloc(c->n * sizeof *c->id);
  c->ra = malloc(4 * c->n * sizeof *c->ra);
  c->real = malloc(N_REALS * c->n * sizeof *c->real);
  c->zwarn = malloc(3 * c->n * sizeof *c->zwarn);
  c->spectype = calloc(c->n, SPECTYPE_WIDTH);
  c->type = calloc(c->n, TYPE_WIDTH);
  if (!c->id || !c->ra || !c->real || !c->zwarn || !c->spectype || !c->type) { return 0; }
  double **d[] = {&c->dec, &c->z, &c->zerr};
  for (size_t k = 0; k < 3; k++) { *d[k] = c->ra + (k + 1) * c->n; }
  c->n_gv = c->zwarn + c->n;
  c->n_gi = c->zwarn + 2 * c->n;
  return 1;
}

static void columns_free(columns *c)
{
  free(c->id);
  free(c->ra);
  free(c->real);
  free(c->zwarn);
  free(c->spectype);
  free(c->type);
}

static void fill_row(nsl_mock *m, const nsl_mock_source *s, fate *e, double *flam, columns *c, size_t k)
{
  nsl_line_fluxes lines;
  double j = 1 / m->inst->pixel_scale_arcsec, map[4] = {-j, 0, 0, j}, snr[2], own = e->own[0] + e->own[1],
         others = e->others[0] + e->others[1];
  nsl_mock_spectrum(m, s, flam, NULL, &lines);
  for (int slot = 0; slot < 2; slot++) {
    nsl_mix mix, unused;
    (void)nsl_mock_profiles(m, s, m->psf_px[m->inst->stamp_band[slot]], map, &mix, &unused);
    snr[slot] = nsl_mock_true_snr(m, slot, flam, &mix, e->n_exp[slot]);
  }
  c->id[k] = s->id;
  c->ra[k] = s->ra_deg;
  c->dec[k] = s->dec_deg;
  c->z[k] = s->z;
  c->zerr[k] = 0;
  c->zwarn[k] = 0;
  c->n_gv[k] = e->n_exp[0];
  c->n_gi[k] = e->n_exp[1];
  nsl_mock_met_mean(&e->met);
  const nsl_mock_met *met = &e->met;
  nsl_source entry;
  nsl_population_catalogue_entry(&m->population, m->seed, s, &entry);
  const double value[N_REALS] = {[MAG] = s->mag,
                                 [SNR_GV] = snr[0],
                                 [SNR_GI] = snr[1],
                                 [CONTAMINATION] = own + others > 0 ? others / (own + others) : 0,
                                 [HALPHA] = lines.ha,
                                 [OIII] = lines.oiii5008,
                                 [OII] = lines.oii3728,
                                 [HBETA] = lines.hb,
                                 [NII] = lines.nii6585,
                                 [RE] = s->shape.re_arcsec,
                                 [Q] = s->shape.q,
                                 [PA] = s->shape.pa_deg,
                                 [SERSIC_N] = s->shape.sersic_n,
                                 [WAVE_ERROR] =
                                     (met->n[0] * met->wave_px[0] + met->n[1] * met->wave_px[1]) / fmax(met->n[0] + met->n[1], 1),
                                 [WAVE_ERROR_GV] = met->wave_px[0],
                                 [WAVE_ERROR_GI] = met->wave_px[1],
                                 [DISPERSION_ERROR] = met->dispersion,
                                 [TRACE_ERROR] = met->trace_px,
                                 [PSF_ERROR] = met->psf,
                                 [SKY_ERROR] = met->sky,
                                 [ASTROMETRIC_ERROR] = nsl_mock_astrometric_error(s, &entry)};
  for (size_t r = 0; r < N_REALS; r++) { c->real[r * c->n + k] = (float)value[r]; }
  memcpy(c->spectype + k * SPECTYPE_WIDTH, spectype_of(s->kind), strlen(spectype_of(s->kind)));
  memcpy(c->type + k * TYPE_WIDTH, kind_name[s->kind], strlen(kind_name[s->kind]));
}

static nsl_status write_truth(nsl_mock *m, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_fits_writer *w = NULL;
  columns c;
  size_t n = catalogued(m), k = 0;
  fate *fates = calloc(m->n_sources ? m->n_sources : 1, sizeof *fates);
  double *flam = malloc(NSL_SPECTRUM_N * sizeof *flam);
  if (!columns_alloc(&c, n) || !fates || !flam) { NSL_THROW(err, NSL_E_NOMEM, "truth of %zu sources", n); }
  for (int f = 0; f < nsl_mock_n_frames(m); f++) { NSL_TRY(follow_frame(m, f, fates, err)); }
  for (size_t i = 0; i < m->n_sources; i++) {
    if (m->sources[i].catalogued) { fill_row(m, &m->sources[i], &fates[i], flam, &c, k++); }
  }
  nsl_fits_column table[10 + N_REALS] = {
      {"TARGETID", NULL, "meta.id;meta.main", "ID of the catalogue", NSL_FITS_I64, 1, c.id},
      {"TARGET_RA", "deg", "pos.eq.ra;meta.main", "true position", NSL_FITS_F64, 1, c.ra},
      {"TARGET_DEC", "deg", "pos.eq.dec;meta.main", "true position", NSL_FITS_F64, 1, c.dec},
      {"Z", NULL, "src.redshift", NULL, NSL_FITS_F64, 1, c.z},
      {"ZERR", NULL, "stat.error;src.redshift", NULL, NSL_FITS_F64, 1, c.zerr},
      {"ZWARN", NULL, "meta.code.qual", "0 is good", NSL_FITS_I32, 1, c.zwarn},
      {"SPECTYPE", NULL, "src.class", NULL, NSL_FITS_TEXT, SPECTYPE_WIDTH, c.spectype},
      {"N_EXP_GV", NULL, "meta.number", NULL, NSL_FITS_I32, 1, c.n_gv},
      {"N_EXP_GI", NULL, "meta.number", NULL, NSL_FITS_I32, 1, c.n_gi},
      {"TYPE", NULL, "src.class", "kind in the mock's population", NSL_FITS_TEXT, TYPE_WIDTH, c.type}};
  for (size_t r = 0; r < N_REALS; r++) {
    table[10 + r] =
        (nsl_fits_column){reals[r].name, reals[r].unit, reals[r].ucd, reals[r].comment, NSL_FITS_F32, 1, c.real + r * c.n};
  }
  NSL_TRY(nsl_fits_create(path, 1, &w, err));
  NSL_TRY(nsl_fits_add_table(w, "TRUTH", (long)n, sizeof table / sizeof *table, table, err));
  st = nsl_fits_finish(w, err);
  w = NULL;
cleanup:
  if (w) { nsl_fits_discard(w); }
  columns_free(&c);
  free(fates);
  free(flam);
  return st;
}

nsl_status nsl_mock_write_tables(nsl_mock *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *dir = nsl_mock_outdir(m), *catalogue = NULL, *truth = NULL;
  if (dir) {
    catalogue = nsl_path_join(dir, "catalogue.fits");
    truth = nsl_path_join(dir, "truth.fits");
  }
  if (!catalogue || !truth) { NSL_THROW(err, NSL_E_NOMEM, "names of the tables"); }
  NSL_TRY(nsl_mkdirs(dir, err));
  NSL_TRY(nsl_mock_draw_sky(m, err));
  NSL_TRY(write_catalogue(m, catalogue, err));
  NSL_TRY(write_truth(m, truth, err));
cleanup:
  free(dir);
  free(catalogue);
  free(truth);
  return st;
}
