#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "pipe/plan_internal.h"

typedef struct {
  int64_t number;
  char *records; /* those in memory, after those in the file */
  size_t n, capacity, n_in_file;
} bucket;

struct nsl_spool {
  char *folder, *name;
  size_t record_size, memory, used;
  bucket *buckets;
  size_t n_buckets, last;
};

nsl_status nsl_spool_new(const char *folder, const char *name, size_t record_size, size_t memory, nsl_spool **out, nsl_error *err)
{
  nsl_spool *s = calloc(1, sizeof *s);
  if (s) {
    s->folder = nsl_strdup(folder);
    s->name = nsl_strdup(name);
    s->record_size = record_size;
    s->memory = memory;
  }
  if (!s || !s->folder || !s->name) {
    nsl_spool_free(s);
    return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", folder);
  }
  *out = s;
  return NSL_OK;
}

static char *bucket_path(const nsl_spool *s, const bucket *b)
{
  return nsl_strf("%s/.spool.%ld.%s.%lld", s->folder, (long)getpid(), s->name, (long long)b->number);
}

void nsl_spool_free(nsl_spool *s)
{
  if (!s) { return; }
  for (size_t i = 0; i < s->n_buckets; i++) {
    bucket *b = &s->buckets[i];
    char *path = b->n_in_file ? bucket_path(s, b) : NULL;
    if (path) { unlink(path); }
    free(path);
    free(b->records);
  }
  free(s->buckets);
  free(s->folder);
  free(s->name);
  free(s);
}

static bucket *find_bucket(nsl_spool *s, int64_t number)
{
  if (s->last < s->n_buckets && s->buckets[s->last].number == number) { return &s->buckets[s->last]; }
  for (s->last = 0; s->last < s->n_buckets; s->last++) {
    if (s->buckets[s->last].number == number) { return &s->buckets[s->last]; }
  }
  bucket *grown = realloc(s->buckets, (s->n_buckets + 1) * sizeof *grown);
  if (!grown) { return NULL; }
  s->buckets = grown;
  s->buckets[s->n_buckets] = (bucket){.number = number};
  return &s->buckets[s->n_buckets++];
}

static nsl_status flush(nsl_spool *s, bucket *b, nsl_error *err)
{
  nsl_status st = NSL_OK;
  FILE *f = NULL;
  char *path = bucket_path(s, b);
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", s->folder); }
  f = fopen(path, b->n_in_file ? "ab" : "wb");
  int ok = f && fwrite(b->records, s->record_size, b->n, f) == b->n;
  if (f) { ok = !fclose(f) && ok; }
  if (!ok) {
    st = nsl_fail_errno(err, errno, "%s: cannot write", path);
    goto cleanup;
  }
  b->n_in_file += b->n;
  b->n = b->capacity = 0;
  free(b->records);
  b->records = NULL;
cleanup:
  free(path);
  return st;
}

nsl_status nsl_spool_add(nsl_spool *s, int64_t number, const void *record, nsl_error *err)
{
  bucket *b = find_bucket(s, number);
  if (!b) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", s->folder); }
  if (b->n == b->capacity) {
    size_t capacity = b->capacity ? 2 * b->capacity : 64;
    char *grown = realloc(b->records, capacity * s->record_size);
    if (!grown) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", s->folder); }
    s->used += (capacity - b->capacity) * s->record_size;
    b->records = grown;
    b->capacity = capacity;
  }
  memcpy(b->records + b->n++ * s->record_size, record, s->record_size);
  if (s->used <= s->memory) { return NSL_OK; }
  for (size_t i = 0; i < s->n_buckets; i++) {
    nsl_status st = s->buckets[i].n ? flush(s, &s->buckets[i], err) : NSL_OK;
    if (st != NSL_OK) { return st; }
  }
  s->used = 0;
  return NSL_OK;
}

static int by_number(const void *a, const void *b)
{
  const bucket *x = a, *y = b;
  return x->number < y->number ? -1 : x->number > y->number;
}

size_t nsl_spool_buckets(nsl_spool *s)
{
  if (s->n_buckets) { qsort(s->buckets, s->n_buckets, sizeof *s->buckets, by_number); }
  return s->n_buckets;
}

nsl_status nsl_spool_load(nsl_spool *s, size_t i, int64_t *number, void **records, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const bucket *b = &s->buckets[i];
  FILE *f = NULL;
  char *path = NULL, *all = malloc((b->n_in_file + b->n + 1) * s->record_size);
  if (!all) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for %zu records", s->folder, b->n_in_file + b->n); }
  if (b->n_in_file) {
    path = bucket_path(s, b);
    f = path ? fopen(path, "rb") : NULL;
    if (!f || fread(all, s->record_size, b->n_in_file, f) != b->n_in_file) {
      NSL_THROW(err, NSL_E_IO, "%s: cannot read back the planner's spool file", path ? path : s->folder);
    }
  }
  if (b->n) { memcpy(all + b->n_in_file * s->record_size, b->records, b->n * s->record_size); }
  *number = b->number;
  *records = all;
  *n = b->n_in_file + b->n;
  all = NULL;
cleanup:
  if (f) { fclose(f); }
  free(path);
  free(all);
  return st;
}
