/* Preloaded: fsync fails with EIO once the file that NOSLIT_TEST_EIO names exists, as on a disk that goes bad. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

int fsync(int fd);

int fsync(int fd)
{
  const char *when = getenv("NOSLIT_TEST_EIO");
  if (when && access(when, F_OK) == 0) {
    errno = EIO;
    return -1;
  }
  void *symbol = dlsym(RTLD_NEXT, "fsync");
  int (*real)(int);
  *(void **)&real = symbol;
  return real(fd);
}
