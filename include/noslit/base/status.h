/* Status codes and error messages: how every noslit function that can fail says so.
 *
 * A function that can fail returns nsl_status and takes `nsl_error *err` as its last argument. On failure it fills
 * err (if not NULL) with one line that names the file, the place and the remedy, releases what it owns and leaves its
 * outputs unset. Libraries never print, exit or abort.
 *
 *     nsl_status f(..., nsl_error *err)
 *     {
 *       nsl_status st = NSL_OK;
 *       NSL_TRY(g(..., err));
 *     cleanup:
 *       free(...);
 *       return st;
 *     }
 */
#ifndef NOSLIT_BASE_STATUS_H
#define NOSLIT_BASE_STATUS_H

/* Classes say whose turn it is: the user's (usage, configuration), the data's (a file that is not what it should be),
 * the system's (I/O, resources), or ours (a bug). */
typedef enum { NSL_CLASS_OK, NSL_CLASS_USER, NSL_CLASS_DATA, NSL_CLASS_IO, NSL_CLASS_RESOURCE, NSL_CLASS_BUG } nsl_status_class;

/* X(name, class, text) */
#define NSL_STATUS_LIST(X)                                                               \
  X(NSL_OK, NSL_CLASS_OK, "ok")                                                          \
  X(NSL_E_USAGE, NSL_CLASS_USER, "wrong usage")                                          \
  X(NSL_E_CONFIG, NSL_CLASS_USER, "wrong configuration")                                 \
  X(NSL_E_NOTFOUND, NSL_CLASS_DATA, "not found")                                         \
  X(NSL_E_FORMAT, NSL_CLASS_DATA, "wrong format")                                        \
  X(NSL_E_VALUE, NSL_CLASS_DATA, "value out of range")                                   \
  X(NSL_E_MISMATCH, NSL_CLASS_DATA, "inputs do not belong together")                     \
  X(NSL_E_CORRUPT, NSL_CLASS_DATA, "corrupt or incomplete file")                         \
  X(NSL_E_IO, NSL_CLASS_IO, "input/output error")                                        \
  X(NSL_E_NOSPACE, NSL_CLASS_RESOURCE, "no space left")                                  \
  X(NSL_E_UNWRITABLE, NSL_CLASS_RESOURCE, "the place of the products cannot be written") \
  X(NSL_E_NOMEM, NSL_CLASS_RESOURCE, "out of memory")                                    \
  X(NSL_E_NUMERIC, NSL_CLASS_BUG, "numerical failure")                                   \
  X(NSL_E_DRAINED, NSL_CLASS_OK, "drained: stopped on request, call again")              \
  X(NSL_E_BUG, NSL_CLASS_BUG, "internal error")

#define NSL_STATUS_ENUM(name, cls, text) name,
typedef enum { NSL_STATUS_LIST(NSL_STATUS_ENUM) NSL_STATUS_COUNT } nsl_status;
#undef NSL_STATUS_ENUM

#define NSL_ERROR_TEXT_MAX 768

typedef struct {
  nsl_status status;
  char text[NSL_ERROR_TEXT_MAX]; /* one line, no newline at its end; empty when nothing was said */
} nsl_error;

#define NSL_ERROR_INIT \
  {                    \
    NSL_OK, ""         \
  }

const char *nsl_status_text(nsl_status status);
const char *nsl_status_name(nsl_status status);
nsl_status_class nsl_status_classify(nsl_status status);

/* Process exit code of a command that ended with this status: 0 ok, 2 usage or configuration, 75 drained, 1 all else. */
int nsl_status_exit_code(nsl_status status);

/* Fills err (may be NULL) and returns status, so that `return nsl_fail(err, NSL_E_IO, "...")` reads well. */
nsl_status nsl_fail(nsl_error *err, nsl_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Same, with the text of errno (ENOSPC and EDQUOT become NSL_E_NOSPACE, ENOENT NSL_E_NOTFOUND, else NSL_E_IO). */
nsl_status nsl_fail_errno(nsl_error *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " before the text already in err and returns its status. */
nsl_status nsl_error_context(nsl_error *err, nsl_status status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Inside a function with `nsl_status st` and a label `cleanup`. */
#define NSL_TRY(call)                   \
  do {                                  \
    st = (call);                        \
    if (st != NSL_OK) { goto cleanup; } \
  } while (0)

#define NSL_THROW(...)          \
  do {                          \
    st = nsl_fail(__VA_ARGS__); \
    goto cleanup;               \
  } while (0)

#endif
