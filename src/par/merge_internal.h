/* The steps of the merge, each Collective over MPI_COMM_WORLD. Memory per rank: the list of tiles, the largest tile, one block of
 * rows, and a bounded table of identifiers. */
#ifndef NOSLIT_PAR_MERGE_INTERNAL_H
#define NOSLIT_PAR_MERGE_INTERNAL_H

#include "noslit/par/merge.h"
#include "noslit/pipe/catalogue.h"
#include "noslit/pipe/survey_summary.h"

/* What is to be merged, the same on every rank. Borrowed pointers. */
typedef struct {
  const char *workdir, *catalogue, *fits; /* fits may be "" */
  const char *survey, *config_text, *selection;
  int order;
  size_t n_tiles;
  const nsl_tile_id *tiles;   /* ascending */
  const nsl_hash *input_hash; /* of each tile as planned, or NULL: not checked */
  nsl_hash config_hash, plan_hash;
  int64_t seed;
  int deflate, partial;
  size_t column_chunk_rows, pdf_chunk_rows; /* 0: the usual ones. A column chunk is a whole number of PDF chunks. */
  int64_t max_ids;                          /* identifiers a rank holds at once in the search for duplicates; 0: the usual number */
} nsl_merge_job;

/* What is merged, the same on every rank; heads on rank 0 only. */
typedef struct {
  size_t n;
  nsl_catalogue_tile *tiles;
  nsl_tile_head *heads;
  int64_t n_rows, tile_bytes; /* tile_bytes: of the tile files */
  nsl_pdf_grid grid;
  nsl_hash content_hash, model_hash, instrument_hash;
  size_t n_left_out;
} nsl_merge_set;

nsl_status nsl_merge_tiles(const nsl_merge_job *job, const nsl_log *log, nsl_merge_summary *summary, nsl_error *err);

/* Reads the heads of all tiles, sorts out missing, corrupt and stale ones, and refuses them unless job->partial. */
nsl_status nsl_merge_take_stock(const nsl_merge_job *job, const nsl_log *log, nsl_merge_set *set, nsl_error *err);
void nsl_merge_set_free(nsl_merge_set *set);

/* NSL_E_VALUE names a source that stands in two tiles; *duplicates counts them all. */
nsl_status nsl_merge_find_duplicates(const nsl_merge_job *job, const nsl_merge_set *set, int64_t *duplicates, nsl_error *err);

/* Writes the whole catalogue under the name `path`. */
nsl_status nsl_merge_write(const nsl_merge_job *job, const nsl_merge_set *set, const char *path, const nsl_log *log,
                           nsl_error *err);

/* Reads every row of `path` back, with the serial driver, and compares each tile with its tile file; sums up the survey (rank 0).
 */
nsl_status nsl_merge_read_back(const nsl_merge_set *set, const char *path, nsl_survey_summary *total, nsl_error *err);

/* Rank 0, Local: the files that go with the catalogue `partial`, which then gets its name. */
nsl_status nsl_merge_publish(const nsl_merge_job *job, const nsl_merge_set *set, const char *partial,
                             const nsl_survey_summary *total, nsl_error *err);

/* Tiles [*first, *end) of this rank, so that every rank has about the same number of rows. Local. */
void nsl_merge_share(const nsl_merge_set *set, int rank, int size, size_t *first, size_t *end);
/* Index of the tile that holds this row. Local. */
size_t nsl_merge_tile_of_row(const nsl_merge_set *set, int64_t row);

#endif
