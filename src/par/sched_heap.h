/* A binary heap of small integers that knows where each one sits, so that any of them can be moved or taken out. Memory is
 * taken once. The caller's order must be total. */
#ifndef NOSLIT_PAR_SCHED_HEAP_H
#define NOSLIT_PAR_SCHED_HEAP_H

#include <stdint.h>

typedef struct {
  int32_t *items; /* [capacity]; items[0] is the first */
  int32_t *place; /* [capacity]; place[item] is its index, or -1 */
  int32_t n, capacity;
  int (*before)(const void *ctx, int32_t a, int32_t b);
  const void *ctx;
} nsl_heap;

int nsl_heap_init(nsl_heap *h, int32_t capacity, int (*before)(const void *ctx, int32_t a, int32_t b),
                  const void *ctx); /* 0: memory */
void nsl_heap_free(nsl_heap *h);
void nsl_heap_push(nsl_heap *h, int32_t item); /* must not be in it */
void nsl_heap_remove(nsl_heap *h, int32_t item);
void nsl_heap_moved(nsl_heap *h, int32_t item); /* its key has changed */
static inline int nsl_heap_has(const nsl_heap *h, int32_t item) { return h->place[item] >= 0; }

#endif
