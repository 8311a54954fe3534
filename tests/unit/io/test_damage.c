/* Damaged files: bytes flipped, overwritten or cut off at places a fixed seed chooses. Every read must end well or with a
 * message; the sanitisers (preset asan) see what goes wrong in between. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/rng.h"
#include "noslit/io/fits.h"
#include "noslit/io/h5.h"
#include "noslit/io/json.h"
#include "noslit/io/table.h"
#include "noslit/io/wcs.h"
#include "noslit/io/yaml.h"

/* Sizes of damaged headers may be absurd: malloc then gives NULL, as without the sanitiser. */
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }

/* HDF5 1.10 itself leaks 64 bytes when a damaged header makes it stop half-way. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }

typedef struct {
  char *data;
  size_t n;
} bytes;

static bytes load(const char *path)
{
  bytes b;
  assert_ok(nsl_read_file(path, 1 << 22, &b.data, &b.n, &test_err));
  return b;
}

static void save(const char *path, const bytes *b) /* without the syncs of nsl_write_file */
{
  unlink(path); /* ext4 would sync a file that is truncated and written anew */
  FILE *f = fopen(path, "wb");
  assert_non_null(f);
  assert_int_equal(fwrite(b->data, 1, b->n, f), b->n);
  assert_int_equal(fclose(f), 0);
}

/* What a reader makes of the damaged bytes; path holds them too. It says whether they were refused. */
typedef int (*reader)(const char *path, const bytes *b);

static int wrong(nsl_status st)
{
  if (st == NSL_OK) { return 0; }
  assert_true(test_err.text[0] && !strchr(test_err.text, '\n'));
  return 1;
}

/* first, last: the bytes that may be flipped. */
static void damage(const bytes *good, size_t first, size_t last, const char *path, int rounds, uint64_t id, reader read)
{
  bytes b = {malloc(good->n + 1), good->n};
  int refused = 0;
  for (int i = 0; i < rounds; i++) {
    nsl_rng r = nsl_rng_make(20261122, NSL_RNG_TEST, id, (uint64_t)i);
    memcpy(b.data, good->data, good->n);
    b.n = i % 3 == 0 ? nsl_rng_below(&r, good->n) : good->n;
    size_t flips = i % 3 == 0 ? 0 : 1 + nsl_rng_below(&r, 6);
    for (size_t k = 0; k < flips; k++) {
      size_t at = first + nsl_rng_below(&r, last - first);
      uint64_t how = nsl_rng_u64(&r);
      b.data[at] = (char)(how & 1 ? b.data[at] ^ (1 << (how >> 8 & 7)) : (char)(how >> 8));
    }
    b.data[b.n] = '\0';
    if (path) { save(path, &b); }
    test_err.text[0] = '\0';
    refused += read(path, &b);
  }
  assert_true(refused > rounds / 10); /* else the damage did not reach the reader */
  if (path) { unlink(path); }
  free(b.data);
}

static void read_some(nsl_table *t)
{
  int64_t rows = nsl_table_rows(t) < 50 ? nsl_table_rows(t) : 50;
  double real[50];
  int64_t whole[50];
  char text[50][9];
  for (int c = 0; c < nsl_table_columns(t) && c < 20; c++) {
    assert_non_null(nsl_table_column_name(t, c));
    wrong(nsl_table_read_f64(t, c, 0, rows, real, &test_err));
    wrong(nsl_table_read_i64(t, c, nsl_table_rows(t) - rows, rows, whole, &test_err));
    wrong(nsl_table_read_text(t, c, 0, rows, text[0], 9, &test_err));
  }
}

static int read_as_table(const char *path)
{
  nsl_table *t;
  if (wrong(nsl_table_open(path, NULL, &t, &test_err))) { return 1; }
  read_some(t);
  nsl_table_close(t);
  return 0;
}

static int read_fits(const char *path, const bytes *b)
{
  (void)b;
  nsl_fits *f;
  int refused = read_as_table(path), hdu, n;
  long nx, ny;
  double v;
  char text[20], *cards;
  if (wrong(nsl_fits_open(path, &f, &test_err))) { return 1; }
  refused |= wrong(nsl_fits_hdu_count(f, &n, &test_err));
  refused |= wrong(nsl_fits_find_hdu(f, "DQ", &hdu, &test_err));
  for (int i = 1; i <= 4; i++) {
    if (wrong(nsl_fits_image_size(f, i, &nx, &ny, &test_err))) { continue; }
    float real[12];
    int32_t whole[12];
    long x = nx > 4 ? nx - 4 : 0, y = ny > 3 ? ny - 3 : 0, w = nx < 4 ? nx : 4, h = ny < 3 ? ny : 3;
    refused |= wrong(nsl_fits_read_f32(f, i, x, y, w, h, real, &test_err));
    wrong(nsl_fits_read_i32(f, i, 0, 0, w, h, whole, &test_err));
    wrong(nsl_fits_key_f64(f, i, "CRVAL1", &v, &test_err));
    wrong(nsl_fits_key_text(f, i, "EXTNAME", text, sizeof text, &test_err));
    if (wrong(nsl_fits_header(f, i, &cards, &n, &test_err))) { continue; }
    nsl_wcs *wcs;
    double sky[2], back[2];
    if (!wrong(nsl_wcs_new(cards, n, path, &wcs, &test_err))) {
      wrong(nsl_wcs_pixel_to_sky(wcs, 1, &(double){5}, &(double){6}, &sky[0], &sky[1], &test_err));
      wrong(nsl_wcs_sky_to_pixel(wcs, 1, &sky[0], &sky[1], &back[0], &back[1], &test_err));
      nsl_wcs_free(wcs);
    }
    free(cards);
  }
  nsl_fits_close(f);
  return refused;
}

static void write_fits(const char *path, int compress)
{
  enum { NX = 40, NY = 30, ROWS = 60 };
  static float sci[NY][NX];
  static int16_t dq[NY][NX];
  static int64_t id[ROWS];
  static double ra[ROWS];
  static char name[ROWS][5];
  for (int i = 0; i < NX * NY; i++) { sci[i / NX][i % NX] = (float)sin(i * 0.7), dq[i / NX][i % NX] = (int16_t)(i % 50); }
  for (int i = 0; i < ROWS; i++) { id[i] = i, ra[i] = i * 0.1, memcpy(name[i], "abcde", 5); }
  const nsl_fits_column columns[] = {{"id", NULL, NULL, NULL, NSL_FITS_I64, 1, id},
                                     {"ra", "deg", NULL, NULL, NSL_FITS_F64, 1, ra},
                                     {"name", NULL, NULL, NULL, NSL_FITS_TEXT, 5, name}};
  nsl_fits_writer *w;
  assert_ok(nsl_fits_create(path, 1, &w, &test_err));
  assert_ok(nsl_fits_add_image(w, "SCI", NSL_FITS_F32, NX, NY, sci, compress, &test_err));
  assert_ok(nsl_fits_put_text(w, "CTYPE1", "RA---TPV", NULL, &test_err));
  assert_ok(nsl_fits_put_text(w, "CTYPE2", "DEC--TPV", NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "CRVAL1", 150, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "CD1_1", -2e-5, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "CD2_2", 2e-5, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "PV1_1", 1, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "PV2_1", 1.001, NULL, &test_err));
  assert_ok(nsl_fits_add_image(w, "DQ", NSL_FITS_I16, NX, NY, dq, compress, &test_err));
  assert_ok(nsl_fits_add_table(w, "CAT", ROWS, 3, columns, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
}

static void test_fits(void **state)
{
  (void)state;
  for (int compress = 0; compress < 2; compress++) {
    write_fits("test_damage.fits", compress);
    bytes b = load("test_damage.fits");
    assert_int_equal(read_fits("test_damage.fits", &b), 0);
    damage(&b, 0, b.n, "test_damage.fits", 300, (uint64_t)compress, read_fits);
    free(b.data);
  }
  write_fits("test_damage.fits", 0);
  assert_int_equal(system("gzip -f test_damage.fits"), 0);
  bytes b = load("test_damage.fits.gz");
  damage(&b, 0, b.n, "test_damage.fits.gz", 150, 2, read_fits);
  free(b.data);
}

static int read_h5(const char *path, const bytes *b)
{
  (void)b;
  nsl_h5 *f;
  int refused = read_as_table(path);
  if (wrong(nsl_h5_open(path, &f, &test_err))) { return 1; }
  float rows[50][4];
  char *text, **names;
  double v;
  size_t n;
  refused |= wrong(nsl_h5_read_rows(f, "g/rows", NSL_H5_F32, 4, 10, 50, rows, &test_err));
  refused |= wrong(nsl_h5_get_f64(f, "g", "real", &v, &test_err));
  if (!wrong(nsl_h5_get_text(f, "g", "text", &text, &test_err))) { free(text); }
  if (!wrong(nsl_h5_list(f, "g", &names, &n, &test_err))) { nsl_paths_free(names, n); }
  refused |= wrong(nsl_h5_close(f, &test_err));
  return refused;
}

static void test_h5(void **state)
{
  (void)state;
  enum { ROWS = 400 };
  static float rows[ROWS][4];
  static int64_t id[ROWS];
  size_t dims[] = {ROWS, 4};
  nsl_h5 *f;
  nsl_h5_layout layout = {64, 0, 0, 1};
  for (int i = 0; i < ROWS; i++) { id[i] = i + 1000, rows[i][1] = (float)i; }
  assert_ok(nsl_h5_create("test_damage.h5", &f, &test_err));
  assert_ok(nsl_h5_write(f, "g/rows", NSL_H5_F32, 2, dims, rows, &layout, &test_err));
  assert_ok(nsl_h5_write(f, "id", NSL_H5_I64, 1, dims, id, &layout, &test_err));
  assert_ok(nsl_h5_put_text(f, "g", "text", "a text", &test_err));
  assert_ok(nsl_h5_put_f64(f, "g", "real", 1, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  bytes b = load("test_damage.h5");
  assert_int_equal(read_h5("test_damage.h5", &b), 0);
  damage(&b, 0, b.n, "test_damage.h5", 300, 3, read_h5);
  free(b.data);
}

static int read_text_table(const char *path, const bytes *b)
{
  (void)b;
  return read_as_table(path);
}

static void test_text_tables(void **state)
{
  (void)state;
  char csv[] = "# made for this\nid,ra,name\n1,1.5,\"a, b\"\n2,2.5,\"c\"\"d\"\n3,,\n4,-1e5,xyz\n";
  damage(&(bytes){csv, sizeof csv - 1}, 0, sizeof csv - 1, "test_damage.csv", 1500, 4, read_text_table);
  char blanks[] = "# %ECSV 1.0\n# ---\nid ra name\n1 1.5 \"a b\"\n2 2.5 \"\"\n3 nan c\n";
  damage(&(bytes){blanks, sizeof blanks - 1}, 0, sizeof blanks - 1, "test_damage.csv", 1500, 5, read_text_table);
}

static int read_yaml(const char *path, const bytes *b)
{
  (void)path;
  nsl_kvlist l;
  if (wrong(nsl_yaml_parse(b->data, b->n, "c.yaml", &l, &test_err))) { return 1; }
  nsl_kvlist_free(&l);
  return 0;
}

static int read_json(const char *path, const bytes *b)
{
  (void)path;
  nsl_json *j;
  if (wrong(nsl_json_parse(b->data, "m.json", &j, &test_err))) { return 1; }
  char *text = nsl_json_text(j);
  assert_non_null(text);
  free(text);
  nsl_json_free(j);
  return 0;
}

static void test_yaml_and_json(void **state)
{
  (void)state;
  char yaml[] =
      "run: {samples: 128, model: 'm: h5'}\nd:\n  - id: 1\n    g: [x, \"y\\n\"]\n  - id: ~ # two\nt: |\n  a\n  b\ne: []\n";
  damage(&(bytes){yaml, sizeof yaml - 1}, 0, sizeof yaml - 1, NULL, 5000, 6, read_yaml);
  char json[] = "{\"a\": [1, 2.5e3, null, true], \"b\": {\"c\": \"\\u00c5 \\\"x\\\"\"}, \"d\": []}";
  damage(&(bytes){json, sizeof json - 1}, 0, sizeof json - 1, NULL, 5000, 7, read_json);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_yaml_and_json),
      cmocka_unit_test(test_text_tables),
      cmocka_unit_test(test_fits),
      cmocka_unit_test(test_h5),
  };
  return cmocka_run_group_tests_name("damage", tests, NULL, NULL);
}
