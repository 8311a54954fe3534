#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/par/ledger.h"

static char *quarantine_path(const char *workdir) { return nsl_strf("%s/run/quarantine.json", workdir); }

static nsl_status no_memory(const char *workdir, nsl_error *err)
{
  return nsl_fail(err, NSL_E_NOMEM, "%s: no memory for the quarantine list", workdir);
}

void nsl_quarantine_free(nsl_quarantine *q)
{
  for (size_t i = 0; i < q->n; i++) { free(q->items[i].reason); }
  free(q->items);
  *q = (nsl_quarantine){0};
}

nsl_hash nsl_quarantine_identity(const nsl_tile_expectation *e, const nsl_plan_tile *tile)
{
  const nsl_hash all[5] = {e->config_hash, e->model_hash, e->instrument_hash, tile->input_hash, {0, (uint64_t)nsl_results_version}};
  return nsl_hash_bytes(all, sizeof all);
}

static int by_tile(const void *a, const void *b)
{
  nsl_tile_id x = ((const nsl_quarantined *)a)->tile, y = ((const nsl_quarantined *)b)->tile;
  return x < y ? -1 : x > y;
}

const nsl_quarantined *nsl_quarantine_find(const nsl_quarantine *q, nsl_tile_id tile)
{
  const nsl_quarantined key = {.tile = tile};
  return q->n ? bsearch(&key, q->items, q->n, sizeof key, by_tile) : NULL;
}

nsl_status nsl_quarantine_read(const char *workdir, nsl_quarantine *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_json *root = NULL;
  char *path = quarantine_path(workdir);
  *out = (nsl_quarantine){0};
  if (!path) { return no_memory(workdir, err); }
  if (!nsl_file_exists(path)) { goto cleanup; }
  NSL_TRY(nsl_json_read(path, &root, err));
  const nsl_json *list = nsl_json_get(root, "tiles");
  int n = nsl_json_length(list);
  out->items = calloc((size_t)n + 1, sizeof *out->items);
  if (!out->items) {
    st = no_memory(workdir, err);
    goto cleanup;
  }
  for (int i = 0; i < n; i++) {
    const nsl_json *entry = nsl_json_at(list, i);
    nsl_quarantined *q = &out->items[out->n];
    q->tile = (nsl_tile_id)nsl_json_get_f64(entry, "tile", -1);
    q->attempts = (int)nsl_json_get_f64(entry, "attempts", 0);
    snprintf(q->utc, sizeof q->utc, "%s", nsl_json_get_text(entry, "utc", ""));
    q->reason = nsl_strdup(nsl_json_get_text(entry, "reason", ""));
    if (!nsl_hash_from_hex(nsl_json_get_text(entry, "identity", ""), &q->identity)) { q->identity = (nsl_hash){0, 0}; }
    out->n++;
    if (!q->reason) {
      st = no_memory(workdir, err);
      goto cleanup;
    }
  }
  if (out->n) { qsort(out->items, out->n, sizeof *out->items, by_tile); }
cleanup:
  if (st != NSL_OK) { nsl_quarantine_free(out); }
  nsl_json_free(root);
  free(path);
  return st;
}

static nsl_status write_list(const char *workdir, const nsl_quarantine *q, nsl_error *err)
{
  nsl_json *root = nsl_json_object(), *list = nsl_json_array();
  for (size_t i = 0; i < q->n; i++) {
    char hex[NSL_HASH_HEX];
    nsl_json *entry = nsl_json_object();
    nsl_hash_to_hex(q->items[i].identity, hex);
    nsl_json_set_i64(entry, "tile", q->items[i].tile);
    nsl_json_set_i64(entry, "attempts", q->items[i].attempts);
    nsl_json_set_text(entry, "utc", q->items[i].utc);
    nsl_json_set_text(entry, "reason", q->items[i].reason);
    nsl_json_set_text(entry, "identity", hex);
    nsl_json_push(list, entry);
  }
  nsl_json_set(root, "tiles", list);
  char *path = quarantine_path(workdir);
  nsl_status st = path ? nsl_json_write(path, root, err) : no_memory(workdir, err);
  nsl_json_free(root);
  free(path);
  return st;
}

/* The lock is advisory and on a file of its own, since the list itself is replaced by renaming. */
static int lock(const char *workdir)
{
  char *path = nsl_strf("%s/run/.quarantine.lock", workdir);
  int fd = path ? open(path, O_RDWR | O_CREAT, 0666) : -1;
  free(path);
  while (fd >= 0 && flock(fd, LOCK_EX) && errno == EINTR) {}
  return fd;
}

static void unlock(int fd)
{
  if (fd >= 0) { close(fd); }
}

nsl_status nsl_quarantine_add(const char *workdir, const nsl_quarantined *item, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_quarantine q = {0};
  int fd = lock(workdir);
  NSL_TRY(nsl_quarantine_read(workdir, &q, err));
  nsl_quarantined *old = (nsl_quarantined *)nsl_quarantine_find(&q, item->tile);
  nsl_quarantined copy = *item;
  copy.reason = nsl_strdup(item->reason);
  if (!old) {
    nsl_quarantined *grown = realloc(q.items, (q.n + 1) * sizeof *grown);
    if (grown) { q.items = grown; }
    if (grown && copy.reason) { old = &q.items[q.n++]; }
  } else {
    free(old->reason);
    old->reason = NULL;
  }
  if (!old || !copy.reason) {
    free(copy.reason);
    st = no_memory(workdir, err);
    goto cleanup;
  }
  *old = copy;
  qsort(q.items, q.n, sizeof *q.items, by_tile);
  NSL_TRY(write_list(workdir, &q, err));
cleanup:
  unlock(fd);
  nsl_quarantine_free(&q);
  return st;
}

nsl_status nsl_quarantine_remove(const char *workdir, const nsl_tile_id *tiles, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_quarantine q = {0};
  int fd = lock(workdir), changed = 0;
  NSL_TRY(nsl_quarantine_read(workdir, &q, err));
  for (size_t i = 0; i < n; i++) {
    nsl_quarantined *old = (nsl_quarantined *)nsl_quarantine_find(&q, tiles[i]);
    if (!old) { continue; }
    free(old->reason);
    memmove(old, old + 1, (size_t)(q.items + q.n - (old + 1)) * sizeof *old);
    q.n--;
    changed = 1;
  }
  if (changed) { NSL_TRY(write_list(workdir, &q, err)); }
cleanup:
  unlock(fd);
  nsl_quarantine_free(&q);
  return st;
}
