/* From stamps to redshift PDFs with a trained network and Monte Carlo dropout. Local. */
#ifndef NOSLIT_PIPE_INFER_H
#define NOSLIT_PIPE_INFER_H

#include "noslit/model/rows.h"
#include "noslit/model/stamp.h"
#include "noslit/pipe/model_file.h"

typedef struct nsl_infer nsl_infer;

/* Loads the model. n_samples dropout samples, batches of at most max_batch stamps, dropout masks from seed and source id. */
nsl_status nsl_infer_new(const char *model_path, const nsl_instrument *inst, int n_samples, int max_batch, uint64_t seed,
                         nsl_infer **out, nsl_error *err);
void nsl_infer_free(nsl_infer *inf);
const nsl_model *nsl_infer_model(const nsl_infer *inf);

/* Fills PDF, redshift columns, sigmas, mutual information, odds and n_samples of rows [first, first + set->n) from the stamps
 * (and, from the stamps' facts: snr, n_exp, coverage, contamination, flags). Stamps flagged NO_PDF keep zero PDFs and NaN. */
nsl_status nsl_infer_run(nsl_infer *inf, const nsl_stamp_set *set, nsl_rows *rows, size_t first, nsl_error *err);

/* Inputs of the network from stamps, shared with training: x, v [n][2][40][480], aux [n][NSL_AUX]. v may be NULL for ELECTRONS. */
#define NSL_AUX 8
void nsl_infer_inputs(const nsl_model *model, const nsl_stamp *stamp, float *x, float *v, float *aux);

#endif
