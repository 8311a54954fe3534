/* What there is to merge: every rank reads the heads of its share of the tiles, rank 0 judges them, all get the list. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/par/mpi_env.h"
#include "par/merge_internal.h"

enum { HERE, MISSING, CORRUPT, STALE, N_STATES, NAMED_AT_MOST = 5 };

typedef struct {
  int state;
  nsl_tile_head head;
  nsl_pdf_grid grid;
  int64_t bytes;
  char why[200];
} found_tile;

static void call_stale(found_tile *t, const char *why)
{
  t->state = STALE;
  snprintf(t->why, sizeof t->why, "%s", why);
}

static void look(const nsl_merge_job *job, size_t i, found_tile *t)
{
  nsl_error why = NSL_ERROR_INIT;
  char *path = nsl_tile_file_path(job->workdir, job->order, job->tiles[i]);
  memset(t, 0, sizeof *t);
  nsl_status st = path ? nsl_tile_read_head(path, &t->head, &t->grid, &why) : nsl_fail(&why, NSL_E_NOMEM, "no memory");
  if (st == NSL_OK) { st = nsl_file_stat(path, &t->bytes, NULL, &why); }
  t->state = st == NSL_OK ? HERE : st == NSL_E_NOTFOUND ? MISSING : CORRUPT;
  snprintf(t->why, sizeof t->why, "%s", why.text);
  free(path);
  if (t->state != HERE) { return; }
  if (t->head.tile != job->tiles[i] || t->head.order != job->order) {
    t->state = CORRUPT;
    snprintf(t->why, sizeof t->why, "its file holds tile %d:%lld", t->head.order, (long long)t->head.tile);
  } else if (!nsl_hash_equal(t->head.config_hash, job->config_hash)) {
    call_stale(t, "made with another configuration");
  } else if (job->input_hash && !nsl_hash_equal(t->head.input_hash, job->input_hash[i])) {
    call_stale(t, "made from other inputs than planned");
  } else if (t->head.results_version != nsl_results_version) {
    call_stale(t, "made by a noslit of another results version");
  }
}

/* Boyer-Moore: the tile that agrees with most others in what made it, if more than half do. */
static const found_tile *majority(const found_tile *all, size_t n)
{
  const found_tile *candidate = NULL;
  size_t votes = 0;
  for (size_t i = 0; i < n; i++) {
    if (all[i].state != HERE) { continue; }
    if (!votes) { candidate = &all[i]; }
    int same = nsl_hash_equal(all[i].head.model_hash, candidate->head.model_hash) &&
               nsl_hash_equal(all[i].head.instrument_hash, candidate->head.instrument_hash);
    votes = same ? votes + 1 : votes - 1;
  }
  return candidate;
}

static void judge_uniformity(found_tile *all, size_t n, const found_tile *usual)
{
  for (size_t i = 0; i < n && usual; i++) {
    if (all[i].state != HERE) { continue; }
    if (!nsl_hash_equal(all[i].head.model_hash, usual->head.model_hash)) {
      call_stale(&all[i], "made by another model than most tiles");
    } else if (!nsl_hash_equal(all[i].head.instrument_hash, usual->head.instrument_hash)) {
      call_stale(&all[i], "made with another instrument file than most tiles");
    } else if (memcmp(&all[i].grid, &usual->grid, sizeof usual->grid) != 0) {
      call_stale(&all[i], "has other PDF bins than most tiles");
    }
  }
}

static void describe(nsl_str *s, const nsl_merge_job *job, const found_tile *all, int state, const char *word)
{
  size_t count = 0;
  for (size_t i = 0; i < job->n_tiles; i++) { count += all[i].state == state; }
  if (!count) { return; }
  nsl_str_addf(s, "%s%zu %s (", s->n ? ", " : "", count, word);
  size_t named = 0;
  for (size_t i = 0; i < job->n_tiles && named < NAMED_AT_MOST; i++) {
    if (all[i].state != state) { continue; }
    nsl_str_addf(s, "%s%lld", named ? ", " : "", (long long)job->tiles[i]);
    /* One reason is enough to see what happened; a missing file has none of its own. */
    if (!named && state != MISSING) { nsl_str_addf(s, ": %.120s", all[i].why); }
    named++;
  }
  nsl_str_addf(s, "%s)", count > named ? ", ..." : "");
}

static nsl_status refuse_or_warn(const nsl_merge_job *job, const found_tile *all, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_str text;
  nsl_str_init(&text);
  describe(&text, job, all, MISSING, "missing");
  describe(&text, job, all, CORRUPT, "corrupt");
  describe(&text, job, all, STALE, "stale");
  char *quarantine = nsl_path_join(job->workdir, "run/quarantine.json");
  const char *hint = quarantine && nsl_file_exists(quarantine) ? "; run/quarantine.json says why tiles were given up" : "";
  if (text.n && !job->partial) {
    st = nsl_fail(err, NSL_E_MISMATCH,
                  "of %zu tiles %s%s; `noslit run` makes them, `noslit merge --partial` leaves their sources out", job->n_tiles,
                  text.text, hint);
  } else if (text.n) {
    nsl_warn(log, "merge: the catalogue is partial: of %zu tiles %s%s", job->n_tiles, text.text, hint);
  }
  free(quarantine);
  nsl_str_free(&text);
  return st;
}

/* Rank 0: the tiles that are to be merged, with their places. */
static nsl_status choose(const nsl_merge_job *job, found_tile *all, const nsl_log *log, nsl_merge_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const found_tile *usual = majority(all, job->n_tiles);
  judge_uniformity(all, job->n_tiles, usual);
  NSL_TRY(refuse_or_warn(job, all, log, err));
  set->tiles = malloc((job->n_tiles + 1) * sizeof *set->tiles);
  set->heads = malloc((job->n_tiles + 1) * sizeof *set->heads);
  if (!set->tiles || !set->heads) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu tiles", job->n_tiles); }
  for (size_t i = 0; i < job->n_tiles; i++) {
    if (all[i].state != HERE) { continue; }
    const nsl_tile_head *h = &all[i].head;
    set->heads[set->n] = *h;
    set->tiles[set->n++] = (nsl_catalogue_tile){h->tile, set->n_rows, h->n_rows, h->content_hash};
    set->n_rows += h->n_rows;
    set->tile_bytes += all[i].bytes;
  }
  set->n_left_out = job->n_tiles - set->n;
  set->grid = usual ? usual->grid : (nsl_pdf_grid){2, 0, 0.5}; /* a survey without tiles: any bins will do, but qp wants some */
  if (usual) {
    set->model_hash = usual->head.model_hash;
    set->instrument_hash = usual->head.instrument_hash;
  }
  set->content_hash = nsl_catalogue_hash(job->order, set->tiles, set->n);
cleanup:
  return st;
}

/* Counts and places in whole records, so that many tiles do not overflow an int of bytes. */
static void gather_records(const found_tile *mine, size_t n_mine, found_tile *all, size_t n_tiles, int size)
{
  MPI_Datatype record;
  MPI_Type_contiguous(sizeof(found_tile), MPI_BYTE, &record);
  MPI_Type_commit(&record);
  int *counts = malloc((size_t)size * 2 * sizeof *counts), *places = counts + size;
  for (int r = 0; r < size; r++) {
    places[r] = (int)(n_tiles * (size_t)r / (size_t)size);
    counts[r] = (int)(n_tiles * ((size_t)r + 1) / (size_t)size) - places[r];
  }
  MPI_Gatherv(mine, (int)n_mine, record, all, counts, places, record, 0, MPI_COMM_WORLD);
  free(counts);
  MPI_Type_free(&record);
}

static nsl_status share_set(nsl_merge_set *set, int rank, nsl_error *err)
{
  nsl_merge_set copy = *set;
  MPI_Bcast(&copy, sizeof copy, MPI_BYTE, 0, MPI_COMM_WORLD);
  nsl_status st = NSL_OK;
  if (rank) {
    copy.heads = NULL;
    copy.tiles = malloc((copy.n + 1) * sizeof *copy.tiles);
    if (!copy.tiles) { st = nsl_fail(err, NSL_E_NOMEM, "no memory for %zu tiles", copy.n); }
    *set = copy;
  }
  st = nsl_mpi_agree(st, err);
  if (st != NSL_OK) { return st; }
  MPI_Datatype record;
  MPI_Type_contiguous(sizeof *set->tiles, MPI_BYTE, &record);
  MPI_Type_commit(&record);
  MPI_Bcast(set->tiles, (int)set->n, record, 0, MPI_COMM_WORLD);
  MPI_Type_free(&record);
  return NSL_OK;
}

nsl_status nsl_merge_take_stock(const nsl_merge_job *job, const nsl_log *log, nsl_merge_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank, size;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &size);
  memset(set, 0, sizeof *set);
  size_t first = job->n_tiles * (size_t)rank / (size_t)size, end = job->n_tiles * ((size_t)rank + 1) / (size_t)size;
  found_tile *mine = malloc((end - first + 1) * sizeof *mine), *all = rank ? NULL : malloc((job->n_tiles + 1) * sizeof *all);
  if (!mine || (!rank && !all)) { st = nsl_fail(err, NSL_E_NOMEM, "no memory for the heads of %zu tiles", job->n_tiles); }
  NSL_TRY(nsl_mpi_agree(st, err));
  for (size_t i = first; i < end; i++) { look(job, i, &mine[i - first]); }
  gather_records(mine, end - first, all, job->n_tiles, size);
  if (!rank) { st = choose(job, all, log, set, err); }
  NSL_TRY(nsl_mpi_agree(st, err));
  NSL_TRY(share_set(set, rank, err));
cleanup:
  free(mine);
  free(all);
  if (st != NSL_OK) { nsl_merge_set_free(set); }
  return st;
}

void nsl_merge_set_free(nsl_merge_set *set)
{
  free(set->tiles);
  free(set->heads);
  memset(set, 0, sizeof *set);
}

size_t nsl_merge_tile_of_row(const nsl_merge_set *set, int64_t row)
{
  size_t low = 0, high = set->n;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (set->tiles[middle].first_row + set->tiles[middle].n_rows <= row) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

void nsl_merge_share(const nsl_merge_set *set, int rank, int size, size_t *first, size_t *end)
{
  *first = rank ? nsl_merge_tile_of_row(set, set->n_rows * rank / size) : 0;
  *end = rank + 1 < size ? nsl_merge_tile_of_row(set, set->n_rows * (rank + 1) / size) : set->n;
}
