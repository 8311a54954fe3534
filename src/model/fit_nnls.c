/* Non-negative least squares from normal equations (Lawson & Hanson 1974, chapter 23), for a few templates. */
#include <math.h>
#include <string.h>

#include "noslit/model/fit.h"

#define MAX NSL_FIT_TEMPLATES_MAX
#define RIDGE 1e-9 /* of the diagonal: templates may be nearly alike */

/* Solves M x = c for the members of the set by Cholesky; 0 when M is not positive there. */
static int solve(int n, const double *m, const double *c, const int *set, int count, double *x)
{
  double l[MAX][MAX], y[MAX];
  for (int i = 0; i < count; i++) {
    for (int j = 0; j <= i; j++) {
      double s = m[set[i] * n + set[j]] * (i == j ? 1 + RIDGE : 1);
      for (int k = 0; k < j; k++) { s -= l[i][k] * l[j][k]; }
      if (i == j && !(s > 0)) { return 0; }
      l[i][j] = i == j ? sqrt(s) : s / l[j][j];
    }
    y[i] = c[set[i]];
    for (int k = 0; k < i; k++) { y[i] -= l[i][k] * y[k]; }
    y[i] /= l[i][i];
  }
  for (int i = count - 1; i >= 0; i--) {
    for (int k = i + 1; k < count; k++) { y[i] -= l[k][i] * y[k]; }
    y[i] /= l[i][i];
  }
  for (int i = 0; i < count; i++) { x[set[i]] = y[i]; }
  return 1;
}

/* Largest gradient among those not in the set, relative to what its template could gain; -1 for none. */
static int most_wanted(int n, const double *m, const double *c, const double *a, const int *in)
{
  int best = -1;
  double most = 1e-12;
  for (int i = 0; i < n; i++) {
    if (in[i] || !(m[i * n + i] > 0)) { continue; }
    double g = c[i];
    for (int j = 0; j < n; j++) { g -= m[i * n + j] * a[j]; }
    double gain = g / sqrt(m[i * n + i]);
    if (gain > most) {
      most = gain;
      best = i;
    }
  }
  return best;
}

/* Moves a towards the unconstrained solution until a member would become negative, and takes that one out. 1 when all fit. */
static int step(int n, const double *x, double *a, int *in)
{
  double way = 1;
  for (int i = 0; i < n; i++) {
    if (in[i] && x[i] <= 0) { way = fmin(way, a[i] > 0 ? a[i] / (a[i] - x[i]) : 0); }
  }
  for (int i = 0; i < n; i++) {
    if (!in[i]) { continue; }
    int negative = x[i] <= 0;
    a[i] += way * (x[i] - a[i]);
    if (negative && a[i] <= 1e-14) { in[i] = 0, a[i] = 0; }
  }
  return way >= 1;
}

double nsl_nnls(int n, const double *m, const double *c, double *a)
{
  int in[MAX] = {0}, set[MAX];
  double x[MAX];
  for (int i = 0; i < n; i++) { a[i] = 0; }
  for (int rounds = 0; rounds < 3 * MAX; rounds++) {
    int next = most_wanted(n, m, c, a, in);
    if (next < 0) { break; }
    in[next] = 1;
    for (int inner = 0; inner < MAX; inner++) {
      int count = 0;
      memset(x, 0, sizeof x);
      for (int i = 0; i < n; i++) {
        if (in[i]) { set[count++] = i; }
      }
      if (!solve(n, m, c, set, count, x)) {
        in[next] = 0;
        a[next] = 0;
        break;
      }
      if (step(n, x, a, in)) { break; }
    }
  }
  double value = 0;
  for (int i = 0; i < n; i++) {
    double ma = 0;
    for (int j = 0; j < n; j++) { ma += m[i * n + j] * a[j]; }
    value += a[i] * (ma - 2 * c[i]);
  }
  return value < 0 ? value : 0;
}
