/* Memory for large arrays. */
#ifndef NOSLIT_BASE_MEMORY_H
#define NOSLIT_BASE_MEMORY_H

#include <stddef.h>

/* Memory of that many bytes, contents undefined, at a multiple of 64; from some megabytes on, on huge pages where the system gives
 * them, so that passing over it costs few address translations. Released by free(). NULL when there is none. */
void *nsl_alloc_large(size_t bytes);

#endif
