/* Data-parallel training: any number of ranks gives the bits of one rank. */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "noslit/par/mpi_env.h"
#include "noslit/par/train.h"
#include "noslit/pipe/model_file.h"
#include "unit/pipe/tiny_model.h"

static nsl_error err;

static int check(int ok, const char *what, int rank)
{
  if (!ok) { fprintf(stderr, "[%d] FAILED: %s: %s\n", rank, what, err.text); }
  return !ok;
}

static nsl_hash hash_of(const char *path)
{
  nsl_model m;
  nsl_net *net;
  nsl_hash none = {0, 0};
  if (nsl_model_read(path, 1, 0, &m, &net, &err) != NSL_OK) { return none; }
  nsl_hash h = m.hash;
  nsl_net_free(net);
  nsl_model_free(&m);
  return h;
}

static void make_inputs(const char *stamps, const char *validation, const char *start)
{
  nsl_model m;
  nsl_net *net;
  nsl_status st = tiny_stamp_file(stamps, 0, 90, &err);
  if (st == NSL_OK) { st = tiny_stamp_file(validation, 1000, 230, &err); }
  if (st == NSL_OK) { st = tiny_model(16, &m, &err); }
  if (st == NSL_OK) { st = nsl_net_new(&m.graph, 1, 1, 5, &net, &err); }
  if (st == NSL_OK) { st = nsl_model_write(start, &m, net, &err); }
  if (st != NSL_OK) {
    fprintf(stderr, "%s\n", err.text);
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  nsl_net_free(net);
  nsl_model_free(&m);
}

int main(int argc, char **argv)
{
  nsl_mpi mpi = nsl_mpi_start(&argc, &argv);
  char stamps[64], validation[64], start[64], output[64], serial[64], checkpoint[80], serial_checkpoint[80];
  snprintf(stamps, sizeof stamps, "mpi_train_%d.h5", mpi.size);
  snprintf(validation, sizeof validation, "mpi_train_check_%d.h5", mpi.size);
  snprintf(start, sizeof start, "mpi_train_%d.start.h5", mpi.size);
  snprintf(output, sizeof output, "mpi_train_%d.model.h5", mpi.size);
  snprintf(serial, sizeof serial, "mpi_train_%d.serial.h5", mpi.size);
  snprintf(checkpoint, sizeof checkpoint, "%s.checkpoint", output);
  snprintf(serial_checkpoint, sizeof serial_checkpoint, "%s.checkpoint", serial);
  if (mpi.rank == 0) {
    unlink(checkpoint);
    unlink(serial_checkpoint);
    make_inputs(stamps, validation, start);
  }
  nsl_mpi_barrier();
  char *stamp_files[] = {stamps}, *check_files[] = {validation};
  nsl_train_options o = {.stamps = stamp_files,
                         .n_stamps = 1,
                         .validation = check_files,
                         .n_validation = 1,
                         .calibration = check_files,
                         .n_calibration = 1,
                         .output = output,
                         .from = start,
                         .checkpoint = checkpoint,
                         .architecture = (char *)"eq",
                         .epochs = 4,
                         .batch = 24,
                         .group = 8,
                         .shift_y = 2,
                         .flip = 1,
                         .lr = 0.01,
                         .lr_min = 1e-5,
                         .warm_up = 0.1,
                         .clip = 1,
                         .beta2 = 0.98,
                         .label_sigma = 0.01,
                         .checkpoint_s = 1e6,
                         .seed = 3};
  nsl_train_summary together, alone;
  int failures = check(nsl_train_mpi(&o, NULL, &together, &err) == NSL_OK, "training by all ranks", mpi.rank);
  if (mpi.rank == 0 && !failures) {
    o.output = serial;
    o.checkpoint = serial_checkpoint;
    failures += check(nsl_train_run(&o, &nsl_train_alone, NULL, &alone, &err) == NSL_OK, "training by one rank", mpi.rank);
    failures += check(together.last_loss == alone.last_loss, "the same loss", mpi.rank);
    failures += check(together.best[0].value[NSL_METRIC_NLL_U] == alone.best[0].value[NSL_METRIC_NLL_U], "the same nll", mpi.rank);
    failures += check(nsl_hash_equal(hash_of(output), hash_of(serial)), "the same model, bit for bit", mpi.rank);
    failures += check(together.steps == 12, "12 steps", mpi.rank);
  }

  /* An error of one rank is an error of all, with its text. */
  nsl_train_options bad = o;
  char missing[] = "no_such_stamps.h5", *missing_files[] = {missing};
  bad.validation = missing_files;
  bad.output = output;
  bad.checkpoint = checkpoint;
  failures += check(nsl_train_mpi(&bad, NULL, &together, &err) == NSL_E_NOTFOUND && strstr(err.text, "no_such_stamps.h5"),
                    "a missing file is told on every rank", mpi.rank);
  int all = 0;
  MPI_Allreduce(&failures, &all, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
  nsl_mpi_end(0, 0);
  return all != 0;
}
