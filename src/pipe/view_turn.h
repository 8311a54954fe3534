/* Turns tiles of 8 x 8 pixels: rows become columns. */
#ifndef PIPE_VIEW_TURN_H
#define PIPE_VIEW_TURN_H

#include "lanes.h"

#define NSL_TILE LANES

/* Pairs, then pairs of pairs, then halves are exchanged. Inline, so that it is compiled for the processor of its caller. */
static inline __attribute__((always_inline)) void nsl_tile_turn(const vec in[NSL_TILE], vec out[NSL_TILE])
{
  const mask low1 = {0, 8, 1, 9, 4, 12, 5, 13}, high1 = {2, 10, 3, 11, 6, 14, 7, 15};
  const mask low2 = {0, 1, 8, 9, 4, 5, 12, 13}, high2 = {2, 3, 10, 11, 6, 7, 14, 15};
  const mask low4 = {0, 1, 2, 3, 8, 9, 10, 11}, high4 = {4, 5, 6, 7, 12, 13, 14, 15};
  vec a[NSL_TILE], b[NSL_TILE];
  for (int i = 0; i < NSL_TILE; i += 2) {
    b[i] = __builtin_shuffle(in[i], in[i + 1], low1);
    b[i + 1] = __builtin_shuffle(in[i], in[i + 1], high1);
  }
  for (int i = 0; i < NSL_TILE; i += 4) {
    a[i] = __builtin_shuffle(b[i], b[i + 2], low2);
    a[i + 1] = __builtin_shuffle(b[i], b[i + 2], high2);
    a[i + 2] = __builtin_shuffle(b[i + 1], b[i + 3], low2);
    a[i + 3] = __builtin_shuffle(b[i + 1], b[i + 3], high2);
  }
  for (int i = 0; i < NSL_TILE / 2; i++) {
    out[i] = __builtin_shuffle(a[i], a[i + 4], low4);
    out[i + 4] = __builtin_shuffle(a[i], a[i + 4], high4);
  }
}

#endif
