/* A tile file without HDF5: its head and where its bytes stand, its compressed PDF chunks one by one, or all of it in memory,
 * proved by its seal. What the merge copies from; nothing is inflated. Local. */
#ifndef NOSLIT_PIPE_TILE_IMAGE_H
#define NOSLIT_PIPE_TILE_IMAGE_H

#include "noslit/pipe/survey_summary.h"
#include "noslit/pipe/tile_file.h"

typedef struct {
  nsl_tile_head head;
  nsl_pdf_grid grid;
  nsl_hash body_hash; /* of everything but the seal, as sealed */
  size_t n_chunks;
  int phase; /* rows of the first chunk that belong to the tile before */
  /* Its own. */
  int64_t (*places)[2]; /* address and length: columns, summary, chunks */
  unsigned char *bytes;
  size_t bytes_capacity, places_capacity;
  int fd;
} nsl_tile_image;

#define NSL_TILE_IMAGE_EMPTY \
  {                          \
    .fd = -1                 \
  }

/* Both start from an empty image or take over the memory of the tile before. Errors as of nsl_tile_read; after a failure the image
 * is empty. */
/* Seal and places only: two small reads. The places are not proved by this, a chunk that can be decoded is. */
nsl_status nsl_tile_image_open(nsl_tile_image *image, const char *path, nsl_error *err);
/* One chunk of an opened image into out, which has room for `capacity` bytes. */
nsl_status nsl_tile_image_read_chunk(const nsl_tile_image *image, size_t k, void *out, size_t capacity, nsl_error *err);
/* Column c of an opened image, all n_rows values. */
nsl_status nsl_tile_image_read_column(const nsl_tile_image *image, int c, void *out, nsl_error *err);
/* The whole file, checked against its seal. */
nsl_status nsl_tile_image_load(nsl_tile_image *image, const char *path, nsl_error *err);
void nsl_tile_image_free(nsl_tile_image *image);

/* Of any image: bytes of chunk k. */
size_t nsl_tile_image_chunk_bytes(const nsl_tile_image *image, size_t k);
/* Of a loaded one: */
/* Values of column c of nsl_row_columns, n_rows of them; not aligned. */
const void *nsl_tile_image_column(const nsl_tile_image *image, int c);
/* Chunk k: NSL_PDF_CHUNK_ROWS rows as nsl_chunk_decode reads them, of which those of other tiles are zero. */
const unsigned char *nsl_tile_image_chunk(const nsl_tile_image *image, size_t k);
void nsl_tile_image_summary(const nsl_tile_image *image, nsl_survey_summary *out);

#endif
