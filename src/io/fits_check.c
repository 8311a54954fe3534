/* A look at a FITS file's headers before cfitsio sees them: a damaged size makes cfitsio 4.2 divide by zero (tiles of no
 * pixels) or ask for absurd memory. Only what decides about sizes is checked; the rest is cfitsio's. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fits_internal.h"
#include "noslit/base/str.h"

enum { BLOCK = 2880, CARD = 80, MAX_AXES = 999 };

typedef struct {
  const char *path;
  int fd, hdu;
  int64_t bitpix, n_axes, pixels, parameters, groups;
  int is_rice; /* the compression's parameters are then numbers of pixels and bytes */
  int done;    /* the END card was seen */
} scan;

/* The number a card holds, whole or real (one of them NULL); 0 when it is something else. */
static int number_in(const char *card, int64_t *whole, double *real)
{
  char text[CARD - 10 + 1];
  memcpy(text, card + 10, CARD - 10);
  text[CARD - 10] = '\0';
  text[strcspn(text, "/")] = '\0';
  char *first = text + strspn(text, " "), *end = first + strcspn(first, " ");
  if (memcmp(card + 8, "= ", 2) || end[strspn(end, " ")]) { return 0; }
  *end = '\0';
  return whole ? nsl_parse_i64(first, whole) : nsl_parse_f64(first, real);
}

static int whole_number(const char *card, int64_t *v) { return number_in(card, v, NULL); }

/* The n of "<stem>n" when the card has such a key; 0 else. */
static int axis_of(const char *card, const char *stem)
{
  size_t length = strlen(stem);
  if (strncmp(card, stem, length)) { return 0; }
  int n = 0;
  for (const char *p = card + length; p < card + 8 && *p != ' '; p++) {
    if (*p < '0' || *p > '9') { return 0; }
    n = 10 * n + (*p - '0');
  }
  return n;
}

static int has_key(const char *card, const char *key)
{
  size_t n = strlen(key);
  return !strncmp(card, key, n) && strspn(card + n, " ") >= 8 - n && card[8] == '=';
}

static int is_bitpix(int64_t v) { return v == 8 || v == 16 || v == 32 || v == 64 || v == -32 || v == -64; }

static nsl_status refuse(const scan *s, const char *card, nsl_error *err)
{
  return nsl_fail(err, NSL_E_CORRUPT, "%s: HDU %d: damaged header: %.40s", s->path, s->hdu, card);
}

static nsl_status check_card(scan *s, const char *card, nsl_error *err)
{
  static const struct {
    const char *key;
    int64_t least, most;
  } limits[] = {{"NAXIS", 0, MAX_AXES},  {"PCOUNT", 0, INT64_MAX},         {"GCOUNT", 0, INT64_MAX}, {"TFIELDS", 0, 999},
                {"ZNAXIS", 0, MAX_AXES}, {"ZBLANK", INT64_MIN, INT64_MAX}, {"ZDITHER0", 0, 10000}};
  int64_t v;
  if (has_key(card, "BITPIX") || has_key(card, "ZBITPIX")) {
    if (!whole_number(card, &v) || !is_bitpix(v)) { return refuse(s, card, err); }
    if (card[0] == 'B') { s->bitpix = v; }
  }
  for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
    if (!has_key(card, limits[i].key)) { continue; }
    if (!whole_number(card, &v) || v < limits[i].least || v > limits[i].most) { return refuse(s, card, err); }
    if (i == 0) { s->n_axes = v; }
    if (i == 1) { s->parameters = v; }
    if (i == 2) { s->groups = v; }
  }
  int axis = axis_of(card, "NAXIS");
  if (axis && card[8] == '=') {
    if (!whole_number(card, &v) || v < 0) { return refuse(s, card, err); }
    if (axis <= s->n_axes && __builtin_mul_overflow(s->pixels, v, &s->pixels)) { return refuse(s, card, err); }
  }
  if ((axis_of(card, "ZTILE") || axis_of(card, "ZNAXIS")) && card[8] == '=') {
    if (!whole_number(card, &v) || v < 1 || v > INT32_MAX) { return refuse(s, card, err); }
  }
  if (has_key(card, "ZCMPTYPE")) { s->is_rice = memmem(card, CARD, "'RICE", 5) != NULL; }
  if (axis_of(card, "ZVAL") && card[8] == '=') {
    double real;
    if (s->is_rice ? !whole_number(card, &v) || v < 1 || v > INT32_MAX : !number_in(card, NULL, &real)) {
      return refuse(s, card, err);
    }
  }
  if (!strncmp(card, "END     ", 8)) { s->done = 1; }
  return NSL_OK;
}

/* Bytes of data after the header, in whole blocks; -1 when they cannot be counted. */
static int64_t data_bytes(const scan *s)
{
  int64_t n = s->n_axes ? s->pixels : 0, width = (s->bitpix < 0 ? -s->bitpix : s->bitpix) / 8;
  if (__builtin_add_overflow(n, s->parameters, &n) || __builtin_mul_overflow(n, s->groups, &n) ||
      __builtin_mul_overflow(n, width, &n) || n > INT64_MAX / 2) {
    return -1;
  }
  return (n + BLOCK - 1) / BLOCK * BLOCK;
}

nsl_status nsl_fits_check_headers(const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char block[BLOCK];
  scan s = {.path = path, .fd = open(path, O_RDONLY | O_CLOEXEC)};
  if (s.fd < 0) { return nsl_fail_errno(err, errno, "%s: cannot open", path); }
  int64_t at = 0;
  for (s.hdu = 1;; s.hdu++) {
    s.bitpix = 8, s.n_axes = 0, s.pixels = 1, s.parameters = 0, s.groups = 1, s.is_rice = 0, s.done = 0;
    for (int first = 1; !s.done; first = 0, at += BLOCK) {
      ssize_t n = pread(s.fd, block, BLOCK, at);
      if (n < 0 && errno == EIO) {
        st = nsl_fail_errno(err, errno, "%s: cannot read", path);
        goto cleanup;
      }
      /* What is no header (the file's end, another format, compressed as a whole) is left to cfitsio. */
      if (n < BLOCK || (first && strncmp(block, s.hdu == 1 ? "SIMPLE  " : "XTENSION", 8))) { goto cleanup; }
      for (int i = 0; i < BLOCK / CARD && !s.done; i++) { NSL_TRY(check_card(&s, block + CARD * i, err)); }
    }
    int64_t data = data_bytes(&s);
    if (data < 0) { NSL_THROW(err, NSL_E_CORRUPT, "%s: HDU %d: damaged header: absurd sizes", path, s.hdu); }
    at += data;
  }
cleanup:
  close(s.fd);
  return st;
}
