/* A one-dimensional convolution as a step in the way of Winograd: five taps at stride 1, or nine at stride 2, which are five taps
 * on the even places plus four on the odd ones. What is known of the inputs is used: a channel is read only where it is not zero by
 * construction (RESAMPLE), and what a CONSTANT adds is added to the bias. */
#include <stdlib.h>
#include <string.h>

#include "step.h"

enum { L = NSL_LANES };

/* One signal that the kernel sees: every split-th place of a channel from `turn` on. */
typedef struct {
  int source;       /* input of the step */
  int channel;      /* of the source */
  int conv_channel; /* of the convolution */
  int turn, begin, end;
} signal;

typedef struct {
  nsl_step step;
  nsl_signal_chain chain;
  const nsl_node *conv;
  nsl_shape3 in, out;
  int split, n_signals, n_sources;
  nsl_shape3 source[NSL_NODE_INPUTS_MAX];
  int has_constants;
  signal *signals;
  nsl_signal_channel *channels;
  float *weights, *bias, *gain, *shift; /* bias [c_out][width]; gain, shift: the norm before, [c_in] */
} winograd_conv;

/* How many signals of its own an input channel becomes; 0 where this way cannot be gone. */
static int split_of(const nsl_node *conv)
{
  int d = conv->dil_w, same = conv->pad_w == conv->kw / 2 * d;
  if (conv->kw == NSL_SIGNAL_TAPS && conv->stride_w == 1 && same && (d == 1 || d == 2 || d == 4)) { return 1; }
  return conv->kw == 2 * NSL_SIGNAL_TAPS - 1 && conv->stride_w == 2 && same && d == 1 ? 2 : 0;
}

int nsl_signal_winograd_fits(const nsl_node *conv) { return split_of(conv) > 0; }

/* ---- weights ---- */

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

static float packed(const winograd_conv *s, const float *w, int position, int o, const signal *from)
{
  double g[NSL_SIGNAL_TAPS] = {0.0};
  w += (o * s->in.c + from->conv_channel) * s->conv->kw;
  for (int k = 0, tap = from->turn; tap < s->conv->kw; k++, tap += s->split) { g[k] = (double)w[tap]; }
  return (float)at_point(position, g);
}

static void pack(const winograd_conv *s, const nsl_kernels *kernels, const float *w)
{
  float *to = s->weights;
  for (int position = 0; position < NSL_SIGNAL_POSITIONS; position++) {
    for (int first = 0, outs; first < s->out.c; first += outs) {
      outs = kernels->signal_outs(s->out.c - first);
      for (int c = 0; c < s->n_signals; c++) {
        for (int o = first; o < first + outs; o++) { *to++ = packed(s, w, position, o, &s->signals[c]); }
      }
    }
  }
}

/* The share of a constant channel in output o at place x. */
static double constant_share(const winograd_conv *s, const float *w, const float *constant, int x)
{
  double sum = 0.0;
  for (int k = 0; k < s->conv->kw; k++) {
    int at = x * s->conv->stride_w + k * s->conv->dil_w - s->conv->pad_w;
    if (at >= 0 && at < s->in.w) { sum += (double)w[k] * (double)constant[at]; }
  }
  return sum;
}

static void add_constants(const winograd_conv *s, const nsl_net *net, const float *w)
{
  const nsl_node *concat = &net->graph.nodes[s->chain.concat];
  for (int k = 0, c = 0; k < concat->n_in; k++) {
    const nsl_node *node = &net->graph.nodes[concat->in[k]];
    for (int i = 0; i < node->out.c && node->op == NSL_OP_CONSTANT; i++) {
      for (int at = 0; at < s->out.c * s->out.w; at++) {
        const float *kernel = w + (at / s->out.w * s->in.c + c + i) * s->conv->kw;
        s->bias[at] += (float)constant_share(s, kernel, node->constant + i * s->in.w, at % s->out.w);
      }
    }
    c += node->out.c;
  }
}

static void refresh(nsl_step *step, const nsl_net *net)
{
  winograd_conv *s = (winograd_conv *)step;
  const nsl_param *conv = net->params + net->states[s->chain.conv].first_param;
  int places = s->has_constants ? s->out.w : 1;
  pack(s, net->backend.kernels, conv[0].value);
  for (int o = 0; o < s->out.c; o++) {
    for (int x = 0; x < places; x++) { s->bias[o * places + x] = s->conv->has_bias ? conv[1].value[o] : 0.0f; }
  }
  if (s->has_constants) { add_constants(s, net, conv[0].value); }
  nsl_signal_norm(net, &s->chain, s->in.c, s->gain, s->shift);
}

/* ---- a pass ---- */

static void forward(const nsl_step *step, const nsl_call *call)
{
  const winograd_conv *s = (const winograd_conv *)step;
  size_t size = nsl_shape_size(s->out);
  float *result = call->scratch, *other = result + size * L, *work = other + size * L;
  const float *sources[NSL_NODE_INPUTS_MAX];
  for (int k = 0; k < s->n_sources; k++) {
    size_t source = nsl_shape_size(s->source[k]);
    sources[k] = nsl_view_in_lanes(call, k, source, work);
    work += source * L;
  }
  for (int c = 0; c < s->n_signals; c++) {
    const signal *from = &s->signals[c];
    s->channels[c] =
        (nsl_signal_channel){.x = sources[from->source] + ((size_t)from->channel * (size_t)s->in.w + (size_t)from->turn) * L,
                             .begin = from->begin,
                             .end = from->end,
                             .gain = s->gain[from->conv_channel],
                             .shift = s->shift[from->conv_channel]};
  }
  nsl_signal_conv conv = {.c_in = s->n_signals,
                          .c_out = s->out.c,
                          .width = s->out.w,
                          .dilation = s->conv->dil_w,
                          .stage_affine = s->chain.norm >= 0,
                          .stage_gelu = s->chain.gelu >= 0,
                          .gelu = s->chain.last_gelu >= 0,
                          .step = (size_t)s->split * L,
                          .channels = s->channels,
                          .w = s->weights,
                          .add = s->chain.other >= 0 ? nsl_view_in_lanes(call, s->n_sources, size, other) : NULL,
                          .bias = s->bias,
                          .bias_by_place = s->has_constants,
                          .out = call->out_lanes ? call->out : result,
                          .work = work};
  call->kernels->signal_conv(&conv);
  if (!call->out_lanes) { call->kernels->from_lanes(call->n, size, result, call->out, size); }
}

static size_t scratch(const nsl_step *step, int n)
{
  const winograd_conv *s = (const winograd_conv *)step;
  (void)n;
  return 2 * nsl_shape_size(s->out) * L + nsl_shape_size(s->in) * L + nsl_signal_work(s->n_signals, s->out.c);
}

/* ---- making ---- */

static void release(nsl_step *step)
{
  winograd_conv *s = (winograd_conv *)step;
  free(s->signals);
  free(s->channels);
  free(s->weights);
  free(s->bias);
  free(s->gain);
  free(s->shift);
  free(s);
}

/* The split signals of channel i of a source. */
static void add_signals(winograd_conv *s, const nsl_net *net, int input, int i, int conv_channel)
{
  int begin = 0, end = s->in.w;
  const nsl_node_state *state = &net->states[input];
  if (net->graph.nodes[input].op == NSL_OP_RESAMPLE && s->chain.norm < 0) {
    nsl_resample_range(&net->graph.nodes[input], state->in_shape, state->prepared, i, &begin, &end);
  }
  for (int turn = 0; turn < s->split; turn++) {
    s->signals[s->n_signals++] = (signal){.source = s->n_sources,
                                          .channel = i,
                                          .conv_channel = conv_channel,
                                          .turn = turn,
                                          .begin = (begin > turn ? begin - turn + s->split - 1 : 0) / s->split,
                                          .end = (end > turn ? end - turn + s->split - 1 : 0) / s->split};
  }
}

static int by_place(const void *a, const void *b)
{
  const signal *p = a, *q = b;
  if (p->begin + p->end != q->begin + q->end) { return p->begin + p->end < q->begin + q->end ? -1 : 1; }
  int i = 2 * p->conv_channel + p->turn, j = 2 * q->conv_channel + q->turn;
  return i < j ? -1 : i > j;
}

/* Signals that are not zero at the same places stand together, since the kernel leaves out those at the ends of the list. */
static void list_signals(winograd_conv *s, const nsl_net *net)
{
  const nsl_node *concat = s->chain.concat >= 0 ? &net->graph.nodes[s->chain.concat] : NULL;
  for (int k = 0, c = 0; k < (concat ? concat->n_in : 1); k++) {
    int input = concat ? concat->in[k] : s->chain.input;
    const nsl_node *node = &net->graph.nodes[input];
    if (concat && node->op == NSL_OP_CONSTANT) {
      s->has_constants = 1;
    } else {
      for (int i = 0; i < node->out.c; i++) { add_signals(s, net, input, i, c + i); }
      s->source[s->n_sources++] = node->out;
    }
    c += node->out.c;
  }
  qsort(s->signals, (size_t)s->n_signals, sizeof *s->signals, by_place);
}

nsl_status nsl_signal_winograd_new(const nsl_net *net, const nsl_signal_chain *chain, nsl_step **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  winograd_conv *s = calloc(1, sizeof *s);
  if (!s) { NSL_THROW(err, NSL_E_NOMEM, "out of memory"); }
  s->step = (nsl_step){.refresh = refresh, .forward = forward, .release = release, .scratch = scratch, .takes_lanes = 1};
  s->chain = *chain;
  s->conv = &net->graph.nodes[chain->conv];
  s->in = net->states[chain->conv].in_shape[0];
  s->out = s->conv->out;
  s->split = split_of(s->conv);
  size_t n_in = (size_t)s->in.c, n_out = (size_t)s->out.c, n_signals = n_in * (size_t)s->split;
  s->signals = calloc(n_signals, sizeof *s->signals);
  s->channels = calloc(n_signals, sizeof *s->channels);
  s->weights = calloc(NSL_SIGNAL_POSITIONS * n_signals * n_out, sizeof(float));
  s->bias = calloc(n_out * (size_t)s->out.w, sizeof(float));
  s->gain = calloc(n_in, sizeof(float));
  s->shift = calloc(n_in, sizeof(float));
  if (!s->signals || !s->channels || !s->weights || !s->bias || !s->gain || !s->shift) {
    NSL_THROW(err, NSL_E_NOMEM, "node '%s': out of memory for packed weights", s->conv->name);
  }
  list_signals(s, net);
  *out = &s->step;
  s = NULL;
cleanup:
  if (s) { release(&s->step); }
  return st;
}
