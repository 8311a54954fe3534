/* A directory of a test program's own: group set-up and tear-down of cmocka. */
#ifndef SCRATCH_DIR_H
#define SCRATCH_DIR_H

#include "noslit/base/str.h"
#include "unit/test_support.h"

static char dir[64];

static int make_dir(void **state)
{
  (void)state;
  strcpy(dir, "/tmp/nsl_test_XXXXXX");
  return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
  (void)state;
  char *command = nsl_strf("rm -rf '%s'", dir);
  int rc = command ? system(command) : -1;
  free(command);
  return rc;
}

#endif
