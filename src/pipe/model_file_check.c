/* What makes a model: its content hash, and whether its parts belong together. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/model/stamp.h"
#include "noslit/pipe/infer.h"
#include "pipe/band_attributes.h"
#include "pipe/model_file_layout.h"

const char *const nsl_head_words[2] = {[NSL_HEAD_BINS] = "bins", [NSL_HEAD_GAUSSIAN] = "gaussian"};
const char *const nsl_input_words[2] = {[NSL_INPUT_WEIGHTED] = "weighted", [NSL_INPUT_ELECTRONS] = "electrons"};

#define PART(name, n)                         \
  {                                           \
#name, n, offsetof(nsl_calibration, name) \
  }
const nsl_calibration_part nsl_calibration_parts[NSL_CALIBRATION_PARTS] = {
    PART(temper, NSL_CAL_TEMPER), PART(pit, NSL_CAL_PIT *NSL_CAL_DEGREE), PART(good, NSL_CAL_GOOD), PART(unusual, NSL_CAL_UNUSUAL)};
#undef PART

/* A model without a calibration has the hash that it had before there were any. */
static void add_calibration(nsl_hasher *h, const nsl_calibration *c)
{
  for (int k = 0; k < NSL_CALIBRATION_PARTS && c->fitted; k++) {
    const nsl_calibration_part *p = &nsl_calibration_parts[k];
    nsl_hasher_add(h, p->name, strlen(p->name) + 1);
    nsl_hasher_add(h, (const char *)c + p->offset, p->n * sizeof(double));
  }
}

nsl_status nsl_model_content_hash(const nsl_model *model, nsl_net *net, nsl_hash *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_str text;
  nsl_str_init(&text);
  char *graph = nsl_graph_to_text(&model->graph);
  nsl_hasher *h = nsl_hasher_new();
  if (!graph || !h) { NSL_THROW(err, NSL_E_NOMEM, "content hash of a model"); }
  nsl_str_addf(&text, "%s %s %.17g %.17g %.17g %.17g\n%d %.17g %.17g\n", nsl_head_words[model->head], nsl_input_words[model->input],
               model->flux_scale[0], model->flux_scale[1], model->contamination_k, model->temperature, model->grid.n,
               model->grid.u0, model->grid.du);
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    nsl_str_addf(&text, "%s %.17g %.17g\n", model->band[b].name, model->band[b].lambda0_a, model->band[b].dlambda_a);
  }
  for (int i = 0; i < nsl_net_n_params(net); i++) {
    const nsl_param *p = nsl_net_param(net, i);
    nsl_str_addf(&text, "%s %zu\n", p->name, p->n);
    nsl_hasher_add(h, p->value, p->n * sizeof *p->value);
  }
  if (text.failed) { NSL_THROW(err, NSL_E_NOMEM, "content hash of a model"); }
  nsl_hasher_add(h, text.text, text.n);
  nsl_hasher_add(h, graph, strlen(graph));
  add_calibration(h, &model->calibration);
  *out = nsl_hasher_value(h);
cleanup:
  if (h) { nsl_hasher_free(h); }
  nsl_str_free(&text);
  free(graph);
  return st;
}

static int positive(double v) { return isfinite(v) && v > 0; }

static nsl_status check_numbers(const nsl_model *m, nsl_error *err)
{
  if (!positive(m->flux_scale[0]) || !positive(m->flux_scale[1]) || !isfinite(m->contamination_k) || m->contamination_k < 0) {
    return nsl_fail(err, NSL_E_VALUE, "input normalisation %g, %g, contamination_k %g: scales must be positive, k not negative",
                    m->flux_scale[0], m->flux_scale[1], m->contamination_k);
  }
  if (!positive(m->temperature)) { return nsl_fail(err, NSL_E_VALUE, "temperature %g must be positive", m->temperature); }
  if (m->grid.n < 2 || m->grid.n > 1000000 || !isfinite(m->grid.u0) || !positive(m->grid.du)) {
    return nsl_fail(err, NSL_E_VALUE, "PDF grid of %d bins from %g in steps of %g is not usable", m->grid.n, m->grid.u0,
                    m->grid.du);
  }
  for (int k = 0; k < NSL_CALIBRATION_PARTS && m->calibration.fitted; k++) {
    const nsl_calibration_part *p = &nsl_calibration_parts[k];
    const double *v = (const double *)(const void *)((const char *)&m->calibration + p->offset);
    for (size_t i = 0; i < p->n; i++) {
      if (!isfinite(v[i])) { return nsl_fail(err, NSL_E_VALUE, "calibration/%s is not finite", p->name); }
    }
  }
  return NSL_OK;
}

nsl_status nsl_model_check(const nsl_model *m, nsl_error *err)
{
  static const struct {
    const char *name;
    nsl_shape3 shape;
  } known[] = {{"x", {NSL_STAMP_BANDS, NSL_STAMP_NY, NSL_STAMP_NX}},
               {"v", {NSL_STAMP_BANDS, NSL_STAMP_NY, NSL_STAMP_NX}},
               {"aux", {NSL_AUX, 1, 1}}};
  nsl_status st = check_numbers(m, err);
  if (st != NSL_OK) { return st; }
  for (int i = 0; i < m->graph.n; i++) {
    const nsl_node *node = &m->graph.nodes[i];
    if (node->op != NSL_OP_INPUT) { continue; }
    int k = 0;
    while (k < 3 && strcmp(node->name, known[k].name) != 0) { k++; }
    if (k == 3) { return nsl_fail(err, NSL_E_MISMATCH, "the network wants an input '%s': noslit gives x, v and aux", node->name); }
    const nsl_shape3 *s = &known[k].shape, *o = &node->out;
    if (o->c * o->h * o->w != s->c * s->h * s->w) {
      return nsl_fail(err, NSL_E_MISMATCH, "the network's input '%s' is [%d][%d][%d], noslit gives [%d][%d][%d]", node->name, o->c,
                      o->h, o->w, s->c, s->h, s->w);
    }
  }
  if (m->graph.n == 0) { return nsl_fail(err, NSL_E_FORMAT, "the network's graph is empty"); }
  const nsl_shape3 *o = &m->graph.nodes[m->graph.n - 1].out;
  int expected = m->head == NSL_HEAD_BINS ? m->grid.n : 2;
  if (o->c * o->h * o->w != expected) {
    return nsl_fail(err, NSL_E_MISMATCH, "the network gives %d numbers a source, head '%s' needs %d", o->c * o->h * o->w,
                    nsl_head_words[m->head], expected);
  }
  return NSL_OK;
}

nsl_status nsl_model_fits_instrument(const nsl_model *model, const nsl_instrument *inst, const char *model_path, nsl_error *err)
{
  const nsl_band band[2] = {inst->bands[inst->stamp_band[0]], inst->bands[inst->stamp_band[1]]};
  char *difference = nsl_bands_difference(band, model->band);
  if (!difference) { return NSL_OK; }
  nsl_status st = nsl_fail(err, NSL_E_MISMATCH, "instrument %s: %s as in %s: train a network for this instrument", inst->name,
                           difference, model_path);
  free(difference);
  return st;
}

void nsl_model_free(nsl_model *model)
{
  if (!model) { return; }
  nsl_graph_free(&model->graph);
  free(model->card);
  *model = (nsl_model){0};
}
