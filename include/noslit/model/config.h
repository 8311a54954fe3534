/* The configuration: one declarative table of keys {path, type, unit, range, default, help}. An unknown key is an error with
 * line, column and the nearest name. Pure: the YAML is read by io, the file by pipe/config_load. */
#ifndef NOSLIT_MODEL_CONFIG_H
#define NOSLIT_MODEL_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#include "noslit/base/hash.h"
#include "noslit/base/kv.h"

typedef enum { NSL_KEY_INT, NSL_KEY_REAL, NSL_KEY_BOOL, NSL_KEY_TEXT, NSL_KEY_PATH, NSL_KEY_LIST } nsl_key_type;

/* Which outputs a key can change. Keys of class SCIENCE enter the hash that tile files carry; changing another one
 * (ranks, leases, logging, where things are written) makes no tile stale. */
typedef enum { NSL_KEY_SCIENCE, NSL_KEY_MOCK, NSL_KEY_TRAINING, NSL_KEY_OPERATION } nsl_key_class;

typedef struct {
  const char *path; /* "run.samples" */
  nsl_key_type type;
  nsl_key_class cls;
  const char *unit;      /* "" if none */
  double min, max;       /* inclusive range of INT and REAL; of LIST: number of elements */
  const char *otherwise; /* default as text; NULL: required where used; LIST: comma-separated */
  const char *choices;   /* TEXT: "a|b|c" or NULL */
  const char *help;
} nsl_key;

extern const nsl_key nsl_config_keys[];
extern const size_t nsl_config_n_keys;

typedef struct nsl_config nsl_config;

/* Builds a resolved configuration from a document. base_dir: relative paths (type PATH and LIST of paths) are taken from there. */
nsl_status nsl_config_new(const nsl_kvlist *doc, const char *base_dir, nsl_config **out, nsl_error *err);
/* Overrides one key from the command line ("run.samples=64"). */
nsl_status nsl_config_override(nsl_config *c, const char *assignment, nsl_error *err);
void nsl_config_free(nsl_config *c);

/* Values. Asking for a path that is not in the table, or with the wrong type, is a programming error (assert). */
int64_t nsl_config_int(const nsl_config *c, const char *path);
double nsl_config_real(const nsl_config *c, const char *path);
int nsl_config_bool(const nsl_config *c, const char *path);
const char *nsl_config_text(const nsl_config *c,
                            const char *path); /* TEXT or PATH; "" when unset; paths are absolute or relative to cwd */
size_t nsl_config_list(const nsl_config *c, const char *path, const char *const **items); /* items borrowed */
int nsl_config_is_set(const nsl_config *c, const char *path);                             /* given by the user, not the default */
/* NSL_E_CONFIG with a message that names file and key if a required key is not set. */
nsl_status nsl_config_require(const nsl_config *c, const char *path, nsl_error *err);

const char *nsl_config_file(const nsl_config *c); /* the document's name */
/* Where a value came from: "default", "survey.yaml:12:3", "command line". */
const char *nsl_config_origin(const nsl_config *c, const char *path);

/* Canonical text of all resolved values ("path: value\n" in table order; SCIENCE keys only if science_only). Caller frees. */
char *nsl_config_resolved(const nsl_config *c, int science_only);
nsl_hash nsl_config_science_hash(const nsl_config *c);

#endif
