/* Packing of one band of a stamp into 4 bytes a pixel, and back. The layout header states the errors this makes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "pipe/stamp_file_layout.h"

#define CODES 254          /* variance codes 1..255 are CODES steps apart */
#define LN_STEP_MIN 0.005f /* a finer step than this only makes the file bigger */
#define QUANTA_PER_SIGMA 16

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

/* The 5 % quantile of sigma over the pixels with data, from their codes. */
static float low_sigma(const uint8_t *codes, const nsl_stamp_scale *s)
{
  size_t histogram[256] = {0}, n = 0, sum = 0;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { histogram[codes[i]]++; }
  n = NSL_STAMP_PLANE - histogram[0];
  int code = 1;
  for (; code < 255; code++) {
    sum += histogram[code];
    if (sum * 20 >= n) { break; }
  }
  return expf(0.5f * (s->ln_var_min + s->ln_var_step * (float)(code - 1)));
}

static nsl_status check(const char *what, const float *plane, int may_be_negative, nsl_error *err)
{
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    if (!isfinite(plane[i]) || (!may_be_negative && plane[i] < 0)) {
      return nsl_fail(err, NSL_E_VALUE, "%s is %g at row %zu, column %zu: it must be finite%s", what, (double)plane[i],
                      i / NSL_STAMP_NX, i % NSL_STAMP_NX, may_be_negative ? "" : " and not negative");
    }
  }
  return NSL_OK;
}

nsl_status nsl_stamp_pack_band(const float *flux, const float *variance, const float *contamination, int16_t *pf, uint8_t *pv,
                               uint8_t *pc, nsl_stamp_scale *scale, nsl_error *err)
{
  nsl_status st = NSL_OK;
  NSL_TRY(check("flux", flux, 1, err));
  NSL_TRY(check("variance", variance, 0, err));
  NSL_TRY(check("contamination", contamination, 0, err));
  float vmin = INFINITY, vmax = 0, fmax = 0, cmax = 0;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    int data = variance[i] > 0;
    if (data && variance[i] < vmin) { vmin = variance[i]; }
    if (data && variance[i] > vmax) { vmax = variance[i]; }
    if (data && fabsf(flux[i]) > fmax) { fmax = fabsf(flux[i]); }
    if (contamination[i] > cmax) { cmax = contamination[i]; }
  }
  scale->ln_var_min = vmax > 0 ? logf(vmin) : 0;
  scale->ln_var_step = vmax > 0 ? fmaxf((logf(vmax) - logf(vmin)) / CODES, LN_STEP_MIN) : LN_STEP_MIN;
  float per_step = 1 / scale->ln_var_step;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    float code = variance[i] > 0 ? 1 + (logf(variance[i]) - scale->ln_var_min) * per_step : 0;
    pv[i] = (uint8_t)fminf(code + 0.5f, 255);
  }
  scale->quantum = fmaxf(vmax > 0 ? low_sigma(pv, scale) / QUANTA_PER_SIGMA : 1, fmax / INT16_MAX);
  float per_quantum = 1 / scale->quantum;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
    pf[i] = pv[i] ? (int16_t)lrintf(fmaxf(fminf(flux[i] * per_quantum, INT16_MAX), -INT16_MAX)) : 0;
  }
  scale->contamination_max = cmax;
  float per_max = cmax > 0 ? 1 / cmax : 0;
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { pc[i] = (uint8_t)fminf(255 * sqrtf(contamination[i] * per_max) + 0.5f, 255); }
cleanup:
  return st;
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
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { flux[i] = scale->quantum * (float)pf[i]; }
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { variance[i] = var_of[pv[i]]; }
  for (size_t i = 0; i < NSL_STAMP_PLANE; i++) { contamination[i] = light_of[pc[i]]; }
}
