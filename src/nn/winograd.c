#include "winograd.h"

/* Row p: what the weights are multiplied with at position p. Finite point a: (1, a, a^2) / prod (a - other points). */
static const double weights_4[6][3] = {{1.0 / 4, 0, 0},
                                       {-1.0 / 6, -1.0 / 6, -1.0 / 6},
                                       {-1.0 / 6, 1.0 / 6, -1.0 / 6},
                                       {1.0 / 24, 1.0 / 12, 1.0 / 6},
                                       {1.0 / 24, -1.0 / 12, 1.0 / 6},
                                       {0, 0, 1}};
static const double weights_3[5][3] = {
    {1.0 / 2, 0, 0}, {-1.0 / 2, -1.0 / 2, -1.0 / 2}, {-1.0 / 6, 1.0 / 6, -1.0 / 6}, {1.0 / 6, 1.0 / 3, 2.0 / 3}, {0, 0, 1}};
static const double weights_2[4][3] = {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}};
/* Two rows between zero rows: (w1 w2; w0 w1) (x0; x1) as w1 (x0 + x1), (w2 - w1) x1, (w0 - w1) x0. */
static const double weights_only_2[3][3] = {{0, 1, 0}, {0, -1, 1}, {1, -1, 0}};

static const double *row_weights(nsl_rows_scheme scheme, int p)
{
  switch (scheme) {
  case NSL_ROWS_4:
    return weights_4[p];
  case NSL_ROWS_3:
    return weights_3[p];
  case NSL_ROWS_2:
    return weights_2[p];
  default:
    return weights_only_2[p];
  }
}

nsl_rows_shape nsl_winograd_rows(nsl_rows_scheme scheme)
{
  static const nsl_rows_shape shapes[NSL_ROWS_COUNT] = {
      [NSL_ROWS_4] = {6, -1, 6, 4}, [NSL_ROWS_3] = {5, -1, 5, 3}, [NSL_ROWS_2] = {4, -1, 4, 2}, [NSL_ROWS_ONLY_2] = {2, 0, 3, 2}};
  return shapes[scheme];
}

int nsl_winograd_cut(int h, nsl_row_band bands[3])
{
  int n = 0, y = 0;
  if (h == 2) {
    bands[0] = (nsl_row_band){NSL_ROWS_ONLY_2, 0, 1};
    return 1;
  }
  int fours = h % 4 == 1 ? h / 4 - 1 : h / 4;
  if (fours > 0) { bands[n++] = (nsl_row_band){NSL_ROWS_4, 0, fours}; }
  y = 4 * fours;
  if (h - y == 3 || h - y == 5) {
    bands[n++] = (nsl_row_band){NSL_ROWS_3, y, 1};
    y += 3;
  }
  if (h - y == 2) { bands[n++] = (nsl_row_band){NSL_ROWS_2, y, 1}; }
  return n;
}

void nsl_winograd_weights(nsl_rows_scheme scheme, int p, int q, int c_out, int c_in, const float *w, const double *scale,
                          double *to)
{
  const double *gy = row_weights(scheme, p), *gx = weights_4[q];
  for (int o = 0; o < c_out; o++) {
    for (int c = 0; c < c_in; c++, w += 9) {
      double sum = 0.0;
      for (int y = 0; y < 3; y++) {
        double row = gx[0] * (double)w[3 * y] + gx[1] * (double)w[3 * y + 1] + gx[2] * (double)w[3 * y + 2];
        sum += gy[y] * row;
      }
      to[c * c_out + o] = sum * scale[o];
    }
  }
}
