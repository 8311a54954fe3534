/* The network "eq", layer by layer (defaults in brackets; [c][w] shapes):
 *
 *  1. Profile. Row means of x v (times 4, then asinh) and of v, both bands, with aux: [168] -> dense 96, GELU: the hidden facts.
 *  2. Row weights. dense 96 -> 2 bands x 4 sets x 40 rows. The biases begin as Gaussians of 2.5 and 5 px and as odd Gaussians of 4
 *     and 9 px, the weights at 0.3 of the usual: training begins from sensible extractions. Odd sets measure how the spectrum
 *     moves with y: for a tilted source their sum with a derivative (a convolution makes it) undoes the tilt.
 *  3. Extraction. flux [8][480] = sum q v x / sqrt(sum q^2 v + 0.01), asinh(flux / 3); coverage [8][480] = sum q^2 v.
 *  4. Joint grid. Each band's channels are interpolated to 624 points uniform in ln(lambda); a mask a band says where it is.
 *  5. Trunk. conv 9 taps, stride 2 -> [32][312]; plus a bias per channel from the hidden facts (the source's size broadens lines);
 *     3 pre-activation residual blocks of 5 taps, dilations 1, 2, 4; GELU; 1x1 -> 12; GELU.
 *  6. Redshift. Correlation with rest-frame kernels, [12][312] -> [8][305]: a step in j is a shift of two grid points in
 *     ln(lambda), so of 2 x step in ln(1+z).
 *  7. Head. 2 residual blocks of 5 taps on the 8 channels, GELU, 1x1 -> 32, GELU. All that is costly or nonlinear ends here.
 *  8. Dropout of whole channels (the only one), then what is linear in the kept channels: 1x1 -> 4, interleave -> 1220 steps of
 * half a grid step in ln(1+z), interpolation to the centres of the bins, plus a learned bias per bin (the n(z) of training).
 *
 * The channels of the last 1x1 convolution stand a quarter of a coarse step apart: logits that are straight lines between nodes as
 * far apart as the grid's could not follow the PDF of a bright source, which is narrower than a grid step. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "builder.h"
#include "noslit/nn/architectures.h"

enum { BANDS = 2, HIDDEN = 96, PLANES = 8 /* correlation outputs */, TAPS = 5 };

void nsl_eq_defaults(nsl_eq_options *o)
{
  *o = (nsl_eq_options){.ny = 40,
                        .nx = 480,
                        .n_aux = 8,
                        .lambda0_a = {5200.0 - 239.5 * 7.12, 8300.0 - 239.5 * 8.53},
                        .dlambda_a = {7.12, 8.53},
                        .ln_lambda_min = log(3830.0),
                        .ln_lambda_step = 0.00158,
                        .n_lambda = 624,
                        .n_bins = 640,
                        .u0 = 0.010,
                        .du = 0.0015,
                        .channels = 32,
                        .head_channels = 12,
                        .kernels = 4,
                        .tail_channels = 32,
                        .phases = 4,
                        .dropout = 0.1};
}

static nsl_status check_options(const nsl_eq_options *o, nsl_error *err)
{
  if (o->ny < 1 || o->nx < 2 || o->n_aux < 1 || o->n_bins < 1 || o->channels < 1 || o->head_channels < 1 || o->kernels < 1 ||
      o->tail_channels < 1 || o->phases < 1) {
    return nsl_fail(err, NSL_E_VALUE, "network eq: every size must be at least 1");
  }
  if (o->n_lambda < 2 || o->n_lambda % 2 != 0) {
    return nsl_fail(err, NSL_E_VALUE, "network eq: n_lambda must be even, not %d", o->n_lambda);
  }
  if (!(o->ln_lambda_step > 0.0) || !(o->du > 0.0) || !(o->dlambda_a[0] > 0.0) || !(o->dlambda_a[1] > 0.0)) {
    return nsl_fail(err, NSL_E_VALUE, "network eq: ln_lambda_step, du and dlambda must be above 0");
  }
  return NSL_OK;
}

static int given(nsl_builder *b, const char *name, nsl_node node, float *constant, int n)
{
  node.n_const = n;
  node.constant = constant; /* copied by nsl_graph_add */
  return nsl_build(b, name, node);
}

/* The first row-weight sets; more than four begin at zero. */
static void row_weight_bias(const nsl_eq_options *o, float *bias)
{
  static const struct {
    double sigma;
    int odd;
  } shape[] = {{2.5, 0}, {5.0, 0}, {4.0, 1}, {9.0, 1}};
  for (int i = 0; i < BANDS * o->kernels * o->ny; i++) {
    int set = i / o->ny % o->kernels;
    double y = (double)(i % o->ny) - 0.5 * (o->ny - 1);
    if (set >= 4) {
      bias[i] = 0.0f;
      continue;
    }
    double t = y / shape[set].sigma;
    bias[i] = (float)(exp(-0.5 * t * t) * (shape[set].odd ? t : 1.0));
  }
}

/* Columns of the bands at the points of the joint grid. */
static void band_positions(const nsl_eq_options *o, float *positions, float *mask)
{
  for (int i = 0; i < BANDS * o->n_lambda; i++) {
    int band = i / o->n_lambda, k = i % o->n_lambda;
    double p = (exp(o->ln_lambda_min + o->ln_lambda_step * k) - o->lambda0_a[band]) / o->dlambda_a[band];
    positions[i] = (float)p;
    mask[i] = p >= 0.0 && p <= (double)(o->nx - 1) ? 1.0f : 0.0f;
  }
}

static int coarse_redshifts(const nsl_eq_options *o) { return (int)ceil(o->n_bins * o->du / (2.0 * o->ln_lambda_step)) + 1; }

static void bin_positions(const nsl_eq_options *o, float *positions)
{
  for (int i = 0; i < o->n_bins; i++) { positions[i] = (float)((i + 0.5) * o->du / o->ln_lambda_step * (0.5 * o->phases)); }
}

/* Layers 1: the hidden facts. */
static int hidden_facts(nsl_builder *b, const nsl_eq_options *o, int x, int v, int aux)
{
  int rows = BANDS * o->ny;
  int p = nsl_build(b, "profile_mean", (nsl_node){.op = NSL_OP_ROWMEAN, .n_in = 2, .in = {x, v}, .scale = 4.0f});
  p = nsl_build1(b, "profile_asinh", NSL_OP_ASINH, p);
  p = nsl_build(b, "profile", (nsl_node){.op = NSL_OP_RESHAPE, .n_in = 1, .in = {p}, .out = {rows, 1, 1}});
  int w = nsl_build1(b, "weight_mean", NSL_OP_ROWMEAN, v);
  w = nsl_build(b, "row_coverage", (nsl_node){.op = NSL_OP_RESHAPE, .n_in = 1, .in = {w}, .out = {rows, 1, 1}});
  int facts = nsl_build_concat(b, "facts", 3, (int[]){p, w, aux});
  return nsl_build1(b, "hidden", NSL_OP_GELU, nsl_build_dense(b, "hidden_dense", facts, HIDDEN));
}

/* Layers 2 to 4: channels on the joint grid; positions and mask [2][n_lambda]. */
static int joint_grid(nsl_builder *b, const nsl_eq_options *o, int x, int v, int hidden, float *bias, float *positions, float *mask)
{
  int n_weights = BANDS * o->kernels * o->ny, n_flux = BANDS * o->kernels, n_positions = BANDS * o->n_lambda;
  nsl_node dense = {.op = NSL_OP_DENSE, .n_in = 1, .in = {hidden}, .c_out = n_weights, .has_bias = 1, .scale = 0.3f};
  int q = given(b, "row_weights", dense, bias, n_weights);
  int e = nsl_build(b, "extract", (nsl_node){.op = NSL_OP_EXTRACT, .n_in = 3, .in = {x, v, q}});
  int flux = nsl_build(b, "flux", (nsl_node){.op = NSL_OP_SLICE, .n_in = 1, .in = {e}, .c_out = n_flux});
  flux = nsl_build(b, "flux_asinh", (nsl_node){.op = NSL_OP_ASINH, .n_in = 1, .in = {flux}, .scale = 1.0f / 3.0f});
  int coverage = nsl_build(b, "coverage", (nsl_node){.op = NSL_OP_SLICE, .n_in = 1, .in = {e}, .first = n_flux, .c_out = n_flux});
  nsl_node resample = {.op = NSL_OP_RESAMPLE, .n_in = 1, .n_out = o->n_lambda, .in = {flux}};
  flux = given(b, "flux_grid", resample, positions, n_positions);
  resample.in[0] = coverage;
  coverage = given(b, "coverage_grid", resample, positions, n_positions);
  int bands = given(b, "band_mask", (nsl_node){.op = NSL_OP_CONSTANT, .out = {BANDS, 1, o->n_lambda}}, mask, n_positions);
  return nsl_build_concat(b, "grid", 3, (int[]){flux, coverage, bands});
}

/* Layer 5. */
static int trunk(nsl_builder *b, const nsl_eq_options *o, int grid, int hidden, float *zeros)
{
  int half = o->n_lambda / 2;
  int x = nsl_build_conv1d(b, "stem", grid, o->channels, 9, 2, 1);
  int facts = nsl_build_dense(b, "stem_facts", hidden, o->channels);
  nsl_node spread = {.op = NSL_OP_RESAMPLE, .n_in = 1, .in = {facts}, .n_out = half};
  x = nsl_build_add(b, "stem_add", x, given(b, "stem_spread", spread, zeros, half));
  x = nsl_build_residual1d(b, "trunk1", x, o->channels, TAPS, 1);
  x = nsl_build_residual1d(b, "trunk2", x, o->channels, TAPS, 2);
  x = nsl_build_residual1d(b, "trunk3", x, o->channels, TAPS, 4);
  x = nsl_build_conv1d(b, "reduce", nsl_build1(b, "trunk_gelu", NSL_OP_GELU, x), o->head_channels, 1, 1, 1);
  return nsl_build1(b, "features", NSL_OP_GELU, x);
}

/* Layers 6 to 8. */
static void head(nsl_builder *b, const nsl_eq_options *o, int features, float *bins)
{
  nsl_node correlate = {.op = NSL_OP_CORRELATE, .n_in = 1, .in = {features}, .c_out = PLANES, .n_out = coarse_redshifts(o)};
  int x = nsl_build(b, "correlate", correlate);
  x = nsl_build_residual1d(b, "head1", x, PLANES, TAPS, 1);
  x = nsl_build_residual1d(b, "head2", x, PLANES, TAPS, 1);
  x = nsl_build_conv1d(b, "tail", nsl_build1(b, "head_gelu", NSL_OP_GELU, x), o->tail_channels, 1, 1, 1);
  x = nsl_build1(b, "tail_gelu", NSL_OP_GELU, x);
  x = nsl_build(b, "dropout", (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {x}, .channel = 1, .rate = (float)o->dropout});
  x = nsl_build1(b, "interleave", NSL_OP_INTERLEAVE, nsl_build_conv1d(b, "logits", x, o->phases, 1, 1, 1));
  x = given(b, "bins", (nsl_node){.op = NSL_OP_RESAMPLE, .n_in = 1, .in = {x}, .n_out = o->n_bins}, bins, o->n_bins);
  nsl_build1(b, "prior", NSL_OP_BIAS, x);
}

nsl_status nsl_graph_eq(const nsl_eq_options *o, nsl_graph *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_builder b = {.err = err};
  float *bias = NULL, *positions = NULL, *mask = NULL, *bins = NULL;
  NSL_TRY(check_options(o, err));
  size_t n_grid = (size_t)BANDS * (size_t)o->n_lambda;
  bias = calloc((size_t)BANDS * (size_t)o->kernels * (size_t)o->ny, sizeof *bias);
  positions = calloc(n_grid, sizeof *positions);
  mask = calloc(n_grid, sizeof *mask);
  bins = calloc((size_t)(o->n_bins > o->n_lambda ? o->n_bins : o->n_lambda), sizeof *bins);
  if (!bias || !positions || !mask || !bins) { NSL_THROW(err, NSL_E_NOMEM, "network eq: out of memory"); }
  row_weight_bias(o, bias);
  band_positions(o, positions, mask);
  int x = nsl_build_input(&b, "x", BANDS, o->ny, o->nx), v = nsl_build_input(&b, "v", BANDS, o->ny, o->nx);
  int aux = nsl_build_input(&b, "aux", o->n_aux, 1, 1);
  int hidden = hidden_facts(&b, o, x, v, aux);
  int grid = joint_grid(&b, o, x, v, hidden, bias, positions, mask);
  int features = trunk(&b, o, grid, hidden, bins); /* bins is still all zero: the positions of a broadcast */
  bin_positions(o, bins);
  head(&b, o, features, bins);
  st = nsl_build_end(&b, out);
cleanup:
  free(bias);
  free(positions);
  free(mask);
  free(bins);
  return st;
}
