/* Tile files: the rows of one tile and the proof that they are whole. The unit of work, restart, re-run and durability. Local.
 *
 * Written serially to a temporary name, fsynced, renamed (base/fsio). `complete` is the last attribute written; the content hash
 * covers every row column and the PDFs; behind the HDF5 bytes stands a seal of 2048 bytes with the head and the hash of all bytes
 * before it, so that a head is one small read and damage is found before HDF5 sees it. docs/formats.md has the layout. */
#ifndef NOSLIT_PIPE_TILE_FILE_H
#define NOSLIT_PIPE_TILE_FILE_H

#include "noslit/base/hash.h"
#include "noslit/base/program.h"
#include "noslit/model/rows.h"
#include "noslit/model/skytile.h"

/* PDFs are compressed in chunks of so many rows, here and in the catalogue, whatever the bins. */
#define NSL_PDF_CHUNK_ROWS 16

typedef struct {
  int order;
  nsl_tile_id tile;
  nsl_hash config_hash, model_hash, instrument_hash, input_hash; /* what made it; any difference makes it stale */
  int results_version;                                           /* nsl_results_version of the program; likewise */
  nsl_hash content_hash;
  int64_t n_rows;
  int64_t first_row; /* in the catalogue of the whole survey as planned: a hint that lets the merge copy chunks as they are */
  uint64_t seed;
  int attempts;
  char code_version[64], code_commit[64], blas_core[32], host[64], libraries[NSL_LIBRARIES_MAX];
  int ranks; /* of the run */
  double wall_s, cpu_s, io_s, stamp_s, infer_s;
  int64_t bytes_read;
  int n_exposures_lost;
} nsl_tile_head;

/* Hash of rows [first, first + n) as the content of a tile: the same rows of the catalogue give the same hash. */
nsl_status nsl_tile_content_hash(int order, nsl_tile_id tile, const nsl_rows *rows, size_t first, size_t n, nsl_hash *out,
                                 nsl_error *err);

/* Writes and publishes, with the folders on the way. head->content_hash and n_rows are computed here. Rows must belong to the
 * tile and be sorted by strictly ascending object_id. NSL_E_NOSPACE, or NSL_E_UNWRITABLE for whatever else the disk says. */
nsl_status nsl_tile_write(const char *path, nsl_tile_head *head, const nsl_rows *rows, nsl_error *err);
/* The head only (one read of 2 kB, no HDF5); an incomplete or foreign file is NSL_E_CORRUPT with the reason. grid may be NULL. */
nsl_status nsl_tile_read_head(const char *path, nsl_tile_head *out, nsl_pdf_grid *grid, nsl_error *err);
/* Everything, checked against the seal, row count and content hash. head may be NULL. */
nsl_status nsl_tile_read(const char *path, nsl_tile_head *head, nsl_rows *rows, nsl_error *err);
/* Full check without keeping the rows, also of what the merge copies (tile_image.h). out may be NULL. */
nsl_status nsl_tile_verify(const char *path, nsl_tile_head *out, nsl_error *err);

/* The object ids alone, into ids[n_rows of the head]; not checked, apart from the seal. */
nsl_status nsl_tile_read_ids(const char *path, int64_t n_rows, int64_t *ids, nsl_error *err);

/* <workdir>/tiles/Norder=<k>/Dir=<d>/Npix=<n>.h5; caller frees. */
char *nsl_tile_file_path(const char *workdir, int order, nsl_tile_id tile);

#endif
