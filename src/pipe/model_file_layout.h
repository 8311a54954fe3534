/* Private to model_file_*.c: what a model file holds (docs/formats.md).
 *
 * Root attributes: format, version, head, input, flux_scale0/1, contamination_k, pdf_n, pdf_u0, pdf_du, temperature, the bands,
 * content_hash. Datasets: graph and card (UTF-8 text as bytes), weights/<parameter> (float32); of a calibrated
 * model calibration/<part> (float64). */
#ifndef NOSLIT_PIPE_MODEL_FILE_LAYOUT_H
#define NOSLIT_PIPE_MODEL_FILE_LAYOUT_H

#include "noslit/io/h5.h"
#include "noslit/pipe/model_file.h"

#define NSL_MODEL_FORMAT "noslit-model"
#define NSL_MODEL_VERSION 2 /* 1 had no calibration; it is still read */

extern const char *const nsl_head_words[2];  /* by nsl_head */
extern const char *const nsl_input_words[2]; /* by nsl_input_kind */

/* The numbers of a calibration, by their name in /calibration. */
typedef struct {
  const char *name;
  size_t n, offset; /* in nsl_calibration */
} nsl_calibration_part;
#define NSL_CALIBRATION_PARTS 4
extern const nsl_calibration_part nsl_calibration_parts[NSL_CALIBRATION_PARTS];

/* Hash of graph, normalisation, grids, calibration and weights; not of the card. NSL_E_NOMEM only. */
nsl_status nsl_model_content_hash(const nsl_model *model, nsl_net *net, nsl_hash *out, nsl_error *err);
/* Tensors of /weights into the net: exactly those that it has, each of its shape. */
nsl_status nsl_model_read_weights(nsl_h5 *f, nsl_net *net, nsl_error *err);
/* Numbers in range, and the graph takes the inputs and gives the output that head, grid and stamp call for. */
nsl_status nsl_model_check(const nsl_model *model, nsl_error *err);

#endif
