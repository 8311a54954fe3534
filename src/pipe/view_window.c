/* Which part of a frame a trace needs. */
#include <math.h>

#include "noslit/pipe/stamper.h"

nsl_view_settings nsl_view_settings_from(const nsl_config *cfg)
{
  return (nsl_view_settings){.reject_sigma = nsl_config_real(cfg, "stamp.reject_sigma"),
                             .sky_rows = (int)nsl_config_int(cfg, "stamp.sky_rows")};
}

/* dx of the outermost canonical columns, or of the beam's ends where these come first. */
static void find_extent(const nsl_trace *t, const nsl_band *band, double *lo, double *hi)
{
  double blue, red, first = band->lambda0_a - 0.5 * band->dlambda_a,
                    last = band->lambda0_a + (NSL_STAMP_NX - 0.5) * band->dlambda_a;
  *lo = t->dx_min;
  *hi = t->dx_max;
  int forward = nsl_trace_lambda(t, t->dx_max) > nsl_trace_lambda(t, t->dx_min);
  if (nsl_trace_dx_of_lambda(t, first, &blue)) { *(forward ? lo : hi) = blue; }
  if (nsl_trace_dx_of_lambda(t, last, &red)) { *(forward ? hi : lo) = red; }
}

int nsl_view_window(const nsl_trace *t, const nsl_band *band, const nsl_view_settings *settings, long nx, long ny, long *x0,
                    long *y0, long *w, long *h)
{
  double lo, hi, bottom = INFINITY, top = -INFINITY;
  find_extent(t, band, &lo, &hi);
  if (!(hi > lo)) { return 0; }
  enum { PROBES = 16 };
  for (int p = 0; p <= PROBES; p++) {
    double y = t->y0 + nsl_trace_dy(t, lo + (hi - lo) * p / PROBES);
    bottom = fmin(bottom, y);
    top = fmax(top, y);
  }
  /* one more pixel on each side for the interpolation; FITS coordinates to 0-based */
  double half = 0.5 * NSL_STAMP_NY + 1, sky = settings->sky_rows;
  double left = floor(t->x0 + lo) - 2, right = ceil(t->x0 + hi);
  bottom -= 1;
  top -= 1;
  if (!(right >= 0 && left < (double)nx && top + half >= 0 && bottom - half < (double)ny)) { return 0; } /* also NaN */
  left = fmax(left, 0);
  right = fmin(right, (double)nx - 1);
  bottom = fmax(floor(bottom - half - sky), 0);
  top = fmin(ceil(top + half + sky), (double)ny - 1);
  *x0 = (long)left;
  *y0 = (long)bottom;
  *w = (long)(right - left) + 1;
  *h = (long)(top - bottom) + 1;
  return *w > 0 && *h > 0;
}
