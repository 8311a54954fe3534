/* The merge from tile files to a published catalogue, step by step. */
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

nsl_status nsl_merge_tiles(const nsl_merge_job *job, const nsl_log *log, nsl_merge_summary *summary, nsl_error *err)
{
  nsl_status st = NSL_OK;
  double start_s = nsl_clock_s();
  int rank;
  nsl_merge_set set = {0};
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
  NSL_TRY(nsl_merge_write(job, &set, partial, log, err));
  NSL_TRY(nsl_merge_read_back(&set, partial, total, err));
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
  free(total);
  free(partial);
  return st;
}
