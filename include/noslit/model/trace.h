/* Traces and wavelength solutions of gratings, from aXe configuration files (facts A3.6; grizli, slitlessutils and hstaxe
 * use the same). Pure: files are read by pipe/instrument_load.
 *
 * Conventions (design section 5): pixels are FITS (first pixel's centre is 1); a coefficient is a0 + a1 x + a2 y + a3 x^2 +
 * a4 x y + a5 y^2 at the direct-image position (x, y); dx, dy count from (x + XOFF, y + YOFF); dy = sum DYDX_i dx^i;
 * lambda [Angstrom, vacuum] = sum DLDP_i l^i with l the signed path length along the trace from dx = 0. */
#ifndef NOSLIT_MODEL_TRACE_H
#define NOSLIT_MODEL_TRACE_H

#include <stddef.h>

#include "noslit/base/status.h"

#define NSL_BEAMS_MAX 8
#define NSL_TRACE_TERMS_MAX 6

typedef struct {
  double a[6]; /* terms that the file does not give are 0 */
} nsl_field_poly;

/* Sensitivity of one beam: e-/s per erg/s/cm2/Angstrom at increasing vacuum wavelengths; zero outside. */
typedef struct {
  size_t n;
  double *lambda_a, *value;
} nsl_sensitivity;

typedef struct {
  char name;             /* 'A' first order, 'B' zeroth, 'C' ... as the file says */
  double dx_min, dx_max; /* BEAMx: extent in px relative to the direct position (as grizli reads it, without XOFF) */
  nsl_field_poly xoff, yoff;
  int n_dydx, n_dldp; /* number of coefficients */
  nsl_field_poly dydx[NSL_TRACE_TERMS_MAX], dldp[NSL_TRACE_TERMS_MAX];
  char *sensitivity_file;      /* as written in the conf; "" or NULL if none */
  nsl_sensitivity sensitivity; /* filled by the loader */
} nsl_beam;

typedef struct {
  char *name; /* file name, for messages and provenance */
  int n_beams;
  nsl_beam beams[NSL_BEAMS_MAX];
} nsl_trace_conf;

/* Parses the text of a conf file. Unknown keywords are ignored (aXe files carry many); malformed known ones are errors with a line.
 */
nsl_status nsl_trace_conf_parse(const char *text, const char *name, nsl_trace_conf *out, nsl_error *err);
void nsl_trace_conf_free(nsl_trace_conf *conf);
/* The beam with this name, or NULL. */
const nsl_beam *nsl_trace_conf_beam(const nsl_trace_conf *conf, char name);

/* A beam evaluated at one direct-image position. */
typedef struct {
  double x0, y0;         /* where dx = dy = 0: x + XOFF, y + YOFF */
  double dx_min, dx_max; /* counted from x0: BEAMx minus XOFF */
  int n_dydx, n_dldp;
  double dydx[NSL_TRACE_TERMS_MAX], dldp[NSL_TRACE_TERMS_MAX];
} nsl_trace;

void nsl_trace_at(const nsl_beam *beam, double x_px, double y_px, nsl_trace *out);
double nsl_trace_dy(const nsl_trace *t, double dx);
double nsl_trace_slope(const nsl_trace *t, double dx);   /* d dy / d dx */
double nsl_trace_path(const nsl_trace *t, double dx);    /* signed path length, exact for a straight trace, Gauss-Legendre else */
double nsl_trace_lambda(const nsl_trace *t, double dx);  /* Angstrom */
double nsl_trace_dlambda(const nsl_trace *t, double dx); /* d lambda / d dx, signed, Angstrom per px */
/* The dx in [dx_min - 1, dx_max + 1] with this wavelength; 0 if there is none (or the solution is seen to turn round: the sign of
 * dlambda/ddx must be the same at both ends and at the root). */
int nsl_trace_dx_of_lambda(const nsl_trace *t, double lambda_a, double *dx);

double nsl_sensitivity_at(const nsl_sensitivity *s, double lambda_a); /* linear interpolation */

#endif
