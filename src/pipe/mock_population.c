/* The population: magnitudes, kinds, redshifts and shapes of sources, jointly. Rough fits by eye to what surveys find: counts
 * grow by 0.35 dex a magnitude; field galaxies have z^2 exp(-(z/z0)^1.5) with a median growing with magnitude; red galaxies lie
 * at 0.3 to 0.9, emission-line ones beyond 0.5. Or rows of a table (mock_table.h). */
#include <math.h>
#include <string.h>

#include "mock_internal.h"

#define STAR_SLOPE 0.15
#define STAR_MAG_MIN 15.5
#define RE_MIN 0.06 /* arcsec */
#define RE_MAX 4.0
#define WANTED_LNZ 0.02 /* draws so near (rms, in ln(1+z)) to a wanted redshift are taken */
#define WANTED_DRAWS 3000

nsl_population nsl_population_from(const nsl_config *cfg)
{
  nsl_population p = {
      .density_arcmin2 = nsl_config_real(cfg, "simulate.density"),
      .mag_min = nsl_config_real(cfg, "simulate.mag_min"),
      .mag_max = nsl_config_real(cfg, "simulate.mag_max"),
      .faint_mag = nsl_config_real(cfg, "simulate.faint_mag"),
      .z_min = nsl_config_real(cfg, "simulate.z_min"),
      .z_max = nsl_config_real(cfg, "simulate.z_max"),
      .star_fraction = nsl_config_real(cfg, "simulate.star_fraction"),
      .quasar_fraction = nsl_config_real(cfg, "simulate.quasar_fraction"),
      .astrometric_error_arcsec = nsl_config_real(cfg, "simulate.astrometric_error"),
      .z_wanted = NAN,
      .images_fraction = nsl_config_real(cfg, "simulate.images_fraction"),
  };
  p.astrometric_error_arcsec = nsl_error_size(cfg, "simulate.astrometric_error");
  return p;
}

double nsl_population_density(const nsl_population *p) { return p->density_arcmin2 / (1 - fmin(p->star_fraction, 0.95)); }

double nsl_population_faint_density(const nsl_population *p)
{
  if (!(p->faint_mag > p->mag_max)) { return 0; }
  double bright = pow(10, NSL_MOCK_COUNT_SLOPE * (p->mag_max - p->mag_min)) - 1;
  double faint = pow(10, NSL_MOCK_COUNT_SLOPE * (p->faint_mag - p->mag_min)) - 1 - bright;
  return bright > 0 ? p->density_arcmin2 * faint / bright : 0;
}

static double clamp(double v, double lo, double hi) { return v < lo ? lo : v > hi ? hi : v; }

/* Magnitude between lo and hi with counts growing as 10^(slope m). */
static double draw_mag(nsl_rng *r, double slope, double lo, double hi)
{
  double span = pow(10, slope * (hi - lo)) - 1;
  return lo + log10(1 + nsl_rng_uniform(r) * span) / slope;
}

static double curve(double x, const double *xs, const double *ys, int n)
{
  if (x <= xs[0]) { return ys[0]; }
  for (int i = 1; i < n; i++) {
    if (x <= xs[i]) { return ys[i - 1] + (ys[i] - ys[i - 1]) * (x - xs[i - 1]) / (xs[i] - xs[i - 1]); }
  }
  return ys[n - 1];
}

static nsl_kind draw_kind(nsl_rng *r, double mag)
{
  static const double m[] = {18, 20, 21, 22, 23}, red[] = {.22, .36, .33, .23, .15}, elg[] = {0, .04, .20, .35, .40};
  double u = nsl_rng_uniform(r), f_red = curve(mag, m, red, 5), f_elg = curve(mag, m, elg, 5);
  return u < f_red ? NSL_KIND_RED : u < f_red + f_elg ? NSL_KIND_ELG : NSL_KIND_FIELD;
}

/* Gamma-distributed with shape 2. */
static double draw_gamma2(nsl_rng *r) { return -log((1 - nsl_rng_uniform(r)) * (1 - nsl_rng_uniform(r))); }

static double draw_z(nsl_rng *r, const nsl_population *p, nsl_kind kind, double mag)
{
  for (int attempt = 0; attempt < 1000; attempt++) {
    double z = 0;
    switch (kind) {
    case NSL_KIND_RED:
      z = 0.34 + 0.13 * (mag - 18.5) + 0.14 * nsl_rng_normal(r);
      break;
    case NSL_KIND_ELG:
      z = 0.50 + 0.24 * draw_gamma2(r);
      break;
    case NSL_KIND_QUASAR:
      z = nsl_rng_range(r, 0.2, 1.6);
      break;
    default:
      z = clamp(0.13 + 0.12 * (mag - 18), 0.08, 1.2) / 1.412 * pow(draw_gamma2(r), 2.0 / 3);
      break;
    }
    if (z >= p->z_min && z <= p->z_max) { return z; }
  }
  return p->z_min + (p->z_max - p->z_min) * nsl_rng_uniform(r);
}

static void draw_shape(nsl_rng *r, nsl_mock_source *s)
{
  int red = s->kind == NSL_KIND_RED;
  double re = 0.5 * pow(10, -0.07 * (s->mag - 19.5) + 0.17 * nsl_rng_normal(r));
  s->shape.re_arcsec = clamp(re, RE_MIN, RE_MAX);
  s->shape.sersic_n = clamp(pow(10, red ? 0.50 + 0.12 * nsl_rng_normal(r) : 0.05 + 0.15 * nsl_rng_normal(r)), 0.5, 6);
  s->shape.q = red ? 0.45 + 0.55 * sqrt(nsl_rng_uniform(r)) : nsl_rng_range(r, 0.2, 1);
  s->shape.pa_deg = nsl_rng_range(r, 0, 180);
}

/* Kind, magnitude and redshift of a galaxy or quasar; size when the table has one, else NaN. */
static void draw_galaxy(const nsl_population *p, nsl_rng *r, int catalogued, double slope, nsl_mock_source *s, double *re)
{
  nsl_mock_row row;
  *re = NAN;
  s->mag = catalogued ? draw_mag(r, slope, p->mag_min, p->mag_max) : draw_mag(r, NSL_MOCK_COUNT_SLOPE, p->mag_max, p->faint_mag);
  double v = nsl_rng_uniform(r);
  int quasar = catalogued && v < p->quasar_fraction;
  if (catalogued && p->table && nsl_mock_table_draw(p->table, r, quasar ? NSL_ROWS_QUASARS : NSL_ROWS_GALAXIES, slope, &row)) {
    s->kind = row.kind;
    s->mag = row.mag;
    s->z = row.z;
    *re = row.re_arcsec;
    return;
  }
  s->kind = quasar ? NSL_KIND_QUASAR : draw_kind(r, s->mag);
  s->z = draw_z(r, p, s->kind, s->mag);
  if (catalogued && p->table) { (void)nsl_mock_table_draw_z(p->table, r, s->kind, &s->z); }
}

/* The same with the redshift that is wanted: a draw near it, or the nearest of many, is moved there. */
static void draw_galaxy_at(const nsl_population *p, nsl_rng *r, double slope, nsl_mock_source *s, double *re)
{
  nsl_mock_source trial = *s;
  double nearest = INFINITY, trial_re;
  for (int k = 0; k < WANTED_DRAWS; k++) {
    draw_galaxy(p, r, 1, slope, &trial, &trial_re);
    double off = fabs(log((1 + trial.z) / (1 + p->z_wanted)) / WANTED_LNZ);
    int taken = nsl_rng_uniform(r) < exp(-0.5 * off * off);
    if (taken || off < nearest) {
      nearest = off;
      *s = trial;
      *re = trial_re;
    }
    if (taken) { break; }
  }
  s->z = p->z_wanted;
}

void nsl_population_draw(const nsl_population *p, uint64_t seed, int64_t id, int catalogued, double slope, nsl_mock_source *s)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_SKY, (uint64_t)id, 0), shape = nsl_rng_make(seed, NSL_RNG_SHAPE, (uint64_t)id, 0);
  nsl_mock_row row;
  double re;
  memset(s, 0, sizeof *s);
  s->id = id;
  s->catalogued = catalogued;
  s->shape = (nsl_shape){0, 1, 0, 1};
  double u = nsl_rng_uniform(&r);
  if (catalogued && u < p->star_fraction) {
    s->kind = NSL_KIND_STAR;
    s->mag = draw_mag(&r, STAR_SLOPE, fmin(STAR_MAG_MIN, p->mag_max), p->mag_max);
    if (p->table && nsl_mock_table_draw(p->table, &r, NSL_ROWS_STARS, STAR_SLOPE, &row)) { s->mag = row.mag; }
    return;
  }
  if (catalogued && isfinite(p->z_wanted)) {
    draw_galaxy_at(p, &r, slope, s, &re);
  } else {
    draw_galaxy(p, &r, catalogued, slope, s, &re);
  }
  if (s->kind == NSL_KIND_QUASAR) { return; }
  draw_shape(&shape, s);
  if (isfinite(re)) { s->shape.re_arcsec = clamp(re, RE_MIN, RE_MAX); }
  if (catalogued && p->images && nsl_rng_uniform(&shape) < p->images_fraction) {
    s->image = 1 + nsl_images_pick(p->images, seed, id, s->mag, &s->shape);
  }
}

void nsl_population_catalogue_entry(const nsl_population *p, uint64_t seed, const nsl_mock_source *s, nsl_source *out)
{
  nsl_rng r = nsl_rng_make(seed, NSL_RNG_CALIBRATION_ERROR, (uint64_t)s->id, 0);
  double east = p->astrometric_error_arcsec * nsl_rng_normal(&r), north = p->astrometric_error_arcsec * nsl_rng_normal(&r);
  *out = (nsl_source){.id = s->id, .is_star = s->kind == NSL_KIND_STAR, .shape = s->shape};
  out->dec_deg = s->dec_deg + north / 3600;
  out->ra_deg = s->ra_deg + east / 3600 / cos(s->dec_deg * M_PI / 180);
  out->mag = s->mag + 0.03 * nsl_rng_normal(&r);
  if (s->shape.re_arcsec > 0) {
    out->shape.re_arcsec *= exp(0.06 * nsl_rng_normal(&r));
    out->shape.q = clamp(s->shape.q + 0.03 * nsl_rng_normal(&r), 0.05, 1);
    out->shape.pa_deg += 2.0 / (1.05 - s->shape.q) * nsl_rng_normal(&r);
    out->shape.sersic_n = clamp(s->shape.sersic_n * exp(0.12 * nsl_rng_normal(&r)), 0.5, 6);
  }
}
