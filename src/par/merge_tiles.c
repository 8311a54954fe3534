/* The merge from tile files to a published catalogue, step by step. */
#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/par/mpi_env.h"
#include "par/merge_internal.h"

static nsl_status make_dir_of(const char *path, nsl_error *err)
{
  char *dir = nsl_path_dir(path);
  nsl_status st = dir ? nsl_mkdirs(dir, err) : nsl_fail(err, NSL_E_NOMEM, "no memory");
  free(dir);
  return st;
}

/* The space is asked for before, so that a full disk is not found after an hour. The tile files hold the same chunks. What
 * fallocate reserves counts against quotas too; it is given back at once. */
static nsl_status check_space(const nsl_merge_job *job, const nsl_merge_set *set, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t row_bytes = set->grid.n * (int64_t)sizeof(float), available = 0;
  for (int c = 0; c < nsl_n_row_columns; c++) { row_bytes += (int64_t)nsl_col_size(nsl_row_columns[c].type); }
  int64_t raw = set->n_rows * row_bytes, need = set->tile_bytes < raw ? set->tile_bytes : raw;
  need += need / 20 + (1 << 20);
  char *path = nsl_temp_name(job->catalogue, 0);
  if (!path) { return nsl_fail(err, NSL_E_NOMEM, "no memory"); }
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) {
    st = nsl_fail_errno(err, errno, "%s: cannot write here", job->catalogue);
    goto cleanup;
  }
  int e = fallocate(fd, 0, 0, need) ? errno : 0;
  close(fd);
  unlink(path);
  if (e == EOPNOTSUPP || e == ENOSYS) {
    char *dir = nsl_path_dir(job->catalogue);
    st = dir ? nsl_disk_free(dir, &available, err) : nsl_fail(err, NSL_E_NOMEM, "no memory");
    free(dir);
    if (st != NSL_OK) { goto cleanup; }
    e = available < need ? ENOSPC : 0;
  }
  if (e) { st = nsl_fail_errno(err, e, "%s: the catalogue needs about %lld MB", job->catalogue, (long long)(need >> 20) + 1); }
cleanup:
  free(path);
  return st;
}

nsl_status nsl_merge_tiles(const nsl_merge_job *job, const nsl_log *log, nsl_merge_summary *summary, nsl_error *err)
{
  nsl_status st = NSL_OK;
  double start_s = nsl_clock_s();
  int rank;
  nsl_merge_set set = {0};
  nsl_merge_written written = {0};
  nsl_survey_summary *total = calloc(1, sizeof *total);
  char *partial = nsl_strf("%s.partial", job->catalogue);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  memset(summary, 0, sizeof *summary);
  st = total && partial ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory");
  if (st == NSL_OK && !rank) { st = make_dir_of(job->catalogue, err); }
  NSL_TRY(nsl_mpi_agree(st, err));
  NSL_TRY(nsl_merge_take_stock(job, log, &set, err));
  summary->tiles = (int64_t)set.n;
  summary->tiles_missing = (int64_t)set.n_left_out;
  summary->rows = set.n_rows;
  NSL_TRY(nsl_merge_find_duplicates(job, &set, &summary->duplicates, err));
  if (!rank) { st = check_space(job, &set, err); }
  NSL_TRY(nsl_mpi_agree(st, err));
  NSL_TRY(nsl_merge_write(job, &set, partial, log, &written, err));
  int64_t mine[2] = {written.chunks, written.chunks_made}, all[2];
  MPI_Allreduce(mine, all, 2, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  summary->chunks = all[0];
  summary->chunks_made = all[1];
  NSL_TRY(nsl_merge_read_back(&set, &written, partial, total, err));
  if (!rank) {
    st = nsl_merge_publish(job, &set, partial, total, err);
    if (st == NSL_OK) { st = nsl_file_stat(job->catalogue, &summary->bytes, NULL, err); }
  }
  NSL_TRY(nsl_mpi_agree(st, err));
  MPI_Bcast(&summary->bytes, 1, MPI_INT64_T, 0, MPI_COMM_WORLD);
  summary->wall_s = nsl_clock_s() - start_s;
cleanup:
  if (st != NSL_OK && !rank && partial) { unlink(partial); }
  nsl_merge_set_free(&set);
  nsl_merge_written_free(&written);
  free(total);
  free(partial);
  return st;
}
