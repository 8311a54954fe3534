/* Rows packed by ISA-L are read by HDF5, so by zlib. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "noslit/base/rng.h"
#include "noslit/io/h5.h"

enum { ROWS = 24, N = 38400 + 217 };

/* Noise of growing width, constants, runs, a rare value among equal ones, and codes that Huffman makes long. */
static void fill_row(int row, int16_t *out)
{
  nsl_rng r = nsl_rng_make(1, NSL_RNG_TEST, (uint64_t)row, 0);
  int16_t last = 0;
  for (int i = 0; i < N; i++) {
    double u = nsl_rng_uniform(&r);
    int kind = row % 6;
    last = (int16_t)(kind == 0   ? lrint(3.0 * (row + 1) * nsl_rng_normal(&r))
                     : kind == 1 ? 7 * row
                     : kind == 2 ? (u < 0.02 ? lrint(40 * nsl_rng_uniform(&r)) : last)
                     : kind == 3 ? (i == 12345 || i == 259 ? -1 : 0)
                     : kind == 4 ? lrint(-log2(u + 1e-9) * 2)
                                 : (int)(u * 65536) - 32768);
    out[i] = last;
  }
}

static void hdf5_reads_packed_rows(void **state)
{
  (void)state;
  char path[64];
  snprintf(path, sizeof path, "packed_%d.h5", (int)getpid());
  const size_t dims[2] = {ROWS, N};
  const nsl_h5_layout layout = {.chunk_rows = 1, .deflate = 1, .shuffle = 1}, other = {.chunk_rows = 2, .deflate = 1, .shuffle = 1};
  int16_t *row = malloc(N * sizeof *row), *back = malloc(N * sizeof *back);
  uint8_t *low = malloc(N), *low_back = malloc(N);
  unsigned char *work = malloc(nsl_h5_pack_room(NSL_H5_I16, N)), *packed = malloc(nsl_h5_packed_bound(NSL_H5_I16, N));
  nsl_h5 *f;
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_create_rows(f, "/words", NSL_H5_I16, 2, dims, &layout, &test_err));
  assert_ok(nsl_h5_create_rows(f, "/bytes", NSL_H5_U8, 2, dims, &layout, &test_err));
  assert_ok(nsl_h5_create_rows(f, "/pairs", NSL_H5_U8, 2, dims, &other, &test_err));
  size_t constant = 0, white = 0;
  for (int k = 0; k < ROWS; k++) {
    fill_row(k, row);
    for (int i = 0; i < N; i++) { low[i] = (uint8_t)row[i]; }
    size_t bytes = nsl_h5_pack(NSL_H5_I16, N, row, work, packed);
    assert_true(bytes <= nsl_h5_packed_bound(NSL_H5_I16, N));
    assert_ok(nsl_h5_write_packed(f, "/words", (size_t)k, packed, bytes, &test_err));
    constant = k % 6 == 1 ? bytes : constant;
    white = k % 6 == 5 ? bytes : white;
    bytes = nsl_h5_pack(NSL_H5_U8, N, low, work, packed);
    assert_ok(nsl_h5_write_packed(f, "/bytes", (size_t)k, packed, bytes, &test_err));
    if (k == 0) {
      assert_int_equal(nsl_h5_write_packed(f, "/pairs", 0, packed, bytes, &test_err), NSL_E_BUG); /* not one row a chunk */
      assert_int_equal(nsl_h5_write_packed(f, "/bytes", ROWS, packed, bytes, &test_err), NSL_E_BUG);
    }
  }
  assert_true(constant < 1200 && white < 2 * N + 1000); /* runs are runs; what cannot be packed does not grow */
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  for (int k = 0; k < ROWS; k++) {
    fill_row(k, row);
    for (int i = 0; i < N; i++) { low[i] = (uint8_t)row[i]; }
    assert_ok(nsl_h5_read_rows(f, "/words", NSL_H5_I16, N, (size_t)k, 1, back, &test_err));
    assert_memory_equal(row, back, N * sizeof *row);
    assert_ok(nsl_h5_read_rows(f, "/bytes", NSL_H5_U8, N, (size_t)k, 1, low_back, &test_err));
    assert_memory_equal(low, low_back, N);
  }
  assert_ok(nsl_h5_close(f, &test_err));
  unlink(path);
  free(row);
  free(back);
  free(low);
  free(low_back);
  free(work);
  free(packed);
}

int main(void)
{
  const struct CMUnitTest tests[] = {cmocka_unit_test(hdf5_reads_packed_rows)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
