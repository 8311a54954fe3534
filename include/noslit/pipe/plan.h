/* The plan: which tiles there are, which sources and exposures each has, what it will cost. Made by `noslit plan` (and by `run`
 * when it is missing or out of date) without reading a pixel. Local.
 *
 * On disk, under <workdir>/plan/: index.h5 holds the tile table (tile, numbers of sources, exposures and visits, input hash) and
 * the exposure table; in a folder named after the inputs, Dir=<d>.sources.h5 hold the sources sorted by tile and Dir=<d>.tiles.h5
 * the exposures of each tile, so that no file is opened by every rank at once and the master never holds sources.
 *
 * A tile is planned when at least one source in it is to be measured. Sources fainter than input.mag_faint are neighbours only. A
 * source without a usable position belongs to no tile: it is listed as rejected. */
#ifndef NOSLIT_PIPE_PLAN_H
#define NOSLIT_PIPE_PLAN_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"
#include "noslit/model/source.h"
#include "noslit/pipe/exposure.h"

typedef struct {
  nsl_tile_id tile;
  int64_t n_sources; /* to be measured: rows of the tile file */
  int64_t n_visits;  /* pairs of such a source and an exposure that may hold its spectrum */
  int n_exposures;
  double cost_s;       /* predicted seconds on one core, from the cost model of the day */
  nsl_hash input_hash; /* of its sources, neighbours and exposure headers: what makes it stale when changed */
} nsl_plan_tile;

typedef enum { NSL_REJECT_POSITION, NSL_REJECT_DECLINATION } nsl_reject_reason;

typedef struct {
  int64_t id, row; /* row of the catalogue, counted from 1 */
  nsl_reject_reason reason;
} nsl_plan_rejected;
const char *nsl_reject_text(nsl_reject_reason reason);

typedef struct {
  int order;
  size_t n_tiles;
  nsl_plan_tile *tiles; /* sorted by tile id */
  size_t n_exposures;
  nsl_exposure_info *exposures; /* NULL after nsl_plan_read; see nsl_plan_read_exposures */
  size_t n_lost;                /* exposures that could not be used, with their reasons */
  char **lost_path, **lost_reason;
  size_t n_rejected; /* sources that belong to no tile */
  nsl_plan_rejected *rejected;
  int64_t n_sources, n_faint; /* to be measured; neighbours only */
  nsl_hash hash;              /* of the tile table */
  /* Identities of the inputs it was made from. */
  nsl_hash catalogue_id, exposures_id, instrument_hash, keys_id;
} nsl_plan;

/* Makes the plan from the configuration's inputs and writes it. */
nsl_status nsl_plan_make(const nsl_config *cfg, const nsl_instrument *inst, const nsl_log *log, nsl_error *err);
/* Reads the index without the exposure table. NSL_E_NOTFOUND when there is none. */
nsl_status nsl_plan_read(const nsl_config *cfg, nsl_plan *out, nsl_error *err);
nsl_status nsl_plan_read_exposures(const nsl_config *cfg, nsl_plan *plan, nsl_error *err);
void nsl_plan_free(nsl_plan *plan);
/* Were the inputs (catalogue, exposure list, instrument, planning keys) changed since? *fresh 0/1; why says what (size
 * NSL_ERROR_TEXT_MAX holds the longest; NULL and 0: nobody asks). */
nsl_status nsl_plan_is_fresh(const nsl_config *cfg, const nsl_instrument *inst, const nsl_plan *plan, int *fresh, char *why,
                             size_t size, nsl_error *err);
const nsl_plan_tile *nsl_plan_find(const nsl_plan *plan, nsl_tile_id tile); /* NULL if not planned */

/* Which tiles a selection names by tile, region, exposure or source: chosen[i] = 1 for plan->tiles[i], all for an empty selection.
 * --failed and --stale are not looked at: they depend on what was run. A source or an exposure that is not in the plan is
 * NSL_E_NOTFOUND. --part cuts what is named into shares by the built-in cost model, so that the same plan always gives the same
 * shares, whatever runs have measured; it cannot be joined with --failed and --stale (NSL_E_USAGE). */
nsl_status nsl_plan_choose(const nsl_config *cfg, const nsl_plan *plan, const nsl_select *select, unsigned char *chosen,
                           nsl_error *err);

/* Everything a worker needs for one tile. */
typedef struct {
  int order;
  nsl_tile_id tile;
  size_t n_sources;
  nsl_source *sources; /* the tile's own, sorted by id */
  size_t n_neighbours;
  nsl_source *neighbours; /* others whose light may fall on them, sorted by id */
  size_t n_exposures;
  nsl_exposure_info *exposures; /* those that may hold a spectrum of one of its sources, sorted by (obsid, detector) */
  nsl_hash input_hash;
  int64_t first_row; /* of its sources in the catalogue of all planned tiles */
} nsl_tile_task;

/* NSL_E_NOTFOUND when the tile is not planned, NSL_E_CORRUPT when the plan's files do not give the hash the plan promised. */
nsl_status nsl_plan_task(const nsl_config *cfg, nsl_tile_id tile, nsl_tile_task *out, nsl_error *err);
void nsl_tile_task_free(nsl_tile_task *task);

/* --- what a tile costs --- */

typedef struct {
  double per_visit_s, per_source_s, per_exposure_s, per_tile_s;
  int64_t measured_tiles; /* behind it; 0 for the built-in guess */
} nsl_cost_model;

void nsl_cost_model_default(nsl_cost_model *m);
double nsl_cost_predict(const nsl_cost_model *m, const nsl_plan_tile *tile);
/* Fits the model to measured seconds, staying near the built-in one where the measurements do not say. */
void nsl_cost_fit(const nsl_plan_tile *tiles, const double *seconds, size_t n, nsl_cost_model *out);
/* Of the run that measured most tiles (run/report.json, run/part-I-of-N/report.json), else the built-in guess. */
void nsl_cost_model_load(const char *workdir, nsl_cost_model *out);

#endif
