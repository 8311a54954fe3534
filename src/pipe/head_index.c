#include "noslit/pipe/head_index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/tile_seal.h"

/* What a file looks like from outside. */
typedef struct {
  int64_t size, inode, device, modified_ns, changed_ns;
} look;

typedef struct {
  nsl_tile_id tile;
  look seen;
  nsl_tile_head head;
} entry;

/* The file: this, n entries, and the hash of both. For this program on this kind of machine only, hence the sizes. */
typedef struct {
  char magic[16];
  int64_t tile_version, entry_bytes, n;
} preamble;
static const preamble ours = {"noslit-heads-1\n", NSL_TILE_VERSION, sizeof(entry), 0};

enum { UNKNOWN, REMEMBERED, READ, READ_TOO_SOON };

struct nsl_head_index {
  char *path;
  size_t n;
  entry *entries;       /* [n] */
  unsigned char *state; /* [n] */
  int64_t settled_ns;   /* files that changed later may change again unseen */
};

static int64_t ns(struct timespec t) { return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec; }

static int look_at(const char *path, look *out)
{
  struct stat s;
  if (stat(path, &s)) { return 0; }
  *out = (look){s.st_size, (int64_t)s.st_ino, (int64_t)s.st_dev, ns(s.st_mtim), ns(s.st_ctim)};
  return 1;
}

static int same(const look *a, const look *b)
{
  return a->size == b->size && a->inode == b->inode && a->device == b->device && a->modified_ns == b->modified_ns &&
         a->changed_ns == b->changed_ns;
}

/* Both lists ascend. */
static void remember(nsl_head_index *x, const char *entries, size_t n)
{
  entry e;
  size_t i = 0;
  for (size_t k = 0; k < n; k++) {
    memcpy(&e, entries + k * sizeof e, sizeof e);
    while (i < x->n && x->entries[i].tile < e.tile) { i++; }
    if (i < x->n && x->entries[i].tile == e.tile) {
      x->entries[i] = e;
      x->state[i] = REMEMBERED;
    }
  }
}

static void read_index(nsl_head_index *x)
{
  char *data = NULL;
  size_t n = 0;
  preamble p;
  nsl_hash stored, is;
  if (nsl_read_file(x->path, SIZE_MAX / 2, &data, &n, NULL) != NSL_OK) { return; }
  if (n >= sizeof p + sizeof stored) {
    size_t body = n - sizeof stored;
    memcpy(&p, data, sizeof p);
    memcpy(&stored, data + body, sizeof stored);
    is = nsl_hash_bytes(data, body);
    if (!memcmp(p.magic, ours.magic, sizeof p.magic) && p.tile_version == ours.tile_version && p.entry_bytes == ours.entry_bytes &&
        p.n >= 0 && (size_t)p.n == (body - sizeof p) / sizeof(entry) && nsl_hash_equal(is, stored)) {
      remember(x, data + sizeof p, (size_t)p.n);
    }
  }
  free(data);
}

nsl_head_index *nsl_head_index_open(const char *workdir, const nsl_tile_id *tiles, size_t n, double settle_s)
{
  nsl_head_index *x = calloc(1, sizeof *x);
  struct timespec now;
  if (!x) { return NULL; }
  x->n = n;
  x->path = nsl_strf("%s/run/heads.index", workdir);
  x->entries = calloc(n + 1, sizeof *x->entries);
  x->state = calloc(n + 1, sizeof *x->state);
  if (!x->path || !x->entries || !x->state) {
    nsl_head_index_free(x);
    return NULL;
  }
  for (size_t i = 0; i < n; i++) { x->entries[i].tile = tiles[i]; }
  clock_gettime(CLOCK_REALTIME, &now);
  x->settled_ns = ns(now) - (int64_t)(1e9 * settle_s);
  read_index(x);
  return x;
}

nsl_status nsl_head_index_look(nsl_head_index *x, size_t i, const char *path, nsl_tile_head *out, nsl_error *err)
{
  entry *e = &x->entries[i];
  look now; /* taken before the file is read, so that a change in between is seen the next time */
  int there = look_at(path, &now);
  if (there && x->state[i] != UNKNOWN && same(&now, &e->seen)) {
    *out = e->head;
    return NSL_OK;
  }
  nsl_status st = nsl_tile_read_head(path, out, NULL, err);
  x->state[i] = UNKNOWN;
  if (st != NSL_OK || !there) { return st; }
  e->seen = now;
  e->head = *out;
  x->state[i] = now.changed_ns < x->settled_ns ? READ : READ_TOO_SOON;
  return NSL_OK;
}

static size_t count(const nsl_head_index *x, int state)
{
  size_t n = 0;
  for (size_t i = 0; i < x->n; i++) { n += x->state[i] == state; }
  return n;
}

size_t nsl_head_index_n_read(const nsl_head_index *x) { return count(x, READ) + count(x, READ_TOO_SOON); }

void nsl_head_index_save(const nsl_head_index *x)
{
  if (!count(x, READ)) { return; }
  preamble p = ours;
  p.n = (int64_t)(count(x, READ) + count(x, REMEMBERED));
  size_t body = sizeof p + (size_t)p.n * sizeof(entry), at = sizeof p;
  char *data = malloc(body + sizeof(nsl_hash)), *temp = nsl_temp_name(x->path, 0);
  FILE *f = NULL;
  if (!data || !temp) { goto cleanup; }
  memcpy(data, &p, sizeof p);
  for (size_t i = 0; i < x->n; i++) {
    if (x->state[i] != READ && x->state[i] != REMEMBERED) { continue; }
    memcpy(data + at, &x->entries[i], sizeof(entry));
    at += sizeof(entry);
  }
  nsl_hash h = nsl_hash_bytes(data, body);
  memcpy(data + body, &h, sizeof h);
  f = fopen(temp, "wb"); /* no fsync: if it is lost, heads are read again */
  if (!f) { goto cleanup; }
  size_t written = fwrite(data, 1, body + sizeof h, f);
  if (fclose(f) || written != body + sizeof h || rename(temp, x->path)) { unlink(temp); }
cleanup:
  free(data);
  free(temp);
}

void nsl_head_index_free(nsl_head_index *x)
{
  if (!x) { return; }
  free(x->path);
  free(x->entries);
  free(x->state);
  free(x);
}
