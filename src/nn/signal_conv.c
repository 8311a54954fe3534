/* A one-dimensional convolution as a step: out = gelu(conv(gelu(norm(x))) + other), any of the parts may be missing. The input is
 * staged with its padding as [c][x][lane]; lanes without an element are zero. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "step.h"

enum { L = NSL_LANES };

typedef struct {
  nsl_step step;
  nsl_signal_chain chain;
  const nsl_node *conv;
  nsl_shape3 in, out;
  float *weights, *bias, *gain, *shift; /* gain, shift: the norm before, [c_in] */
} signal_conv;

static size_t staged_width(const signal_conv *s) { return (size_t)(s->in.w + 2 * s->conv->pad_w); }
static size_t staged_floats(const signal_conv *s) { return (size_t)s->in.c * staged_width(s) * L; }

static void refresh(nsl_step *step, const nsl_net *net)
{
  signal_conv *s = (signal_conv *)step;
  const nsl_param *conv = net->params + net->states[s->chain.conv].first_param;
  int taps = s->conv->kw;
  float *to = s->weights;
  for (int first = 0; first < s->out.c;) {
    int outs = net->backend.kernels->lanes_outs(s->out.c - first);
    for (int k = 0; k < s->in.c * taps; k++) {
      for (int o = first; o < first + outs; o++) { *to++ = conv[0].value[o * s->in.c * taps + k]; }
    }
    first += outs;
  }
  for (int o = 0; o < s->out.c; o++) { s->bias[o] = s->conv->has_bias ? conv[1].value[o] : 0.0f; }
  for (int c = 0; c < s->in.c; c++) {
    s->gain[c] = 1.0f;
    s->shift[c] = 0.0f;
    if (s->chain.norm < 0) { continue; }
    const nsl_param *p = net->params + net->states[s->chain.norm].first_param; /* weight, bias, mean, var */
    double gain = (double)p[0].value[c] / sqrt((double)p[3].value[c] + (double)net->graph.nodes[s->chain.norm].eps);
    s->gain[c] = (float)gain;
    s->shift[c] = (float)((double)p[1].value[c] - gain * (double)p[2].value[c]);
  }
}

void nsl_planes_to_lanes(const nsl_view *from, int n, size_t offset, size_t width, float *to)
{
  if (n < L) { memset(to, 0, width * L * sizeof *to); }
  for (size_t begin = 0; begin < width; begin += L) {
    size_t end = begin + L < width ? begin + L : width;
    for (int e = 0; e < n; e++) {
      const float *x = from->data + (size_t)e * from->stride + offset;
      for (size_t i = begin; i < end; i++) { to[i * L + (size_t)e] = x[i]; }
    }
  }
}

static void lanes_to_planes(const float *from, int n, size_t size, float *to)
{
  for (size_t begin = 0; begin < size; begin += L) {
    size_t end = begin + L < size ? begin + L : size;
    for (int e = 0; e < n; e++) {
      for (size_t i = begin; i < end; i++) { to[(size_t)e * size + i] = from[i * L + (size_t)e]; }
    }
  }
}

static void stage(const signal_conv *s, const nsl_call *call, float *to)
{
  size_t pad = (size_t)s->conv->pad_w * L, width = (size_t)s->in.w;
  int changes = s->chain.norm >= 0 || s->chain.gelu >= 0;
  for (int c = 0; c < s->in.c; c++, to += staged_width(s) * L) {
    const float *x = call->in[0].data + (size_t)c * width * L;
    memset(to, 0, pad * sizeof *to);
    memset(to + pad + width * L, 0, pad * sizeof *to);
    if (!call->in[0].lanes) {
      nsl_planes_to_lanes(&call->in[0], call->n, (size_t)c * width, width, to + pad);
      x = to + pad;
    }
    if (changes) {
      call->kernels->lanes_stage(width * L, s->gain[c], s->shift[c], s->chain.gelu >= 0, x, to + pad);
    } else if (call->in[0].lanes) {
      memcpy(to + pad, x, width * L * sizeof *to);
    }
  }
}

static void forward(const nsl_step *step, const nsl_call *call)
{
  const signal_conv *s = (const signal_conv *)step;
  size_t size = nsl_shape_size(s->out);
  float *staged = call->scratch, *result = staged + staged_floats(s), *other = result + size * L;
  stage(s, call, staged);
  nsl_lanes_conv conv = {.c_in = s->in.c,
                         .c_out = s->out.c,
                         .w_out = s->out.w,
                         .taps = s->conv->kw,
                         .stride = s->conv->stride_w,
                         .dilation = s->conv->dil_w,
                         .x_channel = staged_width(s) * L,
                         .x = staged,
                         .w = s->weights,
                         .bias = s->bias,
                         .gelu = s->chain.last_gelu >= 0,
                         .out = call->out_lanes ? call->out : result};
  if (s->chain.other >= 0) {
    conv.add = call->in[1].data;
    if (!call->in[1].lanes) {
      nsl_planes_to_lanes(&call->in[1], call->n, 0, size, other);
      conv.add = other;
    }
  }
  call->kernels->lanes_conv(&conv);
  if (!call->out_lanes) { lanes_to_planes(result, call->n, size, call->out); }
}

static size_t scratch(const nsl_step *step, int n)
{
  const signal_conv *s = (const signal_conv *)step;
  (void)n;
  return staged_floats(s) + 2 * nsl_shape_size(s->out) * L;
}

static void release(nsl_step *step)
{
  signal_conv *s = (signal_conv *)step;
  free(s->weights);
  free(s->bias);
  free(s->gain);
  free(s->shift);
  free(s);
}

nsl_status nsl_signal_conv_new(const nsl_net *net, const nsl_signal_chain *chain, nsl_step **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  signal_conv *s = calloc(1, sizeof *s);
  if (!s) { NSL_THROW(err, NSL_E_NOMEM, "out of memory"); }
  s->step = (nsl_step){.refresh = refresh, .forward = forward, .release = release, .scratch = scratch, .takes_lanes = 1};
  s->chain = *chain;
  s->conv = &net->graph.nodes[chain->conv];
  s->in = net->states[chain->conv].in_shape[0];
  s->out = s->conv->out;
  s->weights = calloc((size_t)(s->out.c * s->in.c * s->conv->kw), sizeof(float));
  s->bias = calloc((size_t)s->out.c, sizeof(float));
  s->gain = calloc((size_t)s->in.c, sizeof(float));
  s->shift = calloc((size_t)s->in.c, sizeof(float));
  if (!s->weights || !s->bias || !s->gain || !s->shift) {
    NSL_THROW(err, NSL_E_NOMEM, "node '%s': out of memory for packed weights", s->conv->name);
  }
  *out = &s->step;
  s = NULL;
cleanup:
  if (s) { release(&s->step); }
  return st;
}

/* ---- correlate: the op itself, which knows lanes ---- */

static void correlate_forward(const nsl_step *step, const nsl_call *call)
{
  (void)step;
  nsl_op_correlate.forward(call);
}

static void correlate_release(nsl_step *step) { free(step); }

nsl_status nsl_signal_correlate_new(nsl_step **out, nsl_error *err)
{
  nsl_step *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "out of memory"); }
  *s = (nsl_step){.forward = correlate_forward, .release = correlate_release, .takes_lanes = 1, .is_op = 1};
  *out = s;
  return NSL_OK;
}
