#include "noslit/model/calibration.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/calibration_internal.h"

static double bounded(double v, double lo, double hi)
{
  if (!(v > lo)) { return lo; } /* NaN too */
  return v < hi ? v : hi;
}

nsl_calibration_point nsl_calibration_locate(const nsl_pdf_grid *g, const nsl_pdf_summary *raw, double snr_gi)
{
  return (nsl_calibration_point){.s = log(bounded(snr_gi, 0.5, 30)),
                                 .w = bounded(raw->entropy + log(g->du), log(7e-4), 0),
                                 .m = log1p(bounded(raw->z_mode, 0, 2))};
}

/* Centred and scaled, so that every term is of order one. */
void nsl_cal_terms(nsl_calibration_point at, double terms[NSL_CAL_PIT])
{
  double s = (at.s - 1) / 1.2, w = (at.w + 5) / 1.5, m = (at.m - 0.45) / 0.25;
  const double all[NSL_CAL_PIT] = {1, s, w, s * s, s * w, w * w, m, m * m};
  memcpy(terms, all, sizeof all);
}

static double dot(int n, const double *a, const double *b)
{
  double sum = 0;
  for (int i = 0; i < n; i++) { sum += a[i] * b[i]; }
  return sum;
}

double nsl_cal_beta(const double temper[NSL_CAL_TEMPER], const double *terms)
{
  return exp(bounded(dot(NSL_CAL_TEMPER, temper, terms), -2, 2));
}

double nsl_cal_temper(int n, const float *ln_p, double beta, float *prob, double *variance)
{
  float top = ln_p[0], b = (float)beta;
  double sum = 0, mean = 0, mean2 = 0;
  for (int i = 1; i < n; i++) { top = ln_p[i] > top ? ln_p[i] : top; }
  for (int i = 0; i < n; i++) {
    float d = ln_p[i] - top;
    prob[i] = expf(b * d);
    sum += (double)prob[i];
    mean += (double)(prob[i] * d);
    mean2 += (double)(prob[i] * d * d);
  }
  float per_sum = (float)(1 / sum);
  for (int i = 0; i < n; i++) { prob[i] *= per_sum; }
  mean /= sum;
  *variance = mean2 / sum - mean * mean;
  return (double)top + mean;
}

void nsl_cal_legendre(double t, double out[NSL_CAL_DEGREE])
{
  double x = 2 * t - 1, before = 1, now = x;
  for (int k = 1; k <= NSL_CAL_DEGREE; k++) {
    out[k - 1] = now;
    double next = ((2 * k + 1) * x * now - k * before) / (k + 1);
    before = now;
    now = next;
  }
}

void nsl_cal_pit_density(const double pit[NSL_CAL_PIT * NSL_CAL_DEGREE], const double *terms, double density[NSL_CAL_CELLS])
{
  double c[NSL_CAL_DEGREE] = {0}, p[NSL_CAL_DEGREE], sum = 0;
  for (int j = 0; j < NSL_CAL_PIT; j++) {
    for (int k = 0; k < NSL_CAL_DEGREE; k++) { c[k] += pit[j * NSL_CAL_DEGREE + k] * terms[j]; }
  }
  for (int i = 0; i < NSL_CAL_CELLS; i++) {
    nsl_cal_legendre((i + 0.5) / NSL_CAL_CELLS, p);
    sum += density[i] = exp(bounded(dot(NSL_CAL_DEGREE, c, p), -4, 4));
  }
  for (int i = 0; i < NSL_CAL_CELLS; i++) { density[i] *= NSL_CAL_CELLS / sum; }
}

/* prob -> differences of G(F) between the bins' edges. */
static void map_cdf(int n, const double density[NSL_CAL_CELLS], float *prob)
{
  double upto[NSL_CAL_CELLS + 1] = {0}, f = 0, before = 0;
  for (int i = 0; i < NSL_CAL_CELLS; i++) { upto[i + 1] = upto[i] + density[i] / NSL_CAL_CELLS; }
  for (int b = 0; b < n; b++) {
    f += (double)prob[b];
    double x = bounded(f, 0, 1) * NSL_CAL_CELLS;
    int cell = x < NSL_CAL_CELLS ? (int)x : NSL_CAL_CELLS - 1;
    double now = upto[cell] + (x - cell) * (upto[cell + 1] - upto[cell]);
    prob[b] = (float)(now > before ? now - before : 0);
    before = now;
  }
}

void nsl_calibration_correct(const nsl_calibration *c, const nsl_pdf_grid *g, nsl_calibration_point at, float *prob)
{
  double terms[NSL_CAL_PIT], density[NSL_CAL_CELLS], variance, sum = 0;
  if (!c->fitted) { return; }
  nsl_cal_terms(at, terms);
  for (int i = 0; i < g->n; i++) { prob[i] = logf(fmaxf(prob[i], (float)NSL_CAL_P_MIN)); }
  nsl_cal_temper(g->n, prob, nsl_cal_beta(c->temper, terms), prob, &variance);
  nsl_cal_pit_density(c->pit, terms, density);
  map_cdf(g->n, density, prob);
  for (int i = 0; i < g->n; i++) { sum += (double)prob[i]; }
  float per_sum = (float)(1 / sum);
  for (int i = 0; i < g->n; i++) { prob[i] *= per_sum; }
}

void nsl_cal_good_terms(nsl_calibration_point at, const nsl_calibration_facts *facts, double odds, double terms[NSL_CAL_GOOD])
{
  double o = bounded(odds, 1e-3, 1 - 1e-3), l = log(o / (1 - o)) / 3, s = (at.s - 1) / 1.2, signs[2];
  nsl_cal_signs(facts, signs);
  const double all[NSL_CAL_GOOD] = {1,
                                    l,
                                    l * l,
                                    (at.w + 5) / 1.5,
                                    s,
                                    s * s,
                                    signs[1],
                                    2 * bounded(facts->contamination, 0, 1),
                                    signs[0] + 4.5,
                                    5 * (1 - bounded(facts->coverage, 0, 1))};
  memcpy(terms, all, sizeof all);
}

double nsl_calibration_p_good(const nsl_calibration *c, nsl_calibration_point at, const nsl_calibration_facts *facts, double odds)
{
  double terms[NSL_CAL_GOOD];
  if (!c->fitted) { return NAN; }
  nsl_cal_good_terms(at, facts, odds, terms);
  return 1 / (1 + exp(-bounded(dot(NSL_CAL_GOOD, c->good, terms), -12, 12)));
}

void nsl_cal_signs(const nsl_calibration_facts *facts, double signs[2])
{
  signs[0] = log(bounded(facts->mutual_info, 1e-4, 10));
  signs[1] = log(bounded(facts->snr_gv, 0, 1e4) + 0.1);
}

int nsl_calibration_is_unusual(const nsl_calibration *c, nsl_calibration_point at, const nsl_calibration_facts *facts)
{
  double terms[NSL_CAL_PIT], d[2];
  const double *inverse = c->unusual + 2 * NSL_CAL_TEMPER;
  if (!c->fitted) { return 0; }
  nsl_cal_terms(at, terms);
  nsl_cal_signs(facts, d);
  for (int k = 0; k < 2; k++) { d[k] -= dot(NSL_CAL_TEMPER, c->unusual + k * NSL_CAL_TEMPER, terms); }
  return inverse[0] * d[0] * d[0] + 2 * inverse[1] * d[0] * d[1] + inverse[2] * d[1] * d[1] > inverse[3];
}
