#include "noslit/base/program.h"

/* Raise this by one, in the same commit, whenever the same inputs, configuration and model give other rows or PDFs than before:
 * another algorithm, constant, default that no configuration key shows, or a mended error. Not for what leaves the numbers as they
 * are but for rounding, as between two kinds of processors: documentation, logs, speed, kernels, file layout, the mock survey,
 * training (a new model has a new hash). Every tile file made with another number is stale then, and is made anew by the next run:
 * on a full survey thousands of core-hours, so gather such changes in one release. unit.pipe.test_results pins the numbers of a
 * small survey and fails when they move without this one; say in CHANGELOG.md what moved and by how much. */
const int nsl_results_version = 4;
