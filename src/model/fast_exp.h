/* exp in single precision, as a polynomial that compilers vectorise. */
#ifndef NOSLIT_MODEL_FAST_EXP_H
#define NOSLIT_MODEL_FAST_EXP_H

#include <math.h>
#include <stdint.h>

/* Relative error below 3e-7 for |x| < 80, clamped there. Without a choice between values: of a constant one compilers work out all
 * that follows, and the branch that leads there keeps the loop from being vectorised. */
static inline float nsl_fast_exp(float x)
{
  union {
    int32_t i;
    float f;
  } size = {.f = fabsf(x)}, scale;
  const int32_t most = 0x42a00000; /* 80 */
  int32_t over = -(size.i > most);
  size.i = (size.i & ~over) | (most & over);
  x = copysignf(size.f, x);
  float t = x * 1.44269504f;
  int32_t n = (int32_t)(t + copysignf(0.5f, t));
  float f = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  float p = 1.0f + f * (1.0f + f * (0.5f + f * (1.6666667e-1f + f * (4.1666668e-2f + f * (8.3333310e-3f + f * 1.3888889e-3f)))));
  scale.i = (n + 127) * (1 << 23);
  return p * scale.f;
}

#endif
