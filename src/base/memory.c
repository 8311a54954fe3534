#include "noslit/base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

void *nsl_alloc_large(size_t bytes)
{
  const size_t line = 64, page = (size_t)2 << 20;
  size_t unit = bytes >= 2 * page ? page : line;
  if (bytes > SIZE_MAX - unit) { return NULL; }
  bytes = bytes > 0 ? (bytes + unit - 1) / unit * unit : unit;
  void *p = aligned_alloc(unit, bytes);
#ifdef MADV_HUGEPAGE
  if (p && unit == page) { (void)madvise(p, bytes, MADV_HUGEPAGE); } /* advice: it is no error if the system has none */
#endif
  return p;
}
