/* Dropout of single elements or whole channels. The masks of a batch element are a function of (seed, the element's key, sample,
 * node index). Saved: 0 or 1/(1-rate) for each unit, [n][units]. */
#include <string.h>

#include "noslit/base/rng.h"
#include "op.h"

static size_t units(const nsl_node *node) { return node->channel ? (size_t)node->out.c : nsl_shape_size(node->out); }

static nsl_status infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (!(node->rate >= 0.0f && node->rate < 1.0f)) { return nsl_fail(err, NSL_E_VALUE, "rate must be in [0, 1)"); }
  *out = in[0];
  return NSL_OK;
}

static size_t saved(const nsl_node *node, const nsl_shape3 *in, int n)
{
  (void)in;
  return (size_t)n * units(node);
}

void nsl_dropout_mask(const nsl_node *node, int node_index, uint64_t seed, uint64_t key, uint32_t sample, float *mask)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_DROPOUT, key, (uint64_t)sample << 16 | (uint64_t)node_index);
  uint64_t limit = (uint64_t)((double)node->rate * 0x1p32), word = 0;
  float keep = 1.0f / (1.0f - node->rate);
  size_t n = units(node);
  for (size_t i = 0; i < n; i++) {
    word = i % 2 ? word >> 32 : nsl_rng_u64(&r);
    mask[i] = (word & 0xffffffffu) < limit ? 0.0f : keep;
  }
}

static void apply(const nsl_call *call, int i, const float *from, float *to)
{
  size_t n = units(call->node), size = nsl_shape_size(call->node->out), block = size / n;
  const float *mask = call->saved + (size_t)i * n;
  for (size_t u = 0; u < n; u++) {
    for (size_t k = 0; k < block; k++) { to[u * block + k] = from[u * block + k] * mask[u]; }
  }
}

static void forward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) {
    const float *from = call->in[0].data + (size_t)i * call->in[0].stride;
    float *to = call->out + (size_t)i * size;
    if (call->mode == NSL_MODE_EVAL) {
      memcpy(to, from, size * sizeof(float));
      continue;
    }
    uint64_t key = call->drop->key[call->sample_major ? 0 : i];
    uint32_t sample = call->drop->sample + (uint32_t)(call->sample_major ? i : 0);
    nsl_dropout_mask(call->node, call->node_index, call->drop->seed, key, sample, call->saved + (size_t)i * units(call->node));
    apply(call, i, from, to);
  }
}

static void backward(const nsl_call *call)
{
  size_t size = nsl_shape_size(call->node->out);
  for (int i = 0; i < call->n; i++) { apply(call, i, call->dout + (size_t)i * size, call->din[0] + (size_t)i * size); }
}

const nsl_op_impl nsl_op_dropout = {
    .word = "dropout", .inputs_min = 1, .inputs_max = 1, .infer = infer, .saved = saved, .forward = forward, .backward = backward};
