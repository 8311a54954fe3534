/* zlib streams (RFC 1950 and 1951) made quickly: Huffman codes and runs of one byte, no search for repeated strings. For data that
 * are mostly noise it is as small as zlib's own and several times as fast; every reader of deflate reads it. Pure. */
#ifndef NOSLIT_BASE_DEFLATE_H
#define NOSLIT_BASE_DEFLATE_H

#include <stddef.h>
#include <stdint.h>

/* Bytes that the stream of n bytes may need, whatever they are. */
size_t nsl_deflate_bound(size_t n);
/* The stream of in[0..n); out has nsl_deflate_bound(n) bytes. Returns its size. The same bytes give the same stream. */
size_t nsl_deflate(const uint8_t *in, size_t n, uint8_t *out);

#endif
