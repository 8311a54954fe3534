/* Rows of the stamps of stamp files. */
#include "noslit/pipe/stamp_rows.h"

#include <stdlib.h>

#include "noslit/model/skytile.h"
#include "pipe/band_attributes.h"

nsl_status nsl_stamp_rows(nsl_infer *inf, const nsl_stamp_reader *reader, size_t limit, int batch, const nsl_log *log,
                          nsl_rows *rows, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_stamp_set set = {0};
  nsl_rows r = {0};
  nsl_progress progress;
  size_t n = nsl_stamp_reader_count(reader);
  if (limit > 0 && n > limit) { n = limit; }
  const nsl_model *model = nsl_infer_model(inf);
  char *difference = nsl_bands_difference(nsl_stamp_reader_bands(reader), model->band);
  if (difference) {
    NSL_THROW(err, NSL_E_MISMATCH, "stamps: %s as in the model: make them for the model's instrument", difference);
  }
  if (!nsl_rows_alloc(&r, n, &model->grid) || !nsl_stamp_set_alloc(&set, (size_t)batch)) {
    NSL_THROW(err, NSL_E_NOMEM, "PDFs of %zu stamps", n);
  }
  nsl_progress_start(&progress, log, "stamps", (long)n);
  for (size_t first = 0; first < n; first += set.n) {
    set.n = n - first < (size_t)batch ? n - first : (size_t)batch;
    for (size_t k = 0; k < set.n; k++) {
      const nsl_stamp_label *l = nsl_stamp_reader_label(reader, first + k);
      nsl_stamp_reader_get(reader, first + k, &set.stamps[k]);
      r.object_id[first + k] = l->source_id;
      r.mag[first + k] = l->mag;
      r.tile[first + k] = nsl_tile_of(0, 0, 0);
    }
    NSL_TRY(nsl_infer_run(inf, &set, &r, first, err));
    nsl_progress_update(&progress, (long)(first + set.n), NULL);
  }
  nsl_progress_end(&progress, (long)n, NULL);
  *rows = r;
  r = (nsl_rows){0};
cleanup:
  nsl_stamp_set_free(&set);
  nsl_rows_free(&r);
  free(difference);
  return st;
}
