/* The flat-F_nu spectrum of AB magnitude 0: F_lambda = 3631 Jy c / lambda^2. Linear between 100 A steps: right to 0.2 % at 2000 A,
 * 0.05 % above 4000 A. */
#include "noslit/model/render.h"

#include <math.h>

#define AB_ZERO_ERG 3.631e-20         /* erg/s/cm2/Hz at magnitude 0 */
#define LIGHT_SPEED_A_S 2.99792458e18 /* Angstrom per second */
#define ROW5(a) (a), (a) + 100, (a) + 200, (a) + 300, (a) + 400
#define F(l) (AB_ZERO_ERG * LIGHT_SPEED_A_S / ((double)(l) * (double)(l)))
#define FLAM5(a) F(a), F((a) + 100), F((a) + 200), F((a) + 300), F((a) + 400)
#define ALL(X)                                                                                                                  \
  X(2000), X(2500), X(3000), X(3500), X(4000), X(4500), X(5000), X(5500), X(6000), X(6500), X(7000), X(7500), X(8000), X(8500), \
      X(9000), X(9500), X(10000), X(10500), X(11000), X(11500)

static const double flat_lambda[] = {ALL(ROW5), 12000};
static const double flat_flam[] = {ALL(FLAM5), F(12000)};
static const nsl_sed flat = {sizeof flat_lambda / sizeof *flat_lambda, flat_lambda, flat_flam, {0, 0}};

double nsl_flat_fnu_flam(double mag, double lambda_a)
{
  double light = mag == 0 ? 1 : pow(10, -0.4 * mag); /* magnitudes are integrals of this at 0 */
  return light * AB_ZERO_ERG * LIGHT_SPEED_A_S / (lambda_a * lambda_a);
}

const nsl_sed *nsl_sed_flat_fnu(void) { return &flat; }
