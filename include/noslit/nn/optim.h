/* AdamW (Loshchilov & Hutter 2019) and learning-rate schedules. Local: gradients must already be summed over ranks. */
#ifndef NOSLIT_NN_OPTIM_H
#define NOSLIT_NN_OPTIM_H

#include <stdint.h>

#include "noslit/nn/net.h"

typedef struct nsl_adamw nsl_adamw;

typedef struct {
  double beta1, beta2, eps, weight_decay; /* decay applies to tensors of rank > 1 only */
  double clip_norm;                       /* global gradient norm limit; 0 for none */
} nsl_adamw_options;

nsl_status nsl_adamw_new(nsl_net *net, const nsl_adamw_options *options, nsl_adamw **out, nsl_error *err);
void nsl_adamw_free(nsl_adamw *opt);
/* One step with the net's grads. A gradient that is not finite leaves the weights alone and is NSL_E_NUMERIC. *norm: before
 * clipping. */
nsl_status nsl_adamw_step(nsl_adamw *opt, double lr, double *norm, nsl_error *err);
/* First and second moments as flat arrays in parameter order, for checkpoints; step count by reference. */
size_t nsl_adamw_state_size(const nsl_adamw *opt);
float *nsl_adamw_moment(nsl_adamw *opt, int which);
int64_t *nsl_adamw_step_count(nsl_adamw *opt);

/* Cosine from lr_max to lr_min after a linear warm-up over warm_up_fraction of total steps. */
double nsl_schedule_cosine(int64_t step, int64_t total, double warm_up_fraction, double lr_max, double lr_min);

#endif
