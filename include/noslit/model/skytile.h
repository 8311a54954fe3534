/* Sky tiles: HEALPix NESTED pixels (Gorski et al. 2005), named "order:npix" in print and by their npix in numbers.
 * Every position belongs to exactly one tile of an order. Pure. */
#ifndef NOSLIT_MODEL_SKYTILE_H
#define NOSLIT_MODEL_SKYTILE_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

typedef int64_t nsl_tile_id; /* NESTED pixel index at the survey's order */

#define NSL_TILE_ORDER_MAX 20

nsl_tile_id nsl_tile_of(int order, double ra_deg, double dec_deg);
void nsl_tile_centre(int order, nsl_tile_id tile, double *ra_deg, double *dec_deg);
/* Radius in degrees of a circle round the centre that holds the whole tile. */
double nsl_tile_radius_deg(int order);
int64_t nsl_tile_count(int order); /* 12 * 4^order */

/* All tiles that a disc may touch (a superset, never a tile too few), sorted; caller frees. */
nsl_status nsl_tiles_in_disc(int order, double ra_deg, double dec_deg, double radius_deg, nsl_tile_id **tiles, size_t *n,
                             nsl_error *err);

/* "Norder=<k>/Dir=<d>/Npix=<n>" with d = (n / 10000) * 10000, the HiPS/HATS habit. out holds at least 96 bytes. */
void nsl_tile_path(int order, nsl_tile_id tile, char *out, size_t size);

/* Great-circle distance in degrees. */
double nsl_sky_distance_deg(double ra1_deg, double dec1_deg, double ra2_deg, double dec2_deg);

#endif
