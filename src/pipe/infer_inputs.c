/* The network's inputs from a stamp: the one place where pixels become numbers that a network has learnt from. */
#include <math.h>
#include <string.h>

#include "noslit/pipe/infer.h"

#define POINT_RE_PX 0.2f /* stands for the size of a point source, or of one with no shape */
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

static void weighted_plane(float per_unit, float k2, const float *flux, const float *variance, const float *light, float *x,
                           float *v)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    float data = variance[i] > 0 ? 1.f : 0.f;
    x[i] = data * (flux[i] - light[i]) * per_unit;
    v[i] = data * variance[i] / (variance[i] + k2 * light[i] * light[i] + (1 - data));
  }
}

void nsl_infer_inputs(const nsl_model *model, const nsl_stamp *stamp, float *x, float *v, float *aux)
{
  float k2 = (float)(model->contamination_k * model->contamination_k);
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    size_t at = (size_t)b * NSL_STAMP_PLANE;
    float per_unit = (float)(1 / model->flux_scale[b]);
    if (model->input == NSL_INPUT_WEIGHTED) {
      weighted_plane(per_unit, k2, stamp->flux + at, stamp->variance + at, stamp->contamination + at, x + at, v + at);
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
