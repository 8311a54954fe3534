/* x86 with AVX-512 F and DQ (compiled with those options; never called elsewhere). */
#include "kernels_tables.h"
#ifdef __AVX512F__
#define VW 16
#define TABLE nsl_kernels_avx512
#define TABLE_NAME "avx512"
#include "kernels_body.h"
#endif
