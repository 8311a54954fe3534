/* HDF5 files, serial driver. Owns every hid_t; HDF5's own error printing is off and its message goes into nsl_error.
 * Local. Not thread-safe (the library is not). Parallel access lives in par. */
#ifndef NOSLIT_IO_H5_H
#define NOSLIT_IO_H5_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

typedef struct nsl_h5 nsl_h5;
typedef enum { NSL_H5_F64, NSL_H5_F32, NSL_H5_I64, NSL_H5_I32, NSL_H5_U32, NSL_H5_I16, NSL_H5_U8 } nsl_h5_type;
#define NSL_H5_MAX_RANK 5

typedef struct {
  size_t chunk_rows; /* rows of dim 0 per chunk; 0 for contiguous */
  int deflate;       /* 0..9; needs chunks */
  int shuffle, fletcher32;
} nsl_h5_layout;

size_t nsl_h5_type_size(nsl_h5_type type);

nsl_status nsl_h5_open(const char *path, nsl_h5 **out, nsl_error *err);   /* read-only */
nsl_status nsl_h5_create(const char *path, nsl_h5 **out, nsl_error *err); /* truncates; the caller publishes */
/* Closes and reports what closing found (a full disk shows here). Frees f in any case. NULL is fine. */
nsl_status nsl_h5_close(nsl_h5 *f, nsl_error *err);

int nsl_h5_exists(nsl_h5 *f, const char *path);
nsl_status nsl_h5_group(nsl_h5 *f, const char *path, nsl_error *err); /* creates, with parents; existing is fine */
nsl_status nsl_h5_dims(nsl_h5 *f, const char *path, int *rank, size_t dims[NSL_H5_MAX_RANK], nsl_error *err);
/* Names of the members of a group, sorted; caller frees each and the array. */
nsl_status nsl_h5_list(nsl_h5 *f, const char *group, char ***names, size_t *n, nsl_error *err);

/* Whole datasets. Memory and file type are the same for writing; reading converts to the asked type. layout may be NULL. */
nsl_status nsl_h5_write(nsl_h5 *f, const char *path, nsl_h5_type type, int rank, const size_t *dims, const void *data,
                        const nsl_h5_layout *layout, nsl_error *err);
/* Expects exactly n elements in total, else NSL_E_FORMAT. */
nsl_status nsl_h5_read(nsl_h5 *f, const char *path, nsl_h5_type type, size_t n, void *out, nsl_error *err);
/* Rows [first, first+count) of dim 0. A row has row_elements elements (1 for a column), else NSL_E_FORMAT: a file with wider rows
 * than the caller thinks of must not write past out. */
nsl_status nsl_h5_read_rows(nsl_h5 *f, const char *path, nsl_h5_type type, size_t row_elements, size_t first, size_t count,
                            void *out, nsl_error *err);
/* Creates a dataset that is filled by rows later, and fills it. */
nsl_status nsl_h5_create_rows(nsl_h5 *f, const char *path, nsl_h5_type type, int rank, const size_t *dims,
                              const nsl_h5_layout *layout, nsl_error *err);
nsl_status nsl_h5_write_rows(nsl_h5 *f, const char *path, nsl_h5_type type, size_t first, size_t count, const void *data,
                             nsl_error *err);

/* Rows that are packed before they are written, several times as fast as by HDF5 for data that are mostly noise.
 * The dataset must have been created with chunks of one row, deflate and shuffle, without fletcher32: zlib's checksum is in the
 * stream. */
size_t nsl_h5_packed_bound(nsl_h5_type type, size_t n); /* bytes that n elements may take */
size_t nsl_h5_pack_room(nsl_h5_type type, size_t n);    /* bytes to work in */
/* Packs n elements (less than 2^31 bytes), returns the bytes. room: from malloc, of nsl_h5_pack_room bytes. */
size_t nsl_h5_pack(nsl_h5_type type, size_t n, const void *data, void *room, void *packed);
nsl_status nsl_h5_write_packed(nsl_h5 *f, const char *path, size_t row, const void *packed, size_t bytes, nsl_error *err);

/* Attributes of any object ("/" for the root). Missing ones are NSL_E_NOTFOUND. Text is caller-freed. Writing replaces. Text up to
 * 60000 bytes is written as a fixed-length UTF-8 string (bytes in h5py), longer text with variable length; both are read. */
nsl_status nsl_h5_put_text(nsl_h5 *f, const char *path, const char *key, const char *v, nsl_error *err);
/* The same with variable length whatever its length: str in h5py, for files that people open. */
nsl_status nsl_h5_put_string(nsl_h5 *f, const char *path, const char *key, const char *v, nsl_error *err);
nsl_status nsl_h5_put_f64(nsl_h5 *f, const char *path, const char *key, double v, nsl_error *err);
nsl_status nsl_h5_put_i64(nsl_h5 *f, const char *path, const char *key, int64_t v, nsl_error *err);
nsl_status nsl_h5_get_text(nsl_h5 *f, const char *path, const char *key, char **v, nsl_error *err);
nsl_status nsl_h5_get_f64(nsl_h5 *f, const char *path, const char *key, double *v, nsl_error *err);
nsl_status nsl_h5_get_i64(nsl_h5 *f, const char *path, const char *key, int64_t *v, nsl_error *err);
/* A fixed-length ASCII NULLPAD string dataset of n strings of the given size (qp's meta/pdf_name). */
nsl_status nsl_h5_write_fixed_text(nsl_h5 *f, const char *path, size_t n, size_t size, const char *data, nsl_error *err);

/* H5close(): once per process, before MPI_Finalize. */
void nsl_h5_shutdown(void);

#endif
