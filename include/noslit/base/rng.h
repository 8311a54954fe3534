/* Counter-based random numbers (Random123 Philox4x64-10): the same bits for any number of ranks and any order.
 * A stream is named by (seed, purpose, id, sub); two different names give independent streams. */
#ifndef NOSLIT_BASE_RNG_H
#define NOSLIT_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

/* What the numbers are for; part of the stream's name. Append only: the values are part of reproducibility. */
typedef enum {
  NSL_RNG_TEST = 0,
  NSL_RNG_DROPOUT = 1,
  NSL_RNG_INIT = 2,
  NSL_RNG_SHUFFLE = 3,
  NSL_RNG_AUGMENT = 4,
  NSL_RNG_SKY = 5, /* positions and properties of mock sources */
  NSL_RNG_SPECTRUM = 6,
  NSL_RNG_SHAPE = 7,
  NSL_RNG_NOISE = 8,
  NSL_RNG_COSMIC = 9,
  NSL_RNG_POINTING = 10,
  NSL_RNG_BOOTSTRAP = 11,
  NSL_RNG_CALIBRATION_ERROR = 12,
  NSL_RNG_OPTICS = 13
} nsl_rng_purpose;

typedef struct {
  uint64_t key, stream[3]; /* name: seed; sub, id, purpose */
  uint64_t block;          /* next counter value */
  uint64_t out[4];
  int left; /* unused 64-bit words in out */
  int has_spare;
  double spare; /* second normal of a Box-Muller pair */
} nsl_rng;

nsl_rng nsl_rng_make(uint64_t seed, nsl_rng_purpose purpose, uint64_t id, uint64_t sub);
uint64_t nsl_rng_u64(nsl_rng *r);
double nsl_rng_uniform(nsl_rng *r); /* [0,1), 53 bits */
double nsl_rng_range(nsl_rng *r, double a, double b);
uint64_t nsl_rng_below(nsl_rng *r, uint64_t n);             /* 0..n-1, n >= 1 */
double nsl_rng_normal(nsl_rng *r);                          /* N(0,1) */
double nsl_rng_poisson(nsl_rng *r, double mean);            /* exact below 50, rounded normal above; mean <= 0 gives 0 */
void nsl_rng_normals_f32(nsl_rng *r, float *out, size_t n); /* fast fill, N(0,1) */

#endif
