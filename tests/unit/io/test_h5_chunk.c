/* Chunks made outside of HDF5: its own filters read them, places can be filled by somebody else, damage is found. */
#include "unit/test_support.h"

#include <fcntl.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/h5_chunk.h"

enum { ROWS = 37, WIDTH = 50, CHUNK = 8, N_CHUNKS = (ROWS + CHUNK - 1) / CHUNK, N_CHUNK = CHUNK * WIDTH };
static char dir[] = "/tmp/nsl_chunk_XXXXXX", path[128], other[128];
static float values[N_CHUNKS * N_CHUNK]; /* padded to whole chunks */
static nsl_chunk_codec *codec;
static unsigned char *encoded[N_CHUNKS];
static size_t bytes[N_CHUNKS];

static int start(void **state)
{
  (void)state;
  if (!mkdtemp(dir)) { return -1; }
  snprintf(path, sizeof path, "%s/a.h5", dir);
  snprintf(other, sizeof other, "%s/b.h5", dir);
  for (int i = 0; i < ROWS * WIDTH; i++) { values[i] = i % 3 ? 1 + (float)(i * 7919 % 4096) / 4096 : 0; }
  codec = nsl_chunk_codec_new(N_CHUNK);
  for (int c = 0; c < N_CHUNKS; c++) {
    encoded[c] = malloc(nsl_chunk_codec_bound(codec));
    bytes[c] = nsl_chunk_encode(codec, values + c * N_CHUNK, encoded[c]);
  }
  return 0;
}

static int stop(void **state)
{
  (void)state;
  char command[160];
  nsl_chunk_codec_free(codec);
  for (int c = 0; c < N_CHUNKS; c++) { free(encoded[c]); }
  snprintf(command, sizeof command, "rm -r %s", dir);
  return system(command);
}

/* Two columns and the chunks; `held`: their places only. address: of the columns, then of the chunks. */
static void make(const char *file, int held, int64_t address[2 + N_CHUNKS])
{
  nsl_h5 *f;
  assert_ok(nsl_h5_create(file, &f, &test_err));
  for (int k = 0; k < 2; k++) {
    char name[8];
    size_t n = ROWS;
    snprintf(name, sizeof name, "/c/%d", k);
    assert_ok(nsl_h5_allot_column(f, name, NSL_H5_F32, ROWS, &address[k], &test_err));
    if (!held) { assert_ok(nsl_h5_write_rows(f, name, NSL_H5_F32, 0, n, values + k, &test_err)); }
  }
  assert_ok(nsl_h5_create_chunked(f, "/x", ROWS, WIDTH, CHUNK, &test_err));
  for (int c = 0; c < N_CHUNKS; c++) {
    assert_ok(nsl_h5_put_chunk(f, "/x", (size_t)c * CHUNK, held ? NULL : encoded[c], bytes[c], &address[2 + c], &test_err));
  }
  assert_ok(nsl_h5_close(f, &test_err));
}

static void read_and_compare(const char *file)
{
  nsl_h5 *f;
  float back[ROWS * WIDTH], chunk[N_CHUNK];
  unsigned char raw[8 * N_CHUNK];
  int64_t address;
  size_t n;
  assert_ok(nsl_h5_open(file, &f, &test_err));
  assert_ok(nsl_h5_read(f, "/x", NSL_H5_F32, ROWS * WIDTH, back, &test_err));
  assert_memory_equal(back, values, sizeof back);
  for (int c = 0; c < N_CHUNKS; c++) {
    assert_ok(nsl_h5_get_chunk(f, "/x", (size_t)c * CHUNK, raw, sizeof raw, &n, &test_err));
    assert_int_equal(n, bytes[c]);
    assert_memory_equal(raw, encoded[c], n);
    assert_true(nsl_chunk_decode(codec, raw, n, chunk));
    assert_memory_equal(chunk, values + c * N_CHUNK, sizeof chunk);
  }
  assert_int_equal(nsl_h5_get_chunk(f, "/x", 0, raw, bytes[0] - 1, &n, &test_err), NSL_E_CORRUPT);
  assert_ok(nsl_h5_read(f, "/c/1", NSL_H5_F32, ROWS, back, &test_err));
  assert_memory_equal(back, values + 1, ROWS * sizeof *back);
  assert_ok(nsl_h5_address(f, "/c/1", &address, &test_err));
  assert_true(address > 0);
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_hdf5_reads_them(void **state)
{
  (void)state;
  int64_t address[2 + N_CHUNKS];
  make(path, 0, address);
  read_and_compare(path);
}

/* The file is the same to the byte, whoever writes the raw data, and HDF5 itself leaves them alone. */
static void test_places_filled_by_somebody_else(void **state)
{
  (void)state;
  int64_t address[2 + N_CHUNKS], same[2 + N_CHUNKS];
  char *a, *b;
  size_t n_a, n_b;
  make(path, 0, same);
  make(other, 1, address);
  assert_memory_equal(address, same, sizeof same);
  assert_ok(nsl_read_file(other, 1 << 20, &b, &n_b, &test_err));
  for (int c = 0; c < N_CHUNKS; c++) {
    for (size_t i = 0; i < bytes[c]; i++) { assert_int_equal(b[(size_t)address[2 + c] + i], 0); }
  }
  free(b);
  int fd = open(other, O_WRONLY);
  for (int k = 0; k < 2; k++) {
    assert_int_equal(pwrite(fd, values + k, ROWS * sizeof *values, (off_t)address[k]), ROWS * sizeof *values);
  }
  for (int c = 0; c < N_CHUNKS; c++) { assert_int_equal(pwrite(fd, encoded[c], bytes[c], (off_t)address[2 + c]), bytes[c]); }
  close(fd);
  read_and_compare(other);
  assert_ok(nsl_read_file(path, 1 << 20, &a, &n_a, &test_err));
  assert_ok(nsl_read_file(other, 1 << 20, &b, &n_b, &test_err));
  assert_int_equal(n_a, n_b);
  assert_memory_equal(a, b, n_a);
  free(a);
  free(b);
}

static void test_fewer_rows_than_a_chunk(void **state)
{
  (void)state;
  nsl_h5 *f;
  float back[3 * WIDTH];
  int64_t address = 0;
  assert_ok(nsl_h5_create(path, &f, &test_err));
  assert_ok(nsl_h5_create_chunked(f, "/x", 3, WIDTH, CHUNK, &test_err));
  assert_ok(nsl_h5_put_chunk(f, "/x", 0, encoded[1], bytes[1], NULL, &test_err));
  assert_ok(nsl_h5_create_chunked(f, "/none", 0, WIDTH, CHUNK, &test_err));
  assert_ok(nsl_h5_allot_column(f, "/nothing", NSL_H5_I64, 0, &address, &test_err));
  assert_int_equal(address, -1);
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_h5_open(path, &f, &test_err));
  assert_ok(nsl_h5_read(f, "/x", NSL_H5_F32, 3 * WIDTH, back, &test_err));
  assert_memory_equal(back, values + N_CHUNK, sizeof back);
  assert_ok(nsl_h5_read(f, "/none", NSL_H5_F32, 0, back, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
}

static void test_damaged_chunks_are_found(void **state)
{
  (void)state;
  float chunk[N_CHUNK];
  for (size_t at = 0; at < bytes[0]; at += 11) {
    encoded[0][at] ^= 16;
    assert_false(nsl_chunk_decode(codec, encoded[0], bytes[0], chunk));
    encoded[0][at] ^= 16;
  }
  assert_false(nsl_chunk_decode(codec, encoded[0], bytes[0] - 1, chunk));
  assert_false(nsl_chunk_decode(codec, encoded[0], 0, chunk));
  assert_true(nsl_chunk_decode(codec, encoded[0], bytes[0], chunk));
  nsl_chunk_codec *longer = nsl_chunk_codec_new(N_CHUNK + 1);
  float more[N_CHUNK + 1];
  assert_false(nsl_chunk_decode(longer, encoded[0], bytes[0], more));
  nsl_chunk_codec_free(longer);
}

/* Noise compresses least; its chunk must still fit what the codec promises. */
static void test_bound_holds_for_noise(void **state)
{
  (void)state;
  float noise[N_CHUNK], back[N_CHUNK];
  uint32_t x = 1;
  for (int i = 0; i < N_CHUNK; i++) {
    x = x * 1664525 + 1013904223;
    uint32_t bits = (x >> 1 & 0x3fffffff) ^ x << 13 ^ x >> 7;
    bits &= 0xbfffffff; /* no NaN */
    memcpy(&noise[i], &bits, sizeof bits);
  }
  size_t bound = nsl_chunk_codec_bound(codec);
  unsigned char *out = malloc(bound);
  size_t n = nsl_chunk_encode(codec, noise, out);
  assert_true(n <= bound && n > N_CHUNK * 3);
  assert_true(nsl_chunk_decode(codec, out, n, back));
  assert_memory_equal(back, noise, sizeof noise);
  free(out);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_hdf5_reads_them),         cmocka_unit_test(test_places_filled_by_somebody_else),
      cmocka_unit_test(test_fewer_rows_than_a_chunk), cmocka_unit_test(test_damaged_chunks_are_found),
      cmocka_unit_test(test_bound_holds_for_noise),
  };
  return cmocka_run_group_tests(tests, start, stop);
}
