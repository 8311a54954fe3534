/* Detector exposures: CSST L1 slitless files (facts A3): SCI in e-/s, ERR, DQ; a WCS that gives direct-image positions. Local. */
#ifndef NOSLIT_PIPE_EXPOSURE_H
#define NOSLIT_PIPE_EXPOSURE_H

#include "noslit/base/hash.h"
#include "noslit/io/wcs.h"
#include "noslit/model/instrument.h"

/* What the header says: enough to plan, without a pixel. */
typedef struct {
  char *path;
  char obsid[32]; /* OBSID or from the file name */
  int detector_id;
  int detector; /* index into instrument->detectors */
  double exptime_s;
  long nx, ny;
  double ra_deg, dec_deg, radius_deg; /* circle round the detector on the sky */
  double corner_ra_deg[4], corner_dec_deg[4];
  int64_t size_bytes, mtime_ns;
  nsl_hash header_hash; /* of the headers, size and mtime: recognises a changed file without reading its pixels */
} nsl_exposure_info;

/* Opens, checks (HDUs, dimensions against the instrument, unit, WCS and its scale, EXPTIME), touches the last pixel of each plane
 * (a file cut short) and closes again. Detector and OBSID come from the keys DETECTOR and OBSID, else from the file name. */
nsl_status nsl_exposure_inspect(const char *path, const nsl_instrument *inst, nsl_exposure_info *out, nsl_error *err);
void nsl_exposure_info_free(nsl_exposure_info *info);

typedef struct nsl_exposure nsl_exposure; /* open for reading pixels */
nsl_status nsl_exposure_open(const char *path, const nsl_instrument *inst, nsl_exposure **out, nsl_error *err);
void nsl_exposure_close(nsl_exposure *e);
const nsl_detector *nsl_exposure_detector(const nsl_exposure *e);
nsl_wcs *nsl_exposure_wcs(nsl_exposure *e); /* borrowed */
double nsl_exposure_time_s(const nsl_exposure *e);

/* A cut-out: w x h pixels from 0-based (x0, y0), clipped to the frame by the caller. sci, err in e-/s, dq as stored. */
nsl_status nsl_exposure_read(nsl_exposure *e, long x0, long y0, long w, long h, float *sci, float *err_plane, int32_t *dq,
                             nsl_error *err);

/* One cut-out of many, as nsl_exposure_read. */
typedef struct {
  long x0, y0, w, h;
  float *sci, *err;
  int32_t *dq;
} nsl_cutout;

/* Says which cut-outs will be read, so that the disk can begin. */
nsl_status nsl_exposure_announce(nsl_exposure *e, size_t n, const nsl_cutout *cutouts, nsl_error *err);
/* Reads them all (best in the order of their rows). After an error nothing is certain about any of them. */
nsl_status nsl_exposure_read_many(nsl_exposure *e, size_t n, const nsl_cutout *cutouts, nsl_error *err);

/* Exposures that stay open for the next tile, at most `capacity` of those not in use. One cache belongs to one thread. */
typedef struct nsl_exposure_cache nsl_exposure_cache;
nsl_status nsl_exposure_cache_new(int capacity, nsl_exposure_cache **out, nsl_error *err);
void nsl_exposure_cache_free(nsl_exposure_cache *cache); /* nothing may be in use */
/* The exposure at a path, open since earlier if the file has still the same size and time. Give it back with
 * nsl_exposure_cache_return; keep 0: close it (it could not be read). cache may be NULL: then nothing is kept. */
nsl_status nsl_exposure_cache_open(nsl_exposure_cache *cache, const char *path, const nsl_instrument *inst, nsl_exposure **out,
                                   nsl_error *err);
void nsl_exposure_cache_return(nsl_exposure_cache *cache, nsl_exposure *e, int keep);

#endif
