/* Reading the merged catalogue (qp-compatible HDF5) by row ranges, and the index of its tiles beside it. Local.
 *
 * The layout is in docs/formats.md: at the root only meta, data and ancil; everything else is in attributes and in two files
 * beside the catalogue, <name>.tiles.h5 (the index) and <name>.summary.json. */
#ifndef NOSLIT_PIPE_CATALOGUE_H
#define NOSLIT_PIPE_CATALOGUE_H

#include "noslit/base/str.h"
#include "noslit/io/h5.h"
#include "noslit/model/rows.h"
#include "noslit/pipe/tile_file.h"

#define NSL_CATALOGUE_FORMAT "noslit-catalogue"
#define NSL_CATALOGUE_VERSION 3

/* What the root's attributes say. */
typedef struct {
  int order; /* HEALPix order of the tiles */
  int64_t n_rows, n_tiles, n_tiles_left_out;
  nsl_pdf_grid grid;
  nsl_hash content_hash; /* over the tiles' content hashes (nsl_catalogue_hash) */
  nsl_hash config_hash, model_hash, instrument_hash, plan_hash;
} nsl_catalogue_info;

typedef struct nsl_catalogue nsl_catalogue;
/* NSL_E_FORMAT for an HDF5 file that is no noslit catalogue, NSL_E_CORRUPT for an incomplete one. */
nsl_status nsl_catalogue_open(const char *path, nsl_catalogue **out, nsl_error *err);
void nsl_catalogue_close(nsl_catalogue *c);
int64_t nsl_catalogue_rows(const nsl_catalogue *c);
int nsl_catalogue_order(const nsl_catalogue *c); /* HEALPix order of the tiles */
const nsl_pdf_grid *nsl_catalogue_grid(const nsl_catalogue *c);
const nsl_catalogue_info *nsl_catalogue_get_info(const nsl_catalogue *c);
nsl_h5 *nsl_catalogue_file(nsl_catalogue *c); /* for attributes */
/* Rows [first, first+n) into newly allocated rows (caller frees with nsl_rows_free). with_pdf 0 leaves pdf NULL. */
nsl_status nsl_catalogue_read(nsl_catalogue *c, int64_t first, int64_t n, int with_pdf, nsl_rows *out, nsl_error *err);

/* A tile's rows in the catalogue: they stand together, sorted by object_id, the tiles in ascending order. */
typedef struct {
  nsl_tile_id tile;
  int64_t first_row, n_rows;
  nsl_hash content_hash; /* nsl_tile_content_hash of these rows */
} nsl_catalogue_tile;

/* The catalogue's content hash: over order, and tile, n_rows and hash of every tile that has rows. */
nsl_hash nsl_catalogue_hash(int order, const nsl_catalogue_tile *tiles, size_t n);
/* Tiles as the tile column has them, without hashes. NSL_E_CORRUPT when a tile comes twice or out of order. Caller frees. */
nsl_status nsl_catalogue_find_tiles(nsl_catalogue *c, nsl_catalogue_tile **tiles, size_t *n, nsl_error *err);

/* Reads the rows of the tiles (consecutive ones together), computes each tile's content hash and shows it its rows
 * [first, first + n) of `rows`. `see` may be NULL. Memory: the largest tile, or about 16384 rows. */
typedef nsl_status nsl_tile_seen(void *ctx, size_t i, nsl_hash hash, const nsl_rows *rows, size_t first, size_t n, nsl_error *err);
nsl_status nsl_catalogue_visit(nsl_catalogue *c, const nsl_catalogue_tile *tiles, size_t n, nsl_tile_seen *see, void *ctx,
                               nsl_error *err);

/* "<dir>/<name><suffix>" for "<dir>/<name>.hdf5"; caller frees. Suffixes: ".tiles.h5", ".summary.json". */
char *nsl_catalogue_sibling(const char *path, const char *suffix);
/* The index: the heads of the tiles in the catalogue, tied to it by its content hash. */
nsl_status nsl_catalogue_index_write(const char *catalogue, nsl_hash content_hash, const nsl_tile_head *heads, size_t n,
                                     nsl_error *err);
/* NSL_E_NOTFOUND without an index, NSL_E_MISMATCH when it belongs to another catalogue. Caller frees. */
nsl_status nsl_catalogue_index_read(const char *catalogue, nsl_hash content_hash, nsl_catalogue_tile **tiles, size_t *n,
                                    nsl_error *err);

/* Everything that can be wrong with a catalogue: layout, row counts, order, duplicates within a tile, content. */
typedef struct {
  nsl_catalogue_info info;
  int has_index;
  int64_t rows_read;
  int n_problems;
  nsl_str problems; /* a line each, the first 20 */
} nsl_catalogue_report;

/* Problems of the content are in the report; the status is for files that cannot be examined at all. */
nsl_status nsl_catalogue_verify(const char *path, nsl_catalogue_report *report, nsl_error *err);
void nsl_catalogue_report_free(nsl_catalogue_report *report);

#endif
