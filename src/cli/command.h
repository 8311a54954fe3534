/* The table of subcommands: one cmd_<name>.c each. */
#ifndef NOSLIT_CLI_COMMAND_H
#define NOSLIT_CLI_COMMAND_H

#include "noslit/base/log.h"
#include "noslit/base/status.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"
#include "noslit/par/mpi_env.h"

#define NSL_EXIT_OK 0
#define NSL_EXIT_INTERNAL 1
#define NSL_EXIT_USAGE 2
#define NSL_EXIT_QUARANTINED 3
#define NSL_EXIT_DRAINED 75

typedef struct {
  nsl_mpi mpi;
  nsl_log log;
  int argc; /* arguments after the subcommand */
  char **argv;
} nsl_cli;

typedef struct {
  const char *name, *arguments, *summary;
  int uses_mpi;             /* start MPI before the command runs */
  int (*run)(nsl_cli *cli); /* returns the exit code; has printed its own error through nsl_cli_error */
  const char *help;         /* the options, a few lines */
} nsl_command;

extern const nsl_command nsl_cmd_simulate, nsl_cmd_train, nsl_cmd_plan, nsl_cmd_run, nsl_cmd_merge, nsl_cmd_status,
    nsl_cmd_validate, nsl_cmd_show, nsl_cmd_diff, nsl_cmd_verify, nsl_cmd_model, nsl_cmd_config;

/* Prints "noslit <command>: error: <text>" on the root rank (or on the failing one) and returns the exit code of the error. */
int nsl_cli_error(const nsl_cli *cli, const nsl_error *err);

/* Options common to all commands are taken out before `run` sees them: --set key=value, --quiet, --verbose, --log FILE, --help. */
typedef struct {
  const char *name; /* "--truth" */
  int takes_value;
  const char **value; /* set to the argument; or, for flags, */
  int *flag;          /* set to 1 */
} nsl_option;

/* Parses options (and SELECT, if select is not NULL) and up to max_positional positional arguments; says what it did not
 * understand, with the nearest option. */
nsl_status nsl_cli_parse(nsl_cli *cli, const nsl_option *options, int n_options, nsl_select *select, const char **positional,
                         int max_positional, int *n_positional, nsl_error *err);

/* Loads the configuration named by the first positional argument, with --set overrides. */
nsl_status nsl_cli_config(nsl_cli *cli, const char *path, nsl_config **out, nsl_error *err);

#endif
