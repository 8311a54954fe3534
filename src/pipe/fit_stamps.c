#include "noslit/pipe/fit_stamps.h"

#include <math.h>
#include <stdlib.h>

#include "fit_internal.h"
#include "mock_internal.h"
#include "noslit/model/flags.h"
#include "noslit/model/skytile.h"
#include "noslit/pipe/infer.h"

#define CONTAMINATION_K 0.5 /* this part of the neighbours' expected light is uncertain, as for the network */

static const nsl_pdf_grid fine_grid = {2560, 0.010, 0.000375};

/* One run of the fit: what stays from stamp to stamp. */
typedef struct {
  const nsl_instrument *inst;
  nsl_mock *mock; /* NULL: template */
  nsl_fit_response *response;
  nsl_fit_bank bank;
  nsl_fit_normal *normal; /* [2 turns][2 bands] */
  double *chi2, *prior, *flam;
  float *prob;
  nsl_sed_params sed; /* oracle: of the source at hand */
  double mag;
} fitter;

static void fitter_close(fitter *f)
{
  nsl_fit_bank_free(&f->bank);
  free(f->response);
  free(f->normal);
  free(f->chi2);
  free(f->prior);
  free(f->flam);
  free(f->prob);
}

/* The source's true spectrum at the redshift of a bin. */
static void true_spectrum(void *ctx, int bin)
{
  fitter *f = ctx;
  nsl_sed_params p = f->sed;
  p.z = expm1(fine_grid.u0 + (bin + 0.5) * fine_grid.du);
  nsl_spectra_make(f->mock->spectra, &p, f->mag, f->flam, NULL);
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) {
    nsl_fit_add_spectrum(f->response, slot, f->flam, nsl_fit_bank_nodes(&f->bank, bin, 0, slot));
  }
}

static nsl_status fitter_open(fitter *f, const nsl_instrument *inst, nsl_mock *mock, nsl_error *err)
{
  nsl_status st = NSL_OK;
  *f = (fitter){.inst = inst, .mock = mock};
  f->response = malloc(sizeof *f->response);
  f->normal = malloc(4 * sizeof *f->normal);
  f->chi2 = malloc((size_t)fine_grid.n * sizeof *f->chi2);
  f->prior = malloc((size_t)fine_grid.n * sizeof *f->prior);
  f->prob = malloc((size_t)fine_grid.n * sizeof *f->prob);
  f->flam = malloc(NSL_SPECTRUM_N * sizeof *f->flam);
  if (!f->response || !f->normal || !f->chi2 || !f->prior || !f->prob || !f->flam) { NSL_THROW(err, NSL_E_NOMEM, "template fit"); }
  NSL_TRY(nsl_fit_response_init(inst, f->response, err));
  nsl_fit_prior(&fine_grid, f->prior);
  if (mock) {
    NSL_TRY(nsl_fit_bank_new(&fine_grid, 1, &f->bank, err));
    f->bank.make = true_spectrum;
    f->bank.ctx = f;
  } else {
    NSL_TRY(nsl_fit_templates(f->response, &fine_grid, &f->bank, err));
  }
cleanup:
  return st;
}

/* The catalogue's Sersic profile; angles of a stamp count from +x, those of a shape from north (+y) to east (-x). */
static void catalogue_profile(const fitter *f, const nsl_stamp *s, int slot, nsl_mix *mix)
{
  const double scale = f->inst->pixel_scale_arcsec, upright[4] = {-1 / scale, 0, 0, 1 / scale};
  const nsl_shape shape = {.re_arcsec = (double)s->re_px * scale,
                           .q = (double)s->q,
                           .pa_deg = (double)s->pa_x_deg - 90,
                           .sersic_n = (double)s->sersic_n};
  nsl_mix_from_shape(&shape, nsl_psf_sigma_px(f->response->band[slot]->psf_ree80_arcsec, scale), upright, mix);
}

/* The mock's own: upright, or turned by 180 degrees as views of reversed gratings are (a stamp does not say which it was). */
static void true_profile(const fitter *f, const nsl_mock_source *src, int slot, int turned, nsl_mix *mix)
{
  const double scale = (turned ? -1 : 1) / f->inst->pixel_scale_arcsec, map[4] = {-scale, 0, 0, scale};
  nsl_mix lines;
  (void)nsl_mock_profiles(f->mock, src, f->mock->psf_px[f->inst->stamp_band[slot]], map, mix, &lines);
}

static void make_normal(const nsl_stamp *s, int slot, const nsl_mix *mix, nsl_fit_normal *out)
{
  size_t at = (size_t)slot * NSL_STAMP_PLANE;
  nsl_fit_normal_make(s->flux + at, s->variance + at, s->contamination + at, CONTAMINATION_K, mix, (double)s->band[slot].exptime_s,
                      out);
}

static nsl_status use_truth(fitter *f, const nsl_stamp *s, const nsl_stamp_label *l, const nsl_fit_normal *band[2], nsl_error *err)
{
  nsl_mock_source src;
  nsl_mock_target(f->mock, s->source_id, &src);
  if (!(fabs(src.z - l->z) < 1e-6) || !(fabs(src.mag - (double)l->mag) < 1e-3)) {
    return nsl_fail(
        err, NSL_E_MISMATCH,
        "source %lld has z %.4f, mag %.2f in the stamps and z %.4f, mag %.2f in this simulation: give the configuration "
        "(--config, --set) that the stamps were made with",
        (long long)s->source_id, l->z, (double)l->mag, src.z, src.mag);
  }
  nsl_mock_sed(f->mock, src.id, src.kind, src.z, &f->sed);
  f->mag = src.mag;
  nsl_fit_bank_clear(&f->bank);
  int bin = (int)((log1p(src.z) - fine_grid.u0) / fine_grid.du);
  bin = bin < 0 ? 0 : bin >= fine_grid.n ? fine_grid.n - 1 : bin;
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) {
    double chi2[2];
    for (int turned = 0; turned < 2; turned++) {
      nsl_mix mix;
      nsl_fit_normal *n = &f->normal[2 * turned + slot];
      true_profile(f, &src, slot, turned, &mix);
      make_normal(s, slot, &mix, n);
      const nsl_fit_normal *alone[2] = {slot == 0 ? n : NULL, slot == 1 ? n : NULL};
      chi2[turned] = nsl_fit_chi2(alone, &f->bank, bin);
    }
    band[slot] = &f->normal[2 * (chi2[1] < chi2[0]) + slot];
  }
  return NSL_OK;
}

static void use_catalogue(fitter *f, const nsl_stamp *s, const nsl_fit_normal *band[2])
{
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) {
    nsl_mix mix;
    catalogue_profile(f, s, slot, &mix);
    make_normal(s, slot, &mix, &f->normal[slot]);
    band[slot] = &f->normal[slot];
  }
}

static void fill_row(const fitter *f, nsl_rows *r, size_t i)
{
  nsl_pdf_summary s;
  nsl_pdf_summarise(&fine_grid, f->prob, &s);
  nsl_pdf_density_z(&fine_grid, f->prob, r->pdf + i * (size_t)fine_grid.n);
  r->z_mode[i] = (float)s.z_mode;
  r->z_median[i] = (float)s.z_median;
  r->z_mean[i] = (float)s.z_mean;
  r->z_lo68[i] = (float)s.z_lo68;
  r->z_hi68[i] = (float)s.z_hi68;
  r->odds[i] = r->p_good[i] = (float)s.odds;
  r->sigma_epistemic[i] = r->mutual_info[i] = 0;
  r->sigma_aleatoric[i] = (float)s.sigma_u;
}

nsl_status nsl_fit_rows(const nsl_instrument *inst, nsl_mock *mock, const nsl_stamp_reader *reader, size_t limit,
                        const nsl_log *log, nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  fitter f;
  nsl_stamp_set set = {0};
  nsl_rows r = {0};
  nsl_progress progress;
  size_t n = nsl_stamp_reader_count(reader);
  if (limit > 0 && n > limit) { n = limit; }
  NSL_TRY(fitter_open(&f, inst, mock, err));
  if (!nsl_rows_alloc(&r, n, &fine_grid) || !nsl_stamp_set_alloc(&set, 1)) { NSL_THROW(err, NSL_E_NOMEM, "PDFs of %zu stamps", n); }
  nsl_progress_start(&progress, log, "stamps", (long)n);
  for (size_t i = 0; i < n; i++) {
    const nsl_stamp_label *l = nsl_stamp_reader_label(reader, i);
    const nsl_fit_normal *band[2];
    nsl_stamp *s = &set.stamps[0];
    nsl_stamp_reader_get(reader, i, s);
    r.object_id[i] = l->source_id;
    r.mag[i] = l->mag;
    r.tile[i] = nsl_tile_of(0, 0, 0);
    nsl_infer_stamp_facts(s, &r, i);
    if (l->type == NSL_STAMP_STAR || (s->flags & NSL_FLAG_NO_PDF)) {
      r.flags[i] |= NSL_FLAG_NO_PDF;
    } else {
      if (mock) {
        NSL_TRY(use_truth(&f, s, l, band, err));
      } else {
        use_catalogue(&f, s, band);
      }
      (void)nsl_fit_pdf(band, &f.bank, f.prior, f.chi2, f.prob);
      fill_row(&f, &r, i);
    }
    nsl_progress_update(&progress, (long)i + 1, NULL);
  }
  nsl_progress_end(&progress, (long)n, NULL);
  *rows = r;
  r = (nsl_rows){0};
cleanup:
  fitter_close(&f);
  nsl_stamp_set_free(&set);
  nsl_rows_free(&r);
  return st;
}
