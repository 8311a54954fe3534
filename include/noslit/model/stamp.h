/* The stamp: what the network sees of one source. Pure.
 *
 * A stamp has two bands (slot 0 GV, slot 1 GI), three planes each, on the band's canonical wavelength grid: wavelength grows
 * to the right, the trace lies on row NSL_STAMP_YC (between rows 19 and 20). */
#ifndef NOSLIT_MODEL_STAMP_H
#define NOSLIT_MODEL_STAMP_H

#include <stddef.h>
#include <stdint.h>

#define NSL_STAMP_BANDS 2
#define NSL_STAMP_NY 40
#define NSL_STAMP_NX 480
#define NSL_STAMP_YC 19.5
#define NSL_STAMP_PLANE ((size_t)NSL_STAMP_NY * NSL_STAMP_NX)
#define NSL_STAMP_PIXELS (NSL_STAMP_BANDS * NSL_STAMP_PLANE)

/* Facts about one band of a stamp, found while it was made. */
typedef struct {
  int n_exp;           /* exposures that contributed */
  float exptime_s;     /* their total */
  float coverage;      /* fraction of the band's wavelength range seen on the central rows, 0..1 */
  float snr;           /* mean over extracted samples of F/sigma, negatives as 0 (facts A1.5), 2.0 arcsec box */
  float contamination; /* expected neighbours' light over all light in the extraction box, 0..1 */
  float tilt;          /* the source's light on a row lies so many px farther right than on the row below, by its catalogue shape */
} nsl_stamp_band_info;

typedef struct {
  int64_t source_id;
  /* [band][y][x]; flux and contamination in electrons over exptime_s (of the reference: all exposures of the band scaled to
   * their total), background subtracted, contamination NOT subtracted; variance in e-^2, 0 where there is no data (flux 0 there).
   * variance is per pixel such that sums over several pixels have the summed variance (resampling correlates neighbours). */
  float *flux, *variance, *contamination;
  nsl_stamp_band_info band[NSL_STAMP_BANDS];
  uint32_t flags; /* NSL_FLAG_* */
  /* The source's shape in detector axes after rectification (wavelength to the right), for networks that use it. */
  float re_px, q, pa_x_deg; /* pa_x: angle of the major axis from +x towards +y */
  float sersic_n;
} nsl_stamp;

/* n stamps whose planes live in one allocation each. */
typedef struct {
  size_t n, capacity;
  nsl_stamp *stamps;
  float *flux, *variance, *contamination; /* [capacity][2][40][480] */
} nsl_stamp_set;

/* 0 on out-of-memory. All planes zero. */
int nsl_stamp_set_alloc(nsl_stamp_set *set, size_t capacity);
void nsl_stamp_set_free(nsl_stamp_set *set);
void nsl_stamp_set_clear(nsl_stamp_set *set); /* n = 0, planes zero */

/* The extraction box: 2.0 arcsec, 27 rows about the trace, the outermost two counting half. Weight of row y, 0 outside. */
#define NSL_STAMP_BOX_FIRST 6
#define NSL_STAMP_BOX_LAST 33
double nsl_stamp_box_weight(int y);

/* SNR of a band as the paper defines it (facts A1.5): box extraction of 2.0 arcsec (27 rows) round the trace, mean over the
 * columns with data of max(F,0)/sigma (0 where sigma <= 0), contamination subtracted from F. columns: [x0, x1).
 * contamination may be NULL. 0 when there is no data. */
float nsl_stamp_snr(const float *flux, const float *variance, const float *contamination, int x0, int x1);

/* Expected neighbours' light over all light in the box and columns [x0, x1). All light is at least one standard deviation of
 * itself, so that a faint source is not called contaminated by noise. */
float nsl_stamp_contamination(const float *flux, const float *variance, const float *contamination, int x0, int x1);

/* Fraction of the columns [x0, x1) with data on at least half of the box's rows. */
float nsl_stamp_coverage(const float *variance, int x0, int x1);

/* NO_GV / NO_GI and PARTIAL_GV / PARTIAL_GI of a slot (0, 1). */
uint32_t nsl_stamp_slot_flags(const nsl_stamp_band_info *info, int slot);

#endif
