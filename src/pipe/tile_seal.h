/* The seal of a tile file: its last 2048 bytes, written after HDF5 has closed the file. It holds the head as text, the length and
 * hash of all bytes before it, and its own hash. So a head costs one small read, a file cut short has no seal, and no damaged
 * byte ever reaches the HDF5 library. HDF5 itself does not mind bytes behind its end of file. Local. */
#ifndef NOSLIT_PIPE_TILE_SEAL_H
#define NOSLIT_PIPE_TILE_SEAL_H

#include "noslit/io/h5.h"
#include "noslit/pipe/tile_file.h"

#define NSL_TILE_SEAL_BYTES 2048
#define NSL_TILE_VERSION 5

typedef struct {
  nsl_tile_head head;
  nsl_pdf_grid grid;
  int64_t places_at; /* address of the table of places */
  int64_t body_bytes;
  nsl_hash body_hash;
} nsl_tile_seal;

/* Rows of the first PDF chunk that are not the tile's, so that its chunks begin where those of the full catalogue do. */
static inline int nsl_tile_phase(const nsl_tile_head *head) { return (int)(head->first_row % NSL_PDF_CHUNK_ROWS); }
static inline size_t nsl_tile_n_chunks(const nsl_tile_head *head)
{
  return head->n_rows ? (size_t)((nsl_tile_phase(head) + head->n_rows + NSL_PDF_CHUNK_ROWS - 1) / NSL_PDF_CHUNK_ROWS) : 0;
}
/* The table of places has an address and a length for each column, for the summary, and for each chunk. */
static inline size_t nsl_tile_n_places(const nsl_tile_head *head)
{
  return (size_t)nsl_n_row_columns + 1 + nsl_tile_n_chunks(head);
}

/* The head's fields as attributes of the root, for h5py and for people. */
nsl_status nsl_tile_seal_attributes(const nsl_tile_seal *seal, nsl_h5 *f, nsl_error *err);
/* Fills body_bytes and body_hash from the file as it is and appends the seal. */
nsl_status nsl_tile_seal_append(const char *path, nsl_tile_seal *seal, nsl_error *err);
/* NSL_E_NOTFOUND without a file, NSL_E_IO if it cannot be read, NSL_E_CORRUPT with the reason for anything else. */
nsl_status nsl_tile_seal_read(const char *path, nsl_tile_seal *out, nsl_error *err);
/* The same from the file's last NSL_TILE_SEAL_BYTES and its size. */
nsl_status nsl_tile_seal_parse(const char *path, const char *bytes, int64_t size, nsl_tile_seal *out, nsl_error *err);
/* Are the bytes before the seal those that were sealed? */
nsl_status nsl_tile_seal_check_body(const char *path, const nsl_tile_seal *seal, nsl_error *err);

#endif
