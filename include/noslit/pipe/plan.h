/* The plan: which tiles there are, which sources and exposures each has, what it will cost. Made by `noslit plan` (and by `run`
 * when it is missing or out of date) without reading a pixel. Local.
 *
 * On disk, under <workdir>/plan/: index.h5 holds the tile table (tile, number of sources, exposures, predicted seconds, input
 * hash, shard) and the exposure table; shard files Dir=<d>.h5 hold the sources sorted by tile, so that no file is opened by
 * every rank at once and the master never holds sources. */
#ifndef NOSLIT_PIPE_PLAN_H
#define NOSLIT_PIPE_PLAN_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"
#include "noslit/model/source.h"
#include "noslit/pipe/exposure.h"

typedef struct {
  nsl_tile_id tile;
  int64_t n_sources;
  int n_exposures;
  double cost_s;       /* predicted CPU seconds */
  nsl_hash input_hash; /* of its sources, neighbours and exposure headers: what makes it stale when changed */
} nsl_plan_tile;

typedef struct {
  int order;
  size_t n_tiles;
  nsl_plan_tile *tiles; /* sorted by tile id */
  size_t n_exposures;
  nsl_exposure_info *exposures;
  size_t n_lost; /* exposures that could not be used, with their reasons */
  char **lost_path, **lost_reason;
  int64_t n_sources;
  nsl_hash hash;
} nsl_plan;

/* Makes the plan from the configuration's inputs and writes it. */
nsl_status nsl_plan_make(const nsl_config *cfg, const nsl_instrument *inst, const nsl_log *log, nsl_error *err);
/* Reads the index (no sources). NSL_E_NOTFOUND when there is none. */
nsl_status nsl_plan_read(const nsl_config *cfg, nsl_plan *out, nsl_error *err);
void nsl_plan_free(nsl_plan *plan);
/* Were the inputs (catalogue, exposure list, instrument, planning keys) changed since? *fresh 0/1; why says what. */
nsl_status nsl_plan_is_fresh(const nsl_config *cfg, const nsl_instrument *inst, const nsl_plan *plan, int *fresh, char *why,
                             size_t size, nsl_error *err);

/* Everything a worker needs for one tile. */
typedef struct {
  int order;
  nsl_tile_id tile;
  size_t n_sources;
  nsl_source *sources; /* the tile's own, sorted by id */
  size_t n_neighbours;
  nsl_source *neighbours; /* others whose light may fall on them */
  size_t n_exposures;
  nsl_exposure_info *exposures; /* those that may hold a spectrum of one of its sources, sorted by (obsid, detector) */
  nsl_hash input_hash;
} nsl_tile_task;

nsl_status nsl_plan_task(const nsl_config *cfg, nsl_tile_id tile, nsl_tile_task *out, nsl_error *err);
void nsl_tile_task_free(nsl_tile_task *task);

#endif
