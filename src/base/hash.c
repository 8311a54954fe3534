#include "noslit/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct nsl_hasher {
  XXH3_state_t *state;
};

static nsl_hash from_xxh(XXH128_hash_t h) { return (nsl_hash){h.high64, h.low64}; }

nsl_hash nsl_hash_bytes(const void *data, size_t n) { return from_xxh(XXH3_128bits(data, n)); }

nsl_hasher *nsl_hasher_new(void)
{
  nsl_hasher *h = malloc(sizeof *h);
  if (!h) { return NULL; }
  h->state = XXH3_createState();
  if (!h->state) {
    free(h);
    return NULL;
  }
  XXH3_128bits_reset(h->state);
  return h;
}

void nsl_hasher_add(nsl_hasher *h, const void *data, size_t n)
{
  if (n) { XXH3_128bits_update(h->state, data, n); }
}

nsl_hash nsl_hasher_value(const nsl_hasher *h) { return from_xxh(XXH3_128bits_digest(h->state)); }

void nsl_hasher_free(nsl_hasher *h)
{
  if (!h) { return; }
  XXH3_freeState(h->state);
  free(h);
}

nsl_status nsl_hash_file(const char *path, nsl_hash *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  enum { PIECE = 1 << 20 };
  nsl_hasher *h = nsl_hasher_new();
  unsigned char *buffer = malloc(PIECE);
  FILE *f = fopen(path, "rb");
  if (!f) {
    st = nsl_fail_errno(err, errno, "%s: cannot open", path);
    goto cleanup;
  }
  if (!h || !buffer) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to hash it", path); }
  size_t n;
  while ((n = fread(buffer, 1, PIECE, f)) > 0) { nsl_hasher_add(h, buffer, n); }
  if (ferror(f)) {
    st = nsl_fail_errno(err, errno, "%s: cannot read", path);
    goto cleanup;
  }
  *out = nsl_hasher_value(h);
cleanup:
  if (f) { fclose(f); }
  free(buffer);
  nsl_hasher_free(h);
  return st;
}

void nsl_hash_to_hex(nsl_hash h, char out[NSL_HASH_HEX])
{
  snprintf(out, NSL_HASH_HEX, "%016llx%016llx", (unsigned long long)h.hi, (unsigned long long)h.lo);
}

int nsl_hash_from_hex(const char *hex, nsl_hash *out)
{
  uint64_t part[2] = {0, 0};
  for (int i = 0; i < 32; i++) {
    char c = hex[i];
    int v;
    if (c >= '0' && c <= '9') {
      v = c - '0';
    } else if (c >= 'a' && c <= 'f') {
      v = c - 'a' + 10;
    } else {
      return 0;
    }
    part[i / 16] = part[i / 16] << 4 | (uint64_t)v;
  }
  if (hex[32]) { return 0; }
  *out = (nsl_hash){part[0], part[1]};
  return 1;
}
