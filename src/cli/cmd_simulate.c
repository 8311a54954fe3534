/* noslit simulate: the mock survey and training stamps. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "noslit/par/simulate.h"
#include "noslit/pipe/config_load.h"

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_simulate_summary summary;
  const char *path = NULL;
  int n = 0, stamps = 0;
  const nsl_option options[] = {{"--stamps", NULL, &stamps}};
  if (!inst) { NSL_THROW(&err, NSL_E_NOMEM, "instrument"); }
  NSL_TRY(nsl_cli_parse(cli, options, 1, NULL, &path, 1, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit simulate CONFIG"); }
  NSL_TRY(nsl_cli_config(cli, path, &cfg, &err));
  NSL_TRY(nsl_config_require(cfg, "instrument.file", &err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(cfg, "instrument.file"), inst, &err));
  if (stamps && nsl_config_int(cfg, "simulate.stamps") == 0) {
    NSL_THROW(&err, NSL_E_CONFIG, "%s: simulate.stamps is 0: say how many (or --set simulate.stamps=1000)", path);
  }
  st = NSL_OK;
cleanup:
  st = nsl_mpi_agree(st, &err);
  if (st == NSL_OK) { st = nsl_simulate(cfg, inst, stamps, cli->mpi, &cli->log, &summary, &err); }
  if (st == NSL_OK && cli->mpi.rank == 0) {
    if (summary.frames) { printf("frames: %lld in %.1f s\n", (long long)summary.frames, summary.wall_s); }
    if (summary.stamps) { printf("stamps/s/core: %.1f\n", (double)summary.stamps / summary.stamps_cpu_s); }
  }
  nsl_config_free(cfg);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_simulate = {
    "simulate",
    "CONFIG [--stamps]",
    "mock survey and training stamps (mpirun)",
    1,
    run,
    "  --stamps    only the training stamps (simulate.stamps of them), no exposures\n",
};
