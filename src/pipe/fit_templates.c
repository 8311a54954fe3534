/* The templates of the fit: stellar populations, with and without dust, and groups of emission lines. */
#include <math.h>
#include <stdlib.h>

#include "fit_internal.h"
#include "mock_internal.h"

#define TEMPLATE_MAG 20.0
#define LINE_FLUX 1e-16 /* erg/s/cm2 */

/* One population: log10 of its age, dust, strength of metal absorption. */
static const struct {
  double log_age, ebv, metals;
} population[] = {{10.1, 0, 0.7}, {10.1, 0, 1.3}, {9.5, 0, 1},   {9.5, 0.3, 1}, {9.0, 0, 1},
                  {8.5, 0, 1},    {8.5, 0.4, 1},  {7.6, 0, 0.8}, {6.6, 0, 0.6}, {6.6, 0.4, 0.8}};
enum { N_POPULATIONS = sizeof population / sizeof *population };

/* Lines that go together; fluxes relative to each other (case B, fixed ratios of doublets, typical ones else). Vacuum. */
#define GROUP_MAX 7
static const struct {
  int n;
  double lambda_a[GROUP_MAX], flux[GROUP_MAX];
} group[] = {{4, {3727.09, 3729.88, 3869.86, 3968.59}, {0.43, 0.57, 0.07, 0.02}},                /* [OII], [NeIII] */
             {5, {6564.61, 4862.68, 4341.68, 4102.89, 3971.19}, {2.86, 1, 0.468, 0.259, 0.159}}, /* Balmer */
             {5, {6564.61, 4862.68, 4341.68, 4102.89, 3971.19}, {5.4, 1, 0.39, 0.19, 0.11}},     /* Balmer behind dust */
             {2, {5008.24, 4960.30}, {1, 0.336}},                                                /* [OIII] */
             {2, {6585.28, 6549.85}, {1, 0.338}},                                                /* [NII] */
             {2, {6718.29, 6732.67}, {0.57, 0.43}},                                              /* [SII] */
             {2, {9533.2, 9071.1}, {1, 0.405}}};                                                 /* [SIII] */
enum { N_GROUPS = sizeof group / sizeof *group };

nsl_status nsl_fit_response_init(const nsl_instrument *inst, nsl_fit_response *out, nsl_error *err)
{
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) {
    int b = inst->stamp_band[slot];
    const nsl_trace_conf *conf = nsl_mock_band_conf(inst, b);
    const nsl_beam *first = conf ? nsl_trace_conf_beam(conf, 'A') : NULL;
    if (!first) {
      return nsl_fail(err, NSL_E_CONFIG, "%s: no first order of band %s to fit with", inst->name, inst->bands[b].name);
    }
    out->band[slot] = &inst->bands[b];
    for (int i = 0; i < NSL_SPECTRUM_N; i++) {
      out->response[slot][i] = nsl_sensitivity_at(&first->sensitivity, NSL_SPECTRUM_LAMBDA0_A + NSL_SPECTRUM_STEP_A * i);
    }
  }
  return NSL_OK;
}

void nsl_fit_add_spectrum(const nsl_fit_response *r, int slot, const double *flam, float *nodes)
{
  const nsl_band *band = r->band[slot];
  double per_step = NSL_SPECTRUM_STEP_A / band->dlambda_a, first = (NSL_SPECTRUM_LAMBDA0_A - band->lambda0_a) / band->dlambda_a;
  for (int i = 0; i < NSL_SPECTRUM_N; i++) {
    if (!(r->response[slot][i] > 0)) { continue; }
    nsl_fit_deposit(first + per_step * i, flam[i] * r->response[slot][i] * NSL_SPECTRUM_STEP_A, nodes);
  }
}

void nsl_fit_add_line(const nsl_fit_response *r, int slot, double lambda_a, double flux, float *nodes)
{
  double at = (lambda_a - NSL_SPECTRUM_LAMBDA0_A) / NSL_SPECTRUM_STEP_A;
  int i = (int)at;
  if (!(at >= 0) || i >= NSL_SPECTRUM_N - 1) { return; }
  double t = at - i, response = (1 - t) * r->response[slot][i] + t * r->response[slot][i + 1];
  nsl_fit_deposit((lambda_a - r->band[slot]->lambda0_a) / r->band[slot]->dlambda_a, flux * response, nodes);
}

static nsl_sed_params stars_of(int k, double z)
{
  nsl_sed_params p = {.kind = NSL_KIND_FIELD, .z = z, .sigma_v_km_s = 100};
  int young = population[k].log_age < 8.2;
  for (int a = 0; a < 3; a++) { p.log_age[a] = population[k].log_age; }
  p.fraction[young ? 2 : 0] = 1;
  p.ebv_old = p.ebv_young = population[k].ebv;
  for (int g = 0; g < NSL_SED_GROUPS; g++) { p.strength[g] = g == 0 ? 1 : population[k].metals; }
  return p;
}

nsl_status nsl_fit_templates(const nsl_fit_response *r, const nsl_pdf_grid *grid, nsl_fit_bank *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_spectra *spectra = NULL;
  double *flam = malloc(NSL_SPECTRUM_N * sizeof *flam);
  NSL_TRY(nsl_fit_bank_new(grid, N_POPULATIONS + N_GROUPS, out, err));
  if (!flam) { NSL_THROW(err, NSL_E_NOMEM, "templates"); }
  NSL_TRY(nsl_spectra_new(&spectra, err));
  for (int k = 0; k < N_POPULATIONS; k++) {
    for (int bin = 0; bin < grid->n; bin++) {
      double z = expm1(grid->u0 + (bin + 0.5) * grid->du);
      nsl_sed_params p = stars_of(k, z);
      nsl_spectra_make(spectra, &p, TEMPLATE_MAG, flam, NULL);
      for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) {
        nsl_fit_add_spectrum(r, slot, flam, nsl_fit_bank_nodes(out, bin, k, slot));
      }
    }
  }
  for (int bin = 0; bin < grid->n; bin++) {
    double z = expm1(grid->u0 + (bin + 0.5) * grid->du);
    for (int g = 0; g < N_GROUPS; g++) {
      for (int i = 0; i < 2 * group[g].n; i++) {
        float *nodes = nsl_fit_bank_nodes(out, bin, N_POPULATIONS + g, i % 2);
        nsl_fit_add_line(r, i % 2, group[g].lambda_a[i / 2] * (1 + z), LINE_FLUX * group[g].flux[i / 2], nodes);
      }
    }
  }
cleanup:
  if (st != NSL_OK) { nsl_fit_bank_free(out); }
  nsl_spectra_free(spectra);
  free(flam);
  return st;
}
