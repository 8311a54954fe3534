/* Which redshifts to believe: purity and completeness against a cut in odds or p_good, whether these probabilities are
 * what they say, and the failures that odds did not see. */
#include <math.h>
#include <stdlib.h>

#include "noslit/model/calibration.h"
#include "pipe/validate_internal.h"

enum { CURVE_POINTS = 100, WORST = 12, RELIABILITY_BINS = 10 };

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

typedef struct {
  const char *key, *name;
  size_t offset; /* of a float in nsl_matched */
} confidence;

static float confidence_of(const nsl_validation *v, const confidence *c, size_t i)
{
  return v->info[i].has_pdf ? *(const float *)(const void *)((const char *)&v->info[i] + c->offset) : NAN;
}

/* Purity and completeness against a cut in one measure of confidence. */
static nsl_status add_purity(const nsl_validation *v, const confidence *c, nsl_json *doc, nsl_error *err)
{
  size_t n = 0;
  float *values = malloc((v->n ? v->n : 1) * sizeof *values);
  uint8_t *good = malloc(v->n ? v->n : 1);
  uint32_t *order = malloc((v->n ? v->n : 1) * sizeof *order);
  if (!values || !good || !order) {
    free(values);
    free(good);
    free(order);
    return nsl_fail(err, NSL_E_NOMEM, "no memory for the purity of %zu sources", v->n);
  }
  for (size_t i = 0; i < v->n; i++) {
    float value = confidence_of(v, c, i);
    if (isnan(value)) { continue; }
    values[n] = value;
    good[n++] = error_of(v, i) < NSL_GOOD_E;
  }
  nsl_cut_point points[CURVE_POINTS], cut;
  int n_points = n ? nsl_purity_curve(values, good, n, v->n, order, points, CURVE_POINTS) : 0;
  nsl_json *o = nsl_json_object(), *curve = nsl_json_array();
  nsl_json_set_text(o, "confidence", c->name);
  nsl_json_set_f64(o, "good_below_e", NSL_GOOD_E);
  for (int i = 0; i < n_points; i++) { nsl_json_push(curve, cut_object(&points[i])); }
  nsl_json_set(o, "curve", curve);
  if (n && nsl_purity_cut(values, good, n, v->n, order, 0.95, &cut)) { nsl_json_set(o, "purity_95", cut_object(&cut)); }
  if (n && nsl_purity_cut(values, good, n, v->n, order, 0.99, &cut)) { nsl_json_set(o, "purity_99", cut_object(&cut)); }
  nsl_json_set(doc, c->key, o);
  free(values);
  free(good);
  free(order);
  return NSL_OK;
}

/* What was claimed and what was found, in bins of the claim: right to 0.01 (1+z), as odds and p_good mean it. */
static void add_reliability(const nsl_validation *v, const confidence *c, nsl_json *doc)
{
  double claimed[RELIABILITY_BINS] = {0}, found[RELIABILITY_BINS] = {0}, brier = 0, gap = 0;
  size_t n[RELIABILITY_BINS] = {0}, total = 0;
  for (size_t i = 0; i < v->n; i++) {
    double p = (double)confidence_of(v, c, i), good = error_of(v, i) < NSL_P_GOOD_E;
    if (isnan(p)) { continue; }
    int bin = p < 1 ? (int)(p * RELIABILITY_BINS) : RELIABILITY_BINS - 1;
    n[bin]++;
    claimed[bin] += p;
    found[bin] += good;
    brier += (p - good) * (p - good);
    total++;
  }
  nsl_json *o = nsl_json_object(), *bins = nsl_json_array();
  for (int b = 0; b < RELIABILITY_BINS; b++) {
    if (n[b] == 0) { continue; }
    nsl_json *row = nsl_json_object();
    nsl_json_set_i64(row, "n", (int64_t)n[b]);
    nsl_json_set_f64(row, "claimed", claimed[b] / (double)n[b]);
    nsl_json_set_f64(row, "found", found[b] / (double)n[b]);
    nsl_json_push(bins, row);
    gap += fabs(claimed[b] - found[b]) / (double)total;
  }
  nsl_json_set_f64(o, "good_below_e", NSL_P_GOOD_E);
  nsl_json_set_i64(o, "n", (int64_t)total);
  nsl_json_set_f64(o, "brier", total ? brier / (double)total : NAN);
  nsl_json_set_f64(o, "mean_gap", total ? gap : NAN);
  nsl_json_set(o, "bins", bins);
  nsl_json_set(doc, c->name, o);
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
  static const confidence measures[] = {{"confidence", "odds", offsetof(nsl_matched, odds)},
                                        {"confidence_p_good", "p_good", offsetof(nsl_matched, p_good)}};
  nsl_json *reliability = nsl_json_object();
  for (size_t k = 0; k < sizeof measures / sizeof *measures; k++) {
    nsl_status st = add_purity(v, &measures[k], doc, err);
    if (st != NSL_OK) {
      nsl_json_free(reliability);
      return st;
    }
    add_reliability(v, &measures[k], reliability);
  }
  nsl_json_set(doc, "reliability", reliability);
  nsl_json_set(doc, "worst", worst_array(v));
  return NSL_OK;
}
