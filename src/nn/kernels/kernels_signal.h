/* Five-tap convolutions of signals side by side in the way of Winograd: F(4,5) at the points 0, 1, -1, 2, -2, 1/2, -1/2 and
 * infinity. Two tiles of 4 outputs go through the products together, and what they need lies in the first cache. A dilated signal
 * is `dilation` signals that take turns. */
#if VW == 16
enum { SIGNAL_OUTS = 12 };
#else
enum { SIGNAL_OUTS = 6 };
#endif
enum { POSITIONS = NSL_SIGNAL_POSITIONS, CHUNK = NSL_SIGNAL_CHUNK, WINDOW = NSL_SIGNAL_WINDOW, PAIR = 2 /* tiles */ };

INLINE void signal_input(const vf *d, vf *v)
{
  vf even = d[2] + d[6] - 4.25f * d[4], odd = d[1] + d[5] - 4.25f * d[3];
  v[0] = 5.25f * (d[4] - d[2]) + (d[0] - d[6]);
  v[1] = even + odd;
  v[2] = even - odd;
  even = 0.25f * d[2] - 1.25f * d[4] + d[6];
  odd = 0.5f * d[1] - 2.5f * d[3] + 2.0f * d[5];
  v[3] = even + odd;
  v[4] = even - odd;
  even = 4.0f * d[2] - 5.0f * d[4] + d[6];
  odd = 2.0f * d[1] - 2.5f * d[3] + 0.5f * d[5];
  v[5] = even + odd;
  v[6] = even - odd;
  v[7] = 5.25f * (d[3] - d[5]) + (d[7] - d[1]);
}

INLINE void signal_output(const vf *m, vf *y)
{
  vf s1 = m[1] + m[2], s2 = m[3] + m[4], s3 = m[5] + m[6], q1 = m[1] - m[2], q2 = m[3] - m[4], q3 = m[5] - m[6];
  y[0] = m[0] + s1 + (s2 + s3);
  y[1] = q1 + 2.0f * q2 + 0.5f * q3;
  y[2] = s1 + 4.0f * s2 + 0.25f * s3;
  y[3] = q1 + 8.0f * q2 + 0.125f * q3 + m[7];
}

/* Places [from, to) of a channel to its part of the window, a ring. */
INLINE void signal_stage_as(int affine, int gelu_too, const nsl_signal_channel *channel, size_t step, int from, int to, float *ring)
{
  vf gain = splat(channel->gain), shift = splat(channel->shift);
  for (int x = from; x < to; x++) {
    const float *px = channel->x + (size_t)x * step;
    float *y = ring + (x & (WINDOW - 1)) * NSL_LANES;
    for (int lane = 0; lane < NSL_LANES; lane += VW) {
      vf v = load(px + lane);
      if (affine) { v = v * gain + shift; }
      store(y + lane, gelu_too ? gelu_of(v) : v);
    }
  }
}

INLINE void signal_zero(int from, int to, float *ring)
{
  for (int x = from; x < to; x++) { memset(ring + (x & (WINDOW - 1)) * NSL_LANES, 0, NSL_LANES * sizeof *ring); }
}

INLINE void signal_stage(const nsl_signal_conv *p, int c, int from, int to, float *window)
{
  const nsl_signal_channel *channel = p->channels + c;
  float *ring = window + (size_t)c * WINDOW * NSL_LANES;
  int begin = from > channel->begin ? from : channel->begin, end = to < channel->end ? to : channel->end;
  if (begin >= end) {
    signal_zero(from, to, ring);
    return;
  }
  signal_zero(from, begin, ring);
  signal_zero(end, to, ring);
  if (p->stage_affine && p->stage_gelu) {
    signal_stage_as(1, 1, channel, p->step, begin, end, ring);
  } else if (p->stage_gelu) {
    signal_stage_as(0, 1, channel, p->step, begin, end, ring);
  } else {
    signal_stage_as(p->stage_affine, 0, channel, p->step, begin, end, ring);
  }
}

/* First places of the pair's tiles whose chunk begins at x. */
INLINE void signal_tiles(int dilation, int x, int pair, int *first)
{
  for (int t = 0; t < PAIR; t++) {
    int tile = pair * PAIR + t;
    first[t] = x + tile % dilation + 4 * dilation * (tile / dilation);
  }
}

/* Channels [c0, c1) of the window to v [position][c][PAIR][VW], a position every slot floats. */
INLINE void signal_inputs(int dilation, const int *first, int c0, int c1, const float *window, float *v, size_t slot)
{
  for (int t = 0; t < PAIR; t++) {
    size_t at[POSITIONS];
    for (int i = 0; i < POSITIONS; i++) { at[i] = (size_t)((first[t] + (i - 2) * dilation) & (WINDOW - 1)) * NSL_LANES; }
    for (int c = c0; c < c1; c++) {
      const float *ring = window + (size_t)c * WINDOW * NSL_LANES;
      vf d[POSITIONS], u[POSITIONS];
#pragma GCC unroll 8
      for (int i = 0; i < POSITIONS; i++) { d[i] = load(ring + at[i]); }
      signal_input(d, u);
#pragma GCC unroll 8
      for (int i = 0; i < POSITIONS; i++) { store(v + (size_t)i * slot + (size_t)(c * PAIR + t) * VW, u[i]); }
    }
  }
}

INLINE void signal_block(int outs, int c0, int c1, const float *v, const float *w, float *m)
{
  vf acc[SIGNAL_OUTS][PAIR];
#pragma GCC unroll 12
  for (int o = 0; o < outs; o++) { acc[o][0] = acc[o][1] = splat(0.0f); }
  v += (size_t)(c0 * PAIR) * VW;
  w += c0 * outs;
  for (int c = c0; c < c1; c++, v += PAIR * VW, w += outs) {
    vf v0 = load(v), v1 = load(v + VW);
    KEEP_IN_REGISTER(v0);
    KEEP_IN_REGISTER(v1);
#pragma GCC unroll 12
    for (int o = 0; o < outs; o++) {
      vf s = splat(w[o]);
      acc[o][0] += s * v0;
      acc[o][1] += s * v1;
    }
  }
#pragma GCC unroll 12
  for (int o = 0; o < outs; o++) {
    store(m + o * PAIR * VW, acc[o][0]);
    store(m + (o * PAIR + 1) * VW, acc[o][1]);
  }
}

static int signal_outs(int left)
{
  static const int sizes[] = {SIGNAL_OUTS, 8, 4, 2, 1};
  int i = 0;
  while (sizes[i] > left || sizes[i] > SIGNAL_OUTS) { i++; }
  return sizes[i];
}

/* One position: m [c_out][PAIR][VW] = w v over the channels [c0, c1). */
INLINE void signal_product(const nsl_signal_conv *p, int c0, int c1, const float *v, const float *w, float *m)
{
  for (int first = 0; first < p->c_out;) {
    int outs = signal_outs(p->c_out - first);
    float *to = m + (size_t)(first * PAIR) * VW;
    if (outs == SIGNAL_OUTS) {
      signal_block(SIGNAL_OUTS, c0, c1, v, w, to);
    } else if (outs == 8) {
#if VW == 16
      signal_block(8, c0, c1, v, w, to);
#endif
    } else if (outs == 4) {
      signal_block(4, c0, c1, v, w, to);
    } else if (outs == 2) {
      signal_block(2, c0, c1, v, w, to);
    } else {
      signal_block(1, c0, c1, v, w, to);
    }
    w += outs * p->c_in;
    first += outs;
  }
}

INLINE void signal_outputs(const nsl_signal_conv *p, const int *first, int lane, const float *m, size_t slot)
{
  int bias_step = p->bias_by_place != 0;
  for (int o = 0; o < p->c_out; o++) {
    const float *bias = p->bias + o * (p->bias_by_place ? p->width : 1);
    for (int t = 0; t < PAIR; t++) {
      vf d[POSITIONS], y[4];
#pragma GCC unroll 8
      for (int i = 0; i < POSITIONS; i++) { d[i] = load(m + (size_t)i * slot + (size_t)(o * PAIR + t) * VW); }
      signal_output(d, y);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        int x = first[t] + i * p->dilation;
        if (x >= p->width) { break; }
        size_t at = ((size_t)o * (size_t)p->width + (size_t)x) * NSL_LANES + (size_t)lane;
        vf r = y[i] + bias[x * bias_step];
        if (p->add) { r += load(p->add + at); }
        store(p->out + at, p->gelu ? gelu_of(r) : r);
      }
    }
  }
}

/* The channels [*c0, *c1) hold all that are not zero everywhere in [from, to). */
INLINE void signal_active(const nsl_signal_conv *p, int from, int to, int *c0, int *c1)
{
  *c0 = p->c_in;
  *c1 = 0;
  for (int c = 0; c < p->c_in; c++) {
    if (p->channels[c].begin >= to || p->channels[c].end <= from) { continue; }
    if (*c0 > c) { *c0 = c; }
    *c1 = c + 1;
  }
}

static void signal_conv(const nsl_signal_conv *p)
{
  int reach = 2 * p->dilation, before0 = 0, before1 = 0;
  size_t slot = (size_t)(p->c_in > p->c_out ? p->c_in : p->c_out) * PAIR * VW;
  float *window = p->work, *products = window + (size_t)p->c_in * WINDOW * NSL_LANES;
  for (int x = 0; x < p->width; x += CHUNK) {
    int c0, c1;
    signal_active(p, x - reach, x + CHUNK + reach, &c0, &c1);
    for (int c = c0; c < c1; c++) {
      signal_stage(p, c, c >= before0 && c < before1 ? x + reach : x - reach, x + CHUNK + reach, window);
    }
    before0 = c0;
    before1 = c1;
    for (int pair = 0; pair < CHUNK / 4 / PAIR; pair++) {
      int first[PAIR];
      signal_tiles(p->dilation, x, pair, first);
      if (first[0] >= p->width) { continue; }
      for (int lane = 0; lane < NSL_LANES; lane += VW) {
        const float *w = p->w;
        /* A position's products take the place of the transformed inputs of the position before it. */
        signal_inputs(p->dilation, first, c0, c1, window + lane, products + slot, slot);
        for (int i = 0; i < POSITIONS; i++, w += p->c_in * p->c_out) {
          signal_product(p, c0, c1, products + (size_t)(i + 1) * slot, w, products + (size_t)i * slot);
        }
        signal_outputs(p, first, lane, products, slot);
      }
    }
  }
}

/* ---- lanes and planes ---- */

/* A square of VW vectors, in place. */
INLINE void transpose(vf *r)
{
#pragma GCC unroll 4
  for (int s = 1; s < VW; s *= 2) {
    vi low, high;
#pragma GCC unroll 16
    for (int j = 0; j < VW; j++) {
      low[j] = j & s ? VW + j - s : j;
      high[j] = j & s ? VW + j : j + s;
    }
#pragma GCC unroll 16
    for (int i = 0; i < VW; i++) {
      if (i & s) { continue; }
      vf a = r[i], b = r[i + s];
      r[i] = __builtin_shuffle(a, b, low);
      r[i + s] = __builtin_shuffle(a, b, high);
    }
  }
}

static void to_lanes(int n, size_t width, const float *from, size_t stride, float *to)
{
  for (size_t x = 0; x < width; x += VW) {
    size_t part = width - x < VW ? width - x : VW;
    for (int lane = 0; lane < NSL_LANES; lane += VW) {
      vf r[VW];
      const float *p = from + (size_t)lane * stride + x;
#pragma GCC unroll 16
      for (int i = 0; i < VW; i++, p += stride) { r[i] = lane + i >= n ? splat(0.0f) : part == VW ? load(p) : load_part(p, part); }
      transpose(r);
#pragma GCC unroll 16
      for (size_t i = 0; i < VW; i++) {
        if (i < part) { store(to + (x + i) * NSL_LANES + lane, r[i]); }
      }
    }
  }
}

static void from_lanes(int n, size_t width, const float *from, float *to, size_t stride)
{
  for (size_t x = 0; x < width; x += VW) {
    size_t part = width - x < VW ? width - x : VW;
    for (int lane = 0; lane < NSL_LANES; lane += VW) {
      vf r[VW];
      float *p = to + (size_t)lane * stride + x;
#pragma GCC unroll 16
      for (size_t i = 0; i < VW; i++) { r[i] = i < part ? load(from + (x + i) * NSL_LANES + lane) : splat(0.0f); }
      transpose(r);
#pragma GCC unroll 16
      for (int i = 0; i < VW; i++, p += stride) {
        if (lane + i >= n) { break; }
        if (part == VW) {
          store(p, r[i]);
        } else {
          store_part(p, r[i], part);
        }
      }
    }
  }
}
