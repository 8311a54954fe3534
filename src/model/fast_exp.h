/* exp in single precision, as a polynomial that compilers vectorise; relative error below 3e-7 for |x| < 80, clamped there. */
#ifndef NOSLIT_MODEL_FAST_EXP_H
#define NOSLIT_MODEL_FAST_EXP_H

#include <stdint.h>

static inline float nsl_fast_exp(float x)
{
  x = x < -80.0f ? -80.0f : x;
  x = x > 80.0f ? 80.0f : x;
  float t = x * 1.44269504f;
  int32_t n = (int32_t)(t + (t < 0 ? -0.5f : 0.5f));
  float f = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  float p = 1.0f + f * (1.0f + f * (0.5f + f * (1.6666667e-1f + f * (4.1666668e-2f + f * (8.3333310e-3f + f * 1.3888889e-3f)))));
  union {
    int32_t i;
    float f;
  } scale = {(n + 127) * (1 << 23)};
  return p * scale.f;
}

#endif
