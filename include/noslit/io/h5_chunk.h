/* HDF5 chunks as they stand in the file: made, taken and moved without HDF5's filters. Local.
 *
 * A chunk here is `shuffle` and `deflate` of a whole number of rows of float32, as HDF5's own filters of these names read it. It is
 * made by zlib's run-length strategy: what the last bits of a PDF leave to win is in runs of equal bytes and in the frequencies of
 * bytes, and it takes half the time of level 1 (docs/benchmarks.md). zlib's own checksum guards what comes out of it. */
#ifndef NOSLIT_IO_H5_CHUNK_H
#define NOSLIT_IO_H5_CHUNK_H

#include "noslit/io/h5.h"

typedef struct nsl_chunk_codec nsl_chunk_codec;
/* For chunks of `elements` float32 values. NULL when out of memory. */
nsl_chunk_codec *nsl_chunk_codec_new(size_t elements);
void nsl_chunk_codec_free(nsl_chunk_codec *c);
size_t nsl_chunk_codec_bound(const nsl_chunk_codec *c); /* no encoded chunk is longer */
/* Encodes into out[nsl_chunk_codec_bound]; the same values always give the same bytes. Returns their number. */
size_t nsl_chunk_encode(nsl_chunk_codec *c, const float *values, unsigned char *out);
/* 0 when the bytes are no such chunk. */
int nsl_chunk_decode(nsl_chunk_codec *c, const void *bytes, size_t n, float *values);

/* A dataset of rows of float32 in chunks of exactly chunk_rows rows, even where it has fewer: it can be extended. No rows: none. */
nsl_status nsl_h5_create_chunked(nsl_h5 *f, const char *path, size_t rows, size_t row_elements, size_t chunk_rows, nsl_error *err);
/* Stores an encoded chunk, or with bytes NULL only allots its place. *address is where it stands or has to be written. */
nsl_status nsl_h5_put_chunk(nsl_h5 *f, const char *path, size_t first_row, const void *bytes, size_t n, int64_t *address,
                            nsl_error *err);
/* The encoded bytes of the chunk that starts at this row, at most `capacity` of them. */
nsl_status nsl_h5_get_chunk(nsl_h5 *f, const char *path, size_t first_row, void *out, size_t capacity, size_t *n, nsl_error *err);

/* A contiguous column of n rows whose place is allotted and whose values somebody else writes. n 0: *address is -1. */
nsl_status nsl_h5_allot_column(nsl_h5 *f, const char *path, nsl_h5_type type, size_t n, int64_t *address, nsl_error *err);
/* Where a contiguous dataset stands in its file; -1 when it has no rows. */
nsl_status nsl_h5_address(nsl_h5 *f, const char *path, int64_t *address, nsl_error *err);

#endif
