/* Recalibration of redshift PDFs, fitted on sources with known redshifts that nothing else was chosen on. Pure.
 *
 * What a PDF is corrected by may depend on what is known of the source: s = ln SNR_GI, w = ln of the PDF's effective width in
 * ln(1+z) (its entropy), and m = ln(1+z_mode). In this order:
 *   1. temperature: p -> p^beta / norm, ln beta a quadratic polynomial in s and w, fitted by maximum likelihood;
 *   2. PIT map: the CDF F -> G(F), where ln dG/dF is a Legendre polynomial of degree 4 in F whose coefficients are quadratic in
 *      s and w and in m, fitted by maximum likelihood with a weak prior towards none;
 *   3. p_good = P(|dz|/(1+z) < 0.01) of z_mode: a logistic regression on odds, width, SNRs, contamination, mutual information and
 *      coverage;
 *   4. unusual: the distance of (ln mutual information, ln SNR_GV) from what s and w lead to expect, above the 99.5 % quantile. */
#ifndef NOSLIT_MODEL_CALIBRATION_H
#define NOSLIT_MODEL_CALIBRATION_H

#include "noslit/base/status.h"
#include "noslit/model/pdf.h"

#define NSL_CAL_TEMPER 6   /* 1, s, w, s^2, s w, w^2 */
#define NSL_CAL_PIT 8      /* those, m, m^2 */
#define NSL_CAL_DEGREE 4   /* of the Legendre polynomial */
#define NSL_CAL_GOOD 10    /* terms of the logistic regression */
#define NSL_CAL_UNUSUAL 16 /* two means of 6 terms, inverse covariance {00, 01, 11}, limit of the squared distance */

#define NSL_P_GOOD_E 0.01 /* a good redshift: |dz|/(1+z) below this */

typedef struct {
  int fitted; /* 0: PDFs stay as they are, p_good is NaN, nothing is unusual */
  double temper[NSL_CAL_TEMPER];
  double pit[NSL_CAL_PIT * NSL_CAL_DEGREE];
  double good[NSL_CAL_GOOD];
  double unusual[NSL_CAL_UNUSUAL];
} nsl_calibration;

/* What is known of a source beside its PDF. mutual_info in nats, coverage the smaller one of both bands. */
typedef struct {
  double snr_gi, snr_gv, mutual_info, contamination, coverage;
} nsl_calibration_facts;

/* The uncorrected PDF as the fits see it; bounded and finite whatever goes in. */
typedef struct {
  double s, w, m;
} nsl_calibration_point;

nsl_calibration_point nsl_calibration_locate(const nsl_pdf_grid *g, const nsl_pdf_summary *raw, double snr_gi);
/* prob [g->n], sum 1, is corrected in place; nothing happens when c is not fitted. */
void nsl_calibration_correct(const nsl_calibration *c, const nsl_pdf_grid *g, nsl_calibration_point at, float *prob);
/* odds: of the corrected PDF. NaN when c is not fitted. */
double nsl_calibration_p_good(const nsl_calibration *c, nsl_calibration_point at, const nsl_calibration_facts *facts, double odds);
int nsl_calibration_is_unusual(const nsl_calibration *c, nsl_calibration_point at, const nsl_calibration_facts *facts);

/* n sources: their uncorrected PDFs (prob [n][g->n], sum 1 each), facts and true redshifts (inside the grid). NSL_E_VALUE for
 * fewer than NSL_CAL_MIN sources. */
#define NSL_CAL_MIN 200
nsl_status nsl_calibration_fit(const nsl_pdf_grid *g, size_t n, const float *prob, const nsl_calibration_facts *facts,
                               const double *z_true, nsl_calibration *out, nsl_error *err);

#endif
