/* The tables that exist, for kernels.c. */
#ifndef NOSLIT_SRC_NN_KERNELS_TABLES_H
#define NOSLIT_SRC_NN_KERNELS_TABLES_H

#include "kernels.h"

extern const nsl_kernels nsl_kernels_plain, nsl_kernels_avx2, nsl_kernels_avx512;

#endif
