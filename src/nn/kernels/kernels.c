#include <string.h>

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

/* Vector width that an OpenBLAS core stands for: 1 plain, 2 AVX2; others have no limit. OPENBLAS_CORETYPE then pins both, and the
 * core's name in the provenance speaks for both. */
static int limit_of_core(const char *core)
{
  static const char *const avx2[] = {"Haswell", "Zen", "Excavator"};
  static const char *const older[] = {"Prescott", "Core2",     "Penryn", "Dunnington", "Nehalem",    "Sandybridge", "Atom",
                                      "Athlon",   "Barcelona", "Bobcat", "Bulldozer",  "Piledriver", "Steamroller", "Nano"};
  for (size_t i = 0; i < sizeof avx2 / sizeof *avx2; i++) {
    if (strcmp(core, avx2[i]) == 0) { return 2; }
  }
  for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
    if (strcmp(core, older[i]) == 0) { return 1; }
  }
  return 1 << 8;
}

const nsl_kernels *nsl_kernels_best(void)
{
  int limit = limit_of_core(nsl_blas_core());
  const nsl_kernels *best = nsl_kernels_at(0);
  for (int i = 1; i < limit && nsl_kernels_at(i); i++) { best = nsl_kernels_at(i); }
  return best;
}
