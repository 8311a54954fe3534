/* HDF5 files: round trips, refusals, a full disk, damaged files. */
#include "unit/test_support.h"

#include <dlfcn.h>
#include <errno.h>
#include <hdf5.h>
#include <math.h>
#include <sys/file.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/h5.h"

/* A disk that is full after so many bytes; below 0 it never is. HDF5 calls this pwrite instead of libc's. */
static long disk_left = -1;

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset)
{
  static ssize_t (*real)(int, const void *, size_t, off64_t);
  if (!real) { *(void **)&real = dlsym(RTLD_NEXT, "pwrite64"); }
  if (disk_left >= 0) {
    if ((long)n > disk_left) {
      errno = ENOSPC;
      return -1;
    }
    disk_left -= (long)n;
  }
  return real(fd, data, n, offset);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) { return pwrite64(fd, data, n, offset); }

static const char path[] = "test_h5.h5";

static void test_round_trip_of_every_type(void **state)
{
  (void)state;
  size_t dims[] = {3, 2};
  double f64[] = {1.5, -2, 3e300, 4, 5, NAN}, f64_back[6];
  float f32[] = {1.5F, -2, 3e30F, 4, 5, 6}, f32_back[6];
  int64_t i64[] = {1, -2, INT64_MAX, INT64_MIN, 5, 6}, i64_back[6];
  int32_t i32[] = {1, -2, INT32_MAX, INT32_MIN, 5, 6}, i32_back[6];
  uint32_t u32[] = {1, 2, UINT32_MAX, 4, 5, 6}, u32_back[6];
  int16_t i16[] = {1, -2, INT16_MAX, INT16_MIN, 5, 6}, i16_back[6];
  uint8_t u8[] = {1, 2, 255, 4, 5, 6}, u8_back[6];
  struct {
    nsl_h5_type type;
    const void *data;
    void *back;
    const char *name;
  } all[] = {{NSL_H5_F64, f64, f64_back, "/a/b/f64"}, {NSL_H5_F32, f32, f32_back, "/a/b/f32"},
             {NSL_H5_I64, i64, i64_back, "/a/i64"},   {NSL_H5_I32, i32, i32_back, "i32"},
             {NSL_H5_U32, u32, u32_back, "u32"},      {NSL_H5_I16, i16, i16_back, "i16"},
             {NSL_H5_U8, u8, u8_back, "u8"}};
  nsl_h5_layout layouts[] = {{0}, {2, 4, 1, 1}, {100, 0, 1, 1}};
  for (int l = 0; l < 3; l++) {
    nsl_h5 *f;
    assert_ok(nsl_h5_create(path, &f, &test_err));
    for (int i = 0; i < 7; i++) {
      assert_ok(nsl_h5_write(f, all[i].name, all[i].type, 2, dims, all[i].data, &layouts[l], &test_err));
    }
    assert_ok(nsl_h5_close(f, &test_err));
    assert_ok(nsl_h5_open(path, &f, &test_err));
    for (int i = 0; i < 7; i++) {
      size_t bytes = 6 * nsl_h5_type_size(all[i].type);
      memset(all[i].back, 0, bytes);
      assert_ok(nsl_h5_read(f, all[i].name, all[i].type, 6, all[i].back, &test_err));
      assert_memory_equal(all[i].back, all[i].data, bytes);
      memset(all[i].back, 0, bytes);
      assert_ok(nsl_h5_read_rows(f, all[i].name, all[i].type, 2, 1, 2, all[i].back, &test_err));
      assert_memory_equal(all[i].back, (const char *)all[i].data + bytes / 3, 2 * bytes / 3);
      int rank;
      size_t shape[NSL_H5_MAX_RANK];
      assert_ok(nsl_h5_dims(f, all[i].name, &rank, shape, &test_err));
      assert_true(rank == 2 && shape[0] == 3 && shape[1] == 2);
    }
    assert_ok(nsl_h5_close(f, &test_err));
  }
}

static void test_rows_are_streamed(void **state)
{
  (void)state;
  nsl_h5 *f;
  size_t dims[] = {1000, 3};
  nsl_h5_layout layout = {64, 1, 1, 1};
  float rows[100][3], back[1000][3];
  assert_ok(nsl_h5_create(path, &f, &test_err));
  char name[16];
  for (int k = 0; k < 10; k++) { /* more than stay open at once */
    snprintf(name, sizeof name, "set%d", k);
    assert_ok(nsl_h5_create_rows(f, name, NSL_H5_F32, 2, dims, &layout, &test_err));
  }
  for (size_t first = 0; first < 1000; first += 100) {
    for (int k = 0; k < 10; k++) {
      for (size_t i = 0; i < 300; i++) { rows[i / 3][i % 3] = (float)(first * 3 + i) + 0.25F * (float)k; }
      snprintf(name, sizeof name, "set%d", k);
      assert_ok(nsl_h5_write_rows(f, name, NSL_H5_F32, first, 100, rows, &test_err));
    }
  }
  assert_int_equal(nsl_h5_write_rows(f, "set0", NSL_H5_F32, 950, 100, rows, &test_err), NSL_E_FORMAT);
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_ok(nsl_h5_read(f, "set7", NSL_H5_F32, 3000, back, &test_err));
  for (size_t i = 0; i < 3000; i++) { assert_true(back[i / 3][i % 3] == (float)i + 1.75F); }
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_empty_and_scalar_datasets(void **state)
{
  (void)state;
  nsl_h5 *f;
  size_t dims[] = {0, 5};
  double v = 7, back = 0;
  nsl_h5_layout layout = {64, 4, 1, 1};
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_write(f, "none", NSL_H5_F64, 2, dims, NULL, &layout, &test_err));
  assert_ok(nsl_h5_write(f, "one", NSL_H5_F64, 0, NULL, &v, NULL, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_ok(nsl_h5_read(f, "none", NSL_H5_F64, 0, NULL, &test_err));
  assert_ok(nsl_h5_read_rows(f, "none", NSL_H5_F64, 5, 0, 0, NULL, &test_err));
  assert_ok(nsl_h5_read(f, "one", NSL_H5_F64, 1, &back, &test_err));
  assert_true(back == 7);
  assert_int_equal(nsl_h5_read_rows(f, "one", NSL_H5_F64, 1, 0, 1, &back, &test_err), NSL_E_FORMAT);
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_wrong_reads_are_refused(void **state)
{
  (void)state;
  nsl_h5 *f;
  size_t three = 3;
  int32_t big[] = {1, 70000, 3};
  double part[] = {1, 2.5, 3}, back[8];
  int16_t small[3];
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_write(f, "g/big", NSL_H5_I32, 1, &three, big, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "g/part", NSL_H5_F64, 1, &three, part, NULL, &test_err));
  assert_ok(nsl_h5_write_fixed_text(f, "g/text", 1, 4, "hist", &test_err));
  assert_int_equal(nsl_h5_write(f, "g/big", NSL_H5_I32, 1, &three, big, NULL, &test_err), NSL_E_IO);
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_int_equal(nsl_h5_read(f, "g/big", NSL_H5_F64, 4, back, &test_err), NSL_E_FORMAT);
  assert_non_null(strstr(test_err.text, "test_h5.h5: g/big: it has 3 elements where 4"));
  assert_int_equal(nsl_h5_read(f, "g/none/big", NSL_H5_F64, 3, back, &test_err), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "g/none/big"));
  assert_int_equal(nsl_h5_read(f, "g", NSL_H5_F64, 3, back, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_h5_read(f, "g/text", NSL_H5_F64, 1, back, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_h5_read_rows(f, "g/big", NSL_H5_F64, 1, 2, 2, back, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_h5_read_rows(f, "g/big", NSL_H5_F64, 2, 0, 1, back, &test_err), NSL_E_FORMAT);
  assert_non_null(strstr(test_err.text, "rows have 1 elements where 2"));
  assert_int_equal(nsl_h5_read_rows(f, "g/big", NSL_H5_F64, 1, SIZE_MAX, 2, back, &test_err), NSL_E_FORMAT);
  /* HDF5 alone would clip and cut these without a word */
  assert_int_equal(nsl_h5_read(f, "g/big", NSL_H5_I16, 3, small, &test_err), NSL_E_VALUE);
  assert_int_equal(nsl_h5_read(f, "g/part", NSL_H5_I16, 3, small, &test_err), NSL_E_VALUE);
  assert_ok(nsl_h5_read(f, "g/big", NSL_H5_F64, 3, back, &test_err));
  assert_true(back[1] == 70000);
  assert_true(nsl_h5_exists(f, "/") && nsl_h5_exists(f, "/g/big") && nsl_h5_exists(f, "g"));
  assert_false(nsl_h5_exists(f, "/g/big/x") || nsl_h5_exists(f, "h/big") || nsl_h5_exists(f, "g/bi"));
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_groups_and_lists(void **state)
{
  (void)state;
  nsl_h5 *f;
  char **names;
  size_t n, one = 1;
  double v = 1;
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_group(f, "/z/y", &test_err));
  assert_ok(nsl_h5_group(f, "/z/y", &test_err));
  assert_ok(nsl_h5_write(f, "z/b", NSL_H5_F64, 1, &one, &v, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "z/a", NSL_H5_F64, 1, &one, &v, NULL, &test_err));
  assert_ok(nsl_h5_list(f, "z", &names, &n, &test_err));
  assert_int_equal(n, 3);
  assert_string_equal(names[0], "a");
  assert_string_equal(names[1], "b");
  assert_string_equal(names[2], "y");
  nsl_paths_free(names, n);
  assert_ok(nsl_h5_list(f, "z/y", &names, &n, &test_err));
  assert_int_equal(n, 0);
  nsl_paths_free(names, n);
  assert_int_equal(nsl_h5_list(f, "q", &names, &n, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(nsl_h5_list(f, "z/a", &names, &n, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_h5_group(f, "z/a", &test_err), NSL_E_FORMAT);
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_attributes(void **state)
{
  (void)state;
  nsl_h5 *f;
  char *text, *longer = malloc(200001);
  double real;
  int64_t integer;
  memset(longer, 'x', 200000);
  longer[200000] = '\0';
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_group(f, "g", &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "text", "first", &test_err));
  assert_ok(nsl_h5_put_text(f, "/", "text", "Å, one more", &test_err));
  assert_ok(nsl_h5_put_text(f, "g", "empty", "", &test_err));
  for (int i = 0; i < 5; i++) { /* several of the longest fixed ones in one header, each written twice */
    char key[] = {'f', (char)('0' + i), '\0'};
    assert_ok(nsl_h5_put_text(f, "g", key, "short", &test_err));
    assert_ok(nsl_h5_put_text(f, "g", key, longer + 140000, &test_err));
  }
  assert_ok(nsl_h5_put_text(f, "g", "long", longer, &test_err)); /* above the 64 KiB of an object header */
  assert_ok(nsl_h5_put_f64(f, "g", "real", 0.1, &test_err));
  assert_ok(nsl_h5_put_f64(f, "g", "whole", 3, &test_err));
  assert_ok(nsl_h5_put_i64(f, "g", "integer", INT64_MIN, &test_err));
  assert_int_equal(nsl_h5_put_i64(f, "h", "integer", 1, &test_err), NSL_E_NOTFOUND);
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_ok(nsl_h5_get_text(f, "/", "text", &text, &test_err));
  assert_string_equal(text, "Å, one more");
  free(text);
  assert_ok(nsl_h5_get_text(f, "g", "empty", &text, &test_err));
  assert_string_equal(text, "");
  free(text);
  assert_ok(nsl_h5_get_text(f, "g", "long", &text, &test_err));
  assert_string_equal(text, longer);
  free(text);
  assert_ok(nsl_h5_get_text(f, "g", "f4", &text, &test_err));
  assert_string_equal(text, longer + 140000);
  free(text);
  free(longer);
  assert_ok(nsl_h5_get_f64(f, "g", "real", &real, &test_err));
  assert_true(real == 0.1);
  assert_ok(nsl_h5_get_i64(f, "g", "integer", &integer, &test_err));
  assert_true(integer == INT64_MIN);
  assert_ok(nsl_h5_get_i64(f, "g", "whole", &integer, &test_err));
  assert_int_equal(integer, 3);
  assert_ok(nsl_h5_get_f64(f, "g", "integer", &real, &test_err));
  assert_int_equal(nsl_h5_get_i64(f, "g", "real", &integer, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_h5_get_i64(f, "g", "none", &integer, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(nsl_h5_get_i64(f, "h", "real", &integer, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(nsl_h5_get_text(f, "g", "real", &text, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_h5_get_f64(f, "/", "text", &real, &test_err), NSL_E_FORMAT);
  assert_ok(nsl_h5_close(f, &test_err));
}

/* Written with the library itself: fixed-length strings of every padding, empty, several values, a boolean as h5py writes it. */
static void test_foreign_attributes(void **state)
{
  (void)state;
  hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), scalar = H5Screate(H5S_SCALAR), null = H5Screate(H5S_NULL);
  hsize_t two = 2;
  hid_t pair = H5Screate_simple(1, &two, NULL);
  const struct {
    const char *name, *data;
    H5T_str_t pad;
  } kinds[] = {{"pad", "ab\0\0", H5T_STR_NULLPAD}, {"term", "ab\0x", H5T_STR_NULLTERM}, {"space", "ab  ", H5T_STR_SPACEPAD}};
  for (int i = 0; i < 3; i++) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 4);
    H5Tset_strpad(type, kinds[i].pad);
    hid_t a = H5Acreate2(file, kinds[i].name, type, scalar, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(H5Awrite(a, type, kinds[i].data) >= 0);
    H5Aclose(a);
    H5Tclose(type);
  }
  hid_t boolean = H5Tenum_create(H5T_NATIVE_INT8);
  int8_t yes = 1, no = 0;
  H5Tenum_insert(boolean, "FALSE", &no);
  H5Tenum_insert(boolean, "TRUE", &yes);
  hid_t a = H5Acreate2(file, "bool", boolean, scalar, H5P_DEFAULT, H5P_DEFAULT);
  H5Awrite(a, boolean, &yes);
  H5Aclose(a);
  hid_t d = H5Dcreate2(file, "bools", boolean, scalar, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
  H5Dwrite(d, boolean, H5S_ALL, H5S_ALL, H5P_DEFAULT, &yes);
  H5Dclose(d);
  a = H5Acreate2(file, "null", H5T_C_S1, null, H5P_DEFAULT, H5P_DEFAULT);
  H5Aclose(a);
  a = H5Acreate2(file, "pair", H5T_NATIVE_INT, pair, H5P_DEFAULT, H5P_DEFAULT);
  H5Aclose(a);
  H5Tclose(boolean);
  H5Sclose(pair);
  H5Sclose(null);
  H5Sclose(scalar);
  assert_true(H5Fclose(file) >= 0);

  nsl_h5 *f;
  char *text;
  int64_t v = 0;
  int32_t element = 0;
  assert_ok(nsl_h5_open(path, &f, &test_err));
  for (int i = 0; i < 3; i++) {
    assert_ok(nsl_h5_get_text(f, "/", kinds[i].name, &text, &test_err));
    assert_string_equal(text, "ab");
    free(text);
  }
  assert_ok(nsl_h5_get_text(f, "/", "null", &text, &test_err));
  assert_string_equal(text, "");
  free(text);
  assert_ok(nsl_h5_get_i64(f, "/", "bool", &v, &test_err));
  assert_int_equal(v, 1);
  assert_ok(nsl_h5_read(f, "bools", NSL_H5_I32, 1, &element, &test_err));
  assert_int_equal(element, 1);
  assert_int_equal(nsl_h5_get_i64(f, "/", "pair", &v, &test_err), NSL_E_FORMAT);
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_fixed_text_is_what_qp_writes(void **state)
{
  (void)state;
  nsl_h5 *f;
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_write_fixed_text(f, "meta/pdf_name", 1, 4, "hist", &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT), d = H5Dopen2(file, "meta/pdf_name", H5P_DEFAULT), type = H5Dget_type(d);
  assert_int_equal(H5Tget_class(type), H5T_STRING);
  assert_int_equal(H5Tget_size(type), 4);
  assert_int_equal(H5Tget_strpad(type), H5T_STR_NULLPAD);
  assert_int_equal(H5Tget_cset(type), H5T_CSET_ASCII);
  char name[4];
  assert_true(H5Dread(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, name) >= 0);
  assert_memory_equal(name, "hist", 4);
  H5Tclose(type);
  H5Dclose(d);
  H5Fclose(file);
}

static void test_full_disk_is_told(void **state)
{
  (void)state;
  size_t n = 100000;
  double *data = calloc(n, sizeof *data);
  nsl_h5_layout layout = {1000, 0, 0, 1};
  const long room[] = {0, 3000, 50000, 700000};
  for (int i = 0; i < 4; i++) {
    nsl_h5 *f;
    disk_left = room[i];
    nsl_status st = nsl_h5_create("test_h5_full.h5", &f, &test_err);
    if (st == NSL_OK) {
      st = nsl_h5_write(f, "data", NSL_H5_F64, 1, &n, data, i % 2 ? &layout : NULL, &test_err);
      nsl_status closing = nsl_h5_close(f, st == NSL_OK ? &test_err : NULL);
      if (st == NSL_OK) { st = closing; }
    }
    disk_left = -1;
    assert_int_equal(st, NSL_E_NOSPACE);
    assert_non_null(strstr(test_err.text, "test_h5_full.h5"));
    assert_non_null(strstr(test_err.text, "No space left"));
    unlink("test_h5_full.h5");
  }
  free(data);
}

static void test_opening_what_is_no_hdf5_file(void **state)
{
  (void)state;
  nsl_h5 *f;
  assert_int_equal(nsl_h5_open("no/such.h5", &f, &test_err), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "no/such.h5"));
  assert_int_equal(nsl_h5_create("no/such.h5", &f, &test_err), NSL_E_NOTFOUND);
  assert_ok(nsl_write_file("test_h5_text.h5", "hello", 5, &test_err));
  assert_int_equal(nsl_h5_open("test_h5_text.h5", &f, &test_err), NSL_E_CORRUPT);
  assert_ok(nsl_write_file("test_h5_text.h5", "", 0, &test_err));
  assert_int_equal(nsl_h5_open("test_h5_text.h5", &f, &test_err), NSL_E_CORRUPT);
  assert_int_equal(nsl_h5_open(".", &f, &test_err), NSL_E_IO);
  unlink("test_h5_text.h5");
}

static void test_locked_file_can_be_read(void **state)
{
  (void)state;
  nsl_h5 *f;
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  FILE *other = fopen(path, "r+");
  assert_int_equal(flock(fileno(other), LOCK_EX), 0);
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  fclose(other);
}

static void test_same_data_same_bytes(void **state)
{
  (void)state;
  char *bytes[2];
  size_t n[2], two = 2;
  double v[] = {1, 2};
  nsl_h5_layout layout = {1, 4, 1, 1};
  for (int i = 0; i < 2; i++) {
    nsl_h5 *f;
    assert_ok(nsl_h5_create(path, &f, &test_err));
    assert_ok(nsl_h5_write(f, "g/v", NSL_H5_F64, 1, &two, v, &layout, &test_err));
    assert_ok(nsl_h5_put_text(f, "g", "key", "value", &test_err));
    assert_ok(nsl_h5_close(f, &test_err));
    assert_ok(nsl_read_file(path, 1 << 20, &bytes[i], &n[i], &test_err));
    if (!i) { sleep(1); } /* object times have whole seconds */
  }
  assert_int_equal(n[0], n[1]);
  assert_memory_equal(bytes[0], bytes[1], n[0]);
  free(bytes[0]);
  free(bytes[1]);
}

static void test_flipped_byte_is_found(void **state)
{
  (void)state;
  nsl_h5 *f;
  size_t n = 4096, at;
  int64_t *data = malloc(n * sizeof *data), *back = malloc(n * sizeof *back);
  for (size_t i = 0; i < n; i++) { data[i] = 0x0123456789abcdef; }
  nsl_h5_layout layout = {1024, 0, 0, 1};
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_write(f, "data", NSL_H5_I64, 1, &n, data, &layout, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  char *bytes;
  assert_ok(nsl_read_file(path, 1 << 20, &bytes, &at, &test_err));
  char *place = memmem(bytes, at, data, 64);
  assert_non_null(place);
  place[30] ^= 4;
  assert_ok(nsl_write_file(path, bytes, at, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_int_equal(nsl_h5_read(f, "data", NSL_H5_I64, n, back, &test_err), NSL_E_CORRUPT);
  assert_non_null(strstr(test_err.text, "data"));
  assert_ok(nsl_h5_close(f, &test_err));
  free(bytes);
  free(data);
  free(back);
}

static int leave(void **state)
{
  (void)state;
  unlink(path);
  nsl_h5_shutdown();
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_round_trip_of_every_type),  cmocka_unit_test(test_rows_are_streamed),
      cmocka_unit_test(test_empty_and_scalar_datasets), cmocka_unit_test(test_wrong_reads_are_refused),
      cmocka_unit_test(test_groups_and_lists),          cmocka_unit_test(test_attributes),
      cmocka_unit_test(test_foreign_attributes),        cmocka_unit_test(test_fixed_text_is_what_qp_writes),
      cmocka_unit_test(test_full_disk_is_told),         cmocka_unit_test(test_opening_what_is_no_hdf5_file),
      cmocka_unit_test(test_locked_file_can_be_read),   cmocka_unit_test(test_same_data_same_bytes),
      cmocka_unit_test(test_flipped_byte_is_found),
  };
  return cmocka_run_group_tests_name("h5", tests, NULL, leave);
}
