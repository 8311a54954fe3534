/* The completeness audit: is every source of the input catalogue in the product, or is there a reason why not? It reads the input
 * catalogue and the product, not what the plan made of them, so that a source lost on the way shows. Local. */
#ifndef NOSLIT_PAR_AUDIT_H
#define NOSLIT_PAR_AUDIT_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/instrument.h"

#define NSL_AUDIT_TOLD 20

typedef struct {
  int64_t input;       /* sources of the input catalogue */
  int64_t with_pdf;    /* in the product, with a PDF */
  int64_t without_pdf; /* in the product, without one: its flags say why */
  int64_t no_pdf_flag[16];
  /* Not in the product, since: */
  int64_t rejected;    /* no usable position */
  int64_t faint;       /* fainter than input.mag_faint: a neighbour only */
  int64_t quarantined; /* its tile was given up */
  int64_t not_done;    /* its tile is missing, corrupt or stale: the run is not over */
  int64_t not_merged;  /* its tile is done: the product is older than that, or a part */
  int64_t lost;        /* for no reason: no planned tile wants it */
  int64_t foreign;     /* rows of the product that are not in the input catalogue */
  int n_told;
  struct {
    int64_t id, tile;
    const char *what;
  } told[NSL_AUDIT_TOLD]; /* the first of not_done, not_merged, lost */
} nsl_audit;

/* max_ids: identifiers of the product held at a time, 0 for the usual 16 million; a larger product takes several passes. */
nsl_status nsl_audit_survey(const nsl_config *cfg, const nsl_instrument *inst, int64_t max_ids, nsl_audit *out, nsl_error *err);

#endif
