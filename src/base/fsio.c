#include "noslit/base/fsio.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "noslit/base/str.h"

nsl_status nsl_mkdirs(const char *path, nsl_error *err)
{
  char *copy = nsl_strdup(path);
  if (!copy) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory", path); }
  for (char *p = copy + 1;; p++) {
    if (*p != '/' && *p) { continue; }
    char saved = *p;
    *p = '\0';
    if (mkdir(copy, 0777) && errno != EEXIST) {
      int e = errno;
      free(copy);
      return nsl_fail_errno(err, e, "%s: cannot make this directory", path);
    }
    *p = saved;
    if (!saved) { break; }
  }
  free(copy);
  struct stat s;
  if (stat(path, &s) || !S_ISDIR(s.st_mode)) { return nsl_fail(err, NSL_E_IO, "%s: is not a directory", path); }
  return NSL_OK;
}

char *nsl_temp_name(const char *path, int tag)
{
  char host[64] = "host";
  gethostname(host, sizeof host - 1);
  host[strcspn(host, ".")] = '\0';
  char *dir = nsl_path_dir(path);
  if (!dir) { return NULL; }
  char *name = nsl_strf("%s/.%s.tmp.%s.%ld.%d", dir, nsl_path_base(path), host, (long)getpid(), tag);
  free(dir);
  return name;
}

static nsl_status sync_path(const char *path, int flags, nsl_error *err)
{
  int fd = open(path, flags);
  if (fd < 0) { return nsl_fail_errno(err, errno, "%s: cannot open to sync", path); }
  int rc = fsync(fd), e = errno;
  close(fd);
  /* Some network file systems refuse to sync a directory; the rename itself is then as durable as they allow. */
  if (rc && !((flags & O_DIRECTORY) && e == EINVAL)) { return nsl_fail_errno(err, e, "%s: cannot sync", path); }
  return NSL_OK;
}

nsl_status nsl_publish(const char *temp, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *dir = nsl_path_dir(path);
  if (!dir) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(sync_path(temp, O_RDONLY, err));
  if (rename(temp, path)) {
    st = nsl_fail_errno(err, errno, "%s: cannot rename %s to it", path, temp);
    goto cleanup;
  }
  NSL_TRY(sync_path(dir, O_RDONLY | O_DIRECTORY, err));
cleanup:
  if (st != NSL_OK) { unlink(temp); }
  free(dir);
  return st;
}

static nsl_status write_all(int fd, const char *data, size_t n, const char *path, nsl_error *err)
{
  while (n) {
    ssize_t w = write(fd, data, n);
    if (w < 0) {
      if (errno == EINTR) { continue; }
      return nsl_fail_errno(err, errno, "%s: cannot write", path);
    }
    data += w;
    n -= (size_t)w;
  }
  return NSL_OK;
}

nsl_status nsl_write_file(const char *path, const void *data, size_t n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int fd = -1;
  char *temp = nsl_temp_name(path, 0);
  if (!temp) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (fd < 0) {
    st = nsl_fail_errno(err, errno, "%s: cannot write", path);
    goto cleanup;
  }
  st = write_all(fd, data, n, path, err);
  if (close(fd) && st == NSL_OK) { st = nsl_fail_errno(err, errno, "%s: cannot write", path); }
  if (st != NSL_OK) {
    unlink(temp);
    goto cleanup;
  }
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  free(temp);
  return st;
}

nsl_status nsl_append_line(const char *path, const char *line, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *text = nsl_strf("%s\n", line);
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
  if (fd < 0) {
    st = nsl_fail_errno(err, errno, "%s: cannot append", path);
    goto cleanup;
  }
  if (!text) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(write_all(fd, text, strlen(text), path, err));
  if (fsync(fd)) { st = nsl_fail_errno(err, errno, "%s: cannot sync", path); }
cleanup:
  if (fd >= 0) { close(fd); }
  free(text);
  return st;
}

nsl_status nsl_read_file(const char *path, size_t max_bytes, char **data, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *buffer = NULL;
  struct stat s;
  FILE *f = fopen(path, "rb");
  if (!f || fstat(fileno(f), &s)) {
    st = nsl_fail_errno(err, errno, "%s: cannot open", path);
    goto cleanup;
  }
  if (S_ISDIR(s.st_mode)) { NSL_THROW(err, NSL_E_IO, "%s: is a directory, not a file", path); }
  if (s.st_size < 0 || (size_t)s.st_size > max_bytes) {
    NSL_THROW(err, NSL_E_FORMAT, "%s: too large for such a file (%lld bytes, at most %zu)", path, (long long)s.st_size, max_bytes);
  }
  size_t size = (size_t)s.st_size;
  buffer = malloc(size + 1);
  if (!buffer) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to read it", path); }
  if (fread(buffer, 1, size, f) != size) {
    st = nsl_fail_errno(err, errno ? errno : EIO, "%s: cannot read", path);
    goto cleanup;
  }
  buffer[size] = '\0';
  *data = buffer;
  *n = size;
  buffer = NULL;
cleanup:
  free(buffer);
  if (f) { fclose(f); }
  return st;
}

int nsl_file_exists(const char *path) { return access(path, F_OK) == 0; }

nsl_status nsl_file_stat(const char *path, int64_t *size, int64_t *mtime_ns, nsl_error *err)
{
  struct stat s;
  if (stat(path, &s)) { return nsl_fail_errno(err, errno, "%s: cannot stat", path); }
  if (size) { *size = s.st_size; }
  if (mtime_ns) { *mtime_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec; }
  return NSL_OK;
}

nsl_status nsl_disk_free(const char *path, int64_t *bytes, nsl_error *err)
{
  struct statvfs s;
  if (statvfs(path, &s)) { return nsl_fail_errno(err, errno, "%s: cannot ask for its free space", path); }
  *bytes = (int64_t)s.f_bavail * (int64_t)s.f_frsize;
  return NSL_OK;
}

nsl_status nsl_glob(const char *pattern, char ***paths, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  glob_t g = {0};
  char **out = NULL;
  size_t count = 0;
  int rc = glob(pattern, 0, NULL, &g);
  if (rc && rc != GLOB_NOMATCH) { NSL_THROW(err, NSL_E_IO, "%s: cannot expand this pattern", pattern); }
  size_t found = rc ? 0 : g.gl_pathc;
  out = calloc(found + 1, sizeof *out);
  if (!out) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", pattern); }
  for (; count < found; count++) {
    out[count] = nsl_strdup(g.gl_pathv[count]);
    if (!out[count]) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", pattern); }
  }
  *paths = out;
  *n = count;
  out = NULL;
cleanup:
  if (out) { nsl_paths_free(out, count); }
  globfree(&g);
  return st;
}

nsl_status nsl_glob_all(const char *const *patterns, size_t n_patterns, char ***paths, size_t *n, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char **found = NULL, **all = NULL;
  size_t n_found = 0, n_all = 0;
  for (size_t i = 0; i < n_patterns; i++) {
    NSL_TRY(nsl_glob(patterns[i], &found, &n_found, err));
    if (n_found == 0) { NSL_THROW(err, NSL_E_NOTFOUND, "no file matches %s", patterns[i]); }
    char **longer = realloc(all, (n_all + n_found) * sizeof *longer);
    if (!longer) { NSL_THROW(err, NSL_E_NOMEM, "list of files"); }
    memcpy(longer + n_all, found, n_found * sizeof *found);
    all = longer;
    n_all += n_found;
    free(found);
    found = NULL;
  }
  *paths = all;
  *n = n_all;
  all = NULL;
cleanup:
  nsl_paths_free(found, found ? n_found : 0);
  nsl_paths_free(all, all ? n_all : 0);
  return st;
}

void nsl_paths_free(char **paths, size_t n)
{
  for (size_t i = 0; paths && i < n; i++) { free(paths[i]); }
  free(paths);
}
