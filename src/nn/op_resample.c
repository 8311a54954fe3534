/* Linear interpolation along w at constant positions, a set of positions for each group of channels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "op.h"

/* y[j] = a[j] x[left[j]] + b[j] x[left[j] + 1] for each group; weights are 0 outside the input. */
typedef struct {
  int *left;
  float *a, *b;
} table;

static int groups(const nsl_node *node) { return node->n_const / node->n_out; }

static nsl_status infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (node->n_out < 1 || node->n_const < 1 || node->n_const % node->n_out != 0) {
    return nsl_fail(err, NSL_E_VALUE, "%d positions are not a multiple of n_out %d", node->n_const, node->n_out);
  }
  if (in[0].c % groups(node) != 0) {
    return nsl_fail(err, NSL_E_VALUE, "%d channels cannot be split into %d groups", in[0].c, groups(node));
  }
  *out = (nsl_shape3){in[0].c, in[0].h, node->n_out};
  return NSL_OK;
}

static void release(void *prepared)
{
  table *t = prepared;
  if (!t) { return; }
  free(t->left);
  free(t->a);
  free(t->b);
  free(t);
}

static nsl_status prepare(const nsl_node *node, const nsl_shape3 *in, void **prepared, nsl_error *err)
{
  int w = in[0].w;
  size_t n = (size_t)node->n_const;
  table *t = calloc(1, sizeof *t);
  if (t) {
    t->left = calloc(n, sizeof *t->left);
    t->a = calloc(n, sizeof *t->a);
    t->b = calloc(n, sizeof *t->b);
  }
  if (!t || !t->left || !t->a || !t->b) {
    release(t);
    return nsl_fail(err, NSL_E_NOMEM, "out of memory for %zu positions", n);
  }
  for (size_t j = 0; j < n; j++) {
    double p = (double)node->constant[j];
    if (p < 0.0 || p > (double)(w - 1)) { continue; }
    /* The last pixel itself is reached from its left neighbour; a single pixel has none and needs none (b stays 0). */
    int left = (int)p < w - 1 ? (int)p : (w > 1 ? w - 2 : 0);
    t->left[j] = left;
    t->b[j] = (float)(p - (double)left);
    t->a[j] = 1.0f - t->b[j];
  }
  *prepared = t;
  return NSL_OK;
}

void nsl_resample_range(const nsl_node *node, const nsl_shape3 *in, const void *prepared, int channel, int *begin, int *end)
{
  const table *t = prepared;
  size_t at = (size_t)(channel / (in->c / groups(node))) * (size_t)node->n_out;
  *begin = 0;
  *end = node->n_out;
  while (*begin < *end && t->a[at + (size_t)*begin] == 0.0f && t->b[at + (size_t)*begin] == 0.0f) { ++*begin; }
  while (*begin < *end && t->a[at + (size_t)*end - 1] == 0.0f && t->b[at + (size_t)*end - 1] == 0.0f) { --*end; }
}

/* Signals side by side, from and to. */
static void forward_lanes(const nsl_call *call, const float *x, float *y)
{
  const table *t = call->prepared;
  int n_out = call->node->n_out, w = call->in_shape[0].w, n_c = call->in_shape[0].c, per_group = n_c / groups(call->node);
  for (int c = 0; c < n_c; c++, x += w * NSL_LANES, y += n_out * NSL_LANES) {
    size_t at = (size_t)(c / per_group) * (size_t)n_out;
    call->kernels->interpolate_lanes(n_out, w, t->left + at, t->a + at, t->b + at, x, y);
  }
}

/* Room for the input or the output side by side. */
static size_t scratch(const nsl_node *node, const nsl_shape3 *in, int n, int trainable)
{
  (void)n;
  return trainable ? 0 : (nsl_shape_size(in[0]) + nsl_shape_size(node->out)) * NSL_LANES;
}

static void forward(const nsl_call *call)
{
  if (call->in[0].lanes || call->out_lanes) {
    size_t size = nsl_shape_size(call->in_shape[0]), size_out = nsl_shape_size(call->node->out);
    float *y = call->out_lanes ? call->out : call->scratch + size * NSL_LANES;
    forward_lanes(call, nsl_view_in_lanes(call, 0, size, call->scratch), y);
    if (!call->out_lanes) { call->kernels->from_lanes(call->n, size_out, y, call->out, size_out); }
    return;
  }
  const table *t = call->prepared;
  int n_out = call->node->n_out, w = call->in_shape[0].w, n_c = call->in_shape[0].c, per_group = n_c / groups(call->node);
  int h = call->in_shape[0].h;
  float *y = call->out;
  for (int i = 0; i < call->n; i++) {
    const float *x = call->in[0].data + (size_t)i * call->in[0].stride;
    for (int row = 0; row < n_c * h; row++, x += w, y += n_out) {
      size_t at = (size_t)(row / h / per_group) * (size_t)n_out;
      if (w > 1) {
        call->kernels->interpolate(n_out, t->left + at, t->a + at, t->b + at, x, y);
      } else {
        for (int j = 0; j < n_out; j++) { y[j] = t->a[at + (size_t)j] * x[0]; }
      }
    }
  }
}

static void backward(const nsl_call *call)
{
  const table *t = call->prepared;
  int n_out = call->node->n_out, w = call->in_shape[0].w, n_c = call->in_shape[0].c, per_group = n_c / groups(call->node);
  int h = call->in_shape[0].h;
  const float *dy = call->dout;
  float *dx = call->din[0];
  memset(dx, 0, (size_t)call->n * nsl_shape_size(call->in_shape[0]) * sizeof(float));
  for (int i = 0; i < call->n; i++) {
    for (int row = 0; row < n_c * h; row++, dx += w, dy += n_out) {
      size_t at = (size_t)(row / h / per_group) * (size_t)n_out;
      if (w == 1) {
        dx[0] = call->kernels->dot((size_t)n_out, t->a + at, dy);
        continue;
      }
      for (int j = 0; j < n_out; j++) {
        int left = t->left[at + (size_t)j];
        dx[left] += t->a[at + (size_t)j] * dy[j];
        dx[left + 1] += t->b[at + (size_t)j] * dy[j];
      }
    }
  }
}

const nsl_op_impl nsl_op_resample = {.word = "resample",
                                     .inputs_min = 1,
                                     .inputs_max = 1,
                                     .knows_lanes = 1,
                                     .is_affine = 1,
                                     .infer = infer,
                                     .scratch = scratch,
                                     .prepare = prepare,
                                     .release = release,
                                     .forward = forward,
                                     .backward = backward};
