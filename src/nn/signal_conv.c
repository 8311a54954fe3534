/* A one-dimensional convolution as a step: out = gelu(conv(gelu(norm(x))) + other), any of the parts may be missing. The input is
 * staged with its padding as [c][x][lane]; lanes without an element are zero. Five taps at stride 1 go the Winograd way, and so do
 * nine at stride 2: the even places under five taps plus the odd ones under four. */
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
  int split;                            /* 0: the direct way; else channels of the Winograd way for each of the input's */
  nsl_signal_channel *channels;         /* of the Winograd way */
  float *weights, *bias, *gain, *shift; /* gain, shift: the norm before, [c_in] */
} signal_conv;

/* How many signals of its own an input channel becomes in the Winograd way; 0 where that cannot be gone. */
static int split_of(const nsl_node *conv)
{
  int d = conv->dil_w, same = conv->pad_w == conv->kw / 2 * d;
  if (conv->kw == NSL_SIGNAL_TAPS && conv->stride_w == 1 && same && (d == 1 || d == 2 || d == 4)) { return 1; }
  return conv->kw == 2 * NSL_SIGNAL_TAPS - 1 && conv->stride_w == 2 && same && d == 1 ? 2 : 0;
}

static size_t staged_width(const signal_conv *s) { return (size_t)(s->in.w + 2 * s->conv->pad_w); }
static size_t staged_floats(const signal_conv *s) { return (size_t)s->in.c * staged_width(s) * L; }

static void pack_direct(const signal_conv *s, const nsl_kernels *kernels, const float *w)
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

/* A kernel's value at the points of F(4,5): sum_k g_k p^k over the product of the distances to the other points; at 0 with the sign
 * that the transform of the inputs has. */
static double at_point(int position, const double *g)
{
  static const double points[] = {0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5};
  if (position == NSL_SIGNAL_POSITIONS - 1) { return g[NSL_SIGNAL_TAPS - 1]; }
  double p = points[position], value = 0.0, norm = position == 0 ? -1.0 : 1.0;
  for (int k = NSL_SIGNAL_TAPS - 1; k >= 0; k--) { value = value * p + g[k]; }
  for (int i = 0; i < NSL_SIGNAL_POSITIONS - 1; i++) { norm *= i == position ? 1.0 : p - points[i]; }
  return value / norm;
}

static void pack_winograd(const signal_conv *s, const nsl_kernels *kernels, const float *w)
{
  int taps = s->conv->kw;
  float *to = s->weights;
  for (int position = 0; position < NSL_SIGNAL_POSITIONS; position++) {
    for (int first = 0; first < s->out.c;) {
      int outs = kernels->signal_outs(s->out.c - first);
      for (int c = 0; c < s->in.c * s->split; c++) {
        for (int o = first; o < first + outs; o++) {
          double g[NSL_SIGNAL_TAPS] = {0.0};
          const float *from = w + (o * s->in.c + c / s->split) * taps;
          for (int k = 0, tap = c % s->split; tap < taps; k++, tap += s->split) { g[k] = (double)from[tap]; }
          *to++ = (float)at_point(position, g);
        }
      }
      first += outs;
    }
  }
}

static void refresh(nsl_step *step, const nsl_net *net)
{
  signal_conv *s = (signal_conv *)step;
  const nsl_param *conv = net->params + net->states[s->chain.conv].first_param;
  (s->split ? pack_winograd : pack_direct)(s, net->backend.kernels, conv[0].value);
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

static void direct(const signal_conv *s, const nsl_call *call, const float *other, float *out)
{
  float *staged = call->scratch;
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
                         .add = other,
                         .gelu = s->chain.last_gelu >= 0,
                         .out = out};
  call->kernels->lanes_conv(&conv);
}

static void winograd(const signal_conv *s, const nsl_call *call, const float *other, float *out)
{
  const float *x = call->in[0].data;
  size_t size = nsl_shape_size(s->in);
  float *work = call->scratch;
  if (!call->in[0].lanes) {
    call->kernels->to_lanes(call->n, size, x, call->in[0].stride, work);
    x = work;
    work += size * L;
  }
  for (int c = 0; c < s->in.c * s->split; c++) {
    int from = c / s->split, turn = c % s->split;
    s->channels[c] = (nsl_signal_channel){.x = x + ((size_t)from * (size_t)s->in.w + (size_t)turn) * L,
                                          .end = (s->in.w - turn + s->split - 1) / s->split,
                                          .gain = s->gain[from],
                                          .shift = s->shift[from]};
  }
  nsl_signal_conv conv = {.c_in = s->in.c * s->split,
                          .c_out = s->out.c,
                          .width = s->out.w,
                          .dilation = s->conv->dil_w,
                          .stage_affine = s->chain.norm >= 0,
                          .stage_gelu = s->chain.gelu >= 0,
                          .gelu = s->chain.last_gelu >= 0,
                          .step = (size_t)s->split * L,
                          .channels = s->channels,
                          .w = s->weights,
                          .bias = s->bias,
                          .add = other,
                          .out = out,
                          .work = work};
  call->kernels->signal_conv(&conv);
}

static size_t way_scratch(const signal_conv *s)
{
  return s->split ? nsl_shape_size(s->in) * L + nsl_signal_work(s->in.c * s->split, s->out.c) : staged_floats(s);
}

static void forward(const nsl_step *step, const nsl_call *call)
{
  const signal_conv *s = (const signal_conv *)step;
  size_t size = nsl_shape_size(s->out);
  float *result = call->scratch + way_scratch(s), *staged = result + size * L;
  const float *other = s->chain.other >= 0 ? call->in[1].data : NULL;
  if (other && !call->in[1].lanes) {
    call->kernels->to_lanes(call->n, size, other, call->in[1].stride, staged);
    other = staged;
  }
  (s->split ? winograd : direct)(s, call, other, call->out_lanes ? call->out : result);
  if (!call->out_lanes) { call->kernels->from_lanes(call->n, size, result, call->out, size); }
}

static size_t scratch(const nsl_step *step, int n)
{
  const signal_conv *s = (const signal_conv *)step;
  (void)n;
  return way_scratch(s) + 2 * nsl_shape_size(s->out) * L;
}

static void release(nsl_step *step)
{
  signal_conv *s = (signal_conv *)step;
  free(s->weights);
  free(s->bias);
  free(s->gain);
  free(s->shift);
  free(s->channels);
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
  s->split = split_of(s->conv);
  int values = s->split ? NSL_SIGNAL_POSITIONS * s->split : s->conv->kw; /* of a kernel */
  s->weights = calloc((size_t)(s->out.c * s->in.c * values), sizeof(float));
  s->channels = calloc((size_t)(s->in.c * 2), sizeof *s->channels);
  s->bias = calloc((size_t)s->out.c, sizeof(float));
  s->gain = calloc((size_t)s->in.c, sizeof(float));
  s->shift = calloc((size_t)s->in.c, sizeof(float));
  if (!s->weights || !s->channels || !s->bias || !s->gain || !s->shift) {
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
