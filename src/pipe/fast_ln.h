/* ln in single precision, as a series that compilers vectorise: the same bits on every processor. */
#ifndef PIPE_FAST_LN_H
#define PIPE_FAST_LN_H

#include <stdint.h>

/* ln of a normal number u > 0: exponent and an odd series in (m - 1)/(m + 1) for m in [sqrt(1/2), sqrt(2)); error below 1e-6 of
 * the larger of 1 and |ln u|. */
static inline float nsl_fast_ln(float u)
{
  union {
    float f;
    int32_t i;
  } v = {u};
  int32_t e = (v.i - 0x3f3504f3) >> 23;
  v.i -= e * (1 << 23);
  float s = (v.f - 1.0f) / (v.f + 1.0f), q = s * s;
  return (float)e * 0.69314718f + 2.0f * s * (1.0f + q * (0.33333333f + q * (0.2f + q * (0.14285714f + q * 0.11111111f))));
}

#endif
