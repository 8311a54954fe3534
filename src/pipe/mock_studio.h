/* The studio: one galaxy with a small sky of its own round it, seen by random detectors of both bands through the same renderer,
 * detector and view code as the survey's frames and `run`. mock_stamps.c makes files of it. */
#ifndef PIPE_MOCK_STUDIO_H
#define PIPE_MOCK_STUDIO_H

#include "mock_internal.h"
#include "mock_warp.h"
#include "views_internal.h"

#define NSL_STUDIO_NEIGHBOURS_MAX 4000
#define NSL_STUDIO_REACH_Y_PX 80.0 /* neighbours farther across the dispersion do not matter */

/* A neighbour, relative to the source. */
typedef struct {
  nsl_mock_source source;
  nsl_source entry;                            /* what the catalogue says of it */
  const nsl_sed *sed;                          /* of magnitude 0 */
  double east, north, entry_east, entry_north; /* arcsec */
} nsl_mock_neighbour;

/* One band's conditions, drawn once. */
typedef struct {
  const nsl_detector *det;
  double x_px, y_px, rotation_deg, j[4]; /* j: px per arcsec */
  int n_exp;
} nsl_mock_setting;

/* The light round the source on one grating, rendered for the first exposure that has it and moved to where the others have it:
 * exposures of a band differ by a dither and by errors of calibration. */
typedef struct {
  int made, prepared;
  nsl_trace trace; /* true first order of the source */
  double x0, y0;   /* FITS coordinates of pixel (0, 0) */
  int w, h;        /* no edge of the detector cuts it */
  float *light,
      *near; /* electrons, and those that the catalogue makes expect of neighbours; prepared for nsl_warp_show or not yet */
  double *own_box, *box; /* [w] light in the extraction box: the source's, all */
  int any_near;          /* not all of near is 0 */
  size_t capacity;
} nsl_mock_plate;

/* Where one exposure has the source: the light at x, y, the catalogue at cx, cy, on a grating of the detector. */
typedef struct {
  double x, y, cx, cy;
  int grating;
  nsl_trace trace; /* first order, as the instrument file has it for cx, cy */
} nsl_mock_sight;

/* Sees every exposure of every stamp before it is rectified (tests write them as frames). */
typedef void nsl_mock_witness(void *self, const nsl_detector *det, int exposure, const nsl_mock_sight *at, const nsl_view *view);

/* Everything that stays while stamps are made. */
typedef struct {
  nsl_mock *m;
  nsl_view_settings settings;
  nsl_mock_set set;
  nsl_stamp_type type; /* of the stamp */
  int clean;
  double reach_x_px; /* how far along the dispersion light can come from */
  double *flam, *of_lines;
  nsl_line_fluxes lines; /* of the target */
  nsl_mock_neighbour *neighbours;
  size_t n_neighbours;
  size_t capacity; /* px per view */
  nsl_view_room room;
  float *sci, *err, *near; /* of one exposure: it is rectified before the next, while the caches hold it */
  int32_t *dq;
  nsl_mock_plate plates[NSL_GRATINGS_MAX]; /* of the band, by the detector's gratings */
  nsl_warp warp;
  double light_own, light_others; /* in the extraction boxes of the stamp */
  nsl_mock_optics optics;         /* of the exposure */
  nsl_mock_witness *witness;      /* NULL, or who sees the exposures */
  void *witness_self;
  nsl_mock_met met; /* errors of calibration that the stamp meets */
} nsl_studio;

void nsl_studio_close(nsl_studio *s); /* what it holds, not the struct */
nsl_status nsl_studio_open(nsl_mock *m, nsl_studio *s, nsl_error *err);
/* Room for n pixels in every plane. 0 when there is no memory. */
int nsl_studio_reserve(nsl_studio *s, size_t n);

/* Stamp `index` of the set, and its truth. */
nsl_status nsl_studio_make(nsl_studio *s, int64_t index, nsl_stamp *stamp, nsl_stamp_label *label, nsl_error *err);

/* px per arcsec: x grows to the west, y to the north, turned by the pointing's rotation. */
void nsl_mock_local_map(const nsl_mock *m, double rotation_deg, double j[4]);

/* --- mock_target.c --- */
/* A target of the set that is bright enough; its spectrum is left in s->flam. snr: true, by the stamp's bands. */
nsl_status nsl_studio_draw_target(nsl_studio *s, int64_t index, nsl_mock_source *src, double snr[2], nsl_error *err);

/* --- mock_neighbours.c --- */
nsl_status nsl_studio_draw_neighbours(nsl_studio *s, const nsl_mock_source *src, nsl_error *err);

/* --- mock_plate.c --- */
void nsl_plates_forget(nsl_studio *s); /* a new band */
void nsl_plates_free(nsl_studio *s);
/* Fills the windows light and near, of the exposure whose optics are s->optics, and adds to the sums of light in the box. */
nsl_status nsl_plates_show(nsl_studio *s, const nsl_mock_setting *g, const nsl_mock_source *src, const nsl_mock_sight *sight,
                           nsl_window *light, nsl_window *near, nsl_error *err);

/* --- mock_expose.c --- */
/* One band of the stamp, from light to planes. entry: what the catalogue says of the source. */
nsl_status nsl_studio_make_band(nsl_studio *s, const nsl_mock_source *src, const nsl_source *entry, int slot, nsl_stamp *stamp,
                                nsl_error *err);

#endif
