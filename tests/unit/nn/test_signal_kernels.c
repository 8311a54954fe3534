/* The kernels for signals that stand side by side, on every table, against plain loops in double precision: odd sizes, every
 * dilation, and the bits of a lane whatever its neighbours are. */
#include "nn_support.h"

#include "nn/kernels/kernels.h"

enum { L = NSL_LANES, TAPS = NSL_SIGNAL_TAPS };

static double phi(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }

/* The transform of a kernel for F(4,5), from its definition: values at the points over the products of the points' distances. */
static double transformed(int position, const float *g)
{
  static const double points[] = {0, 1, -1, 2, -2, 0.5, -0.5};
  if (position == 7) { return (double)g[4]; }
  double sum = 0.0, norm = position == 0 ? -1.0 : 1.0;
  for (int k = 0; k < TAPS; k++) { sum += (double)g[k] * (k ? pow(points[position], k) : 1.0); }
  for (int i = 0; i < 7; i++) { norm *= i == position ? 1.0 : points[position] - points[i]; }
  return sum / norm;
}

static float *pack(const nsl_kernels *k, int c_in, int c_out, const float *w)
{
  float *packed = malloc((size_t)(NSL_SIGNAL_POSITIONS * c_in * c_out) * sizeof *packed), *to = packed;
  for (int position = 0; position < NSL_SIGNAL_POSITIONS; position++) {
    for (int first = 0, outs; first < c_out; first += outs) {
      outs = k->signal_outs(c_out - first);
      for (int c = 0; c < c_in; c++) {
        for (int o = first; o < first + outs; o++) { *to++ = (float)transformed(position, w + (o * c_in + c) * TAPS); }
      }
    }
  }
  return packed;
}

static double staged(const nsl_signal_conv *p, int c, int x, int lane)
{
  const nsl_signal_channel *ch = p->channels + c;
  if (x < ch->begin || x >= ch->end) { return 0.0; }
  double v = (double)ch->x[(size_t)x * p->step + (size_t)lane];
  if (p->stage_affine) { v = v * (double)ch->gain + (double)ch->shift; }
  return p->stage_gelu ? v * phi(v) : v;
}

static double wanted(const nsl_signal_conv *p, const float *w, int o, int x, int lane)
{
  double y = (double)p->bias[p->bias_by_place ? o * p->width + x : o];
  for (int c = 0; c < p->c_in; c++) {
    for (int t = 0; t < TAPS; t++) {
      y += (double)w[(o * p->c_in + c) * TAPS + t] * staged(p, c, x + (t - TAPS / 2) * p->dilation, lane);
    }
  }
  if (p->add) { y += (double)p->add[((size_t)o * (size_t)p->width + (size_t)x) * L + (size_t)lane]; }
  return p->gelu ? y * phi(y) : y;
}

static void check_conv(const nsl_kernels *k, int c_in, int c_out, int width, int dilation, int kind)
{
  size_t step = (size_t)(1 + kind % 2) * L, size = (size_t)(c_out * width) * L;
  float *x = random_tensor(1, (size_t)(c_in * width) * step), *w = random_tensor(2, (size_t)(c_in * c_out * TAPS));
  float *add = random_tensor(3, size), *bias = random_tensor(4, (size_t)(c_out * width)), *packed = pack(k, c_in, c_out, w);
  float *out = malloc(size * sizeof *out), *work = malloc(nsl_signal_work(c_in, c_out) * sizeof *work);
  nsl_signal_channel channels[40];
  for (int c = 0; c < c_in; c++) {
    /* Some channels begin late, some end early, so that parts of the signal have few channels or none. */
    int begin = kind == 2 ? c * width / c_in : 0,
        end = kind == 2 ? (begin + 1 + width / 3 < width ? begin + 1 + width / 3 : width) : width;
    channels[c] = (nsl_signal_channel){x + (size_t)(c * width) * step, begin, end, 0.5f + 0.1f * (float)c, 0.2f};
  }
  for (size_t i = 0; i < nsl_signal_work(c_in, c_out); i++) { work[i] = NAN; }
  nsl_signal_conv p = {.c_in = c_in,
                       .c_out = c_out,
                       .width = width,
                       .dilation = dilation,
                       .stage_affine = kind % 2,
                       .stage_gelu = kind == 1,
                       .gelu = kind != 1,
                       .step = step,
                       .channels = channels,
                       .w = packed,
                       .add = kind ? add : NULL,
                       .bias = bias,
                       .bias_by_place = kind == 2,
                       .out = out,
                       .work = work};
  k->signal_conv(&p);
  double rms = sqrt((double)(c_in * TAPS));
  for (int o = 0; o < c_out; o++) {
    for (int i = 0; i < width * L; i++) {
      double found = (double)out[(size_t)(o * width) * L + (size_t)i], want = wanted(&p, w, o, i / L, i % L);
      if (!(fabs(found - want) <= 1e-5 * rms)) {
        fail_msg("%s: %d -> %d, width %d, dilation %d, kind %d: (%d, %d) is %.8g, not %.8g", k->name, c_in, c_out, width, dilation,
                 kind, o, i / L, found, want);
      }
    }
  }
  free(x);
  free(w);
  free(add);
  free(bias);
  free(packed);
  free(out);
  free(work);
}

static void test_conv(void **state)
{
  (void)state;
  static const int outs[] = {1, 2, 5, 7, 8, 12, 24, 37};
  for (int i = 0; nsl_kernels_at(i); i++) {
    for (int dilation = 1; dilation <= 4; dilation *= 2) {
      for (int j = 0; j < 8; j++) {
        for (int kind = 0; kind < 3; kind++) {
          check_conv(nsl_kernels_at(i), 1 + (j * 5) % 13, outs[j], 1 + j * 11 + kind, dilation, kind);
        }
      }
    }
  }
}

static void test_lanes_and_back(void **state)
{
  (void)state;
  for (int i = 0; nsl_kernels_at(i); i++) {
    const nsl_kernels *k = nsl_kernels_at(i);
    for (int n = 1; n <= L; n++) {
      size_t width = (size_t)(n * 7 % 45), stride = width + 3;
      float *x = random_tensor(1, L * stride + 1), *y = malloc((width * L + 1) * sizeof *y),
            *z = malloc((L * stride + 1) * sizeof *z);
      y[width * L] = 7.0f;
      k->to_lanes(n, width, x, stride, y);
      for (size_t at = 0; at < width * L; at++) {
        size_t e = at % L;
        assert_true(y[at] == (e < (size_t)n ? x[e * stride + at / L] : 0.0f));
      }
      assert_true(y[width * L] == 7.0f);
      for (size_t at = 0; at < L * stride + 1; at++) { z[at] = 5.0f; }
      k->from_lanes(n, width, y, z, stride);
      for (size_t at = 0; at < L * stride + 1; at++) {
        int inside = at / stride < (size_t)n && at % stride < width;
        assert_true(z[at] == (inside ? x[at] : 5.0f));
      }
      free(x);
      free(y);
      free(z);
    }
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_conv),
      cmocka_unit_test(test_lanes_and_back),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
