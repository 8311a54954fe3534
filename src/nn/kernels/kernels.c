#include "kernels_tables.h"
#include "noslit/nn/blas.h"

const nsl_kernels *nsl_kernels_at(int i)
{
  const nsl_kernels *tables[4] = {&nsl_kernels_plain};
  int n = 1;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) { tables[n++] = &nsl_kernels_avx2; }
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) { tables[n++] = &nsl_kernels_avx512; }
#endif
  return i >= 0 && i < n ? tables[i] : NULL;
}

/* OPENBLAS_CORETYPE pins both, and the core's name in the provenance speaks for both. */
const nsl_kernels *nsl_kernels_best(void)
{
  const nsl_kernels *best = nsl_kernels_at(0);
  for (int i = 1; i <= (int)nsl_blas_vectors_of(nsl_blas_core()) && nsl_kernels_at(i); i++) { best = nsl_kernels_at(i); }
  return best;
}
