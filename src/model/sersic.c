/* Sersic profiles as mixtures of Gaussians. The tables are made by tools/fit_sersic_mixture.py. */
#include "noslit/model/render.h"

#include <math.h>

#define N_WIDTHS 11
#define N_INDEXES 10

/* Gaussian widths in units of the half-light radius, common to all indexes. */
static const double widths[N_WIDTHS] = {0.029569, 0.051747, 0.090557, 0.158474, 0.277330, 0.485327,
                                        0.849322, 1.486313, 2.601048, 4.551834, 7.965710};
static const double indexes[N_INDEXES] = {0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0};
/* Weights per index. The enclosed light is right to 0.0063 (n = 0.75, 6) or better, 0.002 for 1 <= n <= 4, within 6 re. */
static const double weights[N_INDEXES][N_WIDTHS] = {
    {0.000000, 0.000000, 0.000000, 0.000000, 0.000000, 0.000000, 1.000000, 0.000000, 0.000000, 0.000000, 0.000000},
    {0.000000, 0.000000, 0.000000, 0.000000, 0.035042, 0.079527, 0.720080, 0.165351, 0.000000, 0.000000, 0.000000},
    {0.000041, 0.000000, 0.003145, 0.003993, 0.048347, 0.160018, 0.485973, 0.297818, 0.000000, 0.000401, 0.000265},
    {0.000704, 0.001378, 0.006874, 0.023227, 0.074777, 0.187217, 0.326410, 0.291287, 0.085544, 0.002252, 0.000330},
    {0.002392, 0.003326, 0.014215, 0.037323, 0.091861, 0.180175, 0.263741, 0.250738, 0.128106, 0.026624, 0.001497},
    {0.005535, 0.005196, 0.022489, 0.047402, 0.100545, 0.169488, 0.227716, 0.220214, 0.141015, 0.050258, 0.010141},
    {0.010198, 0.006341, 0.030938, 0.053823, 0.105133, 0.158703, 0.204312, 0.196516, 0.145142, 0.062181, 0.026711},
    {0.023567, 0.005084, 0.047729, 0.058334, 0.109986, 0.138138, 0.177914, 0.157976, 0.153056, 0.054182, 0.074033},
    {0.040491, 0.000000, 0.062866, 0.056783, 0.112864, 0.119534, 0.165892, 0.124875, 0.167214, 0.021550, 0.127931},
    {0.056506, 0.000000, 0.065803, 0.062745, 0.104861, 0.114863, 0.145124, 0.116879, 0.159931, 0.000000, 0.173287},
};

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

static void sersic_weights(double n, double w[N_WIDTHS])
{
  int k = 0;
  while (k < N_INDEXES - 2 && n > indexes[k + 1]) { k++; }
  double t = (n - indexes[k]) / (indexes[k + 1] - indexes[k]);
  for (int i = 0; i < N_WIDTHS; i++) { w[i] = (1 - t) * weights[k][i] + t * weights[k + 1][i]; }
}

/* Second moments, in px^2, of the half-light ellipse taken as the one-sigma ellipse. */
static void ellipse(const nsl_shape *shape, const double m[4], double *xx, double *xy, double *yy)
{
  double re = shape->re_arcsec, q = clamp(isfinite(shape->q) ? shape->q : 1, 0.05, 1);
  double pa = (isfinite(shape->pa_deg) ? shape->pa_deg : 0) * M_PI / 180, east = sin(pa) * re, north = cos(pa) * re;
  double ax = m[0] * east + m[1] * north, ay = m[2] * east + m[3] * north;
  double bx = q * (m[0] * north - m[1] * east), by = q * (m[2] * north - m[3] * east);
  *xx = ax * ax + bx * bx;
  *xy = ax * ay + bx * by;
  *yy = ay * ay + by * by;
}

double nsl_psf_sigma_px(double ree80_arcsec, double pixel_scale_arcsec)
{
  return ree80_arcsec * 1.3126 / (2 * sqrt(2 * M_LN2)) / pixel_scale_arcsec;
}

void nsl_shape_to_pixels(const nsl_shape *shape, const double sky_to_px[4], float *re_px, float *q, float *pa_x_deg)
{
  *re_px = *pa_x_deg = 0;
  *q = 1;
  if (!(shape->re_arcsec > 0)) { return; }
  double xx, xy, yy;
  ellipse(shape, sky_to_px, &xx, &xy, &yy);
  double half = 0.5 * (xx + yy), d = hypot(0.5 * (xx - yy), xy), small = half - d > 0 ? half - d : 0;
  *re_px = (float)sqrt(half + d);
  *q = (float)sqrt(small / (half + d));
  *pa_x_deg = (float)(0.5 * atan2(2 * xy, xx - yy) * 180 / M_PI);
}

double nsl_mix_tilt(const nsl_mix *mix)
{
  double xy = 0, yy = 0;
  for (int i = 0; i < mix->n; i++) {
    double det = mix->g[i].xx * mix->g[i].yy - mix->g[i].xy * mix->g[i].xy;
    if (!(det > 0)) { continue; }
    double peak = mix->g[i].flux / sqrt(det);
    xy += peak * mix->g[i].xy;
    yy += peak * mix->g[i].yy;
  }
  return yy > 0 ? xy / yy : 0;
}

void nsl_mix_from_shape(const nsl_shape *shape, double psf_sigma_px, const double m[4], nsl_mix *out)
{
  double psf2 = psf_sigma_px * psf_sigma_px;
  out->psf = (nsl_psf){0, 0, 0};
  out->n = 0;
  if (!(shape->re_arcsec > 0)) {
    out->n = 1;
    out->g[0].flux = 1;
    out->g[0].dx = out->g[0].dy = out->g[0].xy = 0;
    out->g[0].xx = out->g[0].yy = psf2;
    return;
  }
  double n = clamp(isfinite(shape->sersic_n) ? shape->sersic_n : 1, 0.5, 6), xx, xy, yy;
  ellipse(shape, m, &xx, &xy, &yy);
  double w[N_WIDTHS];
  sersic_weights(n, w);
  /* Components much smaller than the PSF are one component with their summed second moment. */
  double small2 = 0.15 * psf2 / (xx > yy ? xx : yy), core = 0, core2 = 0;
  for (int i = 0; i < N_WIDTHS; i++) {
    double s2 = widths[i] * widths[i];
    int merge = s2 < small2;
    if (merge) {
      core += w[i];
      core2 += w[i] * s2;
    }
    int last_of_core = merge && (i + 1 == N_WIDTHS || widths[i + 1] * widths[i + 1] >= small2);
    double f = merge ? core : w[i];
    if ((merge && !last_of_core) || f <= 0) { continue; }
    if (merge) { s2 = core2 / core; }
    out->g[out->n].flux = f;
    out->g[out->n].dx = out->g[out->n].dy = 0;
    out->g[out->n].xx = s2 * xx + psf2;
    out->g[out->n].xy = s2 * xy;
    out->g[out->n].yy = s2 * yy + psf2;
    out->n++;
  }
}
