/* Vectors of VW floats by the compiler's vector extension. Included by kernels_body.h after VW is defined. */
#if VW == 16
#include <immintrin.h>
#endif

typedef float vf __attribute__((vector_size(VW * 4)));
typedef int vi __attribute__((vector_size(VW * 4)));

#define INLINE static inline __attribute__((always_inline))

INLINE vf splat(float a) { return a - (vf){0}; } /* a + 0 would be computed: it is not a for -0 */
INLINE vf load(const float *p)
{
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
INLINE void store(float *p, vf v) { memcpy(p, &v, sizeof v); }
#if VW == 16 && defined(__AVX512F__)
INLINE vf load_part(const float *p, size_t n) { return (vf)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1u), p); }
INLINE void store_part(float *p, vf v, size_t n) { _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1u), (__m512)v); }
#else
INLINE vf load_part(const float *p, size_t n)
{
  vf v = {0};
  memcpy(&v, p, n * sizeof(float));
  return v;
}
INLINE void store_part(float *p, vf v, size_t n) { memcpy(p, &v, n * sizeof(float)); }
#endif
INLINE vf choose(vi mask, vf a, vf b) { return (vf)((mask & (vi)a) | (~mask & (vi)b)); }
INLINE vf vmax(vf a, vf b) { return choose(a > b, a, b); }
INLINE vf vmin(vf a, vf b) { return choose(a < b, a, b); }
INLINE vf vabs(vf a) { return (vf)((vi)a & 0x7fffffff); }
INLINE vf vsqrt(vf a)
{
  vf r;
  for (int i = 0; i < VW; i++) { r[i] = __builtin_sqrtf(a[i]); }
  return r;
}
/* The sum of the parts of a vector, halves added to halves. */
INLINE float total(vf v)
{
#pragma GCC unroll 4
  for (int step = VW / 2; step > 0; step /= 2) {
    vi other;
#pragma GCC unroll 16
    for (int i = 0; i < VW; i++) { other[i] = i ^ step; }
    v += __builtin_shuffle(v, other);
  }
  return v[0];
}

/* A square of VW vectors, in place. */
INLINE void transpose(vf *r)
{
#pragma GCC unroll 4
  for (int s = 1; s < VW; s *= 2) {
    vi low, high;
#pragma GCC unroll 16
    for (int j = 0; j < VW; j++) {
      low[j] = j & s ? VW + j - s : j;
      high[j] = j & s ? VW + j : j + s;
    }
#pragma GCC unroll 16
    for (int i = 0; i < VW; i++) {
      if (i & s) { continue; }
      vf a = r[i], b = r[i + s];
      r[i] = __builtin_shuffle(a, b, low);
      r[i + s] = __builtin_shuffle(a, b, high);
    }
  }
}

/* exp(x) for x in [-80, 88] (clamped), relative error 1e-7: x = k ln 2 + r, Taylor series of exp(r) to r^7. */
INLINE vf vexp(vf x)
{
  const float magic = 12582912.0f; /* 1.5 * 2^23: adding it rounds to a whole number in the low mantissa bits */
  x = vmin(vmax(x, splat(-80.0f)), splat(88.0f));
  vf t = x * 1.44269504089f + magic;
  vi k = (vi)t - (vi)splat(magic);
  vf whole = t - magic;
  vf r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
  vf p = r * (1.0f / 5040.0f) + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  return p * (vf)((k + 127) << 23);
}

/* log(x) for normal x >= 1: x = 2^k m with m in [0.75, 1.5), log m = 2 atanh((m - 1)/(m + 1)) as a series. */
INLINE vf vlog(vf x)
{
  vi bits = (vi)x - 0x3f400000; /* subtract 0.75 so that the exponent splits there */
  vi k = bits >> 23;
  vf m = (vf)((vi)x - (k << 23));
  vf s = (m - 1.0f) / (m + 1.0f), q = s * s;
  vf p = q * (1.0f / 11.0f) + 1.0f / 9.0f;
  p = p * q + 1.0f / 7.0f;
  p = p * q + 1.0f / 5.0f;
  p = p * q + 1.0f / 3.0f;
  p = p * q + 1.0f;
  return __builtin_convertvector(k, vf) * 0.69314718056f + 2.0f * s * p;
}
