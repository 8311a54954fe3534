#include "pipe/tile_seal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

#define MAGIC "noslit-tile-seal "

typedef enum { AS_INT, AS_I64, AS_F64, AS_HASH, AS_TEXT } field_kind;

typedef struct {
  const char *key;
  field_kind kind;
  size_t offset, size;
} field;

#define HEAD(member, kind)                                                                         \
  {                                                                                                \
#member, kind, offsetof(nsl_tile_seal, head.member), sizeof(((nsl_tile_seal *)0)->head.member) \
  }
#define GRID(key, member, kind)                                                                \
  {                                                                                            \
    key, kind, offsetof(nsl_tile_seal, grid.member), sizeof(((nsl_tile_seal *)0)->grid.member) \
  }

static const field fields[] = {
    HEAD(order, AS_INT),
    HEAD(tile, AS_I64),
    HEAD(n_rows, AS_I64),
    HEAD(first_row, AS_I64),
    GRID("pdf_n", n, AS_INT),
    GRID("pdf_u0", u0, AS_F64),
    GRID("pdf_du", du, AS_F64),
    HEAD(content_hash, AS_HASH),
    HEAD(config_hash, AS_HASH),
    HEAD(model_hash, AS_HASH),
    HEAD(instrument_hash, AS_HASH),
    HEAD(input_hash, AS_HASH),
    HEAD(results_version, AS_INT),
    HEAD(seed, AS_I64),
    HEAD(attempts, AS_INT),
    HEAD(code_version, AS_TEXT),
    HEAD(code_commit, AS_TEXT),
    HEAD(blas_core, AS_TEXT),
    HEAD(libraries, AS_TEXT),
    HEAD(host, AS_TEXT),
    HEAD(ranks, AS_INT),
    HEAD(wall_s, AS_F64),
    HEAD(cpu_s, AS_F64),
    HEAD(io_s, AS_F64),
    HEAD(stamp_s, AS_F64),
    HEAD(infer_s, AS_F64),
    HEAD(bytes_read, AS_I64),
    HEAD(n_exposures_lost, AS_INT),
    {"places_at", AS_I64, offsetof(nsl_tile_seal, places_at), sizeof(int64_t)},
    {"body_bytes", AS_I64, offsetof(nsl_tile_seal, body_bytes), sizeof(int64_t)},
    {"body_hash", AS_HASH, offsetof(nsl_tile_seal, body_hash), sizeof(nsl_hash)},
};
enum { N_FIELDS = sizeof fields / sizeof *fields, N_ATTRIBUTES = N_FIELDS - 3 /* the body's fields are the seal's own */ };

static const void *field_at(const nsl_tile_seal *seal, const field *f) { return (const char *)seal + f->offset; }

nsl_status nsl_tile_seal_attributes(const nsl_tile_seal *seal, nsl_h5 *file, nsl_error *err)
{
  nsl_status st = NSL_OK;
  for (int i = 0; i < N_ATTRIBUTES; i++) {
    const field *f = &fields[i];
    const void *p = field_at(seal, f);
    char hex[NSL_HASH_HEX];
    switch (f->kind) {
    case AS_INT:
      NSL_TRY(nsl_h5_put_i64(file, "/", f->key, *(const int *)p, err));
      break;
    case AS_I64:
      NSL_TRY(nsl_h5_put_i64(file, "/", f->key, *(const int64_t *)p, err));
      break;
    case AS_F64:
      NSL_TRY(nsl_h5_put_f64(file, "/", f->key, *(const double *)p, err));
      break;
    case AS_TEXT:
      NSL_TRY(nsl_h5_put_text(file, "/", f->key, p, err));
      break;
    case AS_HASH:
      nsl_hash_to_hex(*(const nsl_hash *)p, hex);
      NSL_TRY(nsl_h5_put_text(file, "/", f->key, hex, err));
      break;
    }
  }
cleanup:
  return st;
}

static void add_field(nsl_str *s, const field *f, const void *p)
{
  char hex[NSL_HASH_HEX];
  switch (f->kind) {
  case AS_INT:
    nsl_str_addf(s, "%s=%d\n", f->key, *(const int *)p);
    break;
  case AS_I64:
    nsl_str_addf(s, "%s=%lld\n", f->key, (long long)*(const int64_t *)p);
    break;
  case AS_F64:
    nsl_str_addf(s, "%s=%.17g\n", f->key, *(const double *)p);
    break;
  case AS_TEXT:
    nsl_str_addf(s, "%s=%.*s\n", f->key, (int)strcspn(p, "\n"), (const char *)p);
    break;
  case AS_HASH:
    nsl_hash_to_hex(*(const nsl_hash *)p, hex);
    nsl_str_addf(s, "%s=%s\n", f->key, hex);
    break;
  }
}

static nsl_status hash_start(const char *path, int64_t n, nsl_hash *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  enum { PIECE = 1 << 20 };
  nsl_hasher *h = nsl_hasher_new();
  char *buffer = malloc(PIECE);
  FILE *f = fopen(path, "rb");
  if (!f) {
    st = nsl_fail_errno(err, errno, "%s: cannot open", path);
    goto cleanup;
  }
  if (!h || !buffer) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory to hash it", path); }
  while (n > 0) {
    size_t want = n < PIECE ? (size_t)n : PIECE, got = fread(buffer, 1, want, f);
    if (got != want && ferror(f)) { NSL_THROW(err, NSL_E_IO, "%s: cannot read", path); }
    if (got != want) { NSL_THROW(err, NSL_E_CORRUPT, "%s: is shorter than when it was sealed", path); }
    nsl_hasher_add(h, buffer, got);
    n -= (int64_t)got;
  }
  *out = nsl_hasher_value(h);
cleanup:
  if (f) { fclose(f); }
  free(buffer);
  nsl_hasher_free(h);
  return st;
}

nsl_status nsl_tile_seal_append(const char *path, nsl_tile_seal *seal, nsl_error *err)
{
  nsl_status st = NSL_OK;
  FILE *out = NULL;
  nsl_str text;
  nsl_str_init(&text);
  NSL_TRY(nsl_file_stat(path, &seal->body_bytes, NULL, err));
  NSL_TRY(hash_start(path, seal->body_bytes, &seal->body_hash, err));
  nsl_str_addf(&text, MAGIC "%d\n", NSL_TILE_VERSION);
  for (int i = 0; i < N_FIELDS; i++) { add_field(&text, &fields[i], field_at(seal, &fields[i])); }
  char hex[NSL_HASH_HEX], block[NSL_TILE_SEAL_BYTES] = {0};
  nsl_hash_to_hex(nsl_hash_bytes(text.text, text.n), hex);
  nsl_str_addf(&text, "seal=%s\n", hex);
  if (text.failed || text.n >= sizeof block) { NSL_THROW(err, NSL_E_BUG, "%s: the head does not fit its seal", path); }
  memcpy(block, text.text, text.n);
  out = fopen(path, "ab");
  if (!out || fwrite(block, 1, sizeof block, out) != sizeof block) {
    st = nsl_fail_errno(err, errno, "%s: cannot write", path);
    goto cleanup;
  }
  FILE *closing = out;
  out = NULL;
  if (fclose(closing)) { st = nsl_fail_errno(err, errno, "%s: cannot write", path); }
cleanup:
  if (out) { fclose(out); }
  nsl_str_free(&text);
  return st;
}

static int parse_field(const field *f, const char *value, nsl_tile_seal *seal)
{
  void *p = (char *)seal + f->offset;
  int64_t i;
  char *end;
  switch (f->kind) {
  case AS_INT:
    if (!nsl_parse_i64(value, &i) || i < INT32_MIN || i > INT32_MAX) { return 0; }
    *(int *)p = (int)i;
    return 1;
  case AS_I64:
    return nsl_parse_i64(value, p);
  case AS_F64:
    *(double *)p = strtod(value, &end);
    return end != value && !*end;
  case AS_HASH:
    return nsl_hash_from_hex(value, p);
  case AS_TEXT:
    snprintf(p, f->size, "%s", value);
    return 1;
  }
  return 0;
}

/* Cuts the block into lines in place. */
static int parse_block(char *block, nsl_tile_seal *out)
{
  char *line = strchr(block, '\n') + 1;
  for (int i = 0; i < N_FIELDS; i++) {
    size_t n = strlen(fields[i].key);
    char *end = strchr(line, '\n');
    if (!end || strncmp(line, fields[i].key, n) != 0 || line[n] != '=') { return 0; }
    *end = '\0';
    if (!parse_field(&fields[i], line + n + 1, out)) { return 0; }
    line = end + 1;
  }
  return 1;
}

/* Four system calls and no buffer: status reads a hundred thousand of these. */
static nsl_status read_block(const char *path, char *block, int64_t *size, nsl_error *err)
{
  nsl_status st = NSL_OK;
  struct stat info;
  int f = open(path, O_RDONLY | O_CLOEXEC);
  if (f < 0) { return nsl_fail_errno(err, errno, "%s: cannot open", path); }
  if (fstat(f, &info)) {
    st = nsl_fail_errno(err, errno, "%s: cannot read", path);
    goto cleanup;
  }
  *size = info.st_size;
  if (*size < NSL_TILE_SEAL_BYTES) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: is incomplete (cut short) or no noslit tile file: %lld bytes, no seal", path,
              (long long)*size);
  }
  if (pread(f, block, NSL_TILE_SEAL_BYTES, *size - NSL_TILE_SEAL_BYTES) != NSL_TILE_SEAL_BYTES) {
    NSL_THROW(err, NSL_E_IO, "%s: cannot read", path);
  }
cleanup:
  close(f);
  return st;
}

nsl_status nsl_tile_seal_parse(const char *path, const char *bytes, int64_t size, nsl_tile_seal *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char block[NSL_TILE_SEAL_BYTES + 1] = {0};
  memcpy(block, bytes, NSL_TILE_SEAL_BYTES);
  if (strncmp(block, MAGIC, strlen(MAGIC)) != 0) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: is incomplete (cut short) or no noslit tile file: it does not end in a seal", path);
  }
  char *last = strstr(block, "\nseal=");
  nsl_hash stored;
  size_t text = last ? (size_t)(last + 1 - block) : 0;
  if (!last || strlen(block) != text + 5 + 32 + 1 || last[1 + 5 + 32] != '\n') {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its seal is damaged", path);
  }
  last[1 + 5 + 32] = '\0';
  for (size_t i = text + 5 + 32; i < NSL_TILE_SEAL_BYTES; i++) {
    if (block[i]) { NSL_THROW(err, NSL_E_CORRUPT, "%s: its seal is damaged", path); }
  }
  if (!nsl_hash_from_hex(last + 6, &stored) || !nsl_hash_equal(stored, nsl_hash_bytes(block, text))) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its seal is damaged", path);
  }
  long version = strtol(block + strlen(MAGIC), NULL, 10);
  if (version != NSL_TILE_VERSION) {
    NSL_THROW(err, NSL_E_MISMATCH, "%s: is a tile file of format version %ld; this program writes %d", path, version,
              NSL_TILE_VERSION);
  }
  memset(out, 0, sizeof *out);
  if (!parse_block(block, out) || out->head.n_rows < 0 || out->head.first_row < 0 || out->grid.n < 2) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: its seal lacks a field", path);
  }
  if (out->body_bytes != size - NSL_TILE_SEAL_BYTES) {
    NSL_THROW(err, NSL_E_CORRUPT, "%s: has %lld bytes before its seal, sealed were %lld", path,
              (long long)(size - NSL_TILE_SEAL_BYTES), (long long)out->body_bytes);
  }
cleanup:
  return st;
}

nsl_status nsl_tile_seal_read(const char *path, nsl_tile_seal *out, nsl_error *err)
{
  char block[NSL_TILE_SEAL_BYTES];
  int64_t size = 0;
  nsl_status st = read_block(path, block, &size, err);
  return st == NSL_OK ? nsl_tile_seal_parse(path, block, size, out, err) : st;
}

nsl_status nsl_tile_seal_check_body(const char *path, const nsl_tile_seal *seal, nsl_error *err)
{
  nsl_hash now;
  nsl_status st = hash_start(path, seal->body_bytes, &now, err);
  if (st == NSL_OK && !nsl_hash_equal(now, seal->body_hash)) {
    st = nsl_fail(err, NSL_E_CORRUPT, "%s: its bytes are not those that were written (hash differs)", path);
  }
  return st;
}
