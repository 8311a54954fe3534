/* Sets of stamps, and what is measured on one: box SNR, contamination, coverage. */
#include "noslit/model/stamp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/vectorised.h"
#include "noslit/model/flags.h"

int nsl_stamp_set_alloc(nsl_stamp_set *set, size_t capacity)
{
  *set = (nsl_stamp_set){.capacity = capacity};
  size_t n = capacity ? capacity : 1;
  set->stamps = calloc(n, sizeof *set->stamps);
  set->flux = calloc(n * NSL_STAMP_PIXELS, sizeof(float));
  set->variance = calloc(n * NSL_STAMP_PIXELS, sizeof(float));
  set->contamination = calloc(n * NSL_STAMP_PIXELS, sizeof(float));
  if (!set->stamps || !set->flux || !set->variance || !set->contamination) {
    nsl_stamp_set_free(set);
    return 0;
  }
  nsl_stamp_set_clear(set);
  return 1;
}

void nsl_stamp_set_free(nsl_stamp_set *set)
{
  free(set->stamps);
  free(set->flux);
  free(set->variance);
  free(set->contamination);
  *set = (nsl_stamp_set){0};
}

void nsl_stamp_set_clear(nsl_stamp_set *set)
{
  size_t bytes = set->capacity * NSL_STAMP_PIXELS * sizeof(float);
  set->n = 0;
  memset(set->stamps, 0, set->capacity * sizeof *set->stamps);
  memset(set->flux, 0, bytes);
  memset(set->variance, 0, bytes);
  memset(set->contamination, 0, bytes);
  for (size_t i = 0; i < set->capacity; i++) {
    set->stamps[i].flux = set->flux + i * NSL_STAMP_PIXELS;
    set->stamps[i].variance = set->variance + i * NSL_STAMP_PIXELS;
    set->stamps[i].contamination = set->contamination + i * NSL_STAMP_PIXELS;
  }
}

double nsl_stamp_box_weight(int y)
{
  if (y < NSL_STAMP_BOX_FIRST || y > NSL_STAMP_BOX_LAST) { return 0; }
  return y == NSL_STAMP_BOX_FIRST || y == NSL_STAMP_BOX_LAST ? 0.5 : 1.0;
}

/* Sums over the box of each column, and the weight of its rows that have data. */
typedef struct {
  double rows[NSL_STAMP_NX], flux[NSL_STAMP_NX], variance[NSL_STAMP_NX], contamination[NSL_STAMP_NX];
} boxes;

NSL_VECTORISED static void add_box_row(double weight, const float *restrict flux, const float *restrict variance,
                                       const float *restrict contamination, int x0, int x1, boxes *b)
{
  for (int x = x0; x < x1; x++) {
    int data = variance[x] > 0;
    b->rows[x] += data ? weight : 0;
    b->flux[x] += data ? weight * (double)flux[x] : 0;
    b->variance[x] += data ? weight * (double)variance[x] : 0;
    b->contamination[x] += data ? weight * (double)contamination[x] : 0;
  }
}

/* Columns [x0, x1). Rows count in the variance as in the flux: half a row has half its variance, as befits variances that are made
 * to be summed (stamp.h). */
static void sum_boxes(const float *flux, const float *variance, const float *contamination, int x0, int x1, boxes *b)
{
  static const float none[NSL_STAMP_NX];
  memset(b, 0, sizeof *b);
  for (int y = NSL_STAMP_BOX_FIRST; y <= NSL_STAMP_BOX_LAST; y++) {
    size_t i = (size_t)y * NSL_STAMP_NX;
    add_box_row(nsl_stamp_box_weight(y), flux + i, variance + i, contamination ? contamination + i : none, x0, x1, b);
  }
}

float nsl_stamp_snr(const float *flux, const float *variance, const float *contamination, int x0, int x1)
{
  boxes b;
  double sum = 0;
  int columns = 0;
  sum_boxes(flux, variance, contamination, x0, x1, &b);
  for (int x = x0; x < x1; x++) {
    if (!(b.rows[x] > 0)) { continue; }
    columns++;
    if (b.flux[x] > b.contamination[x]) { sum += (b.flux[x] - b.contamination[x]) / sqrt(b.variance[x]); }
  }
  return columns ? (float)(sum / columns) : 0.0f;
}

float nsl_stamp_contamination(const float *flux, const float *variance, const float *contamination, int x0, int x1)
{
  boxes b;
  double light = 0, var = 0, neighbours = 0;
  sum_boxes(flux, variance, contamination, x0, x1, &b);
  for (int x = x0; x < x1; x++) {
    light += b.flux[x];
    var += b.variance[x];
    neighbours += b.contamination[x];
  }
  double all = fmax(fmax(light, neighbours), sqrt(var));
  return all > 0 && neighbours > 0 ? (float)(neighbours / all) : 0.0f;
}

float nsl_stamp_coverage(const float *variance, int x0, int x1)
{
  int seen = 0;
  for (int x = x0; x < x1; x++) {
    int rows = 0;
    for (int y = NSL_STAMP_BOX_FIRST; y <= NSL_STAMP_BOX_LAST; y++) { rows += variance[(size_t)y * NSL_STAMP_NX + (size_t)x] > 0; }
    seen += 2 * rows >= NSL_STAMP_BOX_LAST - NSL_STAMP_BOX_FIRST + 1;
  }
  return x1 > x0 ? (float)seen / (float)(x1 - x0) : 0.0f;
}

uint32_t nsl_stamp_slot_flags(const nsl_stamp_band_info *info, int slot)
{
  if (info->n_exp == 0) { return slot == 0 ? NSL_FLAG_NO_GV : NSL_FLAG_NO_GI; }
  if (info->coverage < 0.9f) { return slot == 0 ? NSL_FLAG_PARTIAL_GV : NSL_FLAG_PARTIAL_GI; }
  return 0;
}
