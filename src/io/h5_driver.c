/* The HDF5 file driver that files are written with. After a failed write (a full disk) HDF5 1.10 cannot close its file: the
 * descriptor and the disk space stay taken and H5close() crashes. This driver therefore remembers the first failure for
 * nsl_h5_close to report, drops all later writes and lets HDF5 close in peace. The bytes are those of the sec2 driver.
 *
 * It also knows where raw data went, and can leave their writing to somebody else: HDF5 then only allots the place. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "h5_internal.h"

typedef struct {
  H5FD_t base; /* first: HDF5 sees only this */
  int fd;
  nsl_h5_writing *state; /* the nsl_h5's */
  haddr_t allocated, end;
} driver_file;

typedef struct {
  nsl_h5_writing *state;
} driver_access;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t max)
{
  (void)max;
  const driver_access *info = H5Pget_driver_info(access);
  driver_file *f = calloc(1, sizeof *f);
  if (!info || !f || !(flags & H5F_ACC_TRUNC)) {
    free(f);
    return NULL;
  }
  f->state = info->state;
  f->fd = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (f->fd < 0) {
    f->state->first_errno = errno;
    free(f);
    return NULL;
  }
  return &f->base;
}

static herr_t driver_close(H5FD_t *file)
{
  driver_file *f = (driver_file *)file;
  if (close(f->fd) && !f->state->first_errno) { f->state->first_errno = errno; }
  free(f);
  return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
  (void)file;
  *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_AGGREGATE_SMALLDATA |
           H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

static haddr_t driver_get_allocated(const H5FD_t *file, H5FD_mem_t type)
{
  (void)type;
  return ((const driver_file *)file)->allocated;
}

static herr_t driver_set_allocated(H5FD_t *file, H5FD_mem_t type, haddr_t address)
{
  (void)type;
  ((driver_file *)file)->allocated = address;
  return 0;
}

static haddr_t driver_get_end(const H5FD_t *file, H5FD_mem_t type)
{
  (void)type;
  return ((const driver_file *)file)->end;
}

/* What was never written reads as zeros, as with sec2. */
static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, void *buffer)
{
  (void)type;
  (void)transfer;
  driver_file *f = (driver_file *)file;
  char *out = buffer;
  while (size) {
    ssize_t n = pread(f->fd, out, size, (off_t)address);
    if (n < 0 && errno == EINTR) { continue; }
    if (n < 0 && !f->state->first_errno) { f->state->first_errno = errno; }
    if (n <= 0) {
      memset(out, 0, size);
      break;
    }
    out += n;
    size -= (size_t)n;
    address += (haddr_t)n;
  }
  return 0;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t transfer, haddr_t address, size_t size, const void *buffer)
{
  (void)transfer;
  driver_file *f = (driver_file *)file;
  const char *in = buffer;
  if (type == H5FD_MEM_DRAW) {
    f->state->raw_address = (int64_t)address;
    if (f->state->hold_raw) { return 0; }
  }
  if (address + size > f->end) { f->end = address + size; }
  while (size && !f->state->first_errno) {
    ssize_t n = pwrite(f->fd, in, size, (off_t)address);
    if (n < 0 && errno == EINTR) { continue; }
    if (n <= 0) {
      f->state->first_errno = n ? errno : EIO;
      break;
    }
    in += n;
    size -= (size_t)n;
    address += (haddr_t)n;
  }
  return 0;
}

static herr_t driver_truncate(H5FD_t *file, hid_t transfer, hbool_t closing)
{
  (void)transfer;
  (void)closing;
  driver_file *f = (driver_file *)file;
  if (f->end == f->allocated) { return 0; }
  if (!f->state->first_errno && ftruncate(f->fd, (off_t)f->allocated)) { f->state->first_errno = errno; }
  f->end = f->allocated;
  return 0;
}

hid_t nsl_h5_set_writing_driver(hid_t access, nsl_h5_writing *state)
{
  static const H5FD_class_t driver = {
#ifdef H5FD_CLASS_VERSION /* since HDF5 1.13.2 */
      .version = H5FD_CLASS_VERSION,
      .value = (H5FD_class_value_t)600, /* of the range for private drivers */
#endif
      .name = "noslit",
      .maxaddr = ((haddr_t)1 << 63) - 1,
      .fc_degree = H5F_CLOSE_WEAK,
      .fapl_size = sizeof(driver_access),
      .open = driver_open,
      .close = driver_close,
      .query = driver_query,
      .get_eoa = driver_get_allocated,
      .set_eoa = driver_set_allocated,
      .get_eof = driver_get_end,
      .read = driver_read,
      .write = driver_write,
      .truncate = driver_truncate,
      .fl_map = H5FD_FLMAP_DICHOTOMY,
  };
  driver_access info = {state};
  hid_t id = H5FDregister(&driver);
  if (id >= 0 && H5Pset_driver(access, id, &info) < 0) {
    H5FDunregister(id);
    return H5I_INVALID_HID;
  }
  return id;
}
