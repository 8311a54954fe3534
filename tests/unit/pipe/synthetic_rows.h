/* Rows of an imagined tile: every value depends on (tile, object id) only, so that any reader can say what must stand there. */
#ifndef SYNTHETIC_ROWS_H
#define SYNTHETIC_ROWS_H

#include <math.h>
#include <string.h>

#include "noslit/base/rng.h"
#include "noslit/model/flags.h"
#include "noslit/model/rows.h"
#include "noslit/model/skytile.h"

/* One row; variant 0 is the usual one, another gives another answer for the same source. Every 17th is not measured. */
static inline void synthetic_row(nsl_rows *rows, size_t i, int order, nsl_tile_id tile, int64_t id, int variant)
{
  nsl_rng r = nsl_rng_make((uint64_t)variant, NSL_RNG_TEST, (uint64_t)id, (uint64_t)tile);
  nsl_tile_centre(order, tile, &rows->ra[i], &rows->dec[i]);
  rows->object_id[i] = id;
  rows->tile[i] = tile;
  rows->mag[i] = 20 + (float)nsl_rng_uniform(&r);
  rows->snr_gi[i] = (float)(10 * nsl_rng_uniform(&r));
  rows->n_exp_gi[i] = 4;
  rows->coverage_gi[i] = 1;
  float *pdf = rows->pdf + i * (size_t)rows->grid.n;
  if (id % 17 == 0) {
    rows->flags[i] = NSL_FLAG_NO_PDF | NSL_FLAG_NO_GV;
    return;
  }
  double centre = rows->grid.n * (0.2 + 0.6 * nsl_rng_uniform(&r)), width = 1.5;
  float prob[4096];
  double sum = 0;
  for (int b = 0; b < rows->grid.n; b++) {
    prob[b] = (float)exp(-0.5 * (b + 0.5 - centre) * (b + 0.5 - centre) / width / width);
    sum += (double)prob[b];
  }
  for (int b = 0; b < rows->grid.n; b++) { prob[b] = (float)((double)prob[b] / sum); }
  nsl_pdf_summary s;
  nsl_pdf_summarise(&rows->grid, prob, &s);
  nsl_pdf_density_z(&rows->grid, prob, pdf);
  rows->z_mode[i] = (float)s.z_mode;
  rows->z_median[i] = (float)s.z_median;
  rows->z_mean[i] = (float)s.z_mean;
  rows->z_lo68[i] = (float)s.z_lo68;
  rows->z_hi68[i] = (float)s.z_hi68;
  rows->sigma_aleatoric[i] = (float)s.sigma_u;
  rows->sigma_epistemic[i] = 0.1f * (float)s.sigma_u;
  rows->mutual_info[i] = 0.01f;
  rows->odds[i] = (float)s.odds;
  rows->n_samples[i] = 16;
  rows->mc_error[i] = 0.01f;
}

/* n rows with ids first_id, first_id + 3, ... */
static inline int synthetic_tile(nsl_rows *rows, const nsl_pdf_grid *grid, int order, nsl_tile_id tile, size_t n, int64_t first_id,
                                 int variant)
{
  if (!nsl_rows_alloc(rows, n, grid)) { return 0; }
  for (size_t i = 0; i < n; i++) { synthetic_row(rows, i, order, tile, first_id + 3 * (int64_t)i, variant); }
  return 1;
}

#endif
