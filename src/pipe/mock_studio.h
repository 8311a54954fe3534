/* The studio: one galaxy with a small sky of its own round it, seen by random detectors of both bands through the same renderer,
 * detector and view code as the survey's frames and `run`. mock_stamps.c makes files of it. */
#ifndef PIPE_MOCK_STUDIO_H
#define PIPE_MOCK_STUDIO_H

#include "mock_internal.h"
#include "views_internal.h"

#define NSL_STUDIO_NEIGHBOURS_MAX 4000
#define NSL_STUDIO_REACH_Y_PX 80.0 /* neighbours farther across the dispersion do not matter */

/* A neighbour, relative to the source. */
typedef struct {
  nsl_mock_source source;
  nsl_source entry; /* what the catalogue says of it */
  const double *flam;
  double east, north, entry_east, entry_north; /* arcsec */
} nsl_mock_neighbour;

/* Everything that stays while stamps are made. */
typedef struct {
  nsl_mock *m;
  nsl_view_settings settings;
  nsl_mock_set set;
  nsl_stamp_type type; /* of the stamp */
  int clean;
  double reach_x_px; /* how far along the dispersion light can come from */
  double *flam, *of_lines;
  nsl_mock_neighbour *neighbours;
  size_t n_neighbours;
  size_t capacity; /* px per view */
  nsl_view_room room;
  float *sci, *err, *near, *noise; /* of one exposure: it is rectified before the next, while the caches hold it */
  int32_t *dq;
  double light_own, light_others; /* in the extraction boxes of the stamp */
  nsl_mock_optics optics;         /* of the exposure */
  nsl_mock_met met;               /* errors of calibration that the stamp meets */
} nsl_studio;

void nsl_studio_close(nsl_studio *s); /* what it holds, not the struct */
nsl_status nsl_studio_open(nsl_mock *m, nsl_studio *s, nsl_error *err);
/* Room for n pixels in every plane. 0 when there is no memory. */
int nsl_studio_reserve(nsl_studio *s, size_t n);

/* px per arcsec: x grows to the west, y to the north, turned by the pointing's rotation. */
void nsl_mock_local_map(const nsl_mock *m, double rotation_deg, double j[4]);

/* --- mock_target.c --- */
/* A target of the set that is bright enough; its spectrum is left in s->flam. snr: true, by the stamp's bands. */
nsl_status nsl_studio_draw_target(nsl_studio *s, int64_t index, nsl_mock_source *src, double snr[2], nsl_error *err);

/* --- mock_neighbours.c --- */
nsl_status nsl_studio_draw_neighbours(nsl_studio *s, const nsl_mock_source *src, nsl_error *err);

/* --- mock_expose.c --- */
/* One band of the stamp, from light to planes. entry: what the catalogue says of the source. */
nsl_status nsl_studio_make_band(nsl_studio *s, const nsl_mock_source *src, const nsl_source *entry, int slot, nsl_stamp *stamp,
                                nsl_error *err);

#endif
