/* Chunks of float32 as HDF5's filters shuffle and deflate read them. */
#include <stdlib.h>
#define ZLIB_CONST /* input is not written to */
#include <zlib.h>

#include "h5_internal.h"
#include "noslit/io/h5_chunk.h"

enum { SIZE = sizeof(float), LEVEL = 1, WINDOW_BITS = 15, MEMORY_LEVEL = 8 };

struct nsl_chunk_codec {
  size_t elements, bound;
  unsigned char *planes; /* the shuffled values */
  z_stream deflating, inflating;
};

nsl_chunk_codec *nsl_chunk_codec_new(size_t elements)
{
  nsl_chunk_codec *c = calloc(1, sizeof *c);
  if (!c) { return NULL; }
  c->elements = elements;
  c->planes = malloc(elements * SIZE);
  int deflating = deflateInit2(&c->deflating, LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL, Z_RLE) == Z_OK;
  int inflating = inflateInit(&c->inflating) == Z_OK;
  if (deflating) { c->bound = deflateBound(&c->deflating, (uLong)(elements * SIZE)); }
  if (c->planes && deflating && inflating) { return c; }
  nsl_chunk_codec_free(c);
  return NULL;
}

void nsl_chunk_codec_free(nsl_chunk_codec *c)
{
  if (!c) { return; }
  deflateEnd(&c->deflating);
  inflateEnd(&c->inflating);
  free(c->planes);
  free(c);
}

size_t nsl_chunk_codec_bound(const nsl_chunk_codec *c) { return c->bound; }

size_t nsl_chunk_encode(nsl_chunk_codec *c, const float *values, unsigned char *out)
{
  size_t n = c->elements;
  nsl_h5_shuffle((const unsigned char *)values, n, SIZE, c->planes);
  z_stream *z = &c->deflating;
  deflateReset(z);
  z->next_in = c->planes;
  z->avail_in = (uInt)(n * SIZE);
  z->next_out = out;
  z->avail_out = (uInt)c->bound;
  deflate(z, Z_FINISH); /* cannot fail: the output has room for whatever comes */
  return z->total_out;
}

int nsl_chunk_decode(nsl_chunk_codec *c, const void *bytes, size_t bytes_n, float *values)
{
  unsigned char *out = (unsigned char *)values;
  size_t n = c->elements;
  z_stream *z = &c->inflating;
  inflateReset(z);
  z->next_in = (const unsigned char *)bytes;
  z->avail_in = (uInt)bytes_n;
  z->next_out = c->planes;
  z->avail_out = (uInt)(n * SIZE);
  if (inflate(z, Z_FINISH) != Z_STREAM_END || z->total_out != n * SIZE) { return 0; }
  for (size_t i = 0; i < n; i++) {
    for (size_t b = 0; b < SIZE; b++) { out[SIZE * i + b] = c->planes[b * n + i]; }
  }
  return 1;
}
