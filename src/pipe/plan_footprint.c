/* Which direct positions may send a spectrum onto a detector. */
#include <math.h>
#include <string.h>

#include "pipe/plan_internal.h"

#define DEG (M_PI / 180.0)

void nsl_unit_vector(double ra_deg, double dec_deg, double v[3])
{
  v[0] = cos(dec_deg * DEG) * cos(ra_deg * DEG);
  v[1] = cos(dec_deg * DEG) * sin(ra_deg * DEG);
  v[2] = sin(dec_deg * DEG);
}

static double dot(const double a[3], const double b[3]) { return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]; }

/* Gnomonic coordinates in degrees; 0 on the far side of the sky. */
static int project(const nsl_footprint *f, const double v[3], double *x, double *y)
{
  double c = dot(v, f->centre);
  if (c <= 0.1) { return 0; }
  *x = dot(v, f->east) / c / DEG;
  *y = dot(v, f->north) / c / DEG;
  return 1;
}

void nsl_footprint_make(const nsl_exposure_info *e, double margin_deg, nsl_footprint *out)
{
  nsl_footprint *f = out;
  f->margin_deg = margin_deg;
  f->cos_radius = cos(fmin(e->radius_deg + margin_deg, 180.0) * DEG);
  nsl_unit_vector(e->ra_deg, e->dec_deg, f->centre);
  f->east[0] = -sin(e->ra_deg * DEG);
  f->east[1] = cos(e->ra_deg * DEG);
  f->east[2] = 0;
  nsl_unit_vector(e->ra_deg, e->dec_deg + 90.0, f->north);
  double area = 0;
  for (int i = 0; i < 4; i++) {
    double v[3];
    nsl_unit_vector(e->corner_ra_deg[i], e->corner_dec_deg[i], v);
    if (!project(f, v, &f->x[i], &f->y[i])) { f->x[i] = f->y[i] = 0; }
  }
  for (int i = 0; i < 4; i++) {
    int j = (i + 1) % 4;
    area += f->x[i] * f->y[j] - f->x[j] * f->y[i];
  }
  if (area < 0) { /* make it counter-clockwise */
    double x = f->x[1], y = f->y[1];
    f->x[1] = f->x[3], f->y[1] = f->y[3];
    f->x[3] = x, f->y[3] = y;
  }
}

int nsl_footprint_holds(const nsl_footprint *f, const double v[3])
{
  if (dot(v, f->centre) < f->cos_radius) { return 0; }
  double px, py;
  if (!project(f, v, &px, &py)) { return 0; }
  for (int i = 0; i < 4; i++) {
    int j = (i + 1) % 4;
    double ex = f->x[j] - f->x[i], ey = f->y[j] - f->y[i], length = hypot(ex, ey);
    if (length == 0) { continue; }
    double inside = (ex * (py - f->y[i]) - ey * (px - f->x[i])) / length; /* distance from the edge, positive inside */
    if (inside < -f->margin_deg) { return 0; }
  }
  return 1;
}

/* Distance from the direct position to the far end of a beam, in pixels. */
static double reach_px(const nsl_beam *b)
{
  return fmax(fabs(b->dx_min), fabs(b->dx_max)) + fabs(b->xoff.a[0]) + fabs(b->yoff.a[0]);
}

void nsl_plan_margins(const nsl_instrument *inst, double *exposure_deg, double *neighbour_deg)
{
  enum { WINDOW_PX = 64 }; /* half of a stamp with its sky rows, rounded up */
  double first = 0, any = 0;
  for (int c = 0; c < inst->n_confs; c++) {
    const nsl_trace_conf *conf = &inst->confs[c];
    const nsl_beam *a = nsl_trace_conf_beam(conf, 'A');
    if (a) { first = fmax(first, reach_px(a)); }
    for (int b = 0; b < conf->n_beams; b++) { any = fmax(any, reach_px(&conf->beams[b])); }
  }
  double scale = inst->pixel_scale_arcsec / 3600.0;
  *exposure_deg = fmin(first + WINDOW_PX, 4000) * scale;
  *neighbour_deg = fmin(first + any + WINDOW_PX, 8000) * scale;
}
