/* Between the two halves of nsl_views_combine, so that the stamper can time them and keep their memory. */
#ifndef PIPE_VIEWS_INTERNAL_H
#define PIPE_VIEWS_INTERNAL_H

#include "noslit/pipe/stamper.h"

/* One view on the canonical grid, sky subtracted: rates (e-/s) and their variance; variance 0 where there is no data. */
typedef struct {
  float *rate, *variance, *neighbours; /* [40][480] */
  float scatter[NSL_STAMP_NX];         /* what a single pixel scatters by, over its variance (made for sums) */
  double exptime_s;
  double background_variance; /* of the rate in a pixel without a source */
  int samples, masked;        /* stamp pixels in the band's box: on the frame, and of these without data */
  int saturated;              /* of these on saturated pixels */
} nsl_rectified;

typedef float nsl_pixel __attribute__((vector_size(16))); /* view_rectify.c says what the four are */

/* Room for n rectified views and for a window; grows, is kept between calls. */
typedef struct {
  int capacity;
  nsl_rectified *views;
  float *planes;
  size_t window_pixels;
  nsl_pixel *window;
  float *sky;              /* sample of the sky */
  float *combine;          /* 3 planes [40][480] */
  unsigned char *rejected; /* [n][40][480], then the number of views with data */
} nsl_view_room;

void nsl_view_room_free(nsl_view_room *room);
nsl_status nsl_view_room_reserve(nsl_view_room *room, int n_views, nsl_error *err);

/* view -> room->views[slot]. */
nsl_status nsl_view_rectify(const nsl_view *view, const nsl_band *band, const nsl_dq_bits *dq_bits,
                            const nsl_view_settings *settings, nsl_view_room *room, int slot, nsl_error *err);
/* room->views[0..n) -> a stamp's planes. */
void nsl_rectified_combine(nsl_view_room *room, int n, const nsl_band *band, const nsl_view_settings *settings, float *flux,
                           float *variance, float *contamination, nsl_stamp_band_info *info, uint32_t *flags);

#endif
