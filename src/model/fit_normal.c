/* Normal equations of a band: what the pixels say of each column's light. */
#include <math.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "noslit/model/fit.h"

#define NX NSL_STAMP_NX
#define NY NSL_STAMP_NY
#define WIDTH (2 * NSL_FIT_REACH + 1)
#define PADDED (NSL_FIT_NODES + 2 * NSL_FIT_REACH) /* a row of pixels with nothing on both sides */

/* A pixel's own width and the bilinear interpolation that made the stamp (a mean over its phases), px^2 along either axis. */
#define SMOOTHING_PX2 (1.0 / 12 + 1.0 / 6)

/* Columns that hold nearly all of the light. */
static int reach_of(const nsl_mix *mix)
{
  for (int reach = 4; reach < NSL_FIT_REACH; reach++) {
    double outside = 0;
    for (int g = 0; g < mix->n; g++) {
      double sigma = sqrt(mix->g[g].xx + SMOOTHING_PX2);
      outside += mix->g[g].flux * erfc((reach - fabs(mix->g[g].dx)) / sigma * M_SQRT1_2);
    }
    if (outside < 0.005) { return reach; }
  }
  return NSL_FIT_REACH;
}

static void tabulate(const nsl_mix *mix, int reach, double scale, float profile[NY][WIDTH])
{
  memset(profile, 0, NY * sizeof *profile);
  for (int g = 0; g < mix->n; g++) {
    double xx = mix->g[g].xx + SMOOTHING_PX2, yy = mix->g[g].yy + SMOOTHING_PX2, xy = mix->g[g].xy, det = xx * yy - xy * xy;
    double peak = scale * mix->g[g].flux / (2 * M_PI * sqrt(det));
    for (int y = 0; y < NY; y++) {
      double v = y - NSL_STAMP_YC - mix->g[g].dy;
      for (int t = -reach; t <= reach; t++) {
        double u = t - mix->g[g].dx;
        profile[y][t + reach] += (float)(peak * exp(-0.5 * (yy * u * u - 2 * xy * u * v + xx * v * v) / det));
      }
    }
  }
}

static void pixel_row(int y, const float *flux, const float *variance, const float *contamination, float k2, float *weight,
                      float *weighted)
{
  memset(weight, 0, PADDED * sizeof *weight);
  memset(weighted, 0, PADDED * sizeof *weighted);
  for (int x = 0; x < NX; x++) {
    size_t at = (size_t)y * NX + (size_t)x;
    float c = contamination[at], w = variance[at] > 0 ? 1 / (variance[at] + k2 * c * c) : 0;
    weight[2 * NSL_FIT_REACH + x] = w;
    weighted[2 * NSL_FIT_REACH + x] = w * (flux[at] - c);
  }
}

/* to[j] += factor * from[j], j < NSL_FIT_NODES. */
NSL_VECTORISED static void add_scaled(float factor, const float *restrict from, float *restrict to)
{
  for (int j = 0; j < NSL_FIT_NODES; j++) { to[j] += factor * from[j]; }
}

void nsl_fit_normal_make(const float *flux, const float *variance, const float *contamination, double k, const nsl_mix *mix,
                         double electrons, nsl_fit_normal *out)
{
  float profile[NY][WIDTH], weight[PADDED], weighted[PADDED];
  int reach = reach_of(mix);
  memset(out, 0, sizeof *out);
  out->reach = reach;
  tabulate(mix, reach, electrons, profile);
  for (int y = 0; y < NY; y++) {
    pixel_row(y, flux, variance, contamination, (float)(k * k), weight, weighted);
    const float *p = profile[y] + reach;
    for (int t = -reach; t <= reach; t++) {
      /* Node j sees the pixel at j + t of the padded row. */
      add_scaled(p[t], weighted + NSL_FIT_REACH + t, out->b);
      for (int d = 0; t - d >= -reach; d++) { add_scaled(p[t] * p[t - d], weight + NSL_FIT_REACH + t, out->diagonal[d]); }
    }
  }
}

void nsl_fit_deposit(double at, double electrons, float *nodes)
{
  double place = at + NSL_FIT_REACH, middle = floor(place + 0.5), t = place - middle;
  if (!(middle >= 1 && middle < NSL_FIT_NODES - 1)) { return; }
  float *n = nodes + (int)middle;
  n[-1] += (float)(electrons * 0.5 * t * (t - 1));
  n[0] += (float)(electrons * (1 - t * t));
  n[1] += (float)(electrons * 0.5 * t * (t + 1));
}
