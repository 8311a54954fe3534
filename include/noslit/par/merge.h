/* The reducer: tile files to one HDF5 catalogue, written by all ranks, that qp.read() opens (layout: facts B, docs/formats.md). */
#ifndef NOSLIT_PAR_MERGE_H
#define NOSLIT_PAR_MERGE_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"

typedef struct {
  int64_t tiles, tiles_missing, rows, duplicates;
  double wall_s;
  int64_t bytes;
  int64_t chunks, chunks_made; /* of PDFs; those that no tile file had ready */
} nsl_merge_summary;

/* Collective over MPI_COMM_WORLD. Rows are ordered by (tile, object_id). Refuses missing or corrupt tiles unless partial != 0
 * (then the catalogue says so). Also writes the FITS export when output.fits is set. Every rank fills summary. */
nsl_status nsl_merge(const nsl_config *cfg, const nsl_select *select, int partial, const nsl_log *log, nsl_merge_summary *summary,
                     nsl_error *err);

#endif
