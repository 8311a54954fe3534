#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/io/yaml.h"
#include "validate_output.h"

/* The number at a dotted path, whose keys may themselves hold dots ("outlier_0.02"). 0 when there is no such key. */
static int find_number(const nsl_json *object, char *path, double *value)
{
  if (nsl_json_get(object, path)) {
    *value = nsl_json_get_f64(object, path, NAN);
    return 1;
  }
  for (char *dot = strchr(path, '.'); dot; dot = strchr(dot + 1, '.')) {
    *dot = '\0';
    const nsl_json *inner = nsl_json_get(object, path);
    int found = inner && find_number(inner, dot + 1, value);
    *dot = '.';
    if (found) { return 1; }
  }
  return 0;
}

static nsl_status check(const nsl_kvlist *list, const nsl_kv *item, const nsl_json *metrics, FILE *out, int *failed, nsl_error *err)
{
  nsl_status st = NSL_OK;
  double limit, value = NAN;
  char *path = nsl_strdup(item->path), *dot = path ? strrchr(path, '.') : NULL;
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "%s: no memory", list->file); }
  int is_max = dot && !strcmp(dot, ".max"), is_min = dot && !strcmp(dot, ".min");
  if (!is_max && !is_min) {
    NSL_THROW(err, NSL_E_CONFIG, "%s:%d:%d: '%s' is no threshold; write selection: {metric: {max: x}} or {min: x}", list->file,
              item->line, item->column, item->path);
  }
  if (!nsl_parse_f64(item->value, &limit)) {
    NSL_THROW(err, NSL_E_CONFIG, "%s:%d:%d: '%s' is not a number", list->file, item->line, item->column, item->value);
  }
  *dot = '\0';
  if (!find_number(metrics, path, &value)) {
    NSL_THROW(err, NSL_E_CONFIG, "%s:%d:%d: the metrics have no '%s'; `noslit validate --json` shows what there is", list->file,
              item->line, item->column, path);
  }
  int passed = is_max ? value <= limit : value >= limit; /* NaN fails */
  *failed += !passed;
  fprintf(out, "%-6s %-36s %12.6g  %s %g\n", passed ? "pass" : "FAIL", path, value, is_max ? "<=" : ">=", limit);
cleanup:
  free(path);
  return st;
}

nsl_status nsl_validate_require(const char *path, const nsl_json *metrics, FILE *out, int *failed, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_kvlist list = {0};
  *failed = 0;
  NSL_TRY(nsl_yaml_read(path, &list, err));
  if (!list.n) { NSL_THROW(err, NSL_E_CONFIG, "%s: holds no threshold", path); }
  for (size_t i = 0; i < list.n; i++) { NSL_TRY(check(&list, &list.items[i], metrics, out, failed, err)); }
  fprintf(out, "%zu thresholds, %d failed\n", list.n, *failed);
cleanup:
  nsl_kvlist_free(&list);
  return st;
}
