/* Row weights times a band's rows, for up to four weight sets at a time so that pixels are read once for all of them. */

INLINE void extract_sets(int k, int h, int w, float eps, const float *q, const float *x, const float *v, float *flux,
                         float *coverage)
{
  int x0 = 0;
  for (; x0 + 2 * VW <= w; x0 += 2 * VW) {
    vf f[4][2], c[4][2];
#pragma GCC unroll 4
    for (int s = 0; s < k; s++) { f[s][0] = f[s][1] = c[s][0] = c[s][1] = splat(0.0f); }
    for (int y = 0; y < h; y++) {
      const float *px = x + (size_t)y * (size_t)w + x0, *pv = v + (size_t)y * (size_t)w + x0;
      vf w0 = load(pv), w1 = load(pv + VW), v0 = load(px) * w0, v1 = load(px + VW) * w1;
#pragma GCC unroll 4
      for (int s = 0; s < k; s++) {
        vf a = splat(q[s * h + y]), b = a * a;
        f[s][0] += v0 * a;
        f[s][1] += v1 * a;
        c[s][0] += w0 * b;
        c[s][1] += w1 * b;
      }
    }
#pragma GCC unroll 4
    for (int s = 0; s < k; s++) {
      for (int i = 0; i < 2; i++) {
        size_t at = (size_t)s * (size_t)w + (size_t)(x0 + i * VW);
        store(flux + at, f[s][i] / vsqrt(c[s][i] + eps));
        store(coverage + at, c[s][i]);
      }
    }
  }
  for (; x0 < w; x0 += VW) {
    size_t part = (size_t)(w - x0 < VW ? w - x0 : VW);
    vf f[4], c[4];
    for (int s = 0; s < k; s++) { f[s] = c[s] = splat(0.0f); }
    for (int y = 0; y < h; y++) {
      const float *px = x + (size_t)y * (size_t)w + x0, *pv = v + (size_t)y * (size_t)w + x0;
      vf weight = part == VW ? load(pv) : load_part(pv, part);
      vf value = (part == VW ? load(px) : load_part(px, part)) * weight;
      for (int s = 0; s < k; s++) {
        float a = q[s * h + y];
        f[s] += value * a;
        c[s] += weight * (a * a);
      }
    }
    for (int s = 0; s < k; s++) {
      vf e = f[s] / vsqrt(c[s] + eps);
      store_part(flux + (size_t)s * (size_t)w + x0, e, part);
      store_part(coverage + (size_t)s * (size_t)w + x0, c[s], part);
    }
  }
}

static void extract(int k, int h, int w, float eps, const float *q, const float *x, const float *v, float *flux, float *coverage)
{
  for (int s = 0; s < k; s += 4) {
    const float *qs = q + s * h;
    float *f = flux + (size_t)s * (size_t)w, *c = coverage + (size_t)s * (size_t)w;
    switch (k - s) {
    case 1:
      extract_sets(1, h, w, eps, qs, x, v, f, c);
      break;
    case 2:
      extract_sets(2, h, w, eps, qs, x, v, f, c);
      break;
    case 3:
      extract_sets(3, h, w, eps, qs, x, v, f, c);
      break;
    default:
      extract_sets(4, h, w, eps, qs, x, v, f, c);
      break;
    }
  }
}

INLINE void extract_grad_sets(int k, int h, int w, const float *q, const float *x, const float *v, const float *da, const float *dc,
                              float *dq)
{
  for (int y = 0; y < h; y++) {
    const float *px = x + (size_t)y * (size_t)w, *pv = v + (size_t)y * (size_t)w;
    vf f[4], c[4];
    for (int s = 0; s < k; s++) { f[s] = c[s] = splat(0.0f); }
    for (int x0 = 0; x0 < w; x0 += VW) {
      size_t part = (size_t)(w - x0 < VW ? w - x0 : VW);
      vf weight = part == VW ? load(pv + x0) : load_part(pv + x0, part);
      vf value = (part == VW ? load(px + x0) : load_part(px + x0, part)) * weight;
      for (int s = 0; s < k; s++) {
        const float *pa = da + (size_t)s * (size_t)w + x0, *pc = dc + (size_t)s * (size_t)w + x0;
        f[s] += value * (part == VW ? load(pa) : load_part(pa, part));
        c[s] += weight * (part == VW ? load(pc) : load_part(pc, part));
      }
    }
    for (int s = 0; s < k; s++) { dq[s * h + y] = total(f[s]) + 2.0f * q[s * h + y] * total(c[s]); }
  }
}

static void extract_grad_q(int k, int h, int w, const float *q, const float *x, const float *v, const float *da, const float *dc,
                           float *dq)
{
  for (int s = 0; s < k; s += 4) {
    const float *qs = q + s * h, *a = da + (size_t)s * (size_t)w, *c = dc + (size_t)s * (size_t)w;
    switch (k - s) {
    case 1:
      extract_grad_sets(1, h, w, qs, x, v, a, c, dq + s * h);
      break;
    case 2:
      extract_grad_sets(2, h, w, qs, x, v, a, c, dq + s * h);
      break;
    case 3:
      extract_grad_sets(3, h, w, qs, x, v, a, c, dq + s * h);
      break;
    default:
      extract_grad_sets(4, h, w, qs, x, v, a, c, dq + s * h);
      break;
    }
  }
}
