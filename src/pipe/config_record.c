#include "noslit/pipe/config_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"

#define RECORD_BYTES_MAX ((size_t)1 << 20)

static char *record_path(const char *workdir, nsl_hash h)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  return nsl_strf("%s/run/configs/%s.txt", workdir, hex);
}

nsl_status nsl_config_record_keep(const char *workdir, const nsl_config *cfg, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *text = nsl_config_resolved(cfg, 1), *path = record_path(workdir, nsl_config_science_hash(cfg)), *dir = NULL;
  if (!text || !path || !(dir = nsl_path_dir(path))) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory for the settings", workdir); }
  if (nsl_file_exists(path)) { goto cleanup; }
  NSL_TRY(nsl_mkdirs(dir, err));
  NSL_TRY(nsl_write_file(path, text, strlen(text), err));
cleanup:
  free(dir);
  free(path);
  free(text);
  return st;
}

/* The value of the line "key: value" (key of n bytes), with its length; NULL when the text has no such line. */
static const char *find_value(const char *text, const char *key, size_t n, size_t *length)
{
  for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    if (!strncmp(line, key, n) && line[n] == ':') {
      const char *value = line + n + 1 + (line[n + 1] == ' ');
      *length = strcspn(value, "\n");
      return value;
    }
  }
  return NULL;
}

static void compare(const char *was, const char *is, nsl_str *out)
{
  for (const char *line = is; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    size_t n = strcspn(line, ":"), n_old = 0, n_new = 0;
    const char *new = find_value(line, line, n, &n_new), *old = find_value(was, line, n, &n_old);
    if (!new || (old && n_old == n_new && !strncmp(old, new, n_new))) { continue; }
    nsl_str_addf(out, "%s%.*s: %.*s -> %.*s", out->n ? ", " : "", (int)n, line, old ? (int)n_old : 9, old ? old : "(unknown)",
                 (int)n_new, new);
  }
}

void nsl_config_record_compare(const char *workdir, nsl_hash was, nsl_hash is, const nsl_config *cfg, char *out, size_t size)
{
  static _Thread_local struct {
    nsl_hash was, is;
    char text[200];
  } last;
  if (!nsl_hash_equal(last.was, was) || !nsl_hash_equal(last.is, is)) {
    char *path = record_path(workdir, was), *now = nsl_config_resolved(cfg, 1), *old = NULL;
    size_t n = 0;
    nsl_str s;
    nsl_str_init(&s);
    if (path && now && nsl_read_file(path, RECORD_BYTES_MAX, &old, &n, NULL) == NSL_OK) { compare(old, now, &s); }
    snprintf(last.text, sizeof last.text, "%s", s.n ? s.text : "");
    last.was = was;
    last.is = is;
    nsl_str_free(&s);
    free(path);
    free(now);
    free(old);
  }
  snprintf(out, size, "%s", last.text);
}
