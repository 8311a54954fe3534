#include <string.h>

#include "pipe/train_internal.h"

size_t nsl_vector_size(nsl_net *net)
{
  size_t n = 0;
  for (int i = 0; i < nsl_net_n_params(net); i++) { n += nsl_net_param(net, i)->n; }
  return n;
}

void nsl_vector_get_values(nsl_net *net, float *out)
{
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    memcpy(out, p->value, p->n * sizeof *out);
    out += p->n;
  }
}

void nsl_vector_set_values(nsl_net *net, const float *values)
{
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    memcpy(p->value, values, p->n * sizeof *values);
    values += p->n;
  }
  nsl_net_weights_changed(net);
}

void nsl_vector_get_step(nsl_net *net, float *out)
{
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    memcpy(out, p->is_state ? p->value : p->grad, p->n * sizeof *out);
    out += p->n;
  }
}

void nsl_vector_set_step(nsl_net *net, const float *vector, float scale, int with_states)
{
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    float *to = p->is_state ? p->value : p->grad;
    for (size_t j = 0; j < p->n && (with_states || !p->is_state); j++) { to[j] = scale * vector[j]; }
    vector += p->n;
  }
}

void nsl_vector_set_states(nsl_net *net, const float *values)
{
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    nsl_param *p = nsl_net_param(net, i);
    if (p->is_state) { memcpy(p->value, values, p->n * sizeof *values); }
    values += p->n;
  }
}
