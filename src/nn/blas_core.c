/* Which kernels OpenBLAS chose when it was loaded, and a better choice where it does not know the processor. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/nn/blas.h"

extern char *openblas_get_corename(void);

#define CORE_KEY "OPENBLAS_CORETYPE"

const char *nsl_blas_core(void) { return openblas_get_corename(); }

static int is_among(const char *core, const char *const *names)
{
  for (; *names; names++) {
    if (!strcmp(core, *names)) { return 1; }
  }
  return 0;
}

nsl_blas_vectors nsl_blas_vectors_of(const char *core)
{
  static const char *const avx2[] = {"Haswell", "Zen", "Excavator", NULL};
  static const char *const older[] = {"Katmai",      "Coppermine",   "Northwood", "Banias",      "Prescott",  "Core2",
                                      "Penryn",      "Dunnington",   "Nehalem",   "Sandybridge", "Atom",      "Athlon",
                                      "Opteron",     "Opteron_SSE3", "Barcelona", "Bobcat",      "Bulldozer", "Piledriver",
                                      "Steamroller", "Nano",         NULL};
  return is_among(core, older) ? NSL_BLAS_OLDER : is_among(core, avx2) ? NSL_BLAS_AVX2 : NSL_BLAS_WIDEST;
}

const char *nsl_blas_better_core(const char *core, nsl_blas_vectors processor)
{
  if (nsl_blas_vectors_of(core) != NSL_BLAS_OLDER || processor == NSL_BLAS_OLDER) { return NULL; }
  return processor == NSL_BLAS_AVX2 ? "Haswell" : "SkylakeX";
}

nsl_blas_vectors nsl_blas_processor(void)
{
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
    return NSL_BLAS_WIDEST;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) { return NSL_BLAS_AVX2; }
#endif
  return NSL_BLAS_OLDER;
}

void nsl_blas_restart_with_better_core(char **argv)
{
  const char *better = nsl_blas_better_core(nsl_blas_core(), nsl_blas_processor());
  if (!better || getenv(CORE_KEY)) { return; }
  if (setenv(CORE_KEY, better, 1) == 0) { execv("/proc/self/exe", argv); }
  unsetenv(CORE_KEY);
}
