/* L1 slitless exposures. Everything that can be wrong with one is found here and said in one line. */
#include "noslit/pipe/exposure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "exposure_name.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/io/fits.h"
#include "noslit/model/skytile.h"

enum { SCI, ERR, DQ, N_PLANES };
static const char *const plane_names[N_PLANES] = {"SCI", "ERR", "DQ"};
static const int PRIMARY_HDU = 1;
/* A WCS whose pixels differ more than this from the instrument's belongs to another camera or is broken. */
#define PIXEL_SCALE_TOLERANCE 0.1

struct nsl_exposure {
  nsl_fits *fits;
  nsl_wcs *wcs;
  int hdu[N_PLANES];
  long nx, ny;
  int detector; /* index into the instrument's */
  const nsl_detector *det;
  double exptime_s;
  char obsid[32];
};

/* A key of the SCI header or, failing that, of the primary. */
static nsl_status key_text(nsl_exposure *e, const char *key, char *text, size_t size, nsl_error *err)
{
  nsl_status st = nsl_fits_key_text(e->fits, e->hdu[SCI], key, text, size, err);
  return st == NSL_E_NOTFOUND ? nsl_fits_key_text(e->fits, PRIMARY_HDU, key, text, size, err) : st;
}

static nsl_status find_planes(nsl_exposure *e, const char *path, nsl_error *err)
{
  for (int p = 0; p < N_PLANES; p++) {
    nsl_status st = nsl_fits_find_hdu(e->fits, plane_names[p], &e->hdu[p], err);
    if (st == NSL_E_NOTFOUND) {
      return nsl_fail(err, NSL_E_FORMAT, "%s: extension %s is missing; an L1 exposure has SCI, ERR and DQ", path, plane_names[p]);
    }
    if (st != NSL_OK) { return st; }
  }
  return NSL_OK;
}

static nsl_status find_identity(nsl_exposure *e, const char *path, const nsl_instrument *inst, nsl_error *err)
{
  char text[80];
  int id;
  nsl_exposure_name_parse(path, e->obsid, sizeof e->obsid, &id);
  nsl_status st = key_text(e, "DETECTOR", text, sizeof text, err);
  if (st != NSL_OK && st != NSL_E_NOTFOUND) { return st; }
  if (st == NSL_OK) { id = nsl_detector_number(text); }
  if (id < 0) {
    return nsl_fail(err, NSL_E_FORMAT,
                    "%s: no detector number, neither in key DETECTOR nor in the file name (..._<obsid>_<nn>_L1_...)", path);
  }
  e->det = nsl_instrument_detector(inst, id);
  if (!e->det) {
    return nsl_fail(err, NSL_E_MISMATCH, "%s: detector %d is not in instrument %s; leave the file out or add the detector", path,
                    id, inst->name);
  }
  e->detector = (int)(e->det - inst->detectors);
  char obsid[sizeof e->obsid];
  st = key_text(e, "OBSID", obsid, sizeof obsid, err);
  if (st == NSL_OK && *obsid) { strcpy(e->obsid, obsid); }
  if (st != NSL_OK && st != NSL_E_NOTFOUND) { return st; }
  if (!*e->obsid) { return nsl_fail(err, NSL_E_FORMAT, "%s: no OBSID, neither as a key nor in the file name; add the key", path); }
  return NSL_OK;
}

static nsl_status check_sizes(nsl_exposure *e, const char *path, nsl_error *err)
{
  for (int p = 0; p < N_PLANES; p++) {
    nsl_status st = nsl_fits_image_size(e->fits, e->hdu[p], &e->nx, &e->ny, err);
    if (st != NSL_OK) { return st; }
    if (e->nx != e->det->nx || e->ny != e->det->ny) {
      return nsl_fail(err, NSL_E_MISMATCH, "%s: %s is %ld x %ld pixels, but detector %d of the instrument file has %ld x %ld", path,
                      plane_names[p], e->nx, e->ny, e->det->id, e->det->nx, e->det->ny);
    }
  }
  return NSL_OK;
}

static nsl_status check_unit(nsl_exposure *e, const char *path, nsl_error *err)
{
  static const char *const not_rates[] = {"adu", "dn", "count", "counts", "e-", "e", "electron", "electrons"};
  char unit[80];
  nsl_status st = nsl_fits_key_text(e->fits, e->hdu[SCI], "BUNIT", unit, sizeof unit, err);
  if (st == NSL_E_NOTFOUND) { return NSL_OK; }
  if (st != NSL_OK) { return st; }
  for (size_t i = 0; i < sizeof not_rates / sizeof *not_rates; i++) {
    if (!strcasecmp(unit, not_rates[i])) {
      return nsl_fail(err, NSL_E_MISMATCH, "%s: SCI is in '%s'; electrons per second (e-/s) are needed", path, unit);
    }
  }
  return NSL_OK;
}

static nsl_status find_exptime(nsl_exposure *e, const char *path, nsl_error *err)
{
  nsl_status st = nsl_fits_key_f64(e->fits, e->hdu[SCI], "EXPTIME", &e->exptime_s, err);
  if (st == NSL_E_NOTFOUND) { st = nsl_fits_key_f64(e->fits, PRIMARY_HDU, "EXPTIME", &e->exptime_s, err); }
  if (st == NSL_E_NOTFOUND) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: key EXPTIME is missing; add it (seconds) to the primary or the SCI header", path);
  }
  if (st == NSL_OK && !(e->exptime_s > 0 && e->exptime_s < 1e7)) {
    st = nsl_fail(err, NSL_E_VALUE, "%s: EXPTIME is %g s; it must be positive", path, e->exptime_s);
  }
  return st;
}

static nsl_status open_wcs(nsl_exposure *e, const char *path, nsl_error *err)
{
  char *cards = NULL;
  int n_cards;
  nsl_status st = nsl_fits_header(e->fits, e->hdu[SCI], &cards, &n_cards, err);
  if (st == NSL_OK) { st = nsl_wcs_new(cards, n_cards, path, &e->wcs, err); }
  free(cards);
  return st;
}

/* The sky under a pixel must exist and have the instrument's scale there. */
static nsl_status check_wcs(nsl_exposure *e, const char *path, double scale_arcsec, nsl_error *err)
{
  double x = 0.5 * (double)(e->nx + 1), y = 0.5 * (double)(e->ny + 1), ra, dec, m[4];
  nsl_status st = nsl_wcs_pixel_to_sky(e->wcs, 1, &x, &y, &ra, &dec, err);
  if (st != NSL_OK) { return st; }
  if (!isfinite(ra) || !isfinite(dec)) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: the WCS of SCI gives no position for the centre of the detector", path);
  }
  st = nsl_wcs_jacobian(e->wcs, ra, dec, m, err);
  if (st != NSL_OK) { return st; }
  double scale = 1 / sqrt(fabs(m[0] * m[3] - m[1] * m[2]));
  if (!(fabs(scale / scale_arcsec - 1) < PIXEL_SCALE_TOLERANCE)) {
    return nsl_fail(err, NSL_E_MISMATCH, "%s: the WCS of SCI has pixels of %.4g arcsec, the instrument file says %.4g", path, scale,
                    scale_arcsec);
  }
  return NSL_OK;
}

nsl_status nsl_exposure_open(const char *path, const nsl_instrument *inst, nsl_exposure **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_exposure *e = calloc(1, sizeof *e);
  if (!e) { return nsl_fail(err, NSL_E_NOMEM, "%s: out of memory", path); }
  NSL_TRY(nsl_fits_open(path, &e->fits, err));
  NSL_TRY(find_planes(e, path, err));
  NSL_TRY(find_identity(e, path, inst, err));
  NSL_TRY(check_sizes(e, path, err));
  NSL_TRY(check_unit(e, path, err));
  NSL_TRY(find_exptime(e, path, err));
  NSL_TRY(open_wcs(e, path, err));
  NSL_TRY(check_wcs(e, path, inst->pixel_scale_arcsec, err));
  *out = e;
  return NSL_OK;

cleanup:
  nsl_exposure_close(e);
  return st;
}

void nsl_exposure_close(nsl_exposure *e)
{
  if (!e) { return; }
  nsl_wcs_free(e->wcs);
  nsl_fits_close(e->fits);
  free(e);
}

const nsl_detector *nsl_exposure_detector(const nsl_exposure *e) { return e->det; }

nsl_wcs *nsl_exposure_wcs(nsl_exposure *e) { return e->wcs; }

double nsl_exposure_time_s(const nsl_exposure *e) { return e->exptime_s; }

nsl_status nsl_exposure_read(nsl_exposure *e, long x0, long y0, long w, long h, float *sci, float *err_plane, int32_t *dq,
                             nsl_error *err)
{
  nsl_status st = nsl_fits_read_f32(e->fits, e->hdu[SCI], x0, y0, w, h, sci, err);
  if (st == NSL_OK) { st = nsl_fits_read_f32(e->fits, e->hdu[ERR], x0, y0, w, h, err_plane, err); }
  if (st == NSL_OK) { st = nsl_fits_read_i32(e->fits, e->hdu[DQ], x0, y0, w, h, dq, err); }
  return st;
}

static nsl_fits_window plane_window(const nsl_cutout *c, int plane)
{
  void *out = plane == SCI ? (void *)c->sci : plane == ERR ? (void *)c->err : (void *)c->dq;
  return (nsl_fits_window){c->x0, c->y0, c->w, c->h, out};
}

static nsl_status with_planes(nsl_exposure *e, size_t n, const nsl_cutout *cutouts, int announce, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_fits_window *windows = malloc((n ? n : 1) * sizeof *windows);
  if (!windows) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory for %zu cut-outs", nsl_fits_path(e->fits), n); }
  for (int p = 0; p < N_PLANES; p++) {
    for (size_t i = 0; i < n; i++) { windows[i] = plane_window(&cutouts[i], p); }
    if (announce) {
      nsl_fits_announce(e->fits, e->hdu[p], n, windows);
    } else {
      NSL_TRY(nsl_fits_read_windows(e->fits, e->hdu[p], p != DQ, n, windows, err));
    }
  }
cleanup:
  free(windows);
  return st;
}

nsl_status nsl_exposure_announce(nsl_exposure *e, size_t n, const nsl_cutout *cutouts, nsl_error *err)
{
  return with_planes(e, n, cutouts, 1, err);
}

nsl_status nsl_exposure_read_many(nsl_exposure *e, size_t n, const nsl_cutout *cutouts, nsl_error *err)
{
  return with_planes(e, n, cutouts, 0, err);
}

/* ---- inspection ---- */

/* The last pixel of each plane: a file cut short has a good header and no end. */
static nsl_status touch_ends(nsl_exposure *e, const char *path, nsl_error *err)
{
  float value;
  int32_t bits;
  for (int p = 0; p < N_PLANES; p++) {
    nsl_status st = p == DQ ? nsl_fits_read_i32(e->fits, e->hdu[p], e->nx - 1, e->ny - 1, 1, 1, &bits, err)
                            : nsl_fits_read_f32(e->fits, e->hdu[p], e->nx - 1, e->ny - 1, 1, 1, &value, err);
    if (st == NSL_E_NOMEM) { return st; }
    if (st != NSL_OK) {
      return nsl_fail(err, NSL_E_CORRUPT, "%s: the end of %s cannot be read; the file is cut short, fetch it again", path,
                      plane_names[p]);
    }
  }
  return NSL_OK;
}

static nsl_status find_footprint(nsl_exposure *e, const char *path, nsl_exposure_info *info, nsl_error *err)
{
  double nx = (double)e->nx, ny = (double)e->ny;
  double x[5] = {0.5 * (nx + 1), 0.5, nx + 0.5, nx + 0.5, 0.5}, y[5] = {0.5 * (ny + 1), 0.5, 0.5, ny + 0.5, ny + 0.5};
  double ra[5], dec[5];
  nsl_status st = nsl_wcs_pixel_to_sky(e->wcs, 5, x, y, ra, dec, err);
  if (st != NSL_OK) { return st; }
  info->ra_deg = ra[0];
  info->dec_deg = dec[0];
  for (int c = 0; c < 4; c++) {
    if (!isfinite(ra[c + 1]) || !isfinite(dec[c + 1])) {
      return nsl_fail(err, NSL_E_FORMAT, "%s: the WCS of SCI gives no position for a corner of the detector", path);
    }
    info->corner_ra_deg[c] = ra[c + 1];
    info->corner_dec_deg[c] = dec[c + 1];
    double r = nsl_sky_distance_deg(ra[0], dec[0], ra[c + 1], dec[c + 1]);
    if (r > info->radius_deg) { info->radius_deg = r; }
  }
  info->radius_deg *= 1.001; /* edges of a distorted detector may bulge a little beyond its corners' circle */
  return NSL_OK;
}

static nsl_status hash_headers(nsl_exposure *e, nsl_exposure_info *info, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const int hdus[] = {PRIMARY_HDU, e->hdu[SCI], e->hdu[ERR], e->hdu[DQ]};
  nsl_hasher *hasher = nsl_hasher_new();
  if (!hasher) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", info->path); }
  for (size_t i = 0; i < sizeof hdus / sizeof *hdus; i++) {
    char *cards;
    int n;
    NSL_TRY(nsl_fits_header(e->fits, hdus[i], &cards, &n, err));
    nsl_hasher_add(hasher, cards, (size_t)n * 80);
    free(cards);
  }
  nsl_hasher_add(hasher, &info->size_bytes, sizeof info->size_bytes);
  nsl_hasher_add(hasher, &info->mtime_ns, sizeof info->mtime_ns);
  info->header_hash = nsl_hasher_value(hasher);
cleanup:
  nsl_hasher_free(hasher);
  return st;
}

nsl_status nsl_exposure_inspect(const char *path, const nsl_instrument *inst, nsl_exposure_info *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_exposure *e = NULL;
  nsl_exposure_info info = {.path = nsl_strdup(path)};
  if (!info.path) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", path); }
  NSL_TRY(nsl_file_stat(path, &info.size_bytes, &info.mtime_ns, err));
  NSL_TRY(nsl_exposure_open(path, inst, &e, err));
  NSL_TRY(touch_ends(e, path, err));
  memcpy(info.obsid, e->obsid, sizeof info.obsid);
  info.detector = e->detector;
  info.detector_id = e->det->id;
  info.exptime_s = e->exptime_s;
  info.nx = e->nx;
  info.ny = e->ny;
  NSL_TRY(find_footprint(e, path, &info, err));
  NSL_TRY(hash_headers(e, &info, err));
  *out = info;
  info.path = NULL;
cleanup:
  nsl_exposure_close(e);
  free(info.path);
  return st;
}

void nsl_exposure_info_free(nsl_exposure_info *info)
{
  free(info->path);
  *info = (nsl_exposure_info){0};
}
