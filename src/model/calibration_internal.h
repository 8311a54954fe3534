/* Private to calibration*.c: the terms of the fits. */
#ifndef NOSLIT_MODEL_CALIBRATION_INTERNAL_H
#define NOSLIT_MODEL_CALIBRATION_INTERNAL_H

#include "noslit/model/calibration.h"

#define NSL_CAL_P_MIN 1e-12 /* a bin's probability is not taken for less */
#define NSL_CAL_CELLS 128   /* of F, in which dG/dF is constant */

/* NSL_CAL_PIT terms; the first NSL_CAL_TEMPER are those of the temperature. */
void nsl_cal_terms(nsl_calibration_point at, double terms[NSL_CAL_PIT]);
double nsl_cal_beta(const double temper[NSL_CAL_TEMPER], const double *terms);
/* p^beta from ln p, sum 1. Returns the mean of ln p over it, and its variance. */
double nsl_cal_temper(int n, const float *ln_p, double beta, float *prob, double *variance);
/* P_1 .. P_4 of 2 t - 1. */
void nsl_cal_legendre(double t, double out[NSL_CAL_DEGREE]);
/* dG/dF in the NSL_CAL_CELLS cells, mean 1. */
void nsl_cal_pit_density(const double pit[NSL_CAL_PIT * NSL_CAL_DEGREE], const double *terms, double density[NSL_CAL_CELLS]);
void nsl_cal_good_terms(nsl_calibration_point at, const nsl_calibration_facts *facts, double odds, double terms[NSL_CAL_GOOD]);
/* ln mutual information and ln SNR_GV, bounded. */
void nsl_cal_signs(const nsl_calibration_facts *facts, double signs[2]);

/* Solves a x = b for a symmetric positive definite a [n][n] (destroyed), x in b; 0 when it is not. n <= 64. */
int nsl_cal_solve(int n, double *a, double *b);

#endif
