/* Models from elsewhere. Local. */
#ifndef NOSLIT_PIPE_MODEL_IMPORT_H
#define NOSLIT_PIPE_MODEL_IMPORT_H

#include "noslit/pipe/model_file.h"

typedef struct {
  const char *staged;         /* HDF5 of tools/torch_to_model.py: /weights/<noslit's name>; of an exported model its graph and
                               * attributes as well */
  const char *source, *out;   /* what it was made from, for messages and the card; the model file to write */
  const nsl_instrument *inst; /* whose canonical grids the weights belong to; NULL: the file says it */
  int bins;                   /* PDF bins for a network without a grid of its own */
  double dropout;             /* rate, likewise */
} nsl_model_import_job;

/* A file without a graph holds the paper's network, ResNet-34 of any width: mean and ln variance of z from electrons. Tensors that
 * are missing, too many or of another shape are named. */
nsl_status nsl_model_import(const nsl_model_import_job *job, nsl_error *err);

#endif
