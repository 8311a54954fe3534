/* Losses and their gradients; means over the batch. Local. */
#ifndef NOSLIT_NN_LOSS_H
#define NOSLIT_NN_LOSS_H

#include <stddef.h>

void nsl_softmax(int n, int k, const float *logits, float *prob); /* row by row; prob may be logits */
/* -mean_i sum_b target[i][b] log softmax(logits)[i][b]; dlogits [n][k] if not NULL. */
double nsl_loss_cross_entropy(int n, int k, const float *logits, const float *target, float *dlogits);
/* 0.5 (logvar + exp(-logvar)(t - mu)^2), out[i] = {mu, logvar}, logvar clamped to [-10, 10] (Kendall & Gal 2017). */
double nsl_loss_gaussian_nll(int n, const float *out, const float *target, float *dout);
/* 0.5 (t - mu)^2 of the same out: a first stage of training that leaves logvar alone. */
double nsl_loss_squared(int n, const float *out, const float *target, float *dout);

#endif
