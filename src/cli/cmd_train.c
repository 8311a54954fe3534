/* noslit train: trains the network on stamp files, data-parallel over the ranks of mpirun. */
#include "command.h"
#include "noslit/nn/blas.h"
#include "noslit/par/train.h"

static void report(const nsl_log *log, const nsl_train_options *o, const nsl_train_summary *s)
{
  nsl_info(log, "%s: %lld steps in %.0f s (%.0f stamps/s), best at step %lld", o->output, (long long)s->steps, s->wall_s,
           s->stamps_per_s, (long long)s->best_step);
  for (int c = 0; c < NSL_TRAIN_CUTS && s->best[0].n > 0; c++) {
    const nsl_metrics *m = &s->best[c];
    nsl_info(log, "validation, snr_gi >= %g: n %zu, sigma_nmad %.5f, outliers %.3f, nll %.3f, pit_ks %.3f",
             (double)nsl_train_cuts[c], m->n, m->value[NSL_METRIC_SIGMA_NMAD], m->value[NSL_METRIC_OUTLIER_002],
             m->value[NSL_METRIC_NLL_U], m->value[NSL_METRIC_PIT_KS]);
  }
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_train_options options = {0};
  nsl_train_summary summary;
  const char *path = NULL;
  int n = 0;
  st = nsl_cli_parse(cli, NULL, 0, NULL, &path, 1, &n, &err);
  if (st == NSL_OK && !n) { st = nsl_fail(&err, NSL_E_USAGE, "which configuration? noslit train CONFIG"); }
  if (st == NSL_OK) { st = nsl_cli_config(cli, path, &cfg, &err); }
  if (st == NSL_OK) { st = nsl_train_options_new(cfg, &options, &err); }
  if (st == NSL_OK) { st = nsl_blas_start(&err); }
  NSL_TRY(nsl_mpi_agree(st, &err));
  NSL_TRY(nsl_train_mpi(&options, &cli->log, &summary, &err));
  report(&cli->log, &options, &summary);
cleanup:
  nsl_train_options_free(&options);
  nsl_config_free(cfg);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_train = {
    "train",
    "CONFIG",
    "train the network on stamp files (mpirun)",
    1,
    run,
    "Keys train.* of the configuration say with what and how; the trained network is written to train.output each time the\n"
    "validation NLL improves. SIGTERM or SIGUSR1: a checkpoint is written and the exit code is 75; the same command goes on.\n",
};
