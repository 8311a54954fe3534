#include "conv.h"

#include <string.h>

/* Calls visit for every product of one element: output index, weight index, input index. */
typedef void visitor(const nsl_call *call, int i, size_t o, size_t w, size_t x, double *acc);

static void for_products(const nsl_call *call, int i, size_t o, visitor *visit, double *acc)
{
  const nsl_node *node = call->node;
  nsl_shape3 in = call->in_shape[0], out = node->out;
  int ox = (int)(o % (size_t)out.w), oy = (int)(o / (size_t)out.w) % out.h, co = (int)(o / (size_t)(out.w * out.h));
  for (int ci = 0; ci < in.c; ci++) {
    for (int ky = 0; ky < node->kh; ky++) {
      for (int kx = 0; kx < node->kw; kx++) {
        int y = oy * node->stride_h - node->pad_h + ky * node->dil_h, x = ox * node->stride_w - node->pad_w + kx * node->dil_w;
        if (y < 0 || y >= in.h || x < 0 || x >= in.w) { continue; }
        size_t w = (((size_t)co * (size_t)in.c + (size_t)ci) * (size_t)node->kh + (size_t)ky) * (size_t)node->kw + (size_t)kx;
        visit(call, i, o, w, ((size_t)ci * (size_t)in.h + (size_t)y) * (size_t)in.w + (size_t)x, acc);
      }
    }
  }
}

static void forward_product(const nsl_call *call, int i, size_t o, size_t w, size_t x, double *acc)
{
  (void)o;
  *acc += (double)call->param[0].value[w] * (double)call->in[0].data[(size_t)i * call->in[0].stride + x];
}

void nsl_conv_ref_forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out), hw = size / (size_t)call->node->out.c;
  for (int i = 0; i < call->n; i++) {
    for (size_t o = 0; o < size; o++) {
      double acc = call->node->has_bias ? (double)call->param[1].value[o / hw] : 0.0;
      for_products(call, i, o, forward_product, &acc);
      call->out[(size_t)i * size + o] = (float)acc;
    }
  }
}

static void backward_product(const nsl_call *call, int i, size_t o, size_t w, size_t x, double *acc)
{
  (void)acc;
  size_t in_size = nsl_shape_size(call->in_shape[0]);
  float d = call->dout[(size_t)i * nsl_shape_size(call->node->out) + o];
  call->param[0].grad[w] += d * call->in[0].data[(size_t)i * in_size + x];
  if (call->din[0]) { call->din[0][(size_t)i * in_size + x] += d * call->param[0].value[w]; }
}

void nsl_conv_ref_backward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out), hw = size / (size_t)call->node->out.c;
  if (call->din[0]) { memset(call->din[0], 0, (size_t)call->n * nsl_shape_size(call->in_shape[0]) * sizeof(float)); }
  for (int i = 0; i < call->n; i++) {
    for (size_t o = 0; o < size; o++) {
      if (call->node->has_bias) { call->param[1].grad[o / hw] += call->dout[(size_t)i * size + o]; }
      for_products(call, i, o, backward_product, NULL);
    }
  }
}
