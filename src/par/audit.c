#include "noslit/par/audit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/io/table.h"
#include "noslit/model/flags.h"
#include "noslit/par/ledger.h"
#include "noslit/pipe/catalogue.h"

#define USUAL_MAX_IDS (16 << 20)
#define BLOCK_ROWS (1 << 16)

typedef struct {
  const nsl_config *cfg;
  nsl_plan plan;
  nsl_quarantine quarantine;
  nsl_tile_expectation expects;
  unsigned char *tile_state; /* per planned tile: 0 not looked at, else 1 + nsl_tile_state */
  nsl_table *table;
  int id_column, ra_column, dec_column, mag_column;
  nsl_catalogue *product;
  int64_t *held; /* identifiers of the product in this pass, sorted */
  size_t n_held;
  unsigned char *seen; /* per held one */
  int64_t pass, n_passes;
  int64_t *id;
  double *ra, *dec, *mag; /* of a block of the input */
  nsl_audit *out;
} audit;

static int is_mine(const audit *a, int64_t id)
{
  return (int64_t)(nsl_hash_bytes(&id, sizeof id).lo % (uint64_t)a->n_passes) == a->pass;
}

static int compare(const void *a, const void *b)
{
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

static void count_row(nsl_audit *out, uint32_t flags)
{
  if (!(flags & NSL_FLAG_NO_PDF)) {
    out->with_pdf++;
    return;
  }
  out->without_pdf++;
  for (int b = 1; b < 16; b++) { out->no_pdf_flag[b] += (flags >> b) & 1; }
}

static nsl_status read_product(audit *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_rows rows = {0};
  int64_t total = nsl_catalogue_rows(a->product);
  size_t capacity = 0;
  a->n_held = 0;
  for (int64_t first = 0; first < total; first += BLOCK_ROWS) {
    int64_t n = total - first < BLOCK_ROWS ? total - first : BLOCK_ROWS;
    NSL_TRY(nsl_catalogue_read(a->product, first, n, 0, &rows, err));
    for (int64_t i = 0; i < n; i++) {
      if (a->pass == 0) { count_row(a->out, rows.flags[i]); }
      if (!is_mine(a, rows.object_id[i])) { continue; }
      if (a->n_held == capacity) {
        capacity = capacity ? 2 * capacity : BLOCK_ROWS;
        int64_t *grown = realloc(a->held, capacity * sizeof *grown);
        if (!grown) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the product's identifiers"); }
        a->held = grown;
      }
      a->held[a->n_held++] = rows.object_id[i];
    }
    nsl_rows_free(&rows);
  }
  if (a->n_held) { qsort(a->held, a->n_held, sizeof *a->held, compare); }
  free(a->seen);
  a->seen = calloc(a->n_held + 1, 1);
  if (!a->seen) { st = nsl_fail(err, NSL_E_NOMEM, "no memory for the product's identifiers"); }
cleanup:
  nsl_rows_free(&rows);
  return st;
}

static void tell(audit *a, int64_t id, int64_t tile, const char *what)
{
  if (a->out->n_told == NSL_AUDIT_TOLD) { return; }
  a->out->told[a->out->n_told].id = id;
  a->out->told[a->out->n_told].tile = tile;
  a->out->told[a->out->n_told++].what = what;
}

static nsl_status look_at_tile(audit *a, const nsl_plan_tile *t, nsl_tile_state *state, nsl_error *err)
{
  unsigned char *known = &a->tile_state[t - a->plan.tiles];
  nsl_status st = NSL_OK;
  if (!*known) {
    nsl_tile_head head;
    char why[NSL_ERROR_TEXT_MAX];
    st = nsl_tile_check(&a->expects, t, 0, &head, state, why, sizeof why, err);
    if (st == NSL_OK) { *known = (unsigned char)(1 + *state); }
  }
  *state = (nsl_tile_state)(*known - 1);
  return st;
}

/* Why is this source not in the product? */
static nsl_status explain(audit *a, int64_t i, nsl_error *err)
{
  nsl_audit *out = a->out;
  if (!isfinite(a->ra[i]) || !isfinite(a->dec[i]) || fabs(a->dec[i]) > 90) {
    out->rejected++;
    return NSL_OK;
  }
  if (a->mag[i] > nsl_config_real(a->cfg, "input.mag_faint")) {
    out->faint++;
    return NSL_OK;
  }
  nsl_tile_id tile = nsl_tile_of(a->plan.order, a->ra[i] - 360.0 * floor(a->ra[i] / 360.0), a->dec[i]);
  const nsl_plan_tile *t = nsl_plan_find(&a->plan, tile);
  nsl_tile_state state = NSL_TILE_MISSING;
  nsl_status st = t ? look_at_tile(a, t, &state, err) : NSL_OK;
  if (st != NSL_OK) { return st; }
  if (!t) {
    out->lost++;
    tell(a, a->id[i], tile, "lost: no planned tile wants it; make the plan anew (plan --remake)");
  } else if (state == NSL_TILE_DONE) {
    out->not_merged++;
    tell(a, a->id[i], tile, "its tile is done, but its rows are not in the product: merge again");
  } else if (nsl_quarantine_find(&a->quarantine, tile)) {
    out->quarantined++;
  } else {
    out->not_done++;
    tell(a, a->id[i], tile, "its tile is not done: run, then merge");
  }
  return NSL_OK;
}

static nsl_status read_input(audit *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t total = nsl_table_rows(a->table);
  a->out->input = total;
  for (int64_t first = 0; first < total; first += BLOCK_ROWS) {
    int64_t n = total - first < BLOCK_ROWS ? total - first : BLOCK_ROWS;
    NSL_TRY(nsl_table_read_i64(a->table, a->id_column, first, n, a->id, err));
    NSL_TRY(nsl_table_read_f64(a->table, a->ra_column, first, n, a->ra, err));
    NSL_TRY(nsl_table_read_f64(a->table, a->dec_column, first, n, a->dec, err));
    NSL_TRY(nsl_table_read_f64(a->table, a->mag_column, first, n, a->mag, err));
    for (int64_t i = 0; i < n; i++) {
      if (!is_mine(a, a->id[i])) { continue; }
      const int64_t *found = a->n_held ? bsearch(&a->id[i], a->held, a->n_held, sizeof *a->held, compare) : NULL;
      if (found) {
        a->seen[found - a->held] = 1;
      } else {
        NSL_TRY(explain(a, i, err));
      }
    }
  }
  for (size_t k = 0; k < a->n_held; k++) { a->out->foreign += !a->seen[k]; }
cleanup:
  return st;
}

static nsl_status open_input(audit *a, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(
      nsl_table_open(nsl_config_text(a->cfg, "input.catalogue"), nsl_config_text(a->cfg, "input.catalogue_hdu"), &a->table, err));
  NSL_TRY(nsl_table_require(a->table, nsl_config_text(a->cfg, "input.column_id"), &a->id_column, err));
  NSL_TRY(nsl_table_require(a->table, nsl_config_text(a->cfg, "input.column_ra"), &a->ra_column, err));
  NSL_TRY(nsl_table_require(a->table, nsl_config_text(a->cfg, "input.column_dec"), &a->dec_column, err));
  NSL_TRY(nsl_table_require(a->table, nsl_config_text(a->cfg, "input.column_mag"), &a->mag_column, err));
  a->id = calloc(BLOCK_ROWS, sizeof *a->id);
  a->ra = calloc(BLOCK_ROWS, sizeof *a->ra);
  a->dec = calloc(BLOCK_ROWS, sizeof *a->dec);
  a->mag = calloc(BLOCK_ROWS, sizeof *a->mag);
  if (!a->id || !a->ra || !a->dec || !a->mag) { NSL_THROW(err, NSL_E_NOMEM, "no memory to read the source catalogue"); }
cleanup:
  return st;
}

static void release(audit *a)
{
  nsl_plan_free(&a->plan);
  nsl_quarantine_free(&a->quarantine);
  nsl_table_close(a->table);
  nsl_catalogue_close(a->product);
  free(a->tile_state);
  free(a->held);
  free(a->seen);
  free(a->id);
  free(a->ra);
  free(a->dec);
  free(a->mag);
}

nsl_status nsl_audit_survey(const nsl_config *cfg, const nsl_instrument *inst, int64_t max_ids, nsl_audit *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  audit a = {.cfg = cfg, .out = out};
  int64_t at_once = max_ids ? max_ids : USUAL_MAX_IDS;
  *out = (nsl_audit){0};
  NSL_TRY(nsl_plan_read(cfg, &a.plan, err));
  nsl_tile_expectation_make(cfg, inst, &a.expects, NULL, 0);
  NSL_TRY(nsl_quarantine_read(a.expects.workdir, &a.quarantine, err));
  a.tile_state = calloc(a.plan.n_tiles + 1, 1);
  if (!a.tile_state) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu tiles", a.plan.n_tiles); }
  NSL_TRY(open_input(&a, err));
  NSL_TRY(nsl_catalogue_open(nsl_config_text(cfg, "output.catalogue"), &a.product, err));
  a.n_passes = 1 + (nsl_catalogue_rows(a.product) - 1) / at_once;
  for (a.pass = 0; a.pass < a.n_passes; a.pass++) {
    NSL_TRY(read_product(&a, err));
    NSL_TRY(read_input(&a, err));
  }
cleanup:
  release(&a);
  return st;
}
