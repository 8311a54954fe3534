/* Scores of one histogram PDF against the truth, exact for a density that is constant inside each bin. */
#include <math.h>
#include <stdlib.h>

#include "noslit/model/metrics.h"

#define DENSITY_FLOOR 1e-10

nsl_status nsl_scorer_init(nsl_scorer *s, const nsl_pdf_grid *grid, nsl_error *err)
{
  s->grid = *grid;
  s->edge_z = malloc(((size_t)grid->n + 1) * sizeof *s->edge_z);
  s->prob = malloc((size_t)grid->n * sizeof *s->prob);
  if (!s->edge_z || !s->prob) {
    nsl_scorer_free(s);
    return nsl_fail(err, NSL_E_NOMEM, "no memory to score PDFs of %d bins", grid->n);
  }
  for (int i = 0; i <= grid->n; i++) { s->edge_z[i] = expm1(grid->u0 + i * grid->du); }
  return NSL_OK;
}

void nsl_scorer_free(nsl_scorer *s)
{
  free(s->edge_z);
  free(s->prob);
  s->edge_z = s->prob = NULL;
}

/* Integral of f^2 over a width w on which f goes linearly from a to b. */
static double square_integral(double a, double b, double w) { return w * (a * a + a * b + b * b) / 3; }

/* Bin that holds z, -1 below the grid, n above; the last edge belongs to the last bin. */
static int bin_of(const nsl_scorer *s, double z)
{
  int n = s->grid.n;
  if (!(z >= s->edge_z[0])) { return -1; }
  if (z > s->edge_z[n]) { return n; }
  int i = (int)floor((log1p(z) - s->grid.u0) / s->grid.du);
  i = i < 0 ? 0 : i >= n ? n - 1 : i;
  while (i > 0 && z < s->edge_z[i]) { i--; }
  while (i < n - 1 && z >= s->edge_z[i + 1]) { i++; }
  return i;
}

/* Fills s->prob; 0 when the PDF has no mass. */
static int normalise(nsl_scorer *s, const float *density)
{
  double total = 0;
  for (int i = 0; i < s->grid.n; i++) {
    s->prob[i] = (double)density[i] * (s->edge_z[i + 1] - s->edge_z[i]);
    total += s->prob[i];
  }
  if (!(total > 0) || !isfinite(total)) { return 0; }
  for (int i = 0; i < s->grid.n; i++) { s->prob[i] /= total; }
  return 1;
}

int nsl_scorer_run(nsl_scorer *s, const float *density, double z_true, nsl_score *out)
{
  if (!normalise(s, density)) { return 0; }
  const double *edge = s->edge_z, *prob = s->prob;
  int n = s->grid.n, t = bin_of(s, z_true), inside = t >= 0 && t < n;
  double p_t = inside ? prob[t] / (edge[t + 1] - edge[t]) : 0;
  double cdf = 0, pit = t < 0 ? 0 : 1, mean = 0, crps = 0, square = 0, prob_square = 0, denser = 0;
  double shift = edge[0];
  double mean_square = 0;
  for (int i = 0; i < n; i++) {
    double w = edge[i + 1] - edge[i], p = prob[i] / w, next = cdf + prob[i], mid = 0.5 * (edge[i] + edge[i + 1]) - shift;
    mean += prob[i] * mid;
    mean_square += prob[i] * (mid * mid + w * w / 12);
    square += prob[i] * p;
    prob_square += prob[i] * prob[i];
    if (p > p_t) { denser += prob[i]; }
    if (i < t) {
      crps += square_integral(cdf, next, w);
    } else if (i > t) {
      crps += square_integral(1 - cdf, 1 - next, w);
    } else {
      double before = z_true - edge[i];
      pit = cdf + p * before;
      crps += square_integral(cdf, pit, before) + square_integral(1 - pit, 1 - next, w - before);
    }
    cdf = next;
  }
  if (t < 0) { crps += edge[0] - z_true; }
  if (t == n) { crps += z_true - edge[n]; }
  double variance = mean_square - mean * mean;
  out->z_true = z_true;
  out->pit = pit < 0 ? 0 : pit > 1 ? 1 : pit;
  out->sigma_z = (float)sqrt(variance > 0 ? variance : 0);
  out->ln_p = (float)log(fmax(p_t, DENSITY_FLOOR));
  out->ln_p_u = (float)log(fmax(inside ? prob[t] / s->grid.du : 0, DENSITY_FLOOR));
  out->crps = (float)crps;
  out->cde = (float)(square - 2 * p_t);
  out->brier = (float)(inside ? prob_square - 2 * prob[t] + 1 : prob_square);
  out->hpd = (float)(inside ? fmin(denser + 0.5 * prob[t], 1) : 1);
  return 1;
}
