/* What every layer of a model makes of stamps, for a comparison with the same network elsewhere. Local. */
#ifndef NOSLIT_PIPE_MODEL_LAYERS_H
#define NOSLIT_PIPE_MODEL_LAYERS_H

#include "noslit/base/log.h"
#include "noslit/base/status.h"

typedef struct {
  const char *model, *out;
  const char *const *stamps;
  size_t n_stamps; /* files */
  int count;       /* the first so many stamps */
} nsl_layers_job;

/* Dropout is off. Writes HDF5: /layers/<node> float32 [count][c][h][w] for every node, the inputs included, as the plain network
 * computes them, and /output [count][size] as the inference network (with its fused steps) does. */
nsl_status nsl_model_layers(const nsl_layers_job *job, const nsl_log *log, nsl_error *err);

#endif
