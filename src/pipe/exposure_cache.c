/* Exposures kept open between tiles: neighbouring tiles lie on the same frames. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/exposure.h"

typedef struct entry {
  struct entry *next; /* the latest first */
  nsl_exposure *exposure;
  char *path;
  int64_t size_bytes, mtime_ns;
  int users;  /* a tile that is measured and one that is read ahead may share it */
  int doomed; /* it could not be read: closed with its last user */
} entry;

struct nsl_exposure_cache {
  int capacity;
  entry *entries;
};

nsl_status nsl_exposure_cache_new(int capacity, nsl_exposure_cache **out, nsl_error *err)
{
  *out = calloc(1, sizeof **out);
  if (!*out) { return nsl_fail(err, NSL_E_NOMEM, "out of memory for open exposures"); }
  (*out)->capacity = capacity;
  return NSL_OK;
}

static void drop(entry **at)
{
  entry *e = *at;
  *at = e->next;
  nsl_exposure_close(e->exposure);
  free(e->path);
  free(e);
}

void nsl_exposure_cache_free(nsl_exposure_cache *cache)
{
  if (!cache) { return; }
  while (cache->entries) { drop(&cache->entries); }
  free(cache);
}

/* Closes the oldest ones that nobody uses. */
static void shrink(nsl_exposure_cache *cache)
{
  int kept = 0;
  for (entry **at = &cache->entries; *at;) {
    if (!(*at)->users && ((*at)->doomed || kept >= cache->capacity)) {
      drop(at);
      continue;
    }
    kept += !(*at)->users;
    at = &(*at)->next;
  }
}

static entry *take(nsl_exposure_cache *cache, const char *path, int64_t size_bytes, int64_t mtime_ns)
{
  for (entry **at = &cache->entries; *at; at = &(*at)->next) {
    entry *e = *at;
    if (e->doomed || strcmp(e->path, path) != 0) { continue; }
    if (e->size_bytes != size_bytes || e->mtime_ns != mtime_ns) {
      e->doomed = 1;
      if (!e->users) { drop(at); }
      return NULL;
    }
    *at = e->next;
    e->next = cache->entries;
    cache->entries = e;
    return e;
  }
  return NULL;
}

nsl_status nsl_exposure_cache_open(nsl_exposure_cache *cache, const char *path, const nsl_instrument *inst, nsl_exposure **out,
                                   nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t size_bytes, mtime_ns;
  entry *e = NULL;
  if (!cache) { return nsl_exposure_open(path, inst, out, err); }
  NSL_TRY(nsl_file_stat(path, &size_bytes, &mtime_ns, err));
  entry *known = take(cache, path, size_bytes, mtime_ns);
  if (known) {
    known->users++;
    *out = known->exposure;
    return NSL_OK;
  }
  e = calloc(1, sizeof *e);
  if (!e || !(e->path = nsl_strdup(path))) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", path); }
  NSL_TRY(nsl_exposure_open(path, inst, &e->exposure, err));
  e->size_bytes = size_bytes;
  e->mtime_ns = mtime_ns;
  e->users = 1;
  e->next = cache->entries;
  cache->entries = e;
  *out = e->exposure;
  e = NULL;
cleanup:
  if (e) {
    free(e->path);
    free(e);
  }
  return st;
}

void nsl_exposure_cache_return(nsl_exposure_cache *cache, nsl_exposure *exposure, int keep)
{
  if (!cache) {
    nsl_exposure_close(exposure);
    return;
  }
  for (entry **at = &cache->entries; *at; at = &(*at)->next) {
    if ((*at)->exposure != exposure) { continue; }
    (*at)->users--;
    (*at)->doomed |= !keep;
    break;
  }
  shrink(cache);
}
