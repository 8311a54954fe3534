/* The inner loop of the renderer: four rows by sixteen columns at a time, one multiply-add a tap. The clones do the same
 * operations in the same order, so the bits do not depend on the processor. */
#include <string.h>

#include "noslit/base/vectorised.h"
#include "render_internal.h"

typedef float vec __attribute__((vector_size(NSL_LANES * sizeof(float)), aligned(4)));

NSL_VECTORISED void nsl_convolve_rows(const nsl_kernel *kn, int m_min, int m_max, const float *line, int step, int n, int stride,
                                      float *g)
{
  int rows = m_max - m_min + 1, taps = kn->t_max - kn->t_min + 1;
  for (int m = 0; m < rows; m += 4) {
    const float *k = kn->k + (m_min - kn->m_min) + m;
    int in_block = rows - m < 4 ? rows - m : 4;
    for (int i = 0; i < n; i += 2 * NSL_LANES) {
      vec a0 = {0}, a1 = {0}, b0 = {0}, b1 = {0}, c0 = {0}, c1 = {0}, d0 = {0}, d1 = {0};
      /* As t grows from t_min, the reading walks down from step (taps - 1). */
      const float *from = line + i + step * (taps - 1), *kt = k;
      for (int t = 0; t < taps; t++, from -= step, kt += kn->rows_padded) {
        vec x0 = *(const vec *)from, x1 = *(const vec *)(from + NSL_LANES);
        a0 += kt[0] * x0;
        a1 += kt[0] * x1;
        b0 += kt[1] * x0;
        b1 += kt[1] * x1;
        c0 += kt[2] * x0;
        c1 += kt[2] * x1;
        d0 += kt[3] * x0;
        d1 += kt[3] * x1;
      }
      vec out[8] = {a0, a1, b0, b1, c0, c1, d0, d1};
      for (int b = 0; b < in_block; b++) {
        float *to = g + (size_t)(m + b) * (size_t)stride + i;
        memcpy(to, &out[2 * b], sizeof(vec));
        memcpy(to + NSL_LANES, &out[2 * b + 1], sizeof(vec));
      }
    }
  }
}
