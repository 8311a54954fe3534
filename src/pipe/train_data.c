/* Which stamps make which group of which step: a function of files, seed and step alone. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/rng.h"
#include "pipe/train_internal.h"

#define NOISE_STAMPS 512 /* the first stamps of the files, that the noise is measured on */

void nsl_train_data_close(nsl_train_data *d)
{
  for (int k = 0; k < d->n_mine; k++) {
    if (d->reader) { nsl_stamp_reader_close(d->reader[k]); }
    if (d->usable) { free(d->usable[k]); }
    if (d->order) { free(d->order[k]); }
  }
  free(d->reader);
  free(d->usable);
  free(d->order);
  free(d->n_usable);
  *d = (nsl_train_data){0};
}

static nsl_status open_mine(nsl_train_data *d, const nsl_train_options *o, nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = (size_t)d->n_mine + 1;
  d->reader = calloc(n, sizeof *d->reader);
  d->usable = calloc(n, sizeof *d->usable);
  d->order = calloc(n, sizeof *d->order);
  d->n_usable = calloc(n, sizeof *d->n_usable);
  if (!d->reader || !d->usable || !d->order || !d->n_usable) { NSL_THROW(err, NSL_E_NOMEM, "training data"); }
  for (int k = 0; k < d->n_mine; k++) {
    int class = d->rank + k * d->size;
    NSL_TRY(nsl_stamp_reader_open((const char *const *)o->stamps, o->n_stamps, class, d->n_groups, &d->reader[k], err));
  }
cleanup:
  return st;
}

nsl_status nsl_train_data_open(nsl_train_data *d, const nsl_train_options *o, const nsl_train_comm *comm, nsl_error *err)
{
  int n_groups = (o->batch + o->group - 1) / o->group;
  *d = (nsl_train_data){
      .rank = comm->rank, .size = comm->size, .n_groups = n_groups, .group = o->batch / n_groups, .seed = o->seed, .epoch = -1};
  d->n_mine = comm->rank < n_groups ? (n_groups - comm->rank + comm->size - 1) / comm->size : 0;
  nsl_status st = comm->agree(comm->ctx, open_mine(d, o, err), err);
  if (st != NSL_OK) { nsl_train_data_close(d); }
  return st;
}

/* Keeps stars, and what has a redshift inside the grid. counts: all, stars, outside. */
static nsl_status choose_class(nsl_train_data *d, int k, const nsl_pdf_grid *grid, int with_stars, int64_t counts[3],
                               nsl_error *err)
{
  const nsl_stamp_reader *r = d->reader[k];
  size_t n = nsl_stamp_reader_count(r);
  d->usable[k] = malloc((n + 1) * sizeof **d->usable);
  d->order[k] = malloc((n + 1) * sizeof **d->order);
  if (!d->usable[k] || !d->order[k]) { return nsl_fail(err, NSL_E_NOMEM, "order of %zu stamps", n); }
  for (size_t i = 0; i < n; i++) {
    const nsl_stamp_label *l = nsl_stamp_reader_label(r, i);
    double bin = (log1p(l->z) - grid->u0) / grid->du;
    int star = l->type == NSL_STAMP_STAR, inside = bin >= 0 && bin < grid->n;
    counts[0]++;
    counts[1] += star;
    counts[2] += !star && !inside;
    if ((star && with_stars) || (!star && inside)) { d->usable[k][d->n_usable[k]++] = (uint32_t)i; }
  }
  return NSL_OK;
}

int64_t nsl_train_data_used(const nsl_train_data *d) { return d->n_total - d->n_outside - (d->with_stars ? 0 : d->n_stars); }

nsl_status nsl_train_data_choose(nsl_train_data *d, const nsl_pdf_grid *grid, int with_stars, const nsl_train_comm *comm,
                                 const nsl_log *log, nsl_error *err)
{
  nsl_status st = NSL_OK;
  d->with_stars = with_stars;
  int64_t mine[4] = {0, 0, 0, INT64_MAX}; /* counts, and the smallest class */
  int64_t *all = malloc((size_t)comm->size * sizeof mine);
  if (!all) { st = nsl_fail(err, NSL_E_NOMEM, "counts of stamps"); }
  for (int k = 0; k < d->n_mine && st == NSL_OK; k++) {
    st = choose_class(d, k, grid, with_stars, mine, err);
    if ((int64_t)d->n_usable[k] < mine[3]) { mine[3] = (int64_t)d->n_usable[k]; }
  }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  NSL_TRY(comm->gather(comm->ctx, mine, sizeof mine, all, (size_t)comm->size * sizeof mine, err));
  int64_t smallest = INT64_MAX;
  for (int q = 0; q < comm->size; q++) {
    d->n_total += all[4 * q];
    d->n_stars += all[4 * q + 1];
    d->n_outside += all[4 * q + 2];
    if (all[4 * q + 3] < smallest) { smallest = all[4 * q + 3]; }
  }
  d->steps_per_epoch = smallest / d->group;
  if (d->n_stars) {
    nsl_info(log, "%lld training stamps of stars %s", (long long)d->n_stars,
             with_stars ? "learned as without a redshift" : "left out");
  }
  if (d->n_outside) {
    nsl_warn(log, "%lld training stamps left out: redshift outside the PDF grid, %.3f to %.3f", (long long)d->n_outside,
             nsl_pdf_edge_z(grid, 0), nsl_pdf_edge_z(grid, grid->n));
  }
  if (d->steps_per_epoch == 0) {
    NSL_THROW(err, NSL_E_CONFIG, "%lld usable training stamps are not enough for a batch of %d: lower train.batch or make more",
              (long long)nsl_train_data_used(d), d->group * d->n_groups);
  }
cleanup:
  free(all);
  return st;
}

/* ln of the typical sigma of either band: from the mean inverse variance, which bright pixels do not move. */
static void stamp_noise(const nsl_stamp *s, double ln_sigma[2])
{
  for (int b = 0; b < NSL_STAMP_BANDS; b++) {
    const float *variance = s->variance + (size_t)b * NSL_STAMP_PLANE;
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < NSL_STAMP_PLANE; i++) {
      if (variance[i] > 0) {
        sum += 1 / (double)variance[i];
        n++;
      }
    }
    ln_sigma[b] = n ? 0.5 * log((double)n / sum) : NAN;
  }
}

nsl_status nsl_train_data_noise(const nsl_train_data *d, const nsl_train_comm *comm, double sigma[2], nsl_error *err)
{
  nsl_status st = NSL_OK;
  size_t n = 2 * NOISE_STAMPS, size = (size_t)comm->size;
  double *mine = malloc(n * sizeof *mine), *all = malloc(size * n * sizeof *all);
  nsl_train_batch b = {0};
  if (!mine || !all) { st = nsl_fail(err, NSL_E_NOMEM, "noise of the stamps"); }
  if (st == NSL_OK) { st = nsl_train_batch_init(&b, 1, 1, err); }
  NSL_TRY(comm->agree(comm->ctx, st, err));
  for (size_t i = 0; i < n; i++) { mine[i] = NAN; }
  for (int k = 0; k < d->n_mine; k++) {
    for (size_t i = 0; i < nsl_stamp_reader_count(d->reader[k]); i++) {
      size_t index = nsl_stamp_reader_index(d->reader[k], i);
      if (index >= NOISE_STAMPS) { break; }
      nsl_stamp_reader_get(d->reader[k], i, &b.stamp);
      stamp_noise(&b.stamp, mine + 2 * index);
    }
  }
  NSL_TRY(comm->gather(comm->ctx, mine, n * sizeof *mine, all, size * n * sizeof *all, err));
  for (size_t band = 0; band < 2; band++) {
    double sum = 0, count = 0;
    for (size_t i = band; i < n; i += 2) { /* in the order of the stamps: each was measured by one rank */
      for (size_t q = 0; q < size; q++) {
        double v = all[q * n + i];
        if (isfinite(v)) {
          sum += v;
          count++;
        }
      }
    }
    sigma[band] = count > 0 ? exp(sum / count) : 1;
  }
cleanup:
  nsl_train_batch_free(&b);
  free(mine);
  free(all);
  return st;
}

static void shuffle(nsl_train_data *d, int64_t epoch)
{
  for (int k = 0; k < d->n_mine; k++) {
    uint32_t *order = d->order[k];
    nsl_rng r = nsl_rng_make(d->seed, NSL_RNG_SHUFFLE, (uint64_t)epoch, (uint64_t)(d->rank + k * d->size));
    memcpy(order, d->usable[k], d->n_usable[k] * sizeof *order);
    for (size_t i = d->n_usable[k]; i > 1; i--) {
      size_t j = (size_t)nsl_rng_below(&r, i);
      uint32_t swap = order[i - 1];
      order[i - 1] = order[j];
      order[j] = swap;
    }
  }
  d->epoch = epoch;
}

size_t nsl_train_data_pick(nsl_train_data *d, int64_t step, int k, int j)
{
  int64_t epoch = step / d->steps_per_epoch;
  if (epoch != d->epoch) { shuffle(d, epoch); }
  return d->order[k][(step % d->steps_per_epoch) * d->group + j];
}
