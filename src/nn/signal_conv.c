/* A one-dimensional convolution as a step: out = gelu(conv(gelu(norm(x))) + other), any of the parts may be missing. The input is
 * staged with its padding as [c][x][lane]; lanes without an element are zero. signal_winograd.c
 * has the faster way for some of them. */
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

static void pack(const signal_conv *s, const nsl_kernels *kernels, const float *w)
{
  int taps = s->conv->kw;
  float *to = s->weights;
  for (int first = 0; first < s->out.c;) {
    int outs = kernels->lanes_outs(s->out.c - first);
    for (int k = 0; k < s->in.c * taps; k++) {
      for (int o = first; o < first + outs; o++) { *to++ = w[o * s->in.c * taps + k]; }
    }
    first += outs;
  }
}

static void refresh(nsl_step *step, const nsl_net *net)
{
  signal_conv *s = (signal_conv *)step;
  const nsl_param *conv = net->params + net->states[s->chain.conv].first_param;
  pack(s, net->backend.kernels, conv[0].value);
  for (int o = 0; o < s->out.c; o++) { s->bias[o] = s->conv->has_bias ? conv[1].value[o] : 0.0f; }
  nsl_signal_norm(net, &s->chain, s->in.c, s->gain, s->shift);
}

void nsl_signal_norm(const nsl_net *net, const nsl_signal_chain *chain, int n_c, float *gain, float *shift)
{
  for (int c = 0; c < n_c; c++) {
    gain[c] = 1.0f;
    shift[c] = 0.0f;
    if (chain->norm < 0) { continue; }
    const nsl_param *p = net->params + net->states[chain->norm].first_param; /* weight, bias, mean, var */
    double g = (double)p[0].value[c] / sqrt((double)p[3].value[c] + (double)net->graph.nodes[chain->norm].eps);
    gain[c] = (float)g;
    shift[c] = (float)((double)p[1].value[c] - g * (double)p[2].value[c]);
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
      call->kernels->to_lanes(call->n, width, call->in[0].data + (size_t)c * width, call->in[0].stride, to + pad);
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
  float *staged = call->scratch, *result = staged + staged_floats(s);
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
                         .add = s->chain.other >= 0 ? nsl_view_in_lanes(call, 1, size, result + size * L) : NULL,
                         .gelu = s->chain.last_gelu >= 0,
                         .out = call->out_lanes ? call->out : result};
  call->kernels->lanes_conv(&conv);
  if (!call->out_lanes) { call->kernels->from_lanes(call->n, size, result, call->out, size); }
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

/* ---- ops that know lanes themselves ---- */

static void op_forward(const nsl_step *step, const nsl_call *call)
{
  (void)step;
  nsl_op_impl_of(call->node->op)->forward(call);
}

static void op_release(nsl_step *step) { free(step); }

nsl_status nsl_signal_op_new(nsl_step **out, nsl_error *err)
{
  nsl_step *s = calloc(1, sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "out of memory"); }
  *s = (nsl_step){.forward = op_forward, .release = op_release, .takes_lanes = 1, .is_op = 1};
  *out = s;
  return NSL_OK;
}
