/* The source catalogue: read in blocks, checked, sorted into Dirs of tiles. Linear in the number of sources, memory bounded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/hash.h"
#include "noslit/base/str.h"
#include "noslit/io/table.h"
#include "pipe/plan_internal.h"

enum { BLOCK = 65536 };
#define SPOOL_MEMORY ((size_t)1 << 28)
#define IDS_PER_BUCKET 4000000

const char *nsl_reject_text(nsl_reject_reason reason)
{
  switch (reason) {
  case NSL_REJECT_POSITION:
    return "right ascension or declination is missing";
  case NSL_REJECT_DECLINATION:
    return "declination is outside -90..90 degrees";
  }
  return "unknown reason";
}

/* The columns as doubles, in this order; the ID is apart. */
enum { RA, DEC, MAG, RE, Q, PA, SERSIC_N, STAR, N_COLUMNS };

static const struct {
  const char *key;
  int required;
  double otherwise;
} column_table[N_COLUMNS] = {
    [RA] = {"input.column_ra", 1, NAN},
    [DEC] = {"input.column_dec", 1, NAN},
    [MAG] = {"input.column_mag", 1, NAN},
    [RE] = {"input.column_re", 0, 0.0},
    [Q] = {"input.column_q", 0, 1.0},
    [PA] = {"input.column_pa", 0, 0.0},
    [SERSIC_N] = {"input.column_sersic_n", 0, 1.0},
    [STAR] = {"input.column_star", 0, 0.0},
};

typedef struct {
  nsl_table *table;
  const char *path;
  int id_column, column[N_COLUMNS];
  int64_t id[BLOCK];
  double value[N_COLUMNS][BLOCK];
} reader;

typedef struct {
  int64_t id, row;
} id_row;

static nsl_status find_columns(const nsl_config *cfg, reader *r, nsl_error *err)
{
  nsl_status st = nsl_table_require(r->table, nsl_config_text(cfg, "input.column_id"), &r->id_column, err);
  if (st != NSL_OK) { return nsl_error_context(err, st, "input.column_id"); }
  for (int c = 0; c < N_COLUMNS; c++) {
    const char *name = nsl_config_text(cfg, column_table[c].key);
    r->column[c] = name[0] ? nsl_table_find(r->table, name) : -1;
    /* An optional column that the user names has to be there; one that has its usual name need not. */
    if (r->column[c] < 0 && (column_table[c].required || (name[0] && nsl_config_is_set(cfg, column_table[c].key)))) {
      st = nsl_table_require(r->table, name, &r->column[c], err);
      if (st != NSL_OK) { return nsl_error_context(err, st, "%s", column_table[c].key); }
    }
  }
  return NSL_OK;
}

static nsl_status read_block(reader *r, int64_t first, int64_t n, nsl_error *err)
{
  nsl_status st = nsl_table_read_i64(r->table, r->id_column, first, n, r->id, err);
  for (int c = 0; st == NSL_OK && c < N_COLUMNS; c++) {
    if (r->column[c] >= 0) {
      st = nsl_table_read_f64(r->table, r->column[c], first, n, r->value[c], err);
    } else {
      for (int64_t i = 0; i < n; i++) { r->value[c][i] = column_table[c].otherwise; }
    }
  }
  return st;
}

static double or_else(double v, double otherwise) { return isfinite(v) ? v : otherwise; }

static nsl_source source_at(const reader *r, int64_t i)
{
  nsl_source s;
  memset(&s, 0, sizeof s); /* spooled and hashed as bytes */
  s.id = r->id[i];
  s.ra_deg = r->value[RA][i] - 360.0 * floor(r->value[RA][i] / 360.0);
  s.dec_deg = r->value[DEC][i];
  s.mag = r->value[MAG][i];
  s.shape.re_arcsec = fmax(or_else(r->value[RE][i], 0.0), 0.0);
  s.shape.q = or_else(r->value[Q][i], 1.0);
  s.shape.pa_deg = or_else(r->value[PA][i], 0.0);
  s.shape.sersic_n = or_else(r->value[SERSIC_N][i], 1.0);
  s.is_star = r->value[STAR][i] == 1.0;
  return s;
}

static nsl_status reject(nsl_plan_catalogue *out, int64_t id, int64_t row, nsl_reject_reason reason, nsl_error *err)
{
  if ((out->n_rejected & (out->n_rejected - 1)) == 0) { /* capacity: the next power of two */
    size_t capacity = out->n_rejected ? 2 * out->n_rejected : 1;
    nsl_plan_rejected *grown = realloc(out->rejected, capacity * sizeof *grown);
    if (!grown) { return nsl_fail(err, NSL_E_NOMEM, "no memory for the list of rejected sources"); }
    out->rejected = grown;
  }
  out->rejected[out->n_rejected++] = (nsl_plan_rejected){id, row, reason};
  return NSL_OK;
}

static nsl_status take_block(const reader *r, int order, int64_t first, int64_t n, int64_t n_id_buckets, nsl_spool *ids,
                             nsl_plan_catalogue *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int64_t i = 0; i < n && st == NSL_OK; i++) {
    id_row key = {r->id[i], first + i + 1};
    uint64_t spread = nsl_hash_bytes(&key.id, sizeof key.id).lo;
    st = nsl_spool_add(ids, (int64_t)(spread % (uint64_t)n_id_buckets), &key, err);
    if (st != NSL_OK) { break; }
    if (!isfinite(r->value[RA][i]) || !isfinite(r->value[DEC][i])) {
      st = reject(out, key.id, key.row, NSL_REJECT_POSITION, err);
    } else if (fabs(r->value[DEC][i]) > 90) {
      st = reject(out, key.id, key.row, NSL_REJECT_DECLINATION, err);
    } else {
      nsl_plan_source s;
      memset(&s, 0, sizeof s);
      s.source = source_at(r, i);
      s.tile = nsl_tile_of(order, s.source.ra_deg, s.source.dec_deg);
      st = nsl_spool_add(out->sources, nsl_plan_dir(s.tile), &s, err);
    }
  }
  return st;
}

static int by_id(const void *a, const void *b)
{
  const id_row *x = a, *y = b;
  if (x->id != y->id) { return x->id < y->id ? -1 : 1; }
  return x->row < y->row ? -1 : x->row > y->row;
}

static nsl_status check_unique(nsl_spool *ids, const char *path, nsl_error *err)
{
  size_t n_buckets = nsl_spool_buckets(ids);
  for (size_t b = 0; b < n_buckets; b++) {
    int64_t number;
    void *records;
    size_t n;
    nsl_status st = nsl_spool_load(ids, b, &number, &records, &n, err);
    if (st != NSL_OK) { return st; }
    id_row *rows = records;
    if (n) { qsort(rows, n, sizeof *rows, by_id); }
    for (size_t i = 1; i < n && st == NSL_OK; i++) {
      if (rows[i].id != rows[i - 1].id) { continue; }
      st = nsl_fail(err, NSL_E_VALUE, "%s: duplicate ID %lld in rows %lld and %lld; identifiers must be unique", path,
                    (long long)rows[i].id, (long long)rows[i - 1].row, (long long)rows[i].row);
    }
    free(records);
    if (st != NSL_OK) { return st; }
  }
  return NSL_OK;
}

nsl_status nsl_plan_read_catalogue(const nsl_config *cfg, const char *folder, nsl_plan_catalogue *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_spool *ids = NULL;
  *out = (nsl_plan_catalogue){0};
  reader *r = calloc(1, sizeof *r);
  if (!r) { NSL_THROW(err, NSL_E_NOMEM, "no memory to read the source catalogue"); }
  r->path = nsl_config_text(cfg, "input.catalogue");
  NSL_TRY(nsl_table_open(r->path, nsl_config_text(cfg, "input.catalogue_hdu"), &r->table, err));
  NSL_TRY(find_columns(cfg, r, err));
  NSL_TRY(nsl_spool_new(folder, "sources", sizeof(nsl_plan_source), SPOOL_MEMORY, &out->sources, err));
  NSL_TRY(nsl_spool_new(folder, "ids", sizeof(id_row), SPOOL_MEMORY, &ids, err));
  out->n_rows = nsl_table_rows(r->table);
  int order = (int)nsl_config_int(cfg, "tiles.order");
  for (int64_t first = 0; first < out->n_rows; first += BLOCK) {
    int64_t n = out->n_rows - first < BLOCK ? out->n_rows - first : BLOCK;
    NSL_TRY(read_block(r, first, n, err));
    NSL_TRY(take_block(r, order, first, n, out->n_rows / IDS_PER_BUCKET + 1, ids, out, err));
  }
  NSL_TRY(check_unique(ids, r->path, err));
cleanup:
  nsl_spool_free(ids);
  if (r) { nsl_table_close(r->table); }
  free(r);
  if (st != NSL_OK) { nsl_plan_catalogue_free(out); }
  return st;
}

void nsl_plan_catalogue_free(nsl_plan_catalogue *c)
{
  nsl_spool_free(c->sources);
  free(c->rejected);
  *c = (nsl_plan_catalogue){0};
}
