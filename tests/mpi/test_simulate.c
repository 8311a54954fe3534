/* The mock made by any number of ranks has the bits of the one made by a single process. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/hash.h"
#include "noslit/par/simulate.h"
#include "noslit/pipe/simulate.h"
#include "unit/pipe/mock_support.h"

static int rank;
static nsl_error err;

#define CHECK(condition)                                                                                             \
  do {                                                                                                               \
    if (!(condition)) {                                                                                              \
      fprintf(stderr, "[%d] %s:%d: not true: %s; last error: %s\n", rank, __FILE__, __LINE__, #condition, err.text); \
      MPI_Abort(MPI_COMM_WORLD, 1);                                                                                  \
    }                                                                                                                \
  } while (0)

/* The same survey in its own folder below dir. */
static void open_tiny(const char *dir, const char *sub, nsl_config **cfg, nsl_instrument *inst)
{
  char *path = nsl_path_join(dir, sub);
  CHECK(tiny_mock(path,
                  "  density: 20\n  exposures: 2\n  stamps: 5\n  stamps_per_file: 2\n  stamps_dir: stamps\n  set: validation\n",
                  cfg, inst, &err) == NSL_OK);
  free(path);
}

/* Hash of all products under a folder, names included; *n is their number. */
static nsl_hash hash_tree(const char *dir, const char *sub, size_t *n)
{
  static const char *const patterns[] = {"exposures/*.fits", "*.fits", "stamps/*.h5"};
  nsl_hasher *h = nsl_hasher_new();
  *n = 0;
  for (int k = 0; k < 3; k++) {
    char **paths, *pattern = nsl_strf("%s/%s/%s", dir, sub, patterns[k]);
    size_t found;
    CHECK(nsl_glob(pattern, &paths, &found, &err) == NSL_OK);
    for (size_t i = 0; i < found; i++) {
      nsl_hash one;
      CHECK(nsl_hash_file(paths[i], &one, &err) == NSL_OK);
      nsl_hasher_add(h, nsl_path_base(paths[i]), strlen(nsl_path_base(paths[i])));
      nsl_hasher_add(h, &one, sizeof one);
    }
    *n += found;
    nsl_paths_free(paths, found);
    free(pattern);
  }
  nsl_hash out = nsl_hasher_value(h);
  nsl_hasher_free(h);
  return out;
}

static void make_alone(const char *dir)
{
  nsl_config *cfg;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_mock *m;
  open_tiny(dir, "alone", &cfg, inst);
  CHECK(nsl_mock_new(cfg, inst, NULL, &m, &err) == NSL_OK);
  for (int k = nsl_mock_n_frames(m) - 1; k >= 0; k--) { CHECK(nsl_mock_write_frame(m, k, &err) == NSL_OK); }
  CHECK(nsl_mock_write_tables(m, &err) == NSL_OK);
  char *stamps = nsl_strf("%s/alone/stamps", dir);
  CHECK(nsl_mkdirs(stamps, &err) == NSL_OK);
  for (int k = 0; k < 3; k++) {
    char *path = nsl_strf("%s/validation_%05d.h5", stamps, k);
    CHECK(nsl_mock_make_stamps(m, 2 * k, k < 2 ? 2 : 1, path, &err) == NSL_OK);
    free(path);
  }
  free(stamps);
  nsl_mock_free(m);
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
}

int main(int argc, char **argv)
{
  nsl_mpi mpi = nsl_mpi_start(&argc, &argv);
  rank = mpi.rank;
  char dir[] = "/tmp/nsl_simulate_XXXXXX";
  CHECK(rank || mkdtemp(dir));
  MPI_Bcast(dir, sizeof dir, MPI_CHAR, 0, MPI_COMM_WORLD);
  if (!rank) { make_alone(dir); }
  nsl_config *cfg;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  CHECK(inst);
  for (int r = 0; r < mpi.size; r++) { /* one after the other: all write the same small files */
    if (r == rank) { open_tiny(dir, "together", &cfg, inst); }
    nsl_mpi_barrier();
  }
  nsl_simulate_summary summary;
  CHECK(nsl_simulate(cfg, inst, 0, mpi, NULL, &summary, &err) == NSL_OK);
  CHECK(summary.frames == 4 && summary.stamps == 5 && summary.stamps_cpu_s > 0);
  if (!rank) {
    size_t n_alone, n_together;
    nsl_hash alone = hash_tree(dir, "alone", &n_alone), together = hash_tree(dir, "together", &n_together);
    CHECK(n_alone == 4 + 2 + 3 && n_together == n_alone);
    CHECK(nsl_hash_equal(alone, together));
    char *command = nsl_strf("rm -rf '%s'", dir);
    CHECK(system(command) == 0);
    free(command);
  }
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  nsl_mpi_end(0, 0);
  return 0;
}
