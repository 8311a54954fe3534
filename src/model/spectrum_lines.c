/* Emission lines: where they are (vacuum, rest frame) and how their fluxes go together. */
#include <math.h>

#include "spectrum_internal.h"

const nsl_line_row nsl_line_list[NSL_SED_LINES] = {
    {1908.73, 1.5},  /*  0 CIII] */
    {2799.9, 1.6},   /*  1 MgII doublet (as one) */
    {3727.09, 0},    /*  2 [OII] */
    {3729.88, 0},    /*  3 [OII] */
    {3869.86, 0},    /*  4 [NeIII] */
    {3968.59, 0},    /*  5 [NeIII] */
    {3890.15, 0},    /*  6 H8 */
    {3971.19, 0},    /*  7 H epsilon */
    {4102.89, 0.25}, /*  8 H delta */
    {4341.68, 0.45}, /*  9 H gamma */
    {4364.44, 0},    /* 10 [OIII] */
    {4687.02, 0.05}, /* 11 HeII */
    {4862.68, 1.0},  /* 12 H beta */
    {4960.30, 0},    /* 13 [OIII] */
    {5008.24, 0},    /* 14 [OIII] */
    {5877.25, 0.1},  /* 15 HeI */
    {6302.05, 0},    /* 16 [OI] */
    {6365.54, 0},    /* 17 [OI] */
    {6549.85, 0},    /* 18 [NII] */
    {6585.28, 0},    /* 19 [NII] */
    {6564.61, 3.2},  /* 20 H alpha */
    {6680.0, 0},     /* 21 HeI */
    {6718.29, 0},    /* 22 [SII] */
    {6732.67, 0},    /* 23 [SII] */
    {7137.77, 0},    /* 24 [ArIII] */
    {7321.9, 0},     /* 25 [OII] */
    {7332.2, 0},     /* 26 [OII] */
    {9071.1, 0},     /* 27 [SIII] */
    {9533.2, 0},     /* 28 [SIII] */
    {9548.6, 0},     /* 29 Pa epsilon */
    {10052.1, 0.1},  /* 30 Pa delta */
    {10833.3, 0.5},  /* 31 HeI */
    {10941.1, 0.15}, /* 32 Pa gamma */
    {9231.5, 0},     /* 33 Pa zeta */
};

double nsl_calzetti_k(double lambda_a)
{
  double x = 1e4 / lambda_a;
  double k = lambda_a < 6300 ? 2.659 * (-2.156 + 1.509 * x - 0.198 * x * x + 0.011 * x * x * x) + 4.05
                             : 2.659 * (-1.857 + 1.040 * x) + 4.05;
  return k > 0 ? k : 0;
}

void nsl_line_ratios(double n2, double oiii_hb, double oii_hb, double sii_ha, double ebv_gas, double r[NSL_SED_LINES])
{
  /* Relative to H beta before dust, case B at 10^4 K for hydrogen. */
  double o3 = pow(10, oiii_hb), o2 = pow(10, oii_hb), n = 2.86 * pow(10, n2), s2 = 2.86 * pow(10, sii_ha),
         s3 = 0.27 * pow(10, 0.3 * oiii_hb);
  for (int i = 0; i < NSL_SED_LINES; i++) { r[i] = 0; }
  r[LINE_OII_A] = o2 * 0.43;
  r[LINE_OII_B] = o2 * 0.57;
  r[4] = 0.09 * o3;
  r[5] = 0.027 * o3;
  r[6] = 0.105;
  r[7] = 0.159;
  r[8] = 0.259;
  r[9] = 0.468;
  r[10] = 0.012 * o3;
  r[LINE_HB] = 1;
  r[13] = o3 / 2.98;
  r[LINE_OIII] = o3;
  r[15] = 0.11;
  r[16] = 0.18 * s2 * 0.6;
  r[17] = r[16] / 3.1;
  r[18] = n / 2.96;
  r[19] = n;
  r[LINE_HA] = 2.86;
  r[21] = 0.033;
  r[22] = 0.57 * s2;
  r[23] = 0.43 * s2;
  r[24] = 0.08 * pow(10, 0.3 * oiii_hb);
  r[25] = 0.03 * o2;
  r[26] = 0.025 * o2;
  r[27] = s3;
  r[28] = 2.47 * s3;
  r[29] = 0.037;
  r[30] = 0.055;
  r[31] = 0.25;
  r[32] = 0.09;
  r[33] = 0.025;
  double k_ha = nsl_calzetti_k(nsl_line_list[LINE_HA].lambda_a);
  for (int i = 0; i < NSL_SED_LINES; i++) {
    r[i] *= pow(10, -0.4 * ebv_gas * (nsl_calzetti_k(nsl_line_list[i].lambda_a) - k_ha)) / 2.86;
  }
}
