/* Small string helpers: a growable buffer, splitting, number parsing that says no, nearest name for typos. */
#ifndef NOSLIT_BASE_STR_H
#define NOSLIT_BASE_STR_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
  char *text; /* NUL-terminated; never NULL after nsl_str_init */
  size_t n, capacity;
  int failed; /* an allocation failed; text holds what fitted */
} nsl_str;

void nsl_str_init(nsl_str *s);
void nsl_str_free(nsl_str *s);
void nsl_str_clear(nsl_str *s);
void nsl_str_add(nsl_str *s, const char *text);
void nsl_str_add_n(nsl_str *s, const char *text, size_t n);
void nsl_str_addf(nsl_str *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

char *nsl_strdup(const char *s);                                            /* NULL in, NULL out */
char *nsl_strf(const char *fmt, ...) __attribute__((format(printf, 1, 2))); /* caller frees; NULL when out of memory */
char *nsl_path_join(const char *dir, const char *name);                     /* name if it is absolute; caller frees */
char *nsl_path_dir(const char *path);                                       /* "." if there is none; caller frees */
const char *nsl_path_base(const char *path);

/* The whole string must be a number; 1 on success. nsl_parse_f64 refuses nan and inf. */
int nsl_parse_f64(const char *s, double *out);
int nsl_parse_i64(const char *s, int64_t *out);
int nsl_parse_bool(const char *s, int *out); /* true/false/yes/no/on/off */

/* Index of the name nearest to word by edit distance, or -1 if none is near. */
int nsl_nearest_name(const char *word, const char *const *names, size_t n);

#endif
