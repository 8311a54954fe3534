/* Packing of one band of a stamp into 4 bytes a pixel, and back. The layout header states the errors this makes. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fast_ln.h"
#include "lanes.h"
#include "pipe/stamp_file_layout.h"

#define CODES 254         /* variance codes 1..255 are CODES steps apart */
#define LN_STEP_MIN 0.02f /* sigma to 0.5 %: the counts it was made of do not know it better, a finer step makes files bigger */
#define QUANTA_PER_SIGMA 16
#define ZERO 128 /* code of no flux */

int nsl_stamp_block_alloc(nsl_stamp_block *b, size_t n)
{
  b->flux = malloc(n * NSL_STAMP_PIXELS * sizeof *b->flux);
  b->variance = malloc(n * NSL_STAMP_PIXELS);
  b->contamination = malloc(n * NSL_STAMP_PIXELS);
  if (b->flux && b->variance && b->contamination) { return 1; }
  nsl_stamp_block_free(b);
  return 0;
}

void nsl_stamp_block_free(nsl_stamp_block *b)
{
  free(b->flux);
  free(b->variance);
  free(b->contamination);
  *b = (nsl_stamp_block){0};
}

enum { BYTES = 32, ADDED = 200 /* of them a lane may count */ };
typedef uint8_t bytes __attribute__((vector_size(BYTES), aligned(1)));
_Static_assert(NSL_STAMP_PLANE % (BYTES * ADDED) == 0 && ADDED < 256, "counts are whole, and fit into a byte");

/* How many of the codes are at most `limit`. */
NSL_VECTORISED static int count_up_to(const uint8_t *codes, uint8_t limit)
{
  int n = 0;
  for (const uint8_t *end = codes + NSL_STAMP_PLANE; codes < end;) {
    bytes part = {0};
    for (int i = 0; i < ADDED; i++, codes += BYTES) { part -= (bytes)(*(const bytes *)codes <= limit); }
    for (int k = 0; k < BYTES; k++) { n += part[k]; }
  }
  return n;
}

/* The 5 % quantile of sigma over the pixels with data, from their codes. */
static float low_sigma(const uint8_t *codes, const nsl_stamp_scale *s)
{
  int none = count_up_to(codes, 0), n = NSL_STAMP_PLANE - none, low = 1, high = 255; /* where the code is */
  while (low < high) {
    int middle = (low + high) / 2;
    if ((count_up_to(codes, (uint8_t)middle) - none) * 20 >= n) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return expf(0.5f * (s->ln_var_min + s->ln_var_step * (float)(low - 1)));
}

static inline float least(float a, float b) { return a < b ? a : b; }
static inline float most(float a, float b) { return a > b ? a : b; }

#define CHOOSE(where, a, b) ((vec)(((mask)(a) & (where)) | ((mask)(b) & ~(where))))

/* Largest of |plane|, least of its positive values (INFINITY if none), and whether all are finite and at least `lowest`. */
NSL_VECTORISED static int find_range(const float *plane, float lowest, float *largest, float *least_positive)
{
  vec top = {0}, low = top + INFINITY;
  const vec none = low;
  mask bad = {0};
  for (size_t i = 0; i < NSL_STAMP_PLANE; i += LANES) {
    vec v = *(const vec *)(plane + i), size = (vec)((mask)v & INT32_MAX), positive = CHOOSE(v > 0, v, none);
    bad |= ~((v >= lowest) & (v <= FLT_MAX));
    top = CHOOSE(size > top, size, top);
    low = CHOOSE(positive < low, positive, low);
  }
  int32_t any = 0;
  *largest = 0;
  *least_positive = INFINITY;
  for (int k = 0; k < LANES; k++) {
    any |= bad[k];
    *largest = most(*largest, top[k]);
    *least_positive = least(*least_positive, low[k]);
  }
  return !any;
}

static nsl_status refuse(const char *what, const float *plane, float lowest, nsl_error *err)
{
  size_t i = 0;
  while (i + 1 < NSL_STAMP_PLANE && plane[i] >= lowest && plane[i] <= FLT_MAX) { i++; }
  return nsl_fail(err, NSL_E_VALUE, "%s is %g at row %zu, column %zu: it must be finite%s", what, (double)plane[i],
                  i / NSL_STAMP_NX, i % NSL_STAMP_NX, lowest < 0 ? "" : " and not negative");
}

NSL_VECTORISED static void pack_variance(const float *restrict variance, float ln_min, float per_step, uint8_t *restrict out)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    float v = variance[i] > FLT_MIN ? variance[i] : FLT_MIN;
    float code = 1.5f + (nsl_fast_ln(v) - ln_min) * per_step;
    code = least(most(code, 1), 255);
    out[i] = (uint8_t)(variance[i] > 0 ? (int32_t)code : 0);
  }
}

NSL_VECTORISED static void pack_flux(const float *restrict flux, const uint8_t *restrict variance, float per_quantum,
                                     int16_t *restrict out)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    float v = least(most(flux[i] * per_quantum, ZERO - INT16_MAX), INT16_MAX - ZERO);
    int32_t code = (int32_t)(v + (v < 0 ? -0.5f : 0.5f));
    out[i] = (int16_t)(ZERO + (variance[i] ? code : 0));
  }
}

NSL_VECTORISED static void pack_light(const float *restrict light, float per_max, uint8_t *restrict out)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { out[i] = (uint8_t)(int32_t)least(255 * sqrtf(light[i] * per_max) + 0.5f, 255); }
}

/* Largest |flux| of pixels with data. */
NSL_VECTORISED static float brightest(const float *restrict flux, const float *restrict variance)
{
  vec top = {0};
  float all = 0;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i += LANES) {
    vec v = *(const vec *)(flux + i), size = (vec)((mask)v & INT32_MAX & (*(const vec *)(variance + i) > 0));
    top = CHOOSE(size > top, size, top);
  }
  for (int k = 0; k < LANES; k++) { all = most(all, top[k]); }
  return all;
}

nsl_status nsl_stamp_pack_band(const float *flux, const float *variance, const float *contamination, int16_t *pf, uint8_t *pv,
                               uint8_t *pc, nsl_stamp_scale *scale, nsl_error *err)
{
  float any, vmin, vmax, cmax;
  if (!find_range(flux, -FLT_MAX, &any, &vmin)) { return refuse("flux", flux, -FLT_MAX, err); }
  if (!find_range(variance, 0, &vmax, &vmin)) { return refuse("variance", variance, 0, err); }
  if (!find_range(contamination, 0, &cmax, &any)) { return refuse("contamination", contamination, 0, err); }
  scale->ln_var_min = vmax > 0 ? logf(vmin) : 0;
  scale->ln_var_step = vmax > 0 ? fmaxf((logf(vmax) - logf(vmin)) / CODES, LN_STEP_MIN) : LN_STEP_MIN;
  pack_variance(variance, scale->ln_var_min, 1 / scale->ln_var_step, pv);
  scale->quantum = fmaxf(vmax > 0 ? low_sigma(pv, scale) / QUANTA_PER_SIGMA : 1, brightest(flux, variance) / (INT16_MAX - ZERO));
  scale->zero = ZERO;
  pack_flux(flux, pv, 1 / scale->quantum, pf);
  scale->contamination_max = cmax;
  pack_light(contamination, cmax > 0 ? 1 / cmax : 0, pc);
  return NSL_OK;
}

void nsl_stamp_unpack_band(const int16_t *pf, const uint8_t *pv, const uint8_t *pc, const nsl_stamp_scale *scale, float *flux,
                           float *variance, float *contamination)
{
  float var_of[256], light_of[256];
  for (int k = 0; k < 256; k++) {
    var_of[k] = k ? expf(scale->ln_var_min + scale->ln_var_step * (float)(k - 1)) : 0;
    float root = (float)k / 255;
    light_of[k] = scale->contamination_max * root * root;
  }
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { flux[i] = scale->quantum * ((float)pf[i] - scale->zero); }
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { variance[i] = var_of[pv[i]]; }
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { contamination[i] = light_of[pc[i]]; }
}
