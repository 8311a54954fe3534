#include "noslit/pipe/renorm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/io/json.h"
#include "noslit/pipe/made_by.h"
#include "pipe/band_attributes.h"
#include "pipe/train_internal.h"

/* One batch norm and the sums of its batches' statistics. */
typedef struct {
  nsl_param *mean, *var;
  float momentum;
  double *m, *mm, *v; /* [channels]: means, their squares, variances */
} norm;

typedef struct {
  nsl_model model;
  nsl_net *net;
  nsl_stamp_reader *reader;
  nsl_train_batch batch;
  int n_norms;
  norm *norms;
} renorm;

static void renorm_free(renorm *r)
{
  for (int i = 0; i < r->n_norms; i++) { free(r->norms[i].m); }
  free(r->norms);
  nsl_train_batch_free(&r->batch);
  nsl_stamp_reader_close(r->reader);
  nsl_net_free(r->net);
  nsl_model_free(&r->model);
}

static nsl_status find_norms(renorm *r, const char *path, nsl_error *err)
{
  const nsl_graph *g = nsl_net_graph(r->net);
  r->norms = calloc((size_t)g->n, sizeof *r->norms);
  if (!r->norms) { return nsl_fail(err, NSL_E_NOMEM, "statistics of a network"); }
  for (int i = 0; i < g->n; i++) {
    char name[64];
    if (g->nodes[i].op != NSL_OP_BATCHNORM) { continue; }
    norm *b = &r->norms[r->n_norms];
    snprintf(name, sizeof name, "%s.mean", g->nodes[i].name);
    b->mean = nsl_net_find_param(r->net, name);
    snprintf(name, sizeof name, "%s.var", g->nodes[i].name);
    b->var = nsl_net_find_param(r->net, name);
    b->momentum = g->nodes[i].rate;
    if (!b->mean || !b->var) { return nsl_fail(err, NSL_E_BUG, "batch norm %s has no statistics", g->nodes[i].name); }
    b->m = calloc(3 * b->mean->n, sizeof *b->m);
    if (!b->m) { return nsl_fail(err, NSL_E_NOMEM, "statistics of a network"); }
    b->mm = b->m + b->mean->n;
    b->v = b->mm + b->mean->n;
    r->n_norms++;
  }
  if (r->n_norms == 0) { return nsl_fail(err, NSL_E_VALUE, "%s has no batch norm: there is nothing to measure", path); }
  return NSL_OK;
}

/* From zero, a step of the running statistics leaves momentum times those of the batch. */
static nsl_status measure_batch(renorm *r, size_t first, nsl_error *err)
{
  const float *inputs[3], *output;
  nsl_train_batch *b = &r->batch;
  for (int k = 0; k < b->capacity; k++) {
    size_t at = (size_t)k;
    nsl_stamp_reader_get(r->reader, first + at, &b->stamp);
    nsl_infer_inputs(&r->model, &b->stamp, b->x + at * NSL_STAMP_PIXELS, b->v + at * NSL_STAMP_PIXELS, b->aux + at * NSL_AUX);
    b->keys[k] = first + at;
  }
  for (int i = 0; i < r->n_norms; i++) {
    memset(r->norms[i].mean->value, 0, r->norms[i].mean->n * sizeof(float));
    memset(r->norms[i].var->value, 0, r->norms[i].var->n * sizeof(float));
  }
  const nsl_dropout_key drop = {.seed = 1, .key = b->keys, .sample = 0};
  nsl_model_inputs(&r->model, b->x, b->v, b->aux, inputs);
  nsl_status st = nsl_net_forward(r->net, b->capacity, inputs, NSL_MODE_TRAIN, &drop, &output, err);
  for (int i = 0; i < r->n_norms && st == NSL_OK; i++) {
    norm *n = &r->norms[i];
    for (size_t c = 0; c < n->mean->n; c++) {
      double mean = (double)n->mean->value[c] / (double)n->momentum;
      n->m[c] += mean;
      n->mm[c] += mean * mean;
      n->v[c] += (double)n->var->value[c] / (double)n->momentum;
    }
  }
  return st;
}

/* The sums become the statistics; old: those before, in the order of the norms. */
static nsl_status settle(renorm *r, size_t batches, const float *old, nsl_renorm_summary *s, nsl_error *err)
{
  double per_batch = 1 / (double)batches;
  for (int i = 0; i < r->n_norms; i++) {
    norm *n = &r->norms[i];
    for (size_t c = 0; c < n->mean->n; c++) {
      double mean = n->m[c] * per_batch, var = n->v[c] * per_batch + fmax(n->mm[c] * per_batch - mean * mean, 0);
      if (!isfinite(mean) || !isfinite(var)) {
        return nsl_fail(err, NSL_E_NUMERIC, "%s is not finite on these stamps: they are damaged, or the model is", n->mean->name);
      }
      double sigma = sqrt((double)old[n->mean->n + c] + 1e-12), factor = sqrt(var + 1e-12) / sigma;
      s->largest_shift = fmax(s->largest_shift, fabs(mean - (double)old[c]) / sigma);
      s->largest_factor = fmax(s->largest_factor, fmax(factor, 1 / factor));
      n->mean->value[c] = (float)mean;
      n->var->value[c] = (float)var;
    }
    old += 2 * n->mean->n;
  }
  return NSL_OK;
}

static nsl_status note_in_card(renorm *r, const nsl_renorm_summary *s, nsl_error *err)
{
  nsl_json *root = NULL;
  char hex[NSL_HASH_HEX];
  nsl_status st = nsl_json_parse(r->model.card && *r->model.card ? r->model.card : "{}", "model card", &root, err);
  if (st != NSL_OK) { return st; }
  nsl_json *j = nsl_json_object();
  nsl_hash_to_hex(nsl_stamp_reader_hash(r->reader), hex);
  nsl_made_by_json(j);
  nsl_json_set_text(j, "data_hash", hex);
  nsl_json_set_i64(j, "n", (int64_t)s->n);
  nsl_json_set_i64(j, "batch", r->batch.capacity);
  nsl_json_set_f64(j, "largest_shift_sigma", s->largest_shift);
  nsl_json_set_f64(j, "largest_factor", s->largest_factor);
  nsl_json_set(root, "renorm", j);
  char *text = nsl_json_text(root);
  nsl_json_free(root);
  if (!text) { return nsl_fail(err, NSL_E_NOMEM, "model card"); }
  free(r->model.card);
  r->model.card = text;
  return NSL_OK;
}

static float *old_statistics(const renorm *r)
{
  size_t n = 0;
  for (int i = 0; i < r->n_norms; i++) { n += 2 * r->norms[i].mean->n; }
  float *old = malloc((n + 1) * sizeof *old), *to = old;
  for (int i = 0; i < r->n_norms && old; i++) {
    const norm *b = &r->norms[i];
    memcpy(to, b->mean->value, b->mean->n * sizeof *to);
    memcpy(to + b->mean->n, b->var->value, b->mean->n * sizeof *to);
    to += 2 * b->mean->n;
  }
  return old;
}

nsl_status nsl_model_renorm(const nsl_renorm_job *job, const nsl_log *log, nsl_renorm_summary *summary, nsl_error *err)
{
  nsl_status st = NSL_OK;
  renorm r = {0};
  float *old = NULL;
  *summary = (nsl_renorm_summary){.largest_factor = 1};
  nsl_graph_init(&r.model.graph);
  NSL_TRY(nsl_model_read(job->model, job->batch, 1, &r.model, &r.net, err));
  NSL_TRY(find_norms(&r, job->model, err));
  NSL_TRY(nsl_stamp_reader_open(job->stamps, job->n_stamps, 0, 1, &r.reader, err));
  char *difference = nsl_bands_difference(nsl_stamp_reader_bands(r.reader), r.model.band);
  if (difference) {
    nsl_fail(err, NSL_E_MISMATCH, "stamps: %s as in the model: make them for the model's instrument", difference);
    free(difference);
    st = NSL_E_MISMATCH;
    goto cleanup;
  }
  size_t batches = nsl_stamp_reader_count(r.reader) / (size_t)job->batch;
  if (batches == 0) {
    NSL_THROW(err, NSL_E_VALUE, "%zu stamps are less than one batch of %d: give more, or lower --batch",
              nsl_stamp_reader_count(r.reader), job->batch);
  }
  old = old_statistics(&r);
  if (!old) { NSL_THROW(err, NSL_E_NOMEM, "statistics of a network"); }
  NSL_TRY(nsl_train_batch_init(&r.batch, job->batch, r.model.grid.n, err));
  nsl_progress progress;
  nsl_progress_start(&progress, log, "stamps", (long)(batches * (size_t)job->batch));
  for (size_t k = 0; k < batches; k++) {
    NSL_TRY(measure_batch(&r, k * (size_t)job->batch, err));
    nsl_progress_update(&progress, (long)((k + 1) * (size_t)job->batch), NULL);
  }
  nsl_progress_end(&progress, (long)(batches * (size_t)job->batch), NULL);
  summary->n = batches * (size_t)job->batch;
  summary->n_norms = r.n_norms;
  NSL_TRY(settle(&r, batches, old, summary, err));
  nsl_net_weights_changed(r.net);
  if (r.model.calibration.fitted) {
    nsl_warn(log, "the calibration belonged to the old statistics and is dropped: noslit model calibrate");
  }
  r.model.calibration = (nsl_calibration){0};
  NSL_TRY(note_in_card(&r, summary, err));
  NSL_TRY(nsl_model_write(job->out, &r.model, r.net, err));
  nsl_info(log, "%s: %d batch norms on %zu stamps; means moved by up to %.3f sigma, widths by up to a factor %.3f", job->out,
           summary->n_norms, summary->n, summary->largest_shift, summary->largest_factor);
cleanup:
  free(old);
  renorm_free(&r);
  return st;
}
