/* The table of subcommands: one cmd_<name>.c each, listed in commands.c. */
#ifndef NOSLIT_CLI_COMMAND_H
#define NOSLIT_CLI_COMMAND_H

#include "noslit/base/log.h"
#include "noslit/base/status.h"
#include "noslit/io/json.h"
#include "noslit/model/config.h"
#include "noslit/model/select.h"
#include "noslit/par/mpi_env.h"

#define NSL_EXIT_OK 0
#define NSL_EXIT_INTERNAL 1
#define NSL_EXIT_USAGE 2
#define NSL_EXIT_QUARANTINED 3
#define NSL_EXIT_DRAINED 75

#define NSL_CLI_OVERRIDES_MAX 64
#define NSL_MPI_IF_LAUNCHED 2

typedef struct nsl_command nsl_command;

typedef struct {
  const nsl_command *command;
  nsl_mpi mpi; /* rank 0 of 1 for commands that do not use MPI */
  nsl_log log; /* only the root rank logs below warnings */
  int argc;    /* arguments after the subcommand, common options taken out */
  char **argv;
  const char *overrides[NSL_CLI_OVERRIDES_MAX]; /* --set key=value */
  int n_overrides;
  int lost_ranks; /* set by a command that lost workers: then the end of MPI is bounded in time */
} nsl_cli;

struct nsl_command {
  const char *name, *arguments, *summary;
  int uses_mpi;             /* 1: MPI is started before the command runs; NSL_MPI_IF_LAUNCHED: only under mpirun or srun */
  int (*run)(nsl_cli *cli); /* returns the exit code; has reported its own error through nsl_cli_error */
  const char *help;         /* the options, a few lines, each ending in a newline */
};

/* Ends with NULL. */
extern const nsl_command *const nsl_commands[];
extern const nsl_command nsl_cmd_simulate, nsl_cmd_train, nsl_cmd_plan, nsl_cmd_run, nsl_cmd_merge, nsl_cmd_status,
    nsl_cmd_validate, nsl_cmd_show, nsl_cmd_diff, nsl_cmd_verify, nsl_cmd_audit, nsl_cmd_model, nsl_cmd_config, nsl_cmd_estimate,
    nsl_cmd_stamps;

/* Prints "noslit <command>: <text>" to stderr and returns the exit code of the error. Under MPI call it on every rank after
 * nsl_mpi_agree: only rank 0 prints. */
int nsl_cli_error(const nsl_cli *cli, const nsl_error *err);

/* Prints a JSON document to stdout and frees it. */
nsl_status nsl_cli_print_json(nsl_json *root, nsl_error *err);

/* Options common to all commands are taken out before `run` sees them: --set key=value, --quiet, --verbose, --log FILE,
 * --exit-file FILE, --help. */
typedef struct {
  const char *name;   /* "--truth" */
  const char **value; /* gets the argument that follows; NULL for a flag */
  int *flag;          /* set to 1; NULL for an option with a value */
} nsl_option;

/* Parses cli->argv: options ("--x value" or "--x=value"), SELECT if select is not NULL, and up to max_positional positional
 * arguments. What it does not understand is NSL_E_USAGE with the nearest option. */
nsl_status nsl_cli_parse(nsl_cli *cli, const nsl_option *options, int n_options, nsl_select *select, const char **positional,
                         int max_positional, int *n_positional, nsl_error *err);

/* Loads a configuration with the --set overrides. Under MPI: local, every rank reads the (small) file. */
nsl_status nsl_cli_config(const nsl_cli *cli, const char *path, nsl_config **out, nsl_error *err);

#endif
