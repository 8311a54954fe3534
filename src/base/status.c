#include "noslit/base/status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
  const char *name;
  nsl_status_class cls;
  const char *text;
} status_table[NSL_STATUS_COUNT] = {
#define ROW(name, cls, text) [name] = {#name, cls, text},
    NSL_STATUS_LIST(ROW)
#undef ROW
};

static int valid(nsl_status status) { return (int)status >= 0 && status < NSL_STATUS_COUNT; }

const char *nsl_status_text(nsl_status status) { return valid(status) ? status_table[status].text : "unknown status"; }

const char *nsl_status_name(nsl_status status) { return valid(status) ? status_table[status].name : "NSL_E_UNKNOWN"; }

nsl_status_class nsl_status_classify(nsl_status status) { return valid(status) ? status_table[status].cls : NSL_CLASS_BUG; }

int nsl_status_exit_code(nsl_status status)
{
  if (status == NSL_OK) { return 0; }
  if (status == NSL_E_DRAINED) { return 75; }
  return nsl_status_classify(status) == NSL_CLASS_USER ? 2 : 1;
}

static void put_text(nsl_error *err, nsl_status status, const char *fmt, va_list ap)
{
  err->status = status;
  vsnprintf(err->text, sizeof err->text, fmt, ap);
  for (char *p = err->text; *p; p++) { /* a value quoted from a file may hold anything; a message is one line */
    if ((unsigned char)*p < ' ' || *p == 127) { *p = ' '; }
  }
}

nsl_status nsl_fail(nsl_error *err, nsl_status status, const char *fmt, ...)
{
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    put_text(err, status, fmt, ap);
    va_end(ap);
  }
  return status;
}

nsl_status nsl_fail_errno(nsl_error *err, int errnum, const char *fmt, ...)
{
  nsl_status status = NSL_E_IO;
  if (errnum == ENOSPC || errnum == EDQUOT) { status = NSL_E_NOSPACE; }
  if (errnum == ENOENT) { status = NSL_E_NOTFOUND; }
  if (errnum == ENOMEM) { status = NSL_E_NOMEM; }
  if (err) {
    va_list ap;
    va_start(ap, fmt);
    put_text(err, status, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(errnum));
  }
  return status;
}

nsl_status nsl_error_context(nsl_error *err, nsl_status status, const char *fmt, ...)
{
  if (err) {
    char old[NSL_ERROR_TEXT_MAX];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    put_text(err, status, fmt, ap);
    va_end(ap);
    size_t used = strlen(err->text);
    snprintf(err->text + used, sizeof err->text - used, ": %s", old[0] ? old : nsl_status_text(status));
  }
  return status;
}
