/* Truth tables: column names of surveys, rows left out and counted. */
#include "unit/test_support.h"

#include <math.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/pipe/truth.h"

#define FILE_NAME "truth_test.csv"

static void write_table(const char *text) { assert_ok(nsl_write_file(FILE_NAME, text, strlen(text), &test_err)); }

static nsl_status read_all(const nsl_truth_options *o, nsl_truth_row *out, size_t max, size_t *n, nsl_truth_counts *counts)
{
  nsl_status st = NSL_OK;
  nsl_truth *t = NULL;
  const nsl_truth_row *rows;
  size_t count = 1;
  *n = 0;
  NSL_TRY(nsl_truth_open(o, &t, &test_err));
  while (count) {
    NSL_TRY(nsl_truth_next(t, &rows, &count, &test_err));
    for (size_t i = 0; i < count && *n < max; i++) { out[(*n)++] = rows[i]; }
  }
  *counts = *nsl_truth_counted(t);
cleanup:
  nsl_truth_close(t);
  return st;
}

static void test_desi_names_and_cuts(void **state)
{
  (void)state;
  write_table("TARGETID,Z,ZWARN,ZCAT_PRIMARY,SPECTYPE,DELTACHI2,TARGET_RA,TARGET_DEC,SNR_GI,SHAPE_R\n"
              "39627640566453451,0.5,0,T,GALAXY,50,10,20,2.5,0.4\n" /* used */
              "2,0.6,4,T,GALAXY,50,10,20,2,0.4\n"                   /* ZWARN, although also ... */
              "3,0.7,0,F,GALAXY,50,10,20,2,0.4\n"
              "4,0.8,0,T,GALAXY,5,10,20,2,0.4\n"
              "5,0.0,0,T,STAR,50,10,20,2,0.4\n"
              "6,2.1,0,T,QSO,50,10,20,2,0.4\n"
              "7,,0,T,GALAXY,50,10,20,2,0.4\n"
              "8,0.9,0,T,GALAXY,10,10,20,,\n"); /* used: the cut is inclusive; no SNR */
  nsl_truth_options o = {.path = FILE_NAME, .min_deltachi2 = 10};
  nsl_truth_row rows[8];
  nsl_truth_counts c;
  size_t n;
  assert_ok(read_all(&o, rows, 8, &n, &c));
  assert_int_equal(n, 2);
  assert_true(rows[0].id == 39627640566453451);
  assert_true(rows[0].z == 0.5 && rows[0].ra_deg == 10 && rows[0].dec_deg == 20);
  assert_true(rows[0].snr_gi == 2.5f && rows[0].size_arcsec == 0.4f && isnan(rows[0].injected[NSL_INJECTED_WAVE]));
  assert_true(rows[1].id == 8 && isnan(rows[1].snr_gi));
  assert_int_equal(c.rows, 8);
  assert_int_equal(c.zwarn, 1);
  assert_int_equal(c.not_primary, 1);
  assert_int_equal(c.unsure, 1);
  assert_int_equal(c.star, 1);
  assert_int_equal(c.qso, 1);
  assert_int_equal(c.bad, 1);
  assert_int_equal(c.used, 2);
}

static void test_mapped_columns_and_no_identifier(void **state)
{
  (void)state;
  write_table("alpha,delta,specz\n1,2,0.25\n3,,0.5\n");
  nsl_truth_options o = {.path = FILE_NAME, .z_column = "SpecZ", .ra_column = "alpha", .dec_column = "delta", .need_position = 1};
  nsl_truth_row rows[4];
  nsl_truth_counts c;
  size_t n;
  assert_ok(read_all(&o, rows, 4, &n, &c));
  assert_int_equal(n, 1);
  assert_true(rows[0].id == 0 && rows[0].z == 0.25 && rows[0].dec_deg == 2);
  assert_int_equal(c.bad, 1); /* no declination */
}

static void test_missing_columns_are_named(void **state)
{
  (void)state;
  nsl_truth *t;
  write_table("ID,RED\n1,0.25\n");
  nsl_truth_options o = {.path = FILE_NAME};
  assert_int_not_equal(nsl_truth_open(&o, &t, &test_err), NSL_OK);
  assert_non_null(strstr(test_err.text, "'Z'"));
  assert_non_null(strstr(test_err.text, "--z"));
  write_table("ID,Z\n1,0.25\n");
  o.need_position = 1;
  assert_int_not_equal(nsl_truth_open(&o, &t, &test_err), NSL_OK);
  assert_non_null(strstr(test_err.text, "'RA'"));
  assert_non_null(strstr(test_err.text, "--ra"));
  o = (nsl_truth_options){.path = FILE_NAME, .min_deltachi2 = 9};
  assert_int_not_equal(nsl_truth_open(&o, &t, &test_err), NSL_OK);
  assert_non_null(strstr(test_err.text, "'DELTACHI2'"));
}

/* More rows than a block, the first block without a usable one. */
static void test_long_tables_come_in_blocks(void **state)
{
  (void)state;
  enum { ROWS = 150000, BAD = 70000 };
  FILE *f = fopen(FILE_NAME, "w");
  assert_non_null(f);
  fprintf(f, "ID,Z,ZWARN\n");
  for (int i = 0; i < ROWS; i++) { fprintf(f, "%d,%g,%d\n", i, 1e-5 * i, i < BAD); }
  fclose(f);
  nsl_truth_options o = {.path = FILE_NAME};
  nsl_truth_row *rows = malloc(ROWS * sizeof *rows);
  nsl_truth_counts c;
  size_t n;
  assert_ok(read_all(&o, rows, ROWS, &n, &c));
  assert_int_equal(n, ROWS - BAD);
  for (size_t i = 0; i < n; i++) { assert_true(rows[i].id == (int64_t)i + BAD); }
  free(rows);
}

static int remove_file(void **state)
{
  (void)state;
  unlink(FILE_NAME);
  return 0;
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_desi_names_and_cuts),
      cmocka_unit_test(test_mapped_columns_and_no_identifier),
      cmocka_unit_test(test_missing_columns_are_named),
      cmocka_unit_test(test_long_tables_come_in_blocks),
  };
  return cmocka_run_group_tests(tests, NULL, remove_file);
}
