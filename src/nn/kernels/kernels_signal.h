/* Five-tap convolutions of signals side by side in the way of Winograd: F(4,5) at the points 0, 1, -1, 2, -2, 1/2, -1/2 and
 * infinity. Two tiles of 4 outputs go through the products together, and what they need lies in the first cache. A dilated signal
 * is `dilation` signals that take turns. */
#if VW == 16
enum { SIGNAL_OUTS = 12 };
#else
enum { SIGNAL_OUTS = 6 };
#endif
enum { POSITIONS = NSL_SIGNAL_POSITIONS, RING = NSL_SIGNAL_RING, PAIR = 2 /* tiles */, NEW = 4 * PAIR /* columns a step */ };

/* The pair of tiles that a step computes: two that follow each other, or, of a dilated signal, one of each of the two sequences of
 * places that a pass runs through. Its columns are the places of the pass in order; a step reads NEW + 2 reach of them. */
typedef struct {
  int dilation, pass, reach;
} signal_pass;

INLINE int place_of(const signal_pass *s, int column)
{
  return s->dilation == 1 ? column : s->dilation * (column >> 1) + 2 * s->pass + (column & 1);
}
INLINE int column_of(const signal_pass *s, int step, int tile, int i) /* of output i of a tile */
{
  return NEW * step + (s->dilation == 1 ? 4 * tile + i : PAIR * i + tile);
}
INLINE int ahead_of(const signal_pass *s) { return s->dilation == 1 ? NEW : NEW / 2 * s->dilation; } /* places from step to step */
INLINE size_t in_ring(const signal_pass *s, int column) { return (size_t)((column - s->reach) & (RING - 1)) * NSL_LANES; }

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

/* Columns [from, to) of a channel to its ring. */
INLINE void signal_stage_as(int affine, int gelu_too, const nsl_signal_channel *channel, size_t stride, const signal_pass *s,
                            int from, int to, float *ring)
{
  vf gain = splat(channel->gain), shift = splat(channel->shift);
  size_t ahead = (size_t)ahead_of(s) * stride;
  for (int column = from; column < to; column++) {
    int x = place_of(s, column);
    float *y = ring + in_ring(s, column);
    int inside = x >= channel->begin && x < channel->end;
    const float *px = channel->x + (size_t)(inside ? x : channel->begin) * stride;
    for (int lane = 0; lane < NSL_LANES; lane += VW) {
      vf v = splat(0.0f);
      if (inside) {
        v = load(px + lane);
        __builtin_prefetch(px + lane + ahead);
        if (affine) { v = v * gain + shift; }
        if (gelu_too) { v = gelu_of(v); }
      }
      store(y + lane, v);
    }
  }
}

INLINE void signal_stage(const nsl_signal_conv *p, int c, const signal_pass *s, int from, int to, float *ring)
{
  const nsl_signal_channel *channel = p->channels + c;
  if (p->stage_affine && p->stage_gelu) {
    signal_stage_as(1, 1, channel, p->step, s, from, to, ring);
  } else if (p->stage_gelu) {
    signal_stage_as(0, 1, channel, p->step, s, from, to, ring);
  } else {
    signal_stage_as(p->stage_affine, 0, channel, p->step, s, from, to, ring);
  }
}

/* A channel's ring to v [position][PAIR][VW], a position every slot floats. */
INLINE void signal_inputs(const signal_pass *s, int step, const float *ring, float *v, size_t slot)
{
#pragma GCC unroll 2
  for (int t = 0; t < PAIR; t++) {
    vf d[POSITIONS], u[POSITIONS];
#pragma GCC unroll 8
    for (int i = 0; i < POSITIONS; i++) { d[i] = load(ring + in_ring(s, column_of(s, step, t, i - 2))); }
    signal_input(d, u);
#pragma GCC unroll 8
    for (int i = 0; i < POSITIONS; i++) { store(v + (size_t)i * slot + t * VW, u[i]); }
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

INLINE void signal_outputs(const nsl_signal_conv *p, const signal_pass *s, int step, int lane, const float *m, size_t slot)
{
  int bias_step = p->bias_by_place != 0;
  size_t ahead = (size_t)ahead_of(s) * NSL_LANES;
  for (int o = 0; o < p->c_out; o++) {
    const float *bias = p->bias + o * (p->bias_by_place ? p->width : 1);
    size_t row = (size_t)o * (size_t)p->width * NSL_LANES + (size_t)lane;
    for (int t = 0; t < PAIR; t++) {
      vf d[POSITIONS], y[4];
#pragma GCC unroll 8
      for (int i = 0; i < POSITIONS; i++) { d[i] = load(m + (size_t)i * slot + (size_t)(o * PAIR + t) * VW); }
      signal_output(d, y);
#pragma GCC unroll 4
      for (int i = 0; i < 4; i++) {
        int x = place_of(s, column_of(s, step, t, i));
        if (x >= p->width) { break; }
        size_t at = row + (size_t)x * NSL_LANES;
        vf r = y[i] + bias[x * bias_step];
        if (p->add) {
          r += load(p->add + at);
          __builtin_prefetch(p->add + at + ahead);
        }
        store(p->out + at, p->gelu ? gelu_of(r) : r);
      }
    }
  }
}

/* The channels [*c0, *c1) hold all that are not zero everywhere in the places [from, to). */
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

INLINE void signal_run(const nsl_signal_conv *p, const signal_pass *s)
{
  size_t slot = (size_t)(p->c_in > p->c_out ? p->c_in : p->c_out) * PAIR * VW;
  float *rings = p->work, *products = rings + (size_t)p->c_in * RING * NSL_LANES;
  int reach = s->reach, before0 = 0, before1 = 0;
  for (int step = 0; place_of(s, step * NEW) < p->width; step++) {
    int c0, c1, end = step * NEW + NEW + reach;
    signal_active(p, place_of(s, step * NEW - reach), place_of(s, end - 1) + 1, &c0, &c1);
    for (int lane = 0; lane < NSL_LANES; lane += VW) {
      /* A position's products take the place of the transformed inputs of the position before it. */
      const float *w = p->w;
      for (int c = c0; c < c1; c++) {
        float *ring = rings + (size_t)c * RING * NSL_LANES;
        int known = c >= before0 && c < before1; /* from the step before */
        if (lane == 0) { signal_stage(p, c, s, known ? end - NEW : end - NEW - 2 * reach, end, ring); }
        signal_inputs(s, step, ring + lane, products + slot + (size_t)(c * PAIR) * VW, slot);
      }
      for (int i = 0; i < POSITIONS; i++, w += p->c_in * p->c_out) {
        signal_product(p, c0, c1, products + (size_t)(i + 1) * slot, w, products + (size_t)i * slot);
      }
      signal_outputs(p, s, step, lane, products, slot);
    }
    before0 = c0;
    before1 = c1;
  }
}

static void signal_conv(const nsl_signal_conv *p)
{
  if (p->dilation == 1) {
    signal_run(p, &(signal_pass){.dilation = 1, .reach = 2});
    return;
  }
  for (int pass = 0; pass < p->dilation / 2; pass++) {
    signal_run(p, &(signal_pass){.dilation = p->dilation, .pass = pass, .reach = 4});
  }
}

/* ---- lanes and planes ---- */

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
