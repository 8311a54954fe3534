/* Initial weights: every tensor from a random stream of its own, named by seed and the hash of its name, so that adding a node
 * leaves the others' start alone. */
#include <string.h>

#include "net_internal.h"
#include "noslit/base/hash.h"
#include "noslit/base/rng.h"

static void fill(nsl_param *p, const nsl_param_spec *spec, uint64_t seed)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_INIT, nsl_hash_bytes(p->name, strlen(p->name)).lo, 0);
  if (spec->init == NSL_INIT_NORMAL) { nsl_rng_normals_f32(&r, p->value, p->n); }
  for (size_t i = 0; i < p->n; i++) {
    switch (spec->init) {
    case NSL_INIT_UNIFORM:
      p->value[i] = (float)nsl_rng_range(&r, -spec->amount, spec->amount);
      break;
    case NSL_INIT_NORMAL:
      p->value[i] *= (float)spec->amount;
      break;
    case NSL_INIT_VALUE:
      p->value[i] = (float)spec->amount;
      break;
    case NSL_INIT_COPY:
      p->value[i] = spec->values[i];
      break;
    }
  }
}

void nsl_net_initialise(nsl_net *net, uint64_t seed)
{
  for (int i = 0; i < net->graph.n; i++) {
    nsl_node_state *s = &net->states[i];
    nsl_param_spec specs[NSL_OP_PARAMS_MAX];
    int n = s->impl->params ? s->impl->params(&net->graph.nodes[i], s->in_shape, specs) : 0;
    for (int k = 0; k < n; k++) { fill(&net->params[s->first_param + k], &specs[k], seed); }
  }
}
