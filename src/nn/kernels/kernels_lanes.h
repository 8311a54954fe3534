/* Signals of NSL_LANES batch elements side by side, [channel][x][lane]: one-dimensional convolutions and what stands round them. */
#if VW == 16
enum { OUT_BLOCK = 8, ACCUMULATORS = 24 };
#else
enum { OUT_BLOCK = 4, ACCUMULATORS = 12 };
#endif

/* `outs` output channels at `count` places from x on, all of one vector of lanes. */
INLINE void lanes_block(const nsl_lanes_conv *p, int outs, int count, int first, int x, int lane, const float *w)
{
  vf acc[ACCUMULATORS];
#pragma GCC unroll 24
  for (int i = 0; i < outs * count; i++) { acc[i] = splat(p->bias[first + i / count]); }
  const float *from = p->x + (size_t)(x * p->stride) * NSL_LANES + lane;
  size_t step = (size_t)p->stride * NSL_LANES, dilation = (size_t)p->dilation * NSL_LANES;
  for (int c = 0; c < p->c_in; c++, from += p->x_channel) {
    const float *tap = from;
    for (int k = 0; k < p->taps; k++, tap += dilation, w += outs) {
      vf v[8];
#pragma GCC unroll 8
      for (int i = 0; i < count; i++) {
        v[i] = load(tap + (size_t)i * step);
        KEEP_IN_REGISTER(v[i]);
      }
#pragma GCC unroll 8
      for (int o = 0; o < outs; o++) {
        vf s = splat(w[o]);
#pragma GCC unroll 8
        for (int i = 0; i < count; i++) { acc[o * count + i] += s * v[i]; }
      }
    }
  }
#pragma GCC unroll 24
  for (int i = 0; i < outs * count; i++) {
    size_t at = ((size_t)(first + i / count) * (size_t)p->w_out + (size_t)(x + i % count)) * NSL_LANES + (size_t)lane;
    vf y = acc[i];
    if (p->add) { y += load(p->add + at); }
    store(p->out + at, p->gelu ? gelu_of(y) : y);
  }
}

INLINE void lanes_outputs(const nsl_lanes_conv *p, int outs, int first, const float *w)
{
  const int most = ACCUMULATORS / outs < 6 ? ACCUMULATORS / outs : 6;
  for (int lane = 0; lane < NSL_LANES; lane += VW) {
    int x = 0;
    for (; x + most <= p->w_out; x += most) { lanes_block(p, outs, most, first, x, lane, w); }
    for (; x < p->w_out; x++) { lanes_block(p, outs, 1, first, x, lane, w); }
  }
}

/* Output channels that are computed together, from channel `first` on: weights are packed [block][c_in][taps][outs]. */
static int lanes_outs(int left)
{
  int outs = OUT_BLOCK;
  while (outs > left) { outs /= 2; }
  return outs;
}

static void lanes_conv(const nsl_lanes_conv *p)
{
  const float *w = p->w;
  for (int first = 0; first < p->c_out;) {
    int outs = lanes_outs(p->c_out - first);
    if (outs == 8) {
      lanes_outputs(p, OUT_BLOCK, first, w);
    } else if (outs == 4) {
      lanes_outputs(p, 4, first, w);
    } else if (outs == 2) {
      lanes_outputs(p, 2, first, w);
    } else {
      lanes_outputs(p, 1, first, w);
    }
    w += outs * p->c_in * p->taps;
    first += outs;
  }
}

/* y = a x + b, then GELU if so wanted. */
static void lanes_stage(size_t n, float a, float b, int gelu_too, const float *x, float *y)
{
  for (size_t i = 0; i < n; i += VW) {
    vf v = load(x + i) * a + b;
    store(y + i, gelu_too ? gelu_of(v) : v);
  }
}

static void interpolate_lanes(int n, int width, const int *left, const float *a, const float *b, const float *x, float *y)
{
  int right = width > 1 ? NSL_LANES : 0; /* from a place to the next */
  for (int i = 0; i < n; i++) {
    const float *from = x + (size_t)left[i] * NSL_LANES;
    for (int lane = 0; lane < NSL_LANES; lane += VW, y += VW) {
      store(y, load(from + lane) * a[i] + load(from + right + lane) * b[i]);
    }
  }
}
