/* The renderer against numerical integrals and brute-force oversampled rendering. */
#include "unit/test_support.h"

#include <math.h>
#include <time.h>

#include "noslit/model/render.h"

/* A first order with tilt, curvature and a slightly quadratic dispersion; a zeroth order; both with a sloped sensitivity. */
static const char conf_text[] =
    "BEAMA -260 250\nXOFF_A 3.2\nYOFF_A -1.3\nDYDX_ORDER_A 2\nDYDX_A_0 0.4\nDYDX_A_1 0.0175\nDYDX_A_2 2e-5\n"
    "DISP_ORDER_A 2\nDLDP_A_0 8200\nDLDP_A_1 8.53\nDLDP_A_2 0.0004\nSENSITIVITY_A none\n"
    "BEAMB -420 -410\nXOFF_B 0\nYOFF_B 2\nDYDX_ORDER_B 0\nDYDX_B_0 0\nDISP_ORDER_B 1\nDLDP_B_0 140000\n"
    "DLDP_B_1 320\nSENSITIVITY_B none\n";
static double sens_lambda[] = {6000, 6200, 9500, 10500};
static double sens_value[] = {0, 1e16, 0.8e16, 0};

static nsl_trace_conf make_conf(void)
{
  nsl_trace_conf conf;
  memset(&conf, 0, sizeof conf);
  assert_ok(nsl_trace_conf_parse(conf_text, "test.conf", &conf, &test_err));
  for (int b = 0; b < conf.n_beams; b++) {
    nsl_sensitivity *s = &conf.beams[b].sensitivity;
    s->n = 4;
    s->lambda_a = malloc(sizeof sens_lambda);
    s->value = malloc(sizeof sens_value);
    assert_true(s->lambda_a && s->value);
    memcpy(s->lambda_a, sens_lambda, sizeof sens_lambda);
    memcpy(s->value, sens_value, sizeof sens_value);
  }
  return conf;
}

static double sum(const nsl_window *w)
{
  double s = 0;
  for (int i = 0; i < w->w * w->h; i++) { s += (double)w->img[i]; }
  return s;
}

static const double square_px[4] = {-1 / 0.074, 0, 0, 1 / 0.074};

/* Enclosed light of the mixture (round, no PSF) against the Sersic integral by quadrature. */
static void test_sersic_enclosed_light(void **state)
{
  (void)state;
  const double indexes[] = {0.5, 0.6, 0.8, 1, 1.25, 2.2, 3.5, 4, 5.5, 6};
  for (size_t k = 0; k < sizeof indexes / sizeof *indexes; k++) {
    double n = indexes[k], lo = 0.1, hi = 15, total;
    enum { N = 4000 };
    static double cumulative[N + 1];
    /* I(r) = exp(-b r^(1/n)); b from half of the light inside r = 1. Substituting r = x^n makes the integrand smooth. */
    double b = 1, half;
    for (int it = 0; it < 60; it++) {
      b = 0.5 * (lo + hi);
      double x_end = 60 / b;
      total = half = 0;
      for (int i = 0; i < N; i++) {
        double x = (i + 0.5) * x_end / N, f = exp(-b * x) * pow(x, 2 * n - 1) * x_end / N;
        total += f;
        if (x < 1) { half += f; }
      }
      if (half > 0.5 * total) {
        hi = b;
      } else {
        lo = b;
      }
    }
    double x_end = 60 / b;
    cumulative[0] = 0;
    for (int i = 0; i < N; i++) {
      double x = (i + 0.5) * x_end / N;
      cumulative[i + 1] = cumulative[i] + exp(-b * x) * pow(x, 2 * n - 1);
    }
    nsl_shape shape = {.re_arcsec = 1, .q = 1, .sersic_n = n};
    nsl_mix mix;
    const double unit[4] = {1, 0, 0, 1};
    nsl_mix_from_shape(&shape, 1e-4, unit, &mix);
    double flux = 0, worst = 0;
    for (int g = 0; g < mix.n; g++) { flux += mix.g[g].flux; }
    assert_true(fabs(flux - 1) < 1e-5);
    for (double r = 0.05; r <= 6; r *= 1.1) {
      double light = 0;
      int i = (int)(pow(r, 1 / n) / x_end * N + 0.5);
      for (int g = 0; g < mix.n; g++) { light += mix.g[g].flux * (1 - exp(-0.5 * r * r / mix.g[g].xx)); }
      worst = fmax(worst, fabs(light - cumulative[i < N ? i : N] / cumulative[N]));
    }
    if (worst > 0.02 || (n >= 1 && worst > 0.009)) { fail_msg("n = %g: enclosed light wrong by %.4f", n, worst); }
  }
}

static void test_shape_is_rotated_by_the_jacobian(void **state)
{
  (void)state;
  /* North through east 30 degrees, x growing to the west: the major axis points to (-sin 30, cos 30) in pixels. */
  nsl_shape shape = {.re_arcsec = 0.74, .q = 0.3, .pa_deg = 30, .sersic_n = 0.5};
  nsl_mix mix;
  nsl_mix_from_shape(&shape, 1.0, square_px, &mix);
  assert_int_equal(mix.n, 1);
  double s2 = 100 / (2 * log(2)), c = cos(M_PI / 6), s = sin(M_PI / 6);
  assert_true(fabs(mix.g[0].xx - (s2 * (s * s + 0.09 * c * c) + 1)) < 1e-3 * s2);
  assert_true(fabs(mix.g[0].yy - (s2 * (c * c + 0.09 * s * s) + 1)) < 1e-3 * s2);
  assert_true(fabs(mix.g[0].xy + s2 * (1 - 0.09) * s * c) < 1e-3 * s2);
  float re, q, angle;
  nsl_shape_to_pixels(&shape, square_px, &re, &q, &angle);
  assert_true(fabs((double)re - 10) < 1e-4 && fabs((double)q - 0.3) < 1e-5);
  assert_true(fabs((double)angle + 60) < 1e-3); /* 30 degrees left of +y is 120, or -60, from +x */
  assert_true(fabs(nsl_mix_tilt(&mix) - mix.g[0].xy / mix.g[0].yy) < 1e-12);
  assert_true(nsl_mix_tilt(&mix) < -0.4); /* higher rows lie farther left */
  assert_true(fabs(nsl_psf_sigma_px(0.19, 0.074) * 0.074 * 2.3548 - 0.2494) < 1e-4);
}

/* Moving the rows of a rendered galaxy back by its tilt makes its rows agree in x. */
static void test_tilt_straightens_a_galaxy(void **state)
{
  (void)state;
  const double psf = 1.4;
  const double angles[] = {20, 65, 110, 150}; /* none along an axis */
  for (int k = 0; k < 4; k++) {
    nsl_shape shape = {.re_arcsec = 0.5, .q = 0.25, .pa_deg = angles[k], .sersic_n = k < 2 ? 1 : 2.5};
    nsl_mix mix;
    nsl_mix_from_shape(&shape, psf, square_px, &mix);
    double tilt = nsl_mix_tilt(&mix), worst = 0, unmoved = 0;
    for (int y = -4; y <= 4; y++) {
      double flux = 0, moment = 0;
      for (int x = -60; x <= 60; x++) {
        double p = 0;
        for (int g = 0; g < mix.n; g++) {
          double det = mix.g[g].xx * mix.g[g].yy - mix.g[g].xy * mix.g[g].xy;
          p += mix.g[g].flux / sqrt(det) * exp(-0.5 * (mix.g[g].yy * x * x - 2 * mix.g[g].xy * x * y + mix.g[g].xx * y * y) / det);
        }
        flux += p;
        moment += p * x;
      }
      worst = fmax(worst, fabs(moment / flux - tilt * y));
      unmoved = fmax(unmoved, fabs(moment / flux));
    }
    if (!(unmoved > 0.5) || worst > 0.25 * unmoved) { fail_msg("angle %g: off by %.3f px of %.3f", angles[k], worst, unmoved); }
  }
}

/* Pixel-integrated brute force: steps of 1/16 px along the trace, 4 x 4 Gauss-Legendre points in a pixel. */
static void brute(const nsl_beam *beam, double x, double y, const nsl_mix *at_middle, double (*flam)(double), double scale,
                  nsl_window *w)
{
  nsl_mix of_wavelength = *at_middle;
  const nsl_mix *mix = &of_wavelength;
  static const double node[4] = {-0.4305681557970263, -0.1699905217924281, 0.1699905217924281, 0.4305681557970263};
  static const double weight[4] = {0.1739274225687269, 0.3260725774312731, 0.3260725774312731, 0.1739274225687269};
  nsl_trace t;
  nsl_trace_at(beam, x, y, &t);
  double step = 1.0 / 16;
  for (double dx = t.dx_min + step / 2; dx < t.dx_max; dx += step) {
    double l = nsl_trace_lambda(&t, dx);
    double e = scale * flam(l) * nsl_sensitivity_at(&beam->sensitivity, l) * fabs(nsl_trace_dlambda(&t, dx)) * step;
    if (e == 0) { continue; }
    double wider = at_middle->psf.exponent == 0 ? 0 : nsl_psf_variance_px2(&at_middle->psf, l) - pow(at_middle->psf.sigma_px, 2);
    for (int g = 0; g < mix->n; g++) {
      of_wavelength.g[g].xx = at_middle->g[g].xx + wider;
      of_wavelength.g[g].yy = at_middle->g[g].yy + wider;
    }
    double cx = t.x0 + dx - w->x0, cy = t.y0 + nsl_trace_dy(&t, dx) - w->y0;
    for (int j = 0; j < w->h; j++) {
      for (int i = (int)fmax(0, cx - 60); i < w->w && i < cx + 60; i++) {
        double p = 0;
        for (int g = 0; g < mix->n; g++) {
          double det = mix->g[g].xx * mix->g[g].yy - mix->g[g].xy * mix->g[g].xy, s = 0;
          double far = (i - cx) * (i - cx) / mix->g[g].xx + (j - cy) * (j - cy) / mix->g[g].yy;
          if (far > 60) { continue; }
          for (int a = 0; a < 4; a++) {
            for (int b = 0; b < 4; b++) {
              double u = i + node[a] - cx - mix->g[g].dx, v = j + node[b] - cy - mix->g[g].dy;
              double q = (mix->g[g].yy * u * u - 2 * mix->g[g].xy * u * v + mix->g[g].xx * v * v) / det;
              s += weight[a] * weight[b] * exp(-0.5 * q);
            }
          }
          p += mix->g[g].flux * s / (2 * M_PI * sqrt(det));
        }
        w->img[(size_t)j * (size_t)w->w + (size_t)i] += (float)(e * p);
      }
    }
  }
}

/* Two narrow lines (sigma 3 A) on a faint slope; sampled at 1 A for the fast renderer. */
static double lines_flam(double l)
{
  if (l < 7300 || l > 7700) { return 0; }
  double a = (l - 7381.3) / 3, b = (l - 7577.9) / 3;
  return 1e-18 * (l / 7500) + 4e-17 * exp(-0.5 * a * a) + 2e-17 * exp(-0.5 * b * b);
}

static void test_against_brute_force(void **state)
{
  (void)state;
  nsl_trace_conf conf = make_conf();
  enum { W = 120, H = 36, N = 401 };
  static float fast[W * H], slow[W * H];
  static double lambda[N], flam[N];
  for (int i = 0; i < N; i++) {
    lambda[i] = 7300 + i;
    flam[i] = lines_flam(lambda[i]);
  }
  nsl_sed sed = {N, lambda, flam, {0, 0}};
  nsl_renderer *r = nsl_renderer_new();
  const nsl_shape shapes[] = {{0, 1, 0, 1}, {0.35, 0.4, 50, 1}, {0.25, 0.8, 120, 3}};
  for (int k = 0; k < 3; k++) {
    nsl_mix mix;
    nsl_mix_from_shape(&shapes[k], 0.249 / 2.3548 / 0.074, square_px, &mix);
    mix.g[0].dx = k == 2 ? 1.3 : 0; /* a clump off the centre */
    nsl_window a = {300 - 95 - 60, 200 - 18, W, H, fast}, b = {300 - 95 - 60, 200 - 18, W, H, slow};
    memset(fast, 0, sizeof fast);
    memset(slow, 0, sizeof slow);
    assert_ok(nsl_render_beam(r, &conf.beams[0], 300.37, 200.21, &mix, &sed, 600, &a, &test_err));
    brute(&conf.beams[0], 300.37, 200.21, &mix, lines_flam, 600, &b);
    double peak = 0, worst = 0, fx = 0, fxx = 0, sx = 0, sxx = 0;
    for (int i = 0; i < W * H; i++) {
      peak = fmax(peak, (double)slow[i]);
      worst = fmax(worst, fabs((double)(fast[i] - slow[i])));
      fx += (double)fast[i] * (i % W);
      sx += (double)slow[i] * (i % W);
      fxx += (double)fast[i] * (i % W) * (i % W);
      sxx += (double)slow[i] * (i % W) * (i % W);
    }
    double fs = sum(&a), ss = sum(&b);
    print_message("shape %d: flux %.5f, worst pixel %.5f of the peak, centroid %.4f px\n", k, fs / ss - 1, worst / peak,
                  fx / fs - sx / ss);
    assert_true(fabs(fs / ss - 1) < 0.005);
    assert_true(worst < 0.006 * peak);
    assert_true(fabs(fx / fs - sx / ss) < 0.02);
    assert_true(fabs(fxx / fs - fx * fx / fs / fs - sxx / ss + sx * sx / ss / ss) < 0.02 * (sxx / ss - sx * sx / ss / ss));
  }
  nsl_renderer_free(r);
  nsl_trace_conf_free(&conf);
}

/* Narrow lines far apart on a slope. */
static double comb_flam(double l)
{
  double v = 1e-18 * (l / 7500);
  for (int k = 0; k < 4; k++) { v += 3e-17 * exp(-0.5 * pow((l - 6700 - 850 * k) / 3, 2)); }
  return v;
}

static double rms_height(const float *img, int w, int h, int x0, int x1)
{
  double s = 0, sy = 0, syy = 0;
  for (int j = 0; j < h; j++) {
    for (int i = x0; i < x1; i++) {
      double v = (double)img[j * w + i];
      s += v;
      sy += v * j;
      syy += v * j * j;
    }
  }
  return sqrt(syy / s - sy * sy / s / s);
}

/* A PSF that changes with wavelength, against brute force that has another one at each step. */
static void test_psf_of_wavelength(void **state)
{
  (void)state;
  nsl_trace_conf conf = make_conf();
  enum { W = 560, H = 40, N = 4501 };
  static float fast[W * H], slow[W * H];
  static double lambda[N], flam[N];
  for (int i = 0; i < N; i++) {
    lambda[i] = 6000 + i;
    flam[i] = comb_flam(lambda[i]);
  }
  nsl_sed sed = {N, lambda, flam, {0, 0}};
  nsl_renderer *r = nsl_renderer_new();
  const nsl_shape shapes[] = {{0, 1, 0, 1}, {0.35, 0.4, 50, 1}};
  const double exponents[] = {0.25, -0.3};
  for (int k = 0; k < 4; k++) {
    nsl_mix mix;
    double sigma = 0.249 / 2.3548 / 0.074;
    nsl_mix_from_shape(&shapes[k % 2], sigma, square_px, &mix);
    mix.psf = (nsl_psf){sigma, 8125, exponents[k / 2]};
    nsl_window a = {300 - 270, 200 - 20, W, H, fast}, b = a;
    b.img = slow;
    memset(fast, 0, sizeof fast);
    memset(slow, 0, sizeof slow);
    assert_ok(nsl_render_beam(r, &conf.beams[0], 300.37, 200.21, &mix, &sed, 600, &a, &test_err));
    brute(&conf.beams[0], 300.37, 200.21, &mix, comb_flam, 600, &b);
    double peak = 0, worst = 0;
    for (int i = 0; i < W * H; i++) {
      peak = fmax(peak, (double)slow[i]);
      worst = fmax(worst, fabs((double)(fast[i] - slow[i])));
    }
    double blue = rms_height(fast, W, H, 90, 120) / rms_height(slow, W, H, 90, 120),
           red = rms_height(fast, W, H, 430, 460) / rms_height(slow, W, H, 430, 460),
           change = rms_height(slow, W, H, 430, 460) / rms_height(slow, W, H, 90, 120);
    print_message("exponent %g, shape %d: flux %.5f, worst pixel %.5f of the peak, heights %.4f and %.4f of what they are (%.3f)\n",
                  exponents[k / 2], k % 2, sum(&a) / sum(&b) - 1, worst / peak, blue, red, change);
    assert_true(fabs(sum(&a) / sum(&b) - 1) < 0.005);
    assert_true(worst < 0.006 * peak);
    assert_true(fabs(blue - 1) < 0.01 && fabs(red - 1) < 0.01);
    if (k % 2 == 0) { assert_true(k / 2 ? change < 0.93 : change > 1.05); } /* or there was nothing to test */
  }
  nsl_renderer_free(r);
  nsl_trace_conf_free(&conf);
}

/* One unresolved line (0.02 A wide) at many wavelengths: its light, column and row are where the trace says. */
static void test_line_positions_and_flux(void **state)
{
  (void)state;
  nsl_trace_conf conf = make_conf();
  enum { W = 620, H = 60 };
  float *img = calloc(W * H, sizeof *img);
  nsl_renderer *r = nsl_renderer_new();
  nsl_mix mix;
  nsl_shape star = {0, 1, 0, 1};
  nsl_mix_from_shape(&star, 1.43, square_px, &mix);
  nsl_trace t;
  nsl_trace_at(&conf.beams[0], 300.37, 200.21, &t);
  for (double line = 6400; line < 9400; line += 137.77) {
    double lambda[] = {6000, line - 0.01, line, line + 0.01, 10500}, flam[] = {0, 0, 1e-15, 0, 0};
    nsl_sed sed = {5, lambda, flam, {0, 0}};
    nsl_window w = {300 - 310, 200 - 30, W, H, img};
    memset(img, 0, W * H * sizeof *img);
    assert_ok(nsl_render_beam(r, &conf.beams[0], 300.37, 200.21, &mix, &sed, 600, &w, &test_err));
    double s = 0, sx = 0, sy = 0, dx;
    for (int i = 0; i < W * H; i++) {
      s += (double)img[i];
      sx += (double)img[i] * (w.x0 + i % W);
      sy += (double)img[i] * (w.y0 + i / W);
    }
    assert_true(nsl_trace_dx_of_lambda(&t, line, &dx));
    double expected = 600 * 1e-17 * nsl_sensitivity_at(&conf.beams[0].sensitivity, line);
    if (fabs(s / expected - 1) > 0.005) { fail_msg("line %g: flux %g of %g", line, s, expected); }
    if (fabs(sx / s - t.x0 - dx) > 0.05) { fail_msg("line %g: %g px off", line, sx / s - t.x0 - dx); }
    if (fabs(sy / s - t.y0 - nsl_trace_dy(&t, dx)) > 0.05) { fail_msg("line %g: %g rows off", line, sy / s - t.y0); }
  }
  nsl_renderer_free(r);
  nsl_trace_conf_free(&conf);
  free(img);
}

/* A window is a window: pieces rendered apart equal the whole, and what lies outside costs and adds nothing. */
static void test_windows_agree(void **state)
{
  (void)state;
  nsl_trace_conf conf = make_conf();
  enum { W = 800, H = 64 };
  float *whole = calloc(W * H, sizeof *whole), *part = calloc(W * H, sizeof *part);
  nsl_renderer *r = nsl_renderer_new();
  nsl_mix mix;
  nsl_shape shape = {0.4, 0.5, 70, 2};
  nsl_mix_from_shape(&shape, 1.43, square_px, &mix);
  nsl_window all = {-200, 168, W, H, whole};
  double scale = pow(10, -0.4 * 20) * 600;
  assert_ok(nsl_render_source(r, &conf, 300.37, 200.21, &mix, nsl_sed_flat_fnu(), scale, &all, &test_err));
  double worst = 0, peak = 0;
  for (int p = 0; p < 8; p++) {
    nsl_window w = {-200 + 200 * (p % 4), 168 + 32 * (p / 4), 200, 32, part};
    memset(part, 0, 200 * 32 * sizeof *part);
    assert_ok(nsl_render_source(r, &conf, 300.37, 200.21, &mix, nsl_sed_flat_fnu(), scale, &w, &test_err));
    for (int i = 0; i < 200 * 32; i++) {
      double v = (double)whole[(32 * (p / 4) + i / 200) * W + 200 * (p % 4) + i % 200];
      worst = fmax(worst, fabs(v - (double)part[i]));
      peak = fmax(peak, v);
    }
  }
  for (int x = 0, w = 1; x + w <= W; x += w, w = w % 37 + 5) { /* strips of any width */
    nsl_window strip = {-200 + x, 168, w, H, part};
    memset(part, 0, (size_t)(w * H) * sizeof *part);
    assert_ok(nsl_render_source(r, &conf, 300.37, 200.21, &mix, nsl_sed_flat_fnu(), scale, &strip, &test_err));
    for (int i = 0; i < w * H; i++) { worst = fmax(worst, fabs((double)whole[i / w * W + x + i % w] - (double)part[i])); }
  }
  print_message("windows differ by %.5f of the peak\n", worst / peak);
  assert_true(peak > 0 && worst < 2e-3 * peak);
  nsl_window far = {5000, 168, 200, 32, part};
  memset(part, 0, 200 * 32 * sizeof *part);
  assert_ok(nsl_render_source(r, &conf, 300.37, 200.21, &mix, nsl_sed_flat_fnu(), scale, &far, &test_err));
  assert_true(sum(&far) == 0);
  nsl_renderer_free(r);
  nsl_trace_conf_free(&conf);
  free(whole);
  free(part);
}

/* The flat spectrum's electrons are those of the photon integral, and the time is within the contract. */
static void test_flat_spectrum_and_speed(void **state)
{
  (void)state;
  nsl_trace_conf conf = make_conf();
  enum { W = 520, H = 40, REPEAT = 200 };
  static float img[W * H];
  nsl_renderer *r = nsl_renderer_new();
  nsl_mix mix;
  nsl_shape shape = {0.4, 0.6, 40, 1.5};
  nsl_mix_from_shape(&shape, 1.43, square_px, &mix);
  double scale = pow(10, -0.4 * 20) * 600, expected = 0;
  for (double l = 6000.5; l < 10400; l++) {
    expected += 600 * nsl_flat_fnu_flam(20, l) * nsl_sensitivity_at(&conf.beams[0].sensitivity, l);
  }
  nsl_window w = {300 - 260, 200 - 20, W, H, img};
  clock_t begin = clock();
  for (int i = 0; i < REPEAT; i++) {
    memset(img, 0, sizeof img);
    assert_ok(nsl_render_beam(r, &conf.beams[0], 300.37, 200.21, &mix, nsl_sed_flat_fnu(), scale, &w, &test_err));
  }
  print_message("%.3f ms per beam; flux %.4f of the integral\n", 1e3 * (double)(clock() - begin) / CLOCKS_PER_SEC / REPEAT,
                sum(&w) / expected);
  assert_true(fabs(sum(&w) / expected - 1) < 0.02); /* the wings leave the window */
  nsl_renderer_free(r);
  nsl_trace_conf_free(&conf);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_sersic_enclosed_light),     cmocka_unit_test(test_shape_is_rotated_by_the_jacobian),
      cmocka_unit_test(test_tilt_straightens_a_galaxy), cmocka_unit_test(test_against_brute_force),
      cmocka_unit_test(test_line_positions_and_flux),   cmocka_unit_test(test_windows_agree),
      cmocka_unit_test(test_psf_of_wavelength),         cmocka_unit_test(test_flat_spectrum_and_speed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
