/* Files that are either whole or not there: write to a temporary name, fsync, rename, fsync the directory. */
#ifndef NOSLIT_BASE_FSIO_H
#define NOSLIT_BASE_FSIO_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/status.h"

/* mkdir -p. */
nsl_status nsl_mkdirs(const char *path, nsl_error *err);

/* Name of a temporary file beside path, unique to this host, process and tag: "<dir>/.<base>.tmp.<host>.<pid>.<tag>".
 * Caller frees. Such names are never taken for products. */
char *nsl_temp_name(const char *path, int tag);

/* Makes the finished temporary file durable under its final name: fsync(temp), rename, fsync(dir).
 * On failure the temporary file is removed. */
nsl_status nsl_publish(const char *temp, const char *path, nsl_error *err);

/* Writes a whole small file atomically and durably. */
nsl_status nsl_write_file(const char *path, const void *data, size_t n, nsl_error *err);

/* Appends a line (newline added) with one write() and fsync. */
nsl_status nsl_append_line(const char *path, const char *line, nsl_error *err);

/* Reads a whole file; *data is NUL-terminated one past n; caller frees. Refuses files above max_bytes. */
nsl_status nsl_read_file(const char *path, size_t max_bytes, char **data, size_t *n, nsl_error *err);

int nsl_file_exists(const char *path);
nsl_status nsl_file_stat(const char *path, int64_t *size, int64_t *mtime_ns, nsl_error *err);
nsl_status nsl_disk_free(const char *path, int64_t *bytes, nsl_error *err);

/* Expands a shell glob pattern into sorted paths. No match is an empty list. Caller frees with nsl_paths_free. */
nsl_status nsl_glob(const char *pattern, char ***paths, size_t *n, nsl_error *err);
/* Paths of all patterns, pattern by pattern; one without a match is NSL_E_NOTFOUND. Caller frees with nsl_paths_free. */
nsl_status nsl_glob_all(const char *const *patterns, size_t n_patterns, char ***paths, size_t *n, nsl_error *err);
void nsl_paths_free(char **paths, size_t n);

#endif
