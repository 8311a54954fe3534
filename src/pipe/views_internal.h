/* Between the two halves of nsl_views_combine, so that the stamper and the mock can keep their memory. Planes are turned: columns
 * are contiguous, since the pixels of a stamp's column share their place on the trace. */
#ifndef PIPE_VIEWS_INTERNAL_H
#define PIPE_VIEWS_INTERNAL_H

#include "noslit/pipe/stamper.h"

/* A cut-out by columns: column x is NSL_COLUMN_PLANES runs of `height` values; rows beyond the window hold numbers, but
 * mean nothing. Pixels whose variance is 0 are bad; their flux is 0 too. */
enum { NSL_COLUMN_FLUX, NSL_COLUMN_VARIANCE, NSL_COLUMN_NEIGHBOURS, NSL_COLUMN_PLANES };

typedef struct {
  float *data;    /* not owned */
  int32_t *holes; /* [w] and NSL_COLUMNS_SPARE more, not owned: not 0 for columns with bad pixels */
  int height;
  int any_saturated;
} nsl_columns;

#define NSL_COLUMNS_SPARE 8

static inline const float *nsl_column(const nsl_columns *c, int x)
{
  return c->data + (size_t)x * NSL_COLUMN_PLANES * (size_t)c->height;
}

/* One view on the canonical grid, sky subtracted: rates (e-/s) and their variance; variance 0 where there is no data. */
typedef struct {
  float *rate, *variance, *neighbours; /* [480][40] */
  float scatter[NSL_STAMP_NX];         /* what a single pixel scatters by, over its variance (made for sums) */
  double exptime_s, tilt;
  double background_variance; /* of the rate in a pixel without a source */
  int samples, masked;        /* stamp pixels in the band's box: on the frame, and of these without data */
  int saturated;              /* of these on saturated pixels */
} nsl_rectified;

/* Room for n rectified views and for a window; grows, is kept between calls. */
typedef struct {
  int capacity;
  nsl_rectified *views;
  float *planes;
  size_t window_pixels, window_columns;
  float *window; /* of nsl_columns */
  int32_t *holes;
  float *sky;              /* sample of the sky */
  float *combine;          /* NSL_COMBINE_PLANES planes [480][40] */
  unsigned char *rejected; /* pixels of one view */
} nsl_view_room;

#define NSL_COMBINE_PLANES 4

void nsl_view_room_free(nsl_view_room *room);
nsl_status nsl_view_room_reserve(nsl_view_room *room, int n_views, nsl_error *err);

/* view -> room->views[slot]. */
nsl_status nsl_view_rectify(const nsl_view *view, const nsl_band *band, const nsl_dq_bits *dq_bits,
                            const nsl_view_settings *settings, nsl_view_room *room, int slot, nsl_error *err);
/* room->views[0..n) -> a stamp's planes. */
void nsl_rectified_combine(nsl_view_room *room, int n, const nsl_band *band, const nsl_view_settings *settings, float *flux,
                           float *variance, float *contamination, nsl_stamp_band_info *info, uint32_t *flags);

/* --- view_place.c --- */
/* Where each column of a stamp lies in a window, and what its pixels share. */
typedef struct {
  int direction[NSL_STAMP_NX];            /* of the rows: +1, -1 (turned by 180 degrees), 0: not on the beam */
  int ix[NSL_STAMP_NX], iy[NSL_STAMP_NX]; /* lower left pixel of the first row; the next row's is one farther in direction */
  float w[4][NSL_STAMP_NX];               /* bilinear: lower left, lower right, upper left, upper right */
  float gain[NSL_STAMP_NX], gain_variance[NSL_STAMP_NX]; /* electrons to stamp units */
  float scatter[NSL_STAMP_NX];                           /* of nsl_rectified */
} nsl_stamp_places;

void nsl_view_place(const nsl_view *view, const nsl_band *band, nsl_stamp_places *to);

/* --- view_columns.c --- */
int nsl_columns_height(int h); /* that a window of h rows needs */
/* Fills out->data [w][NSL_COLUMN_PLANES][height], out->holes and any_saturated (height set by the caller). */
void nsl_columns_make(const nsl_view *view, const nsl_dq_bits *bits, nsl_columns *out);

/* --- view_sky.c --- */
/* The level of the sky and the variance of a pixel of it. With settings->sky_rows = 0 the level is 0. sample: scratch for all
 * pixels and NSL_SKY_SPARE more. */
#define NSL_SKY_SPARE 16
double nsl_view_sky(const nsl_view *view, const nsl_view_settings *settings, const nsl_columns *columns, float *sample,
                    double *variance);

#endif
