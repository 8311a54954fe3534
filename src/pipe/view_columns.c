/* A view's cut-out, cleaned and turned so that columns are contiguous: what follows works on columns. The clones do the
 * same operations: same bits everywhere. */
#include <float.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "view_turn.h"
#include "views_internal.h"

enum { SIDE = NSL_TILE };

/* A band of tiles one above the other: `stride` from row to row. */
typedef struct {
  const float *sci, *err, *neighbours;
  const int32_t *dq;
  size_t stride;
} band_of_tiles;

/* Where its tiles go: columns are `column` values apart, their planes `plane` values. Holes of the SIDE columns are noted. */
typedef struct {
  float *data;
  int32_t *holes;
  size_t column, plane;
} target;

/* A turned tile to the target. */
static inline __attribute__((always_inline)) void put_turned(const vec r[SIDE], int plane, const target *to)
{
  vec turned[SIDE];
  nsl_tile_turn(r, turned);
  float *at = to->data + (size_t)plane * to->plane;
  for (int i = 0; i < SIDE; i++, at += to->column) { *(vec *)at = turned[i]; }
}

/* Cleans and turns n tiles. Returns the OR of their dq. */
NSL_VECTORISED static int32_t make_tiles(band_of_tiles from, int n, int32_t bad, target to)
{
  mask seen = {0}, whole = seen == 0;
  int32_t all = 0;
  for (int tile = 0; tile < n; tile++, to.data += SIDE) {
    vec flux[SIDE], variance[SIDE], light[SIDE];
    for (int j = 0; j < SIDE; j++) {
      vec f = *(const vec *)from.sci, e = *(const vec *)from.err;
      mask d = *(const mask *)from.dq;
      mask ok = (f <= FLT_MAX) & (f >= -FLT_MAX) & (e <= FLT_MAX) & (e > 0) & ((d & bad) == 0);
      seen |= d;
      whole &= ok;
      flux[j] = (vec)((mask)f & ok);
      variance[j] = (vec)((mask)(e * e) & ok);
      light[j] = *(const vec *)from.neighbours;
      from.sci += from.stride;
      from.err += from.stride;
      from.dq += from.stride;
      from.neighbours += from.stride;
    }
    put_turned(flux, NSL_COLUMN_FLUX, &to);
    put_turned(variance, NSL_COLUMN_VARIANCE, &to);
    put_turned(light, NSL_COLUMN_NEIGHBOURS, &to);
  }
  *(mask *)to.holes |= ~whole;
  for (int i = 0; i < SIDE; i++) { all |= seen[i]; }
  return all;
}

/* A tile of a window that is too small, or of a view without neighbours: missing rows are as the last, what else is missing is
 * zero. n columns of it are there. */
static int32_t make_part(const nsl_view *view, int x, int y, int n_columns, int32_t bad, target to)
{
  float sci[SIDE][SIDE] = {{0}}, err[SIDE][SIDE] = {{0}}, neighbours[SIDE][SIDE] = {{0}}, out[SIDE][NSL_COLUMN_PLANES][SIDE];
  int32_t dq[SIDE][SIDE] = {{0}};
  size_t n = (size_t)n_columns;
  for (int j = 0; j < SIDE; j++) {
    int row = y + j < view->h ? y + j : view->h - 1;
    size_t from = (size_t)row * (size_t)view->w + (size_t)x;
    memcpy(sci[j], view->sci + from, n * sizeof(float));
    memcpy(err[j], view->err + from, n * sizeof(float));
    memcpy(dq[j], view->dq + from, n * sizeof(int32_t));
    if (view->neighbours) { memcpy(neighbours[j], view->neighbours + from, n * sizeof(float)); }
  }
  band_of_tiles from = {sci[0], err[0], neighbours[0], dq[0], SIDE};
  int32_t seen = make_tiles(from, 1, bad, (target){out[0][0], to.holes, NSL_COLUMN_PLANES * SIDE, SIDE});
  for (size_t i = 0; i < n; i++) {
    for (size_t p = 0; p < NSL_COLUMN_PLANES; p++) { memcpy(to.data + i * to.column + p * to.plane, out[i][p], sizeof out[i][p]); }
  }
  return seen;
}

/* SIDE columns from x on of a window that has as many, and as many rows. */
static int32_t make_band(const nsl_view *view, int x, int32_t bad, target to)
{
  size_t w = (size_t)view->w, at = (size_t)x;
  int whole = view->h / SIDE, top = view->h - SIDE;
  band_of_tiles from = {view->sci + at, view->err + at, view->neighbours + at, view->dq + at, w};
  int32_t seen = make_tiles(from, whole, bad, to);
  if (view->h % SIDE == 0) { return seen; }
  at += (size_t)top * w; /* the last rows, some of them again */
  to.data += top;
  from = (band_of_tiles){view->sci + at, view->err + at, view->neighbours + at, view->dq + at, w};
  return seen | make_tiles(from, 1, bad, to);
}

int nsl_columns_height(int h) { return (h + SIDE - 1) / SIDE * SIDE; }

void nsl_columns_make(const nsl_view *view, const nsl_dq_bits *bits, nsl_columns *out)
{
  size_t w = (size_t)view->w, height = (size_t)out->height;
  int32_t seen = 0, bad = (int32_t)bits->bad;
  int banded = view->neighbours && view->w >= SIDE && view->h >= SIDE;
  memset(out->holes, 0, (w + NSL_COLUMNS_SPARE) * sizeof *out->holes);
  for (int x = 0; x < view->w; x += SIDE) {
    int left = view->w - x, from = banded && left < SIDE ? view->w - SIDE : x; /* the last band begins earlier */
    target to = {out->data + (size_t)from * NSL_COLUMN_PLANES * height, out->holes + from, NSL_COLUMN_PLANES * height, height};
    if (banded) {
      seen |= make_band(view, from, bad, to);
      continue;
    }
    for (int y = 0; y < view->h; y += SIDE, to.data += SIDE) { seen |= make_part(view, x, y, left < SIDE ? left : SIDE, bad, to); }
  }
  out->any_saturated = ((unsigned)seen & bits->saturated) != 0;
}
