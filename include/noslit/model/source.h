/* A source of the input catalogue. */
#ifndef NOSLIT_MODEL_SOURCE_H
#define NOSLIT_MODEL_SOURCE_H

#include <stdint.h>

/* What the image catalogue knows of a source's shape: a Sersic profile. A point source has re_arcsec = 0. */
typedef struct {
  double re_arcsec; /* half-light radius along the major axis */
  double q;         /* axis ratio b/a, (0,1] */
  double pa_deg;    /* position angle of the major axis, north through east */
  double sersic_n;
} nsl_shape;

typedef struct {
  int64_t id;
  double ra_deg, dec_deg; /* ICRS */
  double mag;             /* AB, the catalogue's reference band; NaN when unknown */
  nsl_shape shape;
  int is_star;
} nsl_source;

#endif
