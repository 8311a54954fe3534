/* Provenance of two catalogues side by side. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/pipe/catalogue_diff.h"

/* Dates, hosts and ranks differ always and change nothing. */
static const char *const compared[] = {"survey",    "selection",       "config_hash",   "model_hash",  "instrument_hash",
                                       "plan_hash", "results_version", "merge_version", "merge_commit"};

static void note(nsl_str *lines, nsl_str *what, const char *key, const char *a, const char *b)
{
  nsl_str_addf(lines, "%s: %s -> %s\n", key, a && *a ? a : "(none)", b && *b ? b : "(none)");
  if (what) { nsl_str_addf(what, "%s%s", what->n ? "," : "", key); }
}

/* Length of the line at p, without its end; *next is the line after it. */
static size_t line_at(const char *p, const char **next)
{
  size_t n = strcspn(p, "\n");
  *next = p + n + (p[n] == '\n');
  return n;
}

/* The value of the line "key: value" in a text, or NULL; caller frees. */
static char *value_of(const char *text, const char *key, size_t key_n)
{
  for (const char *p = text, *next; *p; p = next) {
    size_t n = line_at(p, &next);
    if (n >= key_n && strncmp(p, key, key_n) == 0) { return nsl_strf("%.*s", (int)(n - key_n), p + key_n); }
  }
  return NULL;
}

static void compare_config(const char *a, const char *b, nsl_str *lines)
{
  for (int side = 0; side < 2; side++) { /* the second round only for keys that the first text lacks */
    const char *from = side ? b : a, *in = side ? a : b;
    for (const char *p = from, *next; *p; p = next) {
      size_t n = line_at(p, &next), key_n = strcspn(p, ":\n");
      if (key_n >= n) { continue; }
      char *other = value_of(in, p, key_n + 1), *mine = nsl_strf("%.*s", (int)(n - key_n - 1), p + key_n + 1);
      char *key = nsl_strf("config: %.*s", (int)key_n, p);
      if (mine && key && (other ? !side && strcmp(mine, other) != 0 : 1)) {
        const char *shown = mine + strspn(mine, " "), *theirs = other ? other + strspn(other, " ") : NULL;
        note(lines, NULL, key, side ? theirs : shown, side ? shown : theirs);
      }
      free(other);
      free(mine);
      free(key);
    }
  }
}

/* An attribute as text; "" when the catalogue, of an older noslit, does not have it. Caller frees. */
static nsl_status get_attribute(nsl_catalogue *c, const char *key, char **out, nsl_error *err)
{
  nsl_h5 *f = nsl_catalogue_file(c);
  int64_t number;
  nsl_status st = nsl_h5_get_i64(f, "/", key, &number, NULL);
  if (st == NSL_OK) {
    *out = nsl_strf("%lld", (long long)number);
  } else if (st == NSL_E_NOTFOUND) {
    *out = nsl_strdup("");
  } else {
    return nsl_h5_get_text(f, "/", key, out, err);
  }
  return *out ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "no memory for %s", key);
}

nsl_status nsl_catalogue_compare_provenance(const char *path_a, const char *path_b, nsl_str *lines, nsl_str *what, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_catalogue *a = NULL, *b = NULL;
  char *text_a = NULL, *text_b = NULL;
  NSL_TRY(nsl_catalogue_open(path_a, &a, err));
  NSL_TRY(nsl_catalogue_open(path_b, &b, err));
  for (size_t i = 0; i <= sizeof compared / sizeof *compared; i++) {
    const char *key = i < sizeof compared / sizeof *compared ? compared[i] : "config";
    NSL_TRY(get_attribute(a, key, &text_a, err));
    NSL_TRY(get_attribute(b, key, &text_b, err));
    if (strcmp(key, "config") == 0) {
      compare_config(text_a, text_b, lines);
    } else if (strcmp(text_a, text_b) != 0) {
      note(lines, what, key, text_a, text_b);
    }
    free(text_a);
    free(text_b);
    text_a = text_b = NULL;
  }
cleanup:
  free(text_a);
  free(text_b);
  nsl_catalogue_close(a);
  nsl_catalogue_close(b);
  return st;
}
