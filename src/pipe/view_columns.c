/* A view's cut-out, cleaned and turned so that columns are contiguous: what follows works on columns. The AVX2 clones do the
 * same operations as the plain ones: same bits everywhere. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "views_internal.h"

enum { SIDE = 8 }; /* a tile is 8 x 8 pixels */

typedef float row __attribute__((vector_size(SIDE * sizeof(float)), aligned(4)));
typedef int32_t mask __attribute__((vector_size(SIDE * sizeof(int32_t))));

typedef struct {
  float plane[NSL_COLUMN_PLANES][SIDE][SIDE];
} tile;

/* Rows become columns: pairs, then pairs of pairs, then halves are exchanged. */
static inline __attribute__((always_inline)) void transpose(float t[SIDE][SIDE])
{
  row a[SIDE], b[SIDE];
  memcpy(a, t, sizeof a);
  const mask low1 = {0, 8, 1, 9, 4, 12, 5, 13}, high1 = {2, 10, 3, 11, 6, 14, 7, 15};
  const mask low2 = {0, 1, 8, 9, 4, 5, 12, 13}, high2 = {2, 3, 10, 11, 6, 7, 14, 15};
  const mask low4 = {0, 1, 2, 3, 8, 9, 10, 11}, high4 = {4, 5, 6, 7, 12, 13, 14, 15};
  for (int i = 0; i < SIDE; i += 2) {
    b[i] = __builtin_shuffle(a[i], a[i + 1], low1);
    b[i + 1] = __builtin_shuffle(a[i], a[i + 1], high1);
  }
  for (int i = 0; i < SIDE; i += 4) {
    a[i] = __builtin_shuffle(b[i], b[i + 2], low2);
    a[i + 1] = __builtin_shuffle(b[i], b[i + 2], high2);
    a[i + 2] = __builtin_shuffle(b[i + 1], b[i + 3], low2);
    a[i + 3] = __builtin_shuffle(b[i + 1], b[i + 3], high2);
  }
  for (int i = 0; i < SIDE / 2; i++) {
    b[i] = __builtin_shuffle(a[i], a[i + 4], low4);
    b[i + 4] = __builtin_shuffle(a[i], a[i + 4], high4);
  }
  memcpy(t, b, sizeof b);
}

/* Cleans and turns a whole tile; sci, err, dq and neighbours are its rows, `stride` apart. Returns the OR of its dq. */
__attribute__((target_clones("avx2", "default"))) static int32_t
make_tile(const float *sci, const float *err, const int32_t *dq, const float *neighbours, size_t stride, int32_t bad, tile *t)
{
  int32_t seen[SIDE] = {0}, all = 0;
  for (int j = 0; j < SIDE; j++) {
    for (int i = 0; i < SIDE; i++) {
      float f = sci[i], e = err[i];
      int32_t ok = (fabsf(f) <= FLT_MAX) & (e <= FLT_MAX) & (e > 0) & !(dq[i] & bad);
      seen[i] |= dq[i];
      t->plane[NSL_COLUMN_GOOD][j][i] = ok ? 1.0f : 0.0f;
      t->plane[NSL_COLUMN_FLUX][j][i] = ok ? f : 0.0f;
      t->plane[NSL_COLUMN_VARIANCE][j][i] = ok ? e * e : 0.0f;
      t->plane[NSL_COLUMN_NEIGHBOURS][j][i] = neighbours[i];
    }
    sci += stride;
    err += stride;
    dq += stride;
    neighbours += stride;
  }
  for (int p = 0; p < NSL_COLUMN_PLANES; p++) { transpose(t->plane[p]); }
  for (int i = 0; i < SIDE; i++) { all |= seen[i]; }
  return all;
}

/* A tile at the window's edge, or of a view without neighbours: what is missing is zero. */
static int32_t make_part(const nsl_view *view, int x, int y, int32_t bad, tile *t)
{
  float sci[SIDE][SIDE] = {{0}}, err[SIDE][SIDE] = {{0}}, neighbours[SIDE][SIDE] = {{0}};
  int32_t dq[SIDE][SIDE] = {{0}};
  size_t n = (size_t)(view->w - x < SIDE ? view->w - x : SIDE);
  for (int j = 0; j < SIDE && y + j < view->h; j++) {
    size_t from = (size_t)(y + j) * (size_t)view->w + (size_t)x;
    memcpy(sci[j], view->sci + from, n * sizeof(float));
    memcpy(err[j], view->err + from, n * sizeof(float));
    memcpy(dq[j], view->dq + from, n * sizeof(int32_t));
    if (view->neighbours) { memcpy(neighbours[j], view->neighbours + from, n * sizeof(float)); }
  }
  return make_tile(sci[0], err[0], dq[0], neighbours[0], SIDE, bad, t);
}

int nsl_columns_height(int h) { return (h + SIDE - 1) / SIDE * SIDE; }

void nsl_columns_make(const nsl_view *view, const nsl_dq_bits *bits, nsl_columns *out)
{
  size_t w = (size_t)view->w;
  int32_t seen = 0;
  for (int x = 0; x < view->w; x += SIDE) {
    int n = view->w - x < SIDE ? view->w - x : SIDE;
    for (int y = 0; y < view->h; y += SIDE) {
      tile t;
      size_t at = (size_t)y * w + (size_t)x;
      int whole = view->neighbours && n == SIDE && view->h - y >= SIDE;
      seen |= whole ? make_tile(view->sci + at, view->err + at, view->dq + at, view->neighbours + at, w, (int32_t)bits->bad, &t)
                    : make_part(view, x, y, (int32_t)bits->bad, &t);
      for (int i = 0; i < n; i++) {
        for (int p = 0; p < NSL_COLUMN_PLANES; p++) {
          memcpy(out->data + ((size_t)(x + i) * NSL_COLUMN_PLANES + (size_t)p) * (size_t)out->height + y, t.plane[p][i],
                 sizeof t.plane[p][i]);
        }
      }
    }
  }
  out->any_saturated = ((unsigned)seen & bits->saturated) != 0;
}
