#include "noslit/pipe/calibrate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/io/json.h"
#include "noslit/model/flags.h"
#include "noslit/model/metrics.h"
#include "noslit/pipe/made_by.h"
#include "noslit/pipe/stamp_rows.h"

#define BATCH 64

/* Galaxies with a PDF and a redshift on the grid, close together. */
typedef struct {
  nsl_pdf_grid grid;
  size_t n;
  float *prob; /* [n][bins] */
  double *z;
  nsl_calibration_facts *facts;
  nsl_hash stamps;
} cases;

static void cases_free(cases *c)
{
  free(c->prob);
  free(c->z);
  free(c->facts);
}

static nsl_status cases_make(const nsl_rows *rows, const nsl_stamp_reader *reader, cases *c, nsl_error *err)
{
  size_t bins = (size_t)rows->grid.n;
  *c = (cases){.grid = rows->grid, .stamps = nsl_stamp_reader_hash(reader)};
  c->prob = malloc((rows->n + 1) * bins * sizeof *c->prob);
  c->z = malloc((rows->n + 1) * sizeof *c->z);
  c->facts = malloc((rows->n + 1) * sizeof *c->facts);
  if (!c->prob || !c->z || !c->facts) { return nsl_fail(err, NSL_E_NOMEM, "calibration on %zu stamps", rows->n); }
  for (size_t i = 0; i < rows->n; i++) {
    const nsl_stamp_label *l = nsl_stamp_reader_label(reader, i);
    double bin = (log1p(l->z) - rows->grid.u0) / rows->grid.du;
    if (l->type != NSL_STAMP_GALAXY || (rows->flags[i] & NSL_FLAG_NO_PDF) || !(bin >= 0 && bin < rows->grid.n)) { continue; }
    nsl_pdf_from_density_z(&rows->grid, rows->pdf + i * bins, c->prob + c->n * bins);
    c->z[c->n] = l->z;
    c->facts[c->n++] = nsl_infer_facts(rows, i);
  }
  return NSL_OK;
}

/* Scores with this calibration; good and unusual are counted into *s. */
static nsl_status score(const cases *c, const nsl_calibration *calibration, nsl_calibrate_summary *s, nsl_calibrate_score *out,
                        nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t bins = (size_t)c->grid.n;
  nsl_scorer scorer = {0};
  nsl_metrics m;
  nsl_score *scores = calloc(c->n, sizeof *scores);
  float *prob = malloc(2 * bins * sizeof *prob), *density = prob + bins;
  if (!scores || !prob) { NSL_THROW(err, NSL_E_NOMEM, "calibration on %zu stamps", c->n); }
  NSL_TRY(nsl_scorer_init(&scorer, &c->grid, err));
  s->n_good = s->n_unusual = 0;
  for (size_t i = 0; i < c->n; i++) {
    nsl_pdf_summary summary;
    memcpy(prob, c->prob + i * bins, bins * sizeof *prob);
    nsl_pdf_summarise(&c->grid, prob, &summary);
    nsl_calibration_point at = nsl_calibration_locate(&c->grid, &summary, c->facts[i].snr_gi);
    nsl_calibration_correct(calibration, &c->grid, at, prob);
    nsl_pdf_summarise(&c->grid, prob, &summary);
    nsl_pdf_density_z(&c->grid, prob, density);
    nsl_scorer_run(&scorer, density, c->z[i], &scores[i]);
    scores[i].z_true = c->z[i];
    scores[i].z_point = (float)summary.z_mode;
    scores[i].z_median = (float)summary.z_median;
    s->n_good += fabs(summary.z_mode - c->z[i]) < NSL_P_GOOD_E * (1 + c->z[i]);
    s->n_unusual += (size_t)nsl_calibration_is_unusual(calibration, at, &c->facts[i]);
  }
  NSL_TRY(nsl_metrics_compute(scores, NULL, c->n, NULL, &m, err));
  *out = (nsl_calibrate_score){m.value[NSL_METRIC_NLL_U], m.value[NSL_METRIC_PIT_KS], m.value[NSL_METRIC_COVERAGE_68],
                               m.value[NSL_METRIC_COVERAGE_95]};
cleanup:
  nsl_scorer_free(&scorer);
  free(scores);
  free(prob);
  return st;
}

static nsl_json *score_object(const nsl_calibrate_score *s)
{
  nsl_json *j = nsl_json_object();
  nsl_json_set_f64(j, "nll_u", s->nll);
  nsl_json_set_f64(j, "pit_ks", s->pit_ks);
  nsl_json_set_f64(j, "coverage_68", s->coverage_68);
  nsl_json_set_f64(j, "coverage_95", s->coverage_95);
  return j;
}

/* The card's "calibration". */
static nsl_status note_in_card(const nsl_calibrate_job *job, const cases *c, const nsl_calibrate_summary *s, char **card,
                               nsl_error *err)
{
  nsl_json *root = NULL;
  char hex[NSL_HASH_HEX];
  nsl_status st = nsl_json_parse(*card && **card ? *card : "{}", "model card", &root, err);
  if (st != NSL_OK) { return st; }
  nsl_json *j = nsl_json_object();
  nsl_hash_to_hex(c->stamps, hex);
  nsl_made_by_json(j);
  nsl_json_set_text(j, "data_hash", hex);
  nsl_json_set_i64(j, "n", (int64_t)s->n);
  nsl_json_set_i64(j, "n_good", (int64_t)s->n_good);
  nsl_json_set_i64(j, "n_unusual", (int64_t)s->n_unusual);
  nsl_json_set_i64(j, "samples", job->samples);
  nsl_json_set(j, "before", score_object(&s->before));
  nsl_json_set(j, "after", score_object(&s->after));
  nsl_json_set(root, "calibration", j);
  char *text = nsl_json_text(root);
  nsl_json_free(root);
  if (!text) { return nsl_fail(err, NSL_E_NOMEM, "model card"); }
  free(*card);
  *card = text;
  return NSL_OK;
}

static nsl_status collect(const nsl_calibrate_job *job, const nsl_log *log, cases *c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_infer *inf = NULL;
  nsl_stamp_reader *reader = NULL;
  nsl_rows rows = {0};
  NSL_TRY(nsl_infer_new(job->model, NULL, job->samples, BATCH, job->seed, &inf, err));
  nsl_infer_uncalibrated(inf);
  NSL_TRY(nsl_stamp_reader_open(job->stamps, job->n_stamps, 0, 1, &reader, err));
  NSL_TRY(nsl_stamp_rows(inf, reader, 0, BATCH, log, &rows, err));
  NSL_TRY(cases_make(&rows, reader, c, err));
cleanup:
  nsl_rows_free(&rows);
  nsl_stamp_reader_close(reader);
  nsl_infer_free(inf);
  return st;
}

nsl_status nsl_model_calibrate(const nsl_calibrate_job *job, const nsl_log *log, nsl_calibrate_summary *summary, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_calibration none = {0};
  nsl_model model = {0};
  nsl_net *net = NULL;
  cases c = {0};
  nsl_graph_init(&model.graph);
  *summary = (nsl_calibrate_summary){0};
  NSL_TRY(collect(job, log, &c, err));
  NSL_TRY(nsl_model_read(job->model, 1, 0, &model, &net, err));
  NSL_TRY(nsl_calibration_fit(&c.grid, c.n, c.prob, c.facts, c.z, &model.calibration, err));
  summary->n = c.n;
  NSL_TRY(score(&c, &none, summary, &summary->before, err));
  NSL_TRY(score(&c, &model.calibration, summary, &summary->after, err));
  NSL_TRY(note_in_card(job, &c, summary, &model.card, err));
  NSL_TRY(nsl_model_write(job->out, &model, net, err));
  nsl_info(log,
           "calibration on %zu sources: nll %.4f to %.4f, PIT KS %.3f to %.3f, 68 %% coverage %.3f to %.3f; right to 0.01 (1+z): "
           "%zu; unusual: %zu",
           summary->n, summary->before.nll, summary->after.nll, summary->before.pit_ks, summary->after.pit_ks,
           summary->before.coverage_68, summary->after.coverage_68, summary->n_good, summary->n_unusual);
cleanup:
  cases_free(&c);
  nsl_net_free(net);
  nsl_model_free(&model);
  return st;
}
