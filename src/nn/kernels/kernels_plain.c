/* For any processor. */
#define VW 4
#define TABLE nsl_kernels_plain
#define TABLE_NAME "plain"
#include "kernels_tables.h"

#include "kernels_body.h"
