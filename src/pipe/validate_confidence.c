/* Which redshifts to believe: purity and completeness against a cut in odds, and the failures that odds did not see. */
#include <math.h>
#include <stdlib.h>

#include "pipe/validate_internal.h"

enum { CURVE_POINTS = 100, WORST = 12 };

static double error_of(const nsl_validation *v, size_t i)
{
  return fabs((double)v->scores[i].z_point - v->scores[i].z_true) / (1 + v->scores[i].z_true);
}

static nsl_json *cut_object(const nsl_cut_point *p)
{
  nsl_json *o = nsl_json_object();
  nsl_json_set_f64(o, "threshold", p->threshold);
  nsl_json_set_f64(o, "efficiency", p->efficiency);
  nsl_json_set_f64(o, "purity", p->purity);
  nsl_json_set_f64(o, "completeness", p->completeness);
  return o;
}

/* Purity and completeness against a cut in odds. */
static nsl_status add_purity(const nsl_validation *v, nsl_json *doc, nsl_error *err)
{
  size_t n = 0;
  float *odds = malloc((v->n ? v->n : 1) * sizeof *odds);
  uint8_t *good = malloc(v->n ? v->n : 1);
  uint32_t *order = malloc((v->n ? v->n : 1) * sizeof *order);
  if (!odds || !good || !order) {
    free(odds);
    free(good);
    free(order);
    return nsl_fail(err, NSL_E_NOMEM, "no memory for the purity of %zu sources", v->n);
  }
  for (size_t i = 0; i < v->n; i++) {
    if (!v->info[i].has_pdf || isnan(v->info[i].odds)) { continue; }
    odds[n] = v->info[i].odds;
    good[n++] = error_of(v, i) < NSL_GOOD_E;
  }
  nsl_cut_point points[CURVE_POINTS], cut;
  int n_points = n ? nsl_purity_curve(odds, good, n, v->n, order, points, CURVE_POINTS) : 0;
  nsl_json *o = nsl_json_object(), *curve = nsl_json_array();
  nsl_json_set_text(o, "confidence", "odds");
  nsl_json_set_f64(o, "good_below_e", NSL_GOOD_E);
  for (int i = 0; i < n_points; i++) { nsl_json_push(curve, cut_object(&points[i])); }
  nsl_json_set(o, "curve", curve);
  if (n && nsl_purity_cut(odds, good, n, v->n, order, 0.95, &cut)) { nsl_json_set(o, "purity_95", cut_object(&cut)); }
  if (n && nsl_purity_cut(odds, good, n, v->n, order, 0.99, &cut)) { nsl_json_set(o, "purity_99", cut_object(&cut)); }
  nsl_json_set(doc, "confidence", o);
  free(odds);
  free(good);
  free(order);
  return NSL_OK;
}

/* The bad redshifts with the highest odds, by insertion into a short list. */
static nsl_json *worst_array(const nsl_validation *v)
{
  size_t worst[WORST], n = 0;
  for (size_t i = 0; i < v->n; i++) {
    if (!v->info[i].has_pdf || !(v->info[i].odds >= 0) || error_of(v, i) <= NSL_GOOD_E) { continue; }
    size_t k = n < WORST ? n++ : WORST;
    for (; k > 0 && v->info[i].odds > v->info[worst[k - 1]].odds; k--) {
      if (k < WORST) { worst[k] = worst[k - 1]; }
    }
    if (k < WORST) { worst[k] = i; }
  }
  nsl_json *list = nsl_json_array();
  for (size_t k = 0; k < n; k++) {
    const nsl_matched *m = &v->info[worst[k]];
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "object_id", m->object_id);
    nsl_json_set_i64(o, "row", m->row);
    nsl_json_set_f64(o, "z_true", v->scores[worst[k]].z_true);
    nsl_json_set_f64(o, "z_mode", v->scores[worst[k]].z_point);
    nsl_json_set_f64(o, "odds", m->odds);
    nsl_json_push(list, o);
  }
  return list;
}

nsl_status nsl_validation_confidence(const nsl_validation *v, nsl_json *doc, nsl_error *err)
{
  nsl_status st = add_purity(v, doc, err);
  if (st == NSL_OK) { nsl_json_set(doc, "worst", worst_array(v)); }
  return st;
}
