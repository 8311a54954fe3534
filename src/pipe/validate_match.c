/* The true redshifts of the selected sources: the table is shared among ranks, and matched in its own order. */
#include <math.h>
#include <stdlib.h>

#include "noslit/base/str.h"
#include "noslit/model/skytile.h"
#include "pipe/validate_internal.h"

int nsl_validation_grow(void **array, size_t capacity, size_t size)
{
  void *grown = realloc(*array, capacity * size);
  if (grown) { *array = grown; }
  return grown != NULL;
}

/* Rows that may be matched, of this rank's blocks. */
typedef struct {
  size_t n, capacity;
  nsl_truth_row *rows;
} candidates;

static nsl_status read_candidates(nsl_truth *truth, const nsl_matcher *matcher, candidates *c, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_truth_row *rows;
  for (size_t n = 1; n;) {
    NSL_TRY(nsl_truth_next(truth, &rows, &n, err));
    for (size_t i = 0; i < n; i++) {
      if (!nsl_matcher_touches(matcher, &rows[i])) { continue; }
      if (c->n == c->capacity) {
        c->capacity = c->capacity ? 2 * c->capacity : 4096;
        if (!nsl_validation_grow((void **)&c->rows, c->capacity, sizeof *c->rows)) {
          NSL_THROW(err, NSL_E_NOMEM, "%zu true redshifts", c->n);
        }
      }
      c->rows[c->n++] = rows[i];
    }
  }
cleanup:
  return st;
}

static int by_row(const void *a, const void *b)
{
  int64_t x = ((const nsl_truth_row *)a)->row, y = ((const nsl_truth_row *)b)->row;
  return (x > y) - (x < y);
}

/* Every rank hears of all candidates, and matches them in the order of the table: as one rank would. */
static nsl_status match_in_order(const nsl_validate_comm *comm, nsl_truth *truth, nsl_matcher *matcher, nsl_truth_counts *counts,
                                 nsl_error *err)
{
  nsl_status st = NSL_OK;
  candidates mine = {0};
  void *all = NULL, *parts = NULL;
  size_t n_all = 0, n_parts = 0;
  nsl_truth_stripe(truth, comm->rank, comm->size);
  NSL_TRY(comm->agree(comm->ctx, read_candidates(truth, matcher, &mine, err), err));
  NSL_TRY(comm->gather(comm->ctx, mine.rows, mine.n, sizeof *mine.rows, &all, &n_all, err));
  NSL_TRY(comm->gather(comm->ctx, nsl_truth_counted(truth), 1, sizeof *counts, &parts, &n_parts, err));
  *counts = (nsl_truth_counts){0};
  for (size_t q = 0; q < n_parts; q++) {
    const nsl_truth_counts *p = (const nsl_truth_counts *)parts + q;
    counts->rows += p->rows;
    counts->zwarn += p->zwarn;
    counts->not_primary += p->not_primary;
    counts->unsure += p->unsure;
    counts->star += p->star;
    counts->qso += p->qso;
    counts->bad += p->bad;
    counts->used += p->used;
  }
  if (n_all > 0) { qsort(all, n_all, sizeof(nsl_truth_row), by_row); }
  NSL_TRY(comm->agree(comm->ctx, nsl_matcher_add(matcher, all, n_all, err), err));
  nsl_matcher_pass(matcher, counts->used - (int64_t)n_all);
cleanup:
  free(mine.rows);
  free(all);
  free(parts);
  return st;
}

static nsl_status open_truth(const nsl_validate_options *o, const nsl_log *log, nsl_validation *v, nsl_truth **truth,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_truth_options options = {.path = o->truth,
                               .where = o->truth_where,
                               .id_column = o->id_column,
                               .z_column = o->z_column,
                               .ra_column = o->ra_column,
                               .dec_column = o->dec_column,
                               .snr_column = o->snr_column,
                               .need_position = o->by_position,
                               .min_deltachi2 = o->min_deltachi2};
  NSL_TRY(nsl_truth_open(&options, truth, err));
  v->by_position = o->by_position;
  if (!o->by_position && !nsl_truth_name(*truth, NSL_TRUTH_ID)) {
    nsl_info(log, "%s has no identifier column: matching by position within %g arcsec", o->truth, o->match_radius_arcsec);
    nsl_truth_close(*truth);
    *truth = NULL;
    v->by_position = options.need_position = 1;
    NSL_TRY(nsl_truth_open(&options, truth, err));
  }
cleanup:
  return st;
}

/* Identifiers of two surveys may agree by accident, running numbers above all: positions, where both are known, tell. */
static void check_positions(const nsl_validate_options *o, const nsl_log *log, const nsl_sources *s, nsl_validation *v,
                            nsl_match *matches)
{
  int64_t known = 0;
  for (size_t k = 0; k < v->n; k++) {
    const nsl_truth_row *t = &matches[k].truth;
    if (!isfinite(t->ra_deg) || !isfinite(t->dec_deg)) { continue; } /* a table of identifiers alone, as that of stamps */
    double d = nsl_sky_distance_deg(s->ra[matches[k].source], s->dec[matches[k].source], t->ra_deg, t->dec_deg) * 3600;
    if (!isfinite(d)) { continue; }
    matches[k].separation_arcsec = d;
    known++;
    v->n_far_apart += d > NSL_FAR_APART_ARCSEC;
  }
  if (2 * v->n_far_apart > known) {
    nsl_warn(
        log,
        "%s: of %lld sources of %s with the same identifier, %lld lie more than %g arcsec away: if its identifiers are others, "
        "match with --by-position",
        o->truth, (long long)known, o->catalogue, (long long)v->n_far_apart, NSL_FAR_APART_ARCSEC);
  }
}

nsl_status nsl_validation_match(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log,
                                const nsl_sources *s, nsl_validation *v, nsl_match **matches, nsl_error *err)
{
  nsl_truth *truth = NULL;
  nsl_matcher *matcher = NULL;
  nsl_status st = open_truth(o, log, v, &truth, err);
  if (st == NSL_OK) {
    st = v->by_position ? nsl_matcher_new_by_position(s->ra, s->dec, s->n, o->match_radius_arcsec, &matcher, err)
                        : nsl_matcher_new_by_id(s->id, s->n, &matcher, err);
  }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(match_in_order(comm, truth, matcher, &v->truth, err));
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) { v->columns[c] = nsl_strdup(nsl_truth_name(truth, (nsl_truth_column)c)); }
  NSL_TRY(comm->agree(comm->ctx, nsl_matcher_result(matcher, matches, &v->n, &v->match, err), err));
  if (!v->by_position) { check_positions(o, log, s, v, *matches); }
  if (!v->n && v->truth.used && s->n) {
    nsl_warn(log, "%s: none of its %lld redshifts belongs to a source of %s%s", o->truth, (long long)v->truth.used, o->catalogue,
             v->by_position ? "" : "; if its identifiers are others, match with --by-position");
  }
cleanup:
  nsl_matcher_free(matcher);
  nsl_truth_close(truth);
  return st;
}
