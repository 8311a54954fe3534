/* What a tile costs: seconds = a visits + b sources + c exposures + d, fitted to the last run's measurements. */
#include <math.h>
#include <stdlib.h>

#include "noslit/base/fsio.h"
#include "noslit/io/json.h"
#include "noslit/pipe/ledger_files.h"
#include "noslit/pipe/plan.h"

enum { N = 4 };

void nsl_cost_model_default(nsl_cost_model *m)
{
  *m = (nsl_cost_model){.per_visit_s = 0.002, .per_source_s = 0.005, .per_exposure_s = 0.02, .per_tile_s = 0.05};
}

static void features(const nsl_plan_tile *t, double f[N])
{
  f[0] = (double)t->n_visits;
  f[1] = (double)t->n_sources;
  f[2] = t->n_exposures;
  f[3] = 1.0;
}

double nsl_cost_predict(const nsl_cost_model *m, const nsl_plan_tile *tile)
{
  double f[N];
  features(tile, f);
  return m->per_visit_s * f[0] + m->per_source_s * f[1] + m->per_exposure_s * f[2] + m->per_tile_s * f[3];
}

/* Solves the symmetric positive definite system by Gauss elimination. */
static void solve(double a[N][N], double b[N])
{
  for (int i = 0; i < N; i++) {
    for (int k = i + 1; k < N; k++) {
      double ratio = a[k][i] / a[i][i];
      for (int j = i; j < N; j++) { a[k][j] -= ratio * a[i][j]; }
      b[k] -= ratio * b[i];
    }
  }
  for (int i = N - 1; i >= 0; i--) {
    for (int j = i + 1; j < N; j++) { b[i] -= a[i][j] * b[j]; }
    b[i] /= a[i][i];
  }
}

/* Relative residuals, with the measurement below, love small predictions; core-hours are a sum, which has to come out. */
static void keep_total(const nsl_plan_tile *tiles, size_t n, double measured, nsl_cost_model *m)
{
  double sum = 0;
  for (size_t i = 0; i < n; i++) { sum += nsl_cost_predict(m, &tiles[i]); }
  double factor = sum > 0 ? measured / sum : 1;
  m->per_visit_s *= factor;
  m->per_source_s *= factor;
  m->per_exposure_s *= factor;
  m->per_tile_s *= factor;
}

/* Least squares of relative residuals, in units of the built-in model scaled to the measured total, with a weak pull towards it. */
void nsl_cost_fit(const nsl_plan_tile *tiles, const double *seconds, size_t n, nsl_cost_model *out)
{
  nsl_cost_model guess;
  nsl_cost_model_default(&guess);
  double measured = 0, predicted = 0;
  for (size_t i = 0; i < n; i++) {
    measured += seconds[i];
    predicted += nsl_cost_predict(&guess, &tiles[i]);
  }
  *out = guess;
  if (n == 0 || !(measured > 0) || !(predicted > 0)) { return; }
  double scale = measured / predicted;
  double unit[N] = {guess.per_visit_s * scale, guess.per_source_s * scale, guess.per_exposure_s * scale, guess.per_tile_s * scale};
  double a[N][N] = {{0}}, b[N] = {0};
  const double pull = 0.1;
  for (int k = 0; k < N; k++) {
    a[k][k] = pull;
    b[k] = pull;
  }
  for (size_t i = 0; i < n; i++) {
    double f[N], size = fmax(seconds[i], 0.1 * measured / (double)n);
    features(&tiles[i], f);
    for (int k = 0; k < N; k++) { f[k] *= unit[k] / size; }
    for (int k = 0; k < N; k++) {
      for (int j = 0; j < N; j++) { a[k][j] += f[k] * f[j]; }
      b[k] += f[k] * seconds[i] / size;
    }
  }
  solve(a, b);
  for (int k = 0; k < N; k++) { b[k] = fmax(b[k], 0.0) * unit[k]; }
  *out = (nsl_cost_model){b[0], b[1], b[2], b[3], (int64_t)n};
  keep_total(tiles, n, measured, out);
}

/* Takes the model of a run's report if more tiles are behind it than behind *best. */
static void consider(const char *path, nsl_cost_model *best)
{
  nsl_json *report = NULL;
  if (nsl_json_read(path, &report, NULL) == NSL_OK) {
    const nsl_json *m = nsl_json_get(report, "cost_model");
    nsl_cost_model c = {nsl_json_get_f64(m, "per_visit_s", -1), nsl_json_get_f64(m, "per_source_s", -1),
                        nsl_json_get_f64(m, "per_exposure_s", -1), nsl_json_get_f64(m, "per_tile_s", -1),
                        (int64_t)nsl_json_get_f64(m, "measured_tiles", 0)};
    int usable = c.per_visit_s >= 0 && c.per_source_s >= 0 && c.per_exposure_s >= 0 && c.per_tile_s >= 0;
    if (usable && c.measured_tiles > best->measured_tiles) { *best = c; }
  }
  nsl_json_free(report);
}

void nsl_cost_model_load(const char *workdir, nsl_cost_model *out)
{
  char **paths;
  size_t n;
  nsl_cost_model_default(out);
  if (nsl_ledger_files(workdir, "report.json", &paths, &n, NULL) != NSL_OK) { return; }
  for (size_t i = 0; i < n; i++) { consider(paths[i], out); }
  nsl_paths_free(paths, n);
}
