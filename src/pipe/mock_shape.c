/* What a galaxy truly looks like: a bulge, a disc and clumps, where the catalogue has one Sersic profile. The continuum's centroid
 * and half-light radius are those of the catalogue's profile; emission lines come from the disc and, more than the continuum, from
 * the clumps, so that their centroid is another. */
#include <math.h>
#include <string.h>

#include "mock_internal.h"

#define CLUMPS_MAX 4
#define LIGHT_MIN 5e-4 /* components with less are left out */

/* Adds a profile with part of the light. */
static void add_part(nsl_mix *to, const nsl_mix *part, double light)
{
  for (int g = 0; g < part->n && to->n < NSL_MIX_MAX - CLUMPS_MAX; g++) {
    if (part->g[g].flux * light < LIGHT_MIN) { continue; }
    to->g[to->n] = part->g[g];
    to->g[to->n++].flux *= light;
  }
}

typedef struct {
  int n;
  double share_continuum, share_lines, weight[CLUMPS_MAX], dx[CLUMPS_MAX], dy[CLUMPS_MAX], variance; /* px */
} clumps;

static void draw_clumps(const nsl_mock_source *s, const double j[4], nsl_rng *r, clumps *c)
{
  double sum = 0, pa = s->shape.pa_deg * M_PI / 180, re = s->shape.re_arcsec, size = 0.10 * re;
  double scale2 = fabs(j[0] * j[3] - j[1] * j[2]);
  c->n = 2 + (int)nsl_rng_below(r, CLUMPS_MAX - 1);
  c->share_continuum = nsl_rng_range(r, 0.02, 0.15);
  c->share_lines = nsl_rng_range(r, 0.12, 0.40);
  c->variance = size * size * scale2;
  for (int k = 0; k < c->n; k++) {
    double radius = re * nsl_rng_range(r, 0.3, 1.3), angle = nsl_rng_range(r, 0, 2 * M_PI);
    double major = radius * cos(angle), minor = radius * sin(angle) * s->shape.q;
    double east = major * sin(pa) + minor * cos(pa), north = major * cos(pa) - minor * sin(pa);
    c->dx[k] = j[0] * east + j[1] * north;
    c->dy[k] = j[2] * east + j[3] * north;
    c->weight[k] = 0.2 - log(1 - nsl_rng_uniform(r));
    sum += c->weight[k];
  }
  for (int k = 0; k < c->n; k++) { c->weight[k] /= sum; }
}

static void add_clumps(nsl_mix *to, const clumps *c, double share, double psf_px)
{
  for (int g = 0; g < to->n; g++) { to->g[g].flux *= 1 - share; }
  for (int k = 0; k < c->n; k++, to->n++) {
    double v = c->variance + psf_px * psf_px;
    to->g[to->n].flux = share * c->weight[k];
    to->g[to->n].dx = c->dx[k];
    to->g[to->n].dy = c->dy[k];
    to->g[to->n].xx = to->g[to->n].yy = v;
    to->g[to->n].xy = 0;
  }
}

static void normalise(nsl_mix *m)
{
  double sum = 0;
  for (int g = 0; g < m->n; g++) { sum += m->g[g].flux; }
  for (int g = 0; g < m->n; g++) { m->g[g].flux /= sum; }
}

static void centroid(const nsl_mix *m, double *x, double *y)
{
  *x = *y = 0;
  for (int g = 0; g < m->n; g++) {
    *x += m->g[g].flux * m->g[g].dx;
    *y += m->g[g].flux * m->g[g].dy;
  }
}

static void shift(nsl_mix *m, double x, double y)
{
  for (int g = 0; g < m->n; g++) {
    m->g[g].dx -= x;
    m->g[g].dy -= y;
  }
}

int nsl_mock_profiles(const nsl_mock *m, const nsl_mock_source *s, double psf_px, const double j[4], nsl_mix *continuum,
                      nsl_mix *lines)
{
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_SHAPE, (uint64_t)s->id, 1);
  double u = nsl_rng_uniform(&r), bulge = (s->shape.sersic_n - 1) / 3.5 + 0.08 * nsl_rng_normal(&r);
  if (s->image > 0) { /* lines as the continuum: the image is all that is known */
    nsl_images_mix(m->images, s->image - 1, m->seed, s->id, &s->shape, psf_px, j, continuum);
    return 0;
  }
  int elliptical = s->kind == NSL_KIND_RED && u < 0.6;
  if (!m->structure || !(s->shape.re_arcsec > 0) || elliptical || !s->catalogued) {
    nsl_mix_from_shape(&s->shape, psf_px, j, continuum);
    return 0;
  }
  bulge = bulge < 0 ? 0 : bulge > 0.6 ? 0.6 : bulge;
  /* Sizes that keep the half-light radius of the whole (test_mock_shape measures it). */
  nsl_shape b = s->shape, d = s->shape;
  b.re_arcsec *= 0.5;
  b.sersic_n = 3.5;
  b.q = 0.5 * (1 + s->shape.q);
  d.re_arcsec *= 1 + 0.24 * bulge + 3.6 * bulge * bulge * bulge;
  d.sersic_n = 1;
  nsl_mix part;
  continuum->n = lines->n = 0;
  continuum->psf = lines->psf = (nsl_psf){0, 0, 0};
  nsl_mix_from_shape(&d, psf_px, j, &part);
  add_part(continuum, &part, 1 - bulge);
  add_part(lines, &part, 1);
  nsl_mix_from_shape(&b, psf_px, j, &part);
  add_part(continuum, &part, bulge);
  normalise(continuum);
  normalise(lines);
  if (s->kind == NSL_KIND_RED) { return !m->one_profile; }
  clumps c;
  double x, y;
  draw_clumps(s, j, &r, &c);
  add_clumps(continuum, &c, c.share_continuum, psf_px);
  add_clumps(lines, &c, c.share_lines, psf_px);
  centroid(continuum, &x, &y);
  shift(continuum, x, y);
  shift(lines, x, y);
  return !m->one_profile;
}
