/* Template fits of stamps: chi2 of a spectrum that is seen through a source's known profile. Pure.
 *
 * A stamp's band is linear in the spectrum: image(x, y) = sum_j e_j P(x - j, y), e_j the electrons of stamp column j, P the
 * profile. So chi2(e) - chi2(0) = e' G e - 2 e' b with G = A' W A banded and b = A' W d, made once a stamp; a trial redshift then
 * costs one product with a banded matrix. Non-negative combinations of templates are found by active sets (Lawson & Hanson 1974).
 */
#ifndef NOSLIT_MODEL_FIT_H
#define NOSLIT_MODEL_FIT_H

#include "noslit/base/status.h"
#include "noslit/model/pdf.h"
#include "noslit/model/render.h"
#include "noslit/model/stamp.h"

#define NSL_FIT_REACH 24 /* px along x that a profile is followed; light farther out is left to the noise */
#define NSL_FIT_NODES (NSL_STAMP_NX + 2 * NSL_FIT_REACH) /* node j stands for stamp column j - NSL_FIT_REACH */
#define NSL_FIT_TEMPLATES_MAX 24

/* Normal equations of one band. */
typedef struct {
  int reach;                                            /* of the profile, px */
  float diagonal[2 * NSL_FIT_REACH + 1][NSL_FIT_NODES]; /* [d][j] = G(j, j + d), d <= 2 reach */
  float b[NSL_FIT_NODES];
} nsl_fit_normal;

/* Planes [40][480] as in nsl_stamp; contamination is subtracted, and k of it counts as noise. mix: the source's profile in stamp
 * pixels, PSF included; the pixel and the interpolation of stamps are added here. electrons: of all that the templates say, this
 * stamp has so many (its exposure time). */
void nsl_fit_normal_make(const float *flux, const float *variance, const float *contamination, double k, const nsl_mix *mix,
                         double electrons, nsl_fit_normal *out);

/* Adds a band's electrons per column to nodes[NSL_FIT_NODES]: of a light that falls at column `at` (fractional), keeping centroid
 * and width. Light outside is lost. */
void nsl_fit_deposit(double at, double electrons, float *nodes);

/* The best non-negative amplitudes a[n] of a' M a - 2 a' c, M [n][n] symmetric, c [n]; returns that minimum (<= 0). */
double nsl_nnls(int n, const double *m, const double *c, double *a);

/* Spectra of n templates at the redshifts of a grid's bin centres, in both bands: [bin][template][band][NSL_FIT_NODES]. They are
 * made up front, or, with `make`, when a bin is first asked for. */
typedef struct {
  nsl_pdf_grid grid;
  int n;
  float *nodes;
  void (*make)(void *ctx, int bin); /* NULL, or fills all nodes of a bin */
  void *ctx;
  unsigned char *made; /* [grid.n] */
} nsl_fit_bank;

/* Zeroed. */
nsl_status nsl_fit_bank_new(const nsl_pdf_grid *grid, int n, nsl_fit_bank *out, nsl_error *err);
void nsl_fit_bank_clear(nsl_fit_bank *bank); /* as new: nothing is made */
void nsl_fit_bank_free(nsl_fit_bank *bank);
float *nsl_fit_bank_nodes(const nsl_fit_bank *bank, int bin, int template, int band);

/* chi2 of the best fit in one bin, minus that of no source. band[1] may be NULL. */
double nsl_fit_chi2(const nsl_fit_normal *const band[2], nsl_fit_bank *bank, int bin);
/* A broad prior, prior[grid.n] per bin, sum 1: n(z) ~ z exp(-(z / 0.48)^1.5), which follows galaxies that reach SNR_GI 1 in the
 * mock (docs/accuracy.md). It knows nothing of magnitude or colour. */
void nsl_fit_prior(const nsl_pdf_grid *grid, double *prior);

/* prob[grid.n] = prior x exp(-chi2/2) with every amplitude at its best (profiled, not integrated over), normalised. prior [grid.n],
 * NULL for a flat one in ln(1+z). First bins 0.003 apart in ln(1+z), then all round the minima. Returns chi2 of the second best bin
 * more than 0.01 (1+z) away minus that of the best (the gap, >= 0; chi2 alone). */
double nsl_fit_pdf(const nsl_fit_normal *const band[2], nsl_fit_bank *bank, const double *prior, double *chi2, float *prob);

#endif
