/* Structure of galaxies: the catalogue's half-light radius and centroid stay; lines have a centroid of their own. */
#include "unit/test_support.h"

#include <math.h>
#include <stdlib.h>

#include "pipe/mock_internal.h"

/* Radius (px) that holds half of a round profile made of concentric Gaussians. */
static double half_light(const nsl_mix *m)
{
  double lo = 0, hi = 1000;
  for (int k = 0; k < 60; k++) {
    double r = 0.5 * (lo + hi), light = 0;
    for (int g = 0; g < m->n; g++) { light += m->g[g].flux * (1 - exp(-0.5 * r * r / m->g[g].xx)); }
    *(light < 0.5 ? &lo : &hi) = r;
  }
  return lo;
}

static void test_profiles(void **state)
{
  (void)state;
  nsl_mock *m = calloc(1, sizeof *m);
  const double map[4] = {-13.5, 0, 0, 13.5};
  m->structure = 1;
  m->seed = 4;
  double worst = 0, offset = 0;
  int n_apart = 0, n_bulges = 0;
  for (int i = 0; i < 400; i++) {
    nsl_mock_source s = {.id = i, .catalogued = 1, .kind = i % 2 ? NSL_KIND_RED : NSL_KIND_FIELD, .mag = 20};
    s.shape = (nsl_shape){0.5, i % 2 ? 1 : 0.4, 30, 1 + 0.01 * i};
    nsl_mix c, l;
    double sum = 0, lines = 0, x = 0, y = 0, lx = 0, ly = 0;
    int apart = nsl_mock_profiles(m, &s, 1.4, map, &c, &l);
    assert_in_range(c.n, 1, NSL_MIX_MAX);
    for (int g = 0; g < c.n; g++) {
      sum += c.g[g].flux;
      x += c.g[g].flux * c.g[g].dx;
      y += c.g[g].flux * c.g[g].dy;
      assert_true(c.g[g].flux > 0 && c.g[g].xx > 1 && c.g[g].xx * c.g[g].yy > c.g[g].xy * c.g[g].xy);
    }
    assert_true(fabs(sum - 1) < 0.01 && hypot(x, y) < 1e-9);
    if (!apart) { continue; }
    n_apart++;
    assert_in_range(l.n, 1, NSL_MIX_MAX);
    for (int g = 0; g < l.n; g++) {
      lines += l.g[g].flux;
      lx += l.g[g].flux * l.g[g].dx;
      ly += l.g[g].flux * l.g[g].dy;
    }
    assert_true(fabs(lines - 1) < 0.01);
    if (s.kind == NSL_KIND_RED) { /* bulge and disc only, seen face on and almost without PSF */
      assert_int_equal(nsl_mock_profiles(m, &s, 0.01, map, &c, &l), 1);
      worst = fmax(worst, fabs(half_light(&c) / (0.5 * 13.5) - 1));
      n_bulges++;
    } else {
      offset += lx * lx / 200;
    }
  }
  print_message("half-light radius within %.3f; lines' centroid off by %.2f px rms along x\n", worst, sqrt(offset));
  assert_true(n_apart > 250 && n_bulges > 50);
  assert_true(worst < 0.06);
  assert_true(sqrt(offset) > 0.15 && sqrt(offset) < 0.8);
  m->structure = 0;
  nsl_mock_source s = {.id = 3, .catalogued = 1, .shape = {0.5, 0.4, 30, 2}};
  nsl_mix c, l, sersic;
  assert_int_equal(nsl_mock_profiles(m, &s, 1.4, map, &c, &l), 0);
  nsl_mix_from_shape(&s.shape, 1.4, map, &sersic);
  assert_memory_equal(c.g, sersic.g, (size_t)c.n * sizeof *c.g);
  free(m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(test_profiles)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
