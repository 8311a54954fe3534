#include "mock_format.h"

#include <stdlib.h>
#include <string.h>

nsl_status nsl_mock_check_format(nsl_h5 *f, const char *format, int version, const char *what, const char *tool, nsl_error *err)
{
  char *is = NULL;
  int64_t is_version = 0;
  int known = nsl_h5_get_text(f, "/", "format", &is, NULL) == NSL_OK && strcmp(is, format) == 0;
  free(is);
  if (!known) { return nsl_fail(err, NSL_E_FORMAT, "not %s: make one with tools/%s", what, tool); }
  nsl_status st = nsl_h5_get_i64(f, "/", "version", &is_version, err);
  if (st == NSL_OK && is_version != version) {
    st = nsl_fail(err, NSL_E_FORMAT, "%s of version %lld, this program reads %d: make it again with tools/%s", what,
                  (long long)is_version, version, tool);
  }
  return st;
}
