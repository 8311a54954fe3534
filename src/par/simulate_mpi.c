#include "noslit/par/simulate.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/simulate.h"

static nsl_status make_shards(nsl_mock *mock, const nsl_config *cfg, nsl_mpi mpi, const nsl_log *log, int64_t *made, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t n = nsl_config_int(cfg, "simulate.stamps"), per_file = nsl_config_int(cfg, "simulate.stamps_per_file");
  int64_t shards = (n + per_file - 1) / per_file;
  const char *dir = nsl_config_text(cfg, "simulate.stamps_dir");
  char *path = NULL;
  nsl_progress progress;
  *made = 0;
  if (n == 0) { return NSL_OK; }
  NSL_TRY(nsl_mkdirs(dir, err));
  nsl_progress_start(&progress, log, "stamps (rank 0)", (long)((n + mpi.size - 1) / mpi.size));
  for (int64_t k = mpi.rank; k < shards; k += mpi.size) {
    int64_t count = n - k * per_file < per_file ? n - k * per_file : per_file;
    path = nsl_strf("%s/%s_%05lld.h5", dir, nsl_config_text(cfg, "simulate.set"), (long long)k);
    if (!path) { NSL_THROW(err, NSL_E_NOMEM, "name of stamp file %lld", (long long)k); }
    NSL_TRY(nsl_mock_make_stamps(mock, k * per_file, count, path, err));
    free(path);
    path = NULL;
    *made += count;
    nsl_progress_update(&progress, (long)*made, NULL);
  }
  nsl_progress_end(&progress, (long)*made, NULL);
cleanup:
  free(path);
  return st;
}

static nsl_status make_frames(nsl_mock *mock, nsl_mpi mpi, const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int n = nsl_mock_n_frames(mock), done = 0;
  nsl_progress progress;
  nsl_progress_start(&progress, log, "frames (rank 0)", (n + mpi.size - 1) / mpi.size);
  for (int k = mpi.rank; k < n; k += mpi.size) {
    NSL_TRY(nsl_mock_write_frame(mock, k, err));
    nsl_progress_update(&progress, ++done, NULL);
  }
  nsl_progress_end(&progress, done, NULL);
cleanup:
  return st;
}

nsl_status nsl_simulate(const nsl_config *cfg, const nsl_instrument *inst, int stamps_only, nsl_mpi mpi, const nsl_log *log,
                        nsl_simulate_summary *summary, nsl_error *err)
{
  nsl_mock *mock = NULL;
  double begin = nsl_clock_s();
  int64_t stamps = 0, all[1] = {0};
  memset(summary, 0, sizeof *summary);
  nsl_status st = nsl_mpi_agree(nsl_mock_new(cfg, inst, log, &mock, err), err);
  if (st != NSL_OK) { goto cleanup; }
  if (!stamps_only) {
    NSL_TRY(nsl_mpi_agree(make_frames(mock, mpi, log, err), err));
    NSL_TRY(nsl_mpi_agree(mpi.rank == 0 ? nsl_mock_write_tables(mock, err) : NSL_OK, err));
    NSL_TRY(nsl_mpi_agree(mpi.rank == 0 ? nsl_mock_write_provenance(mock, 0, nsl_clock_s() - begin, err) : NSL_OK, err));
    summary->frames = nsl_mock_n_frames(mock);
  }
  double cpu = nsl_clock_cpu_s();
  NSL_TRY(nsl_mpi_agree(make_shards(mock, cfg, mpi, log, &stamps, err), err));
  cpu = nsl_clock_cpu_s() - cpu;
  if (nsl_config_int(cfg, "simulate.stamps") > 0) {
    NSL_TRY(nsl_mpi_agree(mpi.rank == 0 ? nsl_mock_write_provenance(mock, 1, nsl_clock_s() - begin, err) : NSL_OK, err));
  }
  MPI_Allreduce(&stamps, all, 1, MPI_INT64_T, MPI_SUM, MPI_COMM_WORLD);
  MPI_Allreduce(&cpu, &summary->stamps_cpu_s, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
  summary->stamps = all[0];
  summary->wall_s = nsl_clock_s() - begin;
cleanup:
  nsl_mock_free(mock);
  return st;
}
