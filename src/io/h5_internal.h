/* What the HDF5 sources share. Private to io. */
#ifndef NOSLIT_SRC_IO_H5_INTERNAL_H
#define NOSLIT_SRC_IO_H5_INTERNAL_H

#include <hdf5.h>

#include "noslit/io/h5.h"

enum { NSL_H5_OPEN_DATASETS = 8 };

/* What the writing driver and its file tell each other. */
typedef struct {
  int first_errno;     /* the first failed write, 0 while all went well */
  int hold_raw;        /* raw data are not written, only their place is noted */
  int64_t raw_address; /* of the last raw data written or held */
} nsl_h5_writing;

struct nsl_h5 {
  hid_t file;
  hid_t driver; /* of files being written; it must outlive them */
  char *path;
  int writable;
  nsl_h5_writing writing;
  /* The datasets used last stay open, so that reading or writing by rows keeps its chunk cache. */
  struct {
    char *path;
    hid_t id;
  } open[NSL_H5_OPEN_DATASETS];
  int next; /* slot to be used next */
};

/* Fills err from HDF5's error stack (call it before any other HDF5 call): "<file>: <object>: cannot <what>: <reason>".
 * An errno in the stack decides the status; without one it is `otherwise`. object may be NULL. */
nsl_status nsl_h5_fail(nsl_error *err, nsl_status otherwise, const char *file, const char *object, const char *what);

/* Fails if a write has failed since the file was created; the writing driver does not let HDF5 itself see it. */
nsl_status nsl_h5_written(nsl_h5 *f, const char *object, nsl_error *err);

/* Gives the file access list the writing driver and returns its id, negative on failure. *state must live as long as the file is
 * open, and so must the id: HDF5 1.10 drops its own reference before it calls the driver's close for the last time. */
hid_t nsl_h5_set_writing_driver(hid_t access, nsl_h5_writing *state);

hid_t nsl_h5_native_type(nsl_h5_type type);

/* The dataset's id, borrowed from f. Missing: NSL_E_NOTFOUND; not a dataset: NSL_E_FORMAT. */
nsl_status nsl_h5_dataset(nsl_h5 *f, const char *path, hid_t *id, nsl_error *err);
int nsl_h5_is_dataset(nsl_h5 *f, const char *path);
/* Closes the datasets that are kept open. */
nsl_status nsl_h5_drop_datasets(nsl_h5 *f, nsl_error *err);

typedef enum { NSL_H5_INTEGERS, NSL_H5_REALS, NSL_H5_STRINGS, NSL_H5_OTHER } nsl_h5_kind;
nsl_h5_kind nsl_h5_kind_of(hid_t dataset);
/* Strings (fixed or variable) of rows [first, first+count) of a 1-D dataset, cut to size-1 characters, NUL-terminated. */
nsl_status nsl_h5_read_text_rows(nsl_h5 *f, const char *path, size_t first, size_t count, char *out, size_t size, nsl_error *err);

/* HDF5's shuffle of n elements: the first bytes of all, the second ones, ... */
static inline void nsl_h5_shuffle(const unsigned char *restrict in, size_t n, size_t size, unsigned char *restrict out)
{
  for (size_t b = 0; b < size; b++) {
    for (size_t i = 0; i < n; i++) { out[b * n + i] = in[i * size + b]; }
  }
}

#endif
