#include "noslit/pipe/truth.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "noslit/base/str.h"
#include "noslit/io/table.h"

enum { BLOCK = 65536, TEXT = 16 };

/* The usual names, best first: DESI zcatalog and redrock, SDSS spAll, then what people write. */
static const char *const usual_names[NSL_TRUTH_N_COLUMNS][12] = {
    [NSL_TRUTH_ID] = {"TARGETID", "OBJECT_ID", "SOURCE_ID", "ID", "OBJID", "CATALOGID"},
    [NSL_TRUTH_Z] = {"Z_TRUE", "Z", "Z_BEST", "ZTRUE", "Z_SPEC", "ZSPEC", "SPECZ", "SPEC_Z", "REDSHIFT", "ZREDSHIFT"},
    [NSL_TRUTH_RA] = {"TARGET_RA", "RA", "RA_DEG", "RAJ2000", "RACAT", "FIBER_RA", "PLUG_RA", "ALPHA_J2000"},
    [NSL_TRUTH_DEC] = {"TARGET_DEC", "DEC", "DEC_DEG", "DEJ2000", "DECCAT", "FIBER_DEC", "PLUG_DEC", "DELTA_J2000"},
    [NSL_TRUTH_SNR_GI] = {"SNR_GI", "GI_SNR", "SNR_GI_TRUE"},
    [NSL_TRUTH_SIZE] = {"SHAPE_R", "RE", "RE_ARCSEC"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_WAVE] = {"WAVE_ERROR_PX", "WAVE_SHIFT_PX"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_WAVE_GV] = {"WAVE_ERROR_GV_PX"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_WAVE_GI] = {"WAVE_ERROR_GI_PX"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_DISPERSION] = {"DISPERSION_ERROR"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_TRACE] = {"TRACE_ERROR_PX"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_PSF] = {"PSF_ERROR"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_SKY] = {"SKY_ERROR"},
    [NSL_TRUTH_INJECTED + NSL_INJECTED_ASTROMETRY] = {"ASTROMETRIC_ERROR"},
    [NSL_TRUTH_ZWARN] = {"ZWARN", "ZWARNING"},
    [NSL_TRUTH_PRIMARY] = {"ZCAT_PRIMARY", "SPECPRIMARY"},
    [NSL_TRUTH_DELTACHI2] = {"DELTACHI2", "RCHI2DIFF"},
    [NSL_TRUTH_SPECTYPE] = {"SPECTYPE", "CLASS"},
};

struct nsl_truth {
  nsl_table *table;
  int column[NSL_TRUTH_N_COLUMNS]; /* -1: the table has none */
  int need_position;
  double min_deltachi2;
  int64_t next, step; /* first row of the next block, and from block to block */
  nsl_truth_counts counts;
  nsl_truth_row *rows;                      /* [BLOCK] */
  double *value[NSL_TRUTH_N_COLUMNS];       /* [BLOCK] of numeric columns that are there */
  int64_t *id;                              /* [BLOCK] */
  char (*spectype)[TEXT], (*primary)[TEXT]; /* [BLOCK] */
};

void nsl_truth_close(nsl_truth *t)
{
  if (!t) { return; }
  nsl_table_close(t->table);
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) { free(t->value[c]); }
  free(t->rows);
  free(t->id);
  free(t->spectype);
  free(t->primary);
  free(t);
}

static int find_usual(const nsl_table *table, nsl_truth_column c)
{
  for (int k = 0; usual_names[c][k]; k++) {
    int column = nsl_table_find(table, usual_names[c][k]);
    if (column >= 0) { return column; }
  }
  return -1;
}

/* A column that must be there; the remedy is the option that names it. */
static nsl_status need(nsl_truth *t, nsl_truth_column c, const char *usual, const char *remedy, nsl_error *err)
{
  nsl_error why = NSL_ERROR_INIT;
  if (t->column[c] >= 0) { return NSL_OK; }
  nsl_status st = nsl_table_require(t->table, usual, &t->column[c], &why);
  return st == NSL_OK ? NSL_OK : nsl_fail(err, st, "%s; %s", why.text, remedy);
}

static nsl_status find_columns(nsl_truth *t, const nsl_truth_options *o, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *given[NSL_TRUTH_N_COLUMNS] = {[NSL_TRUTH_ID] = o->id_column,
                                            [NSL_TRUTH_Z] = o->z_column,
                                            [NSL_TRUTH_RA] = o->ra_column,
                                            [NSL_TRUTH_DEC] = o->dec_column,
                                            [NSL_TRUTH_SNR_GI] = o->snr_column};
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) {
    t->column[c] = -1;
    if (given[c]) {
      NSL_TRY(nsl_table_require(t->table, given[c], &t->column[c], err));
    } else {
      t->column[c] = find_usual(t->table, c);
    }
  }
  if (o->need_position && !o->id_column) { t->column[NSL_TRUTH_ID] = -1; } /* it need not be an integer then */
  NSL_TRY(need(t, NSL_TRUTH_Z, "Z", "name the redshifts' column with --z", err));
  if (o->need_position) {
    NSL_TRY(need(t, NSL_TRUTH_RA, "RA", "name it with --ra, or an identifier's column with --id", err));
    NSL_TRY(need(t, NSL_TRUTH_DEC, "DEC", "name it with --dec, or an identifier's column with --id", err));
  }
  if (o->min_deltachi2 > 0) { NSL_TRY(need(t, NSL_TRUTH_DELTACHI2, "DELTACHI2", "leave out --min-deltachi2", err)); }
cleanup:
  return st;
}

static int is_number(int c) { return c != NSL_TRUTH_ID && c != NSL_TRUTH_SPECTYPE && c != NSL_TRUTH_PRIMARY; }

static nsl_status allocate(nsl_truth *t, nsl_error *err)
{
  int ok = (t->rows = malloc(BLOCK * sizeof *t->rows)) != NULL;
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) {
    if (t->column[c] >= 0 && is_number(c)) { ok = ok && (t->value[c] = malloc(BLOCK * sizeof *t->value[c])) != NULL; }
  }
  ok = ok && (t->id = malloc(BLOCK * sizeof *t->id)) != NULL && (t->spectype = calloc(BLOCK, sizeof *t->spectype)) != NULL &&
       (t->primary = calloc(BLOCK, sizeof *t->primary)) != NULL;
  return ok ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory to read the truth table");
}

nsl_status nsl_truth_open(const nsl_truth_options *o, nsl_truth **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_truth *t = calloc(1, sizeof *t);
  if (!t) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", o->path); }
  t->need_position = o->need_position;
  t->step = BLOCK;
  t->min_deltachi2 = o->min_deltachi2;
  NSL_TRY(nsl_table_open(o->path, o->where, &t->table, err));
  NSL_TRY(find_columns(t, o, err));
  NSL_TRY(allocate(t, err));
  *out = t;
  t = NULL;
cleanup:
  nsl_truth_close(t);
  return st;
}

void nsl_truth_stripe(nsl_truth *t, int rank, int size)
{
  t->next = (int64_t)rank * BLOCK;
  t->step = (int64_t)size * BLOCK;
}

const char *nsl_truth_name(const nsl_truth *t, nsl_truth_column column)
{
  return t->column[column] < 0 ? NULL : nsl_table_column_name(t->table, t->column[column]);
}

const nsl_truth_counts *nsl_truth_counted(const nsl_truth *t) { return &t->counts; }

static nsl_status read_block(nsl_truth *t, int64_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int c = 0; c < NSL_TRUTH_N_COLUMNS; c++) {
    if (t->column[c] < 0) { continue; }
    if (c == NSL_TRUTH_ID) {
      NSL_TRY(nsl_table_read_i64(t->table, t->column[c], t->next, n, t->id, err));
    } else if (c == NSL_TRUTH_SPECTYPE) {
      NSL_TRY(nsl_table_read_text(t->table, t->column[c], t->next, n, t->spectype[0], TEXT, err));
    } else if (c == NSL_TRUTH_PRIMARY) { /* a logical, an integer or a word: all can be read as text */
      NSL_TRY(nsl_table_read_text(t->table, t->column[c], t->next, n, t->primary[0], TEXT, err));
    } else {
      NSL_TRY(nsl_table_read_f64(t->table, t->column[c], t->next, n, t->value[c], err));
    }
  }
cleanup:
  return st;
}

static double value_of(const nsl_truth *t, int c, int64_t i) { return t->value[c] ? t->value[c][i] : NAN; }

static int is_false(const char *word) { return strchr("0FfNn", word[0]) != NULL; /* also of "" */ }

/* Is row i of the block a galaxy redshift to trust? Counts what it is not. */
static int accept(nsl_truth *t, int64_t i)
{
  nsl_truth_counts *n = &t->counts;
  double zwarn = value_of(t, NSL_TRUTH_ZWARN, i), z = t->value[NSL_TRUTH_Z][i];
  if (t->value[NSL_TRUTH_ZWARN] && zwarn != 0) { return n->zwarn++, 0; }
  if (t->column[NSL_TRUTH_PRIMARY] >= 0 && is_false(t->primary[i])) { return n->not_primary++, 0; }
  if (t->min_deltachi2 > 0 && !(value_of(t, NSL_TRUTH_DELTACHI2, i) >= t->min_deltachi2)) { return n->unsure++, 0; }
  if (!strcasecmp(t->spectype[i], "STAR")) { return n->star++, 0; }
  if (!strcasecmp(t->spectype[i], "QSO")) { return n->qso++, 0; }
  int no_place = t->need_position && !(isfinite(value_of(t, NSL_TRUTH_RA, i)) && isfinite(value_of(t, NSL_TRUTH_DEC, i)));
  if (!isfinite(z) || z <= -1 || no_place) { return n->bad++, 0; }
  return n->used++, 1;
}

nsl_status nsl_truth_next(nsl_truth *t, const nsl_truth_row **rows, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  *n = 0;
  *rows = t->rows;
  while (!*n && t->next < nsl_table_rows(t->table)) { /* a block may hold no usable row */
    int64_t left = nsl_table_rows(t->table) - t->next, count = left < BLOCK ? left : BLOCK;
    NSL_TRY(read_block(t, count, err));
    for (int64_t i = 0; i < count; i++) {
      t->counts.rows++;
      if (!accept(t, i)) { continue; }
      t->rows[(*n)++] = (nsl_truth_row){.row = t->next + i,
                                        .id = t->column[NSL_TRUTH_ID] >= 0 ? t->id[i] : t->next + i,
                                        .z = t->value[NSL_TRUTH_Z][i],
                                        .ra_deg = value_of(t, NSL_TRUTH_RA, i),
                                        .dec_deg = value_of(t, NSL_TRUTH_DEC, i),
                                        .snr_gi = (float)value_of(t, NSL_TRUTH_SNR_GI, i),
                                        .size_arcsec = (float)value_of(t, NSL_TRUTH_SIZE, i)};
      for (int k = 0; k < NSL_N_INJECTED; k++) { t->rows[*n - 1].injected[k] = (float)value_of(t, NSL_TRUTH_INJECTED + k, i); }
    }
    t->next += t->step;
  }
cleanup:
  return st;
}
