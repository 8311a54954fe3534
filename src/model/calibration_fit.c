/* Maximum-likelihood fits of the calibration, each by Newton's method on a convex problem. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/calibration_internal.h"

#define ROUNDS 30
#define STEP_MAX 0.5 /* of any coefficient in one round */
#define CONVERGED 1e-6
#define PRIOR_TEMPER 1.0 /* each prior is that of so many sources towards no correction */
#define PRIOR_PIT 5.0
#define PRIOR_GOOD 1.0
#define UNUSUAL_FRACTION 0.005
#define MAX_UNKNOWNS (NSL_CAL_PIT * NSL_CAL_DEGREE)

int nsl_cal_solve(int n, double *a, double *b)
{
  for (int j = 0; j < n; j++) { /* Cholesky: the lower triangle becomes L */
    double d = a[j * n + j];
    for (int k = 0; k < j; k++) { d -= a[j * n + k] * a[j * n + k]; }
    if (!(d > 0)) { return 0; }
    a[j * n + j] = d = sqrt(d);
    for (int i = j + 1; i < n; i++) {
      double v = a[i * n + j];
      for (int k = 0; k < j; k++) { v -= a[i * n + k] * a[j * n + k]; }
      a[i * n + j] = v / d;
    }
  }
  for (int i = 0; i < n; i++) {
    for (int k = 0; k < i; k++) { b[i] -= a[i * n + k] * b[k]; }
    b[i] /= a[i * n + i];
  }
  for (int i = n - 1; i >= 0; i--) {
    for (int k = i + 1; k < n; k++) { b[i] -= a[k * n + i] * b[k]; }
    b[i] /= a[i * n + i];
  }
  return 1;
}

/* A sum of gradients and of minus the second derivatives of the log likelihood. */
typedef struct {
  int n;
  double g[MAX_UNKNOWNS], h[MAX_UNKNOWNS * MAX_UNKNOWNS];
} newton;

static void newton_start(newton *q, int n, const double *x, double prior)
{
  memset(q, 0, sizeof *q);
  q->n = n;
  for (int i = 0; i < n; i++) {
    q->g[i] = -prior * x[i];
    q->h[i * n + i] = prior;
  }
}

/* A source whose log likelihood depends on terms . x, with that first and (minus the) second derivative. */
static void newton_add(newton *q, const double *terms, double first, double second)
{
  for (int i = 0; i < q->n; i++) {
    q->g[i] += first * terms[i];
    for (int j = 0; j <= i; j++) { q->h[i * q->n + j] += second * terms[i] * terms[j]; }
  }
}

/* x moves; 1 when it hardly did. */
static int newton_step(newton *q, double *x)
{
  if (!nsl_cal_solve(q->n, q->h, q->g)) { return 1; }
  double largest = 0;
  for (int i = 0; i < q->n; i++) { largest = fmax(largest, fabs(q->g[i])); }
  double scale = largest > STEP_MAX ? STEP_MAX / largest : 1;
  for (int i = 0; i < q->n; i++) { x[i] += scale * q->g[i]; }
  return largest < CONVERGED;
}

typedef struct {
  const nsl_pdf_grid *grid;
  size_t n;
  const nsl_calibration_facts *facts;
  const double *z_true;
  nsl_calibration_point *at;
  double (*terms)[NSL_CAL_PIT];
  float *ln_p;      /* [n][bins] */
  float *work;      /* [bins] */
  double *pit;      /* [n] of the tempered PDFs */
  double *distance; /* [n] */
} fit;

static int true_bin(const fit *f, size_t i, double *part)
{
  double x = (log1p(f->z_true[i]) - f->grid->u0) / f->grid->du;
  int bin = x < 0 ? 0 : x >= f->grid->n ? f->grid->n - 1 : (int)x;
  *part = fmin(fmax(x - bin, 0), 1);
  return bin;
}

static void fit_temper(const fit *f, newton *q, double x[NSL_CAL_TEMPER])
{
  size_t bins = (size_t)f->grid->n;
  for (int round = 0, done = 0; round < ROUNDS && !done; round++) {
    newton_start(q, NSL_CAL_TEMPER, x, PRIOR_TEMPER);
    for (size_t i = 0; i < f->n; i++) {
      double part, variance, beta = nsl_cal_beta(x, f->terms[i]);
      const float *ln_p = f->ln_p + i * bins;
      double mean = nsl_cal_temper(f->grid->n, ln_p, beta, f->work, &variance);
      newton_add(q, f->terms[i], beta * ((double)ln_p[true_bin(f, i, &part)] - mean), beta * beta * variance);
    }
    done = newton_step(q, x);
  }
}

static void find_pits(const fit *f, const double temper[NSL_CAL_TEMPER])
{
  size_t bins = (size_t)f->grid->n;
  for (size_t i = 0; i < f->n; i++) {
    double part, variance, below = 0;
    int bin = true_bin(f, i, &part);
    nsl_cal_temper(f->grid->n, f->ln_p + i * bins, nsl_cal_beta(temper, f->terms[i]), f->work, &variance);
    for (int b = 0; b < bin; b++) { below += (double)f->work[b]; }
    f->pit[i] = fmin(below + part * (double)f->work[bin], 1);
  }
}

/* An exponential family in F: derivatives are moments of the Legendre polynomials. */
static void fit_pit(const fit *f, newton *q, double x[NSL_CAL_PIT * NSL_CAL_DEGREE])
{
  enum { D = NSL_CAL_DEGREE };
  const int n = NSL_CAL_PIT * D;
  double basis[NSL_CAL_CELLS][D], density[NSL_CAL_CELLS];
  for (int c = 0; c < NSL_CAL_CELLS; c++) { nsl_cal_legendre((c + 0.5) / NSL_CAL_CELLS, basis[c]); }
  for (int round = 0, done = 0; round < ROUNDS && !done; round++) {
    newton_start(q, n, x, PRIOR_PIT);
    for (size_t i = 0; i < f->n; i++) {
      double here[D], mean[D] = {0}, moment[D][D] = {{0}};
      nsl_cal_legendre(f->pit[i], here);
      nsl_cal_pit_density(x, f->terms[i], density);
      for (int c = 0; c < NSL_CAL_CELLS; c++) {
        for (int k = 0; k < D; k++) {
          mean[k] += density[c] * basis[c][k] / NSL_CAL_CELLS;
          for (int l = 0; l <= k; l++) { moment[k][l] += density[c] * basis[c][k] * basis[c][l] / NSL_CAL_CELLS; }
        }
      }
      for (int j = 0; j < NSL_CAL_PIT; j++) {
        for (int k = 0; k < D; k++) {
          int row = j * D + k;
          q->g[row] += f->terms[i][j] * (here[k] - mean[k]);
          for (int a = 0; a <= j; a++) {
            for (int l = 0; l < D; l++) {
              double m2 = l <= k ? moment[k][l] : moment[l][k];
              q->h[row * n + a * D + l] += f->terms[i][j] * f->terms[i][a] * (m2 - mean[k] * mean[l]);
            }
          }
        }
      }
    }
    done = newton_step(q, x);
  }
}

static void fit_good(const fit *f, const nsl_calibration *c, newton *q, double x[NSL_CAL_GOOD], double (*terms)[NSL_CAL_GOOD],
                     unsigned char *good)
{
  size_t bins = (size_t)f->grid->n;
  for (size_t i = 0; i < f->n; i++) {
    nsl_pdf_summary s;
    for (size_t b = 0; b < bins; b++) { f->work[b] = expf(f->ln_p[i * bins + b]); }
    nsl_calibration_correct(c, f->grid, f->at[i], f->work);
    nsl_pdf_summarise(f->grid, f->work, &s);
    nsl_cal_good_terms(f->at[i], &f->facts[i], s.odds, terms[i]);
    good[i] = fabs(s.z_mode - f->z_true[i]) < NSL_P_GOOD_E * (1 + f->z_true[i]);
  }
  for (int round = 0, done = 0; round < ROUNDS && !done; round++) {
    newton_start(q, NSL_CAL_GOOD, x, PRIOR_GOOD);
    for (size_t i = 0; i < f->n; i++) {
      double a = 0;
      for (int k = 0; k < NSL_CAL_GOOD; k++) { a += x[k] * terms[i][k]; }
      double p = 1 / (1 + exp(-a));
      newton_add(q, terms[i], good[i] - p, p * (1 - p));
    }
    done = newton_step(q, x);
  }
}

static int ascending(const void *a, const void *b)
{
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void fit_unusual(const fit *f, newton *q, double out[NSL_CAL_UNUSUAL])
{
  double signs[2], c[3] = {0}, *inverse = out + 2 * NSL_CAL_TEMPER;
  for (int k = 0; k < 2; k++) { /* least squares from zero: one step of Newton's is exact */
    double *x = out + k * NSL_CAL_TEMPER;
    newton_start(q, NSL_CAL_TEMPER, x, 1e-3);
    for (size_t i = 0; i < f->n; i++) {
      nsl_cal_signs(&f->facts[i], signs);
      newton_add(q, f->terms[i], signs[k], 1);
    }
    if (nsl_cal_solve(NSL_CAL_TEMPER, q->h, q->g)) { memcpy(x, q->g, NSL_CAL_TEMPER * sizeof *x); }
  }
  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i < f->n; i++) {
      nsl_cal_signs(&f->facts[i], signs);
      for (int k = 0; k < 2; k++) {
        for (int j = 0; j < NSL_CAL_TEMPER; j++) { signs[k] -= out[k * NSL_CAL_TEMPER + j] * f->terms[i][j]; }
      }
      if (pass == 0) {
        c[0] += signs[0] * signs[0];
        c[1] += signs[0] * signs[1];
        c[2] += signs[1] * signs[1];
      } else {
        f->distance[i] = inverse[0] * signs[0] * signs[0] + 2 * inverse[1] * signs[0] * signs[1] + inverse[2] * signs[1] * signs[1];
      }
    }
    if (pass == 0) {
      double n = (double)f->n, a = c[0] / n + 1e-6, b = c[1] / n, d = c[2] / n + 1e-6, det = a * d - b * b;
      inverse[0] = d / det;
      inverse[1] = -b / det;
      inverse[2] = a / det;
    }
  }
  qsort(f->distance, f->n, sizeof *f->distance, ascending);
  inverse[3] = f->distance[(size_t)((double)f->n * (1 - UNUSUAL_FRACTION))];
}

static void prepare(fit *f, const float *prob)
{
  size_t bins = (size_t)f->grid->n;
  for (size_t i = 0; i < f->n; i++) {
    nsl_pdf_summary s;
    nsl_pdf_summarise(f->grid, prob + i * bins, &s);
    f->at[i] = nsl_calibration_locate(f->grid, &s, f->facts[i].snr_gi);
    nsl_cal_terms(f->at[i], f->terms[i]);
    for (size_t b = 0; b < bins; b++) { f->ln_p[i * bins + b] = logf(fmaxf(prob[i * bins + b], (float)NSL_CAL_P_MIN)); }
  }
}

nsl_status nsl_calibration_fit(const nsl_pdf_grid *g, size_t n, const float *prob, const nsl_calibration_facts *facts,
                               const double *z_true, nsl_calibration *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t bins = (size_t)g->n;
  nsl_calibration c = {.fitted = 1};
  fit f = {.grid = g, .n = n, .facts = facts, .z_true = z_true};
  if (n < NSL_CAL_MIN) {
    return nsl_fail(err, NSL_E_VALUE, "%zu calibration sources are too few: give at least %d", n, NSL_CAL_MIN);
  }
  newton *q = malloc(sizeof *q);
  double(*good_terms)[NSL_CAL_GOOD] = malloc(n * sizeof *good_terms);
  unsigned char *good = malloc(n);
  f.at = malloc(n * sizeof *f.at);
  f.terms = malloc(n * sizeof *f.terms);
  f.ln_p = malloc(n * bins * sizeof *f.ln_p);
  f.work = malloc(bins * sizeof *f.work);
  f.pit = malloc(n * sizeof *f.pit);
  f.distance = malloc(n * sizeof *f.distance);
  if (!q || !good_terms || !good || !f.at || !f.terms || !f.ln_p || !f.work || !f.pit || !f.distance) {
    NSL_THROW(err, NSL_E_NOMEM, "calibration on %zu sources", n);
  }
  prepare(&f, prob);
  fit_temper(&f, q, c.temper);
  find_pits(&f, c.temper);
  fit_pit(&f, q, c.pit);
  fit_good(&f, &c, q, c.good, good_terms, good);
  fit_unusual(&f, q, c.unusual);
  *out = c;
cleanup:
  free(q);
  free(good_terms);
  free(good);
  free(f.at);
  free(f.terms);
  free(f.ln_p);
  free(f.work);
  free(f.pit);
  free(f.distance);
  return st;
}
