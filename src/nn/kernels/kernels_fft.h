/* FFTs of NSL_LANES signals side by side (Stockham, decimation in frequency), and products of their spectra. */

typedef struct {
  vf re, im;
} vc;

INLINE vc vc_add(vc a, vc b) { return (vc){a.re + b.re, a.im + b.im}; }
INLINE vc vc_sub(vc a, vc b) { return (vc){a.re - b.re, a.im - b.im}; }
INLINE vc vc_scale(vc a, float s) { return (vc){a.re * s, a.im * s}; }
INLINE vc vc_mul_i(vc a) { return (vc){-a.im, a.re}; }

INLINE void butterfly_4(vc *a)
{
  vc s0 = vc_add(a[0], a[2]), d0 = vc_sub(a[0], a[2]), s1 = vc_add(a[1], a[3]), d1 = vc_mul_i(vc_sub(a[3], a[1]));
  a[0] = vc_add(s0, s1);
  a[1] = vc_add(d0, d1);
  a[2] = vc_sub(s0, s1);
  a[3] = vc_sub(d0, d1);
}

/* The forward DFT of r values in place. */
INLINE void butterfly(int r, vc *a)
{
  if (r == 2) {
    vc s = vc_add(a[0], a[1]);
    a[1] = vc_sub(a[0], a[1]);
    a[0] = s;
  } else if (r == 3) {
    vc s = vc_add(a[1], a[2]), d = vc_mul_i(vc_scale(vc_sub(a[2], a[1]), 0.86602540378f)), m = vc_sub(a[0], vc_scale(s, 0.5f));
    a[0] = vc_add(a[0], s);
    a[1] = vc_add(m, d);
    a[2] = vc_sub(m, d);
  } else if (r == 4) {
    butterfly_4(a);
  } else if (r == 8) {
    vc even[4] = {a[0], a[2], a[4], a[6]}, odd[4] = {a[1], a[3], a[5], a[7]};
    butterfly_4(even);
    butterfly_4(odd);
    const float h = 0.70710678119f; /* exp(-i pi/4) = h (1 - i) */
    vc t[4] = {odd[0],
               {(odd[1].re + odd[1].im) * h, (odd[1].im - odd[1].re) * h},
               {odd[2].im, -odd[2].re},
               {(odd[3].im - odd[3].re) * h, (odd[3].re + odd[3].im) * -h}};
    for (int k = 0; k < 4; k++) {
      a[k] = vc_add(even[k], t[k]);
      a[k + 4] = vc_sub(even[k], t[k]);
    }
  } else {
    const float c1 = 0.30901699437f, c2 = -0.80901699437f, n1 = 0.95105651630f, n2 = 0.58778525229f;
    vc s1 = vc_add(a[1], a[4]), d1 = vc_sub(a[4], a[1]), s2 = vc_add(a[2], a[3]), d2 = vc_sub(a[3], a[2]);
    vc m1 = vc_add(a[0], vc_add(vc_scale(s1, c1), vc_scale(s2, c2))), m2 = vc_add(a[0], vc_add(vc_scale(s1, c2), vc_scale(s2, c1)));
    vc e1 = vc_mul_i(vc_add(vc_scale(d1, n1), vc_scale(d2, n2))), e2 = vc_mul_i(vc_sub(vc_scale(d1, n2), vc_scale(d2, n1)));
    a[0] = vc_add(a[0], vc_add(s1, s2));
    a[1] = vc_add(m1, e1);
    a[4] = vc_sub(m1, e1);
    a[2] = vc_add(m2, e2);
    a[3] = vc_sub(m2, e2);
  }
}

/* One stage: sub-transforms of length len = r m at stride s. */
INLINE void fft_stage(int r, int m, int s, const float *tw, const float *xr, const float *xi, float *yr, float *yi)
{
  for (int p = 0; p < m; p++, tw += 2 * (r - 1)) {
    for (int q = 0; q < s * NSL_LANES; q += VW) {
      vc a[8];
#pragma GCC unroll 8
      for (int j = 0; j < r; j++) {
        size_t at = (size_t)s * NSL_LANES * (size_t)(p + m * j) + (size_t)q;
        a[j] = (vc){load(xr + at), load(xi + at)};
      }
      butterfly(r, a);
      size_t to = (size_t)s * NSL_LANES * (size_t)(r * p) + (size_t)q;
      store(yr + to, a[0].re);
      store(yi + to, a[0].im);
#pragma GCC unroll 8
      for (int k = 1; k < r; k++) {
        float c = tw[2 * (k - 1)], d = tw[2 * (k - 1) + 1];
        size_t at = to + (size_t)s * NSL_LANES * (size_t)k;
        store(yr + at, a[k].re * c - a[k].im * d);
        store(yi + at, a[k].re * d + a[k].im * c);
      }
    }
  }
}

static int fft(const nsl_fft *plan, float *re, float *im, float *work)
{
  size_t plane = (size_t)plan->n * NSL_LANES;
  float *xr = re, *xi = im, *yr = work, *yi = work + plane;
  const float *tw = plan->twiddle;
  for (int i = 0, len = plan->n, s = 1; i < plan->stages; i++) {
    int r = plan->radix[i], m = len / r;
    switch (r) {
    case 2:
      fft_stage(2, m, s, tw, xr, xi, yr, yi);
      break;
    case 3:
      fft_stage(3, m, s, tw, xr, xi, yr, yi);
      break;
    case 4:
      fft_stage(4, m, s, tw, xr, xi, yr, yi);
      break;
    case 8:
      fft_stage(8, m, s, tw, xr, xi, yr, yi);
      break;
    default:
      fft_stage(5, m, s, tw, xr, xi, yr, yi);
      break;
    }
    tw += 2 * (size_t)m * (size_t)(r - 1);
    len = m;
    s *= r;
    float *t = xr;
    xr = yr;
    yr = t;
    t = xi;
    xi = yi;
    yi = t;
  }
  return xr != re;
}

INLINE void correlate_outputs(int count, int n_in, const float *f, const float *w, size_t w_out, size_t w_in, float *out)
{
  for (int lane = 0; lane < NSL_LANES; lane += VW) {
    vc acc[4];
    for (int o = 0; o < count; o++) { acc[o] = (vc){splat(0.0f), splat(0.0f)}; }
    for (int c = 0; c < n_in; c++) {
      vf fr = load(f + c * 2 * NSL_LANES + lane), fi = load(f + (c * 2 + 1) * NSL_LANES + lane);
      for (int o = 0; o < count; o++) {
        const float *pw = w + (size_t)o * w_out + (size_t)c * w_in;
        acc[o].re += fr * pw[0] + fi * pw[1];
        acc[o].im += fr * pw[1] - fi * pw[0];
      }
    }
    for (int o = 0; o < count; o++) {
      store(out + o * 2 * NSL_LANES + lane, acc[o].re);
      store(out + (o * 2 + 1) * NSL_LANES + lane, acc[o].im);
    }
  }
}

static void spectrum_correlate(int n_freq, int n_out, int n_in, const float *f, const float *w, size_t w_out, size_t w_in,
                               float *out)
{
  size_t w_freq = 2 * (size_t)n_out * (size_t)n_in;
  for (int k = 0; k < n_freq; k++, f += (size_t)n_in * 2 * NSL_LANES, w += w_freq) {
    int o = 0;
    for (; o + 4 <= n_out; o += 4, out += 4 * 2 * NSL_LANES) {
      correlate_outputs(4, n_in, f, w + (size_t)o * w_out, w_out, w_in, out);
    }
    for (; o < n_out; o++, out += 2 * NSL_LANES) { correlate_outputs(1, n_in, f, w + (size_t)o * w_out, w_out, w_in, out); }
  }
}

INLINE void gradient_outputs(int count, int n_in, int n_blocks, const float *f, size_t f_block, const float *d, size_t d_block,
                             float *g)
{
  for (int c = 0; c < n_in; c++) {
    vc acc[4];
    for (int o = 0; o < count; o++) { acc[o] = (vc){splat(0.0f), splat(0.0f)}; }
    for (int b = 0; b < n_blocks; b++) {
      const float *pf = f + (size_t)b * f_block + c * 2 * NSL_LANES, *pd = d + (size_t)b * d_block;
      for (int lane = 0; lane < NSL_LANES; lane += VW) {
        vf fr = load(pf + lane), fi = load(pf + NSL_LANES + lane);
        for (int o = 0; o < count; o++) {
          vf dr = load(pd + o * 2 * NSL_LANES + lane), di = load(pd + (o * 2 + 1) * NSL_LANES + lane);
          acc[o].re += fr * dr - fi * di;
          acc[o].im += fr * di + fi * dr;
        }
      }
    }
    for (int o = 0; o < count; o++) {
      g[2 * (o * n_in + c)] = total(acc[o].re);
      g[2 * (o * n_in + c) + 1] = total(acc[o].im);
    }
  }
}

static void spectrum_gradient(int n_freq, int n_out, int n_in, int n_blocks, const float *f, size_t f_block, const float *d,
                              size_t d_block, float *g)
{
  for (int k = 0; k < n_freq; k++, f += (size_t)n_in * 2 * NSL_LANES, d += (size_t)n_out * 2 * NSL_LANES) {
    int o = 0;
    for (; o + 4 <= n_out; o += 4, g += 2 * 4 * n_in) {
      gradient_outputs(4, n_in, n_blocks, f, f_block, d + o * 2 * NSL_LANES, d_block, g);
    }
    for (; o < n_out; o++, g += 2 * n_in) { gradient_outputs(1, n_in, n_blocks, f, f_block, d + o * 2 * NSL_LANES, d_block, g); }
  }
}
