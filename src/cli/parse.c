#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/str.h"
#include "noslit/pipe/config_load.h"

int nsl_cli_error(const nsl_cli *cli, const nsl_error *err)
{
  if (cli->mpi.rank == 0) {
    fprintf(stderr, "noslit %s: %s\n", cli->command->name, err->text[0] ? err->text : nsl_status_text(err->status));
  }
  return nsl_status_exit_code(err->status);
}

nsl_status nsl_cli_print_json(nsl_json *root, nsl_error *err)
{
  char *text = nsl_json_text(root);
  nsl_json_free(root);
  if (!text) { return nsl_fail(err, NSL_E_NOMEM, "no memory"); }
  puts(text);
  free(text);
  return NSL_OK;
}

nsl_status nsl_cli_config(const nsl_cli *cli, const char *path, nsl_config **out, nsl_error *err)
{
  return nsl_config_load(path, cli->overrides, cli->n_overrides, out, err);
}

static nsl_status unknown_option(const nsl_cli *cli, const char *word, const nsl_option *options, int n_options, nsl_error *err)
{
  const char **names = calloc((size_t)n_options + 1, sizeof *names);
  int near = -1;
  if (names) {
    for (int i = 0; i < n_options; i++) { names[i] = options[i].name; }
    near = nsl_nearest_name(word, names, (size_t)n_options);
  }
  free(names);
  if (near >= 0) { return nsl_fail(err, NSL_E_USAGE, "unknown option '%s'; did you mean '%s'?", word, options[near].name); }
  return nsl_fail(err, NSL_E_USAGE, "unknown option '%s'; see `noslit %s --help`", word, cli->command->name);
}

/* The value of argv[*i]: after '=' or the next word. NULL when there is none. */
static const char *option_value(const nsl_cli *cli, int *i)
{
  const char *eq = strchr(cli->argv[*i], '=');
  if (eq) { return eq + 1; }
  if (*i + 1 >= cli->argc) { return NULL; }
  return cli->argv[++*i];
}

static int names_option(const char *word, const char *name)
{
  size_t n = strlen(name);
  return !strncmp(word, name, n) && (word[n] == '\0' || word[n] == '=');
}

static const nsl_option *find_option(const nsl_option *options, int n, const char *word)
{
  for (int i = 0; i < n; i++) {
    if (names_option(word, options[i].name)) { return &options[i]; }
  }
  return NULL;
}

static nsl_status parse_selection(nsl_cli *cli, nsl_select *select, int *i, int *taken, nsl_error *err)
{
  char name[32];
  const char *word = cli->argv[*i];
  size_t n = strcspn(word, "=");
  int takes_value = 0;
  *taken = 0;
  if (!select || n >= sizeof name) { return NSL_OK; }
  memcpy(name, word, n);
  name[n] = '\0';
  if (!nsl_select_is_option(name, &takes_value)) { return NSL_OK; }
  *taken = 1;
  return nsl_select_add(select, name, takes_value ? option_value(cli, i) : NULL, err);
}

nsl_status nsl_cli_parse(nsl_cli *cli, const nsl_option *options, int n_options, nsl_select *select, const char **positional,
                         int max_positional, int *n_positional, nsl_error *err)
{
  int count = 0;
  for (int i = 0; i < cli->argc; i++) {
    const char *word = cli->argv[i];
    if (strncmp(word, "--", 2) != 0) {
      if (count >= max_positional) { return nsl_fail(err, NSL_E_USAGE, "'%s' is one argument too many", word); }
      positional[count++] = word;
      continue;
    }
    int taken;
    nsl_status st = parse_selection(cli, select, &i, &taken, err);
    if (st != NSL_OK) { return st; }
    if (taken) { continue; }
    const nsl_option *o = find_option(options, n_options, word);
    if (!o) { return unknown_option(cli, word, options, n_options, err); }
    if (o->flag) {
      *o->flag = 1;
    } else {
      *o->value = option_value(cli, &i);
      if (!*o->value) { return nsl_fail(err, NSL_E_USAGE, "%s wants a value", o->name); }
    }
  }
  *n_positional = count;
  return NSL_OK;
}
