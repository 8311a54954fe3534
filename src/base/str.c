#include "noslit/base/str.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char empty_text[1] = "";

void nsl_str_init(nsl_str *s) { *s = (nsl_str){.text = empty_text}; }

void nsl_str_free(nsl_str *s)
{
  if (s->capacity) { free(s->text); }
  nsl_str_init(s);
}

void nsl_str_clear(nsl_str *s)
{
  s->n = 0;
  if (s->capacity) { s->text[0] = '\0'; }
}

static int grow(nsl_str *s, size_t need)
{
  if (need + 1 <= s->capacity) { return 1; }
  size_t capacity = s->capacity ? s->capacity : 64;
  while (capacity < need + 1) { capacity *= 2; }
  char *text = realloc(s->capacity ? s->text : NULL, capacity);
  if (!text) {
    s->failed = 1;
    return 0;
  }
  if (!s->capacity) { text[0] = '\0'; }
  s->text = text;
  s->capacity = capacity;
  return 1;
}

void nsl_str_add_n(nsl_str *s, const char *text, size_t n)
{
  if (!grow(s, s->n + n)) { return; }
  memcpy(s->text + s->n, text, n);
  s->n += n;
  s->text[s->n] = '\0';
}

void nsl_str_add(nsl_str *s, const char *text) { nsl_str_add_n(s, text, strlen(text)); }

void nsl_str_addf(nsl_str *s, const char *fmt, ...)
{
  va_list ap, again;
  va_start(ap, fmt);
  va_copy(again, ap);
  int n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n >= 0 && grow(s, s->n + (size_t)n)) {
    vsnprintf(s->text + s->n, (size_t)n + 1, fmt, again);
    s->n += (size_t)n;
  }
  va_end(again);
}

char *nsl_strdup(const char *s) { return s ? strdup(s) : NULL; }

char *nsl_strf(const char *fmt, ...)
{
  char *out = NULL;
  va_list ap;
  va_start(ap, fmt);
  int n = vasprintf(&out, fmt, ap);
  va_end(ap);
  return n < 0 ? NULL : out;
}

char *nsl_path_join(const char *dir, const char *name)
{
  if (name[0] == '/' || !dir || !dir[0]) { return nsl_strdup(name); }
  return nsl_strf("%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", name);
}

char *nsl_path_dir(const char *path)
{
  const char *slash = strrchr(path, '/');
  if (!slash) { return nsl_strdup("."); }
  if (slash == path) { return nsl_strdup("/"); }
  return strndup(path, (size_t)(slash - path));
}

const char *nsl_path_base(const char *path)
{
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

int nsl_parse_f64(const char *s, double *out)
{
  if (!s || !*s || isspace((unsigned char)*s)) { return 0; }
  char *end;
  errno = 0;
  double v = strtod(s, &end);
  if (*end || end == s || !isfinite(v)) { return 0; }
  *out = v;
  return 1;
}

int nsl_parse_i64(const char *s, int64_t *out)
{
  if (!s || !*s || isspace((unsigned char)*s)) { return 0; }
  char *end;
  errno = 0;
  long long v = strtoll(s, &end, 10);
  if (*end || end == s || errno == ERANGE) { return 0; }
  *out = v;
  return 1;
}

int nsl_parse_bool(const char *s, int *out)
{
  static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
  for (int i = 0; s && i < 3; i++) {
    if (!strcasecmp(s, yes[i])) { return *out = 1, 1; }
    if (!strcasecmp(s, no[i])) { return *out = 0, 1; }
  }
  return 0;
}

static size_t edit_distance(const char *a, const char *b)
{
  enum { MAX = 63 };
  size_t na = strlen(a), nb = strlen(b);
  if (na > MAX || nb > MAX) { return MAX; }
  size_t row[MAX + 1];
  for (size_t j = 0; j <= nb; j++) { row[j] = j; }
  for (size_t i = 1; i <= na; i++) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= nb; j++) {
      size_t up = row[j];
      size_t best = diagonal + (a[i - 1] != b[j - 1]);
      if (up + 1 < best) { best = up + 1; }
      if (row[j - 1] + 1 < best) { best = row[j - 1] + 1; }
      row[j] = best;
      diagonal = up;
    }
  }
  return row[nb];
}

int nsl_nearest_name(const char *word, const char *const *names, size_t n)
{
  int best = -1;
  size_t best_distance = strlen(word) / 3 + 2;
  for (size_t i = 0; i < n; i++) {
    size_t d = edit_distance(word, names[i]);
    if (d < best_distance) {
      best_distance = d;
      best = (int)i;
    }
  }
  return best;
}
