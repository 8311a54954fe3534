/* noslit config: every key with value, unit, origin; or the table of all keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/str.h"
#include "noslit/io/json.h"

static const char *const type_name[] = {"integer", "real", "true/false", "text", "path", "list of paths"};

static void print_keys(void)
{
  printf("| key | type | default | unit | range | what |\n|---|---|---|---|---|---|\n");
  for (size_t i = 0; i < nsl_config_n_keys; i++) {
    const nsl_key *k = &nsl_config_keys[i];
    char range[64] = "";
    if (k->type == NSL_KEY_INT || k->type == NSL_KEY_REAL) { snprintf(range, sizeof range, "%g..%g", k->min, k->max); }
    char choices[128] = "";
    for (size_t j = 0; k->choices && k->choices[j] && j + 1 < sizeof choices; j++) {
      choices[j] = k->choices[j] == '|' ? ' ' : k->choices[j];
      choices[j + 1] = '\0';
    }
    printf("| `%s` | %s | %s | %s | %s | %s |\n", k->path, type_name[k->type], k->otherwise ? k->otherwise : "(none)", k->unit,
           choices[0] ? choices : range, k->help);
  }
}

static char *value_text(const nsl_config *cfg, const nsl_key *k)
{
  const char *const *items;
  switch (k->type) {
  case NSL_KEY_INT:
    return nsl_strf("%lld", (long long)nsl_config_int(cfg, k->path));
  case NSL_KEY_REAL:
    return nsl_strf("%.12g", nsl_config_real(cfg, k->path));
  case NSL_KEY_BOOL:
    return nsl_strdup(nsl_config_bool(cfg, k->path) ? "true" : "false");
  case NSL_KEY_TEXT:
  case NSL_KEY_PATH:
    return nsl_strdup(nsl_config_text(cfg, k->path));
  case NSL_KEY_LIST: {
    nsl_str s;
    nsl_str_init(&s);
    size_t n = nsl_config_list(cfg, k->path, &items);
    for (size_t i = 0; i < n; i++) { nsl_str_addf(&s, "%s%s", i ? ", " : "", items[i]); }
    char *text = nsl_strdup(s.text);
    nsl_str_free(&s);
    return text;
  }
  }
  return NULL;
}

static nsl_status print_values(const nsl_config *cfg, int json, nsl_error *err)
{
  nsl_json *root = json ? nsl_json_object() : NULL;
  for (size_t i = 0; i < nsl_config_n_keys; i++) {
    const nsl_key *k = &nsl_config_keys[i];
    char *text = value_text(cfg, k);
    const char *origin = nsl_config_origin(cfg, k->path);
    if (json) {
      nsl_json *row = nsl_json_object();
      nsl_json_set_text(row, "value", text ? text : "");
      nsl_json_set_text(row, "unit", k->unit);
      nsl_json_set_text(row, "origin", origin);
      nsl_json_set(root, k->path, row);
    } else {
      printf("%-28s %-32s %-10s %s\n", k->path, text ? text : "", k->unit, origin);
    }
    free(text);
  }
  if (!json) { return NSL_OK; }
  return nsl_cli_print_json(root, err);
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  const char *path = NULL;
  int n = 0, keys = 0, json = 0;
  const nsl_option options[] = {{"--keys", NULL, &keys}, {"--json", NULL, &json}};
  NSL_TRY(nsl_cli_parse(cli, options, 2, NULL, &path, 1, &n, &err));
  if (keys) {
    print_keys();
    goto cleanup;
  }
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit config CONFIG, or noslit config --keys"); }
  NSL_TRY(nsl_cli_config(cli, path, &cfg, &err));
  NSL_TRY(print_values(cfg, json, &err));
cleanup:
  nsl_config_free(cfg);
  return st == NSL_OK ? NSL_EXIT_OK : nsl_cli_error(cli, &err);
}

const nsl_command nsl_cmd_config = {
    "config",
    "CONFIG",
    "every key with value, unit, origin, and the line it came from",
    0,
    run,
    "  --json    as JSON\n"
    "  --keys    the table of all keys instead (no CONFIG needed)\n",
};
