/* Inputs and targets of a batch, with augmentation: mirror in y, shift in y by whole pixels, in x by whole pixels and by any
 * amount. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/rng.h"
#include "pipe/train_internal.h"

#define NY NSL_STAMP_NY
#define NX NSL_STAMP_NX

nsl_status nsl_train_batch_init(nsl_train_batch *b, int capacity, int n_bins, nsl_error *err)
{
  size_t n = (size_t)capacity;
  *b = (nsl_train_batch){.capacity = capacity, .n_bins = n_bins};
  b->planes = calloc(3 * NSL_STAMP_PIXELS, sizeof *b->planes);
  b->scratch = malloc(2 * NSL_STAMP_PLANE * sizeof *b->scratch);
  b->x = malloc(n * NSL_STAMP_PIXELS * sizeof *b->x);
  b->v = malloc(n * NSL_STAMP_PIXELS * sizeof *b->v);
  b->aux = malloc(n * NSL_AUX * sizeof *b->aux);
  b->target = malloc(n * (size_t)n_bins * sizeof *b->target);
  b->keys = malloc(n * sizeof *b->keys);
  if (!b->planes || !b->scratch || !b->x || !b->v || !b->aux || !b->target || !b->keys) {
    nsl_train_batch_free(b);
    return nsl_fail(err, NSL_E_NOMEM, "a batch of %d stamps: lower train.group", capacity);
  }
  b->stamp.flux = b->planes;
  b->stamp.variance = b->planes + NSL_STAMP_PIXELS;
  b->stamp.contamination = b->planes + 2 * NSL_STAMP_PIXELS;
  return NSL_OK;
}

void nsl_train_batch_free(nsl_train_batch *b)
{
  free(b->planes);
  free(b->scratch);
  free(b->x);
  free(b->v);
  free(b->aux);
  free(b->target);
  free(b->keys);
  *b = (nsl_train_batch){0};
}

void nsl_train_batch_load(nsl_train_batch *b, int k, const nsl_model *model, const nsl_stamp_reader *r, size_t i, nsl_rng *noise)
{
  size_t at = (size_t)k;
  nsl_stamp_reader_get(r, i, &b->stamp);
  if (noise) { nsl_train_fresh_noise(&b->stamp, nsl_stamp_reader_label(r, i)->noise_missing, noise, b->scratch); }
  nsl_infer_inputs(model, &b->stamp, b->x + at * NSL_STAMP_PIXELS, b->v + at * NSL_STAMP_PIXELS, b->aux + at * NSL_AUX);
}

static int modulo(int i, int n) { return (i % n + n) % n; }

/* Row y of out is row y - shift of in, read from the bottom when flipped; roll: cyclically. */
static void move_rows(const float *in, float *out, int flip, int shift, int roll)
{
  for (int y = 0; y < NY; y++) {
    int from = roll ? modulo(y - shift, NY) : y - shift;
    if (from < 0 || from >= NY) {
      memset(out + y * NX, 0, NX * sizeof *out);
    } else {
      memcpy(out + y * NX, in + (flip ? NY - 1 - from : from) * NX, NX * sizeof *out);
    }
  }
}

/* Moves spectra to the right by shift pixels: weighted linear interpolation, so that pixels without data lend nothing. */
static void move_columns(float *x, float *v, double shift, float *row)
{
  double whole = floor(-shift), f = -shift - whole;
  const float w0 = (float)(1 - f), w1 = (float)f;
  const long offset = (long)whole;
  for (int y = 0; y < NY; y++) {
    float *xr = x + y * NX, *vr = v + y * NX, *new_x = row, *new_v = row + NX;
    for (long i = 0; i < NX; i++) {
      long a = i + offset, c = a + 1;
      float va = a < 0 || a >= NX ? 0 : w0 * vr[a], vc = c < 0 || c >= NX ? 0 : w1 * vr[c];
      float sum = va + vc;
      new_v[i] = sum;
      new_x[i] = sum > 0 ? ((va > 0 ? va * xr[a] : 0) + (vc > 0 ? vc * xr[c] : 0)) / sum : 0;
    }
    memcpy(xr, new_x, NX * sizeof *xr);
    memcpy(vr, new_v, NX * sizeof *vr);
  }
}

/* Column x of every row becomes column x + shift, cyclically. */
static void roll_columns(float *plane, int shift, float *row)
{
  size_t first = (size_t)modulo(shift, NX), rest = NX - first;
  for (int y = 0; y < NY; y++) {
    float *p = plane + y * NX;
    memcpy(row, p + rest, first * sizeof *row);
    memcpy(row + first, p, rest * sizeof *row);
    memcpy(p, row, NX * sizeof *row);
  }
}

/* A shift in x: whole pixels, and a part that needs interpolation. */
typedef struct {
  int whole;
  double part;
} shift_x;

static shift_x draw_shift_x(const nsl_train_options *o, nsl_rng *r)
{
  shift_x s = {.part = o->shift_x * nsl_rng_normal(r)};
  if (o->shift_x_range > 0) { s.whole = (int)nsl_rng_below(r, (uint64_t)(2 * o->shift_x_range + 1)) - o->shift_x_range; }
  return s;
}

static void apply_shift_x(const nsl_train_options *o, shift_x s, float *plane[2], float *scratch)
{
  if (o->shift_roll && s.whole) {
    for (int p = 0; p < 2; p++) { roll_columns(plane[p], s.whole, scratch); }
    s.whole = 0;
  }
  if (o->shift_x > 0 || s.whole) { move_columns(plane[0], plane[1], s.part + s.whole, scratch); }
}

void nsl_train_batch_augment(nsl_train_batch *b, int k, const nsl_train_options *o, uint64_t name)
{
  nsl_rng r = nsl_rng_make(o->seed, NSL_RNG_AUGMENT, name, 0);
  int flip = nsl_rng_uniform(&r) < 0.5 && o->flip;
  int dy = (int)nsl_rng_below(&r, (uint64_t)(2 * o->shift_y + 1)) - o->shift_y;
  shift_x dx = draw_shift_x(o, &r);
  float *x = b->x + (size_t)k * NSL_STAMP_PIXELS, *v = b->v + (size_t)k * NSL_STAMP_PIXELS;
  for (int band = 0; band < NSL_STAMP_BANDS; band++) {
    float *plane[2] = {x + (size_t)band * NSL_STAMP_PLANE, v + (size_t)band * NSL_STAMP_PLANE};
    for (int p = 0; p < 2 && (flip || dy); p++) {
      memcpy(b->scratch, plane[p], NSL_STAMP_PLANE * sizeof *b->scratch);
      move_rows(b->scratch, plane[p], flip, dy, o->shift_roll);
    }
    apply_shift_x(o, dx, plane, b->scratch);
    if (o->shift_bands_apart) { dx = draw_shift_x(o, &r); }
  }
  if (flip) { b->aux[(size_t)k * NSL_AUX + 3] *= -1; } /* the angle from the dispersion axis changes its sign */
}

void nsl_train_batch_label(nsl_train_batch *b, int k, const nsl_model *model, double z, double label_sigma)
{
  if (model->head == NSL_HEAD_GAUSSIAN) {
    b->target[k] = (float)z;
    return;
  }
  const nsl_pdf_grid *g = &model->grid;
  float *target = b->target + (size_t)k * (size_t)g->n;
  for (int i = 0; i < g->n; i++) { target[i] = isnan(z) ? 1 / (float)g->n : 0; }
  if (isnan(z)) { return; }
  double u = log1p(z), per_sigma = label_sigma > 0 ? M_SQRT1_2 / label_sigma : INFINITY, sum = 0;
  double reach = 6 * label_sigma / g->du, bin = (u - g->u0) / g->du;
  int first = (int)fmax(floor(bin - reach), 0), last = (int)fmin(floor(bin + reach), g->n - 1);
  if (last <= first) {
    target[(int)fmin(fmax(bin, 0), g->n - 1)] = 1;
    return;
  }
  for (int i = first; i <= last; i++) {
    double lo = g->u0 + i * g->du - u, mass = erf((lo + g->du) * per_sigma) - erf(lo * per_sigma);
    target[i] = (float)mass;
    sum += mass;
  }
  for (int i = first; i <= last; i++) { target[i] = (float)((double)target[i] / sum); }
}
