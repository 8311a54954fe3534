/* Validation metrics on stamps that were not trained on. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/infer_samples.h"
#include "pipe/train_internal.h"

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
    if (l->type == NSL_STAMP_GALAXY && bin >= 0 && bin < grid->n) { c->usable[c->n_usable++] = (uint32_t)i; }
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
    nsl_train_batch_load(b, k, model, c->reader, i, NULL);
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
  nsl_samples samples = {.sum = malloc(bins * sizeof(float)), .odd = malloc(bins * sizeof(float))};
  float *prob = malloc(2 * bins * sizeof *prob), *density = prob + bins;
  const float *inputs[3], *output;
  if (!samples.sum || !samples.odd || !prob) { NSL_THROW(err, NSL_E_NOMEM, "validation"); }
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
  free(samples.odd);
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
