#include <math.h>
#include <stdlib.h>

#include "noslit/nn/optim.h"

struct nsl_adamw {
  nsl_net *net;
  nsl_adamw_options options;
  size_t n; /* of all optimised tensors together */
  float *moment[2];
  int64_t step;
};

nsl_status nsl_adamw_new(nsl_net *net, const nsl_adamw_options *options, nsl_adamw **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_adamw *opt = calloc(1, sizeof *opt);
  if (!opt) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for the optimiser"); }
  opt->net = net;
  opt->options = *options;
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    if (!p->is_state && !p->grad) { NSL_THROW(err, NSL_E_BUG, "an inference-only net cannot be optimised"); }
    opt->n += p->is_state ? 0 : p->n;
  }
  for (int k = 0; k < 2; k++) {
    opt->moment[k] = calloc(opt->n + 1, sizeof(float));
    if (!opt->moment[k]) { NSL_THROW(err, NSL_E_NOMEM, "out of memory for the moments of %zu weights", opt->n); }
  }
  *out = opt;
  opt = NULL;
cleanup:
  nsl_adamw_free(opt);
  return st;
}

void nsl_adamw_free(nsl_adamw *opt)
{
  if (!opt) { return; }
  free(opt->moment[0]);
  free(opt->moment[1]);
  free(opt);
}

size_t nsl_adamw_state_size(const nsl_adamw *opt) { return opt->n; }
float *nsl_adamw_moment(nsl_adamw *opt, int which) { return opt->moment[which]; }
int64_t *nsl_adamw_step_count(nsl_adamw *opt) { return &opt->step; }

static double gradient_norm(nsl_net *net)
{
  double sum = 0.0;
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    for (size_t k = 0; k < p->n && !p->is_state; k++) { sum += (double)p->grad[k] * (double)p->grad[k]; }
  }
  return sqrt(sum);
}

/* m, v, then w <- w (1 - lr decay) - lr mhat / (sqrt(vhat) + eps). */
static void update(const nsl_adamw *opt, nsl_param *p, float *m, float *v, double lr, float clip)
{
  const nsl_adamw_options *o = &opt->options;
  double bias1 = 1.0 - pow(o->beta1, (double)opt->step), bias2 = 1.0 - pow(o->beta2, (double)opt->step);
  float b1 = (float)o->beta1, b2 = (float)o->beta2, keep = (float)(p->rank > 1 ? 1.0 - lr * o->weight_decay : 1.0);
  float c1 = (float)(1.0 - o->beta1), c2 = (float)(1.0 - o->beta2); /* 1 - 0.999f would lose five digits */
  float rate = (float)(lr / bias1), root = (float)(1.0 / sqrt(bias2)), eps = (float)o->eps;
  for (size_t k = 0; k < p->n; k++) {
    float g = p->grad[k] * clip;
    m[k] = b1 * m[k] + c1 * g;
    v[k] = b2 * v[k] + c2 * g * g;
    p->value[k] = p->value[k] * keep - rate * m[k] / (sqrtf(v[k]) * root + eps);
  }
}

nsl_status nsl_adamw_step(nsl_adamw *opt, double lr, double *norm, nsl_error *err)
{
  double size = gradient_norm(opt->net);
  *norm = size;
  if (!isfinite(size)) {
    return nsl_fail(err, NSL_E_NUMERIC,
                    "the gradient is not finite at step %lld (the weights are as before); lower the learning rate",
                    (long long)opt->step + 1);
  }
  float clip = opt->options.clip_norm > 0.0 && size > opt->options.clip_norm ? (float)(opt->options.clip_norm / size) : 1.0f;
  opt->step++;
  size_t at = 0;
  for (int i = 0; i < nsl_net_n_params(opt->net); i++) {
    nsl_param *p = nsl_net_param(opt->net, i);
    if (p->is_state) { continue; }
    update(opt, p, opt->moment[0] + at, opt->moment[1] + at, lr, clip);
    at += p->n;
  }
  nsl_net_weights_changed(opt->net);
  return NSL_OK;
}

double nsl_schedule_cosine(int64_t step, int64_t total, double warm_up_fraction, double lr_max, double lr_min)
{
  double t = (double)step, warm_up = warm_up_fraction * (double)total;
  if (t < warm_up) { return lr_min + (lr_max - lr_min) * t / warm_up; }
  double rest = (double)total - warm_up, done = rest > 0.0 ? (t - warm_up) / rest : 1.0;
  if (done > 1.0) { done = 1.0; }
  return lr_min + 0.5 * (lr_max - lr_min) * (1.0 + cos(M_PI * done));
}
