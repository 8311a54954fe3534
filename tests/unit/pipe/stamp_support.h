/* Stamps for tests of pipe and par: planes of n stamps, and an instrument with two bands. */
#ifndef STAMP_SUPPORT_H
#define STAMP_SUPPORT_H

#include <stdlib.h>

#include "noslit/model/instrument.h"
#include "noslit/model/stamp.h"

/* n empty stamps (set->n = n); free() the set's three planes and stamps by stamps_drop. */
static inline void stamps_make(nsl_stamp_set *set, size_t n)
{
  set->n = set->capacity = n;
  set->stamps = calloc(n, sizeof *set->stamps);
  set->flux = calloc(n * NSL_STAMP_PIXELS, sizeof(float));
  set->variance = calloc(n * NSL_STAMP_PIXELS, sizeof(float));
  set->contamination = calloc(n * NSL_STAMP_PIXELS, sizeof(float));
  for (size_t i = 0; i < n; i++) {
    set->stamps[i].flux = set->flux + i * NSL_STAMP_PIXELS;
    set->stamps[i].variance = set->variance + i * NSL_STAMP_PIXELS;
    set->stamps[i].contamination = set->contamination + i * NSL_STAMP_PIXELS;
  }
}

static inline void stamps_drop(nsl_stamp_set *set)
{
  free(set->stamps);
  free(set->flux);
  free(set->variance);
  free(set->contamination);
}

/* On the heap, as it is big; caller frees. */
static inline nsl_instrument *instrument_make(void)
{
  nsl_instrument *inst = calloc(1, sizeof *inst);
  inst->n_bands = 3;
  inst->stamp_band[0] = 1;
  inst->stamp_band[1] = 2;
  inst->bands[1] = (nsl_band){"GV", 3490, 7.12, 3800, 6600, 0.19, 0};
  inst->bands[2] = (nsl_band){"GI", 6250, 8.53, 6200, 10000, 0.19, 0};
  return inst;
}

#endif
