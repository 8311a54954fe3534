#include "noslit/model/pdf.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define MODE_HALF_BINS 5
#define ODDS_HALF_WIDTH 0.01

double nsl_pdf_edge_z(const nsl_pdf_grid *g, int i) { return expm1(g->u0 + i * g->du); }

static double total(const nsl_pdf_grid *g, const float *prob)
{
  double sum = 0;
  for (int i = 0; i < g->n; i++) { sum += (double)prob[i]; }
  return sum;
}

/* Probability below u, linear inside a bin, for a histogram of the given total. */
static double cdf_u(const nsl_pdf_grid *g, const float *prob, double sum, double u)
{
  double x = (u - g->u0) / g->du;
  if (!(x > 0)) { return 0; }
  if (x >= g->n) { return 1; }
  int bin = (int)x;
  double below = 0;
  for (int i = 0; i < bin; i++) { below += (double)prob[i]; }
  return (below + (x - bin) * (double)prob[bin]) / sum;
}

static double quantile_u(const nsl_pdf_grid *g, const float *prob, double sum, double q)
{
  double target = q * sum, below = 0;
  int last = 0; /* the highest bin with anything in it, for q = 1 */
  for (int i = 0; i < g->n; i++) {
    double p = (double)prob[i];
    if (p <= 0) { continue; }
    if (below + p >= target) { return g->u0 + (i + (target - below) / p) * g->du; }
    below += p;
    last = i + 1;
  }
  return g->u0 + last * g->du;
}

static int highest(const float *prob, int first, int last)
{
  int peak = first;
  for (int i = first + 1; i <= last; i++) {
    if (prob[i] > prob[peak]) { peak = i; }
  }
  return peak;
}

static int first_near(int bin, int half) { return bin < half ? 0 : bin - half; }
static int last_near(const nsl_pdf_grid *g, int bin, int half) { return bin + half >= g->n ? g->n - 1 : bin + half; }

/* Middle bin of the interval, half a width on each side, that holds the most. */
static int fullest(const nsl_pdf_grid *g, const float *prob, int half)
{
  int best = 0, first = 0, last = -1;
  double sum = 0, most = -1;
  for (int i = 0; i < g->n; i++) {
    while (last < last_near(g, i, half)) { sum += (double)prob[++last]; }
    while (first < first_near(i, half)) { sum -= (double)prob[first++]; }
    if (sum > most) {
      most = sum;
      best = i;
    }
  }
  return best;
}

/* Mean of u near the highest bin of the most probable interval: finer than the grid, unmoved by other peaks, and not led astray by
 * a narrow peak that is higher than a likelier, broader one. */
static double mode_u(const nsl_pdf_grid *g, const float *prob)
{
  int half = (int)lround(log1p(ODDS_HALF_WIDTH) / g->du), middle = fullest(g, prob, half);
  int peak = highest(prob, first_near(middle, half), last_near(g, middle, half));
  int first = first_near(peak, MODE_HALF_BINS), last = last_near(g, peak, MODE_HALF_BINS);
  double sum = 0, moment = 0;
  for (int i = first; i <= last; i++) {
    sum += (double)prob[i];
    moment += (double)prob[i] * (i - peak);
  }
  return g->u0 + (peak + 0.5 + moment / sum) * g->du;
}

void nsl_pdf_summarise(const nsl_pdf_grid *g, const float *prob, nsl_pdf_summary *out)
{
  double sum = total(g, prob);
  if (!(sum > 0) || !isfinite(sum)) {
    *out = (nsl_pdf_summary){NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    return;
  }
  /* Moments about the first bin's centre, in bins; the mean of e^u over a bin is e^centre sinh(du/2) / (du/2). */
  double m1 = 0, m2 = 0, mean_exp = 0, entropy = 0;
  for (int i = 0; i < g->n; i++) {
    double p = (double)prob[i] / sum;
    if (p <= 0) { continue; }
    m1 += p * i;
    m2 += p * i * i;
    mean_exp += p * exp(g->u0 + (i + 0.5) * g->du);
    entropy -= p * log(p);
  }
  double variance = m2 - m1 * m1;
  double mode = mode_u(g, prob);
  out->z_mode = expm1(mode);
  out->z_median = expm1(quantile_u(g, prob, sum, 0.5));
  out->z_lo68 = expm1(quantile_u(g, prob, sum, 0.16));
  out->z_hi68 = expm1(quantile_u(g, prob, sum, 0.84));
  out->z_mean = mean_exp * sinh(g->du / 2) / (g->du / 2) - 1;
  out->sigma_u = g->du * sqrt((variance > 0 ? variance : 0) + 1.0 / 12.0);
  out->odds = cdf_u(g, prob, sum, mode + log1p(ODDS_HALF_WIDTH)) - cdf_u(g, prob, sum, mode + log1p(-ODDS_HALF_WIDTH));
  out->entropy = entropy;
}

double nsl_pdf_quantile_u(const nsl_pdf_grid *g, const float *prob, double q)
{
  double sum = total(g, prob);
  return sum > 0 ? quantile_u(g, prob, sum, q) : NAN;
}

double nsl_pdf_cdf(const nsl_pdf_grid *g, const float *prob, double z)
{
  double sum = total(g, prob);
  return sum > 0 ? cdf_u(g, prob, sum, z > -1 ? log1p(z) : -INFINITY) : NAN;
}

void nsl_pdf_density_z(const nsl_pdf_grid *g, const float *prob, float *density)
{
  double width = expm1(g->du);
  for (int i = 0; i < g->n; i++) { density[i] = (float)((double)prob[i] / (exp(g->u0 + i * g->du) * width)); }
}

void nsl_pdf_from_density_z(const nsl_pdf_grid *g, const float *density, float *prob)
{
  double width = expm1(g->du);
  for (int i = 0; i < g->n; i++) { prob[i] = (float)((double)density[i] * exp(g->u0 + i * g->du) * width); }
}

void nsl_pdf_round(float *density, size_t n)
{
  enum { DROPPED = 23 - NSL_PDF_MANTISSA_BITS };
  for (size_t i = 0; i < n; i++) {
    uint32_t bits;
    if (!isfinite(density[i])) { continue; }
    memcpy(&bits, &density[i], sizeof bits);
    bits += (1u << (DROPPED - 1)) - 1 + (bits >> DROPPED & 1); /* a carry goes into the exponent, as it should */
    bits &= ~0u << DROPPED;
    memcpy(&density[i], &bits, sizeof bits);
  }
}
