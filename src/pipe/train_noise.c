/* Noise drawn afresh: training stamps that were made with a fraction of their shot and read noise get the rest here, another one
 * each time they are looked at. */
#include <math.h>

#include "mock_internal.h"
#include "pipe/train_internal.h"

#define NY NSL_STAMP_NY
#define NX NSL_STAMP_NX

/* Resampling and combining exposures at several phases smooths their white noise: neighbours correlate by 0.26, the variance of a
 * pixel is 0.45 of what sums over many have (measured on stamps of faint sources). A filter of SIDE, 1 - 2 SIDE, SIDE along both
 * axes makes 0.24 and 0.44. */
static const float SIDE = 0.1f;

static void smooth_rows(const float *in, float *out)
{
  for (int y = 0; y < NY; y++) {
    const float *a = in + y * NX;
    float *b = out + y * NX;
    b[0] = a[0];
    b[NX - 1] = a[NX - 1];
    for (int i = 1; i < NX - 1; i++) { b[i] = (1 - 2 * SIDE) * a[i] + SIDE * (a[i - 1] + a[i + 1]); }
  }
}

static void smooth_columns(const float *in, float *out)
{
  for (int y = 0; y < NY; y++) {
    const float *a = in + y * NX, *down = y > 0 ? a - NX : a, *up = y < NY - 1 ? a + NX : a;
    for (int i = 0; i < NX; i++) { out[y * NX + i] = (1 - 2 * SIDE) * a[i] + SIDE * (down[i] + up[i]); }
  }
}

void nsl_train_fresh_noise(nsl_stamp *s, float missing, nsl_rng *rng, float *scratch)
{
  float *white = scratch, *smooth = scratch + NSL_STAMP_PLANE;
  for (int band = 0; band < NSL_STAMP_BANDS && missing > 0; band++) {
    float *flux = s->flux + (size_t)band * NSL_STAMP_PLANE, *variance = s->variance + (size_t)band * NSL_STAMP_PLANE;
    nsl_mock_normals normals;
    nsl_mock_normals_start(&normals, rng);
    nsl_mock_normals_next(&normals, white, NSL_STAMP_PLANE);
    smooth_rows(white, smooth);
    smooth_columns(smooth, white);
    for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
      float extra = missing * sqrtf(variance[i]) * white[i];
      flux[i] += extra;
      variance[i] = fmaxf(variance[i] + extra, 0.25f * variance[i]); /* variances are those of counts with their noise */
    }
  }
}
