/* noslit: finds the subcommand, takes out the common options, starts and ends MPI round it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/nn/blas.h"
#include "noslit/pipe/made_by.h"

static void print_usage(FILE *out)
{
  fprintf(out, "%s: redshifts from slitless spectroscopic surveys\n\nusage: noslit COMMAND ...\n\n", nsl_made_by_text());
  for (int i = 0; nsl_commands[i]; i++) {
    fprintf(out, "  %-9s %-28s %s\n", nsl_commands[i]->name, nsl_commands[i]->arguments, nsl_commands[i]->summary);
  }
  fprintf(out, "\nSELECT: --tiles 12,40-44  --cone RA,DEC,RADIUS  --box RA0,RA1,DEC0,DEC1  --polygon RA,DEC,...  --exposure OBSID\n"
               "        --source ID  --failed  --stale  --force  --part I/N\n"
               "All commands: --set key=value  --quiet  --verbose  --log FILE  --exit-file FILE  --help\n"
               "Exit codes: 0 done  1 internal or data error  2 usage or configuration  3 done with quarantined tiles  75 drained, "
               "call again\n");
}

static const nsl_command *find_command(const char *name)
{
  for (int i = 0; nsl_commands[i]; i++) {
    if (!strcmp(nsl_commands[i]->name, name)) { return nsl_commands[i]; }
  }
  return NULL;
}

static int unknown_command(const char *name)
{
  const char *names[32];
  size_t n = 0;
  for (; nsl_commands[n] && n < 32; n++) { names[n] = nsl_commands[n]->name; }
  int near = nsl_nearest_name(name, names, n);
  fprintf(stderr, "noslit: unknown command '%s'%s%s%s; `noslit --help` lists them\n", name, near < 0 ? "" : "; did you mean '",
          near < 0 ? "" : names[near], near < 0 ? "" : "'?");
  return NSL_EXIT_USAGE;
}

static void print_help(const nsl_command *c)
{
  printf("usage: noslit %s %s\n%s\n", c->name, c->arguments, c->summary);
  if (c->help) { printf("\n%s", c->help); }
}

/* Taken out of argv. */
typedef struct {
  const char *log_path, *exit_path;
  int help;
} common_options;

static nsl_status take_common_options(nsl_cli *cli, common_options *common, nsl_error *err)
{
  int kept = 0;
  for (int i = 0; i < cli->argc; i++) {
    char *word = cli->argv[i];
    int has_next = i + 1 < cli->argc;
    if (!strcmp(word, "--quiet")) {
      cli->log.level = NSL_LOG_WARN;
    } else if (!strcmp(word, "--verbose")) {
      cli->log.level = NSL_LOG_DEBUG;
    } else if (!strcmp(word, "--help")) {
      common->help = 1;
    } else if (!strcmp(word, "--set") || !strcmp(word, "--log") || !strcmp(word, "--exit-file")) {
      if (!has_next) { return nsl_fail(err, NSL_E_USAGE, "%s wants a value", word); }
      const char *v = cli->argv[++i];
      if (!strcmp(word, "--log")) {
        common->log_path = v;
      } else if (!strcmp(word, "--exit-file")) {
        common->exit_path = v;
      } else if (cli->n_overrides == NSL_CLI_OVERRIDES_MAX) {
        return nsl_fail(err, NSL_E_USAGE, "more than %d --set; put them into the configuration", NSL_CLI_OVERRIDES_MAX);
      } else {
        cli->overrides[cli->n_overrides++] = v;
      }
    } else {
      cli->argv[kept++] = word;
    }
  }
  cli->argc = kept;
  return NSL_OK;
}

static int run_command(nsl_cli *cli, const char *log_path, nsl_error *err)
{
  FILE *log_file = NULL;
  if (log_path && cli->mpi.rank == 0) {
    log_file = fopen(log_path, "a");
    if (!log_file) {
      nsl_fail_errno(err, errno, "%s: cannot write the log", log_path);
      return nsl_cli_error(cli, err);
    }
    cli->log.file = log_file;
  }
  if (cli->mpi.rank > 0 && cli->log.level > NSL_LOG_WARN) { cli->log.level = NSL_LOG_WARN; }
  cli->log.rank = cli->mpi.size > 1 ? cli->mpi.rank : -1;
  int code = cli->command->run(cli);
  if (log_file) { fclose(log_file); }
  return code;
}

/* mpirun --enable-recovery returns 0 whatever the program did; a job script reads the exit code here. Without the file the program
 * did not come to its end. */
static int leave_exit_code(const nsl_cli *cli, const char *path, int code)
{
  char text[16];
  nsl_error err = NSL_ERROR_INIT;
  if (!path || cli->mpi.rank > 0) { return code; }
  int n = snprintf(text, sizeof text, "%d\n", code);
  return nsl_write_file(path, text, (size_t)n, &err) == NSL_OK ? code : nsl_cli_error(cli, &err);
}

int main(int argc, char **argv)
{
  nsl_blas_restart_with_better_core(argv);
  if (argc < 2 || !strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
    print_usage(argc < 2 ? stderr : stdout);
    return argc < 2 ? NSL_EXIT_USAGE : NSL_EXIT_OK;
  }
  if (!strcmp(argv[1], "--version")) {
    printf("%s\n%s\nopenblas core %s\n", nsl_made_by_text(), nsl_libraries(), nsl_blas_core());
    return NSL_EXIT_OK;
  }
  const nsl_command *command = find_command(argv[1]);
  if (!command) { return unknown_command(argv[1]); }

  nsl_error err = NSL_ERROR_INIT;
  nsl_cli cli = {.command = command, .mpi = {0, 1}, .argc = argc - 2, .argv = argv + 2};
  cli.log = (nsl_log){NSL_LOG_INFO, stderr, NULL, -1};
  common_options common = {NULL, NULL, 0};
  if (take_common_options(&cli, &common, &err) != NSL_OK) { return nsl_cli_error(&cli, &err); }
  if (common.help) {
    print_help(command);
    return NSL_EXIT_OK;
  }
  int mpi = command->uses_mpi == NSL_MPI_IF_LAUNCHED ? nsl_mpi_is_launched() : command->uses_mpi;
  if (mpi) { cli.mpi = nsl_mpi_start(&argc, &argv); }
  int code = leave_exit_code(&cli, common.exit_path, run_command(&cli, common.log_path, &err));
  if (mpi) { nsl_mpi_end(cli.lost_ranks, code); }
  return code;
}
