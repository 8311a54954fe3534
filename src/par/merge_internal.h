/* The steps of the merge, each Collective over MPI_COMM_WORLD. Memory per rank: the list of tiles, the largest tile, one block of
 * compressed rows, and a bounded table of identifiers. */
#ifndef NOSLIT_PAR_MERGE_INTERNAL_H
#define NOSLIT_PAR_MERGE_INTERNAL_H

#include "noslit/io/h5_chunk.h"
#include "noslit/par/merge.h"
#include "noslit/pipe/catalogue.h"
#include "noslit/pipe/tile_image.h"

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
  int partial;
  int64_t block_rows; /* a rank writes about so many at a time; 0: the usual number */
  int64_t max_ids;    /* identifiers a rank holds at once in the search for duplicates; 0: the usual number */
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

/* --- merge_stage.c: a block of the catalogue, first its sizes, then its bytes. Local. --- */

#define NSL_MERGE_MADE SIZE_MAX
typedef struct {
  size_t tile; /* index of the tile whose chunk `at` it is, or NSL_MERGE_MADE: at `at` of `made` */
  size_t at;
} nsl_merge_source;

typedef struct {
  const nsl_merge_job *job;
  const nsl_merge_set *set;
  /* The block: rows of whole tiles, and the chunks that begin with one of these rows. */
  size_t first_tile, n_chunks;
  int64_t first_row, n_rows, first_chunk;
  int *chunk_bytes;
  nsl_merge_source *source;
  unsigned char *made;    /* chunks that no tile file has */
  nsl_rows columns;       /* without PDFs; of the tiles loaded so far */
  nsl_survey_summary sum; /* of all tiles loaded so far, of earlier blocks too */
  /* What it works with. */
  nsl_tile_image image;
  size_t image_tile;   /* index of the tile in `image` */
  nsl_hash *body_hash; /* of the block's tiles, as prepared */
  nsl_chunk_codec *codec;
  float *joined, *inflated; /* a chunk that is being made, zero where nothing has come yet; one of a tile */
  unsigned char *deflated;  /* one of a tile */
  size_t inflated_tile, inflated_chunk, bound, n_made, made_capacity, columns_capacity, chunks_capacity;
} nsl_merge_stage;

nsl_status nsl_merge_stage_new(const nsl_merge_job *job, const nsl_merge_set *set, nsl_merge_stage *s, nsl_error *err);
/* Tiles [first_tile, end_tile), at least one: finds the chunks and their sizes and makes those that no tile file has. */
nsl_status nsl_merge_stage_prepare(nsl_merge_stage *s, size_t first_tile, size_t end_tile, nsl_error *err);
/* A tile of the block, with rows: proves it, takes its columns, and has its chunks until the next one is loaded. */
nsl_status nsl_merge_stage_load(nsl_merge_stage *s, size_t tile, nsl_error *err);
/* Chunk k of the block, NULL when it is of a tile that is not loaded. */
const unsigned char *nsl_merge_stage_chunk(const nsl_merge_stage *s, size_t k);
void nsl_merge_stage_free(nsl_merge_stage *s);

/* What a block's bytes hash to: `chunks` is that of all its chunks, one behind the other. */
nsl_hash nsl_merge_block_hash(nsl_hash chunks, const nsl_rows *columns, size_t n);

/* What was written, for the reading back. Each rank has the hashes and the sums of its own blocks. */
typedef struct {
  size_t n_blocks;
  size_t *first_tile; /* [n_blocks + 1]; block b is written by rank b modulo the number of ranks */
  nsl_hash *hash;     /* [n_blocks] */
  nsl_survey_summary sum;
  int64_t chunks, chunks_made; /* of this rank */
} nsl_merge_written;

/* Writes the whole catalogue under the name `path`. */
nsl_status nsl_merge_write(const nsl_merge_job *job, const nsl_merge_set *set, const char *path, const nsl_log *log,
                           nsl_merge_written *written, nsl_error *err);
void nsl_merge_written_free(nsl_merge_written *w);

/* Reads every column and chunk of `path` back through HDF5 and compares the bytes; sums up the survey (rank 0). */
nsl_status nsl_merge_read_back(const nsl_merge_set *set, const nsl_merge_written *written, const char *path,
                               nsl_survey_summary *total, nsl_error *err);

/* Rank 0, Local: the files that go with the catalogue `partial`, which then gets its name. */
nsl_status nsl_merge_publish(const nsl_merge_job *job, const nsl_merge_set *set, const char *partial,
                             const nsl_survey_summary *total, nsl_error *err);

/* Tiles [*first, *end) of this rank, so that every rank has about the same number of rows. Local. */
void nsl_merge_share(const nsl_merge_set *set, int rank, int size, size_t *first, size_t *end);
/* Index of the tile that holds this row. Local. */
size_t nsl_merge_tile_of_row(const nsl_merge_set *set, int64_t row);

#endif
