/* The program of the next release whose numbers differ: noslit_next is noslit with this in place of src/base/results_version.c. */
#include "noslit/base/program.h"

const int nsl_results_version = 1000000;
