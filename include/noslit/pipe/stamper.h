/* From exposures to stamps: for each source, band and exposure find trace and wavelengths, read the cut-out, subtract the local
 * sky, mask by DQ, flip and resample to the canonical grid, combine exposures by inverse variance with outlier rejection, and
 * compute the expected light of the neighbours (design section 5). Local. */
#ifndef NOSLIT_PIPE_STAMPER_H
#define NOSLIT_PIPE_STAMPER_H

#include "noslit/base/log.h"
#include "noslit/model/render.h"
#include "noslit/model/stamp.h"
#include "noslit/pipe/exposure.h"
#include "noslit/pipe/plan.h"

typedef struct nsl_stamper nsl_stamper;

typedef struct {
  double io_s, resample_s, contamination_s, combine_s;
  int64_t bytes_read;
  int exposures_lost; /* that could not be opened, or not be read somewhere */
} nsl_stamper_cost;

/* Opens the exposures of a task (each once). An exposure that cannot be read is logged, left out and flagged
 * (NSL_FLAG_EXPOSURE_LOST) on the sources it should hold; it does not fail the tile. */
/* cache: NULL, or exposures that stay open after the stamper, which it must outlive. */
nsl_status nsl_stamper_new(const nsl_config *cfg, const nsl_instrument *inst, const nsl_tile_task *task, nsl_exposure_cache *cache,
                           const nsl_log *log, nsl_stamper **out, nsl_error *err);
void nsl_stamper_free(nsl_stamper *s);
/* Tells the system which pixels nsl_stamper_make will ask for, so that it can fetch them in the meantime. */
nsl_status nsl_stamper_announce(nsl_stamper *s, nsl_error *err);
/* Stamps of the task's sources [first, first+n) into set (cleared first; capacity >= n). A source that cannot be measured
 * gets an empty stamp with flags. */
nsl_status nsl_stamper_make(nsl_stamper *s, size_t first, size_t n, nsl_stamp_set *set, nsl_error *err);
const nsl_stamper_cost *nsl_stamper_spent(const nsl_stamper *s);

/* --- the piece that the mock shares: one detector window of one source, and how windows become a stamp --- */

/* One exposure's view of one source. Planes [h][w] in electrons (e-/s times exptime), background NOT yet subtracted. */
typedef struct {
  double x0, y0; /* FITS coordinates of pixel (0, 0) */
  int w, h;
  const float *sci, *err;
  const int32_t *dq;
  const float *neighbours; /* expected neighbours' light, electrons; NULL for none */
  double exptime_s;
  nsl_trace trace;   /* of the first order at the source's direct position */
  double tilt;       /* of the source's shape in detector axes, PSF included (nsl_mix_tilt) */
  double own_beside; /* the source's own light: of a sky row over that of a row of its box; 0: the sky is not corrected for it */
} nsl_view;

/* How views are treated; keys of section `stamp`. */
typedef struct {
  double reject_sigma; /* outlier rejection between exposures */
  int sky_rows;        /* rows above and below the stamp for the local sky; 0: no sky is subtracted */
} nsl_view_settings;

nsl_view_settings nsl_view_settings_from(const nsl_config *cfg);
/* own_beside of a profile, PSF included, for the sky rows of the settings. */
double nsl_view_own_beside(const nsl_mix *mix, const nsl_view_settings *settings);

/* Which window of a frame a first-order trace needs (0-based, clipped to nx, ny): all columns of the band's stamp that the beam
 * reaches, the stamp's rows and the sky's. 0 when nothing of it is on the frame. */
int nsl_view_window(const nsl_trace *trace, const nsl_band *band, const nsl_view_settings *settings, long nx, long ny, long *x0,
                    long *y0, long *w, long *h);

/* Combines the views of one band into the planes [40][480] of a stamp and its facts. Views of both gratings may be mixed: those
 * in which wavelengths grow to the left are turned by 180 degrees (x and y), which leaves the shape of a source that is
 * symmetric about its centre as it is. Flags are set (never cleared) as far as one band tells: CONTAMINATED, SATURATED, MANY_BAD,
 * FEW_EXPOSURES; nsl_stamp_slot_flags gives the rest. Deterministic; memory is its own affair.
 *
 * Flux is interpolated bilinearly and scaled by the ratio of pixel widths r; the variance of a stamp pixel is r sum(w var), not
 * sum(r^2 w^2 var): each detector pixel enters several stamp pixels with weights that add to one, so the former adds up to the
 * right variance of a box, which is what extraction needs, while the latter forgets the covariances. */
nsl_status nsl_views_combine(const nsl_view *views, int n_views, const nsl_band *band, const nsl_dq_bits *dq_bits,
                             const nsl_view_settings *settings, float *flux, float *variance, float *contamination,
                             nsl_stamp_band_info *info, uint32_t *flags, nsl_error *err);

#endif
