/* A network small enough for tests, and stamps whose redshift it can learn in a few steps: a bright line whose column grows
 * with ln(1+z). Rows are summed by a convolution; batch norm and dropout take part, so that they are tested as well. */
#ifndef TINY_MODEL_H
#define TINY_MODEL_H

#include <math.h>

#include "noslit/base/rng.h"
#include "noslit/pipe/infer.h"
#include "noslit/pipe/stamp_file.h"
#include "unit/pipe/stamp_support.h"

#define TINY_BINS 32
#define TINY_U0 0.01
#define TINY_DU 0.03

static inline nsl_status tiny_add(nsl_graph *g, nsl_node node, const char *name, int *index, nsl_error *err)
{
  snprintf(node.name, sizeof node.name, "%s", name);
  return nsl_graph_add(g, &node, index, err);
}

/* hidden: units of the middle layer, another architecture when it differs. */
static inline nsl_status tiny_model(int hidden, nsl_model *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_instrument *inst = instrument_make();
  int x, aux, i;
  *m = (nsl_model){.flux_scale = {20, 20},
                   .contamination_k = 0.5,
                   .grid = {TINY_BINS, TINY_U0, TINY_DU},
                   .temperature = 1,
                   .band = {inst->bands[1], inst->bands[2]}};
  free(inst);
  nsl_graph *g = &m->graph;
  nsl_graph_init(g);
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_INPUT, .out = {2, NSL_STAMP_NY, NSL_STAMP_NX}}, "x", &x, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_INPUT, .out = {NSL_AUX, 1, 1}}, "aux", &aux, err));
  NSL_TRY(tiny_add(g,
                   (nsl_node){.op = NSL_OP_CONV,
                              .n_in = 1,
                              .in = {x},
                              .c_out = 2,
                              .kh = NSL_STAMP_NY,
                              .kw = 8,
                              .stride_h = 1,
                              .stride_w = 8,
                              .dil_h = 1,
                              .dil_w = 1},
                   "rows", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_BATCHNORM, .n_in = 1, .in = {i}}, "norm", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_RELU, .n_in = 1, .in = {i}}, "relu", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_RESHAPE, .n_in = 1, .in = {i}, .out = {120, 1, 1}}, "flat", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_CONCAT, .n_in = 2, .in = {i, aux}}, "facts", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {i}, .c_out = hidden, .has_bias = 1}, "middle", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_GELU, .n_in = 1, .in = {i}}, "gelu", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_DROPOUT, .n_in = 1, .in = {i}, .channel = 1, .rate = 0.1f}, "drop", &i, err));
  NSL_TRY(tiny_add(g, (nsl_node){.op = NSL_OP_DENSE, .n_in = 1, .in = {i}, .c_out = TINY_BINS, .has_bias = 1}, "logits", &i, err));
cleanup:
  return st;
}

/* Stamp i of the set: its redshift is a function of seed and i. */
static inline void tiny_stamp(nsl_stamp *s, nsl_stamp_label *l, uint64_t seed, int64_t id)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_TEST, (uint64_t)id, 0);
  double t = nsl_rng_range(&r, 0.05, 0.95), u = TINY_U0 + t * TINY_DU * TINY_BINS;
  for (size_t b = 0; b < 2; b++) {
    for (int y = 0; y < NSL_STAMP_NY; y++) {
      for (int x = 0; x < NSL_STAMP_NX; x++) {
        size_t i = b * NSL_STAMP_PLANE + (size_t)(y * NSL_STAMP_NX + x);
        double dy = y - 19.5, dx = x - 480 * t;
        s->flux[i] = (float)(300 * exp(-0.5 * (dy * dy + dx * dx) / 9));
        s->variance[i] = 400;
        s->contamination[i] = 0;
      }
    }
    for (int k = 0; k < 400; k++) {
      s->flux[b * NSL_STAMP_PLANE + (size_t)nsl_rng_below(&r, NSL_STAMP_PLANE)] += 20 * (float)nsl_rng_normal(&r);
    }
    s->band[b] = (nsl_stamp_band_info){4, 600, 1, 2 + (float)(id % 4) * 3, 0, 0};
  }
  s->source_id = id;
  s->flags = 0;
  s->re_px = 3;
  s->q = 0.7f;
  s->pa_x_deg = 20;
  s->sersic_n = 1;
  *l = (nsl_stamp_label){.source_id = id, .z = expm1(u), .mag = 20, .snr_gi = s->band[1].snr, .snr_gv = s->band[0].snr};
}

/* n stamps with ids first .. first + n - 1; every 11th is a star. */
static inline nsl_status tiny_stamp_file(const char *path, int64_t first, int64_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_instrument *inst = instrument_make();
  nsl_stamp_set set;
  nsl_stamp_label label;
  nsl_stamp_writer *w = NULL;
  stamps_make(&set, 1);
  NSL_TRY(nsl_stamp_writer_new(path, inst, "{}", &w, err));
  for (int64_t id = first; id < first + n; id++) {
    tiny_stamp(&set.stamps[0], &label, 7, id);
    label.type = id % 11 == 10;
    NSL_TRY(nsl_stamp_writer_add(w, &set.stamps[0], &label, err));
  }
  NSL_TRY(nsl_stamp_writer_finish(w, err));
cleanup:
  stamps_drop(&set);
  free(inst);
  return st;
}

#endif
