/* The built-in networks as graphs. Local. */
#ifndef NOSLIT_NN_ARCHITECTURES_H
#define NOSLIT_NN_ARCHITECTURES_H

#include "noslit/nn/graph.h"

/* "eq": learned extraction, resampling to a joint ln(lambda) grid, 1D residual trunk, translation-equivariant correlation
 * head over ln(1+z) (docs/accuracy.md). Inputs: "x" [2][ny][nx] normalised flux, "v" [2][ny][nx] weights in 0..1,
 * "aux" [n_aux] facts about the source (shape). Output: [1][1][n_bins] logits. */
typedef struct {
  int ny, nx, n_aux;
  double lambda0_a[2], dlambda_a[2]; /* canonical grids of the bands: lambda of column i is lambda0 + dlambda i */
  double ln_lambda_min, ln_lambda_step;
  int n_lambda;                         /* multiple of 2 */
  int n_bins;                           /* PDF bins, uniform in ln(1+z) */
  double u0, du;                        /* first edge and width */
  int channels, head_channels, kernels; /* 24, 12, 4 */
  int phases;                           /* logits a coarse step of the correlation: 4 */
  int tail_channels;                    /* channels that dropout acts on, before the last linear layer */
  double dropout;                       /* rate, whole channels */
} nsl_eq_options;

void nsl_eq_defaults(nsl_eq_options *o);
nsl_status nsl_graph_eq(const nsl_eq_options *o, nsl_graph *out, nsl_error *err);

/* The paper's network (arXiv:2605.16762; facts A1.6): ResNet-34 on "x" [2][ny][nx] electrons, global average pooling,
 * 512-256-128 GELU with dropout, output {mean, logvar}. base_width 64 is the paper's. */
nsl_status nsl_graph_resnet34(int ny, int nx, int base_width, double dropout, nsl_graph *out, nsl_error *err);

#endif
