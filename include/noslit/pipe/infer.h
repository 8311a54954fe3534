/* From stamps to redshift PDFs with a trained network and Monte Carlo dropout. Local. */
#ifndef NOSLIT_PIPE_INFER_H
#define NOSLIT_PIPE_INFER_H

#include "noslit/model/rows.h"
#include "noslit/model/stamp.h"
#include "noslit/pipe/model_file.h"

typedef struct nsl_infer nsl_infer;

/* Loads the model. n_samples dropout samples, batches of at most max_batch stamps, dropout masks from seed and source id.
 * inst NULL: the stamps' grids are for the caller to compare. */
nsl_status nsl_infer_new(const char *model_path, const nsl_instrument *inst, int n_samples, int max_batch, uint64_t seed,
                         nsl_infer **out, nsl_error *err);
void nsl_infer_free(nsl_infer *inf);
const nsl_model *nsl_infer_model(const nsl_infer *inf);
/* From here on a source gets samples, 32 at a time, only until the error of its mean PDF (nats, see mc_error in docs/formats.md) is
 * below this, n_samples at most. 0, as at first: always n_samples. */
void nsl_infer_stop_at(nsl_infer *inf, double mc_error);
/* From here on PDFs are as the network gives them. */
void nsl_infer_uncalibrated(nsl_infer *inf);

/* Fills PDF, redshift columns, sigmas, mutual information, odds and n_samples of rows [first, first + set->n) from the stamps
 * (and, from the stamps' facts: snr, n_exp, coverage, contamination, flags). Stamps flagged NO_PDF keep zero PDFs and NaN. */
nsl_status nsl_infer_run(nsl_infer *inf, const nsl_stamp_set *set, nsl_rows *rows, size_t first, nsl_error *err);

/* What a stamp tells without a network: SNR, exposures, coverage, contamination, flags of row i. */
void nsl_infer_stamp_facts(const nsl_stamp *s, nsl_rows *rows, size_t i);
/* What a calibration is told of row i. */
nsl_calibration_facts nsl_infer_facts(const nsl_rows *rows, size_t i);

/* Inputs of the network from one stamp, shared with training: x, v [2][40][480], aux [NSL_AUX]. v may be NULL for ELECTRONS.
 * WEIGHTED: x = (flux - contamination) / flux_scale, v = depth / (1 + (k contamination / sigma)^2), both 0 where there is no data;
 * depth = flux_scale^2 over the band's background variance (1 for the stamps the scale was measured on, less for fewer exposures'
 * noisier ones); rows are moved by whole pixels so that the source's tilt (nsl_stamp_band_info) is undone;
 * ELECTRONS: x = flux / flux_scale, v = 1 where there is data. aux: ln(re / 4 px), q, e cos 2 pa, e sin 2 pa (e = (1-q)/(1+q), pa
 * from the dispersion axis), n / 4, exposures / 4 of either band, contamination; each bounded and finite. */
#define NSL_AUX 8
void nsl_infer_inputs(const nsl_model *model, const nsl_stamp *stamp, float *x, float *v, float *aux);
/* The order in which the network wants them: inputs[k] for its k-th INPUT node, by name. */
void nsl_model_inputs(const nsl_model *model, const float *x, const float *v, const float *aux, const float *inputs[3]);

#endif
