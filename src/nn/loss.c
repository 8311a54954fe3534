#include "noslit/nn/loss.h"

#include <math.h>

#include "kernels/kernels.h"

static float largest(const float *x, int n)
{
  float most = x[0];
  for (int i = 1; i < n; i++) { most = x[i] > most ? x[i] : most; }
  return most;
}

void nsl_softmax(int n, int k, const float *logits, float *prob)
{
  const nsl_kernels *kernels = nsl_kernels_best();
  for (int i = 0; i < n; i++, logits += k, prob += k) {
    float sum = kernels->exp_sum((size_t)k, largest(logits, k), logits, prob);
    kernels->affine((size_t)k, 1.0f / sum, 0.0f, prob, prob);
  }
}

double nsl_loss_cross_entropy(int n, int k, const float *logits, const float *target, float *dlogits)
{
  double loss = 0.0;
  for (int i = 0; i < n; i++, logits += k, target += k) {
    double top = (double)largest(logits, k), sum = 0.0, weight = 0.0, cross = 0.0;
    for (int j = 0; j < k; j++) {
      sum += exp((double)logits[j] - top);
      weight += (double)target[j];
      cross += (double)target[j] * ((double)logits[j] - top);
    }
    loss += weight * log(sum) - cross;
    for (int j = 0; j < k && dlogits; j++) {
      double p = exp((double)logits[j] - top) / sum;
      dlogits[(size_t)i * (size_t)k + (size_t)j] = (float)((weight * p - (double)target[j]) / n);
    }
  }
  return n > 0 ? loss / n : 0.0;
}

double nsl_loss_gaussian_nll(int n, const float *out, const float *target, float *dout)
{
  double loss = 0.0;
  for (int i = 0; i < n; i++) {
    double mu = (double)out[2 * i], raw = (double)out[2 * i + 1], d = (double)target[i] - mu;
    double logvar = raw < -10.0 ? -10.0 : (raw > 10.0 ? 10.0 : raw), precision = exp(-logvar);
    loss += 0.5 * (logvar + precision * d * d);
    if (dout) {
      dout[2 * i] = (float)(-precision * d / n);
      dout[2 * i + 1] = raw == logvar ? (float)(0.5 * (1.0 - precision * d * d) / n) : 0.0f;
    }
  }
  return n > 0 ? loss / n : 0.0;
}

double nsl_loss_squared(int n, const float *out, const float *target, float *dout)
{
  double loss = 0.0;
  for (int i = 0; i < n; i++) {
    double d = (double)target[i] - (double)out[2 * i];
    loss += 0.5 * d * d;
    if (dout) {
      dout[2 * i] = (float)(-d / n);
      dout[2 * i + 1] = 0.0f;
    }
  }
  return n > 0 ? loss / n : 0.0;
}
