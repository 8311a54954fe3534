/* FITS files: what is written comes back, from plain and compressed files; what is not there is refused. */
#include "unit/test_support.h"

#include <fitsio.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/fits.h"

enum { NX = 50, NY = 40 };
static float sci[NY][NX];
static int16_t dq[NY][NX];

static void make_pixels(void)
{
  for (int y = 0; y < NY; y++) {
    for (int x = 0; x < NX; x++) {
      sci[y][x] = (float)(100 * y + x) + 0.25F * (float)sin(7.0 * x * y);
      dq[y][x] = (int16_t)((x * y) % 300 - 5);
    }
  }
  sci[3][4] = NAN;
}

static void write_exposure(const char *path, int compress)
{
  nsl_fits_writer *w;
  assert_ok(nsl_fits_create(path, 1, &w, &test_err));
  assert_ok(nsl_fits_put_f64(w, "EXPTIME", 150.1, "s", &test_err));
  assert_ok(nsl_fits_add_image(w, "SCI", NSL_FITS_F32, NX, NY, sci, compress, &test_err));
  assert_ok(nsl_fits_put_f64(w, "CRVAL1", 0.1 + 0.2, NULL, &test_err));
  assert_ok(nsl_fits_add_image(w, "DQ", NSL_FITS_I16, NX, NY, dq, compress, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
}

static void check_exposure(const char *path, double tolerance)
{
  nsl_fits *f;
  int hdu, n;
  long nx, ny;
  float window[6][5];
  int32_t flags[6][5];
  double v;
  assert_ok(nsl_fits_open(path, &f, &test_err));
  assert_string_equal(nsl_fits_path(f), path);
  assert_ok(nsl_fits_hdu_count(f, &n, &test_err));
  assert_int_equal(n, 3);
  assert_ok(nsl_fits_key_f64(f, 1, "EXPTIME", &v, &test_err));
  assert_true(v == 150.1);
  assert_ok(nsl_fits_find_hdu(f, "sci", &hdu, &test_err));
  assert_int_equal(hdu, 2);
  assert_ok(nsl_fits_key_f64(f, hdu, "CRVAL1", &v, &test_err));
  assert_true(v == 0.1 + 0.2);
  assert_ok(nsl_fits_image_size(f, hdu, &nx, &ny, &test_err));
  assert_true(nx == NX && ny == NY);
  assert_ok(nsl_fits_read_f32(f, hdu, 2, 1, 5, 6, &window[0][0], &test_err));
  for (int y = 0; y < 6; y++) {
    for (int x = 0; x < 5; x++) {
      float want = sci[1 + y][2 + x];
      if (isnan(want)) {
        assert_true(isnan(window[y][x]));
      } else {
        assert_true(fabs(window[y][x] - want) <= tolerance);
      }
    }
  }
  assert_ok(nsl_fits_find_hdu(f, "DQ", &hdu, &test_err));
  assert_ok(nsl_fits_read_i32(f, hdu, NX - 5, NY - 6, 5, 6, &flags[0][0], &test_err));
  for (int y = 0; y < 6; y++) {
    for (int x = 0; x < 5; x++) { assert_int_equal(flags[y][x], dq[NY - 6 + y][NX - 5 + x]); }
  }
  nsl_fits_close(f);
}

static void test_exposure_plain_and_compressed(void **state)
{
  (void)state;
  write_exposure("test_fits.fits", 0);
  check_exposure("test_fits.fits", 0);
  write_exposure("test_fits_rice.fits", 1);
  check_exposure("test_fits_rice.fits", 5); /* quantised by a quarter of the noise that it sees in this ramp */
}

static void test_gzipped_file(void **state)
{
  (void)state;
  write_exposure("test_fits.fits", 0);
  assert_int_equal(system("gzip -kf test_fits.fits"), 0);
  check_exposure("test_fits.fits.gz", 0);
  unlink("test_fits.fits"); /* cfitsio would then open the .gz under this name */
  nsl_fits *f;
  assert_int_equal(nsl_fits_open("test_fits.fits", &f, &test_err), NSL_E_NOTFOUND);
  unlink("test_fits.fits.gz");
}

static void test_same_pixels_same_bytes_when_compressed(void **state)
{
  (void)state;
  char *bytes[2];
  size_t n[2];
  for (int i = 0; i < 2; i++) {
    write_exposure("test_fits_rice.fits", 1);
    assert_ok(nsl_read_file("test_fits_rice.fits", 1 << 20, &bytes[i], &n[i], &test_err));
  }
  assert_int_equal(n[0], n[1]);
  assert_memory_equal(bytes[0], bytes[1], n[0]);
  free(bytes[0]);
  free(bytes[1]);
}

static void test_names_that_cfitsio_would_parse(void **state)
{
  (void)state;
  const char *names[] = {"test_fits[1].fits", "test(fits).fits", "!test_fits.fits", " test fits.fits", "test_fits.fits+1", "-"};
  for (int i = 0; i < 6; i++) {
    write_exposure(names[i], 0);
    assert_true(nsl_file_exists(names[i]));
    check_exposure(names[i], 0);
    unlink(names[i]);
  }
}

static void test_keys(void **state)
{
  (void)state;
  nsl_fits_writer *w;
  nsl_fits *f;
  char long_text[200], text[300], *cards;
  memset(long_text, 'k', sizeof long_text - 1);
  long_text[199] = '\0';
  assert_ok(nsl_fits_create("test_fits.fits", 1, &w, &test_err));
  assert_ok(nsl_fits_put_text(w, "LONG", long_text, "many characters", &test_err));
  assert_ok(nsl_fits_put_text(w, "QUOTE", "it's", NULL, &test_err));
  assert_ok(nsl_fits_put_text(w, "UNIT", "Å", NULL, &test_err));
  assert_ok(nsl_fits_put_i64(w, "BIG", INT64_MAX, NULL, &test_err));
  assert_ok(nsl_fits_put_i64(w, "BIG", INT64_MAX - 1, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "NOVALUE", NAN, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "SMALL", 1.2345678901234567e-300, NULL, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
  assert_ok(nsl_fits_open("test_fits.fits", &f, &test_err));
  assert_ok(nsl_fits_key_text(f, 1, "LONG", text, sizeof text, &test_err));
  assert_string_equal(text, long_text);
  assert_ok(nsl_fits_key_text(f, 1, "LONG", text, 11, &test_err));
  assert_string_equal(text, "kkkkkkkkkk");
  assert_ok(nsl_fits_key_text(f, 1, "QUOTE", text, sizeof text, &test_err));
  assert_string_equal(text, "it's");
  assert_ok(nsl_fits_key_text(f, 1, "UNIT", text, sizeof text, &test_err));
  assert_string_equal(text, "??");
  int64_t v;
  double d;
  assert_ok(nsl_fits_key_i64(f, 1, "BIG", &v, &test_err));
  assert_true(v == INT64_MAX - 1);
  assert_ok(nsl_fits_key_f64(f, 1, "SMALL", &d, &test_err));
  assert_true(d == 1.2345678901234567e-300);
  assert_int_equal(nsl_fits_key_i64(f, 1, "SMALL", &v, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_fits_key_f64(f, 1, "QUOTE", &d, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_fits_key_f64(f, 1, "NOVALUE", &d, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(nsl_fits_key_f64(f, 1, "NONE", &d, &test_err), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "test_fits.fits: HDU 1: cannot read the number NONE"));
  assert_int_equal(nsl_fits_key_text(f, 1, "NONE", text, sizeof text, &test_err), NSL_E_NOTFOUND);
  int n;
  assert_ok(nsl_fits_header(f, 1, &cards, &n, &test_err));
  assert_int_equal(strlen(cards), 80 * (size_t)n);
  assert_non_null(strstr(cards, "QUOTE   = 'it''s"));
  free(cards);
  nsl_fits_close(f);
}

static void test_null_pixels_and_scaling(void **state)
{
  (void)state;
  int status = 0;
  long axes[2] = {3, 1};
  fitsfile *raw;
  short pixels[] = {10, -99, 30};
  unlink("test_fits.fits");
  fits_create_diskfile(&raw, "test_fits.fits", &status);
  fits_create_img(raw, SHORT_IMG, 2, axes, &status);
  fits_write_img(raw, TSHORT, 1, 3, pixels, &status);
  int blank = -99;
  fits_update_key(raw, TINT, "BLANK", &blank, NULL, &status);
  double scale = 0.5, zero = 100;
  fits_update_key(raw, TDOUBLE, "BSCALE", &scale, NULL, &status);
  fits_update_key(raw, TDOUBLE, "BZERO", &zero, NULL, &status);
  fits_close_file(raw, &status);
  assert_int_equal(status, 0);
  nsl_fits *f;
  float out[3];
  assert_ok(nsl_fits_open("test_fits.fits", &f, &test_err));
  assert_ok(nsl_fits_read_f32(f, 1, 0, 0, 3, 1, out, &test_err));
  assert_true(out[0] == 105 && isnan(out[1]) && out[2] == 115);
  int32_t whole[3];
  assert_int_equal(nsl_fits_read_i32(f, 1, 0, 0, 3, 1, whole, &test_err), NSL_E_FORMAT);
  nsl_fits_close(f);
}

static void test_refusals(void **state)
{
  (void)state;
  nsl_fits *f;
  int hdu;
  long nx, ny;
  float out[4];
  write_exposure("test_fits.fits", 0);
  assert_ok(nsl_fits_open("test_fits.fits", &f, &test_err));
  assert_int_equal(nsl_fits_find_hdu(f, "ERR", &hdu, &test_err), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "it has: SCI, DQ"));
  assert_int_equal(nsl_fits_image_size(f, 9, &nx, &ny, &test_err), NSL_E_CORRUPT);
  assert_int_equal(nsl_fits_image_size(f, 1, &nx, &ny, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_fits_read_f32(f, 2, NX - 1, 0, 2, 2, out, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_fits_read_f32(f, 2, -1, 0, 2, 2, out, &test_err), NSL_E_FORMAT);
  nsl_fits_close(f);
  assert_int_equal(nsl_fits_open("no/such.fits", &f, &test_err), NSL_E_NOTFOUND);
  assert_ok(nsl_write_file("test_fits.txt", "hello, no FITS here\n", 20, &test_err));
  nsl_status st = nsl_fits_open("test_fits.txt", &f, &test_err);
  assert_int_equal(st, NSL_E_CORRUPT);
  assert_null(strchr(test_err.text, '\n'));
  assert_ok(nsl_write_file("test_fits.txt", "", 0, &test_err));
  st = nsl_fits_open("test_fits.txt", &f, &test_err);
  assert_int_equal(st, NSL_E_CORRUPT);
  assert_int_not_equal(nsl_fits_open(".", &f, &test_err), NSL_OK);
  unlink("test_fits.txt");
}

static void test_truncated_file_never_gives_zeros(void **state)
{
  (void)state;
  static float all[NY][NX];
  char *bytes;
  size_t n;
  make_pixels();
  sci[3][4] = 1;
  write_exposure("test_fits.fits", 0);
  assert_ok(nsl_read_file("test_fits.fits", 1 << 20, &bytes, &n, &test_err));
  int refused = 0, whole = 0;
  for (size_t cut = 0; cut < n; cut += 997) {
    nsl_fits *f;
    assert_ok(nsl_write_file("test_fits_cut.fits", bytes, n - cut, &test_err));
    if (nsl_fits_open("test_fits_cut.fits", &f, &test_err) != NSL_OK) { continue; }
    memset(all, 0, sizeof all);
    nsl_status st = nsl_fits_read_f32(f, 2, 0, 0, NX, NY, &all[0][0], &test_err);
    if (st == NSL_OK) {
      assert_memory_equal(all, sci, sizeof sci);
      whole++;
    } else {
      refused++;
      assert_ok(nsl_fits_key_f64(f, 1, "EXPTIME", &(double){0}, &test_err));
    }
    st = nsl_fits_read_f32(f, 2, NX - 2, NY - 1, 2, 1, &all[0][0], &test_err); /* small reads take another way in cfitsio */
    if (st == NSL_OK) { assert_memory_equal(all, &sci[NY - 1][NX - 2], 2 * sizeof(float)); }
    nsl_fits_close(f);
  }
  assert_true(refused > 5 && whole > 5);
  free(bytes);
  unlink("test_fits_cut.fits");
  make_pixels();
}

/* A table written in parts is byte for byte the table written at once. */
static void test_table_in_parts(void **state)
{
  (void)state;
  enum { N = 5000, PART = 1024 };
  static int64_t id[N];
  static char name[N][3];
  for (int i = 0; i < N; i++) {
    id[i] = i * INT64_C(7777777777);
    memcpy(name[i], i % 2 ? "ab" : "cde", 3);
  }
  nsl_fits_column columns[] = {{"id", NULL, NULL, NULL, NSL_FITS_I64, 1, id}, {"name", NULL, NULL, NULL, NSL_FITS_TEXT, 3, name}};
  nsl_fits_writer *w;
  char *whole, *parts;
  size_t n_whole, n_parts;
  assert_ok(nsl_fits_create("test_fits.fits", 1, &w, &test_err));
  assert_ok(nsl_fits_add_table(w, "T", N, 2, columns, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
  assert_ok(nsl_read_file("test_fits.fits", 1 << 24, &whole, &n_whole, &test_err));
  columns[0].data = columns[1].data = NULL;
  assert_ok(nsl_fits_create("test_fits.fits", 1, &w, &test_err));
  assert_ok(nsl_fits_add_table(w, "T", N, 2, columns, &test_err));
  for (long row = 0; row < N; row += PART) {
    columns[0].data = id + row;
    columns[1].data = name[row];
    assert_ok(nsl_fits_put_rows(w, row, N - row < PART ? N - row : PART, 2, columns, &test_err));
  }
  assert_ok(nsl_fits_finish(w, &test_err));
  assert_ok(nsl_read_file("test_fits.fits", 1 << 24, &parts, &n_parts, &test_err));
  assert_int_equal(n_whole, n_parts);
  assert_memory_equal(whole, parts, n_whole);
  free(whole);
  free(parts);
  unlink("test_fits.fits");
}

static void test_table_columns(void **state)
{
  (void)state;
  enum { N = 5000 };
  static int64_t id[N];
  static double ra[N];
  static float z[N];
  static char name[N][6], good[N];
  for (int i = 0; i < N; i++) {
    id[i] = INT64_C(1) << 60 | i;
    ra[i] = i / 3.0;
    z[i] = i == 7 ? NAN : (float)i;
    memcpy(name[i], i % 2 ? "abcdef" : "gh\0\0\0", 6);
    good[i] = i % 3 == 0;
  }
  const nsl_fits_column columns[] = {
      {"object_id", NULL, "meta.id;meta.main", "identifier", NSL_FITS_I64, 1, id},
      {"ra", "deg", "pos.eq.ra;meta.main", NULL, NSL_FITS_F64, 1, ra},
      {"z_median", NULL, NULL,
       "median of the redshift PDF, a description that is longer than a card has room for, so that it continues", NSL_FITS_F32, 1,
       z},
      {"name", NULL, NULL, NULL, NSL_FITS_TEXT, 6, name},
      {"good", NULL, NULL, NULL, NSL_FITS_BOOL, 1, good},
  };
  nsl_fits_writer *w;
  assert_ok(nsl_fits_create("test_fits.fits", 1, &w, &test_err));
  assert_ok(nsl_fits_add_table(w, "CATALOGUE", N, 5, columns, &test_err));
  assert_ok(nsl_fits_put_text(w, "CONFIG", "0123", NULL, &test_err));
  assert_ok(nsl_fits_add_table(w, "NONE", 0, 5, columns, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));

  int status = 0, null;
  long rows;
  fitsfile *raw;
  fits_open_diskfile(&raw, "test_fits.fits", READONLY, &status);
  fits_movabs_hdu(raw, 2, NULL, &status);
  fits_get_num_rows(raw, &rows, &status);
  assert_int_equal(rows, N);
  static LONGLONG id_back[N];
  static float z_back[N];
  static char good_back[N];
  char *text = malloc(8);
  fits_read_col(raw, TLONGLONG, 1, 1, 1, N, NULL, id_back, &null, &status);
  fits_read_col(raw, TFLOAT, 3, 1, 1, N, NULL, z_back, &null, &status);
  fits_read_col(raw, TLOGICAL, 5, 1, 1, N, NULL, good_back, &null, &status);
  fits_read_col(raw, TSTRING, 4, 4000, 1, 1, NULL, &text, &null, &status);
  assert_int_equal(status, 0);
  assert_string_equal(text, "abcdef");
  assert_memory_equal(id_back, id, sizeof id);
  assert_true(isnan(z_back[7]) && z_back[N - 1] == N - 1);
  assert_memory_equal(good_back, good, sizeof good);
  fits_read_key(raw, TSTRING, "TUCD2", text = realloc(text, 80), NULL, &status);
  assert_string_equal(text, "pos.eq.ra;meta.main");
  fits_read_key(raw, TSTRING, "TUNIT2", text, NULL, &status);
  assert_string_equal(text, "deg");
  fits_close_file(raw, &status);
  assert_int_equal(status, 0);
  free(text);
  nsl_fits *f;
  char description[200];
  assert_ok(nsl_fits_open("test_fits.fits", &f, &test_err));
  assert_ok(nsl_fits_key_text(f, 2, "TCOMM3", description, sizeof description, &test_err));
  assert_string_equal(description, columns[2].description);
  nsl_fits_close(f);
}

static void test_files_are_published_whole(void **state)
{
  (void)state;
  nsl_fits_writer *w;
  char **left;
  size_t n;
  unlink("test_fits_new.fits");
  assert_ok(nsl_fits_create("test_fits_new.fits", 0, &w, &test_err));
  assert_false(nsl_file_exists("test_fits_new.fits"));
  nsl_fits_discard(w);
  assert_false(nsl_file_exists("test_fits_new.fits"));
  assert_ok(nsl_fits_create("test_fits_new.fits", 0, &w, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
  assert_int_equal(nsl_fits_create("test_fits_new.fits", 0, &w, &test_err), NSL_E_USAGE);
  assert_int_equal(nsl_fits_create("no/such/x.fits", 0, &w, &test_err), NSL_E_NOTFOUND);
  assert_ok(nsl_glob(".test_fits_new*", &left, &n, &test_err));
  assert_int_equal(n, 0);
  nsl_paths_free(left, n);
  unlink("test_fits_new.fits");
}

static void test_failed_writing_is_told(void **state)
{
  (void)state;
  struct rlimit old, tight;
  static float pixels[200 * 1000];
  getrlimit(RLIMIT_FSIZE, &old);
  tight = old;
  tight.rlim_cur = 100000;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &tight);
  nsl_fits_writer *w;
  nsl_status st = nsl_fits_create("test_fits_full.fits", 1, &w, NULL), closing;
  if (st == NSL_OK) {
    st = nsl_fits_add_image(w, "SCI", NSL_FITS_F32, 200, 1000, pixels, 0, &test_err);
    closing = nsl_fits_finish(w, st == NSL_OK ? &test_err : NULL);
    if (st == NSL_OK) { st = closing; }
  }
  setrlimit(RLIMIT_FSIZE, &old);
  signal(SIGXFSZ, SIG_DFL);
  assert_int_equal(st, NSL_E_IO);
  assert_non_null(strstr(test_err.text, "test_fits_full.fits"));
  assert_false(nsl_file_exists("test_fits_full.fits"));
}

/* Sizes that cfitsio would divide by or allocate: refused before it sees them. */
static void test_damaged_sizes_are_refused(void **state)
{
  (void)state;
  const char *damages[] = {"ZTILE1  =                    0", "ZVAL1   =                    0", "ZVAL1   =                   x2",
                           "ZNAXIS1 =                  -50", "ZBITPIX =                  -31", "TFIELDS =              9000003",
                           "NAXIS2  =  9223372036854775807", "NAXIS2  =                 '40'"};
  write_exposure("test_fits_rice.fits", 1);
  for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
    char *bytes, *place;
    size_t n;
    nsl_fits *f;
    assert_ok(nsl_read_file("test_fits_rice.fits", 1 << 20, &bytes, &n, &test_err));
    place = memmem(bytes, n, damages[i], 9);
    if (!place) { fail_msg("not there: %s", damages[i]); }
    memcpy(place, damages[i], 30);
    assert_ok(nsl_write_file("test_fits_bad.fits", bytes, n, &test_err));
    free(bytes);
    assert_int_equal(nsl_fits_open("test_fits_bad.fits", &f, &test_err), NSL_E_CORRUPT);
    assert_non_null(strstr(test_err.text, "test_fits_bad.fits: HDU 2: damaged header"));
  }
  unlink("test_fits_bad.fits");
}

static int enter(void **state)
{
  (void)state;
  make_pixels();
  return 0;
}

static int leave(void **state)
{
  (void)state;
  unlink("test_fits.fits");
  unlink("test_fits_rice.fits");
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_exposure_plain_and_compressed),
      cmocka_unit_test(test_gzipped_file),
      cmocka_unit_test(test_same_pixels_same_bytes_when_compressed),
      cmocka_unit_test(test_names_that_cfitsio_would_parse),
      cmocka_unit_test(test_keys),
      cmocka_unit_test(test_null_pixels_and_scaling),
      cmocka_unit_test(test_refusals),
      cmocka_unit_test(test_damaged_sizes_are_refused),
      cmocka_unit_test(test_truncated_file_never_gives_zeros),
      cmocka_unit_test(test_table_columns),
      cmocka_unit_test(test_table_in_parts),
      cmocka_unit_test(test_files_are_published_whole),
      cmocka_unit_test(test_failed_writing_is_told),
  };
  return cmocka_run_group_tests_name("fits", tests, enter, leave);
}
