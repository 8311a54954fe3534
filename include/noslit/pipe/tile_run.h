/* One tile from task to tile file: what a worker does, without MPI. Local. */
#ifndef NOSLIT_PIPE_TILE_RUN_H
#define NOSLIT_PIPE_TILE_RUN_H

#include "noslit/pipe/infer.h"
#include "noslit/pipe/plan.h"
#include "noslit/pipe/tile_file.h"

typedef struct nsl_tile_runner nsl_tile_runner;

/* Loads model and instrument once. beat (may be NULL) is called between stamp batches: a worker's heartbeat; when it returns
 * non-zero the tile is given up with NSL_E_DRAINED. */
typedef int nsl_beat(void *ctx);
nsl_status nsl_tile_runner_new(const nsl_config *cfg, const nsl_log *log, nsl_tile_runner **out, nsl_error *err);
void nsl_tile_runner_free(nsl_tile_runner *r);
nsl_status nsl_tile_run(nsl_tile_runner *r, nsl_tile_id tile, int attempt, nsl_beat *beat, void *ctx, nsl_tile_head *head,
                        nsl_error *err);

/* Is the tile's file there, whole, and made by this configuration, model, instrument and input? */
typedef enum { NSL_TILE_DONE, NSL_TILE_MISSING, NSL_TILE_CORRUPT, NSL_TILE_STALE } nsl_tile_state;
/* expected: heads' hashes that a fresh file must carry. full: read and hash all rows, else head, size and `complete` only. */
nsl_status nsl_tile_check(const nsl_tile_runner *r, const nsl_plan_tile *tile, int full, nsl_tile_state *state, char *why,
                          size_t size, nsl_error *err);

#endif
