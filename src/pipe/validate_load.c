/* Matched sources: the catalogue's positions once, the truth table once, then the PDFs of the matched rows in blocks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "pipe/validate_internal.h"

enum { SKIM_ROWS = 65536, PDF_ROWS = 4096 };

static void sources_free(nsl_sources *s)
{
  free(s->row);
  free(s->id);
  free(s->ra);
  free(s->dec);
}

static int sources_add(nsl_sources *s, int64_t row, int64_t id, double ra, double dec)
{
  if (s->n == s->capacity) {
    size_t capacity = s->capacity ? 2 * s->capacity : SKIM_ROWS;
    if (!nsl_validation_grow((void **)&s->row, capacity, sizeof *s->row) ||
        !nsl_validation_grow((void **)&s->id, capacity, sizeof *s->id) ||
        !nsl_validation_grow((void **)&s->ra, capacity, sizeof *s->ra) ||
        !nsl_validation_grow((void **)&s->dec, capacity, sizeof *s->dec)) {
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

static nsl_status skim_catalogue(nsl_catalogue *c, const nsl_select *select, nsl_validation *v, nsl_sources *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  int64_t total = nsl_catalogue_rows(c);
  int order = nsl_catalogue_order(c);
  for (int64_t first = 0; first < total; first += SKIM_ROWS) {
    int64_t n = total - first < SKIM_ROWS ? total - first : SKIM_ROWS;
    NSL_TRY(nsl_catalogue_read(c, first, n, 0, &rows, err));
    for (int64_t i = 0; i < n; i++) {
      if (select && !nsl_select_row(select, order, rows.object_id[i], rows.ra[i], rows.dec[i])) { continue; }
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

static nsl_status score_mine(nsl_catalogue *c, const nsl_validate_comm *comm, const nsl_sources *s, const nsl_match *matches,
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

static nsl_status score_matches(nsl_catalogue *c, const nsl_validate_comm *comm, const nsl_sources *s, const nsl_match *matches,
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
  nsl_sources s = {0};
  *v = (nsl_validation){0};
  st = nsl_catalogue_open(o->catalogue, &c, err);
  if (st == NSL_OK) { st = skim_catalogue(c, o->select, v, &s, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(nsl_validation_match(o, comm, log, &s, v, &matches, err));
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
