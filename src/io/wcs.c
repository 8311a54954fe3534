/* World coordinates over wcslib. wcslib's header parser keeps static state: one thread at a time may call nsl_wcs_new. */
#include "noslit/io/wcs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <wcslib/wcs.h>
#include <wcslib/wcserr.h>
#include <wcslib/wcshdr.h>

#include "noslit/base/str.h"

enum { BATCH = 256, BAD_PIXEL = 8, BAD_WORLD = 9 }; /* the latter two are wcslib's: "one or more coordinates are invalid" */

struct nsl_wcs {
  struct wcsprm *all; /* one for each alternative; the first is the primary description */
  int n_all;
  char *name;
};

void nsl_wcs_free(nsl_wcs *w)
{
  if (!w) { return; }
  if (w->all) { wcsvfree(&w->n_all, &w->all); }
  free(w->name);
  free(w);
}

static const char *reason_of(int status) { return status >= 0 && status <= 14 ? wcs_errmsg[status] : "unknown reason"; }

/* wcslib only finds matrices with a row of zeros. */
static int is_singular(const struct wcsprm *p)
{
  if (p->lin.unity || !p->lin.piximg) { return p->cdelt[0] == 0 || p->cdelt[1] == 0; }
  const double *m = p->lin.piximg;
  double det = m[0] * m[3] - m[1] * m[2];
  return !(fabs(det) > 1e-9 * hypot(m[0], m[1]) * hypot(m[2], m[3]));
}

static nsl_status check_kind(const nsl_wcs *w, nsl_error *err)
{
  const struct wcsprm *p = w->all;
  if (p->naxis != 2 || p->lng < 0 || p->lat < 0 || strncmp(p->lngtyp, "RA", 2)) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: its WCS does not map two axes to RA and Dec (CTYPE1 '%s', CTYPE2 '%s')", w->name,
                    p->naxis > 0 ? p->ctype[0] : "", p->naxis > 1 ? p->ctype[1] : "");
  }
  if (is_singular(p)) { return nsl_fail(err, NSL_E_FORMAT, "%s: its WCS is invalid: the CD matrix is singular", w->name); }
  if (!strncmp(p->radesys, "FK4", 3)) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: its WCS is in %s; ICRS (or FK5 at J2000) is needed", w->name, p->radesys);
  }
  return NSL_OK;
}

/* wcslib trusts its cards: a control character or a text without its closing quote would run on into the next card and past a
 * buffer. The one becomes a blank, a card with the other is left out. */
static void copy_card(char out[80], const char card[80])
{
  for (int i = 0; i < 80; i++) { out[i] = card[i] >= ' ' && card[i] <= '~' ? card[i] : ' '; }
  int at = 9;
  while (at < 80 && out[at] == ' ') { at++; }
  if (out[8] != '=' || at == 80 || out[at] != '\'') { return; }
  for (at++; at < 80; at++) {
    if (out[at] != '\'') { continue; }
    if (at == 79 || out[at + 1] != '\'') { return; }
    at++; /* two stand for one */
  }
  memset(out, ' ', 80);
}

nsl_status nsl_wcs_new(const char *cards, int n_cards, const char *name, nsl_wcs **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rejected = 0, status;
  char *copy = NULL;
  nsl_wcs *w = calloc(1, sizeof *w);
  size_t n = 80 * (size_t)n_cards;
  if (!w || !(w->name = nsl_strdup(name)) || !(copy = malloc(n + 1))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", name); }
  for (size_t i = 0; i < n; i += 80) { copy_card(copy + i, cards + i); }
  copy[n] = '\0';
  status = wcspih(copy, n_cards, WCSHDR_all, 0, &rejected, &w->n_all, &w->all);
  if (status) { NSL_THROW(err, NSL_E_FORMAT, "%s: its WCS cannot be read from the header: %s", name, reason_of(status)); }
  if (!w->n_all) { NSL_THROW(err, NSL_E_FORMAT, "%s: it has no WCS in its header", name); }
  status = wcsset(w->all);
  if (status) { NSL_THROW(err, NSL_E_FORMAT, "%s: its WCS is invalid: %s", name, reason_of(status)); }
  NSL_TRY(check_kind(w, err));
  *out = w;
  w = NULL;
cleanup:
  free(copy);
  nsl_wcs_free(w);
  return st;
}

typedef struct {
  double in[BATCH][2], image[BATCH][2], out[BATCH][2], phi[BATCH], theta[BATCH];
  int bad[BATCH];
} work_space;

static int convert(struct wcsprm *p, int to_pixel, work_space *s, int first, int n)
{
  if (to_pixel) {
    return wcss2p(p, n, 2, s->in[first], &s->phi[first], &s->theta[first], s->image[first], s->out[first], &s->bad[first]);
  }
  return wcsp2s(p, n, 2, s->in[first], s->image[first], &s->phi[first], &s->theta[first], s->out[first], &s->bad[first]);
}

/* The batch's points; those that wcslib refuses are marked in bad. Some failures (of the distortion) spoil wcslib's whole call:
 * then point by point. */
static void convert_batch(struct wcsprm *p, int to_pixel, work_space *s, int n)
{
  const int partly = to_pixel ? BAD_WORLD : BAD_PIXEL;
  memset(s->bad, 0, sizeof s->bad);
  int status = convert(p, to_pixel, s, 0, n);
  if (!status || status == partly) { return; }
  for (int i = 0; i < n; i++) {
    s->bad[i] = 0;
    if (convert(p, to_pixel, s, i, 1)) { s->bad[i] = 1; }
  }
}

/* in[0] and in[1] go to the slots a[0], a[1] of wcslib's vectors, its slots b[0], b[1] to out[0], out[1]. */
static nsl_status map_points(nsl_wcs *w, int to_pixel, size_t n, const double *const in[2], const int a[2], double *const out[2],
                             const int b[2], nsl_error *err)
{
  struct wcsprm *p = w->all;
  work_space *s = malloc(sizeof *s);
  if (!s) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory to map %zu points", w->name, n); }
  for (size_t first = 0; first < n; first += BATCH) {
    int count = n - first < BATCH ? (int)(n - first) : BATCH;
    for (int i = 0; i < count; i++) {
      int usable = isfinite(in[0][first + (size_t)i]) && isfinite(in[1][first + (size_t)i]);
      for (int k = 0; k < 2; k++) {
        s->in[i][a[k]] = usable ? in[k][first + (size_t)i] : to_pixel ? p->crval[a[k]] : p->crpix[a[k]];
      }
    }
    convert_batch(p, to_pixel, s, count);
    for (int i = 0; i < count; i++) {
      size_t at = first + (size_t)i;
      int good = !s->bad[i] && isfinite(in[0][at]) && isfinite(in[1][at]);
      for (int k = 0; k < 2; k++) { out[k][at] = good ? s->out[i][b[k]] : NAN; }
    }
  }
  free(s);
  return NSL_OK;
}

nsl_status nsl_wcs_sky_to_pixel(nsl_wcs *w, size_t n, const double *ra_deg, const double *dec_deg, double *x_px, double *y_px,
                                nsl_error *err)
{
  const int sky[2] = {w->all->lng, w->all->lat}, pixel[2] = {0, 1};
  return map_points(w, 1, n, (const double *const[2]){ra_deg, dec_deg}, sky, (double *const[2]){x_px, y_px}, pixel, err);
}

nsl_status nsl_wcs_pixel_to_sky(nsl_wcs *w, size_t n, const double *x_px, const double *y_px, double *ra_deg, double *dec_deg,
                                nsl_error *err)
{
  const int sky[2] = {w->all->lng, w->all->lat}, pixel[2] = {0, 1};
  return map_points(w, 0, n, (const double *const[2]){x_px, y_px}, pixel, (double *const[2]){ra_deg, dec_deg}, sky, err);
}

nsl_status nsl_wcs_jacobian(nsl_wcs *w, double ra_deg, double dec_deg, double m[4], nsl_error *err)
{
  const double degree = M_PI / 180, step = degree / 3600;
  double a = ra_deg * degree, d = dec_deg * degree, ra[4], dec[4], x[4], y[4];
  const double centre[3] = {cos(d) * cos(a), cos(d) * sin(a), sin(d)};
  const double direction[2][3] = {{-sin(a), cos(a), 0}, {-sin(d) * cos(a), -sin(d) * sin(a), cos(d)}}; /* east, north */
  for (int i = 0; i < 4; i++) { /* one arcsec to the east, west, north, south; vectors, so that it works at the poles */
    double v[3], sign = i % 2 ? -step : step;
    for (int k = 0; k < 3; k++) { v[k] = centre[k] + sign * direction[i / 2][k]; }
    ra[i] = atan2(v[1], v[0]) / degree;
    dec[i] = atan2(v[2], hypot(v[0], v[1])) / degree;
  }
  nsl_status st = nsl_wcs_sky_to_pixel(w, 4, ra, dec, x, y, err);
  if (st != NSL_OK) { return st; }
  double out[4];
  for (int k = 0; k < 2; k++) {
    out[k] = (x[2 * k] - x[2 * k + 1]) / 2;
    out[2 + k] = (y[2 * k] - y[2 * k + 1]) / 2;
  }
  for (int i = 0; i < 4; i++) {
    if (!isfinite(out[i])) {
      return nsl_fail(err, NSL_E_VALUE, "%s: its WCS cannot project RA %.6f, Dec %.6f", w->name, ra_deg, dec_deg);
    }
  }
  memcpy(m, out, sizeof out);
  return NSL_OK;
}
