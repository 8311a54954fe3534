/* Light that was rendered once, moved to where another exposure has it: interpolation by cubic B-splines. test_mock_plate
 * measures what that costs. The clones do the same operations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"
#include "mock_warp.h"

enum { STRIP = 64 /* columns that are moved by the same shift: it changes by less than 1e-3 px */ };
enum { BLOCK = 2 };      /* vectors of columns that are moved in one go */
enum { FIR = 5 };        /* taps of the prefilter along a row, on each side: what is left out is 4e-4 of what it does */
#define Z (-0.26794919f) /* sqrt(3) - 2 */

/* Samples to spline coefficients across the rows (Unser 1999), all columns at once; the end rows go on beyond the ends. */
NSL_VECTORISED static void prefilter_down(float *img, int w, int h)
{
  for (int i = 0; i < w; i++) { img[i] *= 1 / (1 - Z); }
  for (int j = 1; j < h; j++) {
    float *restrict now = img + (size_t)j * (size_t)w;
    const float *restrict last = img + (size_t)(j - 1) * (size_t)w;
    for (int i = 0; i < w; i++) { now[i] += Z * last[i]; }
  }
  if (h > 1) {
    float *restrict end = img + (size_t)(h - 1) * (size_t)w;
    const float *restrict before = img + (size_t)(h - 2) * (size_t)w;
    for (int i = 0; i < w; i++) { end[i] = -6 * Z / (1 - Z * Z) * (end[i] + Z / (1 - Z) * (end[i] - Z * before[i])); }
  }
  for (int j = h - 2; j >= 0; j--) {
    float *restrict now = img + (size_t)j * (size_t)w;
    const float *restrict next = img + (size_t)(j + 1) * (size_t)w;
    for (int i = 0; i < w; i++) { now[i] = Z * (next[i] - 6 * now[i]); }
  }
}

/* The same along a row, as a sum; from has FIR values more on both sides. */
NSL_VECTORISED static void prefilter_along(const float *restrict from, int w, const float tap[FIR + 1], float *restrict to)
{
  const float t[FIR + 1] = {tap[0], tap[1], tap[2], tap[3], tap[4], tap[5]};
  for (int i = 0; i < w; i++) {
    const float *at = from + i;
    float sum = t[0] * at[0];
    for (int k = 1; k <= FIR; k++) { sum += t[k] * (at[-k] + at[k]); }
    to[i] = sum;
  }
}

int nsl_warp_prepare(nsl_warp *warp, float *img, int w, int h)
{
  float tap[FIR + 1], sum = 0;
  for (int k = 0; k <= FIR; k++) {
    tap[k] = (k ? tap[k - 1] : 1) * (k ? Z : 1);
    sum += (k ? 2 : 1) * tap[k];
  }
  for (int k = 0; k <= FIR; k++) { tap[k] /= sum; }
  if (!nsl_warp_reserve(warp, (size_t)w + 2 * FIR)) { return 0; }
  float *row = warp->memory;
  prefilter_down(img, w, h);
  for (int j = 0; j < h; j++) {
    float *of = img + (size_t)j * (size_t)w;
    memcpy(row + FIR, of, (size_t)w * sizeof *row);
    for (int k = 0; k < FIR; k++) {
      row[k] = of[0];
      row[FIR + w + k] = of[w - 1];
    }
    prefilter_along(row + FIR, w, tap, of);
  }
  return 1;
}

int nsl_warp_reserve(nsl_warp *warp, size_t n)
{
  if (n <= warp->capacity) { return 1; }
  float *p = malloc((n + n / 4) * sizeof *p);
  if (!p) { return 0; }
  free(warp->memory);
  warp->memory = p;
  warp->capacity = n + n / 4;
  return 1;
}

void nsl_warp_free(nsl_warp *warp)
{
  free(warp->memory);
  *warp = (nsl_warp){0};
}

/* Weights of the four coefficients round a place, `u` after the second. */
static void spline(double u, double scale, float w[4])
{
  double v = 1 - u;
  w[0] = (float)(scale * v * v * v / 6);
  w[1] = (float)(scale * (4 - 6 * u * u + 3 * u * u * u) / 6);
  w[2] = (float)(scale * (4 - 6 * v * v + 3 * v * v * v) / 6);
  w[3] = (float)(scale * u * u * u / 6);
}

/* What a strip of columns is made of: rows `first` + j .. first + j + 3 of the coefficients (kept within 0 .. ph - 1), four columns
 * from `from` on. */
typedef struct {
  const float *from;
  int pw, ph, first;
  float wx[4], wy[4];
} strip;

/* `vectors` of columns: rows, summed along x, wait in registers until the next three are. */
static inline __attribute__((always_inline)) void show_block(const strip *s, int i, const int vectors, int h, float *to, int w)
{
  const wide zero = {0}, a0 = zero + s->wx[0], a1 = zero + s->wx[1], a2 = zero + s->wx[2], a3 = zero + s->wx[3];
  wide r[4][BLOCK] = {{zero}};
  for (int j = -3; j < h; j++) {
    int row = s->first + j + 3;
    const float *line = s->from + (size_t)(row < 0 ? 0 : row > s->ph - 1 ? s->ph - 1 : row) * (size_t)s->pw + i;
    for (int k = 0; k < vectors; k++) {
      const float *at = line + k * WIDE_LANES;
      r[0][k] = r[1][k];
      r[1][k] = r[2][k];
      r[2][k] = r[3][k];
      r[3][k] =
          (a0 * *(const wide *)at + a1 * *(const wide *)(at + 1)) + (a2 * *(const wide *)(at + 2) + a3 * *(const wide *)(at + 3));
    }
    if (j < 0) { continue; }
    for (int k = 0; k < vectors; k++) {
      wide v = (s->wy[0] * r[0][k] + s->wy[1] * r[1][k]) + (s->wy[2] * r[2][k] + s->wy[3] * r[3][k]);
      *(wide *)(to + (size_t)j * (size_t)w + i + k * WIDE_LANES) =
          (wide)((wide_mask)v & (v > 0)); /* what rings below zero is zero */
    }
  }
}

/* Columns that move together, to[j][0..n); n is a multiple of WIDE_LANES. Wide blocks use whole cache lines. */
NSL_VECTORISED static void show_strip(const strip *s, int n, int h, float *to, int w)
{
  int i = 0;
  for (; i + BLOCK * WIDE_LANES <= n; i += BLOCK * WIDE_LANES) { show_block(s, i, BLOCK, h, to, w); }
  for (; i < n; i += WIDE_LANES) { show_block(s, i, 1, h, to, w); }
}

static double along(const double shift[3], double u) { return shift[0] + u * (shift[1] + u * shift[2]); }

static int clamp(int v, int lo, int hi) { return v < lo ? lo : v > hi ? hi : v; }

/* A window too narrow for vectors. */
static void show_narrow(const strip *s, int n, int h, float *to)
{
  for (int j = 0; j < h; j++) {
    for (int i = 0; i < n; i++) {
      float v = 0;
      for (int k = 0; k < 4; k++) {
        const float *at = s->from + (size_t)clamp(s->first + j + k, 0, s->ph - 1) * (size_t)s->pw + i;
        v += s->wy[k] * (s->wx[0] * at[0] + s->wx[1] * at[1] + s->wx[2] * at[2] + s->wx[3] * at[3]);
      }
      to[j * n + i] = v > 0 ? v : 0;
    }
  }
}

void nsl_warp_show(const nsl_warp_move *m, const float *plate, int pw, int ph, int w, int h, float *img)
{
  for (int a = 0; a < w; a += STRIP) {
    int n = w - a < STRIP ? w - a : STRIP, whole = n - n % WIDE_LANES;
    double u = (a + 0.5 * (n - 1) - m->middle) / m->half, stretch = 1 + (m->x[1] + 2 * u * m->x[2]) / m->half;
    double x = along(m->x, u), y = along(m->y, u), whole_x = floor(x), whole_y = floor(y);
    strip s = {.pw = pw, .ph = ph, .first = (int)whole_y - 1};
    spline(x - whole_x, stretch, s.wx);
    spline(y - whole_y, 1, s.wy);
    int shift = (int)whole_x - 1;
    if (w < WIDE_LANES) {
      s.from = plate + clamp(shift, 0, pw - n - 3);
      show_narrow(&s, n, h, img);
      return;
    }
    s.from = plate + clamp(a + shift, 0, pw - whole - 3);
    show_strip(&s, whole, h, img + a, w);
    if (whole < n) { /* the last vector begins earlier and writes some columns again */
      s.from = plate + clamp(w - WIDE_LANES + shift, 0, pw - WIDE_LANES - 3);
      show_strip(&s, WIDE_LANES, h, img + w - WIDE_LANES, w);
    }
  }
}
