/* FITS files: opening, HDUs, headers. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "fits_internal.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

static nsl_status class_of(int status)
{
  switch (status) {
  case KEY_NO_EXIST:
  case VALUE_UNDEFINED:
    return NSL_E_NOTFOUND;
  case END_OF_FILE:
  case READ_ERROR: /* also of a file that is too short; a disk's failure is told by errno */
  case DATA_COMPRESSION_ERR:
  case DATA_DECOMPRESSION_ERR:
    return NSL_E_CORRUPT;
  case WRITE_ERROR:
  case SEEK_ERROR:
  case FILE_NOT_OPENED:
  case FILE_NOT_CREATED:
  case FILE_NOT_CLOSED:
  case READONLY_FILE:
    return NSL_E_IO;
  case MEMORY_ALLOCATION:
    return NSL_E_NOMEM;
  case NUM_OVERFLOW:
    return NSL_E_VALUE;
  default:
    return NSL_E_FORMAT;
  }
}

nsl_status nsl_fits_fail(nsl_error *err, int status, const char *path, int hdu, const char *what)
{
  int failed_errno = errno;
  char summary[FLEN_ERRMSG] = "", line[FLEN_ERRMSG] = "", last[FLEN_ERRMSG] = "", place[32] = "";
  fits_get_errstatus(status, summary);
  while (fits_read_errmsg(line)) { memcpy(last, line, sizeof last); }
  if (hdu) { snprintf(place, sizeof place, "HDU %d: ", hdu); }
  int writing = status == WRITE_ERROR || status == FILE_NOT_CLOSED || status == FILE_NOT_CREATED;
  int reading = status == READ_ERROR && failed_errno == EIO;
  if ((writing && failed_errno) || reading) { return nsl_fail_errno(err, failed_errno, "%s: %scannot %s", path, place, what); }
  return nsl_fail(err, class_of(status), "%s: %scannot %s: %s%s%s%s", path, place, what, summary, last[0] ? " (" : "", last,
                  last[0] ? ")" : "");
}

nsl_status nsl_fits_open(const char *path, nsl_fits **out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int status = 0;
  nsl_fits *f = calloc(1, sizeof *f);
  if (f) { f->fd = -1; }
  char *literal = nsl_path_join(".", path); /* cfitsio would strip leading blanks */
  if (!f || !literal || !(f->path = nsl_strdup(path))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", path); }
  NSL_TRY(nsl_file_stat(path, NULL, NULL, err)); /* cfitsio would take path.gz for path */
  NSL_TRY(nsl_fits_check_headers(path, err));
  fits_clear_errmsg();
  /* The diskfile call takes brackets in names as they are. */
  if (fits_open_diskfile(&f->file, literal, READONLY, &status)) {
    st = nsl_fits_fail(err, status, path, 0, "open as FITS");
    goto cleanup;
  }
  *out = f;
  f = NULL;
cleanup:
  free(literal);
  if (f) {
    free(f->path);
    free(f);
  }
  return st;
}

void nsl_fits_close(nsl_fits *f)
{
  if (!f) { return; }
  int status = 0;
  fits_close_file(f->file, &status);
  if (f->fd >= 0) { close(f->fd); }
  fits_clear_errmsg();
  free(f->path);
  free(f);
}

const char *nsl_fits_path(const nsl_fits *f) { return f->path; }

nsl_status nsl_fits_move(nsl_fits *f, int hdu, nsl_error *err)
{
  int status = 0;
  fits_clear_errmsg();
  if (hdu < 1) { return nsl_fail(err, NSL_E_BUG, "%s: HDU %d: they count from 1", f->path, hdu); }
  if (fits_movabs_hdu(f->file, hdu, NULL, &status)) { return nsl_fits_fail(err, status, f->path, hdu, "go to this HDU"); }
  return NSL_OK;
}

nsl_status nsl_fits_find_hdu(nsl_fits *f, const char *extname, int *hdu, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_str seen;
  nsl_str_init(&seen);
  for (int i = 1;; i++) {
    int status = 0;
    char name[FLEN_VALUE] = "";
    fits_clear_errmsg();
    if (fits_movabs_hdu(f->file, i, NULL, &status)) {
      if (status == END_OF_FILE) { break; }
      st = nsl_fits_fail(err, status, f->path, i, "look for an extension");
      goto cleanup;
    }
    if (fits_read_key(f->file, TSTRING, "EXTNAME", name, NULL, &status)) { continue; }
    if (!strcasecmp(name, extname)) {
      *hdu = i;
      goto cleanup;
    }
    nsl_str_addf(&seen, "%s%s", seen.n ? ", " : "", name);
  }
  fits_clear_errmsg();
  st = nsl_fail(err, NSL_E_NOTFOUND, "%s: it has no extension '%s' (it has: %s)", f->path, extname, seen.n ? seen.text : "none");
cleanup:
  nsl_str_free(&seen);
  return st;
}

nsl_status nsl_fits_hdu_count(nsl_fits *f, int *n, nsl_error *err)
{
  int status = 0;
  fits_clear_errmsg();
  if (fits_get_num_hdus(f->file, n, &status)) { return nsl_fits_fail(err, status, f->path, 0, "count its HDUs"); }
  return NSL_OK;
}

nsl_status nsl_fits_key_f64(nsl_fits *f, int hdu, const char *key, double *v, nsl_error *err)
{
  int status = 0;
  double value;
  char what[64];
  nsl_status st = nsl_fits_move(f, hdu, err);
  if (st != NSL_OK) { return st; }
  snprintf(what, sizeof what, "read the number %.40s", key);
  if (fits_read_key(f->file, TDOUBLE, key, &value, NULL, &status)) { return nsl_fits_fail(err, status, f->path, hdu, what); }
  *v = value;
  return NSL_OK;
}

nsl_status nsl_fits_key_i64(nsl_fits *f, int hdu, const char *key, int64_t *v, nsl_error *err)
{
  int status = 0;
  double real = 0;
  LONGLONG value;
  char what[64];
  nsl_status st = nsl_fits_key_f64(f, hdu, key, &real, err);
  if (st != NSL_OK) { return st; }
  if (real != floor(real)) {
    return nsl_fail(err, NSL_E_FORMAT, "%s: HDU %d: %s is %g, not a whole number", f->path, hdu, key, real);
  }
  snprintf(what, sizeof what, "read the whole number %.40s", key);
  if (fits_read_key(f->file, TLONGLONG, key, &value, NULL, &status)) { return nsl_fits_fail(err, status, f->path, hdu, what); }
  *v = value;
  return NSL_OK;
}

nsl_status nsl_fits_key_text(nsl_fits *f, int hdu, const char *key, char *text, size_t size, nsl_error *err)
{
  int status = 0;
  char *value = NULL, what[64];
  nsl_status st = nsl_fits_move(f, hdu, err);
  if (st != NSL_OK) { return st; }
  snprintf(what, sizeof what, "read the text %.40s", key);
  if (fits_read_key_longstr(f->file, key, &value, NULL, &status)) {
    free(value);
    return nsl_fits_fail(err, status, f->path, hdu, what);
  }
  size_t n = strlen(value);
  while (n && value[n - 1] == ' ') { n--; }
  if (n > size - 1) { n = size - 1; }
  memcpy(text, value, n);
  text[n] = '\0';
  free(value);
  return NSL_OK;
}

nsl_status nsl_fits_header(nsl_fits *f, int hdu, char **cards, int *n_cards, nsl_error *err)
{
  int status = 0;
  char *text = NULL;
  nsl_status st = nsl_fits_move(f, hdu, err);
  if (st != NSL_OK) { return st; }
  /* A compressed image's header comes out as that of the image it holds. */
  if (fits_convert_hdr2str(f->file, 0, NULL, 0, &text, n_cards, &status)) {
    free(text);
    return nsl_fits_fail(err, status, f->path, hdu, "read its header");
  }
  *cards = text;
  return NSL_OK;
}
