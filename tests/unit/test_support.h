/* What every cmocka test includes, in the order cmocka wants. */
#ifndef TEST_SUPPORT_H
#define TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "noslit/base/status.h"

/* Calls pass &test_err as their error; assert_ok fails the test with its text. */
static nsl_error test_err __attribute__((unused));

#define assert_ok(call)                                                             \
  do {                                                                              \
    nsl_status st_ = (call);                                                        \
    if (st_ != NSL_OK) { fail_msg("%s: %s", nsl_status_name(st_), test_err.text); } \
  } while (0)

#endif
