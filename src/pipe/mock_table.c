#include "mock_table.h"

#include <math.h>
#include <stdlib.h>

#include "mock_format.h"
#include "mock_internal.h"
#include "noslit/io/h5.h"

#define FORMAT "noslit-population"
#define VERSION 1
#define KERNEL 0.3 /* of Scott's rule: smooths over single rows, and hardly widens the whole */
#define DRAWS_MAX 1000

typedef struct {
  int n;
  int *row;
  double *cumulative; /* of weights */
} group;

struct nsl_mock_table {
  size_t n;
  int has_mag;
  int32_t *kind;
  double *z, *mag, *re, *weight;
  double mag_min, mag_max, z_min, z_max;
  struct {
    double mag, lnz, lnre;
  } kernel[NSL_KIND_STAR + 1];
  group groups[NSL_ROWS_GROUPS];
  group kinds[NSL_KIND_STAR + 1];
};

static int keeps(const nsl_mock_table *t, size_t i)
{
  if (!(t->weight[i] > 0)) { return 0; }
  if (t->has_mag && (t->mag[i] > t->mag_max || (t->kind[i] != NSL_KIND_STAR && t->mag[i] < t->mag_min))) { return 0; }
  return t->kind[i] == NSL_KIND_STAR || (t->z[i] >= t->z_min && t->z[i] <= t->z_max);
}

static nsl_row_group group_of(int32_t kind)
{
  return kind == NSL_KIND_STAR ? NSL_ROWS_STARS : kind == NSL_KIND_QUASAR ? NSL_ROWS_QUASARS : NSL_ROWS_GALAXIES;
}

static int group_room(group *g, size_t n)
{
  g->row = malloc((n + 1) * sizeof *g->row);
  g->cumulative = malloc((n + 1) * sizeof *g->cumulative);
  return g->row && g->cumulative;
}

static void group_add(group *g, const nsl_mock_table *t, size_t i)
{
  g->cumulative[g->n] = t->weight[i] + (g->n ? g->cumulative[g->n - 1] : 0);
  g->row[g->n++] = (int)i;
}

static nsl_status make_groups(nsl_mock_table *t, nsl_error *err)
{
  int ok = 1, n_galaxies = 0;
  for (int g = 0; g < NSL_ROWS_GROUPS; g++) { ok = ok && group_room(&t->groups[g], t->n); }
  for (int k = 0; k <= NSL_KIND_STAR; k++) { ok = ok && group_room(&t->kinds[k], t->n); }
  if (!ok) { return nsl_fail(err, NSL_E_NOMEM, "%zu rows", t->n); }
  for (size_t i = 0; i < t->n; i++) {
    if (!keeps(t, i)) { continue; }
    group_add(&t->groups[group_of(t->kind[i])], t, i);
    group_add(&t->kinds[t->kind[i]], t, i);
    n_galaxies += group_of(t->kind[i]) == NSL_ROWS_GALAXIES;
  }
  if (n_galaxies == 0) {
    return nsl_fail(err, NSL_E_VALUE, "no galaxy within simulate.z_min, z_max (%g to %g) and mag_min, mag_max (%g to %g)", t->z_min,
                    t->z_max, t->mag_min, t->mag_max);
  }
  return NSL_OK;
}

/* Scott's rule in three dimensions for the known values of a column, from weighted rows; at least `least`. */
static double kernel_of(const nsl_mock_table *t, const group *g, const double *column, double (*as)(double), double least)
{
  double w = 0, w2 = 0, sum = 0, sum2 = 0;
  for (int k = 0; k < g->n; k++) {
    double v = column[g->row[k]], weight = t->weight[g->row[k]];
    v = as ? as(v) : v;
    if (!isfinite(v)) { continue; }
    w += weight;
    w2 += weight * weight;
    sum += weight * v;
    sum2 += weight * v * v;
  }
  if (!(w > 0)) { return least; }
  double variance = sum2 / w - sum / w * (sum / w);
  return fmax(KERNEL * pow(w * w / w2, -1.0 / 7) * sqrt(fmax(variance, 0)), least);
}

static nsl_status check(const nsl_mock_table *t, nsl_error *err)
{
  for (size_t i = 0; i < t->n; i++) {
    if (t->kind[i] < NSL_KIND_FIELD || t->kind[i] > NSL_KIND_STAR) {
      return nsl_fail(err, NSL_E_VALUE, "row %zu is of class %d: it must be 0 field, 1 red, 2 emission lines, 3 quasar or 4 star",
                      i, (int)t->kind[i]);
    }
    int star = t->kind[i] == NSL_KIND_STAR;
    if (!(star || (t->z[i] > -1 && isfinite(t->z[i]))) || (t->has_mag && !isfinite(t->mag[i])) ||
        !(t->weight[i] >= 0 && isfinite(t->weight[i])) || t->re[i] <= 0) {
      return nsl_fail(err, NSL_E_VALUE, "row %zu: z, mag and weight must be numbers, re positive or NaN (z %g, mag %g, re %g)", i,
                      t->z[i], t->mag[i], t->re[i]);
    }
  }
  return NSL_OK;
}

static nsl_status read_all(nsl_h5 *f, nsl_mock_table *t, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  NSL_TRY(nsl_mock_check_format(f, FORMAT, VERSION, "a population table", "make_population.py", err));
  NSL_TRY(nsl_h5_dims(f, "/z", &rank, dims, err));
  if (rank != 1 || dims[0] < 1 || dims[0] > 1000000000) { NSL_THROW(err, NSL_E_FORMAT, "z must have the shape [rows]"); }
  t->n = dims[0];
  t->kind = malloc(t->n * sizeof *t->kind);
  t->z = malloc(4 * t->n * sizeof *t->z);
  if (!t->kind || !t->z) { NSL_THROW(err, NSL_E_NOMEM, "%zu rows", t->n); }
  t->mag = t->z + t->n;
  t->re = t->mag + t->n;
  t->weight = t->re + t->n;
  for (size_t i = 0; i < t->n; i++) {
    t->mag[i] = t->re[i] = NAN;
    t->weight[i] = 1;
  }
  t->has_mag = nsl_h5_exists(f, "/mag");
  NSL_TRY(nsl_h5_read(f, "/z", NSL_H5_F64, t->n, t->z, err));
  NSL_TRY(nsl_h5_read(f, "/class", NSL_H5_I32, t->n, t->kind, err));
  if (t->has_mag) { NSL_TRY(nsl_h5_read(f, "/mag", NSL_H5_F64, t->n, t->mag, err)); }
  if (nsl_h5_exists(f, "/re")) { NSL_TRY(nsl_h5_read(f, "/re", NSL_H5_F64, t->n, t->re, err)); }
  if (nsl_h5_exists(f, "/weight")) { NSL_TRY(nsl_h5_read(f, "/weight", NSL_H5_F64, t->n, t->weight, err)); }
  NSL_TRY(check(t, err));
  NSL_TRY(make_groups(t, err));
  for (int k = 0; k <= NSL_KIND_STAR; k++) {
    t->kernel[k].mag = kernel_of(t, &t->kinds[k], t->mag, NULL, 0.02);
    t->kernel[k].lnz = kernel_of(t, &t->kinds[k], t->z, log1p, 0.001);
    t->kernel[k].lnre = kernel_of(t, &t->kinds[k], t->re, log, 0.02);
  }
cleanup:
  return st;
}

nsl_status nsl_mock_table_read(const char *path, double mag_min, double mag_max, double z_min, double z_max, nsl_mock_table **out,
                               nsl_error *err)
{
  nsl_h5 *f = NULL;
  nsl_mock_table *t = calloc(1, sizeof *t);
  if (!t) { return nsl_fail(err, NSL_E_NOMEM, "population table"); }
  t->mag_min = mag_min;
  t->mag_max = mag_max;
  t->z_min = z_min;
  t->z_max = z_max;
  nsl_status st = nsl_h5_open(path, &f, err);
  if (st == NSL_OK) { st = read_all(f, t, err); }
  nsl_h5_close(f, NULL);
  if (st != NSL_OK) {
    nsl_mock_table_free(t);
    return nsl_error_context(err, st, "%s", path);
  }
  *out = t;
  return NSL_OK;
}

static void group_free(group *g)
{
  free(g->row);
  free(g->cumulative);
}

void nsl_mock_table_free(nsl_mock_table *t)
{
  if (!t) { return; }
  for (int g = 0; g < NSL_ROWS_GROUPS; g++) { group_free(&t->groups[g]); }
  for (int k = 0; k <= NSL_KIND_STAR; k++) { group_free(&t->kinds[k]); }
  free(t->kind);
  free(t->z); /* and the columns after it */
  free(t);
}

static size_t pick(const group *g, nsl_rng *r)
{
  double at = nsl_rng_uniform(r) * g->cumulative[g->n - 1];
  int lo = 0, hi = g->n - 1;
  while (lo < hi) {
    int middle = (lo + hi) / 2;
    if (g->cumulative[middle] <= at) {
      lo = middle + 1;
    } else {
      hi = middle;
    }
  }
  return (size_t)g->row[lo];
}

/* value + kernel x N(0,1), within the limits: what would fall outside is drawn again, and last put on the limit. */
static double smooth(nsl_rng *r, double value, double kernel, double lo, double hi)
{
  for (int k = 0; k < DRAWS_MAX; k++) {
    double v = value + kernel * nsl_rng_normal(r);
    if (v >= lo && v <= hi) { return v; }
  }
  return value < lo ? lo : value > hi ? hi : value;
}

static double smooth_z(const nsl_mock_table *t, nsl_rng *r, size_t i)
{
  double v = expm1(smooth(r, log1p(t->z[i]), t->kernel[t->kind[i]].lnz, log1p(t->z_min), log1p(t->z_max)));
  return v < t->z_min ? t->z_min : v > t->z_max ? t->z_max : v;
}

int nsl_mock_table_draw(const nsl_mock_table *t, nsl_rng *r, nsl_row_group which, double slope, nsl_mock_row *out)
{
  const group *g = &t->groups[which];
  if (!t->has_mag || g->n == 0) { return 0; }
  double tilt = slope - NSL_MOCK_COUNT_SLOPE, full = tilt < 0 ? t->mag_min : t->mag_max;
  size_t i = pick(g, r);
  if (which == NSL_ROWS_GALAXIES && tilt != 0) {
    for (int k = 0; k < DRAWS_MAX && nsl_rng_uniform(r) > pow(10, tilt * (t->mag[i] - full)); k++) { i = pick(g, r); }
  }
  out->kind = (nsl_kind)t->kind[i];
  out->mag = smooth(r, t->mag[i], t->kernel[t->kind[i]].mag, which == NSL_ROWS_STARS ? -INFINITY : t->mag_min, t->mag_max);
  out->z = which == NSL_ROWS_STARS ? 0 : smooth_z(t, r, i);
  out->re_arcsec = t->re[i] > 0 ? t->re[i] * exp(t->kernel[t->kind[i]].lnre * nsl_rng_normal(r)) : NAN;
  return 1;
}

int nsl_mock_table_draw_z(const nsl_mock_table *t, nsl_rng *r, nsl_kind kind, double *z)
{
  const group *g = &t->kinds[kind];
  if (t->has_mag || g->n == 0 || kind == NSL_KIND_STAR) { return 0; }
  *z = smooth_z(t, r, pick(g, r));
  return 1;
}
