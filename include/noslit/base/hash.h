/* Content hashes (xxHash XXH3, 128 bit): to recognise inputs and to prove that a file is whole. Not cryptographic. */
#ifndef NOSLIT_BASE_HASH_H
#define NOSLIT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

#define NSL_HASH_HEX 33 /* 32 hex digits and the terminating NUL */

typedef struct {
  uint64_t hi, lo;
} nsl_hash;

typedef struct nsl_hasher nsl_hasher; /* streaming state, opaque */

nsl_hash nsl_hash_bytes(const void *data, size_t n);
nsl_hasher *nsl_hasher_new(void); /* NULL when out of memory */
void nsl_hasher_add(nsl_hasher *h, const void *data, size_t n);
nsl_hash nsl_hasher_value(const nsl_hasher *h);
void nsl_hasher_free(nsl_hasher *h);

/* Hash of a file's bytes, read in 1 MiB pieces. */
nsl_status nsl_hash_file(const char *path, nsl_hash *out, nsl_error *err);

void nsl_hash_to_hex(nsl_hash h, char out[NSL_HASH_HEX]);
int nsl_hash_from_hex(const char *hex, nsl_hash *out); /* 1 on success */
static inline int nsl_hash_equal(nsl_hash a, nsl_hash b) { return a.hi == b.hi && a.lo == b.lo; }

#endif
