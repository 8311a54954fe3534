#include "kernels_tables.h"
#include "noslit/nn/blas.h"

const nsl_kernels *nsl_kernels_at(int i)
{
  static const nsl_kernels *const tables[] = {
    [NSL_BLAS_OLDER] = &nsl_kernels_plain,
#if defined(__x86_64__)
    [NSL_BLAS_AVX2] = &nsl_kernels_avx2,
    [NSL_BLAS_WIDEST] = &nsl_kernels_avx512,
#endif
  };
  return i >= 0 && i <= (int)nsl_blas_processor() ? tables[i] : NULL;
}

/* OPENBLAS_CORETYPE pins both, and the core's name in the provenance speaks for both. */
const nsl_kernels *nsl_kernels_best(void)
{
  nsl_blas_vectors core = nsl_blas_vectors_of(nsl_blas_core()), processor = nsl_blas_processor();
  return nsl_kernels_at((int)(core < processor ? core : processor));
}
