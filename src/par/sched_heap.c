#include "par/sched_heap.h"

#include <stdlib.h>

int nsl_heap_init(nsl_heap *h, int32_t capacity, int (*before)(const void *ctx, int32_t a, int32_t b), const void *ctx)
{
  *h = (nsl_heap){.capacity = capacity, .before = before, .ctx = ctx};
  size_t size = (size_t)(capacity > 0 ? capacity : 1) * sizeof(int32_t);
  h->items = malloc(size);
  h->place = malloc(size);
  if (!h->items || !h->place) { return 0; }
  for (int32_t i = 0; i < capacity; i++) { h->place[i] = -1; }
  return 1;
}

void nsl_heap_free(nsl_heap *h)
{
  free(h->items);
  free(h->place);
}

static void put(nsl_heap *h, int32_t at, int32_t item)
{
  h->items[at] = item;
  h->place[item] = at;
}

static void sift_up(nsl_heap *h, int32_t at)
{
  int32_t item = h->items[at];
  while (at > 0) {
    int32_t parent = (at - 1) / 2;
    if (!h->before(h->ctx, item, h->items[parent])) { break; }
    put(h, at, h->items[parent]);
    at = parent;
  }
  put(h, at, item);
}

static void sift_down(nsl_heap *h, int32_t at)
{
  int32_t item = h->items[at];
  for (;;) {
    int64_t child = 2 * (int64_t)at + 1;
    if (child >= h->n) { break; }
    if (child + 1 < h->n && h->before(h->ctx, h->items[child + 1], h->items[child])) { child++; }
    if (!h->before(h->ctx, h->items[child], item)) { break; }
    put(h, at, h->items[child]);
    at = (int32_t)child;
  }
  put(h, at, item);
}

void nsl_heap_push(nsl_heap *h, int32_t item)
{
  put(h, h->n, item);
  sift_up(h, h->n++);
}

void nsl_heap_moved(nsl_heap *h, int32_t item)
{
  sift_up(h, h->place[item]);
  sift_down(h, h->place[item]);
}

void nsl_heap_remove(nsl_heap *h, int32_t item)
{
  int32_t at = h->place[item], last = h->items[--h->n];
  h->place[item] = -1;
  if (last == item) { return; }
  put(h, at, last);
  nsl_heap_moved(h, last);
}
