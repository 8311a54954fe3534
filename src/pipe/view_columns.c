/* A view's cut-out, cleaned and turned so that columns are contiguous: what follows works on columns. The clones do the
 * same operations: same bits everywhere. */
#include <float.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "view_turn.h"
#include "views_internal.h"

enum { SIDE = NSL_TILE };

/* Where a tile goes: n columns of it, `column` values apart; planes are `plane` values apart. Holes of SIDE columns are noted. */
typedef struct {
  float *data;
  int32_t *holes;
  size_t column, plane;
  int n;
} target;

/* A turned tile to the target. */
static inline __attribute__((always_inline)) void put_turned(const vec r[SIDE], int plane, const target *to)
{
  vec turned[SIDE];
  nsl_tile_turn(r, turned);
  float *at = to->data + (size_t)plane * to->plane;
  for (int i = 0; i < to->n; i++, at += to->column) { *(vec *)at = turned[i]; }
}

/* Cleans and turns a tile; sci, err, dq and neighbours are its rows, `stride` apart. Returns the OR of its dq. */
NSL_VECTORISED static int32_t make_tile(const float *sci, const float *err, const int32_t *dq, const float *neighbours,
                                        size_t stride, int32_t bad, const target *to)
{
  mask seen = {0}, whole = seen == 0;
  vec flux[SIDE], variance[SIDE], light[SIDE];
  int32_t all = 0;
  for (int j = 0; j < SIDE; j++) {
    vec f = *(const vec *)(sci + (size_t)j * stride), e = *(const vec *)(err + (size_t)j * stride);
    mask d = *(const mask *)(dq + (size_t)j * stride);
    mask ok = (f <= FLT_MAX) & (f >= -FLT_MAX) & (e <= FLT_MAX) & (e > 0) & ((d & bad) == 0);
    seen |= d;
    whole &= ok;
    flux[j] = (vec)((mask)f & ok);
    variance[j] = (vec)((mask)(e * e) & ok);
    light[j] = *(const vec *)(neighbours + (size_t)j * stride);
  }
  put_turned(flux, NSL_COLUMN_FLUX, to);
  put_turned(variance, NSL_COLUMN_VARIANCE, to);
  put_turned(light, NSL_COLUMN_NEIGHBOURS, to);
  *(mask *)to->holes |= ~whole;
  for (int i = 0; i < SIDE; i++) { all |= seen[i]; }
  return all;
}

/* A tile at the window's edge, or of a view without neighbours: missing rows are as the last, what else is missing is zero. */
static int32_t make_part(const nsl_view *view, int x, int y, int32_t bad, const target *to)
{
  float sci[SIDE][SIDE] = {{0}}, err[SIDE][SIDE] = {{0}}, neighbours[SIDE][SIDE] = {{0}};
  int32_t dq[SIDE][SIDE] = {{0}};
  size_t n = (size_t)to->n;
  for (int j = 0; j < SIDE; j++) {
    int row = y + j < view->h ? y + j : view->h - 1;
    size_t from = (size_t)row * (size_t)view->w + (size_t)x;
    memcpy(sci[j], view->sci + from, n * sizeof(float));
    memcpy(err[j], view->err + from, n * sizeof(float));
    memcpy(dq[j], view->dq + from, n * sizeof(int32_t));
    if (view->neighbours) { memcpy(neighbours[j], view->neighbours + from, n * sizeof(float)); }
  }
  return make_tile(sci[0], err[0], dq[0], neighbours[0], SIDE, bad, to);
}

int nsl_columns_height(int h) { return (h + SIDE - 1) / SIDE * SIDE; }

void nsl_columns_make(const nsl_view *view, const nsl_dq_bits *bits, nsl_columns *out)
{
  size_t w = (size_t)view->w, height = (size_t)out->height;
  int32_t seen = 0, bad = (int32_t)bits->bad;
  memset(out->holes, 0, (w + NSL_COLUMNS_SPARE) * sizeof *out->holes);
  for (int x = 0; x < view->w; x += SIDE) {
    int n = view->w - x < SIDE ? view->w - x : SIDE;
    for (int y = 0; y < view->h; y += SIDE) {
      size_t at = (size_t)y * w + (size_t)x;
      target to = {out->data + (size_t)x * NSL_COLUMN_PLANES * height + y, out->holes + x, NSL_COLUMN_PLANES * height, height, n};
      int whole = view->neighbours && n == SIDE && view->h - y >= SIDE;
      seen |= whole ? make_tile(view->sci + at, view->err + at, view->dq + at, view->neighbours + at, w, bad, &to)
                    : make_part(view, x, y, bad, &to);
    }
  }
  out->any_saturated = ((unsigned)seen & bits->saturated) != 0;
}
