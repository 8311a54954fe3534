#include "noslit/pipe/model_import.h"

#include <stdlib.h>

#include "noslit/io/json.h"
#include "noslit/model/stamp.h"
#include "noslit/nn/architectures.h"
#include "noslit/pipe/made_by.h"
#include "pipe/model_file_layout.h"

/* The paper's network around the weights: how wide it is, its first layer says. */
static nsl_status read_resnet34(const nsl_model_import_job *job, nsl_h5 *f, nsl_model *model, nsl_net **net, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank = 0;
  size_t dims[NSL_H5_MAX_RANK];
  nsl_eq_options eq;
  nsl_eq_defaults(&eq);
  if (!job->inst) {
    NSL_THROW(err, NSL_E_USAGE, "%s does not say what wavelengths the weights belong to: give --instrument FILE", job->source);
  }
  if (!nsl_h5_exists(f, "/weights/stem.weight")) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: no first layer ('conv1.weight'): is it a ResNet-34? give other names by --map", job->source);
  }
  NSL_TRY(nsl_h5_dims(f, "/weights/stem.weight", &rank, dims, err));
  if (rank != 4 || dims[0] < 1 || dims[0] > 512) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: the first layer's weights have %d dimensions and %zu channels, not 4 and 1 to 512",
              job->source, rank, dims[0]);
  }
  *model = (nsl_model){.head = NSL_HEAD_GAUSSIAN,
                       .input = NSL_INPUT_ELECTRONS,
                       .flux_scale = {1, 1},
                       .grid = {job->bins, eq.u0, eq.du * (double)eq.n_bins / job->bins},
                       .temperature = 1,
                       .band = {job->inst->bands[job->inst->stamp_band[0]], job->inst->bands[job->inst->stamp_band[1]]}};
  nsl_graph_init(&model->graph);
  NSL_TRY(nsl_graph_resnet34(NSL_STAMP_NY, NSL_STAMP_NX, (int)dims[0], job->dropout, &model->graph, err));
  NSL_TRY(nsl_model_check(model, err));
  NSL_TRY(nsl_net_new(&model->graph, 1, 0, 0, net, err));
  st = nsl_model_read_weights(f, *net, err);
  if (st != NSL_OK) { nsl_error_context(err, st, "%s: ResNet-34 of width %zu", job->source, dims[0]); }
  nsl_json *card = nsl_json_object();
  nsl_json_set_text(card, "imported_from", job->source);
  nsl_json_set_text(card, "made_by", nsl_made_by_text());
  nsl_made_by_json(card);
  model->card = nsl_json_text(card);
  nsl_json_free(card);
cleanup:
  return st;
}

nsl_status nsl_model_import(const nsl_model_import_job *job, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  nsl_net *net = NULL;
  nsl_model model = {0};
  nsl_graph_init(&model.graph);
  NSL_TRY(nsl_h5_open(job->staged, &f, err));
  if (nsl_h5_exists(f, "/graph")) {
    NSL_TRY(nsl_model_read_unsealed(job->staged, &model, &net, err));
  } else {
    NSL_TRY(read_resnet34(job, f, &model, &net, err));
  }
  if (job->inst) { NSL_TRY(nsl_model_fits_instrument(&model, job->inst, job->source, err)); }
  NSL_TRY(nsl_model_write(job->out, &model, net, err));
cleanup:
  nsl_h5_close(f, NULL);
  nsl_net_free(net);
  nsl_model_free(&model);
  return st;
}
