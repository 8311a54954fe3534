/* x86 with AVX2 and FMA (compiled with those options; never called elsewhere). */
#include "kernels_tables.h"
#ifdef __AVX2__
#define VW 8
#define TABLE nsl_kernels_avx2
#define TABLE_NAME "avx2"
#include "kernels_body.h"
#endif
