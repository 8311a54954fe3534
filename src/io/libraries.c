#include "noslit/io/libraries.h"

#include <stdio.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <fitsio.h>
#include <hdf5.h>
#include <isa-l.h>
#include <wcslib/wcs.h>
#include <yaml.h>
#include <zlib.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)

void nsl_io_libraries(char *out, size_t size)
{
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  /* cfitsio can say at run time only 4.02 or 4.2; its soname changes with every incompatible release, so the header's word holds.
   */
  snprintf(out, size, "hdf5 %u.%u.%u, cfitsio " TEXT(CFITSIO_VERSION) ", wcslib %s, cjson %s, yaml %s, zlib %s, isa-l %d.%d.%d",
           major, minor, release, wcslib_version(NULL), cJSON_Version(), yaml_get_version_string(), zlibVersion(),
           ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION);
}
