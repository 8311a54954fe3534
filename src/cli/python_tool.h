/* Runs the Python scripts of tools/ (pictures, and files of PyTorch; never results). */
#ifndef NOSLIT_CLI_PYTHON_TOOL_H
#define NOSLIT_CLI_PYTHON_TOOL_H

#include "noslit/base/status.h"

#define NSL_PYTHON_PICTURES "numpy h5py matplotlib astropy"

/* Runs tools/<script> with NULL-terminated arguments and waits. The script is found in the source tree the program was built
 * from, or in ../share/noslit/tools beside the program; Python is the first of $NOSLIT_PYTHON, python3 and /usr/bin/python3 that
 * has the modules ("numpy h5py"). The script's output goes to stderr. */
nsl_status nsl_python_tool(const char *script, const char *modules, const char *const *arguments, nsl_error *err);

#endif
