/* The versions of the libraries that read and write files, as loaded now. */
#ifndef NOSLIT_IO_LIBRARIES_H
#define NOSLIT_IO_LIBRARIES_H

#include <stddef.h>

/* "hdf5 1.10.8, cfitsio 4.2.0, wcslib 7.12, cjson 1.7.15, yaml 0.2.5", cut to size. */
void nsl_io_libraries(char *out, size_t size);

#endif
