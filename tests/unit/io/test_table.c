/* Tables: the same rows from FITS, HDF5 and every kind of text; what is not there or not a number is refused by name. */
#include "unit/test_support.h"

#include <fitsio.h>
#include <math.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/io/fits.h"
#include "noslit/io/h5.h"
#include "noslit/io/table.h"

static nsl_status open_text(const char *text, nsl_table **t)
{
  assert_ok(nsl_write_file("test_table.csv", text, strlen(text), &test_err));
  return nsl_table_open("test_table.csv", NULL, t, &test_err);
}

/* Three rows: id 2^60+1.., ra 10.5, NaN, -1e-3, name "a b", "", "c". */
static void check_three_rows(nsl_table *t)
{
  int id, ra, name;
  int64_t ids[3];
  double ras[3];
  char names[3][8];
  assert_int_equal(nsl_table_rows(t), 3);
  assert_ok(nsl_table_require(t, "ID", &id, &test_err));
  assert_ok(nsl_table_require(t, "ra", &ra, &test_err));
  assert_ok(nsl_table_require(t, "Name", &name, &test_err));
  assert_ok(nsl_table_read_i64(t, id, 0, 3, ids, &test_err));
  for (int i = 0; i < 3; i++) { assert_true(ids[i] == (INT64_C(1) << 60) + 1 + i); }
  assert_ok(nsl_table_read_f64(t, ra, 0, 3, ras, &test_err));
  assert_true(ras[0] == 10.5 && isnan(ras[1]) && ras[2] == -1e-3);
  assert_ok(nsl_table_read_f64(t, ra, 2, 1, ras, &test_err));
  assert_true(ras[0] == -1e-3);
  assert_ok(nsl_table_read_text(t, name, 0, 3, names[0], 8, &test_err));
  assert_string_equal(names[0], "a b");
  assert_string_equal(names[1], "");
  assert_string_equal(names[2], "c");
  assert_int_equal(nsl_table_read_i64(t, ra, 1, 1, ids, &test_err), NSL_E_VALUE);
  assert_non_null(strstr(test_err.text, "row 2"));
  assert_ok(nsl_table_read_text(t, id, 2, 1, names[0], 8, &test_err));
  assert_string_equal(names[0], "1152921"); /* cut */
  nsl_table_close(t);
}

static void test_text_tables(void **state)
{
  (void)state;
  const char *texts[] = {
      "id,ra,name\n1152921504606846977,10.5,a b\n1152921504606846978,,\n1152921504606846979,-1e-3,c\n",
      "\xef\xbb\xbfID, RA ,\"Name\"\r\n1152921504606846977, 10.5 ,\"a "
      "b\"\r\n\r\n1152921504606846978,NaN,\"\"\r\n1152921504606846979,-0.001,c",
      "id\tra\tname\n1152921504606846977\t10.5\ta b\n1152921504606846978\t--\t\n# a remark\n1152921504606846979\t-1e-3\tc\n",
      "# %ECSV 1.0\n# ---\n# datatype:\n# - {name: id, datatype: int64}\n# - {name: ra, unit: deg, datatype: float64}\n"
      "# - {name: name, datatype: string}\n# schema: astropy-2.0\nid ra name\n1152921504606846977 10.5 \"a b\"\n"
      "1152921504606846978 nan \"\"\n1152921504606846979 -0.001 c\n",
      "# made by hand\n#  id   ra  name\n 1152921504606846977  10.5 \"a b\"  \n 1152921504606846978 nan  \"\"\n1152921504606846979 "
      "-0.001 c \n",
  };
  for (int i = 0; i < 5; i++) {
    nsl_table *t;
    assert_ok(open_text(texts[i], &t));
    assert_int_equal(nsl_table_columns(t), 3);
    check_three_rows(t);
  }
}

static void test_quotes(void **state)
{
  (void)state;
  nsl_table *t;
  char text[3][20];
  assert_ok(open_text("a,b\n\"x, \"\"y\"\"\nz\",1\n12\" wide,2\n\"\",\"3\"\n", &t));
  assert_int_equal(nsl_table_rows(t), 3);
  assert_ok(nsl_table_read_text(t, 0, 0, 3, text[0], 20, &test_err));
  assert_string_equal(text[0], "x, \"y\"\nz");
  assert_string_equal(text[1], "12\" wide");
  assert_string_equal(text[2], "");
  double v[3];
  assert_ok(nsl_table_read_f64(t, 1, 0, 3, v, &test_err));
  assert_true(v[0] == 1 && v[1] == 2 && v[2] == 3);
  nsl_table_close(t);
}

static void test_text_refusals(void **state)
{
  (void)state;
  nsl_table *t;
  double v;
  int64_t k;
  int column;
  const struct {
    const char *text, *message;
  } bad[] = {
      {"a,b\n1,2\n1,2,3\n", "test_table.csv:3: 3 fields, but 2 column names"},
      {"a,b\n1,2\n\"1,2\n", "test_table.csv:3: a quote"},
      {"a,b\n\"1\"x,2\n", "test_table.csv:2: field 1 goes on"},
      {"1,2\n3,4\n", "test_table.csv:1: a line with the column names"},
      {"\n\n", "test_table.csv: no line"},
      {"", "test_table.csv: it is empty"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(open_text(bad[i].text, &t), NSL_E_FORMAT);
    if (strncmp(test_err.text, bad[i].message, strlen(bad[i].message))) { fail_msg("%s", test_err.text); }
  }
  assert_ok(open_text("ident,ra_deg,dec\n1.5,x,9223372036854775808\n", &t));
  assert_int_equal(nsl_table_find(t, "ra"), -1);
  assert_int_equal(nsl_table_require(t, "ra_dg", &column, &test_err), NSL_E_NOTFOUND);
  assert_string_equal(test_err.text, "test_table.csv: it has no column 'ra_dg'; the nearest is 'ra_deg'");
  assert_int_equal(nsl_table_require(t, "magnitude", &column, &test_err), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "ident, ra_deg, dec"));
  assert_int_equal(nsl_table_read_f64(t, 1, 0, 1, &v, &test_err), NSL_E_VALUE);
  assert_string_equal(test_err.text, "test_table.csv: column 'ra_deg', row 1: not a number: x");
  assert_int_equal(nsl_table_read_i64(t, 0, 0, 1, &k, &test_err), NSL_E_VALUE);
  assert_int_equal(nsl_table_read_i64(t, 2, 0, 1, &k, &test_err), NSL_E_VALUE);
  assert_int_equal(nsl_table_read_f64(t, 0, 1, 1, &v, &test_err), NSL_E_BUG);
  assert_int_equal(nsl_table_read_f64(t, 3, 0, 1, &v, &test_err), NSL_E_BUG);
  nsl_table_close(t);
  assert_int_equal(nsl_table_open("test_table.csv", "part", &t, &test_err), NSL_E_USAGE);
  assert_int_equal(nsl_table_open("no/such.csv", NULL, &t, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(nsl_table_open(".", NULL, &t, &test_err), NSL_E_IO);
}

static void test_long_text_table_by_blocks(void **state)
{
  (void)state;
  enum { N = 20000 };
  char *text = malloc(N * 32 + 100), *p = text + sprintf(text, "id z\n");
  for (int i = 0; i < N; i++) { p += sprintf(p, "%d %.3f\n%s", i, i / 8.0, i % 1000 ? "" : "# remark\n"); }
  nsl_table *t;
  assert_ok(open_text(text, &t));
  assert_int_equal(nsl_table_rows(t), N);
  static int64_t id[N];
  static double z[N];
  assert_ok(nsl_table_read_i64(t, 0, 0, N, id, &test_err));
  for (int first = 0; first < N; first += 700) { /* ranges across blocks, in any order */
    int from = (int)((first * 7919L) % (N - 700));
    assert_ok(nsl_table_read_f64(t, 1, from, 700, z, &test_err));
    for (int i = 0; i < 700; i++) { assert_true(z[i] == (from + i) / 8.0); }
  }
  for (int i = 0; i < N; i++) { assert_int_equal(id[i], i); }
  nsl_table_close(t);
  free(text);
}

static const int64_t ids[] = {(INT64_C(1) << 60) + 1, (INT64_C(1) << 60) + 2, (INT64_C(1) << 60) + 3};
static const double ras[] = {10.5, NAN, -1e-3};

static void test_fits_table(void **state)
{
  (void)state;
  nsl_fits_writer *w;
  nsl_table *t;
  const nsl_fits_column columns[] = {{"id", NULL, NULL, NULL, NSL_FITS_I64, 1, ids},
                                     {"RA", "deg", NULL, NULL, NSL_FITS_F64, 1, ras},
                                     {"name", NULL, NULL, NULL, NSL_FITS_TEXT, 3, "a b\0\0\0c\0"},
                                     {"good", NULL, NULL, NULL, NSL_FITS_BOOL, 1, "\1\0\1"}};
  float pixel = 1;
  assert_ok(nsl_fits_create("test_table.fits", 1, &w, &test_err));
  assert_ok(nsl_fits_add_image(w, "SCI", NSL_FITS_F32, 1, 1, &pixel, 1, &test_err));
  assert_ok(nsl_fits_add_table(w, "CAT", 3, 4, columns, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
  const char *wheres[] = {NULL, "", "cat", "2"};
  for (int i = 0; i < 4; i++) {
    assert_ok(nsl_table_open("test_table.fits", wheres[i], &t, &test_err));
    assert_int_equal(nsl_table_columns(t), 4);
    assert_string_equal(nsl_table_column_name(t, 1), "RA");
    double truth[3];
    char text[3][4];
    assert_ok(nsl_table_read_f64(t, 3, 0, 3, truth, &test_err));
    assert_true(truth[0] == 1 && truth[1] == 0 && truth[2] == 1);
    assert_ok(nsl_table_read_text(t, 3, 0, 3, text[0], 4, &test_err));
    assert_string_equal(text[2], "1");
    check_three_rows(t);
  }
  assert_int_equal(nsl_table_open("test_table.fits", "SCI", &t, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_table_open("test_table.fits", "0", &t, &test_err), NSL_E_FORMAT);
  assert_int_equal(nsl_table_open("test_table.fits", "dog", &t, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(system("gzip -kf test_table.fits"), 0);
  assert_ok(nsl_table_open("test_table.fits.gz", NULL, &t, &test_err));
  check_three_rows(t);
  unlink("test_table.fits.gz");

  char *bytes;
  size_t n;
  assert_ok(nsl_read_file("test_table.fits", 1 << 20, &bytes, &n, &test_err));
  char *first = memmem(bytes, n, "\x10\0\0\0\0\0\0\1", 8); /* the first id; the file ends in its row */
  assert_non_null(first);
  assert_ok(nsl_write_file("test_table_cut.fits", bytes, (size_t)(first - bytes) + 12, &test_err));
  assert_ok(nsl_table_open("test_table_cut.fits", NULL, &t, &test_err));
  double v[3];
  assert_int_equal(nsl_table_read_f64(t, 1, 0, 3, v, &test_err), NSL_E_CORRUPT);
  nsl_table_close(t);
  free(bytes);
  unlink("test_table_cut.fits");
  unlink("test_table.fits");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdiscarded-qualifiers" /* cfitsio takes char * of what it only reads */
/* Written with cfitsio alone: TNULL, scaling, unsigned, text of numbers, a vector, a truth value without a value, ASCII. */
static void test_foreign_fits_tables(void **state)
{
  (void)state;
  int status = 0, type[] = {BINARY_TBL, ASCII_TBL};
  const char *path = "test_table.fits";
  unlink(path);
  fitsfile *f;
  fits_create_diskfile(&f, path, &status);
  fits_create_img(f, BYTE_IMG, 0, NULL, &status);
  char *names[] = {"n", "s", "u", "t", "v"}, *forms[] = {"1J", "1I", "1J", "8A", "2E"}, *ascii[] = {"I6", "F8.3"};
  fits_create_tbl(f, type[0], 2, 5, names, forms, NULL, "B", &status);
  long null = -9;
  double scale = 0.5, offset = 2147483648.0;
  fits_write_key(f, TLONG, "TNULL1", &null, NULL, &status);
  fits_write_key(f, TDOUBLE, "TSCAL2", &scale, NULL, &status);
  fits_write_key(f, TDOUBLE, "TZERO3", &offset, NULL, &status);
  fits_set_hdustruc(f, &status);
  int n[] = {7, -9};
  double s[] = {1.5, 2};
  unsigned int u[] = {4294967295U, 1};
  char *texts[] = {" 12", ""};
  fits_write_col(f, TINT, 1, 1, 1, 2, n, &status);
  fits_write_col(f, TDOUBLE, 2, 1, 1, 2, s, &status);
  fits_write_col(f, TUINT, 3, 1, 1, 2, u, &status);
  fits_write_col(f, TSTRING, 4, 1, 1, 2, texts, &status);
  fits_create_tbl(f, type[1], 2, 2, names, ascii, NULL, "A", &status);
  fits_write_col(f, TINT, 1, 1, 1, 2, n, &status);
  fits_write_col(f, TDOUBLE, 2, 1, 1, 2, s, &status);
  fits_close_file(f, &status);
  assert_int_equal(status, 0);
  nsl_table *t;
  double v[2];
  int64_t k[2];
  char text[2][8];
  assert_ok(nsl_table_open(path, "B", &t, &test_err));
  assert_ok(nsl_table_read_f64(t, 0, 0, 2, v, &test_err));
  assert_true(v[0] == 7 && isnan(v[1]));
  assert_int_equal(nsl_table_read_i64(t, 0, 0, 2, k, &test_err), NSL_E_VALUE);
  assert_non_null(strstr(test_err.text, "row 2"));
  assert_ok(nsl_table_read_text(t, 0, 0, 2, text[0], 8, &test_err));
  assert_string_equal(text[1], "");
  assert_ok(nsl_table_read_f64(t, 1, 0, 2, v, &test_err));
  assert_true(v[0] == 1.5 && v[1] == 2);
  assert_int_equal(nsl_table_read_i64(t, 1, 0, 2, k, &test_err), NSL_E_VALUE);
  assert_ok(nsl_table_read_i64(t, 1, 1, 1, k, &test_err));
  assert_int_equal(k[0], 2);
  assert_ok(nsl_table_read_i64(t, 2, 0, 2, k, &test_err));
  assert_true(k[0] == 4294967295 && k[1] == 1);
  assert_ok(nsl_table_read_f64(t, 3, 0, 2, v, &test_err));
  assert_true(v[0] == 12 && isnan(v[1]));
  assert_ok(nsl_table_read_i64(t, 3, 0, 1, k, &test_err));
  assert_int_equal(k[0], 12);
  assert_int_equal(nsl_table_read_f64(t, 4, 0, 2, v, &test_err), NSL_E_FORMAT);
  nsl_table_close(t);
  assert_ok(nsl_table_open(path, "A", &t, &test_err));
  assert_ok(nsl_table_read_i64(t, 0, 0, 2, k, &test_err));
  assert_true(k[0] == 7 && k[1] == -9);
  assert_ok(nsl_table_read_f64(t, 1, 0, 2, v, &test_err));
  assert_true(v[0] == 1.5 && v[1] == 2);
  nsl_table_close(t);
  unlink(path);
}

#pragma GCC diagnostic pop

static void test_h5_table(void **state)
{
  (void)state;
  nsl_h5 *f;
  nsl_table *t;
  size_t three = 3, two[] = {3, 2}, four = 4;
  assert_ok(nsl_h5_create("test_table.h5", &f, &test_err));
  assert_ok(nsl_h5_write(f, "cat/id", NSL_H5_I64, 1, &three, ids, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "cat/RA", NSL_H5_F64, 1, &three, ras, NULL, &test_err));
  assert_ok(nsl_h5_write_fixed_text(f, "cat/name", 3, 3, "a b\0\0\0c  ", &test_err));
  assert_ok(nsl_h5_write(f, "cat/matrix", NSL_H5_U8, 2, two, "123456", NULL, &test_err));
  assert_ok(nsl_h5_write(f, "cat/below/x", NSL_H5_I64, 1, &three, ids, NULL, &test_err));
  assert_ok(nsl_h5_write(f, "bad/a", NSL_H5_U8, 1, &three, "123", NULL, &test_err));
  assert_ok(nsl_h5_write(f, "bad/b", NSL_H5_U8, 1, &four, "1234", NULL, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_table_open("test_table.h5", "cat", &t, &test_err));
  assert_int_equal(nsl_table_columns(t), 3);
  check_three_rows(t);
  assert_int_equal(nsl_table_open("test_table.h5", "bad", &t, &test_err), NSL_E_FORMAT);
  assert_non_null(strstr(test_err.text, "'a' has 3 rows and 'b' 4"));
  assert_int_equal(nsl_table_open("test_table.h5", NULL, &t, &test_err), NSL_E_NOTFOUND);
  assert_int_equal(nsl_table_open("test_table.h5", "dog", &t, &test_err), NSL_E_NOTFOUND);
  assert_ok(nsl_h5_create("test_table.h5", &f, &test_err));
  assert_ok(nsl_h5_write(f, "z", NSL_H5_F64, 1, &three, ras, NULL, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  assert_ok(nsl_table_open("test_table.h5", "", &t, &test_err));
  assert_int_equal(nsl_table_rows(t), 3);
  nsl_table_close(t);
  unlink("test_table.h5");
}

static int leave(void **state)
{
  (void)state;
  unlink("test_table.csv");
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_text_tables),   cmocka_unit_test(test_quotes),
      cmocka_unit_test(test_text_refusals), cmocka_unit_test(test_long_text_table_by_blocks),
      cmocka_unit_test(test_fits_table),    cmocka_unit_test(test_foreign_fits_tables),
      cmocka_unit_test(test_h5_table),
  };
  return cmocka_run_group_tests_name("table", tests, NULL, leave);
}
