/* YAML files as flat key/value lists (libyaml). Local. */
#ifndef NOSLIT_IO_YAML_H
#define NOSLIT_IO_YAML_H

#include "noslit/base/kv.h"

/* Reads a YAML file (one document, at most 4 MiB). Anchors and duplicate keys are errors; messages carry file:line:column.
 * A key that is quoted may hold a '.', which its path then shows like any other.
 * On success the caller frees *out with nsl_kvlist_free. */
nsl_status nsl_yaml_read(const char *path, nsl_kvlist *out, nsl_error *err);

/* Same from memory; name stands for the file in messages. */
nsl_status nsl_yaml_parse(const char *text, size_t n, const char *name, nsl_kvlist *out, nsl_error *err);

#endif
