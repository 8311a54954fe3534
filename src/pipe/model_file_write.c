/* Writes model files: to a temporary name, then published. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "pipe/band_attributes.h"
#include "pipe/model_file_layout.h"

static nsl_status write_text(nsl_h5 *f, const char *path, const char *text, nsl_error *err)
{
  size_t n = strlen(text);
  const nsl_h5_layout layout = {.chunk_rows = n, .deflate = 6, .fletcher32 = 1};
  return nsl_h5_write(f, path, NSL_H5_U8, 1, &n, text, &layout, err);
}

static nsl_status write_attributes(nsl_h5 *f, const nsl_model *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_h5_put_text(f, "/", "format", NSL_MODEL_FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", NSL_MODEL_VERSION, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "head", nsl_head_words[m->head], err));
  NSL_TRY(nsl_h5_put_text(f, "/", "input", nsl_input_words[m->input], err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "flux_scale0", m->flux_scale[0], err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "flux_scale1", m->flux_scale[1], err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "contamination_k", m->contamination_k, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "pdf_n", m->grid.n, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "pdf_u0", m->grid.u0, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "pdf_du", m->grid.du, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "temperature", m->temperature, err));
  NSL_TRY(nsl_bands_put(f, m->band, err));
cleanup:
  return st;
}

static nsl_status write_weights(nsl_h5 *f, nsl_net *net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_h5_group(f, "/weights", err));
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    char path[96];
    size_t dims[4] = {1, 1, 1, 1};
    for (int k = 0; k < p->rank; k++) { dims[k] = (size_t)p->dims[k]; }
    const nsl_h5_layout layout = {.chunk_rows = dims[0], .deflate = 1, .shuffle = 1, .fletcher32 = 1};
    snprintf(path, sizeof path, "/weights/%s", p->name);
    NSL_TRY(nsl_h5_write(f, path, NSL_H5_F32, p->rank, dims, p->value, &layout, err));
  }
cleanup:
  return st;
}

static nsl_status write_calibration(nsl_h5 *f, const nsl_calibration *c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char path[64];
  if (!c->fitted) { return NSL_OK; }
  NSL_TRY(nsl_h5_group(f, "/calibration", err));
  for (int k = 0; k < NSL_CALIBRATION_PARTS; k++) {
    const nsl_calibration_part *p = &nsl_calibration_parts[k];
    snprintf(path, sizeof path, "/calibration/%s", p->name);
    NSL_TRY(nsl_h5_write(f, path, NSL_H5_F64, 1, &p->n, (const char *)c + p->offset, NULL, err));
  }
cleanup:
  return st;
}

nsl_status nsl_model_write(const char *path, const nsl_model *model, nsl_net *net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  nsl_hash hash;
  char hex[NSL_HASH_HEX], *graph = NULL, *temp = nsl_temp_name(path, 0);
  NSL_TRY(nsl_model_check(model, err));
  NSL_TRY(nsl_model_content_hash(model, net, &hash, err));
  nsl_hash_to_hex(hash, hex);
  graph = nsl_graph_to_text(&model->graph);
  if (!temp || !graph) { NSL_THROW(err, NSL_E_NOMEM, "text of a network"); }
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(write_attributes(f, model, err));
  NSL_TRY(write_text(f, "/graph", graph, err));
  NSL_TRY(write_text(f, "/card", model->card && model->card[0] ? model->card : "{}", err));
  NSL_TRY(write_weights(f, net, err));
  NSL_TRY(write_calibration(f, &model->calibration, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "content_hash", hex, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK && temp) { remove(temp); }
  free(temp);
  free(graph);
  return st == NSL_OK ? st : nsl_error_context(err, st, "model file %s", path);
}
