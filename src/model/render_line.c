/* Beads laid along a trace: the wavelength solution is exact at knots, its inverse between them a cubic Hermite polynomial. */
#include "noslit/base/vectorised.h"
#include "render_internal.h"

#define KNOT_PX 32
enum { BLOCK = 128 };

/* Position of wavelength l0 + t (l1 - l0) in a segment, px from its start: slopes m0, m1 at its ends, `width` px wide. */
typedef struct {
  float t0, dt; /* t of a bead: t0 + dt (number + centre) */
  float width, m0, m1, offset;
} segment;

/* Column (counted from the segment's own) and weights of n beads. */
NSL_VECTORISED static void place(const segment *s, const float *restrict light, const float *restrict centre, float scale, int n,
                                 int *restrict column, float (*restrict w)[BLOCK])
{
  float *restrict w0 = w[0], *restrict w1 = w[1], *restrict w2 = w[2], *restrict w3 = w[3];
  float t0 = s->t0, dt = s->dt, width = s->width, m0 = s->m0, m1 = s->m1, offset = s->offset;
  for (int j = 0; j < n; j++) {
    float t = t0 + dt * ((float)j + centre[j]), u = 1 - t;
    float p = offset + width * t * t * (3 - 2 * t) + t * u * (m0 * u - m1 * t);
    int i = (int)(p + 16) - 16; /* floor: p is above -16 */
    float f = p - (float)i, g = 1 - f, e = light[j] * scale * (1.0f / 6);
    column[j] = i - 1;
    w0[j] = e * g * g * g;
    w1[j] = e * (4 - 6 * f * f + 3 * f * f * f);
    w2[j] = e * (4 - 6 * g * g + 3 * g * g * g);
    w3[j] = e * f * f * f;
  }
}

static double clip(double slope, double secant) { return slope < 0 ? 0 : slope > 3 * secant ? 3 * secant : slope; }

static void add_segment(const nsl_beads *beads, segment s, long first, long last, double at_first, double per_bead, float scale,
                        long base, int n, float *line)
{
  int column[BLOCK];
  float w[4][BLOCK];
  for (long j = first; j < last; j += BLOCK) {
    int m = (int)(last - j < BLOCK ? last - j : BLOCK);
    s.t0 = (float)(at_first + per_bead * (double)(j - first));
    place(&s, beads->light + (j - beads->first), beads->centre + (j - beads->first), scale, m, column, w);
    for (int b = 0; b < m; b++) {
      long i = base + column[b];
      if (i < 0 || i + 3 >= n) { continue; }
      for (int c = 0; c < 4; c++) { line[i + c] += w[c][b]; }
    }
  }
}

void nsl_line_add(const nsl_trace *trace, const nsl_beads *beads, double scale, double dx_lo, double dx_hi, double x_first, int n,
                  float *line)
{
  if (beads->n < 1 || !(dx_hi > dx_lo)) { return; }
  double k0 = dx_lo, l0 = nsl_trace_lambda(trace, k0), d0 = nsl_trace_dlambda(trace, k0), bin = beads->bin_a;
  while (k0 < dx_hi) {
    double width = fmin(KNOT_PX, dx_hi - k0), k1 = k0 + width, l1 = nsl_trace_lambda(trace, k1), d1 = nsl_trace_dlambda(trace, k1);
    double span = l1 - l0, a = fmin(l0, l1) / bin - 0.5, b = fmax(l0, l1) / bin - 0.5;
    a = fmax(ceil(a), (double)beads->first);
    b = fmin(ceil(b), (double)(beads->first + beads->n));
    if (span != 0 && b > a) {
      double x = trace->x0 + k0 - x_first, base = floor(x);
      segment s = {.dt = (float)(bin / span), .width = (float)width, .offset = (float)(x - base)};
      s.m0 = (float)clip(span / d0, width);
      s.m1 = (float)clip(span / d1, width);
      add_segment(beads, s, (long)a, (long)b, (a * bin - l0) / span, bin / span, (float)scale, (long)base, n, line);
    }
    k0 = k1;
    l0 = l1;
    d0 = d1;
  }
}
