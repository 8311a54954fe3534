/* The redshift distribution that a set is to have. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_table.h"
#include "noslit/base/fsio.h"

static nsl_status parse(char *text, nsl_mock_nz *nz, nsl_error *err)
{
  int capacity = 0, line = 0;
  for (char *at = text, *next; at && *at; at = next) {
    line++;
    next = strchr(at, '\n');
    if (next) { *next++ = 0; }
    at += strspn(at, " \t\r");
    if (*at == 0 || *at == '#') { continue; }
    char *end, *end2;
    double z = strtod(at, &end), density = strtod(end, &end2);
    if (end == at || end2 == end || end2[strspn(end2, " \t\r")] || !isfinite(z) || !(density >= 0) || !isfinite(density)) {
      return nsl_fail(err, NSL_E_FORMAT, "line %d: two numbers are needed, a redshift and a density that is not negative", line);
    }
    if (nz->n > 0 && !(z > nz->z[nz->n - 1])) { return nsl_fail(err, NSL_E_VALUE, "line %d: redshifts must increase", line); }
    if (nz->n == capacity) {
      capacity = capacity ? 2 * capacity : 64;
      double *a = realloc(nz->z, (size_t)capacity * sizeof *a);
      if (a) { nz->z = a; }
      double *b = realloc(nz->density, (size_t)capacity * sizeof *b);
      if (b) { nz->density = b; }
      if (!a || !b) { return nsl_fail(err, NSL_E_NOMEM, "redshift distribution"); }
    }
    nz->z[nz->n] = z;
    nz->density[nz->n++] = density;
  }
  return nz->n >= 2 ? NSL_OK : nsl_fail(err, NSL_E_FORMAT, "at least two lines are needed: redshift and density");
}

static double density_at(const nsl_mock_nz *nz, double z)
{
  if (z < nz->z[0] || z > nz->z[nz->n - 1]) { return 0; }
  int k = 0;
  while (k < nz->n - 2 && z > nz->z[k + 1]) { k++; }
  return nz->density[k] + (nz->density[k + 1] - nz->density[k]) * (z - nz->z[k]) / (nz->z[k + 1] - nz->z[k]);
}

/* Points outside move to the limits. */
static void cut(nsl_mock_nz *nz, double lo, double hi)
{
  double at_lo = density_at(nz, lo), at_hi = density_at(nz, hi);
  int n = 0, has_lo = nz->z[0]<lo, has_hi = nz->z[nz->n - 1]> hi;
  for (int i = 0; i < nz->n; i++) {
    if (nz->z[i] < lo && !(i + 1 < nz->n && nz->z[i + 1] > lo)) { continue; }
    if (nz->z[i] > hi && !(i > 0 && nz->z[i - 1] < hi)) { continue; }
    nz->z[n] = nz->z[i];
    nz->density[n++] = nz->density[i];
  }
  nz->n = n;
  if (n > 1 && has_lo) {
    nz->z[0] = lo;
    nz->density[0] = at_lo;
  }
  if (n > 1 && has_hi) {
    nz->z[n - 1] = hi;
    nz->density[n - 1] = at_hi;
  }
}

nsl_status nsl_mock_nz_read(const char *path, double z_min, double z_max, nsl_mock_nz *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *text = NULL;
  size_t size;
  nsl_mock_nz nz = {0};
  NSL_TRY(nsl_read_file(path, 1 << 24, &text, &size, err));
  NSL_TRY(parse(text, &nz, err));
  cut(&nz, z_min, z_max);
  nz.cumulative = calloc((size_t)nz.n + 1, sizeof *nz.cumulative);
  if (!nz.cumulative) { NSL_THROW(err, NSL_E_NOMEM, "redshift distribution"); }
  for (int i = 1; i < nz.n; i++) {
    nz.cumulative[i] = nz.cumulative[i - 1] + 0.5 * (nz.density[i] + nz.density[i - 1]) * (nz.z[i] - nz.z[i - 1]);
  }
  if (nz.n < 2 || !(nz.cumulative[nz.n - 1] > 0)) {
    NSL_THROW(err, NSL_E_VALUE, "no density between simulate.z_min (%g) and simulate.z_max (%g)", z_min, z_max);
  }
  *out = nz;
  nz = (nsl_mock_nz){0};
cleanup:
  free(text);
  nsl_mock_nz_free(&nz);
  return st == NSL_OK ? st : nsl_error_context(err, st, "%s", path);
}

void nsl_mock_nz_free(nsl_mock_nz *nz)
{
  free(nz->z);
  free(nz->density);
  free(nz->cumulative);
  *nz = (nsl_mock_nz){0};
}

double nsl_mock_nz_draw(const nsl_mock_nz *nz, double u)
{
  double at = u * nz->cumulative[nz->n - 1];
  int k = 0;
  while (k < nz->n - 2 && at >= nz->cumulative[k + 1]) { k++; }
  /* Inside a step the density is d0 + slope x: solve d0 x + slope x^2 / 2 = rest. */
  double rest = at - nz->cumulative[k], width = nz->z[k + 1] - nz->z[k], d0 = nz->density[k],
         slope = (nz->density[k + 1] - d0) / width, root = sqrt(fmax(d0 * d0 + 2 * slope * rest, 0));
  double x = d0 + root > 0 ? 2 * rest / (d0 + root) : 0;
  return nz->z[k] + fmin(x, width);
}
