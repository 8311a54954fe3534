/* The seven kinds of stars that all stellar light is made of: black bodies with breaks and absorption features. The numbers are
 * by eye after the spectral sequence in textbooks: right in kind, not in detail. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "spectrum_internal.h"

enum { BALMER, BLANKET, CALCIUM, IRON, SODIUM, TIO, TRIPLET, MAGNESIUM };

const double nsl_star_temperature_k[N_STARS] = {30000, 15000, 9500, 7200, 5800, 4600, 3600};

typedef enum { DIP, STEP, BAND } feature_shape;

/* DIP: Gaussian of rms width `width`; STEP: depth below lambda, logistic of that width; BAND: sharp head, exponential fall to the
 * red over `width`. The optical depth per kind of star: O B A F G K M. */
typedef struct {
  int group;
  feature_shape shape;
  double lambda_a, width_a;
  double depth[N_STARS];
} feature;

static const feature features[] = {
    {BALMER, STEP, 3700, 22, {.10, .55, 1.05, .45, .08, 0, 0}},
    {BALMER, DIP, 6564.61, 8, {.08, .20, .42, .25, .12, .05, 0}},
    {BALMER, DIP, 4862.68, 9, {.09, .28, .62, .32, .13, .04, 0}},
    {BALMER, DIP, 4341.68, 9, {.09, .29, .68, .32, .12, .03, 0}},
    {BALMER, DIP, 4102.89, 9, {.09, .30, .72, .30, .07, 0, 0}},
    {BALMER, DIP, 3971.19, 8.5, {.08, .28, .68, .28, .08, 0, 0}},
    {BALMER, DIP, 3890.15, 8, {.08, .27, .65, .26, .07, 0, 0}},
    {BALMER, DIP, 3836.47, 7.5, {.07, .24, .60, .22, .06, 0, 0}},
    {BALMER, DIP, 3798.98, 7, {.05, .20, .50, .18, .04, 0, 0}},
    {BALMER, DIP, 3771.70, 6.5, {.04, .16, .40, .14, .03, 0, 0}},
    {BALMER, DIP, 3751.22, 6, {.03, .12, .30, .10, .02, 0, 0}},
    {BALMER, STEP, 8290, 45, {.03, .08, .16, .06, 0, 0, 0}},
    {BALMER, DIP, 10052.1, 11, {.03, .10, .24, .12, .04, 0, 0}},
    {BALMER, DIP, 9548.6, 11, {.03, .10, .24, .12, .04, 0, 0}},
    {BALMER, DIP, 9231.5, 10, {.03, .10, .24, .11, .03, 0, 0}},
    {BALMER, DIP, 9017.4, 10, {.03, .09, .22, .10, .02, 0, 0}},
    {BALMER, DIP, 8865.2, 9, {.02, .08, .20, .08, .02, 0, 0}},
    {BALMER, DIP, 8752.9, 8, {.02, .07, .17, .07, .01, 0, 0}},
    {BALMER, DIP, 8667.4, 8, {.02, .06, .14, .05, 0, 0, 0}},
    {BLANKET, STEP, 3985, 12, {0, 0, .05, .18, .35, .50, .58}},
    {BLANKET, STEP, 3600, 130, {0, .01, .02, .03, .05, .08, .10}},
    {BLANKET, STEP, 3100, 110, {0, 0, .05, .30, .75, .90, .80}},
    {BLANKET, STEP, 2640, 20, {0, .02, .08, .35, .55, .55, .50}},
    {BLANKET, STEP, 2000, 150, {0, .05, .40, 1.2, 2.0, 2.0, 2.0}},
    {BLANKET, DIP, 2800, 11, {.03, .08, .25, .75, .90, .80, .60}},
    {BLANKET, DIP, 3735, 24, {0, 0, 0, .04, .13, .24, .20}},
    {BLANKET, DIP, 3440, 45, {0, 0, 0, .05, .12, .18, .15}},
    {BLANKET, STEP, 4600, 130, {0, 0, .01, .05, .13, .22, .30}},
    {BLANKET, DIP, 2400, 90, {0, 0, .03, .15, .30, .30, .30}},
    {CALCIUM, DIP, 3934.78, 5.5, {.02, .05, .18, .75, 1.2, 1.5, 1.3}},
    {CALCIUM, DIP, 3969.59, 5.5, {.01, .04, .14, .65, 1.05, 1.35, 1.2}},
    {CALCIUM, DIP, 3857, 17, {0, 0, 0, .03, .14, .30, .25}},
    {CALCIUM, DIP, 4160, 20, {0, 0, 0, .02, .10, .30, .25}},
    {IRON, DIP, 4060, 14, {0, 0, 0, .05, .13, .30, .25}},
    {CALCIUM, DIP, 4227.9, 4.5, {0, 0, 0, .04, .12, .42, .60}},
    {CALCIUM, DIP, 4305, 12, {0, 0, 0, .13, .36, .44, .30}},
    {IRON, DIP, 4384, 7, {0, 0, .02, .08, .12, .27, .20}},
    {IRON, DIP, 4532, 10, {0, 0, .01, .04, .06, .12, .10}},
    {IRON, DIP, 4670, 13, {0, 0, 0, .02, .06, .14, .10}},
    {IRON, DIP, 5015, 16, {0, 0, .02, .05, .06, .09, .05}},
    {IRON, DIP, 5110, 60, {0, 0, 0, 0, .02, .10, .20}},
    {MAGNESIUM, DIP, 5168.7, 4.5, {0, 0, .01, .04, .08, .20, .18}},
    {MAGNESIUM, DIP, 5174.1, 4.5, {0, 0, .01, .04, .08, .20, .18}},
    {MAGNESIUM, DIP, 5185.0, 4.5, {0, 0, .01, .04, .08, .20, .18}},
    {IRON, DIP, 5271, 7, {0, 0, .01, .06, .10, .21, .15}},
    {IRON, DIP, 5331, 6, {0, 0, .01, .05, .08, .17, .12}},
    {IRON, DIP, 5407, 6, {0, 0, 0, .03, .05, .10, .08}},
    {IRON, DIP, 5710, 8, {0, 0, 0, .01, .03, .06, .05}},
    {IRON, DIP, 6499, 6, {0, 0, 0, .01, .03, .08, .08}},
    {IRON, DIP, 8691, 5, {0, 0, 0, .02, .05, .10, .08}},
    {IRON, DIP, 8809, 5, {0, 0, 0, .02, .06, .10, .08}},
    {SODIUM, DIP, 5891.58, 3.5, {.01, .01, .01, .04, .09, .26, .60}},
    {SODIUM, DIP, 5897.56, 3.5, {.01, .01, .01, .03, .07, .22, .50}},
    {SODIUM, DIP, 8192, 7, {0, 0, 0, 0, .02, .07, .22}},
    {TIO, BAND, 4761, 60, {0, 0, 0, 0, 0, .024, .30}},
    {TIO, BAND, 4954, 90, {0, 0, 0, 0, 0, .036, .45}},
    {TIO, BAND, 5167, 120, {0, 0, 0, 0, 0, .042, .50}},
    {TIO, BAND, 5448, 110, {0, 0, 0, 0, 0, .030, .35}},
    {TIO, BAND, 5847, 100, {0, 0, 0, 0, 0, .030, .35}},
    {TIO, BAND, 6158, 120, {0, 0, 0, 0, 0, .054, .60}},
    {TIO, BAND, 6651, 80, {0, 0, 0, 0, 0, .030, .40}},
    {TIO, BAND, 7053, 140, {0, 0, 0, 0, 0, .054, .70}},
    {TIO, BAND, 7589, 120, {0, 0, 0, 0, 0, .036, .50}},
    {TIO, BAND, 8206, 100, {0, 0, 0, 0, 0, .012, .20}},
    {TIO, BAND, 8432, 100, {0, 0, 0, 0, 0, .024, .40}},
    {TIO, BAND, 8859, 90, {0, 0, 0, 0, 0, .024, .40}},
    {TIO, BAND, 9209, 100, {0, 0, 0, 0, 0, .018, .20}},
    {TRIPLET, DIP, 8500.36, 4.5, {0, 0, .05, .16, .22, .32, .32}},
    {TRIPLET, DIP, 8544.44, 5, {0, 0, .08, .28, .42, .55, .50}},
    {TRIPLET, DIP, 8664.52, 5, {0, 0, .07, .24, .36, .48, .45}},
};

static double shape_at(const feature *f, double lambda)
{
  double u = (lambda - f->lambda_a) / f->width_a;
  switch (f->shape) {
  case DIP:
    return fabs(u) < 6 ? exp(-0.5 * u * u) : 0;
  case STEP:
    return u > 20 ? 0 : 1 / (1 + exp(u));
  case BAND:
    return u < -0.2 ? 0 : u < 0 ? 1 + 5 * u : u < 8 ? exp(-u) : 0;
  }
  return 0;
}

static double black_body(double lambda_a, double t_k) { return pow(lambda_a, -5) / expm1(1.438777e8 / (lambda_a * t_k)); }

nsl_status nsl_star_table_make(int star, nsl_star_table *out, nsl_error *err)
{
  memset(out, 0, sizeof *out);
  out->continuum = malloc(REST_N * sizeof *out->continuum);
  if (!out->continuum) { goto no_memory; }
  double t = nsl_star_temperature_k[star], at_5500 = black_body(5500, t);
  for (int i = 0; i < REST_N; i++) { out->continuum[i] = (float)(black_body(REST_LAMBDA0_A + REST_STEP_A * i, t) / at_5500); }
  for (size_t k = 0; k < sizeof features / sizeof *features; k++) {
    const feature *f = &features[k];
    if (!(f->depth[star] > 0)) { continue; }
    float **depth = &out->depth[f->group];
    if (!*depth) { *depth = calloc(REST_N, sizeof **depth); }
    if (!*depth) { goto no_memory; }
    for (int i = 0; i < REST_N; i++) { (*depth)[i] += (float)(f->depth[star] * shape_at(f, REST_LAMBDA0_A + REST_STEP_A * i)); }
  }
  return NSL_OK;
no_memory:
  nsl_star_table_free(out);
  return nsl_fail(err, NSL_E_NOMEM, "stellar tables");
}

void nsl_star_table_free(nsl_star_table *t)
{
  free(t->continuum);
  for (int g = 0; g < NSL_SED_GROUPS; g++) { free(t->depth[g]); }
  memset(t, 0, sizeof *t);
}

/* y at x on a piecewise linear curve. */
static double curve(double x, const double *xs, const double *ys, int n)
{
  if (x <= xs[0]) { return ys[0]; }
  for (int i = 1; i < n; i++) {
    if (x <= xs[i]) { return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]); }
  }
  return ys[n - 1];
}

void nsl_age_weights(double log_age, double w[N_STARS])
{
  /* Temperature of the main sequence's light, share of giants (K) and of the coolest (M), against log age. */
  static const double age[] = {6.3, 7.0, 7.5, 8.0, 8.5, 9.0, 9.5, 10.2};
  static const double log_t[] = {4.50, 4.40, 4.27, 4.15, 4.02, 3.92, 3.80, 3.74};
  static const double giants[] = {.02, .08, .10, .10, .13, .22, .38, .52}, coolest[] = {0, .01, .01, .01, .01, .02, .03, .06};
  const int n = sizeof age / sizeof *age;
  double t = curve(log_age, age, log_t, n), k = curve(log_age, age, giants, n), m = curve(log_age, age, coolest, n), sum = 0;
  for (int i = 0; i < N_STARS; i++) {
    double u = (log10(nsl_star_temperature_k[i]) - t) / (log_age > 9 ? 0.08 : 0.10);
    w[i] = exp(-0.5 * u * u);
    sum += w[i];
  }
  for (int i = 0; i < N_STARS; i++) { w[i] *= (1 - k - m) / sum; }
  w[5] += k;
  w[6] += m;
}
