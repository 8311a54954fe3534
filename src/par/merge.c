#include "noslit/par/merge.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/par/mpi_env.h"
#include "noslit/pipe/plan.h"
#include "par/merge_internal.h"

/* What the configuration and the plan say is to be merged. */
typedef struct {
  int order;
  size_t n;
  nsl_tile_id *tiles;
  nsl_hash *input_hash;
  nsl_hash plan_hash;
} planned;

static void planned_free(planned *p)
{
  free(p->tiles);
  free(p->input_hash);
}

/* Rank 0 reads the plan, so that its index is not opened by every rank at once. */
static nsl_status read_planned(const nsl_config *cfg, const nsl_select *select, planned *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_plan plan = {0};
  unsigned char *chosen = NULL;
  NSL_TRY(nsl_plan_read(cfg, &plan, err));
  out->order = plan.order;
  out->plan_hash = plan.hash;
  out->tiles = malloc((plan.n_tiles + 1) * sizeof *out->tiles);
  out->input_hash = malloc((plan.n_tiles + 1) * sizeof *out->input_hash);
  chosen = malloc(plan.n_tiles + 1);
  if (!out->tiles || !out->input_hash || !chosen) { NSL_THROW(err, NSL_E_NOMEM, "no memory for %zu tiles", plan.n_tiles); }
  memset(chosen, 1, plan.n_tiles);
  if (select) { NSL_TRY(nsl_plan_choose(cfg, &plan, select, chosen, err)); }
  for (size_t i = 0; i < plan.n_tiles; i++) {
    if (!chosen[i]) { continue; }
    out->tiles[out->n] = plan.tiles[i].tile;
    out->input_hash[out->n++] = plan.tiles[i].input_hash;
  }
cleanup:
  free(chosen);
  nsl_plan_free(&plan);
  return st;
}

static void send_planned(planned *p, int rank)
{
  planned copy = *p;
  MPI_Datatype hash;
  MPI_Type_contiguous(2, MPI_UINT64_T, &hash);
  MPI_Type_commit(&hash);
  MPI_Bcast(&copy, sizeof copy, MPI_BYTE, 0, MPI_COMM_WORLD);
  if (rank) {
    copy.tiles = malloc((copy.n + 1) * sizeof *copy.tiles);
    copy.input_hash = malloc((copy.n + 1) * sizeof *copy.input_hash);
    *p = copy;
  }
  MPI_Bcast(p->tiles, (int)p->n, MPI_INT64_T, 0, MPI_COMM_WORLD);
  MPI_Bcast(p->input_hash, (int)p->n, hash, 0, MPI_COMM_WORLD);
  MPI_Type_free(&hash);
}

static int ends_in(const char *text, const char *tail)
{
  size_t n = strlen(text), m = strlen(tail);
  return n > m && strcmp(text + n - m, tail) == 0;
}

/* The products' names: what qp can read, and never a file that the survey is made from. */
static nsl_status check_names(const nsl_config *cfg, nsl_error *err)
{
  static const char *const outputs[] = {"output.catalogue", "output.fits"}, *const inputs[] = {"input.catalogue", "validate.truth"};
  const char *catalogue = nsl_config_text(cfg, "output.catalogue");
  if (!ends_in(catalogue, ".hdf5")) {
    return nsl_fail(err, NSL_E_CONFIG, "output.catalogue: '%s' must end in .hdf5, or qp does not know how to read it", catalogue);
  }
  for (int o = 0; o < 2; o++) {
    for (int i = 0; i < 2; i++) {
      const char *out = nsl_config_text(cfg, outputs[o]), *in = nsl_config_text(cfg, inputs[i]);
      if (*out && strcmp(out, in) == 0) {
        return nsl_fail(err, NSL_E_CONFIG, "%s: '%s' is also %s; give the product another name", outputs[o], out, inputs[i]);
      }
    }
  }
  return NSL_OK;
}

nsl_status nsl_merge(const nsl_config *cfg, const nsl_select *select, int partial, const nsl_log *log, nsl_merge_summary *summary,
                     nsl_error *err)
{
  nsl_status st = NSL_OK;
  planned p = {0};
  int rank;
  char *config_text = nsl_config_resolved(cfg, 0), *selection = nsl_strdup("");
  const char *catalogue = nsl_config_text(cfg, "output.catalogue");
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  if (select && !nsl_select_is_all(select)) {
    free(selection);
    selection = nsl_select_text(select);
  }
  if (!config_text || !selection) { NSL_THROW(err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(check_names(cfg, err));
  if (select && (nsl_select_failed(select) || nsl_select_stale(select))) {
    NSL_THROW(err, NSL_E_USAGE, "merge takes tiles, regions, exposures and sources; --failed and --stale are for run and status");
  }
  if (!rank) { st = read_planned(cfg, select, &p, err); }
  NSL_TRY(nsl_mpi_agree(st, err));
  send_planned(&p, rank);
  nsl_merge_job job = {
      .workdir = nsl_config_text(cfg, "survey.workdir"),
      .catalogue = catalogue,
      .fits = nsl_config_text(cfg, "output.fits"),
      .survey = nsl_config_text(cfg, "survey.name"),
      .config_text = config_text,
      .selection = selection,
      .order = p.order,
      .n_tiles = p.n,
      .tiles = p.tiles,
      .input_hash = p.input_hash,
      .config_hash = nsl_config_science_hash(cfg),
      .plan_hash = p.plan_hash,
      .seed = nsl_config_int(cfg, "survey.seed"),
      .partial = partial,
  };
  NSL_TRY(nsl_merge_tiles(&job, log, summary, err));
cleanup:
  planned_free(&p);
  free(config_text);
  free(selection);
  return st;
}
