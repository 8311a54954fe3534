/* The inner loop of the renderer: four rows by sixteen columns at a time, one multiply-add a tap. The clones do the same
 * operations in the same order, so the bits do not depend on the processor. */
#include <string.h>

#include "noslit/base/vectorised.h"
#include "render_internal.h"

typedef nsl_lanes vec;

NSL_VECTORISED void nsl_convolve_rows(const nsl_kernel *kn, int m_min, int m_max, const float *line, int step, int n, int stride,
                                      float *g)
{
  int rows = m_max - m_min + 1, taps = kn->t_max - kn->t_min + 1;
  for (int m = 0; m < rows; m += 4) {
    const float *k = kn->k + (m_min - kn->m_min) + m;
    int in_block = rows - m < 4 ? rows - m : 4;
    for (int i = 0; i < n; i += NSL_LANES) {
      vec a = {0}, b = {0}, c = {0}, d = {0};
      /* As t grows from t_min, the reading walks down from step (taps - 1). */
      const float *from = line + i + step * (taps - 1), *kt = k;
      for (int t = 0; t < taps; t++, from -= step, kt += kn->rows_padded) {
        vec x = *(const vec *)from;
        a += kt[0] * x;
        b += kt[1] * x;
        c += kt[2] * x;
        d += kt[3] * x;
      }
      vec out[4] = {a, b, c, d};
      for (int r = 0; r < in_block; r++) { memcpy(g + (size_t)(m + r) * (size_t)stride + i, &out[r], sizeof(vec)); }
    }
  }
}
