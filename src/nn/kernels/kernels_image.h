/* Images with channels innermost: products of packed panels, and the transforms of Winograd-type convolutions.
 *
 * A panel holds MR rows of a matrix as [column / 16][MR][16]. Row r of a product is one chain of multiply-adds over the depth
 * whichever rows stand beside it, so bits do not depend on how many rows there are. */
#if VW == 16
#define MR 12
#elif VW == 8
#define MR 6
#else
#define MR 3
#endif
enum { CB = NSL_CHANNEL_BLOCK, NR = 2 * VW };

/* Keeps gcc from folding a load into every multiply-add that uses it. */
#if defined(__x86_64__)
#define KEEP_IN_REGISTER(v) __asm__("" : "+v"(v))
#else
#define KEEP_IN_REGISTER(v) ((void)0)
#endif

/* lines: cache lines to fetch from `ahead` for every 16 of the depth. */
INLINE void panel_rows(int rows, int depth, const float *a, const float *b, int column, float *c, const float *ahead, int lines)
{
  vf acc[MR][2];
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++) { acc[r][0] = acc[r][1] = splat(0.0f); }
  for (int k0 = 0; k0 < depth; k0 += CB, a += MR * CB, ahead += lines * CB) {
    for (int l = 0; l < lines; l++) { __builtin_prefetch(ahead + l * CB, 0, 2); }
#pragma GCC unroll 4
    for (int k = 0; k < CB; k++, b += NR) {
      vf b0 = load(b), b1 = load(b + VW);
      KEEP_IN_REGISTER(b0);
      KEEP_IN_REGISTER(b1);
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++) {
        vf s = splat(a[r * CB + k]);
        acc[r][0] += s * b0;
        acc[r][1] += s * b1;
      }
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < rows; r++) {
    store(c + (column / CB * MR + r) * CB + column % CB, acc[r][0]);
    store(c + ((column + VW) / CB * MR + r) * CB + (column + VW) % CB, acc[r][1]);
  }
}

static void panel_gemm(int rows, int depth, int columns, const float *a, const float *b, float *c)
{
  /* While one block of columns is used, the next one (or that of the next position) comes from memory. */
  int blocks = (rows + MR - 1) / MR, lines = (NR + blocks - 1) / blocks;
  for (int n = 0; n < columns; n += NR, b += (size_t)depth * NR) {
    const float *ahead = b + (size_t)depth * NR;
    for (int r = 0; r < rows; r += MR, ahead += lines * depth) {
      const float *ar = a + (size_t)r * (size_t)depth;
      float *cr = c + (size_t)r * (size_t)columns;
      if (rows - r > MR / 3 * 2) {
        panel_rows(MR, depth, ar, b, n, cr, ahead, lines);
      } else if (rows - r > MR / 3) {
        panel_rows(MR / 3 * 2, depth, ar, b, n, cr, ahead, lines);
      } else {
        panel_rows(MR / 3, depth, ar, b, n, cr, ahead, lines);
      }
    }
  }
}

/* b [depth][columns] row-major with a factor a column -> the order panel_gemm reads, padded with zero columns. */
static void panel_pack(int depth, int columns, int padded, const double *b, float *to)
{
  for (int n = 0; n < padded; n += NR) {
    for (int k = 0; k < depth; k++) {
      for (int j = n; j < n + NR; j++) { *to++ = j < columns ? (float)b[(size_t)k * (size_t)columns + (size_t)j] : 0.0f; }
    }
  }
}

/* ---- one-dimensional transforms; the matrices are in winograd.c ---- */

INLINE void input_4(const vf *d, vf *t)
{
  vf e = d[4] - 4.0f * d[2], o = d[3] - 4.0f * d[1], f = d[4] - d[2], p = 2.0f * (d[3] - d[1]);
  t[0] = d[4] + (4.0f * d[0] - 5.0f * d[2]);
  t[1] = e + o;
  t[2] = e - o;
  t[3] = f + p;
  t[4] = f - p;
  t[5] = d[5] + (4.0f * d[1] - 5.0f * d[3]);
}

INLINE void output_4(const vf *m, vf *y)
{
  vf s1 = m[1] + m[2], d1 = m[1] - m[2], s2 = m[3] + m[4], d2 = m[3] - m[4];
  y[0] = m[0] + (s1 + s2);
  y[1] = d1 + 2.0f * d2;
  y[2] = s1 + 4.0f * s2;
  y[3] = m[5] + (d1 + 8.0f * d2);
}

INLINE void input_y(int scheme, const vf *d, vf *t)
{
  if (scheme == NSL_ROWS_4) {
    input_4(d, t);
  } else if (scheme == NSL_ROWS_3) {
    t[0] = (2.0f * d[0] - d[1]) + (d[3] - 2.0f * d[2]);
    t[1] = (d[3] - d[2]) - 2.0f * d[1];
    t[2] = d[3] + (2.0f * d[1] - 3.0f * d[2]);
    t[3] = d[3] - d[1];
    t[4] = (d[4] - d[2]) + 2.0f * (d[1] - d[3]);
  } else if (scheme == NSL_ROWS_2) {
    t[0] = d[0] - d[2];
    t[1] = d[1] + d[2];
    t[2] = d[2] - d[1];
    t[3] = d[1] - d[3];
  } else {
    t[0] = d[0] + d[1];
    t[1] = d[1];
    t[2] = d[0];
  }
}

INLINE void output_y(int scheme, const vf *m, vf *y)
{
  if (scheme == NSL_ROWS_4) {
    output_4(m, y);
  } else if (scheme == NSL_ROWS_3) {
    vf s = m[1] + m[2];
    y[0] = m[0] + (s + m[3]);
    y[1] = (m[1] - m[2]) + 2.0f * m[3];
    y[2] = (s + m[4]) + 4.0f * m[3];
  } else if (scheme == NSL_ROWS_2) {
    y[0] = m[0] + (m[1] + m[2]);
    y[1] = (m[1] - m[2]) - m[3];
  } else {
    y[0] = m[0] + m[1];
    y[1] = m[0] + m[2];
  }
}

/* ---- tiles ---- */

INLINE void tile_in(int scheme, int rows, int positions, int n_c, const float *const *pixels, float *v, size_t step)
{
  for (int c = 0; c < n_c; c += VW) {
    vf t[6][6];
    float *to = v + c / CB * MR * CB + c % CB;
#pragma GCC unroll 6
    for (int y = 0; y < rows; y++) {
      vf d[6];
#pragma GCC unroll 6
      for (int x = 0; x < 6; x++) { d[x] = load(pixels[y * 6 + x] + c); }
      input_4(d, t[y]);
    }
#pragma GCC unroll 6
    for (int x = 0; x < 6; x++) {
      vf d[6], u[6];
#pragma GCC unroll 6
      for (int y = 0; y < rows; y++) { d[y] = t[y][x]; }
      input_y(scheme, d, u);
#pragma GCC unroll 6
      for (int p = 0; p < positions; p++) { store(to + (size_t)(p * 6 + x) * step, u[p]); }
    }
  }
}

INLINE vf finish(vf v, const float *bias, const float *residual, size_t at, int relu_too)
{
  v += load(bias);
  if (residual) { v += load(residual + at); }
  return relu_too ? vmax(v, splat(0.0f)) : v;
}

INLINE void tile_out(int scheme, int positions, int rows, int n_c, const float *m, size_t step, const nsl_tile_end *end)
{
  for (int c = 0; c < n_c; c += VW) {
    vf t[6][4];
    const float *from = m + c / CB * MR * CB + c % CB;
#pragma GCC unroll 6
    for (int p = 0; p < positions; p++) {
      vf d[6];
#pragma GCC unroll 6
      for (int x = 0; x < 6; x++) { d[x] = load(from + (size_t)(p * 6 + x) * step); }
      output_4(d, t[p]);
    }
#pragma GCC unroll 4
    for (int x = 0; x < 4; x++) {
      if (x >= end->columns) { break; }
      vf d[6], y[4];
#pragma GCC unroll 6
      for (int p = 0; p < positions; p++) { d[p] = t[p][x]; }
      output_y(scheme, d, y);
#pragma GCC unroll 4
      for (int r = 0; r < rows; r++) {
        size_t at = (size_t)r * end->row_step + (size_t)x * (size_t)n_c + (size_t)c;
        store(end->out + at, finish(y[r], end->bias + c, end->residual, at, end->relu));
      }
    }
  }
}

static void winograd_input(int scheme, int n_c, const float *const *pixels, float *v, size_t step)
{
  switch (scheme) {
  case NSL_ROWS_4:
    tile_in(NSL_ROWS_4, 6, 6, n_c, pixels, v, step);
    break;
  case NSL_ROWS_3:
    tile_in(NSL_ROWS_3, 5, 5, n_c, pixels, v, step);
    break;
  case NSL_ROWS_2:
    tile_in(NSL_ROWS_2, 4, 4, n_c, pixels, v, step);
    break;
  default:
    tile_in(NSL_ROWS_ONLY_2, 2, 3, n_c, pixels, v, step);
    break;
  }
}

static void winograd_output(int scheme, int n_c, const float *m, size_t step, const nsl_tile_end *end)
{
  switch (scheme) {
  case NSL_ROWS_4:
    tile_out(NSL_ROWS_4, 6, 4, n_c, m, step, end);
    break;
  case NSL_ROWS_3:
    tile_out(NSL_ROWS_3, 5, 3, n_c, m, step, end);
    break;
  case NSL_ROWS_2:
    tile_out(NSL_ROWS_2, 4, 2, n_c, m, step, end);
    break;
  default:
    tile_out(NSL_ROWS_ONLY_2, 3, 2, n_c, m, step, end);
    break;
  }
}

/* One row of a product to one pixel. */
static void pixel_output(int n_c, const float *m, const nsl_tile_end *end)
{
  for (int c = 0; c < n_c; c += VW) {
    vf v = load(m + c / CB * MR * CB + c % CB);
    store(end->out + c, finish(v, end->bias + c, end->residual, (size_t)c, end->relu));
  }
}

static void pixel_copy(int n_c, const float *from, float *to)
{
  for (int c = 0; c < n_c; c += VW) { store(to + c / CB * MR * CB + c % CB, load(from + c)); }
}

static void pixel_max(int n_c, const float *x, float *y)
{
  for (int c = 0; c < n_c; c += VW) { store(y + c, vmax(load(y + c), load(x + c))); }
}
