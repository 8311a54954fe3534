/* What a kind of table file gives; table.c makes the public functions of it. Private to io. */
#ifndef NOSLIT_SRC_IO_TABLE_INTERNAL_H
#define NOSLIT_SRC_IO_TABLE_INTERNAL_H

#include "noslit/io/table.h"

typedef enum { NSL_COLUMN_INTEGER, NSL_COLUMN_REAL, NSL_COLUMN_TEXT, NSL_COLUMN_OTHER } nsl_column_kind;

/* Rows are inside the table; the reading function of a column's kind is the only one called for it. */
typedef struct {
  /* null[i] says that the value is missing. */
  nsl_status (*read_i64)(void *self, int column, int64_t first, int64_t n, int64_t *out, char *null, nsl_error *err);
  nsl_status (*read_f64)(void *self, int column, int64_t first, int64_t n, double *out, nsl_error *err); /* missing: NaN */
  nsl_status (*read_text)(void *self, int column, int64_t first, int64_t n, char *out, size_t size, nsl_error *err);
  void (*close)(void *self);
} nsl_table_kind;

struct nsl_table {
  char *path;
  int64_t rows;
  int n_columns;
  char **names;
  nsl_column_kind *kinds;
  const nsl_table_kind *kind;
  void *self;
};

/* Each fills rows, names, kinds, kind and self of t (path is set); on failure nsl_table_close(t) cleans up. */
nsl_status nsl_table_open_fits(nsl_table *t, const char *where, nsl_error *err);
nsl_status nsl_table_open_h5(nsl_table *t, const char *where, nsl_error *err);
nsl_status nsl_table_open_text(nsl_table *t, const char *where, nsl_error *err);

/* Makes room for n columns without names. */
nsl_status nsl_table_set_columns(nsl_table *t, int n, nsl_error *err);

/* Copies n characters of text, cut to size-1, without trailing blanks. */
void nsl_table_copy_text(char *out, size_t size, const char *text, size_t n);

#endif
