#include "noslit/pipe/tile_image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pipe/tile_seal.h"

/* As many of n bytes as there are, in *got. */
static nsl_status read_at(int fd, const char *path, void *out, size_t n, int64_t at, size_t *got, nsl_error *err)
{
  *got = 0;
  while (*got < n) {
    ssize_t done = pread(fd, (char *)out + *got, n - *got, (off_t)(at + (int64_t)*got));
    if (done < 0 && errno == EINTR) { continue; }
    if (done < 0) { return nsl_fail_errno(err, errno, "%s: cannot read", path); }
    if (!done) { break; }
    *got += (size_t)done;
  }
  return NSL_OK;
}

static void close_file(nsl_tile_image *image)
{
  if (image->fd >= 0) { close(image->fd); }
  image->fd = -1;
}

static nsl_status open_file(nsl_tile_image *image, const char *path, int64_t *size, nsl_error *err)
{
  struct stat info;
  close_file(image);
  image->fd = open(path, O_RDONLY | O_CLOEXEC);
  if (image->fd < 0) { return nsl_fail_errno(err, errno, "%s: cannot open", path); }
  if (fstat(image->fd, &info)) { return nsl_fail_errno(err, errno, "%s: cannot read", path); }
  *size = info.st_size;
  if (*size >= NSL_TILE_SEAL_BYTES) { return NSL_OK; }
  return nsl_fail(err, NSL_E_CORRUPT, "%s: is incomplete (cut short) or no noslit tile file: no seal", path);
}

static nsl_status check_places(const nsl_tile_image *image, const nsl_tile_seal *seal, size_t n, const char *path, nsl_error *err)
{
  size_t n_columns = (size_t)nsl_n_row_columns;
  for (size_t i = 0; i < n; i++) {
    int64_t at = image->places[i][0], bytes = image->places[i][1], wanted = bytes;
    if (i < n_columns) { wanted = seal->head.n_rows * (int64_t)nsl_col_size(nsl_row_columns[i].type); }
    if (i == n_columns) { wanted = sizeof(nsl_survey_summary); }
    if (bytes != wanted || bytes < 0 || bytes > seal->body_bytes || (bytes && (at < 0 || at > seal->body_bytes - bytes))) {
      return nsl_fail(err, NSL_E_CORRUPT, "%s: its table of places is wrong", path);
    }
  }
  return NSL_OK;
}

/* The table comes from memory or, with bytes NULL, from the file. */
static nsl_status take(nsl_tile_image *image, const nsl_tile_seal *seal, const unsigned char *bytes, const char *path,
                       nsl_error *err)
{
  size_t n = nsl_tile_n_places(&seal->head), table_bytes = n * sizeof *image->places, got = table_bytes;
  if (seal->places_at < 0 || seal->places_at > seal->body_bytes || (int64_t)table_bytes > seal->body_bytes - seal->places_at) {
    return nsl_fail(err, NSL_E_CORRUPT, "%s: its table of places lies outside of it", path);
  }
  if (n > image->places_capacity) {
    free(image->places);
    image->places = malloc(table_bytes);
    image->places_capacity = image->places ? n : 0;
    if (!image->places) { return nsl_fail(err, NSL_E_NOMEM, "%s: no memory for its %zu places", path, n); }
  }
  if (bytes) {
    memcpy(image->places, bytes + seal->places_at, table_bytes);
  } else {
    nsl_status st = read_at(image->fd, path, image->places, table_bytes, seal->places_at, &got, err);
    if (st != NSL_OK) { return st; }
  }
  if (got != table_bytes) { return nsl_fail(err, NSL_E_CORRUPT, "%s: is shorter than when it was sealed", path); }
  image->head = seal->head;
  image->grid = seal->grid;
  image->body_hash = seal->body_hash;
  image->phase = nsl_tile_phase(&seal->head);
  image->n_chunks = nsl_tile_n_chunks(&seal->head);
  return check_places(image, seal, n, path, err);
}

nsl_status nsl_tile_image_open(nsl_tile_image *image, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_seal seal;
  char block[NSL_TILE_SEAL_BYTES];
  int64_t size = 0;
  size_t got;
  NSL_TRY(open_file(image, path, &size, err));
  NSL_TRY(read_at(image->fd, path, block, sizeof block, size - NSL_TILE_SEAL_BYTES, &got, err));
  if (got != sizeof block) { NSL_THROW(err, NSL_E_CORRUPT, "%s: is shorter than a moment ago", path); }
  NSL_TRY(nsl_tile_seal_parse(path, block, size, &seal, err));
  NSL_TRY(take(image, &seal, NULL, path, err));
cleanup:
  if (st != NSL_OK) { nsl_tile_image_free(image); }
  return st;
}

/* `what`, an entry of the table of places, into out. */
static nsl_status read_place(const nsl_tile_image *image, size_t entry, void *out, const char *what, nsl_error *err)
{
  const int64_t *place = image->places[entry];
  size_t got = 0;
  char name[64];
  snprintf(name, sizeof name, "tile %lld", (long long)image->head.tile);
  nsl_status st = read_at(image->fd, name, out, (size_t)place[1], place[0], &got, err);
  if (st != NSL_OK) { return st; }
  return (int64_t)got == place[1] ? NSL_OK : nsl_fail(err, NSL_E_CORRUPT, "%s: %s is not where it should be", name, what);
}

nsl_status nsl_tile_image_read_chunk(const nsl_tile_image *image, size_t k, void *out, size_t capacity, nsl_error *err)
{
  if (nsl_tile_image_chunk_bytes(image, k) > capacity) {
    return nsl_fail(err, NSL_E_CORRUPT, "tile %lld: chunk %zu is too long", (long long)image->head.tile, k);
  }
  return read_place(image, (size_t)nsl_n_row_columns + 1 + k, out, "a chunk", err);
}

nsl_status nsl_tile_image_read_column(const nsl_tile_image *image, int c, void *out, nsl_error *err)
{
  return read_place(image, (size_t)c, out, nsl_row_columns[c].name, err);
}

nsl_status nsl_tile_image_load(nsl_tile_image *image, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_tile_seal seal;
  int64_t size = 0;
  size_t got;
  NSL_TRY(open_file(image, path, &size, err));
  if ((size_t)size > image->bytes_capacity) {
    free(image->bytes);
    image->bytes = malloc((size_t)size);
    image->bytes_capacity = image->bytes ? (size_t)size : 0;
    if (!image->bytes) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for its %lld bytes", path, (long long)size); }
  }
  NSL_TRY(read_at(image->fd, path, image->bytes, (size_t)size, 0, &got, err));
  if ((int64_t)got != size) { NSL_THROW(err, NSL_E_CORRUPT, "%s: is shorter than a moment ago", path); }
  NSL_TRY(nsl_tile_seal_parse(path, (const char *)image->bytes + size - NSL_TILE_SEAL_BYTES, size, &seal, err));
  if (!nsl_hash_equal(nsl_hash_bytes(image->bytes, (size_t)seal.body_bytes), seal.body_hash)) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its bytes are not those that were written (hash differs)", path);
  }
  NSL_TRY(take(image, &seal, image->bytes, path, err));
cleanup:
  if (st != NSL_OK) { nsl_tile_image_free(image); }
  return st;
}

void nsl_tile_image_free(nsl_tile_image *image)
{
  close_file(image);
  free(image->bytes);
  free(image->places);
  *image = (nsl_tile_image)NSL_TILE_IMAGE_EMPTY;
}

size_t nsl_tile_image_chunk_bytes(const nsl_tile_image *image, size_t k)
{
  return (size_t)image->places[(size_t)nsl_n_row_columns + 1 + k][1];
}

const unsigned char *nsl_tile_image_chunk(const nsl_tile_image *image, size_t k)
{
  return image->bytes + image->places[(size_t)nsl_n_row_columns + 1 + k][0];
}

const void *nsl_tile_image_column(const nsl_tile_image *image, int c) { return image->bytes + image->places[c][0]; }

void nsl_tile_image_summary(const nsl_tile_image *image, nsl_survey_summary *out)
{
  memcpy(out, image->bytes + image->places[nsl_n_row_columns][0], sizeof *out);
}
