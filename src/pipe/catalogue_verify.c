/* Everything that can be wrong with a catalogue, told in a list. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/model/flags.h"
#include "noslit/pipe/catalogue.h"

#define MAX_TOLD 20
#define PDF_SUM_TOLERANCE 1e-3

static void problem(nsl_catalogue_report *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void problem(nsl_catalogue_report *r, const char *fmt, ...)
{
  if (r->n_problems++ >= MAX_TOLD) { return; }
  char line[512];
  va_list ap;
  va_start(ap, fmt);
  vsnprintf(line, sizeof line, fmt, ap);
  va_end(ap);
  nsl_str_addf(&r->problems, "%s\n", line);
}

static int is_one_of(const char *name, const char *const *allowed, size_t n)
{
  for (size_t i = 0; i < n; i++) {
    if (strcmp(name, allowed[i]) == 0) { return 1; }
  }
  return 0;
}

/* A member too many keeps qp.read() from opening the file, so it is as wrong as one too few. */
static nsl_status check_members(nsl_h5 *f, const char *group, const char *const *wanted, size_t n_wanted, nsl_catalogue_report *r,
                                nsl_error *err)
{
  char **names;
  size_t n;
  nsl_status st = nsl_h5_list(f, group, &names, &n, err);
  if (st != NSL_OK) { return st; }
  for (size_t i = 0; i < n; i++) {
    if (!is_one_of(names[i], wanted, n_wanted)) {
      problem(r, "layout: %s holds '%s', which does not belong there", group, names[i]);
    }
  }
  for (size_t i = 0; i < n_wanted; i++) {
    if (!is_one_of(wanted[i], (const char *const *)names, n)) { problem(r, "layout: %s lacks '%s'", group, wanted[i]); }
  }
  for (size_t i = 0; i < n; i++) { free(names[i]); }
  free(names);
  return NSL_OK;
}

static nsl_status check_layout(nsl_h5 *f, nsl_catalogue_report *r, nsl_error *err)
{
  static const char *const root[] = {"ancil", "data", "meta"}, *const meta[] = {"bins", "pdf_name", "pdf_version"},
                           *const data[] = {"pdfs"};
  const char *columns[64];
  nsl_status st = NSL_OK;
  double *edges = NULL;
  for (int c = 0; c < nsl_n_row_columns; c++) { columns[c] = nsl_row_columns[c].name; }
  NSL_TRY(check_members(f, "/", root, 3, r, err));
  NSL_TRY(check_members(f, "/meta", meta, 3, r, err));
  NSL_TRY(check_members(f, "/data", data, 1, r, err));
  NSL_TRY(check_members(f, "/ancil", columns, (size_t)nsl_n_row_columns, r, err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    char name[80];
    int rank;
    size_t dims[NSL_H5_MAX_RANK];
    snprintf(name, sizeof name, "/ancil/%s", columns[c]);
    if (nsl_h5_dims(f, name, &rank, dims, NULL) == NSL_OK && (rank != 1 || (int64_t)dims[0] != r->info.n_rows)) {
      problem(r, "layout: %s does not have %lld rows", name, (long long)r->info.n_rows);
    }
  }
  int n = r->info.grid.n;
  edges = malloc((size_t)(n + 1) * sizeof *edges);
  if (!edges) { NSL_THROW(err, NSL_E_NOMEM, "no memory for the bin edges"); }
  NSL_TRY(nsl_h5_read(f, "/meta/bins", NSL_H5_F64, (size_t)(n + 1), edges, err));
  for (int i = 0; i <= n; i++) {
    if (edges[i] == nsl_pdf_edge_z(&r->info.grid, i)) { continue; }
    problem(r, "layout: bin edge %d is %.17g, not %.17g as pdf_u0 and pdf_du say", i, edges[i], nsl_pdf_edge_z(&r->info.grid, i));
    break;
  }
cleanup:
  free(edges);
  return st;
}

typedef struct {
  nsl_catalogue_report *report;
  nsl_catalogue_tile *tiles;      /* as found in the column; get their hashes */
  const nsl_catalogue_tile *made; /* the index's entries of the same tiles, or NULL */
} visit_context;

static void check_row(const visit_context *v, const nsl_rows *rows, size_t i)
{
  nsl_catalogue_report *r = v->report;
  long long id = (long long)rows->object_id[i];
  uint32_t flags = rows->flags[i];
  double sum = 0, e = exp(rows->grid.u0), step = exp(rows->grid.du);
  int bad = 0;
  for (int b = 0; b < rows->grid.n; b++, e *= step) {
    double p = (double)rows->pdf[i * (size_t)rows->grid.n + (size_t)b];
    if (!(p >= 0)) { bad = 1; }
    sum += p * e;
  }
  sum *= step - 1;
  if (flags & NSL_FLAG_NO_PDF) {
    if (bad || sum != 0 || isfinite(rows->z_mode[i])) {
      problem(r, "source %lld: flagged no_pdf, but has a redshift or a PDF", id);
    }
  } else if (bad || !(fabs(sum - 1) < PDF_SUM_TOLERANCE)) {
    problem(r, "source %lld: its PDF integrates to %g", id, bad ? NAN : sum);
  } else if (!isfinite(rows->z_mode[i])) {
    problem(r, "source %lld: has a PDF, but no z_mode", id);
  }
  if (!(flags & NSL_FLAG_BAD_INPUT) && nsl_tile_of(r->info.order, rows->ra[i], rows->dec[i]) != rows->tile[i]) {
    problem(r, "source %lld: its position is not in tile %lld", id, (long long)rows->tile[i]);
  }
}

static nsl_status check_tile(void *ctx, size_t k, nsl_hash hash, const nsl_rows *rows, size_t first, size_t n, nsl_error *err)
{
  (void)err;
  visit_context *v = ctx;
  nsl_catalogue_tile *t = &v->tiles[k];
  t->content_hash = hash;
  if (v->made && !nsl_hash_equal(hash, v->made[k].content_hash)) {
    problem(v->report, "tile %lld: its rows are not those of its tile file (content hash differs)", (long long)t->tile);
  }
  for (size_t i = first; i < first + n; i++) {
    if (i > first && rows->object_id[i] <= rows->object_id[i - 1]) {
      problem(v->report, "tile %lld: source %lld comes twice or out of order", (long long)t->tile, (long long)rows->object_id[i]);
    }
    check_row(v, rows, i);
  }
  v->report->rows_read += (int64_t)n;
  return NSL_OK;
}

/* The index's tiles that have rows, in place; 1 if they are the tiles of the catalogue. */
static int match_index(nsl_catalogue_tile *made, size_t *n_made, const nsl_catalogue_tile *tiles, size_t n, nsl_catalogue_report *r)
{
  size_t kept = 0;
  for (size_t i = 0; i < *n_made; i++) {
    if (made[i].n_rows) { made[kept++] = made[i]; }
  }
  *n_made = kept;
  for (size_t i = 0; i < (kept > n ? kept : n); i++) {
    if (i < kept && i < n && made[i].tile == tiles[i].tile && made[i].n_rows == tiles[i].n_rows) { continue; }
    const nsl_catalogue_tile *t = i < n ? &tiles[i] : &made[i];
    problem(r, "tile %lld: the catalogue and its index do not have the same rows of it", (long long)t->tile);
    return 0;
  }
  return 1;
}

static nsl_status check_content(nsl_catalogue *c, const char *path, nsl_catalogue_report *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue_tile *tiles = NULL, *made = NULL;
  size_t n = 0, n_made = 0;
  nsl_error why = NSL_ERROR_INIT;
  st = nsl_catalogue_find_tiles(c, &tiles, &n, &why);
  if (st != NSL_OK) {
    problem(r, "%s", why.text);
    return NSL_OK;
  }
  st = nsl_catalogue_index_read(path, r->info.content_hash, &made, &n_made, &why);
  r->has_index = st == NSL_OK;
  if (st != NSL_OK && st != NSL_E_NOTFOUND && st != NSL_E_MISMATCH) { problem(r, "%s", why.text); }
  if (r->has_index) {
    if ((int64_t)n_made != r->info.n_tiles) {
      problem(r, "the index has %zu tiles, the catalogue says %lld", n_made, (long long)r->info.n_tiles);
    }
    if (!match_index(made, &n_made, tiles, n, r)) {
      free(made);
      made = NULL;
    }
  }
  visit_context v = {r, tiles, made};
  st = nsl_catalogue_visit(c, tiles, n, check_tile, &v, &why);
  if (st == NSL_E_NOMEM) { NSL_THROW(err, st, "%s", why.text); }
  if (st != NSL_OK) {
    problem(r, "%s", why.text);
    st = NSL_OK;
  } else if (!nsl_hash_equal(nsl_catalogue_hash(r->info.order, tiles, n), r->info.content_hash)) {
    problem(r, "content: the rows are not those that were merged (content hash differs)");
  }
cleanup:
  free(tiles);
  free(made);
  return st;
}

nsl_status nsl_catalogue_verify(const char *path, nsl_catalogue_report *report, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue *c = NULL;
  memset(report, 0, sizeof *report);
  nsl_str_init(&report->problems);
  NSL_TRY(nsl_catalogue_open(path, &c, err));
  report->info = *nsl_catalogue_get_info(c);
  nsl_error why = NSL_ERROR_INIT;
  if (check_layout(nsl_catalogue_file(c), report, &why) != NSL_OK) { problem(report, "%s", why.text); }
  NSL_TRY(check_content(c, path, report, err));
cleanup:
  nsl_catalogue_close(c);
  return st;
}

void nsl_catalogue_report_free(nsl_catalogue_report *report) { nsl_str_free(&report->problems); }
