/* Selections that ask for the state of tiles (--failed, --stale), on top of those that the plan alone answers. Local. */
#ifndef NOSLIT_PAR_CHOOSE_H
#define NOSLIT_PAR_CHOOSE_H

#include "noslit/pipe/plan.h"

/* nsl_plan_choose, and with it --failed (tiles in quarantine) and --stale (their head says so). chosen: [plan->n_tiles]. */
nsl_status nsl_choose_tiles(const nsl_config *cfg, const nsl_instrument *inst, const nsl_plan *plan, const nsl_select *select,
                            unsigned char *chosen, nsl_error *err);
/* For commands that see a catalogue: does the selection need a configuration, which leads to plan and tiles (--exposure, --failed,
 * --stale)? nsl_select_resolve then adds the tiles that these words name, as --tiles does. */
int nsl_select_needs_plan(const nsl_select *select);
nsl_status nsl_select_resolve(const nsl_config *cfg, nsl_select *select, nsl_error *err);

#endif
