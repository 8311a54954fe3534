/* Private to fit_*.c. */
#ifndef PIPE_FIT_INTERNAL_H
#define PIPE_FIT_INTERNAL_H

#include "noslit/model/spectrum.h"
#include "noslit/pipe/fit_stamps.h"

/* Electrons per second that spectra leave in the columns of a stamp. */
typedef struct {
  const nsl_band *band[NSL_STAMP_BANDS];
  double response[NSL_STAMP_BANDS][NSL_SPECTRUM_N]; /* of the first order, e-/s per erg/s/cm2/A, on the spectra's grid */
} nsl_fit_response;

nsl_status nsl_fit_response_init(const nsl_instrument *inst, nsl_fit_response *out, nsl_error *err);
/* Adds a spectrum on the observed grid to the nodes of a band. */
void nsl_fit_add_spectrum(const nsl_fit_response *r, int slot, const double *flam, float *nodes);
/* Adds a line, flux in erg/s/cm2. */
void nsl_fit_add_line(const nsl_fit_response *r, int slot, double lambda_a, double flux, float *nodes);

/* The built-in templates at all redshifts of the grid. */
nsl_status nsl_fit_templates(const nsl_fit_response *r, const nsl_pdf_grid *grid, nsl_fit_bank *out, nsl_error *err);

#endif
