/* noslit merge: tile files to the catalogue. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "noslit/io/json.h"
#include "noslit/par/merge.h"

static nsl_status report(const nsl_config *cfg, const nsl_merge_summary *s, int json, nsl_error *err)
{
  const char *path = nsl_config_text(cfg, "output.catalogue");
  if (!json) {
    printf("%s: %lld rows of %lld tiles%s, %.1f MB in %.1f s\n", path, (long long)s->rows, (long long)s->tiles,
           s->tiles_missing ? ", PARTIAL" : "", (double)s->bytes / 1e6, s->wall_s);
    return NSL_OK;
  }
  nsl_json *root = nsl_json_object();
  nsl_json_set_text(root, "catalogue", path);
  nsl_json_set_i64(root, "rows", s->rows);
  nsl_json_set_i64(root, "tiles", s->tiles);
  nsl_json_set_i64(root, "tiles_left_out", s->tiles_missing);
  nsl_json_set_i64(root, "bytes", s->bytes);
  nsl_json_set_i64(root, "pdf_chunks", s->chunks);
  nsl_json_set_i64(root, "pdf_chunks_made", s->chunks_made);
  nsl_json_set_f64(root, "wall_s", s->wall_s);
  return nsl_cli_print_json(root, err);
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_select *select = NULL;
  nsl_merge_summary summary;
  const char *path = NULL;
  int n = 0, partial = 0, json = 0;
  const nsl_option options[] = {{"--partial", NULL, &partial}, {"--json", NULL, &json}};
  NSL_TRY(nsl_select_new(&select, &err));
  NSL_TRY(nsl_cli_parse(cli, options, 2, select, &path, 1, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit merge CONFIG"); }
  st = nsl_cli_config(cli, path, &cfg, &err);
  NSL_TRY(nsl_mpi_agree(st, &err));
  NSL_TRY(nsl_merge(cfg, select, partial, &cli->log, &summary, &err));
  if (cli->mpi.rank == 0) { NSL_TRY(report(cfg, &summary, json, &err)); }
cleanup:
  nsl_select_free(select);
  nsl_config_free(cfg);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_merge = {
    "merge",
    "CONFIG [SELECT]",
    "tile files to the catalogue (mpirun)",
    1,
    run,
    "  --partial  leave missing, corrupt and stale tiles (and so their sources) out, instead of refusing; the catalogue says so\n"
    "  --json     as JSON\n"
    "Writes output.catalogue, beside it the index (.tiles.h5) and the summary (.summary.json), and output.fits if set.\n",
};
