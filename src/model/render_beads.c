/* From F_lambda to electrons: the integral of F_lambda x SENSITIVITY over small bins of wavelength, each kept as a bead at its
 * centroid, so that lines narrower than a pixel keep flux and position. Beads do not know of traces: one string of them serves
 * every exposure and every place on the detector. */
#include <stdlib.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "render_internal.h"

#define BIN_MAX_A 20.0     /* wider bins do not follow sensitivities */
#define BEADS_MAX 16384    /* of one string */
#define STEPS_PER_OCTAVE 8 /* bins are so finely graded, that neighbouring traces share theirs */
enum { BLOCK = 256 /* bins that are made in one go */ };

/* Index of the last point not above x, in [0, n - 2]. */
static size_t locate(const double *a, size_t n, double x)
{
  size_t lo = 0, hi = n - 1;
  while (hi - lo > 1) {
    size_t mid = (lo + hi) / 2;
    if (a[mid] <= x) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
  return lo;
}

/* Integrals of F and of F (x - from), from `from` to knot k; walks with the wavelengths. */
typedef struct {
  const double *x, *y;
  size_t n, k;
  double from, flux, moment;
  double slope; /* of F after knot k */
} integral;

static void enter(integral *g, size_t k)
{
  g->k = k;
  g->slope = (g->y[k + 1] - g->y[k]) / (g->x[k + 1] - g->x[k]);
}

/* The two integrals up to a wavelength, not below the last one asked for; F is zero outside its table. */
static inline void integrate_to(integral *g, double at, double *flux, double *moment)
{
  const double *x = g->x, *y = g->y;
  at = at < x[0] ? x[0] : at > x[g->n - 1] ? x[g->n - 1] : at;
  while (g->k + 2 < g->n && at > x[g->k + 1]) {
    size_t k = g->k;
    double w = x[k + 1] - x[k], f = 0.5 * w * (y[k] + y[k + 1]);
    g->flux += f;
    g->moment += (x[k] - g->from) * f + w * w * (y[k] + 2 * y[k + 1]) * (1.0 / 6);
    enter(g, k + 1);
  }
  size_t k = g->k;
  double u = at - x[k], f = u * (y[k] + 0.5 * u * g->slope);
  *flux = g->flux + f;
  *moment = g->moment + (x[k] - g->from) * f + u * u * (0.5 * y[k] + u * g->slope * (1.0 / 3));
}

/* A table walked upwards. */
typedef struct {
  const nsl_sensitivity *of;
  size_t k;
  double slope;
} table_walk;

static inline double read_table(table_walk *w, double at)
{
  const nsl_sensitivity *s = w->of;
  if (at < s->lambda_a[0] || at > s->lambda_a[s->n - 1]) { return 0; }
  size_t k = w->k;
  while (k + 2 < s->n && at > s->lambda_a[k + 1]) { k++; }
  if (k != w->k || w->slope != w->slope) { /* NaN: nothing was read yet */
    w->k = k;
    w->slope = (s->value[k + 1] - s->value[k]) / (s->lambda_a[k + 1] - s->lambda_a[k]);
  }
  return s->value[k] + w->slope * (at - s->lambda_a[k]);
}

static int reserve(nsl_beads *b, int n)
{
  if (n <= b->capacity) { return 1; }
  float *p = realloc(b->memory, 2 * (size_t)n * sizeof *p);
  if (!p) { return 0; }
  b->memory = p;
  b->capacity = n;
  return 1;
}

/* Dark beads at the ends are taken off. */
static void trim(nsl_beads *b)
{
  int skip = 0;
  while (b->n > 0 && b->light[b->n - 1] == 0.0f) { b->n--; }
  while (skip < b->n && b->light[skip] == 0.0f) { skip++; }
  b->first += skip;
  b->light += skip;
  b->centre += skip;
  b->n -= skip;
}

/* Light of the brightest pixel: bins are half a pixel, and what is narrower than two pixels is spread over them by the PSF. */
static double brightest(const nsl_beads *b)
{
  enum { SPREAD = 4 };
  double sum = 0, top = 0;
  for (int j = 0; j < b->n; j++) {
    sum += (double)b->light[j] - (j >= SPREAD ? (double)b->light[j - SPREAD] : 0);
    top = sum > top ? sum : top;
  }
  return top / 2;
}

/* Some bins: the integrals at their edges, and the sensitivity in their middles. */
typedef struct {
  long first;
  int n;
  double flux[BLOCK + 1], moment[BLOCK + 1], sensitivity[BLOCK];
} bins;

NSL_VECTORISED static void make_beads(const bins *b, double bin, double from, float *restrict light, float *restrict centre)
{
  double per_bin = 1 / bin;
  for (int j = 0; j < b->n; j++) {
    double a = (double)((int)b->first + j) * bin, f = b->flux[j + 1] - b->flux[j], e = b->sensitivity[j] * f;
    double t = ((b->moment[j + 1] - b->moment[j]) / (f != 0 ? f : 1) + from - a) * per_bin;
    t = f != 0 ? t : 0.5;
    light[j] = b->sensitivity[j] > 0 ? (float)e : 0.0f;
    centre[j] = (float)(t < 0 ? 0 : t > 1 ? 1 : t);
  }
}

static nsl_status thread(nsl_beads *b, const nsl_sed *sed, const nsl_sensitivity *sens, double bin, nsl_error *err)
{
  double lo = fmax(sens->lambda_a[0], sed->lambda_a[0]), hi = fmin(sens->lambda_a[sens->n - 1], sed->lambda_a[sed->n - 1]);
  b->bin_a = bin;
  b->first = (long)floor(lo / bin);
  b->n = hi > lo ? (int)((long)ceil(hi / bin) - b->first) : 0;
  b->mean_a = 0.5 * (lo + hi);
  b->peak = 0;
  if (!reserve(b, b->n > 0 ? b->n : 1)) { return nsl_fail(err, NSL_E_NOMEM, "renderer"); }
  b->light = b->memory;
  b->centre = b->memory + b->n;
  if (b->n == 0) { return NSL_OK; }
  integral sum = {.x = sed->lambda_a, .y = sed->flam, .n = sed->n};
  enter(&sum, locate(sed->lambda_a, sed->n, lo));
  sum.from = sum.x[sum.k];
  table_walk walk = {sens, locate(sens->lambda_a, sens->n, lo), NAN};
  double all = 0, moment = 0;
  bins now;
  integrate_to(&sum, lo, &now.flux[0], &now.moment[0]);
  for (int start = 0; start < b->n; start += BLOCK) {
    now.first = b->first + start;
    now.n = b->n - start < BLOCK ? b->n - start : BLOCK;
    for (int j = 0; j < now.n; j++) {
      double a = (double)(now.first + j) * bin, middle = a + 0.5 * bin;
      integrate_to(&sum, a + bin < hi ? a + bin : hi, &now.flux[j + 1], &now.moment[j + 1]);
      now.sensitivity[j] = read_table(&walk, middle < lo ? lo : middle > hi ? hi : middle);
    }
    make_beads(&now, bin, sum.from, b->light + start, b->centre + start);
    for (int j = 0; j < now.n; j++) {
      all += (double)b->light[start + j];
      moment += (double)b->light[start + j] * ((double)(now.first + j) + 0.5);
    }
    now.flux[0] = now.flux[now.n];
    now.moment[0] = now.moment[now.n];
  }
  b->peak = brightest(b);
  if (all > 0) { b->mean_a = moment / all * bin; }
  trim(b);
  return NSL_OK;
}

double nsl_beads_bin(double finest_a_per_px)
{
  double want = fmin(0.5 * finest_a_per_px, BIN_MAX_A);
  return exp2(floor(log2(want) * STEPS_PER_OCTAVE) / STEPS_PER_OCTAVE);
}

nsl_hash nsl_sed_hash(const nsl_sed *sed) { return nsl_hash_bytes(sed->flam, sed->n * sizeof *sed->flam); }

/* Wavelengths are taken as the same if a few are: spectra are told apart by their light. */
static nsl_hash key_of(const nsl_sed *sed, const nsl_sensitivity *sens, double bin)
{
  enum { SAMPLES = 32 };
  double head[3 + SAMPLES] = {bin, (double)sens->n, (double)sed->n};
  for (size_t k = 0; k < SAMPLES; k++) { head[3 + k] = sed->lambda_a[k * (sed->n - 1) / (SAMPLES - 1)]; }
  nsl_hash a = nsl_hash_bytes(head, sizeof head), b = nsl_hash_bytes(sens->lambda_a, sens->n * sizeof *sens->lambda_a),
           c = nsl_hash_bytes(sens->value, sens->n * sizeof *sens->value),
           d = sed->hash.hi | sed->hash.lo ? sed->hash : nsl_sed_hash(sed);
  return (nsl_hash){a.hi ^ b.hi * 3 ^ c.hi * 5 ^ d.hi * 7, a.lo + b.lo * 3 + c.lo * 5 + d.lo * 7};
}

nsl_status nsl_beads_get(nsl_beads *cache, const nsl_sed *sed, const nsl_sensitivity *sens, double bin, const nsl_beads **out,
                         nsl_error *err)
{
  nsl_hash key = key_of(sed, sens, bin);
  nsl_beads *beads = &cache[key.lo % NSL_BEADS];
  *out = beads;
  if (beads->memory && nsl_hash_equal(beads->key, key)) { return NSL_OK; }
  beads->key = (nsl_hash){0, 0};
  double span = sens->lambda_a[sens->n - 1] - sens->lambda_a[0];
  nsl_status st = thread(beads, sed, sens, fmax(bin, span / BEADS_MAX), err);
  if (st == NSL_OK) { beads->key = key; }
  return st;
}

void nsl_beads_free(nsl_beads *beads)
{
  free(beads->memory);
  memset(beads, 0, sizeof *beads);
}
