/* Model files (HDF5, design section 6): graph, weights, how inputs are made from a stamp, PDF grid, calibration, training
 * provenance and metrics. Self-describing, versioned, readable with h5py. docs/formats.md has the layout. Local. */
#ifndef NOSLIT_PIPE_MODEL_FILE_H
#define NOSLIT_PIPE_MODEL_FILE_H

#include "noslit/base/hash.h"
#include "noslit/model/calibration.h"
#include "noslit/model/instrument.h"
#include "noslit/model/pdf.h"
#include "noslit/nn/net.h"

typedef enum { NSL_HEAD_BINS, NSL_HEAD_GAUSSIAN } nsl_head;              /* logits over the PDF grid, or {mean z, logvar} */
typedef enum { NSL_INPUT_WEIGHTED, NSL_INPUT_ELECTRONS } nsl_input_kind; /* x, v, aux -- or electrons as the paper */

typedef struct {
  nsl_graph graph;
  nsl_head head;
  nsl_input_kind input;
  double flux_scale[2];   /* electrons per unit of x, per band */
  double contamination_k; /* weight v = 1 / (1 + (k c / sigma)^2) of expected neighbours' light c */
  nsl_pdf_grid grid;
  double temperature; /* logits are divided by it */
  nsl_calibration calibration;
  nsl_band band[2]; /* canonical grids the weights belong to */
  nsl_hash hash;    /* content hash of the file's meaning (graph, weights, normalisation, grid, calibration) */
  char *card;       /* training provenance and metrics as JSON text */
} nsl_model;

nsl_status nsl_model_write(const char *path, const nsl_model *model, nsl_net *net, nsl_error *err);
/* *net gets memory for max_batch. Wrong version, missing tensors, other shapes, a wrong hash: one clear line each. */
nsl_status nsl_model_read(const char *path, int max_batch, int trainable, nsl_model *model, nsl_net **net, nsl_error *err);
/* The same of a file without a content hash, as tools/torch_to_model.py writes it. */
nsl_status nsl_model_read_unsealed(const char *path, nsl_model *model, nsl_net **net, nsl_error *err);
void nsl_model_free(nsl_model *model);
/* Do the model's canonical grids belong to this instrument? NSL_E_MISMATCH says which differs. */
nsl_status nsl_model_fits_instrument(const nsl_model *model, const nsl_instrument *inst, const char *model_path, nsl_error *err);

#endif
