/* Batch normalisation (Ioffe & Szegedy 2015) with PyTorch's conventions: the biased variance normalises, the unbiased one goes
 * into the running variance; running = (1 - momentum) running + momentum batch. Saved: mean and 1/std of the batch, [c] each. */
#include <math.h>

#include "op.h"

enum { WEIGHT, BIAS, MEAN, VAR };

static nsl_status infer(const nsl_node *node, const nsl_shape3 *in, nsl_shape3 *out, nsl_error *err)
{
  if (!(node->eps > 0.0f) || node->rate < 0.0f || node->rate > 1.0f) {
    return nsl_fail(err, NSL_E_VALUE, "eps must be above 0 and rate (the momentum) in [0, 1]");
  }
  *out = in[0];
  return NSL_OK;
}

static int params(const nsl_node *node, const nsl_shape3 *in, nsl_param_spec *specs)
{
  (void)node;
  int c = in[0].c;
  specs[WEIGHT] = (nsl_param_spec){.suffix = "weight", .rank = 1, .dims = {c}, .init = NSL_INIT_VALUE, .amount = 1.0};
  specs[BIAS] = (nsl_param_spec){.suffix = "bias", .rank = 1, .dims = {c}, .init = NSL_INIT_VALUE};
  specs[MEAN] = (nsl_param_spec){.suffix = "mean", .rank = 1, .dims = {c}, .is_state = 1, .init = NSL_INIT_VALUE};
  specs[VAR] = (nsl_param_spec){.suffix = "var", .rank = 1, .dims = {c}, .is_state = 1, .init = NSL_INIT_VALUE, .amount = 1.0};
  return 4;
}

static size_t saved(const nsl_node *node, const nsl_shape3 *in, int n)
{
  (void)node, (void)n;
  return 2 * (size_t)in[0].c;
}

/* Mean and variance of channel c over the batch: two passes, so that a large mean costs no digits. */
static void batch_moments(const nsl_call *call, int c, size_t hw, double *mean, double *var)
{
  double count = (double)call->n * (double)hw, sum = 0.0, squares = 0.0;
  const float *x = call->in[0].data + (size_t)c * hw;
  for (int i = 0; i < call->n; i++) { sum += (double)call->kernels->sum(hw, x + (size_t)i * call->in[0].stride); }
  *mean = sum / count;
  for (int i = 0; i < call->n; i++) {
    squares += (double)call->kernels->sum_squares(hw, (float)*mean, x + (size_t)i * call->in[0].stride);
  }
  *var = squares / count;
}

static void update_running(const nsl_call *call, int c, double mean, double var, double count)
{
  float m = call->node->rate, *run_mean = &call->param[MEAN].value[c], *run_var = &call->param[VAR].value[c];
  double unbiased = count > 1.0 ? var * count / (count - 1.0) : var;
  *run_mean += m * ((float)mean - *run_mean);
  *run_var += m * ((float)unbiased - *run_var);
}

static void forward(const nsl_call *call)
{
  int n_c = call->in_shape[0].c;
  size_t hw = (size_t)call->in_shape[0].h * (size_t)call->in_shape[0].w, size = hw * (size_t)n_c;
  for (int c = 0; c < n_c; c++) {
    double mean = (double)call->param[MEAN].value[c], var = (double)call->param[VAR].value[c];
    if (call->mode == NSL_MODE_TRAIN) {
      batch_moments(call, c, hw, &mean, &var);
      update_running(call, c, mean, var, (double)call->n * (double)hw);
    }
    double inverse = 1.0 / sqrt(var + (double)call->node->eps), a = (double)call->param[WEIGHT].value[c] * inverse;
    if (call->mode == NSL_MODE_TRAIN) {
      call->saved[c] = (float)mean;
      call->saved[n_c + c] = (float)inverse;
    }
    float b = (float)((double)call->param[BIAS].value[c] - a * mean);
    for (int i = 0; i < call->n; i++) {
      const float *x = call->in[0].data + (size_t)i * call->in[0].stride + (size_t)c * hw;
      call->kernels->affine(hw, (float)a, b, x, call->out + (size_t)i * size + (size_t)c * hw);
    }
  }
}

static void backward(const nsl_call *call)
{
  int n_c = call->in_shape[0].c;
  size_t hw = (size_t)call->in_shape[0].h * (size_t)call->in_shape[0].w, size = hw * (size_t)n_c;
  double count = (double)call->n * (double)hw;
  for (int c = 0; c < n_c; c++) {
    float mean = call->saved[c];
    double inverse = (double)call->saved[n_c + c], s0 = 0.0, s1 = 0.0;
    for (int i = 0; i < call->n; i++) {
      size_t at = (size_t)i * size + (size_t)c * hw;
      float a, b;
      call->kernels->sum_pair(hw, mean, call->in[0].data + at, call->dout + at, &a, &b);
      s0 += (double)a;
      s1 += (double)b;
    }
    call->param[BIAS].grad[c] += (float)s0;
    call->param[WEIGHT].grad[c] += (float)(s1 * inverse);
    if (!call->din[0]) { continue; }
    /* dx = w/std (dy - mean(dy) - xhat mean(dy xhat)) as a dy + b x + shift */
    double a = (double)call->param[WEIGHT].value[c] * inverse, b = -a * inverse * inverse * s1 / count;
    float shift = (float)(-a * s0 / count - b * (double)mean);
    for (int i = 0; i < call->n; i++) {
      size_t at = (size_t)i * size + (size_t)c * hw;
      call->kernels->combine(hw, (float)a, call->dout + at, (float)b, call->in[0].data + at, shift, call->din[0] + at);
    }
  }
}

const nsl_op_impl nsl_op_batchnorm = {.word = "batchnorm",
                                      .inputs_min = 1,
                                      .inputs_max = 1,
                                      .is_affine = 1,
                                      .infer = infer,
                                      .params = params,
                                      .saved = saved,
                                      .forward = forward,
                                      .backward = backward};
