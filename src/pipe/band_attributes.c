#include "pipe/band_attributes.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

static const struct {
  const char *key;
  size_t offset;
} grid_keys[] = {{"lambda0_a", offsetof(nsl_band, lambda0_a)},
                 {"dlambda_a", offsetof(nsl_band, dlambda_a)},
                 {"lambda_min_a", offsetof(nsl_band, lambda_min_a)},
                 {"lambda_max_a", offsetof(nsl_band, lambda_max_a)},
                 {"psf_ree80_arcsec", offsetof(nsl_band, psf_ree80_arcsec)},
                 {"psf_exponent", offsetof(nsl_band, psf_exponent)}};
enum { N_GRID_KEYS = sizeof grid_keys / sizeof *grid_keys, N_ALWAYS = N_GRID_KEYS - 1 }; /* older files lack the last: it is 0 */

nsl_status nsl_bands_put(nsl_h5 *f, const nsl_band band[NSL_STAMP_BANDS], nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    char key[64];
    snprintf(key, sizeof key, "band%d_name", b);
    NSL_TRY(nsl_h5_put_text(f, "/", key, band[b].name, err));
    for (int k = 0; k < N_GRID_KEYS; k++) {
      snprintf(key, sizeof key, "band%d_%s", b, grid_keys[k].key);
      NSL_TRY(nsl_h5_put_f64(f, "/", key, *(const double *)((const char *)&band[b] + grid_keys[k].offset), err));
    }
  }
cleanup:
  return st;
}

nsl_status nsl_bands_get(nsl_h5 *f, nsl_band band[NSL_STAMP_BANDS], nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *name = NULL;
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    char key[64];
    band[b] = (nsl_band){0};
    snprintf(key, sizeof key, "band%d_name", b);
    free(name);
    name = NULL;
    NSL_TRY(nsl_h5_get_text(f, "/", key, &name, err));
    if (strlen(name) >= sizeof band[b].name) { NSL_THROW(err, NSL_E_FORMAT, "%s is longer than a band's name", key); }
    memcpy(band[b].name, name, strlen(name) + 1);
    for (int k = 0; k < N_GRID_KEYS; k++) {
      snprintf(key, sizeof key, "band%d_%s", b, grid_keys[k].key);
      st = nsl_h5_get_f64(f, "/", key, (double *)((char *)&band[b] + grid_keys[k].offset), err);
      if (st == NSL_E_NOTFOUND && k >= N_ALWAYS) { st = NSL_OK; }
      if (st != NSL_OK) { goto cleanup; }
    }
  }
cleanup:
  free(name);
  return st;
}

char *nsl_bands_difference(const nsl_band a[NSL_STAMP_BANDS], const nsl_band b[NSL_STAMP_BANDS])
{
  for (int i = 0; i < NSL_STAMP_BANDS; i++) {
    if (strcmp(a[i].name, b[i].name) != 0) { return nsl_strf("band %d is %s, not %s", i, a[i].name, b[i].name); }
    if (fabs(a[i].lambda0_a - b[i].lambda0_a) > 1e-6 || fabs(a[i].dlambda_a - b[i].dlambda_a) > 1e-9) {
      return nsl_strf("the canonical grid of %s is %.9g + %.9g i Angstrom, not %.9g + %.9g i", a[i].name, a[i].lambda0_a,
                      a[i].dlambda_a, b[i].lambda0_a, b[i].dlambda_a);
    }
  }
  return NULL;
}
