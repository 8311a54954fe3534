/* The network's inputs from a stamp: the one place where pixels become numbers that a network has learnt from. */
#include <math.h>
#include <string.h>

#include "noslit/pipe/infer.h"

#define POINT_RE_PX 0.2f /* stands for the size of a point source, or of one with no shape */
#define TILT_MAX 10.f    /* then the outer rows move by 195 px */
#define DEG (3.14159265f / 180)

static float clamp(float v, float lo, float hi, float otherwise)
{
  if (!isfinite(v)) { return otherwise; }
  return v < lo ? lo : v > hi ? hi : v;
}

/* ln(re / 4 px), axis ratio, ellipticity times cos and sin of twice the angle from the dispersion axis, n / 4, exposures / 4 of
 * either band, contamination. Every one is finite and below 4 in size, whatever the catalogue says. */
static void shape_and_depth(const nsl_stamp *s, float *aux)
{
  float q = clamp(s->q, 0.05f, 1, 1), ellipticity = (1 - q) / (1 + q), angle = 2 * DEG * clamp(s->pa_x_deg, -720, 720, 0);
  aux[0] = logf(clamp(s->re_px, POINT_RE_PX, 100, POINT_RE_PX) / 4);
  aux[1] = q;
  aux[2] = ellipticity * cosf(angle);
  aux[3] = ellipticity * sinf(angle);
  aux[4] = clamp(s->sersic_n, 0, 8, 1) / 4;
  aux[5] = clamp((float)s->band[0].n_exp, 0, 12, 0) / 4;
  aux[6] = clamp((float)s->band[1].n_exp, 0, 12, 0) / 4;
  aux[7] = clamp(fmaxf(s->band[0].contamination, s->band[1].contamination), 0, 1, 0);
}

/* Typical variance of a plane, from the mean inverse variance of some of its rows: bright pixels do not move it. 0 without data. */
static float background_variance(const float *variance)
{
  enum { EVERY = 5 };
  double sum = 0, n = 0;
  for (int y = 0; y < NSL_STAMP_NY; y += EVERY) {
    float of_row = 0, in_row = 0;
    for (int i = 0; i < NSL_STAMP_NX; i++) {
      float v = variance[y * NSL_STAMP_NX + i], data = v > 0 ? 1.f : 0.f;
      of_row += data / (v + (1 - data));
      in_row += data;
    }
    sum += (double)of_row;
    n += (double)in_row;
  }
  return sum > 0 ? (float)(n / sum) : 0;
}

/* One row, moved to the left by `move` whole pixels: x in units of the typical noise; v = depth / (1 + (k c / sigma)^2), depth the
 * inverse variance of the background in the same units, c the neighbours' light, of which a part is uncertain. */
static void weighted_row(float per_unit, float depth, float k2, int move, const float *flux, const float *variance,
                         const float *light, float *x, float *v)
{
  int first = move < 0 ? -move : 0, last = move > 0 ? NSL_STAMP_NX - move : NSL_STAMP_NX;
  for (int i = 0; i < first; i++) { x[i] = v[i] = 0; }
  for (int i = first; i < last; i++) {
    float sigma2 = variance[i + move], c = light[i + move], data = sigma2 > 0 ? 1.f : 0.f;
    x[i] = data * (flux[i + move] - c) * per_unit;
    v[i] = depth * data * sigma2 / (sigma2 + k2 * c * c + (1 - data));
  }
  for (int i = last; i < NSL_STAMP_NX; i++) { x[i] = v[i] = 0; }
}

static void weighted_plane(float unit, float k2, float tilt, const float *flux, const float *variance, const float *light, float *x,
                           float *v)
{
  float background = background_variance(variance), depth = background > 0 ? unit * unit / background : 0;
  for (int y = 0; y < NSL_STAMP_NY; y++) {
    size_t at = (size_t)y * NSL_STAMP_NX;
    int move = (int)lrintf(tilt * ((float)y - (float)NSL_STAMP_YC));
    weighted_row(1 / unit, depth, k2, move, flux + at, variance + at, light + at, x + at, v + at);
  }
}

void nsl_infer_inputs(const nsl_model *model, const nsl_stamp *stamp, float *x, float *v, float *aux)
{
  float k2 = (float)(model->contamination_k * model->contamination_k);
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    size_t at = (size_t)b * NSL_STAMP_PLANE;
    float per_unit = (float)(1 / model->flux_scale[b]);
    if (model->input == NSL_INPUT_WEIGHTED) {
      weighted_plane((float)model->flux_scale[b], k2, clamp(stamp->band[b].tilt, -TILT_MAX, TILT_MAX, 0), stamp->flux + at,
                     stamp->variance + at, stamp->contamination + at, x + at, v + at);
    } else {
      for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { x[at + i] = stamp->flux[at + i] * per_unit; }
      for (size_t i = 0; v && i < NSL_STAMP_PLANE; i++) { v[at + i] = stamp->variance[at + i] > 0 ? 1.f : 0.f; }
    }
  }
  shape_and_depth(stamp, aux);
}

void nsl_model_inputs(const nsl_model *model, const float *x, const float *v, const float *aux, const float *inputs[3])
{
  int n = 0;
  inputs[0] = inputs[1] = inputs[2] = NULL;
  for (int i = 0; i < model->graph.n && n < 3; i++) {
    const nsl_node *node = &model->graph.nodes[i];
    if (node->op != NSL_OP_INPUT) { continue; }
    inputs[n++] = strcmp(node->name, "v") == 0 ? v : strcmp(node->name, "aux") == 0 ? aux : x;
  }
}
