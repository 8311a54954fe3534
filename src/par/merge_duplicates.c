/* No source twice. Within a tile the tile file says so; between tiles each identifier goes to the rank that its hash names, which
 * sorts what it gets. When that is too much for memory, several passes each look at one share of the hashes. */
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/par/mpi_env.h"
#include "par/merge_internal.h"

#define USUAL_MAX_IDS (16 << 20) /* 256 MiB */
#define ROUND_IDS (256 << 10)    /* a rank sends about this many at a time */

typedef struct {
  int64_t id, tile;
} entry;

typedef struct {
  entry *items;
  size_t n, capacity;
} entries;

static int reserve(entries *e, size_t more)
{
  if (e->n + more <= e->capacity) { return 1; }
  size_t capacity = e->capacity ? e->capacity : 1024;
  while (capacity < e->n + more) { capacity += capacity / 2; }
  entry *items = realloc(e->items, capacity * sizeof *items);
  if (!items) { return 0; }
  e->items = items;
  e->capacity = capacity;
  return 1;
}

static int compare(const void *a, const void *b)
{
  const entry *x = a, *y = b;
  if (x->id != y->id) { return x->id < y->id ? -1 : 1; }
  return (x->tile > y->tile) - (x->tile < y->tile);
}

static uint64_t spread(int64_t id) { return nsl_hash_bytes(&id, sizeof id).lo; }

/* Adds the identifiers of tiles until a round is full; *next moves on. */
static nsl_status read_some(const nsl_merge_job *job, const nsl_merge_set *set, size_t *next, size_t end, int64_t pass,
                            int64_t n_passes, int size, entries *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t *ids = NULL;
  char *path = NULL;
  out->n = 0;
  for (; *next < end && out->n < ROUND_IDS; (*next)++) {
    const nsl_catalogue_tile *t = &set->tiles[*next];
    if (!t->n_rows) { continue; }
    path = nsl_tile_file_path(job->workdir, job->order, t->tile);
    ids = malloc((size_t)t->n_rows * sizeof *ids);
    if (!path || !ids || !reserve(out, (size_t)t->n_rows)) {
      NSL_THROW(err, NSL_E_NOMEM, "no memory for the identifiers of tile %lld", (long long)t->tile);
    }
    NSL_TRY(nsl_tile_read_ids(path, t->n_rows, ids, err));
    for (int64_t i = 0; i < t->n_rows; i++) {
      if ((int64_t)(spread(ids[i]) / (uint64_t)size % (uint64_t)n_passes) == pass) {
        out->items[out->n++] = (entry){ids[i], t->tile};
      }
    }
    free(ids);
    free(path);
    ids = NULL;
    path = NULL;
  }
cleanup:
  free(ids);
  free(path);
  return st;
}

/* Sends every entry to the rank that its hash names; what comes is added to `held`. Collective. */
static nsl_status exchange(const entries *mine, int size, entries *held, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int *send_n = calloc((size_t)size * 4, sizeof *send_n);
  entry *sorted = malloc((mine->n + 1) * sizeof *sorted);
  if (!send_n || !sorted) { st = nsl_fail(err, NSL_E_NOMEM, "no memory to compare identifiers"); }
  NSL_TRY(nsl_mpi_agree(st, err));
  int *send_at = send_n + size, *recv_n = send_at + size, *recv_at = recv_n + size;
  for (size_t i = 0; i < mine->n; i++) { send_n[spread(mine->items[i].id) % (uint64_t)size]++; }
  for (int r = 1; r < size; r++) { send_at[r] = send_at[r - 1] + send_n[r - 1]; }
  for (size_t i = 0; i < mine->n; i++) { sorted[send_at[spread(mine->items[i].id) % (uint64_t)size]++] = mine->items[i]; }
  for (int r = 0; r < size; r++) { send_at[r] -= send_n[r]; }
  MPI_Alltoall(send_n, 1, MPI_INT, recv_n, 1, MPI_INT, MPI_COMM_WORLD);
  size_t coming = 0;
  for (int r = 0; r < size; r++) {
    recv_at[r] = (int)coming;
    coming += (size_t)recv_n[r];
  }
  if (!reserve(held, coming)) { st = nsl_fail(err, NSL_E_NOMEM, "no memory to compare identifiers"); }
  NSL_TRY(nsl_mpi_agree(st, err));
  MPI_Datatype pair;
  MPI_Type_contiguous(2, MPI_INT64_T, &pair);
  MPI_Type_commit(&pair);
  MPI_Alltoallv(sorted, send_n, send_at, pair, held->items + held->n, recv_n, recv_at, pair, MPI_COMM_WORLD);
  MPI_Type_free(&pair);
  held->n += coming;
cleanup:
  free(send_n);
  free(sorted);
  return st;
}

/* One share of the hashes: reads, exchanges in rounds until every rank is through, sorts, counts. */
static nsl_status one_pass(const nsl_merge_job *job, const nsl_merge_set *set, int64_t pass, int64_t n_passes, int64_t *count,
                           entry first_twice[2], nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank, size, more = 1;
  entries mine = {0}, held = {0};
  size_t next, end;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  nsl_merge_share(set, rank, size, &next, &end);
  while (more) {
    st = read_some(job, set, &next, end, pass, n_passes, size, &mine, err);
    NSL_TRY(nsl_mpi_agree(st, err));
    NSL_TRY(exchange(&mine, size, &held, err));
    int mine_more = next < end;
    MPI_Allreduce(&mine_more, &more, 1, MPI_INT, MPI_LOR, MPI_COMM_WORLD);
  }
  if (held.n) { qsort(held.items, held.n, sizeof *held.items, compare); }
  for (size_t i = 1; i < held.n; i++) {
    if (held.items[i].id != held.items[i - 1].id) { continue; }
    if (!*count || held.items[i].id < first_twice[0].id) { memcpy(first_twice, &held.items[i - 1], 2 * sizeof(entry)); }
    ++*count;
  }
cleanup:
  free(mine.items);
  free(held.items);
  return st;
}

nsl_status nsl_merge_find_duplicates(const nsl_merge_job *job, const nsl_merge_set *set, int64_t *duplicates, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  int64_t held_at_once = (job->max_ids ? job->max_ids : USUAL_MAX_IDS) * size;
  int64_t n_passes = (set->n_rows + held_at_once - 1) / held_at_once, count = 0;
  entry twice[2] = {{0, 0}, {0, 0}};
  for (int64_t pass = 0; pass < n_passes; pass++) { NSL_TRY(one_pass(job, set, pass, n_passes, &count, twice, err)); }
  struct {
    long id;
    int rank;
  } lowest, mine = {count ? (long)twice[0].id : INT64_MAX, rank};
  MPI_Allreduce(&count, duplicates, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  if (!*duplicates) { goto cleanup; }
  MPI_Allreduce(&mine, &lowest, 1, MPI_LONG_INT, MPI_MINLOC, MPI_COMM_WORLD);
  MPI_Bcast(twice, 4, MPI_INT64_T, lowest.rank, MPI_COMM_WORLD);
  NSL_THROW(err, NSL_E_VALUE, "source %lld stands in tiles %lld and %lld (%lld identifiers come twice); identifiers must be unique",
            (long long)twice[0].id, (long long)twice[0].tile, (long long)twice[1].tile, (long long)*duplicates);
cleanup:
  return st;
}
