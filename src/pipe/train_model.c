/* The model that training starts from. */
#include <stdlib.h>
#include <string.h>

#include "noslit/nn/architectures.h"
#include "pipe/band_attributes.h"
#include "pipe/model_file_layout.h"
#include "pipe/train_internal.h"

static nsl_status continue_from(const nsl_train_options *o, const nsl_band band[2], int max_batch, nsl_model *model, nsl_net **net,
                                nsl_error *err)
{
  nsl_status st = nsl_model_read(o->from, max_batch, 1, model, net, err);
  if (st != NSL_OK) { return st; }
  char *difference = nsl_bands_difference(band, model->band);
  if (difference) {
    st = nsl_fail(err, NSL_E_MISMATCH, "training stamps: %s as in %s: start without train.from", difference, o->from);
    free(difference);
    nsl_net_free(*net);
    nsl_model_free(model);
    *net = NULL;
  }
  return st;
}

nsl_status nsl_train_model_new(const nsl_train_options *o, const nsl_band band[2], int max_batch, nsl_model *model, nsl_net **net,
                               nsl_error *err)
{
  if (o->from[0]) { return continue_from(o, band, max_batch, model, net, err); }
  nsl_status st = NSL_OK;
  nsl_eq_options eq;
  nsl_eq_defaults(&eq);
  eq.du *= (double)eq.n_bins / o->bins;
  eq.n_bins = o->bins;
  nsl_model m = {.flux_scale = {1, 1},
                 .contamination_k = o->contamination_k,
                 .grid = {eq.n_bins, eq.u0, eq.du},
                 .temperature = 1,
                 .band = {band[0], band[1]}};
  nsl_graph_init(&m.graph);
  if (strcmp(o->architecture, "resnet34") == 0) {
    m.head = NSL_HEAD_GAUSSIAN;
    m.input = NSL_INPUT_ELECTRONS;
    NSL_TRY(nsl_graph_resnet34(NSL_STAMP_NY, NSL_STAMP_NX, o->width, o->dropout, &m.graph, err));
  } else {
    eq.ny = NSL_STAMP_NY;
    eq.nx = NSL_STAMP_NX;
    eq.n_aux = NSL_AUX;
    for (int b = 0; b < NSL_STAMP_BANDS; b++) {
      eq.lambda0_a[b] = band[b].lambda0_a;
      eq.dlambda_a[b] = band[b].dlambda_a;
    }
    eq.channels = o->width;
    eq.dropout = o->dropout;
    NSL_TRY(nsl_graph_eq(&eq, &m.graph, err));
  }
  NSL_TRY(nsl_model_check(&m, err));
  NSL_TRY(nsl_net_new(&m.graph, max_batch, 1, o->seed, net, err));
  *model = m;
  m = (nsl_model){0};
cleanup:
  nsl_model_free(&m);
  return st;
}
