/* Max pool and global mean of images with channels innermost. */
#include <stdlib.h>
#include <string.h>

#include "step.h"

typedef struct {
  nsl_step step;
  const nsl_node *node;
  nsl_shape3 in;
} image_pool;

static void max_of_window(const image_pool *s, const nsl_kernels *kernels, const float *image, int oy, int ox, float *to)
{
  const nsl_node *node = s->node;
  int begun = 0;
  for (int ky = 0; ky < node->kh; ky++) {
    int y = oy * node->stride_h - node->pad_h + ky;
    for (int kx = 0; kx < node->kw && y >= 0 && y < s->in.h; kx++) {
      int x = ox * node->stride_w - node->pad_w + kx;
      if (x < 0 || x >= s->in.w) { continue; }
      const float *pixel = image + ((size_t)y * (size_t)s->in.w + (size_t)x) * (size_t)s->in.c;
      if (begun) {
        kernels->pixel_max(s->in.c, pixel, to);
      } else {
        memcpy(to, pixel, (size_t)s->in.c * sizeof *to);
      }
      begun = 1;
    }
  }
}

static void maxpool(const nsl_step *step, const nsl_call *call)
{
  const image_pool *s = (const image_pool *)step;
  float *to = call->out;
  for (int i = 0; i < call->n; i++) {
    const float *image = call->in[0].data + (size_t)i * call->in[0].stride;
    for (int oy = 0; oy < s->node->out.h; oy++) {
      for (int ox = 0; ox < s->node->out.w; ox++, to += s->in.c) { max_of_window(s, call->kernels, image, oy, ox, to); }
    }
  }
}

static void gap(const nsl_step *step, const nsl_call *call)
{
  const image_pool *s = (const image_pool *)step;
  size_t n_c = (size_t)s->in.c, pixels = (size_t)s->in.h * (size_t)s->in.w;
  for (int i = 0; i < call->n; i++) {
    const float *image = call->in[0].data + (size_t)i * call->in[0].stride;
    float *to = call->out + (size_t)i * n_c;
    memcpy(to, image, n_c * sizeof *to);
    for (size_t p = 1; p < pixels; p++) { call->kernels->add(n_c, image + p * n_c, to, to); }
    call->kernels->affine(n_c, 1.0f / (float)pixels, 0.0f, to, to);
  }
}

static void release(nsl_step *step) { free(step); }

nsl_status nsl_image_pool_new(const nsl_net *net, int i, nsl_step **out, nsl_error *err)
{
  image_pool *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "out of memory"); }
  s->node = &net->graph.nodes[i];
  s->in = net->states[i].in_shape[0];
  s->step = (nsl_step){.forward = s->node->op == NSL_OP_GAP ? gap : maxpool, .release = release};
  *out = &s->step;
  return NSL_OK;
}
