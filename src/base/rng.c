#include "noslit/base/rng.h"

#include <math.h>
/* Random123's C headers use long long suffixes and unused helpers that -Wpedantic dislikes. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <Random123/philox.h>
#pragma GCC diagnostic pop

nsl_rng nsl_rng_make(uint64_t seed, nsl_rng_purpose purpose, uint64_t id, uint64_t sub)
{
  nsl_rng r = {.key = seed, .stream = {sub, id, (uint64_t)purpose}};
  return r;
}

static void refill(nsl_rng *r)
{
  philox4x64_ctr_t c = {{r->block++, r->stream[0], r->stream[1], r->stream[2]}};
  philox4x64_key_t k = {{r->key, 0x6e6f736c6974ULL}};
  philox4x64_ctr_t v = philox4x64(c, k);
  for (int i = 0; i < 4; i++) { r->out[i] = v.v[i]; }
  r->left = 4;
}

uint64_t nsl_rng_u64(nsl_rng *r)
{
  if (!r->left) { refill(r); }
  return r->out[4 - r->left--];
}

double nsl_rng_uniform(nsl_rng *r) { return (double)(nsl_rng_u64(r) >> 11) * 0x1.0p-53; }

double nsl_rng_range(nsl_rng *r, double a, double b) { return a + (b - a) * nsl_rng_uniform(r); }

uint64_t nsl_rng_below(nsl_rng *r, uint64_t n)
{
  /* Multiply-shift; the bias is below n / 2^64. */
  return (uint64_t)(((unsigned __int128)nsl_rng_u64(r) * n) >> 64);
}

double nsl_rng_normal(nsl_rng *r)
{
  if (r->has_spare) {
    r->has_spare = 0;
    return r->spare;
  }
  double u = 1.0 - nsl_rng_uniform(r);
  double phi = 2.0 * M_PI * nsl_rng_uniform(r);
  double radius = sqrt(-2.0 * log(u));
  r->spare = radius * sin(phi);
  r->has_spare = 1;
  return radius * cos(phi);
}

double nsl_rng_poisson(nsl_rng *r, double mean)
{
  if (!(mean > 0)) { return 0.0; }
  if (mean > 50.0) {
    double v = floor(mean + sqrt(mean) * nsl_rng_normal(r) + 0.5);
    return v > 0 ? v : 0.0;
  }
  double limit = exp(-mean), p = nsl_rng_uniform(r);
  int k = 0;
  while (p > limit) {
    p *= nsl_rng_uniform(r);
    k++;
  }
  return k;
}

void nsl_rng_normals_f32(nsl_rng *r, float *out, size_t n)
{
  /* Four 16-bit uniforms summed and corrected would be faster still; Box-Muller in single precision keeps the tails. */
  size_t i = 0;
  while (i < n) {
    uint64_t w = nsl_rng_u64(r);
    float u = ((float)(w >> 40) + 0.5f) * 0x1.0p-24f;
    float phi = (float)(w & 0xffffffu) * (float)(2.0 * M_PI * 0x1.0p-24);
    float radius = sqrtf(-2.0f * logf(u));
    out[i++] = radius * cosf(phi);
    if (i < n) { out[i++] = radius * sinf(phi); }
  }
}
