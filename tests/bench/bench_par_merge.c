/* The merge against the least that writing can cost: the same ranks write as many compressed bytes into plain files of their own,
 * on the same disk. Both end with fsync. The tiles' PDFs are those of a real catalogue, shifted and scaled so that none comes
 * twice. Usage: mpirun -n 2 bench_par_merge CATALOGUE FOLDER ROWS ROWS_PER_TILE TURNS: a line for each turn with the
 * seconds of the merge, of its writing alone, of its reading back, of the plain files, the bytes of the catalogue and of its rows
 * uncompressed, and the memory of the largest rank in MB. */
#include <fcntl.h>
#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/rng.h"
#include "noslit/base/str.h"
#include "noslit/par/mpi_env.h"
#include "par/merge_internal.h"

enum { ORDER = 12, FIRST_TILE = 1000, PIECE = 1 << 20 };
static nsl_error err;
static int rank, size;

static void must(nsl_status st)
{
  if (st == NSL_OK) { return; }
  fprintf(stderr, "bench_par_merge: %s\n", err.text);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

/* A row of the original with its PDF rolled by some bins and scaled: other bytes, as hard to compress. */
static void make_row(const nsl_rows *from, nsl_rows *to, size_t i, int64_t id, nsl_tile_id tile)
{
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, (uint64_t)id, 0);
  size_t bins = (size_t)to->grid.n, k = (size_t)id % from->n, roll = (size_t)(64 * nsl_rng_uniform(&r));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t bytes = nsl_col_size(nsl_row_columns[c].type);
    memcpy((char *)nsl_rows_column(to, c) + i * bytes, (char *)nsl_rows_column(from, c) + k * bytes, bytes);
  }
  to->object_id[i] = id;
  to->tile[i] = tile;
  float scale = 0.5f + (float)nsl_rng_uniform(&r);
  for (size_t b = 0; b < bins; b++) { to->pdf[i * bins + b] = scale * from->pdf[k * bins + (b + roll) % bins]; }
  nsl_pdf_round(to->pdf + i * bins, bins);
}

static void make_tiles(const char *source, const char *dir, size_t n_tiles, size_t per_tile)
{
  nsl_catalogue *c;
  nsl_rows from, rows;
  must(nsl_catalogue_open(source, &c, &err));
  must(nsl_catalogue_read(c, 0, nsl_catalogue_rows(c), 1, &from, &err));
  nsl_pdf_grid grid = *nsl_catalogue_grid(c);
  for (size_t t = (size_t)rank; t < n_tiles; t += (size_t)size) {
    nsl_tile_head head = {.order = ORDER,
                          .tile = (nsl_tile_id)(FIRST_TILE + t),
                          .first_row = (int64_t)(t * per_tile),
                          .attempts = 1,
                          .results_version = nsl_results_version};
    char *path = nsl_tile_file_path(dir, ORDER, head.tile);
    if (!nsl_file_exists(path)) {
      if (!nsl_rows_alloc(&rows, per_tile, &grid)) { must(nsl_fail(&err, NSL_E_NOMEM, "no memory")); }
      for (size_t i = 0; i < per_tile; i++) { make_row(&from, &rows, i, (int64_t)(t * per_tile + i), head.tile); }
      must(nsl_tile_write(path, &head, &rows, &err));
      nsl_rows_free(&rows);
    }
    free(path);
  }
  nsl_rows_free(&from);
  nsl_catalogue_close(c);
}

/* Whatever was written before is on the disk, and the disk has had a rest: else who comes second waits for who came first. */
static void settle(void)
{
  nsl_mpi_barrier();
  if (!rank) { sync(); }
  nsl_mpi_barrier();
  usleep(1000000);
  nsl_mpi_barrier();
}

static double write_plain(const char *dir, int64_t bytes)
{
  char *piece = malloc(PIECE), *path = nsl_strf("%s/plain-%d", dir, rank);
  if (!piece || !path) { must(nsl_fail(&err, NSL_E_NOMEM, "no memory")); }
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, (uint64_t)rank, 1);
  for (size_t i = 0; i < PIECE; i++) { piece[i] = (char)(256 * nsl_rng_uniform(&r)); }
  settle();
  double start_s = nsl_clock_s();
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) { must(nsl_fail(&err, NSL_E_IO, "%s: cannot be written", path)); }
  for (int64_t left = bytes / size; left > 0; left -= PIECE) {
    if (write(fd, piece, (size_t)(left < PIECE ? left : PIECE)) < 0) { must(nsl_fail(&err, NSL_E_IO, "%s: disk full?", path)); }
  }
  if (fsync(fd) || close(fd)) { must(nsl_fail(&err, NSL_E_IO, "%s: disk full?", path)); }
  nsl_mpi_barrier();
  double seconds = nsl_clock_s() - start_s;
  unlink(path);
  free(path);
  free(piece);
  return seconds;
}

/* The two costly steps once more, alone. */
static void time_steps(const nsl_merge_job *job, double *write_s, double *read_s)
{
  nsl_merge_set set = {0};
  nsl_merge_written written = {0};
  nsl_survey_summary *total = calloc(1, sizeof *total);
  char *path = nsl_strf("%s.steps", job->catalogue);
  if (!total || !path) { must(nsl_fail(&err, NSL_E_NOMEM, "no memory")); }
  must(nsl_merge_take_stock(job, NULL, &set, &err));
  double t0 = nsl_clock_s();
  must(nsl_merge_write(job, &set, path, NULL, &written, &err));
  double t1 = nsl_clock_s();
  must(nsl_merge_read_back(&set, &written, path, total, &err));
  *write_s = t1 - t0;
  *read_s = nsl_clock_s() - t1;
  nsl_mpi_barrier();
  if (!rank) { unlink(path); }
  nsl_merge_set_free(&set);
  nsl_merge_written_free(&written);
  free(total);
  free(path);
}

int main(int argc, char **argv)
{
  nsl_mpi mpi = nsl_mpi_start(&argc, &argv);
  rank = mpi.rank;
  size = mpi.size;
  if (argc != 6) { must(nsl_fail(&err, NSL_E_USAGE, "CATALOGUE FOLDER ROWS ROWS_PER_TILE TURNS")); }
  size_t per_tile = (size_t)atol(argv[4]), n_tiles = (size_t)atol(argv[3]) / per_tile;
  make_tiles(argv[1], argv[2], n_tiles, per_tile);
  nsl_tile_id *tiles = calloc(n_tiles + 1, sizeof *tiles);
  char *catalogue = nsl_strf("%s/merged.hdf5", argv[2]);
  if (!tiles || !catalogue) { must(nsl_fail(&err, NSL_E_NOMEM, "no memory")); }
  for (size_t t = 0; t < n_tiles; t++) { tiles[t] = (nsl_tile_id)(FIRST_TILE + t); }
  nsl_merge_job job = {.workdir = argv[2],
                       .catalogue = catalogue,
                       .fits = "",
                       .survey = "bench",
                       .config_text = "",
                       .selection = "",
                       .order = ORDER,
                       .n_tiles = n_tiles,
                       .tiles = tiles};
  nsl_merge_summary summary = {0};
  for (int turn = 0; turn < atoi(argv[5]); turn++) {
    double write_s, read_s, plain_s = 0;
    struct rusage use;
    if (!rank) { unlink(catalogue); } /* freeing the pages of the last turn's is no part of this one */
    if (turn % 2) { plain_s = write_plain(argv[2], summary.bytes); } /* now one first, now the other */
    settle();
    double cpu_s = -nsl_clock_cpu_s(), all_cpu_s = 0;
    must(nsl_merge_tiles(&job, NULL, &summary, &err));
    cpu_s += nsl_clock_cpu_s();
    MPI_Reduce(&cpu_s, &all_cpu_s, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
    if (turn % 2 == 0) { plain_s = write_plain(argv[2], summary.bytes); }
    time_steps(&job, &write_s, &read_s);
    getrusage(RUSAGE_SELF, &use);
    long mine = use.ru_maxrss, most = 0;
    MPI_Reduce(&mine, &most, 1, MPI_LONG, MPI_MAX, 0, MPI_COMM_WORLD);
    int64_t raw = 0;
    nsl_catalogue *c;
    must(nsl_catalogue_open(catalogue, &c, &err));
    raw = summary.rows * nsl_catalogue_grid(c)->n * (int64_t)sizeof(float);
    for (int k = 0; k < nsl_n_row_columns; k++) { raw += summary.rows * (int64_t)nsl_col_size(nsl_row_columns[k].type); }
    nsl_catalogue_close(c);
    if (!rank) {
      printf("%.4f %.4f %.4f %.4f %lld %lld %.1f %.3f\n", summary.wall_s, write_s, read_s, plain_s, (long long)summary.bytes,
             (long long)raw, (double)most / 1024, all_cpu_s);
      fflush(stdout);
    }
  }
  free(tiles);
  free(catalogue);
  nsl_mpi_end(0, 0);
  return 0;
}
