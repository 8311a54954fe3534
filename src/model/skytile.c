#include "noslit/model/skytile.h"

#include <chealpix.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define DEG (M_PI / 180.0)

static int64_t nside_of(int order) { return (int64_t)1 << order; }

nsl_tile_id nsl_tile_of(int order, double ra_deg, double dec_deg)
{
  double phi = fmod(ra_deg, 360.0) * DEG, theta = (90.0 - dec_deg) * DEG;
  if (phi < 0) { phi += 2 * M_PI; }
  theta = theta < 0 ? 0 : theta > M_PI ? M_PI : theta;
  int64_t pixel;
  ang2pix_nest64(nside_of(order), theta, phi, &pixel);
  return pixel;
}

void nsl_tile_centre(int order, nsl_tile_id tile, double *ra_deg, double *dec_deg)
{
  double theta, phi;
  pix2ang_nest64(nside_of(order), tile, &theta, &phi);
  *ra_deg = phi / DEG;
  *dec_deg = 90.0 - theta / DEG;
}

/* The largest pixels touch |z| = 2/3 (Gorski et al. 2005, section 5): the distance from the centre of the one at longitude
 * pi/(4 nside) on that circle to its polar corner, on the meridian of the base pixel's edge. */
double nsl_tile_radius_deg(int order)
{
  double nside = (double)nside_of(order), t = 1.0 - 1.0 / nside;
  double z1 = 2.0 / 3.0, z2 = 1.0 - t * t / 3.0;
  double dec1 = asin(z1) / DEG, dec2 = asin(z2) / DEG;
  return 1.000001 * nsl_sky_distance_deg(45.0 / nside, dec1, 0.0, dec2);
}

int64_t nsl_tile_count(int order) { return (int64_t)12 << (2 * order); }

typedef struct {
  nsl_tile_id *items;
  size_t n, capacity;
} tile_list;

static int push(tile_list *list, nsl_tile_id tile)
{
  if (list->n == list->capacity) {
    size_t capacity = list->capacity ? 2 * list->capacity : 16;
    nsl_tile_id *items = realloc(list->items, capacity * sizeof *items);
    if (!items) { return 0; }
    list->items = items;
    list->capacity = capacity;
  }
  list->items[list->n++] = tile;
  return 1;
}

typedef struct {
  int order;
  double ra_deg, dec_deg, radius_deg;
  double tile_radius_deg[NSL_TILE_ORDER_MAX + 1];
} disc;

/* Children of a NESTED pixel p are 4p .. 4p+3, so this visits the final order in ascending order. */
static int descend(const disc *d, int order, nsl_tile_id tile, tile_list *out)
{
  double ra, dec;
  nsl_tile_centre(order, tile, &ra, &dec);
  if (nsl_sky_distance_deg(ra, dec, d->ra_deg, d->dec_deg) > d->radius_deg + d->tile_radius_deg[order]) { return 1; }
  if (order == d->order) { return push(out, tile); }
  for (int child = 0; child < 4; child++) {
    if (!descend(d, order + 1, 4 * tile + child, out)) { return 0; }
  }
  return 1;
}

nsl_status nsl_tiles_in_disc(int order, double ra_deg, double dec_deg, double radius_deg, nsl_tile_id **tiles, size_t *n,
                             nsl_error *err)
{
  disc d = {.order = order, .ra_deg = ra_deg, .dec_deg = dec_deg, .radius_deg = radius_deg + 1e-9};
  for (int k = 0; k <= order; k++) { d.tile_radius_deg[k] = nsl_tile_radius_deg(k); }
  tile_list list = {0};
  for (nsl_tile_id base = 0; base < 12; base++) {
    if (!descend(&d, 0, base, &list)) {
      free(list.items);
      return nsl_fail(err, NSL_E_NOMEM, "no memory for the tiles within %.3f degrees of %.5f %+.5f", radius_deg, ra_deg, dec_deg);
    }
  }
  *tiles = list.items;
  *n = list.n;
  return NSL_OK;
}

void nsl_tile_path(int order, nsl_tile_id tile, char *out, size_t size)
{
  snprintf(out, size, "Norder=%d/Dir=%lld/Npix=%lld", order, (long long)(tile / 10000 * 10000), (long long)tile);
}

double nsl_sky_distance_deg(double ra1_deg, double dec1_deg, double ra2_deg, double dec2_deg)
{
  double s_dec = sin(0.5 * (dec2_deg - dec1_deg) * DEG), s_ra = sin(0.5 * (ra2_deg - ra1_deg) * DEG);
  double h = s_dec * s_dec + cos(dec1_deg * DEG) * cos(dec2_deg * DEG) * s_ra * s_ra;
  return 2.0 * asin(h < 1.0 ? sqrt(h) : 1.0) / DEG;
}
