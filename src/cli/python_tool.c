#include "python_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit_version.h"

enum { MAX_ARGUMENTS = 32 };

/* Exit code of a program; 127 when it cannot be started, 255 when it was killed. */
static int run_program(const char *const *argv, int silent)
{
  pid_t pid = fork();
  if (pid < 0) { return 127; }
  if (pid == 0) {
    if (silent) {
      int null = open("/dev/null", O_WRONLY);
      if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
      }
    } else {
      dup2(STDERR_FILENO, STDOUT_FILENO);
    }
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) { return 255; }
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static const char *find_python(const char *modules)
{
  static const char test[] = "import importlib.util as u, sys\n"
                             "sys.exit(any(u.find_spec(m) is None for m in sys.argv[1].split()))";
  const char *candidates[] = {getenv("NOSLIT_PYTHON"), "python3", "/usr/bin/python3"};
  for (size_t i = 0; i < sizeof candidates / sizeof *candidates; i++) {
    if (!candidates[i] || !*candidates[i]) { continue; }
    const char *argv[] = {candidates[i], "-c", test, modules, NULL};
    if (run_program(argv, 1) == 0) { return candidates[i]; }
  }
  return NULL;
}

/* Caller frees; NULL when it is nowhere. */
static char *find_script(const char *script)
{
  char program[4096];
  char *path = nsl_strf("%s/tools/%s", NOSLIT_SOURCE_DIR, script);
  if (path && nsl_file_exists(path)) { return path; }
  free(path);
  ssize_t n = readlink("/proc/self/exe", program, sizeof program - 1);
  if (n <= 0) { return NULL; }
  program[n] = '\0';
  char *dir = nsl_path_dir(program);
  path = dir ? nsl_strf("%s/../share/noslit/tools/%s", dir, script) : NULL;
  free(dir);
  if (path && nsl_file_exists(path)) { return path; }
  free(path);
  return NULL;
}

nsl_status nsl_python_tool(const char *script, const char *modules, const char *const *arguments, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *argv[MAX_ARGUMENTS + 3] = {0};
  int n = 0;
  char *path = find_script(script);
  if (!path) {
    NSL_THROW(err, NSL_E_NOTFOUND, "tools/%s is neither in %s nor installed beside the program", script, NOSLIT_SOURCE_DIR);
  }
  argv[n++] = find_python(modules);
  if (!argv[0]) {
    NSL_THROW(err, NSL_E_NOTFOUND,
              "no Python with these modules: %s (on Debian apt-get install python3-<module>, or say which Python by NOSLIT_PYTHON)",
              modules);
  }
  argv[n++] = path;
  for (int i = 0; arguments[i] && n < MAX_ARGUMENTS + 2; i++) { argv[n++] = arguments[i]; }
  int code = run_program(argv, 0);
  if (code) { NSL_THROW(err, NSL_E_IO, "%s %s ended with exit code %d; its message is above", argv[0], path, code); }
cleanup:
  free(path);
  return st;
}
