/* Normal random numbers by the million: eight xoshiro128++ generators side by side, seeded from a named stream, and Box-Muller with
 * polynomials that compilers vectorise. The clones do the same operations: same bits everywhere. */
#include <math.h>
#include <string.h>

#include "fast_ln.h"
#include "mock_internal.h"
#include "noslit/base/vectorised.h"

#define LANES 8
#define BLOCK 256

typedef uint32_t vec __attribute__((vector_size(LANES * sizeof(uint32_t)), aligned(4)));

_Static_assert(LANES == NSL_MOCK_NORMALS_LANES && NSL_MOCK_NORMALS_STEP == 2 * BLOCK, "what the header says");

void nsl_mock_normals_start(nsl_mock_normals *g, nsl_rng *stream)
{
  for (int i = 0; i < LANES; i++) {
    uint64_t a = nsl_rng_u64(stream), b = nsl_rng_u64(stream);
    g->s[0][i] = (uint32_t)a | 1u;
    g->s[1][i] = (uint32_t)(a >> 32);
    g->s[2][i] = (uint32_t)b;
    g->s[3][i] = (uint32_t)(b >> 32);
  }
}

#define ROTL(x, k) (((x) << (k)) | ((x) >> (32 - (k))))

NSL_VECTORISED static void fill_bits(nsl_mock_normals *g, uint32_t *restrict out, int n)
{
  vec *state = (vec *)g->s, a = state[0], b = state[1], c = state[2], d = state[3];
  for (int i = 0; i < n; i += LANES) {
    vec x = a + d, t = b << 9;
    *(vec *)(out + i) = ROTL(x, 7) + a;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = ROTL(d, 11);
  }
  state[0] = a;
  state[1] = b;
  state[2] = c;
  state[3] = d;
}

/* Pairs of uniforms (bits a, b) to pairs of normals. */
NSL_VECTORISED static void box_muller(const uint32_t *restrict a, const uint32_t *restrict b, float *restrict x, float *restrict y,
                                      int n)
{
  for (int i = 0; i < n; i++) {
    float u = ((float)(int32_t)(a[i] >> 8) + 0.5f) * 0x1.0p-24f;
    float l = nsl_fast_ln(u), r = sqrtf(l < 0 ? -2.0f * l : 0.0f);
    /* Angle as quarter turns plus a rest in [-1/8, 1/8] turns. */
    int32_t bits = (int32_t)(b[i] >> 8), quarter = (bits + (1 << 21)) >> 22;
    float t = (float)(bits - quarter * (1 << 22)) * (float)(2 * M_PI * 0x1.0p-24), q = t * t;
    float s = t * (1.0f + q * (-1.6666667e-1f + q * (8.3333333e-3f + q * -1.9841270e-4f)));
    float c = 1.0f + q * (-0.5f + q * (4.1666667e-2f + q * (-1.3888889e-3f + q * 2.4801587e-5f)));
    float sine = quarter & 1 ? c : s, cosine = quarter & 1 ? s : c;
    sine = quarter & 2 ? -sine : sine;
    cosine = (quarter + 1) & 2 ? -cosine : cosine;
    x[i] = r * cosine;
    y[i] = r * sine;
  }
}

void nsl_mock_normals_next(nsl_mock_normals *g, float *out, size_t n)
{
  uint32_t a[BLOCK], b[BLOCK];
  float x[BLOCK], y[BLOCK];
  for (size_t i = 0; i < n; i += 2 * BLOCK) {
    fill_bits(g, a, BLOCK);
    fill_bits(g, b, BLOCK);
    if (n - i >= 2 * BLOCK) {
      box_muller(a, b, out + i, out + i + BLOCK, BLOCK);
      continue;
    }
    box_muller(a, b, x, y, BLOCK);
    size_t left = n - i, nx = left < BLOCK ? left : BLOCK, ny = left - nx < BLOCK ? left - nx : BLOCK;
    memcpy(out + i, x, nx * sizeof *x);
    memcpy(out + i + nx, y, ny * sizeof *y);
  }
}
