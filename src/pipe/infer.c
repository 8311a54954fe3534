#include "noslit/pipe/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/memory.h"
#include "noslit/model/flags.h"
#include "pipe/infer_samples.h"

#define LOW_SNR 1.0f
#define PIECE 32 /* samples between two looks at the error; fewer than a dozen say less than none (prototype, second round) */
#define EXPONENT 0x7f800000u /* all bits set: infinity or NaN */

struct nsl_infer {
  nsl_model model;
  nsl_net *net;
  int n_samples, max_batch;
  double mc_error; /* sampling of a source ends below it; 0: never early */
  uint64_t seed;
  nsl_sample_kernel kernel;
  nsl_samples *samples; /* [max_batch] */
  float *sums;          /* [2][max_batch][grid.n], what sum and odd of samples[i] point to */
  float *x, *v, *aux;   /* a batch of inputs */
  float *prob;          /* [grid.n] */
  uint64_t *keys;       /* [max_batch] */
  size_t *where;        /* [max_batch] which stamp of the set each element is */
};

const nsl_model *nsl_infer_model(const nsl_infer *inf) { return &inf->model; }

void nsl_infer_stop_at(nsl_infer *inf, double mc_error) { inf->mc_error = mc_error; }

void nsl_infer_uncalibrated(nsl_infer *inf) { inf->model.calibration = (nsl_calibration){0}; }

void nsl_infer_free(nsl_infer *inf)
{
  if (!inf) { return; }
  nsl_net_free(inf->net);
  nsl_model_free(&inf->model);
  nsl_sample_kernel_free(&inf->kernel);
  free(inf->samples);
  free(inf->sums);
  free(inf->x);
  free(inf->v);
  free(inf->aux);
  free(inf->prob);
  free(inf->keys);
  free(inf->where);
  free(inf);
}

nsl_status nsl_infer_new(const char *model_path, const nsl_instrument *inst, int n_samples, int max_batch, uint64_t seed,
                         nsl_infer **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)max_batch;
  nsl_infer *inf = calloc(1, sizeof *inf);
  if (!inf) { NSL_THROW(err, NSL_E_NOMEM, "inference"); }
  inf->n_samples = n_samples;
  inf->max_batch = max_batch;
  inf->seed = seed;
  NSL_TRY(nsl_model_read(model_path, max_batch, 0, &inf->model, &inf->net, err));
  if (inst) { NSL_TRY(nsl_model_fits_instrument(&inf->model, inst, model_path, err)); }
  NSL_TRY(nsl_sample_kernel_init(&inf->kernel, &inf->model, err));
  size_t bins = (size_t)inf->model.grid.n;
  inf->samples = calloc(n, sizeof *inf->samples);
  inf->sums = malloc(2 * n * bins * sizeof *inf->sums);
  inf->x = nsl_alloc_large(n * NSL_STAMP_PIXELS * sizeof *inf->x);
  inf->v = nsl_alloc_large(n * NSL_STAMP_PIXELS * sizeof *inf->v);
  inf->aux = malloc(n * NSL_AUX * sizeof *inf->aux);
  inf->prob = malloc(bins * sizeof *inf->prob);
  inf->keys = malloc(n * sizeof *inf->keys);
  inf->where = malloc(n * sizeof *inf->where);
  if (!inf->samples || !inf->sums || !inf->x || !inf->v || !inf->aux || !inf->prob || !inf->keys || !inf->where) {
    NSL_THROW(err, NSL_E_NOMEM, "inference on %d stamps at a time: lower run.batch", max_batch);
  }
  for (size_t i = 0; i < n; i++) {
    inf->samples[i].sum = inf->sums + i * bins;
    inf->samples[i].odd = inf->sums + (n + i) * bins;
  }
  *out = inf;
  inf = NULL;
cleanup:
  nsl_infer_free(inf);
  return st;
}

static int take_samples(void *ctx, int element, int sample0, int count, const float *outputs)
{
  (void)sample0;
  nsl_infer *inf = ctx;
  size_t size = inf->model.head == NSL_HEAD_BINS ? (size_t)inf->model.grid.n : 2;
  for (int t = 0; t < count; t++) { nsl_samples_add(&inf->kernel, &inf->samples[element], outputs + (size_t)t * size); }
  return inf->mc_error > 0 && nsl_samples_error(&inf->kernel, &inf->samples[element]) < inf->mc_error;
}

void nsl_infer_stamp_facts(const nsl_stamp *s, nsl_rows *rows, size_t i)
{
  rows->snr_gv[i] = s->band[0].snr;
  rows->snr_gi[i] = s->band[1].snr;
  rows->n_exp_gv[i] = s->band[0].n_exp;
  rows->n_exp_gi[i] = s->band[1].n_exp;
  rows->coverage_gv[i] = s->band[0].coverage;
  rows->coverage_gi[i] = s->band[1].coverage;
  rows->contamination[i] = fmaxf(s->band[0].contamination, s->band[1].contamination);
  rows->flags[i] |= s->flags;
  if (!(s->band[1].snr >= LOW_SNR)) { rows->flags[i] |= NSL_FLAG_LOW_SNR; }
}

nsl_calibration_facts nsl_infer_facts(const nsl_rows *rows, size_t i)
{
  return (nsl_calibration_facts){.snr_gi = (double)rows->snr_gi[i],
                                 .snr_gv = (double)rows->snr_gv[i],
                                 .mutual_info = (double)rows->mutual_info[i],
                                 .contamination = (double)rows->contamination[i],
                                 .coverage = (double)fminf(rows->coverage_gv[i], rows->coverage_gi[i])};
}

static void fill_pdf(nsl_infer *inf, const nsl_samples *samples, nsl_rows *rows, size_t i)
{
  const nsl_pdf_grid *grid = &inf->model.grid;
  const nsl_calibration *calibration = &inf->model.calibration;
  nsl_samples_spread spread;
  if (!nsl_samples_finish(&inf->kernel, samples, inf->prob, &spread)) {
    rows->flags[i] |= NSL_FLAG_NO_PDF;
    return;
  }
  nsl_pdf_summary raw, s;
  nsl_pdf_summarise(grid, inf->prob, &raw);
  nsl_calibration_point at = nsl_calibration_locate(grid, &raw, (double)rows->snr_gi[i]);
  nsl_calibration_correct(calibration, grid, at, inf->prob);
  nsl_pdf_summarise(grid, inf->prob, &s);
  float *density = rows->pdf + i * (size_t)grid->n;
  nsl_pdf_density_z(grid, inf->prob, density);
  nsl_pdf_round(density, (size_t)grid->n);
  /* Both parts of the width are corrected as their sum is; the mutual information is that of the network. */
  double narrower = calibration->fitted && raw.sigma_u > 0 ? s.sigma_u / raw.sigma_u : 1;
  rows->z_mode[i] = (float)s.z_mode;
  rows->z_median[i] = (float)s.z_median;
  rows->z_mean[i] = (float)s.z_mean;
  rows->z_lo68[i] = (float)s.z_lo68;
  rows->z_hi68[i] = (float)s.z_hi68;
  rows->odds[i] = (float)s.odds;
  rows->sigma_epistemic[i] = (float)(narrower * spread.sigma_epistemic);
  rows->sigma_aleatoric[i] = (float)(narrower * spread.sigma_aleatoric);
  rows->mutual_info[i] = (float)fmax(raw.entropy - spread.mean_entropy, 0);
  rows->n_samples[i] = samples->n;
  rows->mc_error[i] = (float)spread.mc_error;
  nsl_calibration_facts facts = nsl_infer_facts(rows, i);
  rows->p_good[i] = (float)nsl_calibration_p_good(calibration, at, &facts, s.odds);
  if (nsl_calibration_is_unusual(calibration, at, &facts)) { rows->flags[i] |= NSL_FLAG_UNUSUAL; }
}

/* Any data at all (a weight that is not 0), and nothing that is not a number. In integers, so that it is quick. */
static int usable(const float *x, const float *v, size_t n)
{
  uint32_t bad = 0, seen = 0;
  for (size_t i = 0; i < n; i++) {
    uint32_t a, b;
    memcpy(&a, &x[i], sizeof a);
    memcpy(&b, &v[i], sizeof b);
    bad |= (uint32_t)((a & EXPONENT) == EXPONENT) | (uint32_t)((b & EXPONENT) == EXPONENT);
    seen |= b;
  }
  return !bad && seen != 0;
}

/* Puts stamp j of the set into element k of the batch; 0 when there is nothing to measure. */
static int load(nsl_infer *inf, const nsl_stamp *s, size_t j, int k)
{
  float *x = inf->x + (size_t)k * NSL_STAMP_PIXELS, *v = inf->v + (size_t)k * NSL_STAMP_PIXELS;
  if (s->flags & NSL_FLAG_NO_PDF) { return 0; }
  nsl_infer_inputs(&inf->model, s, x, v, inf->aux + (size_t)k * NSL_AUX);
  if (!usable(x, inf->model.input == NSL_INPUT_WEIGHTED ? v : s->variance, NSL_STAMP_PIXELS)) { return 0; }
  inf->keys[k] = (uint64_t)s->source_id;
  inf->where[k] = j;
  nsl_samples_clear(&inf->kernel, &inf->samples[k]);
  return 1;
}

static nsl_status run_batch(nsl_infer *inf, int n, nsl_rows *rows, size_t first, nsl_error *err)
{
  const float *inputs[3];
  nsl_model_inputs(&inf->model, inf->x, inf->v, inf->aux, inputs);
  nsl_status st = nsl_net_sample(inf->net, n, inputs, inf->seed, inf->keys, inf->n_samples, inf->mc_error > 0 ? PIECE : 0,
                                 take_samples, inf, err);
  if (st != NSL_OK) { return st; }
  for (int k = 0; k < n; k++) { fill_pdf(inf, &inf->samples[k], rows, first + inf->where[k]); }
  return NSL_OK;
}

nsl_status nsl_infer_run(nsl_infer *inf, const nsl_stamp_set *set, nsl_rows *rows, size_t first, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (first + set->n > rows->n || rows->grid.n != inf->model.grid.n) {
    return nsl_fail(err, NSL_E_BUG, "inference into rows %zu..%zu of %zu, %d bins of %d", first, first + set->n, rows->n,
                    rows->grid.n, inf->model.grid.n);
  }
  int n = 0;
  for (size_t j = 0; j < set->n; j++) {
    nsl_infer_stamp_facts(&set->stamps[j], rows, first + j);
    if (load(inf, &set->stamps[j], j, n)) {
      n++;
    } else {
      rows->flags[first + j] |= NSL_FLAG_NO_PDF;
    }
    if (n == inf->max_batch || (n > 0 && j + 1 == set->n)) {
      NSL_TRY(run_batch(inf, n, rows, first, err));
      n = 0;
    }
  }
cleanup:
  return st;
}
