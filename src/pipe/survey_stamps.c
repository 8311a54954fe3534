#include "noslit/pipe/survey_stamps.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "noslit/pipe/config_load.h"
#include "noslit/pipe/stamp_file.h"
#include "noslit/pipe/stamper.h"
#include "pipe/plan_internal.h"

const char *const nsl_survey_sets[NSL_SURVEY_SETS] = {"train", "validation", "calibration"};

/* Sources of the chosen tiles, in the order of the plan. */
typedef struct {
  size_t n, capacity;
  int64_t *id;
  double *ra, *dec;
  uint32_t *tile; /* index in the plan */
} sources;

/* One file being filled for each set. */
typedef struct {
  nsl_stamp_writer *writer;
  char *path;
  int count, files;
} shelf;

typedef struct {
  const nsl_survey_stamps_job *job;
  const nsl_log *log;
  nsl_instrument *inst;
  nsl_plan plan;
  nsl_exposure_cache *exposures;
  nsl_stamp_set set;
  sources sources;
  nsl_match *matches;
  size_t n_matches;
  shelf shelves[NSL_SURVEY_SETS];
  char *provenance;
  nsl_survey_stamps_summary *out;
} job_state;

static void state_free(job_state *s)
{
  for (int k = 0; k < NSL_SURVEY_SETS; k++) {
    nsl_stamp_writer_discard(s->shelves[k].writer);
    free(s->shelves[k].path);
  }
  free(s->sources.id);
  free(s->sources.ra);
  free(s->sources.dec);
  free(s->sources.tile);
  free(s->matches);
  free(s->provenance);
  nsl_stamp_set_free(&s->set);
  nsl_exposure_cache_free(s->exposures);
  nsl_plan_free(&s->plan);
  if (s->inst) { nsl_instrument_free(s->inst); }
  free(s->inst);
}

/* --- who has a redshift --- */

static int reserve(sources *s, size_t n)
{
  if (n <= s->capacity) { return 1; }
  size_t capacity = 2 * n;
  int64_t *id = realloc(s->id, capacity * sizeof *id);
  if (id) { s->id = id; }
  double *ra = realloc(s->ra, capacity * sizeof *ra);
  if (ra) { s->ra = ra; }
  double *dec = realloc(s->dec, capacity * sizeof *dec);
  if (dec) { s->dec = dec; }
  uint32_t *tile = realloc(s->tile, capacity * sizeof *tile);
  if (tile) { s->tile = tile; }
  if (!id || !ra || !dec || !tile) { return 0; }
  s->capacity = capacity;
  return 1;
}

static nsl_status collect_sources(job_state *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_source_reader *r = NULL;
  char *generation = nsl_plan_generation(&s->plan), *folder = generation ? nsl_plan_path(s->job->cfg, generation) : NULL;
  unsigned char *chosen = calloc(s->plan.n_tiles + 1, 1);
  if (!folder || !chosen) { NSL_THROW(err, NSL_E_NOMEM, "sources of the plan"); }
  NSL_TRY(nsl_plan_choose(s->job->cfg, &s->plan, s->job->select, chosen, err));
  NSL_TRY(nsl_source_reader_new(folder, &r, err));
  for (size_t t = 0; t < s->plan.n_tiles; t++) {
    const nsl_source *in;
    size_t n;
    if (!chosen[t]) { continue; }
    NSL_TRY(nsl_source_reader_get(r, s->plan.tiles[t].tile, &in, &n, err));
    if (!reserve(&s->sources, s->sources.n + n)) { NSL_THROW(err, NSL_E_NOMEM, "positions of the survey's sources"); }
    for (size_t i = 0; i < n; i++) {
      size_t k = s->sources.n++;
      s->sources.id[k] = in[i].id;
      s->sources.ra[k] = in[i].ra_deg;
      s->sources.dec[k] = in[i].dec_deg;
      s->sources.tile[k] = (uint32_t)t;
    }
  }
cleanup:
  nsl_source_reader_free(r);
  free(generation);
  free(folder);
  free(chosen);
  return st;
}

static nsl_status match_truth(job_state *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_truth *truth = NULL;
  nsl_matcher *matcher = NULL;
  nsl_truth_options options = s->job->truth;
  int by_position = s->job->by_position;
  options.need_position = by_position;
  NSL_TRY(nsl_truth_open(&options, &truth, err));
  if (!by_position && !nsl_truth_name(truth, NSL_TRUTH_ID)) {
    nsl_info(s->log, "%s has no identifier column: matching by position within %g arcsec", options.path, s->job->radius_arcsec);
    nsl_truth_close(truth);
    truth = NULL;
    by_position = options.need_position = 1;
    NSL_TRY(nsl_truth_open(&options, &truth, err));
  }
  NSL_TRY(by_position
              ? nsl_matcher_new_by_position(s->sources.ra, s->sources.dec, s->sources.n, s->job->radius_arcsec, &matcher, err)
              : nsl_matcher_new_by_id(s->sources.id, s->sources.n, &matcher, err));
  const nsl_truth_row *rows;
  for (size_t n = 1; n;) {
    NSL_TRY(nsl_truth_next(truth, &rows, &n, err));
    NSL_TRY(nsl_matcher_add(matcher, rows, n, err));
  }
  s->out->truth = *nsl_truth_counted(truth);
  NSL_TRY(nsl_matcher_result(matcher, &s->matches, &s->n_matches, &s->out->match, err));
  int part;
  if (s->n_matches == 0 && !nsl_select_part(s->job->select, &part)) {
    NSL_THROW(err, NSL_E_NOTFOUND, "%s: none of its %lld usable redshifts belongs to one of %zu sources%s", options.path,
              (long long)s->out->truth.used, s->sources.n, by_position ? "" : "; if its identifiers are others, use --by-position");
  }
cleanup:
  nsl_matcher_free(matcher);
  nsl_truth_close(truth);
  return st;
}

/* --- their stamps --- */

static char *shelf_path(const job_state *s, int set, int file)
{
  int part = 0;
  if (nsl_select_part(s->job->select, &part)) {
    return nsl_strf("%s/%s_p%d_%05d.h5", s->job->dir, nsl_survey_sets[set], part, file);
  }
  return nsl_strf("%s/%s_%05d.h5", s->job->dir, nsl_survey_sets[set], file);
}

static nsl_status refuse_old_files(const job_state *s, nsl_error *err)
{
  for (int set = 0; set < NSL_SURVEY_SETS; set++) {
    char *path = shelf_path(s, set, 0);
    nsl_status st = !path ? nsl_fail(err, NSL_E_NOMEM, "stamps")
                    : nsl_file_exists(path)
                        ? nsl_fail(err, NSL_E_CONFIG, "%s is there already: remove the old stamps, or give another --out", path)
                        : NSL_OK;
    free(path);
    if (st != NSL_OK) { return st; }
  }
  return NSL_OK;
}

static nsl_status close_shelf(job_state *s, shelf *f, nsl_error *err)
{
  if (!f->writer) { return NSL_OK; }
  nsl_status st = nsl_stamp_writer_finish(f->writer, err);
  f->writer = NULL;
  f->count = 0;
  s->out->files += st == NSL_OK;
  return st;
}

static nsl_status put_stamp(job_state *s, int set, const nsl_stamp *stamp, const nsl_stamp_label *label, nsl_error *err)
{
  nsl_status st = NSL_OK;
  shelf *f = &s->shelves[set];
  if (f->count == s->job->per_file) { NSL_TRY(close_shelf(s, f, err)); }
  if (!f->writer) {
    free(f->path);
    f->path = shelf_path(s, set, f->files++);
    if (!f->path) { NSL_THROW(err, NSL_E_NOMEM, "stamps"); }
    NSL_TRY(nsl_stamp_writer_new(f->path, s->inst, s->provenance, &f->writer, err));
  }
  NSL_TRY(nsl_stamp_writer_add(f->writer, stamp, label, err));
  f->count++;
  s->out->made[set]++;
cleanup:
  return st;
}

static int set_of(const nsl_survey_stamps_job *job, int64_t id)
{
  uint64_t total = 0;
  for (int k = 0; k < NSL_SURVEY_SETS; k++) { total += (uint64_t)job->share[k]; }
  uint64_t at = nsl_hash_bytes(&id, sizeof id).lo % total;
  int set = 0;
  while (at >= (uint64_t)job->share[set]) { at -= (uint64_t)job->share[set++]; }
  return set;
}

static int by_id(const void *key, const void *entry)
{
  int64_t a = *(const int64_t *)key, b = ((const nsl_source *)entry)->id;
  return a < b ? -1 : a > b;
}

/* Stamp of one matched source of an open tile. */
static nsl_status stamp_of(job_state *s, nsl_stamper *stamper, const nsl_tile_task *task, const nsl_match *m, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t id = s->sources.id[m->source];
  const nsl_source *source = bsearch(&id, task->sources, task->n_sources, sizeof *source, by_id);
  if (!source) { /* only a neighbour: fainter than input.mag_faint */
    s->out->empty++;
    return NSL_OK;
  }
  NSL_TRY(nsl_stamper_make(stamper, (size_t)(source - task->sources), 1, &s->set, err));
  const nsl_stamp *stamp = &s->set.stamps[0];
  if (stamp->flags & NSL_FLAG_NO_PDF) {
    s->out->empty++;
    return NSL_OK;
  }
  const nsl_stamp_label label = {.source_id = id,
                                 .z = m->truth.z,
                                 .mag = (float)source->mag,
                                 .snr_gv = stamp->band[0].snr,
                                 .snr_gi = stamp->band[1].snr,
                                 .snr_gv_true = NAN,
                                 .snr_gi_true = NAN,
                                 .flux_oii = NAN,
                                 .flux_hb = NAN,
                                 .flux_oiii = NAN,
                                 .flux_ha = NAN,
                                 .flux_nii = NAN,
                                 .re_arcsec = NAN,
                                 .axis_ratio = NAN,
                                 .pa_deg = NAN,
                                 .contamination = fmaxf(stamp->band[0].contamination, stamp->band[1].contamination)};
  NSL_TRY(put_stamp(s, set_of(s->job, id), stamp, &label, err));
cleanup:
  return st;
}

/* Matches first ... end-1 are those of one tile. */
static nsl_status do_tile(job_state *s, size_t first, size_t end, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_task task = {0};
  nsl_stamper *stamper = NULL;
  NSL_TRY(nsl_plan_task(s->job->cfg, s->plan.tiles[s->sources.tile[s->matches[first].source]].tile, &task, err));
  NSL_TRY(nsl_stamper_new(s->job->cfg, s->inst, &task, s->exposures, s->log, &stamper, err));
  for (size_t i = first; i < end; i++) { NSL_TRY(stamp_of(s, stamper, &task, &s->matches[i], err)); }
cleanup:
  nsl_stamper_free(stamper);
  nsl_tile_task_free(&task);
  return st;
}

static nsl_status make_stamps(job_state *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_progress progress;
  nsl_progress_start(&progress, s->log, "sources", (long)s->n_matches);
  for (size_t i = 0, end; i < s->n_matches; i = end) { /* sorted by source, so by tile */
    uint32_t tile = s->sources.tile[s->matches[i].source];
    for (end = i; end < s->n_matches && s->sources.tile[s->matches[end].source] == tile; end++) {}
    NSL_TRY(do_tile(s, i, end, err));
    nsl_progress_update(&progress, (long)end, NULL);
  }
  for (int k = 0; k < NSL_SURVEY_SETS; k++) { NSL_TRY(close_shelf(s, &s->shelves[k], err)); }
  nsl_progress_end(&progress, (long)s->n_matches, NULL);
cleanup:
  return st;
}

static nsl_status get_plan(job_state *s, nsl_error *err)
{
  int fresh = 0;
  nsl_status st = nsl_plan_read(s->job->cfg, &s->plan, NULL);
  if (st == NSL_OK) { st = nsl_plan_is_fresh(s->job->cfg, s->inst, &s->plan, &fresh, NULL, 0, err); }
  if (st == NSL_OK && fresh) { return NSL_OK; }
  nsl_plan_free(&s->plan);
  s->plan = (nsl_plan){0};
  st = nsl_plan_make(s->job->cfg, s->inst, s->log, err);
  return st == NSL_OK ? nsl_plan_read(s->job->cfg, &s->plan, err) : st;
}

nsl_status nsl_survey_stamps(const nsl_survey_stamps_job *job, const nsl_log *log, nsl_survey_stamps_summary *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  *out = (nsl_survey_stamps_summary){0};
  job_state s = {.job = job, .log = log, .out = out, .inst = calloc(1, sizeof *s.inst)};
  s.provenance = nsl_strf("{\"survey\": \"%s\", \"truth\": \"%s\"}", nsl_config_text(job->cfg, "survey.name"), job->truth.path);
  if (!s.inst || !s.provenance || !nsl_stamp_set_alloc(&s.set, 1)) { NSL_THROW(err, NSL_E_NOMEM, "stamps of a survey"); }
  NSL_TRY(nsl_config_require(job->cfg, "instrument.file", err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(job->cfg, "instrument.file"), s.inst, err));
  NSL_TRY(nsl_exposure_cache_new((int)nsl_config_int(job->cfg, "run.exposure_cache"), &s.exposures, err));
  NSL_TRY(nsl_mkdirs(job->dir, err));
  NSL_TRY(refuse_old_files(&s, err));
  NSL_TRY(get_plan(&s, err));
  NSL_TRY(collect_sources(&s, err));
  NSL_TRY(match_truth(&s, err));
  NSL_TRY(make_stamps(&s, err));
cleanup:
  state_free(&s);
  return st;
}
