/* One tile from task to tile file: what a worker does, without MPI. Local. */
#ifndef NOSLIT_PIPE_TILE_RUN_H
#define NOSLIT_PIPE_TILE_RUN_H

#include "noslit/model/instrument.h"
#include "noslit/pipe/head_index.h"
#include "noslit/pipe/infer.h"
#include "noslit/pipe/plan.h"
#include "noslit/pipe/tile_file.h"

typedef struct nsl_tile_runner nsl_tile_runner;

/* What a tile's file must say of itself to count as done, apart from its own input hash. */
typedef struct {
  const char *workdir;   /* borrowed from the configuration */
  const nsl_config *cfg; /* borrowed; NULL: reasons do not say which setting has changed */
  int order;
  nsl_hash config_hash, model_hash, instrument_hash; /* zero: unknown, not compared */
} nsl_tile_expectation;

/* Without a runner, for whoever only looks. A model that cannot be read leaves model_hash zero, and *why_no_model (size bytes) says
 * why. */
void nsl_tile_expectation_make(const nsl_config *cfg, const nsl_instrument *inst, nsl_tile_expectation *out, char *why_no_model,
                               size_t size);

/* Loads model and instrument once, and checks OpenBLAS. Messages are fit for the user. */
nsl_status nsl_tile_runner_new(const nsl_config *cfg, const nsl_log *log, nsl_tile_runner **out, nsl_error *err);
void nsl_tile_runner_free(nsl_tile_runner *r);
const nsl_instrument *nsl_tile_runner_instrument(const nsl_tile_runner *r);    /* borrowed */
const nsl_tile_expectation *nsl_tile_runner_expects(const nsl_tile_runner *r); /* borrowed */

int64_t nsl_tile_runner_row_bytes(const nsl_tile_runner *r); /* of a tile file at most, per source */

/* beat (may be NULL) is called between stamp batches: a worker's heartbeat; when it returns non-zero the tile is given up with
 * NSL_E_DRAINED. */
typedef int nsl_beat(void *ctx);
/* Makes and publishes the tile's file. The rows are those of the measured sources, sorted by object_id; one that cannot be measured
 * keeps its row with flags. head (not NULL) receives what was written. next: the tile that will probably come after it, or -1; its
 * exposures are opened and its pixels announced to the system while this one computes. */
nsl_status nsl_tile_run(nsl_tile_runner *r, nsl_tile_id tile, nsl_tile_id next, int attempt, nsl_beat *beat, void *ctx,
                        nsl_tile_head *head, nsl_error *err);

/* Is the tile's file there, whole, and made by this configuration, model, instrument and input? */
typedef enum { NSL_TILE_DONE, NSL_TILE_MISSING, NSL_TILE_CORRUPT, NSL_TILE_STALE } nsl_tile_state;
/* full: read and hash all rows, else the head only (one small read). why: the reason when not DONE. head (not NULL): what the file
 * says of itself, when it could be read. */
nsl_status nsl_tile_check(const nsl_tile_expectation *e, const nsl_plan_tile *tile, int full, nsl_tile_head *head,
                          nsl_tile_state *state, char *why, size_t size, nsl_error *err);
/* The same from the head alone, which an index may remember; i: the tile's number in its list. heads may be NULL. */
nsl_status nsl_tile_check_head(const nsl_tile_expectation *e, const nsl_plan_tile *tile, nsl_head_index *heads, size_t i,
                               nsl_tile_head *head, nsl_tile_state *state, char *why, size_t size, nsl_error *err);

#endif
