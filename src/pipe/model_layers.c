#include "noslit/pipe/model_layers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/pipe/infer.h"
#include "pipe/train_internal.h"

typedef struct {
  nsl_model model;
  nsl_net *plain, *fused; /* the same weights */
  nsl_stamp_reader *reader;
  nsl_train_batch batch;
  int count;
  float **layers; /* [graph.n][count][size] */
  float *output;  /* [count][size] */
  size_t out_size;
} study;

static size_t size_of(const nsl_node *node) { return (size_t)node->out.c * (size_t)node->out.h * (size_t)node->out.w; }

static void study_free(study *s)
{
  for (int i = 0; s->layers && i < s->model.graph.n; i++) { free(s->layers[i]); }
  free(s->layers);
  free(s->output);
  nsl_train_batch_free(&s->batch);
  nsl_stamp_reader_close(s->reader);
  nsl_net_free(s->plain);
  nsl_net_free(s->fused);
  nsl_model_free(&s->model);
}

static nsl_status study_open(const nsl_layers_job *job, study *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_model again = {0};
  nsl_graph_init(&again.graph);
  NSL_TRY(nsl_model_read(job->model, 1, 1, &s->model, &s->plain, err));
  NSL_TRY(nsl_model_read(job->model, 1, 0, &again, &s->fused, err));
  NSL_TRY(nsl_stamp_reader_open(job->stamps, job->n_stamps, 0, 1, &s->reader, err));
  size_t there = nsl_stamp_reader_count(s->reader);
  s->count = there < (size_t)job->count ? (int)there : job->count;
  NSL_TRY(nsl_train_batch_init(&s->batch, 1, s->model.grid.n, err));
  s->layers = calloc((size_t)s->model.graph.n, sizeof *s->layers);
  s->out_size = size_of(&s->model.graph.nodes[s->model.graph.n - 1]);
  s->output = malloc((size_t)s->count * s->out_size * sizeof *s->output + 1);
  if (!s->layers || !s->output) { NSL_THROW(err, NSL_E_NOMEM, "layers of %d stamps", s->count); }
  for (int i = 0; i < s->model.graph.n; i++) {
    s->layers[i] = malloc((size_t)s->count * size_of(&s->model.graph.nodes[i]) * sizeof **s->layers + 1);
    if (!s->layers[i]) { NSL_THROW(err, NSL_E_NOMEM, "layers of %d stamps: lower --count", s->count); }
  }
cleanup:
  nsl_model_free(&again);
  return st;
}

static nsl_status look_at(study *s, int k, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const float *inputs[3], *output;
  int n_inputs = 0;
  nsl_stamp_reader_get(s->reader, (size_t)k, &s->batch.stamp);
  nsl_infer_inputs(&s->model, &s->batch.stamp, s->batch.x, s->batch.v, s->batch.aux);
  nsl_model_inputs(&s->model, s->batch.x, s->batch.v, s->batch.aux, inputs);
  NSL_TRY(nsl_net_forward(s->fused, 1, inputs, NSL_MODE_EVAL, NULL, &output, err));
  memcpy(s->output + (size_t)k * s->out_size, output, s->out_size * sizeof *output);
  NSL_TRY(nsl_net_forward(s->plain, 1, inputs, NSL_MODE_EVAL, NULL, &output, err));
  for (int i = 0; i < s->model.graph.n; i++) {
    const nsl_node *node = &s->model.graph.nodes[i];
    const float *from = node->op == NSL_OP_INPUT ? inputs[n_inputs++] : nsl_net_activation(s->plain, i);
    if (from) { memcpy(s->layers[i] + (size_t)k * size_of(node), from, size_of(node) * sizeof *from); }
    if (!from) {
      free(s->layers[i]);
      s->layers[i] = NULL;
    }
  }
cleanup:
  return st;
}

static nsl_status write_layers(const study *s, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  char name[64];
  const size_t out[2] = {(size_t)s->count, s->out_size};
  char *temp = nsl_temp_name(path, 0);
  if (!temp) { NSL_THROW(err, NSL_E_NOMEM, "%s", path); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  for (int i = 0; i < s->model.graph.n; i++) {
    const nsl_node *node = &s->model.graph.nodes[i];
    const size_t dims[4] = {(size_t)s->count, (size_t)node->out.c, (size_t)node->out.h, (size_t)node->out.w};
    snprintf(name, sizeof name, "/layers/%s", node->name);
    if (s->layers[i]) { NSL_TRY(nsl_h5_write(f, name, NSL_H5_F32, 4, dims, s->layers[i], NULL, err)); }
  }
  NSL_TRY(nsl_h5_write(f, "/output", NSL_H5_F32, 2, out, s->output, NULL, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK && temp) { remove(temp); }
  free(temp);
  return st;
}

nsl_status nsl_model_layers(const nsl_layers_job *job, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  study s = {0};
  nsl_graph_init(&s.model.graph);
  NSL_TRY(study_open(job, &s, err));
  for (int k = 0; k < s.count; k++) { NSL_TRY(look_at(&s, k, err)); }
  NSL_TRY(write_layers(&s, job->out, err));
  nsl_info(log, "%s: %d layers of %d stamps", job->out, s.model.graph.n, s.count);
cleanup:
  study_free(&s);
  return st;
}
