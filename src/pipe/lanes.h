/* Eight numbers side by side, or sixteen, where compilers do not see it for themselves. Private to pipe. */
#ifndef PIPE_LANES_H
#define PIPE_LANES_H

#include <stdint.h>

#include "noslit/base/vectorised.h"

#define LANES 8

/* Read and written anywhere, aligned or not. */
typedef float vec __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
typedef int32_t mask __attribute__((vector_size(LANES * sizeof(int32_t)), aligned(4))); /* of a comparison: -1 or 0 each */
/* Twice as many: one instruction where processors have AVX-512, two elsewhere. For what does not turn lanes round. */
#define WIDE_LANES 16
typedef float wide __attribute__((vector_size(WIDE_LANES * sizeof(float)), aligned(4)));
typedef int32_t wide_mask __attribute__((vector_size(WIDE_LANES * sizeof(int32_t)), aligned(4)));

#endif
