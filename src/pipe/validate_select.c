/* The selections of the metrics document. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/model/flags.h"
#include "pipe/validate_internal.h"

#define BEYOND INFINITY

static const double snr_edges[] = {0, 1, 1.5, 2, 3, 5, 10, 20, BEYOND};
static const double contamination_edges[] = {0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0001};
static const double size_edges[] = {0, 0.1, 0.2, 0.3, 0.5, 0.8, BEYOND};
static const double exposure_edges[] = {0, 1, 2, 3, 4, 5, BEYOND};
static const double px_error_edges[] = {-BEYOND, -2, -1, -0.5, -0.1, 0.1, 0.5, 1, 2, BEYOND};
static const double relative_error_edges[] = {-BEYOND, -0.1, -0.03, -0.01, 0.01, 0.03, 0.1, BEYOND};
static const double dispersion_error_edges[] = {-BEYOND, -0.003, -0.001, -0.0003, 0.0003, 0.001, 0.003, BEYOND};
static const double position_error_edges[] = {0, 0.01, 0.02, 0.03, 0.05, 0.1, BEYOND};
static const double odds_edges[] = {0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 0.99, 1.0001};

typedef enum {
  SNR_GI,
  SNR_GV,
  MAG,
  Z,
  Z_MODE,
  SIZE,
  CONTAMINATION,
  N_EXP_GI,
  ODDS,
  P_GOOD,
  INJECTED,
  N_AXES = INJECTED + NSL_N_INJECTED
} axis_id;

/* Edges as a list, or from a first one in equal steps. */
static const struct {
  const char *name;
  const double *edges;
  int n_edges;
  double first, step;
} axes[N_AXES] = {
#define LIST(edges) edges, sizeof edges / sizeof *edges, 0, 0
    [SNR_GI] = {"snr_gi", LIST(snr_edges)},
    [SNR_GV] = {"snr_gv", LIST(snr_edges)},
    [MAG] = {"mag", NULL, 25, 14, 0.5},
    [Z] = {"z", NULL, 21, 0, 0.1},
    [Z_MODE] = {"z_mode", NULL, 21, 0, 0.1},
    [SIZE] = {"size_arcsec", LIST(size_edges)},
    [CONTAMINATION] = {"contamination", LIST(contamination_edges)},
    [N_EXP_GI] = {"n_exp_gi", LIST(exposure_edges)},
    [ODDS] = {"odds", LIST(odds_edges)},
    [P_GOOD] = {"p_good", LIST(odds_edges)},
    [INJECTED + NSL_INJECTED_WAVE] = {"wave_error_px", LIST(px_error_edges)},
    [INJECTED + NSL_INJECTED_WAVE_GV] = {"wave_error_gv_px", LIST(px_error_edges)},
    [INJECTED + NSL_INJECTED_WAVE_GI] = {"wave_error_gi_px", LIST(px_error_edges)},
    [INJECTED + NSL_INJECTED_DISPERSION] = {"dispersion_error", LIST(dispersion_error_edges)},
    [INJECTED + NSL_INJECTED_TRACE] = {"trace_error_px", LIST(px_error_edges)},
    [INJECTED + NSL_INJECTED_PSF] = {"psf_error", LIST(relative_error_edges)},
    [INJECTED + NSL_INJECTED_SKY] = {"sky_error", LIST(relative_error_edges)},
    [INJECTED + NSL_INJECTED_ASTROMETRY] = {"astrometric_error_arcsec", LIST(position_error_edges)},
#undef LIST
};

static double edge_of(int axis, int i) { return axes[axis].edges ? axes[axis].edges[i] : axes[axis].first + i * axes[axis].step; }

static double value_of(const nsl_validation *v, int axis, size_t i)
{
  const nsl_matched *m = &v->info[i];
  if (axis >= INJECTED && axis < N_AXES) { return m->injected[axis - INJECTED]; }
  switch ((axis_id)axis) {
  case SNR_GI:
    return m->snr_gi;
  case SNR_GV:
    return m->snr_gv;
  case MAG:
    return m->mag;
  case Z:
    return v->scores[i].z_true;
  case Z_MODE: /* where perfect PDFs have flat PITs, which they have not in bins of the true redshift */
    return (double)v->scores[i].z_point;
  case SIZE:
    return m->size_arcsec;
  case CONTAMINATION:
    return m->contamination;
  case N_EXP_GI:
    return m->n_exp_gi;
  case ODDS:
    return m->odds;
  case P_GOOD:
    return m->p_good;
  default:
    break;
  }
  return NAN;
}

static int holds(const nsl_validation *v, const nsl_validation_bin *bin, int axis, size_t i)
{
  if (axis < 0) { return bin->flag ? (v->info[i].flags & bin->flag) != 0 : v->info[i].flags == 0; }
  double x = value_of(v, axis, i);
  return x >= bin->lo && x < bin->hi;
}

/* rows: scratch [v->n]. */
static nsl_status use_bin(const nsl_validation *v, const nsl_validation_bin *bin, int axis, uint32_t *rows, int always,
                          nsl_validation_use use, void *context, nsl_error *err)
{
  size_t n = 0, n_no_pdf = 0;
  for (size_t i = 0; i < v->n; i++) {
    if (!holds(v, bin, axis, i)) { continue; }
    if (v->info[i].has_pdf) {
      rows[n++] = (uint32_t)i;
    } else {
      n_no_pdf++;
    }
  }
  return always || n + n_no_pdf ? use(bin, rows, n, n_no_pdf, context, err) : NSL_OK;
}

static nsl_status use_flags(const nsl_validation *v, uint32_t *rows, nsl_validation_use use, void *context, nsl_error *err)
{
  static const struct {
    uint32_t bit;
    const char *word;
  } flags[] = {
#define ROW(name, bit, word, text) {name, word},
      NSL_FLAG_LIST(ROW)
#undef ROW
  };
  nsl_status st = NSL_OK;
  nsl_validation_bin none = {.key = "flags==0", .axis = "flags"};
  NSL_TRY(use_bin(v, &none, -1, rows, 0, use, context, err));
  for (size_t f = 0; f < sizeof flags / sizeof *flags; f++) {
    nsl_validation_bin bin = {.axis = "flags", .flag = flags[f].bit};
    snprintf(bin.key, sizeof bin.key, "flag:%s", flags[f].word);
    NSL_TRY(use_bin(v, &bin, -1, rows, 0, use, context, err));
  }
cleanup:
  return st;
}

nsl_status nsl_validation_select(const nsl_validation *v, nsl_validation_use use, void *context, nsl_error *err)
{
  static const double thresholds[] = {1, 3, 5, 10};
  nsl_status st = NSL_OK;
  uint32_t *rows = malloc((v->n ? v->n : 1) * sizeof *rows);
  if (!rows) { NSL_THROW(err, NSL_E_NOMEM, "no memory to select from %zu sources", v->n); }
  nsl_validation_bin all = {.key = "all", .lo = -BEYOND, .hi = BEYOND};
  NSL_TRY(use_bin(v, &all, Z, rows, 1, use, context, err));
  for (size_t t = 0; t < sizeof thresholds / sizeof *thresholds; t++) {
    nsl_validation_bin bin = {.lo = thresholds[t], .hi = BEYOND};
    snprintf(bin.key, sizeof bin.key, "snr_gi>=%g", thresholds[t]);
    NSL_TRY(use_bin(v, &bin, SNR_GI, rows, 1, use, context, err));
  }
  for (int axis = 0; axis < N_AXES; axis++) {
    for (int b = 0; b + 1 < axes[axis].n_edges; b++) {
      nsl_validation_bin bin = {.axis = axes[axis].name, .lo = edge_of(axis, b), .hi = edge_of(axis, b + 1)};
      snprintf(bin.key, sizeof bin.key, "%s[%g,%g)", bin.axis, bin.lo, bin.hi);
      NSL_TRY(use_bin(v, &bin, axis, rows, 0, use, context, err));
    }
  }
  NSL_TRY(use_flags(v, rows, use, context, err));
cleanup:
  free(rows);
  return st;
}
