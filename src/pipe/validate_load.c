/* Matched sources: the catalogue's positions once, the truth table once, then the PDFs of the matched rows in blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "pipe/validate_internal.h"

enum { SKIM_ROWS = 65536, PDF_ROWS = 4096 };

/* The selected rows of the catalogue. */
typedef struct {
  size_t n, capacity;
  int64_t *row, *id;
  double *ra, *dec;
} sources;

static void sources_free(sources *s)
{
  free(s->row);
  free(s->id);
  free(s->ra);
  free(s->dec);
}

static int grow(void **array, size_t capacity, size_t size)
{
  void *grown = realloc(*array, capacity * size);
  if (grown) { *array = grown; }
  return grown != NULL;
}

static int sources_add(sources *s, int64_t row, int64_t id, double ra, double dec)
{
  if (s->n == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : SKIM_ROWS;
    if (!grow((void **)&s->row, capacity, sizeof *s->row) || !grow((void **)&s->id, capacity, sizeof *s->id) ||
        !grow((void **)&s->ra, capacity, sizeof *s->ra) || !grow((void **)&s->dec, capacity, sizeof *s->dec)) {
      return 0;
    }
    s->capacity = capacity;
  }
  s->row[s->n] = row;
  s->id[s->n] = id;
  s->ra[s->n] = ra;
  s->dec[s->n++] = dec;
  return 1;
}

static int is_selected(const nsl_select *select, int order, const nsl_rows *rows, size_t i)
{
  if (!select || nsl_select_is_all(select)) { return 1; }
  const int64_t *ids;
  size_t n = nsl_select_sources(select, &ids);
  for (size_t k = 0; k < n; k++) {
    if (ids[k] == rows->object_id[i]) { return 1; }
  }
  return nsl_select_position(select, order, rows->ra[i], rows->dec[i]);
}

static nsl_status skim_catalogue(nsl_catalogue *c, const nsl_select *select, nsl_validation *v, sources *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  int64_t total = nsl_catalogue_rows(c);
  int order = nsl_catalogue_order(c);
  for (int64_t first = 0; first < total; first += SKIM_ROWS) {
    int64_t n = total - first < SKIM_ROWS ? total - first : SKIM_ROWS;
    NSL_TRY(nsl_catalogue_read(c, first, n, 0, &rows, err));
    for (int64_t i = 0; i < n; i++) {
      if (!is_selected(select, order, &rows, (size_t)i)) { continue; }
      v->n_catalogue++;
      v->n_catalogue_no_pdf += (rows.flags[i] & NSL_FLAG_NO_PDF) != 0;
      if (!sources_add(s, first + i, rows.object_id[i], rows.ra[i], rows.dec[i])) {
        NSL_THROW(err, NSL_E_NOMEM, "no memory for the positions of %lld sources", (long long)total);
      }
    }
    nsl_rows_free(&rows);
    rows = (nsl_rows){0};
  }
cleanup:
  nsl_rows_free(&rows);
  return st;
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
        if (!grow((void **)&c->rows, c->capacity, sizeof *c->rows)) { NSL_THROW(err, NSL_E_NOMEM, "%zu true redshifts", c->n); }
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

static nsl_status match_truth(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log, const sources *s,
                              nsl_validation *v, nsl_match **matches, nsl_error *err)
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
  if (!v->n && v->truth.used && s->n) {
    nsl_warn(log, "%s: none of its %lld redshifts belongs to a source of %s%s", o->truth, (long long)v->truth.used, o->catalogue,
             v->by_position ? "" : "; if its identifiers are others, match with --by-position");
  }
cleanup:
  nsl_matcher_free(matcher);
  nsl_truth_close(truth);
  return st;
}

/* What is kept of one row of the catalogue. */
static void take_row(const nsl_rows *rows, size_t i, int use_truth_snr, const nsl_match *match, nsl_matched *info)
{
  *info = (nsl_matched){.object_id = rows->object_id[i],
                        .tile = rows->tile[i],
                        .ra = rows->ra[i],
                        .dec = rows->dec[i],
                        .separation_arcsec = match->separation_arcsec,
                        .snr_gi = use_truth_snr ? match->truth.snr_gi : rows->snr_gi[i],
                        .snr_gv = rows->snr_gv[i],
                        .mag = rows->mag[i],
                        .contamination = rows->contamination[i],
                        .odds = rows->odds[i],
                        .p_good = rows->p_good[i],
                        .mutual_info = rows->mutual_info[i],
                        .z_lo68 = rows->z_lo68[i],
                        .z_hi68 = rows->z_hi68[i],
                        .size_arcsec = match->truth.size_arcsec,
                        .n_exp_gi = rows->n_exp_gi[i],
                        .flags = rows->flags[i]};
  memcpy(info->injected, match->truth.injected, sizeof info->injected);
}

/* One scored match on its way to all ranks. */
typedef struct {
  uint64_t k;
  nsl_matched info;
  nsl_score score;
} scored;

/* PDFs are summed in units of 2^-36, so that the sum does not depend on the order: room for a hundred million of them. */
#define STACK_UNIT 0x1p-36

static nsl_status score_mine(nsl_catalogue *c, const nsl_validate_comm *comm, const sources *s, const nsl_match *matches,
                             const nsl_validation *v, const nsl_log *log, scored *out, size_t *n_out, int64_t *stack,
                             nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_scorer scorer = {0};
  nsl_rows rows = {0};
  nsl_progress progress;
  NSL_TRY(nsl_scorer_init(&scorer, &v->grid, err));
  nsl_progress_start(&progress, log, "PDFs", (long)v->n);
  for (size_t k = 0; k < v->n;) {
    int64_t block = s->row[matches[k].source] / PDF_ROWS, first = block * PDF_ROWS, left = nsl_catalogue_rows(c) - first;
    int64_t n = left < PDF_ROWS ? left : PDF_ROWS;
    int mine = block % comm->size == comm->rank;
    if (mine) { NSL_TRY(nsl_catalogue_read(c, first, n, 1, &rows, err)); }
    for (; k < v->n && s->row[matches[k].source] < first + n; k++) {
      if (!mine) { continue; }
      size_t i = (size_t)(s->row[matches[k].source] - first);
      scored *r = &out[(*n_out)++];
      *r = (scored){.k = k};
      take_row(&rows, i, v->columns[NSL_TRUTH_SNR_GI] != NULL, &matches[k], &r->info);
      r->info.row = first + (int64_t)i;
      r->score.z_true = matches[k].truth.z;
      r->score.z_point = rows.z_mode[i];
      r->score.z_median = rows.z_median[i];
      r->info.has_pdf = !(rows.flags[i] & NSL_FLAG_NO_PDF) && isfinite(rows.z_mode[i]) && isfinite(rows.z_median[i]) &&
                        nsl_scorer_run(&scorer, rows.pdf + i * (size_t)v->grid.n, r->score.z_true, &r->score);
      for (int b = 0; r->info.has_pdf && b < v->grid.n; b++) { stack[b] += llround(scorer.prob[b] / STACK_UNIT); }
    }
    nsl_rows_free(&rows);
    rows = (nsl_rows){0};
    nsl_progress_update(&progress, (long)k, NULL);
  }
  nsl_progress_end(&progress, (long)v->n, NULL);
cleanup:
  nsl_rows_free(&rows);
  nsl_scorer_free(&scorer);
  return st;
}

static nsl_status score_matches(nsl_catalogue *c, const nsl_validate_comm *comm, const sources *s, const nsl_match *matches,
                                nsl_validation *v, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  v->grid = *nsl_catalogue_grid(c);
  size_t n = v->n ? v->n : 1, n_mine = 0, n_all = 0, n_stacks = 0, bins = (size_t)v->grid.n;
  void *all = NULL, *stacks = NULL;
  scored *mine = malloc(n * sizeof *mine);
  int64_t *stack = calloc(bins, sizeof *stack);
  v->info = calloc(n, sizeof *v->info);
  v->scores = calloc(n, sizeof *v->scores);
  v->stacked = calloc(bins, sizeof *v->stacked);
  if (!mine || !stack || !v->info || !v->scores || !v->stacked) {
    st = nsl_fail(err, NSL_E_NOMEM, "no memory for %zu matched sources", v->n);
  }
  if (st == NSL_OK) { st = score_mine(c, comm, s, matches, v, log, mine, &n_mine, stack, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(comm->gather(comm->ctx, mine, n_mine, sizeof *mine, &all, &n_all, err));
  NSL_TRY(comm->gather(comm->ctx, stack, bins, sizeof *stack, &stacks, &n_stacks, err));
  for (size_t i = 0; i < n_all; i++) {
    const scored *r = (const scored *)all + i;
    v->info[r->k] = r->info;
    v->scores[r->k] = r->score;
  }
  for (size_t b = 0; b < bins; b++) {
    int64_t sum = 0;
    for (size_t q = b; q < n_stacks; q += bins) { sum += ((const int64_t *)stacks)[q]; }
    v->stacked[b] = (double)sum * STACK_UNIT;
  }
cleanup:
  free(mine);
  free(stack);
  free(all);
  free(stacks);
  return st;
}

nsl_status nsl_validation_load(const nsl_validate_options *o, const nsl_validate_comm *comm, const nsl_log *log, nsl_validation *v,
                               nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue *c = NULL;
  nsl_match *matches = NULL;
  sources s = {0};
  *v = (nsl_validation){0};
  st = nsl_catalogue_open(o->catalogue, &c, err);
  if (st == NSL_OK) { st = skim_catalogue(c, o->select, v, &s, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(match_truth(o, comm, log, &s, v, &matches, err));
  NSL_TRY(score_matches(c, comm, &s, matches, v, log, err));
cleanup:
  nsl_catalogue_close(c);
  free(matches);
  sources_free(&s);
  if (st != NSL_OK) { nsl_validation_free(v); }
  return st;
}

void nsl_validation_free(nsl_validation *v)
{
  free(v->info);
  free(v->scores);
  free(v->stacked);
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) { free(v->columns[c]); }
  *v = (nsl_validation){0};
}

static int by_tile(const void *a, const void *b)
{
  nsl_tile_id x = *(const nsl_tile_id *)a, y = *(const nsl_tile_id *)b;
  return x < y ? -1 : x > y;
}

/* Pixels of an order that hold sources, sorted. */
static size_t occupied(const nsl_validation *v, int order, nsl_tile_id *pixel)
{
  size_t n = 0;
  for (size_t i = 0; i < v->n; i++) { pixel[i] = nsl_tile_of(order, v->info[i].ra, v->info[i].dec); }
  qsort(pixel, v->n, sizeof *pixel, by_tile);
  for (size_t i = 0; i < v->n; i++) {
    if (!n || pixel[i] != pixel[n - 1]) { pixel[n++] = pixel[i]; }
  }
  return n;
}

nsl_status nsl_validation_units(nsl_validation *v, int tile_order, int *order, uint32_t *n_units, nsl_error *err)
{
  nsl_tile_id *pixel = malloc((v->n ? v->n : 1) * sizeof *pixel);
  if (!pixel) { return nsl_fail(err, NSL_E_NOMEM, "no memory to group %zu sources", v->n); }
  size_t n = 0;
  /* Pixels that hold hardly more than one source each would be sources by another name. */
  for (*order = tile_order; *order <= NSL_TILE_ORDER_MAX; ++*order) {
    n = occupied(v, *order, pixel);
    if (n >= NSL_UNITS_MIN) { break; }
  }
  if (n < NSL_UNITS_MIN || 2 * n > v->n) {
    *order = -1;
    n = v->n;
  }
  for (size_t i = 0; i < v->n; i++) {
    if (*order < 0) {
      v->scores[i].unit = (uint32_t)i;
    } else {
      nsl_tile_id p = nsl_tile_of(*order, v->info[i].ra, v->info[i].dec);
      const nsl_tile_id *at = bsearch(&p, pixel, n, sizeof p, by_tile);
      v->scores[i].unit = (uint32_t)(at - pixel);
    }
  }
  *n_units = (uint32_t)n;
  free(pixel);
  return NSL_OK;
}
