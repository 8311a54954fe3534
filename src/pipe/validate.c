#include "noslit/pipe/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/model/flags.h"
#include "noslit/pipe/made_by.h"
#include "pipe/validate_internal.h"

enum { DRAWS = 200 };

/* The paper's numbers (arXiv:2605.16762, abstract), on its own mock. */
static const struct {
  const char *selection;
  double sigma_nmad, mean_e;
} paper[] = {{"snr_gi>=1", 0.0104, 0.0155}, {"snr_gi>=3", 0.0047, NAN}, {"snr_gi>=5", 0.0037, NAN}, {"snr_gi>=10", 0.0024, NAN}};

typedef struct {
  const nsl_validation *v;
  const nsl_bootstrap *bootstrap;
  nsl_json *doc;
} document;

static nsl_status add_selection(const nsl_validation_bin *bin, const uint32_t *rows, size_t n, size_t n_no_pdf, void *context,
                                nsl_error *err)
{
  const document *d = context;
  nsl_metrics m;
  nsl_status st = nsl_metrics_compute(d->v->scores, rows, n, d->bootstrap, &m, err);
  if (st != NSL_OK) { return st; }
  nsl_json *o = nsl_json_object();
  nsl_json_set_i64(o, "n", (int64_t)n);
  nsl_json_set_i64(o, "n_no_pdf", (int64_t)n_no_pdf);
  if (n < NSL_FEW) { nsl_json_set_bool(o, "few", 1); }
  if (bin->axis) {
    nsl_json_set_text(o, "axis", bin->axis);
    if (strcmp(bin->axis, "flags") != 0) {
      nsl_json_set_f64(o, "lo", bin->lo);
      nsl_json_set_f64(o, "hi", bin->hi);
    }
  }
  for (int k = 0; k < NSL_N_METRICS; k++) {
    char key[64];
    snprintf(key, sizeof key, "%s_err", nsl_metric_key((nsl_metric)k));
    nsl_json_set_f64(o, nsl_metric_key((nsl_metric)k), m.value[k]);
    nsl_json_set_f64(o, key, m.error[k]);
  }
  nsl_json_set(d->doc, bin->key, o);
  return NSL_OK;
}

static nsl_json *match_object(const nsl_validation *v)
{
  size_t with_pdf = 0;
  for (size_t i = 0; i < v->n; i++) { with_pdf += v->info[i].has_pdf != 0; }
  nsl_json *o = nsl_json_object();
  nsl_json_set_text(o, "by", v->by_position ? "position" : "id");
  nsl_json_set_i64(o, "n_truth", v->truth.used);
  nsl_json_set_i64(o, "n_catalogue", v->n_catalogue);
  nsl_json_set_i64(o, "n_catalogue_no_pdf", v->n_catalogue_no_pdf);
  nsl_json_set_i64(o, "matched", v->match.matched);
  nsl_json_set_i64(o, "matched_no_pdf", v->match.matched - (int64_t)with_pdf);
  nsl_json_set_i64(o, "ambiguous", v->match.ambiguous);
  nsl_json_set_i64(o, "unmatched", v->match.unmatched);
  nsl_json_set_i64(o, "far_apart", v->n_far_apart);
  nsl_json_set_i64(o, "duplicate_sources", v->match.duplicate_sources);
  nsl_json_set_f64(o, "completeness", v->n ? (double)with_pdf / (double)v->n : NAN);
  nsl_json_set_f64(o, "matched_fraction", v->truth.used ? (double)v->match.matched / (double)v->truth.used : NAN);
  nsl_json *left_out = nsl_json_object();
  nsl_json_set_i64(left_out, "rows", v->truth.rows);
  nsl_json_set_i64(left_out, "zwarn", v->truth.zwarn);
  nsl_json_set_i64(left_out, "not_primary", v->truth.not_primary);
  nsl_json_set_i64(left_out, "small_deltachi2", v->truth.unsure);
  nsl_json_set_i64(left_out, "star", v->truth.star);
  nsl_json_set_i64(left_out, "qso", v->truth.qso);
  nsl_json_set_i64(left_out, "not_finite", v->truth.bad);
  nsl_json_set(o, "truth_table", left_out);
  return o;
}

/* Mean redshift of the sample three ways: what a tomographic bin would be shifted by. */
static nsl_json *nz_object(const nsl_validation *v)
{
  double truth = 0, point = 0, stacked = 0, mass = 0;
  size_t n = 0;
  for (size_t i = 0; i < v->n; i++) {
    if (!v->info[i].has_pdf) { continue; }
    truth += v->scores[i].z_true;
    point += v->scores[i].z_point;
    n++;
  }
  for (int b = 0; b < v->grid.n; b++) {
    stacked += v->stacked[b] * 0.5 * (nsl_pdf_edge_z(&v->grid, b) + nsl_pdf_edge_z(&v->grid, b + 1));
    mass += v->stacked[b];
  }
  nsl_json *o = nsl_json_object();
  nsl_json_set_f64(o, "mean_z_truth", n ? truth / (double)n : NAN);
  nsl_json_set_f64(o, "mean_z_point", n ? point / (double)n : NAN);
  nsl_json_set_f64(o, "mean_z_stacked", mass > 0 ? stacked / mass : NAN);
  return o;
}

static nsl_json *columns_object(const nsl_validation *v)
{
  static const char *const names[NSL_TRUTH_N_COLUMNS] = {[NSL_TRUTH_ID] = "id",
                                                         [NSL_TRUTH_Z] = "z",
                                                         [NSL_TRUTH_RA] = "ra",
                                                         [NSL_TRUTH_DEC] = "dec",
                                                         [NSL_TRUTH_SNR_GI] = "snr_gi",
                                                         [NSL_TRUTH_SIZE] = "size",
#define NAME(word, key) [NSL_TRUTH_INJECTED + NSL_INJECTED_##word] = #key,
                                                         NSL_INJECTED_LIST(NAME)
#undef NAME
                                                             [NSL_TRUTH_ZWARN] = "zwarn",
                                                         [NSL_TRUTH_PRIMARY] = "primary",
                                                         [NSL_TRUTH_DELTACHI2] = "deltachi2",
                                                         [NSL_TRUTH_SPECTYPE] = "spectype"};
  nsl_json *o = nsl_json_object();
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) {
    if (v->columns[c]) { nsl_json_set_text(o, names[c], v->columns[c]); }
  }
  return o;
}

static int by_tile(const void *a, const void *b, void *context)
{
  const nsl_matched *info = context, *x = &info[*(const uint32_t *)a], *y = &info[*(const uint32_t *)b];
  return (x->tile > y->tile) - (x->tile < y->tile);
}

/* One entry a tile that holds matched sources, in ascending order; the numbers are of those with a PDF. */
static nsl_status add_tiles(const nsl_validation *v, nsl_json *doc, nsl_error *err)
{
  static const nsl_metric shown[] = {NSL_METRIC_BIAS, NSL_METRIC_SIGMA_NMAD, NSL_METRIC_OUTLIER_002, NSL_METRIC_PIT_KS};
  nsl_status st = NSL_OK;
  nsl_json *list = nsl_json_array();
  uint32_t *order = malloc((v->n + 1) * sizeof *order), *rows = malloc((v->n + 1) * sizeof *rows);
  if (!order || !rows) { NSL_THROW(err, NSL_E_NOMEM, "tiles of %zu sources", v->n); }
  for (size_t i = 0; i < v->n; i++) { order[i] = (uint32_t)i; }
  qsort_r(order, v->n, sizeof *order, by_tile, v->info);
  for (size_t first = 0, end; first < v->n; first = end) {
    size_t n = 0;
    int64_t tile = v->info[order[first]].tile;
    for (end = first; end < v->n && v->info[order[end]].tile == tile; end++) {
      if (v->info[order[end]].has_pdf) { rows[n++] = order[end]; }
    }
    nsl_metrics m;
    NSL_TRY(nsl_metrics_compute(v->scores, rows, n, NULL, &m, err));
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "tile", tile);
    nsl_json_set_i64(o, "n", (int64_t)n);
    nsl_json_set_i64(o, "n_no_pdf", (int64_t)(end - first - n));
    for (size_t k = 0; k < sizeof shown / sizeof *shown; k++) { nsl_json_set_f64(o, nsl_metric_key(shown[k]), m.value[shown[k]]); }
    nsl_json_push(list, o);
  }
  nsl_json_set(doc, "tiles", list);
  list = NULL;
cleanup:
  nsl_json_free(list);
  free(order);
  free(rows);
  return st;
}

static nsl_json *paper_object(void)
{
  nsl_json *o = nsl_json_object();
  nsl_json_set_text(o, "source", "arXiv:2605.16762, abstract; measured on that paper's own simulations");
  for (size_t i = 0; i < sizeof paper / sizeof *paper; i++) {
    nsl_json *p = nsl_json_object();
    nsl_json_set_f64(p, "sigma_nmad", paper[i].sigma_nmad);
    if (isfinite(paper[i].mean_e)) { nsl_json_set_f64(p, "mean_e", paper[i].mean_e); }
    nsl_json_set(o, paper[i].selection, p);
  }
  return o;
}

static nsl_json *flags_array(void)
{
  nsl_json *list = nsl_json_array();
#define ROW(name, index, key, text)        \
  {                                        \
    nsl_json *o = nsl_json_object();       \
    nsl_json_set_i64(o, "bit", index);     \
    nsl_json_set_text(o, "word", key);     \
    nsl_json_set_text(o, "meaning", text); \
    nsl_json_push(list, o);                \
  }
  NSL_FLAG_LIST(ROW)
#undef ROW
  return list;
}

static nsl_json *meta_object(const nsl_validate_options *o, const nsl_validation *v, int order, uint32_t n_units, int n_draws)
{
  nsl_json *meta = nsl_json_object(), *bootstrap = nsl_json_object(), *definitions = nsl_json_object();
  nsl_json_set_text(meta, "noslit", nsl_made_by_text());
  nsl_json_set_text(meta, "libraries", nsl_serial_libraries());
  nsl_json_set_text(meta, "catalogue", o->catalogue);
  nsl_json_set_text(meta, "truth", o->truth);
  nsl_json_set(meta, "truth_columns", columns_object(v));
  if (v->by_position) { nsl_json_set_f64(meta, "match_radius_arcsec", o->match_radius_arcsec); }
  char *select = o->select && !nsl_select_is_all(o->select) ? nsl_select_text(o->select) : NULL;
  if (select) { nsl_json_set_text(meta, "select", select); }
  free(select);
  nsl_json_set_text(meta, "point_estimate", "z_mode (z_median beside it where a key says so)");
  nsl_json_set_text(meta, "snr_gi",
                    v->columns[NSL_TRUTH_SNR_GI] ? "truth table (noise-free signal, the paper's definition)"
                                                 : "catalogue (measured on the data)");
  nsl_json_set_i64(meta, "few_below_n", NSL_FEW);
  nsl_json_set_text(bootstrap, "unit", order < 0 ? "source" : "HEALPix pixel");
  if (order >= 0) { nsl_json_set_i64(bootstrap, "order", order); }
  nsl_json_set_i64(bootstrap, "units", n_units);
  nsl_json_set_i64(bootstrap, "draws", n_draws);
  nsl_json_set_i64(bootstrap, "seed", (int64_t)o->seed);
  nsl_json_set(meta, "bootstrap", bootstrap);
  for (int m = 0; m < NSL_N_METRICS; m++) {
    nsl_json_set_text(definitions, nsl_metric_key((nsl_metric)m), nsl_metric_definition((nsl_metric)m));
  }
  nsl_json_set_text(definitions, "notation", "dz = z_p - z_t, e = dz/(1+z_t), F and p the CDF and density of the PDF in z");
  nsl_json_set_text(definitions, "_err", "standard deviation over the bootstrap draws");
  nsl_json_set_text(definitions, "n", "matched sources with a PDF: only they enter the metrics");
  nsl_json_set_text(definitions, "completeness", "match: matched sources with a PDF over matched sources");
  nsl_json_set_text(
      definitions, "confidence",
      "efficiency N(pass)/N, purity N(pass and good)/N(pass), completeness N(pass and good)/N; N matched sources, with "
      "or without a PDF");
  nsl_json_set(meta, "definitions", definitions);
  nsl_json_set(meta, "paper", paper_object());
  nsl_json_set(meta, "flags", flags_array());
  return meta;
}

nsl_status nsl_validate(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log, nsl_json **metrics,
                        nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_validation v = {0};
  nsl_bootstrap bootstrap = {0};
  nsl_catalogue *c = NULL;
  document d = {&v, NULL, NULL};
  int order, n_draws = o->n_draws ? o->n_draws : DRAWS;
  uint32_t n_units;
  int part;
  if (o->select && nsl_select_part(o->select, &part)) {
    NSL_THROW(err, NSL_E_USAGE, "a part of a run (--part) is nothing to validate; name tiles, regions, exposures or sources");
  }
  *metrics = NULL;
  NSL_TRY(nsl_validation_load(o, comm, log, &v, err));
  if (comm->rank > 0) { goto cleanup; }
  NSL_TRY(nsl_catalogue_open(o->catalogue, &c, err));
  NSL_TRY(nsl_validation_units(&v, nsl_catalogue_order(c), &order, &n_units, err));
  if (n_draws > 0) {
    NSL_TRY(nsl_bootstrap_init(&bootstrap, n_draws, n_units, o->seed, err));
    d.bootstrap = &bootstrap;
  }
  d.doc = nsl_json_object();
  NSL_TRY(nsl_validation_select(&v, add_selection, &d, err));
  nsl_json_set(d.doc, "match", match_object(&v));
  NSL_TRY(add_tiles(&v, d.doc, err));
  NSL_TRY(nsl_validation_confidence(&v, d.doc, err));
  nsl_json_set(d.doc, "nz", nz_object(&v));
  nsl_json_set(d.doc, "meta", meta_object(o, &v, order, n_units, n_draws > 0 ? n_draws : 0));
  if (o->matched_path) { NSL_TRY(nsl_validation_write_matched(&v, o->matched_path, err)); }
  *metrics = d.doc;
  d.doc = NULL;
cleanup:
  nsl_json_free(d.doc);
  nsl_bootstrap_free(&bootstrap);
  nsl_validation_free(&v);
  nsl_catalogue_close(c);
  return st;
}
