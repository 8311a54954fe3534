/* Validation metrics and the temperature, on stamps that were not trained on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/infer_samples.h"
#include "pipe/train_internal.h"

#define TEMPERATURES 23 /* 0.4 .. 2.5, evenly in the logarithm */
#define TEMPERATURE_MIN 0.4
#define TEMPERATURE_MAX 2.5
#define TEMPERATURE_SAMPLES 16
#define P_MIN 1e-10

const float nsl_train_cuts[NSL_TRAIN_CUTS] = {0, 1, 3, 5, 10};

void nsl_train_check_close(nsl_train_check *c)
{
  nsl_stamp_reader_close(c->reader);
  free(c->usable);
  *c = (nsl_train_check){0};
}

static nsl_status open_mine(nsl_train_check *c, char *const *paths, size_t n_paths, const nsl_pdf_grid *grid,
                            const nsl_train_comm *comm, nsl_error *err)
{
  nsl_status st = nsl_stamp_reader_open((const char *const *)paths, n_paths, comm->rank, comm->size, &c->reader, err);
  if (st != NSL_OK) { return st; }
  size_t n = nsl_stamp_reader_count(c->reader);
  c->usable = malloc((n + 1) * sizeof *c->usable);
  if (!c->usable) { return nsl_fail(err, NSL_E_NOMEM, "order of %zu stamps", n); }
  for (size_t i = 0; i < n; i++) {
    const nsl_stamp_label *l = nsl_stamp_reader_label(c->reader, i);
    double bin = (log1p(l->z) - grid->u0) / grid->du;
    if (l->type == 0 && bin >= 0 && bin < grid->n) { c->usable[c->n_usable++] = (uint32_t)i; }
  }
  return NSL_OK;
}

nsl_status nsl_train_check_open(nsl_train_check *c, char *const *paths, size_t n_paths, const nsl_pdf_grid *grid,
                                const nsl_train_comm *comm, nsl_error *err)
{
  nsl_status st = NSL_OK;
  *c = (nsl_train_check){0};
  if (n_paths == 0) { return NSL_OK; }
  size_t *counts = calloc((size_t)comm->size, sizeof *counts);
  if (!counts) { st = nsl_fail(err, NSL_E_NOMEM, "counts of stamps"); }
  if (st == NSL_OK) { st = open_mine(c, paths, n_paths, grid, comm, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(comm->gather(comm->ctx, &c->n_usable, sizeof *counts, counts, (size_t)comm->size * sizeof *counts, err));
  for (int q = 0; q < comm->size; q++) { c->n_total += counts[q]; }
cleanup:
  free(counts);
  if (st != NSL_OK) { nsl_train_check_close(c); }
  return st;
}

/* One validated stamp, on its way to all ranks. */
typedef struct {
  uint64_t index; /* in the files */
  float snr;
  int32_t has_score;
  nsl_score score;
} result;

static int by_index(const void *a, const void *b)
{
  uint64_t x = ((const result *)a)->index, y = ((const result *)b)->index;
  return (x > y) - (x < y);
}

/* Loads the stamps usable[first..first+n) and sets their dropout keys. */
static void load_batch(const nsl_train_check *c, const nsl_model *model, nsl_train_batch *b, size_t first, int n)
{
  for (int k = 0; k < n; k++) {
    size_t i = c->usable[first + (size_t)k];
    nsl_train_batch_load(b, k, model, c->reader, i);
    b->keys[k] = (uint64_t)nsl_stamp_reader_label(c->reader, i)->source_id;
  }
}

static int batch_size(const nsl_train_check *c, const nsl_train_batch *b, size_t first)
{
  size_t left = c->n_usable - first;
  return left < (size_t)b->capacity ? (int)left : b->capacity;
}

static nsl_status score_mine(const nsl_train_check *c, const nsl_model *model, nsl_net *net, nsl_train_batch *b, result *results,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t bins = (size_t)model->grid.n;
  nsl_sample_kernel kernel = {0};
  nsl_scorer scorer = {0};
  nsl_samples samples = {.sum = malloc(bins * sizeof(float))};
  float *prob = malloc(2 * bins * sizeof *prob), *density = prob + bins;
  const float *inputs[3], *output;
  if (!samples.sum || !prob) { NSL_THROW(err, NSL_E_NOMEM, "validation"); }
  NSL_TRY(nsl_sample_kernel_init(&kernel, model, err));
  NSL_TRY(nsl_scorer_init(&scorer, &model->grid, err));
  nsl_model_inputs(model, b->x, b->v, b->aux, inputs);
  for (size_t first = 0; first < c->n_usable;) {
    int n = batch_size(c, b, first);
    size_t width = model->head == NSL_HEAD_BINS ? bins : 2;
    load_batch(c, model, b, first, n);
    NSL_TRY(nsl_net_forward(net, n, inputs, NSL_MODE_EVAL, NULL, &output, err));
    for (int k = 0; k < n; k++) {
      size_t i = c->usable[first + (size_t)k];
      const nsl_stamp_label *l = nsl_stamp_reader_label(c->reader, i);
      result *r = &results[first + (size_t)k];
      nsl_samples_spread spread;
      nsl_pdf_summary summary;
      *r = (result){.index = nsl_stamp_reader_index(c->reader, i), .snr = l->snr_gi};
      nsl_samples_clear(&kernel, &samples);
      nsl_samples_add(&kernel, &samples, output + (size_t)k * width);
      if (!nsl_samples_finish(&kernel, &samples, prob, &spread)) { continue; }
      nsl_pdf_density_z(&model->grid, prob, density);
      nsl_pdf_summarise(&model->grid, prob, &summary);
      r->has_score = nsl_scorer_run(&scorer, density, l->z, &r->score);
      r->score.z_true = l->z;
      r->score.z_point = (float)summary.z_mode;
      r->score.z_median = (float)summary.z_median;
    }
    first += (size_t)n;
  }
cleanup:
  nsl_sample_kernel_free(&kernel);
  nsl_scorer_free(&scorer);
  free(samples.sum);
  free(prob);
  return st;
}

nsl_status nsl_train_validate(const nsl_train_check *c, const nsl_model *model, nsl_net *net, nsl_train_batch *b,
                              const nsl_train_comm *comm, nsl_metrics out[NSL_TRAIN_CUTS], nsl_error *err)
{
  nsl_status st = NSL_OK;
  result *mine = calloc(c->n_usable + 1, sizeof *mine), *all = malloc((c->n_total + 1) * sizeof *all);
  nsl_score *scores = malloc((c->n_total + 1) * sizeof *scores);
  if (!mine || !all || !scores) { st = nsl_fail(err, NSL_E_NOMEM, "validation of %zu stamps", c->n_total); }
  if (st == NSL_OK) { st = score_mine(c, model, net, b, mine, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(comm->gather(comm->ctx, mine, c->n_usable * sizeof *mine, all, c->n_total * sizeof *all, err));
  qsort(all, c->n_total, sizeof *all, by_index);
  for (int cut = 0; cut < NSL_TRAIN_CUTS; cut++) {
    size_t n = 0;
    for (size_t i = 0; i < c->n_total; i++) {
      if (all[i].has_score && all[i].snr >= nsl_train_cuts[cut]) { scores[n++] = all[i].score; }
    }
    NSL_TRY(nsl_metrics_compute(scores, NULL, n, NULL, &out[cut], err));
  }
cleanup:
  free(mine);
  free(all);
  free(scores);
  return st;
}

/* --- temperature --- */

typedef struct {
  const nsl_model *model;
  nsl_sample_kernel kernel[TEMPERATURES];
  nsl_samples *samples; /* [capacity][TEMPERATURES] */
  float *sums, *prob;
} trial;

static double temperature_of(int t)
{
  return TEMPERATURE_MIN * pow(TEMPERATURE_MAX / TEMPERATURE_MIN, (double)t / (TEMPERATURES - 1));
}

static void take_samples(void *ctx, int element, int sample0, int count, const float *outputs)
{
  (void)sample0;
  trial *tr = ctx;
  size_t bins = (size_t)tr->model->grid.n;
  for (int s = 0; s < count; s++) {
    for (int t = 0; t < TEMPERATURES; t++) {
      nsl_samples_add(&tr->kernel[t], &tr->samples[element * TEMPERATURES + t], outputs + (size_t)s * bins);
    }
  }
}

static nsl_status trial_init(trial *tr, const nsl_model *model, int capacity, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)capacity * TEMPERATURES, bins = (size_t)model->grid.n;
  nsl_model tempered = *model;
  *tr = (trial){.model = model};
  tr->samples = calloc(n, sizeof *tr->samples);
  tr->sums = malloc(n * bins * sizeof *tr->sums);
  tr->prob = malloc(bins * sizeof *tr->prob);
  if (!tr->samples || !tr->sums || !tr->prob) { NSL_THROW(err, NSL_E_NOMEM, "fit of the temperature"); }
  for (size_t i = 0; i < n; i++) { tr->samples[i].sum = tr->sums + i * bins; }
  for (int t = 0; t < TEMPERATURES; t++) {
    tempered.temperature = temperature_of(t);
    NSL_TRY(nsl_sample_kernel_init(&tr->kernel[t], &tempered, err));
  }
cleanup:
  return st;
}

static void trial_free(trial *tr)
{
  for (int t = 0; t < TEMPERATURES; t++) { nsl_sample_kernel_free(&tr->kernel[t]); }
  free(tr->samples);
  free(tr->sums);
  free(tr->prob);
}

/* nll[t]: sum over this rank's stamps; nll[TEMPERATURES]: their number. */
static nsl_status try_mine(const nsl_train_check *c, const nsl_model *model, nsl_net *net, nsl_train_batch *b, uint64_t seed,
                           double nll[TEMPERATURES + 1], nsl_error *err)
{
  nsl_status st = NSL_OK;
  trial tr;
  const float *inputs[3];
  NSL_TRY(trial_init(&tr, model, b->capacity, err));
  nsl_model_inputs(model, b->x, b->v, b->aux, inputs);
  for (size_t first = 0; first < c->n_usable;) {
    int n = batch_size(c, b, first);
    load_batch(c, model, b, first, n);
    for (int i = 0; i < n * TEMPERATURES; i++) { nsl_samples_clear(&tr.kernel[i % TEMPERATURES], &tr.samples[i]); }
    NSL_TRY(nsl_net_sample(net, n, inputs, seed, b->keys, TEMPERATURE_SAMPLES, take_samples, &tr, err));
    for (int k = 0; k < n; k++) {
      double z = nsl_stamp_reader_label(c->reader, c->usable[first + (size_t)k])->z;
      int bin = (int)((log1p(z) - model->grid.u0) / model->grid.du), good = 1;
      nsl_samples_spread spread;
      for (int t = 0; t < TEMPERATURES && good; t++) {
        good = nsl_samples_finish(&tr.kernel[t], &tr.samples[k * TEMPERATURES + t], tr.prob, &spread);
        if (good) { nll[t] -= log(fmax((double)tr.prob[bin], P_MIN)); }
      }
      nll[TEMPERATURES] += good;
    }
    first += (size_t)n;
  }
cleanup:
  trial_free(&tr);
  return st;
}

nsl_status nsl_train_temperature(const nsl_train_check *c, const nsl_model *model, nsl_net *net, nsl_train_batch *b,
                                 const nsl_train_comm *comm, uint64_t seed, double *temperature, nsl_error *err)
{
  nsl_status st = NSL_OK;
  double mine[TEMPERATURES + 1] = {0}, nll[TEMPERATURES + 1] = {0};
  double *all = malloc((size_t)comm->size * sizeof mine);
  *temperature = 1;
  if (model->head != NSL_HEAD_BINS) { goto cleanup; }
  if (!all) { st = nsl_fail(err, NSL_E_NOMEM, "fit of the temperature"); }
  if (st == NSL_OK) { st = try_mine(c, model, net, b, seed, mine, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(comm->gather(comm->ctx, mine, sizeof mine, all, (size_t)comm->size * sizeof mine, err));
  for (int q = 0; q < comm->size; q++) {
    for (int t = 0; t <= TEMPERATURES; t++) { nll[t] += all[q * (TEMPERATURES + 1) + t]; }
  }
  if (nll[TEMPERATURES] <= 0) { goto cleanup; }
  int best = 0;
  for (int t = 1; t < TEMPERATURES; t++) { best = nll[t] < nll[best] ? t : best; }
  *temperature = temperature_of(best);
  if (best > 0 && best < TEMPERATURES - 1) { /* the vertex of the parabola through three points */
    double a = nll[best - 1], m = nll[best], z = nll[best + 1], bend = a - 2 * m + z;
    double shift = bend > 0 ? 0.5 * (a - z) / bend : 0;
    *temperature *= pow(TEMPERATURE_MAX / TEMPERATURE_MIN, shift / (TEMPERATURES - 1));
  }
cleanup:
  free(all);
  return st;
}
