/* What the detector makes of light: bad pixels, cosmic rays, shot and read noise, saturation, gain steps. */
#include <math.h>
#include <string.h>

#include "mock_internal.h"
#include "noslit/base/vectorised.h"

#define PIXEL_CM 1e-3         /* 10 micrometres */
#define COSMIC_UNFLAGGED 0.08 /* of the hits */
#define COSMIC_LENGTH_PX 2.5  /* mean length of a track */
#define COSMIC_LENGTH_MAX 60.0
#define COSMIC_MEDIAN_E 900.0 /* per px of track */
#define POISSON_BELOW_E 20.0f /* below this mean the Poisson distribution is drawn exactly */
#define SCAN 256

nsl_mock_detector nsl_mock_detector_from(const nsl_config *cfg, const nsl_instrument *inst, double exptime_s)
{
  nsl_mock_detector d = {.dark_e_s = inst->dark_e_s,
                         .read_noise_e = inst->read_noise_e,
                         .gain_e_adu = inst->gain_e_adu,
                         .saturation_e = inst->saturation_e,
                         .noise = 1,
                         .bit_bad = 1,
                         .bit_hot = 2,
                         .bit_warm = 4,
                         .bit_trail = 32,
                         .bit_saturated = inst->dq.saturated,
                         .bit_cosmic = inst->dq.cosmic};
  d.cosmic_rate_px = nsl_config_real(cfg, "simulate.cosmic_rays") * PIXEL_CM * PIXEL_CM * exptime_s;
  return d;
}

void nsl_mock_bad_pixels(const nsl_mock_detector *d, double fraction, double exptime_s, nsl_rng *rng, int w, int h,
                         float *electrons, int32_t *dq)
{
  size_t n = (size_t)w * (size_t)h, bad = (size_t)nsl_rng_poisson(rng, fraction * (double)n);
  double rn2 = d->read_noise_e * d->read_noise_e;
  for (size_t k = 0; k < bad; k++) {
    size_t i = (size_t)nsl_rng_below(rng, n);
    double u = nsl_rng_uniform(rng), v = nsl_rng_uniform(rng);
    /* Definitions of hot and warm: facts A3.4. */
    if (u < 0.3) {
      dq[i] |= (int32_t)d->bit_bad;
      electrons[i] *= (float)(0.5 * v);
    } else if (u < 0.65) {
      dq[i] |= (int32_t)d->bit_hot;
      electrons[i] += (float)(rn2 * pow(10, 2 * v) * exptime_s / 150);
    } else {
      dq[i] |= (int32_t)d->bit_warm;
      electrons[i] += (float)(rn2 * (0.5 + 0.5 * v) * exptime_s / 150);
    }
  }
}

void nsl_mock_cosmic_rays(const nsl_mock_detector *d, nsl_rng *rng, int w, int h, float *electrons, int32_t *dq)
{
  long hits = (long)nsl_rng_poisson(rng, d->cosmic_rate_px * w * h);
  for (long k = 0; k < hits; k++) {
    double x = nsl_rng_uniform(rng) * w, y = nsl_rng_uniform(rng) * h, angle = nsl_rng_uniform(rng) * 2 * M_PI;
    double length = -COSMIC_LENGTH_PX * log(1 - nsl_rng_uniform(rng));
    if (length > COSMIC_LENGTH_MAX) { length = COSMIC_LENGTH_MAX; }
    double per_px = COSMIC_MEDIAN_E * exp(0.7 * nsl_rng_normal(rng));
    int flagged = nsl_rng_uniform(rng) >= COSMIC_UNFLAGGED, steps = 1 + (int)(4 * length);
    for (int s = 0; s < steps; s++) {
      long i = (long)floor(x + cos(angle) * 0.25 * s), j = (long)floor(y + sin(angle) * 0.25 * s);
      if (i < 0 || j < 0 || i >= w || j >= h) { break; }
      size_t at = (size_t)j * (size_t)w + (size_t)i;
      electrons[at] += (float)(per_px * fmax(length, 1) / steps);
      if (flagged) { dq[at] |= (int32_t)d->bit_cosmic; }
    }
  }
}

/* Charge of a full pixel flows along its column, half of it each way, until there is room. */
static void spill(double excess, long step, long i, long n, float full, float *electrons, int32_t *dq, int32_t bit)
{
  for (long k = i + step; excess > 0 && k >= 0 && k < n; k += step) {
    double room = (double)(full - electrons[k]);
    if (room <= 0) { continue; }
    electrons[k] += (float)(excess < room ? excess : room);
    excess -= room;
    dq[k] |= excess > 0 ? bit : 0;
  }
}

/* Whether any of n values is above (or below) the limit. */
NSL_VECTORISED static int any_above(const float *v, long n, float limit)
{
  int32_t any = 0;
  for (long i = 0; i < n; i++) { any |= v[i] > limit; }
  return any;
}

NSL_VECTORISED static int any_below(const float *v, long n, float limit)
{
  int32_t any = 0;
  for (long i = 0; i < n; i++) { any |= v[i] < limit; }
  return any;
}

void nsl_mock_bleed(const nsl_mock_detector *d, int w, int h, float *electrons, int32_t *dq)
{
  float full = (float)d->saturation_e;
  long n = (long)w * h;
  for (long i = 0; i < n; i++) {
    if (i % SCAN == 0) { /* most of the sky is far from full */
      while (i < n && !any_above(electrons + i, n - i < SCAN ? n - i : SCAN, full)) { i += SCAN; }
      if (i >= n) { break; }
    }
    double excess = (double)(electrons[i] - full);
    if (!(excess > 0)) { continue; }
    electrons[i] = full;
    dq[i] |= (int32_t)d->bit_saturated;
    spill(0.5 * excess, w, i, n, full, electrons, dq, (int32_t)d->bit_saturated);
    spill(0.5 * excess, -w, i, n, full, electrons, dq, (int32_t)d->bit_saturated);
  }
}

void nsl_mock_satellite(const nsl_mock_detector *d, double probability, nsl_rng *rng, int w, int h, float *electrons, int32_t *dq)
{
  double u = nsl_rng_uniform(rng), x = nsl_rng_uniform(rng) * w, y = nsl_rng_uniform(rng) * h;
  double angle = nsl_rng_range(rng, 0, M_PI), light = 30 * pow(10, 1.5 * nsl_rng_uniform(rng)), width = nsl_rng_range(rng, 2, 6);
  if (u >= probability) { return; }
  double c = cos(angle), s = sin(angle), reach = 3 * width;
  for (int j = 0; j < h; j++) {
    /* across the trail: -(i - x) s + (j - y) c */
    double centre = fabs(s) > 1e-6 ? x + (j - y) * c / s : x, half = fabs(s) > 1e-6 ? reach / fabs(s) : w;
    long a = (long)fmax(floor(centre - half), 0), b = (long)fmin(ceil(centre + half), w - 1);
    for (long i = a; i <= b; i++) {
      double off = -((double)i - x) * s + (j - y) * c;
      if (fabs(off) > reach) { continue; }
      size_t at = (size_t)j * (size_t)w + (size_t)i;
      electrons[at] += (float)(light * exp(-0.5 * off * off / (width * width)));
      if (fabs(off) < 2.5 * width) { dq[at] |= (int32_t)d->bit_trail; }
    }
  }
}

/* Where the mean is small, replaces the normal number by the one that makes the pixel a true Poisson count plus read noise. */
static void exact_poisson(nsl_rng *rng, size_t n, const float *mean_e, double read_noise_e, float *normal)
{
  for (size_t i = 0; i < n; i++) {
    if (i % SCAN == 0) { /* the sky is brighter nearly everywhere */
      while (i < n && !any_below(mean_e + i, n - i < SCAN ? (long)(n - i) : SCAN, POISSON_BELOW_E)) { i += SCAN; }
      if (i >= n) { break; }
    }
    double mean = (double)mean_e[i];
    if (!(mean < POISSON_BELOW_E)) { continue; }
    if (mean < 0) { mean = 0; }
    double count = nsl_rng_poisson(rng, mean), sigma = sqrt(mean + read_noise_e * read_noise_e);
    if (sigma > 0) { normal[i] = (float)((count - mean + read_noise_e * (double)normal[i]) / sigma); }
  }
}

/* Shot and read noise together, clipping, rounding to whole ADU, the pipeline's error. */
NSL_VECTORISED static void digitise(size_t n, float *restrict e, float *restrict err, int32_t *restrict dq,
                                    const float *restrict normal, float fraction, float rn2, float gain, float full, float dark,
                                    int32_t bit_full)
{
  float per_gain = 1 / gain;
  for (size_t i = 0; i < n; i++) {
    float mean = e[i] > 0 ? e[i] : 0;
    float v = mean + sqrtf(mean + rn2) * (fraction * normal[i]);
    int over = v >= full;
    dq[i] |= over ? bit_full : 0;
    v = over ? full : v;
    float adu = v * per_gain;
    v = (float)(int32_t)(adu + (adu < 0 ? -0.5f : 0.5f)) * gain;
    err[i] = sqrtf((v > 0 ? v : 0) + rn2);
    e[i] = v - dark;
  }
}

void nsl_mock_read_out(const nsl_mock_detector *d, double exptime_s, nsl_rng *rng, size_t n, float *electrons, float *err,
                       int32_t *dq)
{
  enum { BLOCK = 4 * NSL_MOCK_NORMALS_STEP }; /* few enough for their noise to stay in the cache */
  nsl_mock_normals normals;
  float noise[BLOCK], rn2 = (float)(d->read_noise_e * d->read_noise_e);
  nsl_mock_normals_start(&normals, rng);
  for (size_t at = 0; at < n; at += BLOCK) {
    size_t m = n - at < BLOCK ? n - at : BLOCK;
    nsl_mock_normals_next(&normals, noise, m);
    exact_poisson(rng, m, electrons + at, d->read_noise_e, noise);
    digitise(m, electrons + at, err + at, dq + at, noise, (float)d->noise, rn2, (float)d->gain_e_adu, (float)d->saturation_e,
             (float)(d->dark_e_s * exptime_s), (int32_t)d->bit_saturated);
  }
}
