/* The metrics document of a small catalogue whose numbers can be said by hand. */
#include "unit/test_support.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "noslit/model/skytile.h"
#include "noslit/pipe/card.h"

#include "noslit/pipe/rows_h5.h"
#include "noslit/pipe/validate.h"

#define CATALOGUE "validate_test.hdf5"
#define TRUTH "validate_test.csv"
#define MATCHED "validate_test_matched.h5"
#define CARD "validate_test_card.h5"

enum { N = 400, BINS = 64, ORDER = 7 };
static const nsl_pdf_grid grid = {BINS, 0.01, 0.015};

/* Source i has id 1000 + i, SNR i % 4 * 2 + 0.5 (0.5, 2.5, 4.5, 6.5), all its probability in bin i % 50 + 5 and its mode in that
 * bin's centre (in u). Every 40th has no PDF. */
static int bin_of(int i) { return i % 50 + 5; }
static double centre_z(int i) { return expm1(grid.u0 + (bin_of(i) + 0.5) * grid.du); }

static void write_catalogue(void)
{
  nsl_rows r;
  assert_true(nsl_rows_alloc(&r, N, &grid));
  for (int i = 0; i < N; i++) {
    float prob[BINS] = {0};
    prob[bin_of(i)] = 1;
    nsl_pdf_density_z(&grid, prob, r.pdf + (size_t)i * BINS);
    r.object_id[i] = 1000 + i;
    r.ra[i] = 150 + 0.05 * (i % 20);
    r.dec[i] = 2 + 0.05 * (i / 20);
    r.tile[i] = nsl_tile_of(ORDER, r.ra[i], r.dec[i]);
    r.mag[i] = 20;
    r.z_mode[i] = r.z_median[i] = r.z_mean[i] = (float)centre_z(i);
    r.z_lo68[i] = r.z_hi68[i] = r.z_mode[i];
    r.odds[i] = 1.0f - 0.001f * (float)i;
    r.snr_gi[i] = (float)(i % 4 * 2) + 0.5f;
    r.flags[i] = i % 10 == 3 ? NSL_FLAG_CONTAMINATED : 0;
    if (i % 40 == 0) {
      r.flags[i] |= NSL_FLAG_NO_PDF;
      r.z_mode[i] = r.z_median[i] = NAN;
      memset(r.pdf + (size_t)i * BINS, 0, BINS * sizeof *r.pdf);
    }
  }
  nsl_h5 *f;
  size_t dims[2] = {N, BINS};
  assert_ok(nsl_h5_create(CATALOGUE, &f, &test_err));
  assert_ok(nsl_h5_write(f, "/data/pdfs", NSL_H5_F32, 2, dims, r.pdf, NULL, &test_err));
  for (int c = 0; c < nsl_n_row_columns; c++) {
    char name[80];
    snprintf(name, sizeof name, "/ancil/%s", nsl_row_columns[c].name);
    assert_ok(nsl_h5_write(f, name, nsl_col_h5_type(nsl_row_columns[c].type), 1, dims, nsl_rows_column(&r, c), NULL, &test_err));
  }
  const char *const hashes[] = {"content_hash", "config_hash", "model_hash", "instrument_hash", "plan_hash"};
  for (int k = 0; k < 5; k++) { assert_ok(nsl_h5_put_text(f, "/", hashes[k], "00000000000000000000000000000001", &test_err)); }
  assert_ok(nsl_h5_put_text(f, "/", "format", NSL_CATALOGUE_FORMAT, &test_err));
  const struct {
    const char *key;
    int64_t value;
  } numbers[] = {{"version", NSL_CATALOGUE_VERSION},
                 {"order", ORDER},
                 {"n_rows", N},
                 {"n_tiles", 1},
                 {"n_tiles_left_out", 0},
                 {"pdf_n", BINS},
                 {"complete", 1}};
  for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
    assert_ok(nsl_h5_put_i64(f, "/", numbers[k].key, numbers[k].value, &test_err));
  }
  assert_ok(nsl_h5_put_f64(f, "/", "pdf_u0", grid.u0, &test_err));
  assert_ok(nsl_h5_put_f64(f, "/", "pdf_du", grid.du, &test_err));
  assert_ok(nsl_h5_close(f, &test_err));
  nsl_rows_free(&r);
}

/* The truth of all but the last 100: at the mode, but off by 0.2 (1+z) for every 20th plus one. */
static void write_truth(void)
{
  nsl_str s;
  nsl_str_init(&s);
  nsl_str_add(&s, "TARGETID,Z,ZWARN,SPECTYPE,PSF_ERROR,WAVE_ERROR_GI_PX\n");
  for (int i = 0; i < N - 100; i++) {
    double z = (double)(float)centre_z(i);
    nsl_str_addf(&s, "%d,%.12f,0,GALAXY,%s,0.7\n", 1000 + i, i % 20 == 1 ? z + 0.2 * (1 + z) : z, i % 2 ? "0.02" : "-0.05");
  }
  nsl_str_add(&s, "1399,0.5,4,GALAXY,0,0\n1398,0,0,STAR,0,0\n7,0.5,0,GALAXY,0,0\n");
  assert_ok(nsl_write_file(TRUTH, s.text, s.n, &test_err));
  nsl_str_free(&s);
}

static int set_up(void **state)
{
  (void)state;
  write_catalogue();
  write_truth();
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  unlink(CATALOGUE);
  unlink(TRUTH);
  unlink(MATCHED);
  unlink(CARD);
  return 0;
}

static double get(const nsl_json *doc, const char *selection, const char *key)
{
  const nsl_json *s = nsl_json_get(doc, selection);
  if (!s) { fail_msg("no selection %s", selection); }
  return nsl_json_get_f64(s, key, NAN);
}

static void test_document(void **state)
{
  (void)state;
  nsl_json *doc;
  nsl_validate_options o = {.catalogue = CATALOGUE, .truth = TRUTH, .n_draws = 50, .matched_path = MATCHED};
  assert_ok(nsl_validate(&o, &nsl_validate_alone, NULL, &doc, &test_err));
  /* 300 truths of known sources, 8 of these without PDF (0, 40, ... 280); i % 20 == 1 never falls on those. */
  assert_true(get(doc, "match", "n_truth") == 301 && get(doc, "match", "matched") == 300 && get(doc, "match", "unmatched") == 1);
  assert_true(get(doc, "match", "n_catalogue") == N && get(doc, "match", "n_catalogue_no_pdf") == 10);
  assert_true(fabs(get(doc, "match", "completeness") - 292.0 / 300) < 1e-12);
  assert_true(get(doc, "match", "far_apart") == 0); /* the table has no positions */
  const nsl_json *table = nsl_json_get(nsl_json_get(doc, "match"), "truth_table");
  assert_true(nsl_json_get_f64(table, "zwarn", 0) == 1 && nsl_json_get_f64(table, "star", 0) == 1);
  assert_true(get(doc, "all", "n") == 292 && get(doc, "all", "n_no_pdf") == 8);
  assert_true(get(doc, "all", "sigma_nmad") < 1e-9 && fabs(get(doc, "all", "bias")) < 1e-9);
  assert_true(fabs(get(doc, "all", "outlier_0.15") - 15.0 / 292) < 1e-12);
  assert_true(fabs(get(doc, "all", "coverage_68") - 277.0 / 292) < 1e-12);
  assert_true(get(doc, "all", "outlier_0.15_err") > 0);
  /* SNR 0.5, 2.5, 4.5, 6.5; the outliers (i = 1, 21, ...) have 2.5, the lost (i = 0, 40, ...) 0.5. */
  assert_true(get(doc, "snr_gi>=1", "n") == 225 && get(doc, "snr_gi>=3", "n") == 150 && get(doc, "snr_gi>=5", "n") == 75);
  assert_true(get(doc, "snr_gi>=3", "outlier_0.02") == 0 && get(doc, "snr_gi>=10", "n") == 0);
  assert_true(isnan(get(doc, "snr_gi>=10", "sigma_nmad"))); /* there, but null */
  assert_true(fabs(get(doc, "snr_gi[2,3)", "outlier_0.02") - 0.2) < 1e-12);
  assert_true(get(doc, "flag:contaminated", "n") == 30 && get(doc, "mag[20,20.5)", "n") == 292);
  assert_null(nsl_json_get(doc, "mag[21,21.5)"));
  double in_z_mode = 0, off = 0; /* outliers lie in other bins of the truth than of the PDF's peak */
  for (int b = 0; b < 20; b++) {
    char by_mode[64], by_truth[64];
    snprintf(by_mode, sizeof by_mode, "z_mode[%g,%g)", b * 0.1, (b + 1) * 0.1);
    snprintf(by_truth, sizeof by_truth, "z[%g,%g)", b * 0.1, (b + 1) * 0.1);
    double n_mode = nsl_json_get(doc, by_mode) ? get(doc, by_mode, "n") : 0;
    double n_truth = nsl_json_get(doc, by_truth) ? get(doc, by_truth, "n") : 0;
    in_z_mode += n_mode;
    off += fabs(n_mode - n_truth);
  }
  assert_true(in_z_mode == 292 && off > 0);
  /* Injected errors that the table has: every outlier has an odd number. */
  assert_true(get(doc, "psf_error[0.01,0.03)", "n") == 150 && fabs(get(doc, "psf_error[0.01,0.03)", "outlier_0.02") - 0.1) < 1e-12);
  assert_true(get(doc, "psf_error[-0.1,-0.03)", "n") == 142 && get(doc, "psf_error[-0.1,-0.03)", "outlier_0.02") == 0);
  assert_true(get(doc, "wave_error_gi_px[0.5,1)", "n") == 292);
  assert_null(nsl_json_get(doc, "trace_error_px[-0.1,0.1)")); /* the table does not tell */
  /* Tiles: every matched source is in one, in ascending order. */
  const nsl_json *tiles = nsl_json_get(doc, "tiles");
  double in_tiles = 0, lost = 0, last = -1;
  for (int k = 0; k < (int)nsl_json_length(tiles); k++) {
    const nsl_json *t = nsl_json_at(tiles, k);
    assert_true(nsl_json_get_f64(t, "tile", -1) > last);
    last = nsl_json_get_f64(t, "tile", -1);
    in_tiles += nsl_json_get_f64(t, "n", 0);
    lost += nsl_json_get_f64(t, "n_no_pdf", 0);
  }
  assert_true(nsl_json_length(tiles) > 1 && in_tiles == 292 && lost == 8);
  /* The worst are the outliers, the highest odds (lowest i) first. */
  const nsl_json *worst = nsl_json_get(doc, "worst");
  assert_int_equal(nsl_json_length(worst), 12);
  for (int k = 0; k < 12; k++) { assert_true(nsl_json_get_f64(nsl_json_at(worst, k), "object_id", 0) == 1001 + 20 * k); }
  nsl_h5 *f;
  int64_t ids[300];
  assert_ok(nsl_h5_open(MATCHED, &f, &test_err));
  assert_ok(nsl_h5_read(f, "/object_id", NSL_H5_I64, 300, ids, &test_err));
  for (int i = 0; i < 300; i++) { assert_true(ids[i] == 1000 + i); }
  nsl_h5_close(f, NULL);
  nsl_json_free(doc);
}

static void test_selection_and_no_match(void **state)
{
  (void)state;
  nsl_json *doc;
  nsl_select *select;
  assert_ok(nsl_select_new(&select, &test_err));
  assert_ok(nsl_select_add(select, "--source", "1002", &test_err));
  assert_ok(nsl_select_add(select, "--box", "149.9,150.01,1.9,2.21", &test_err)); /* 1000, 1020, 1040, 1060, 1080 */
  nsl_validate_options o = {.catalogue = CATALOGUE, .truth = TRUTH, .n_draws = -1, .select = select};
  assert_ok(nsl_validate(&o, &nsl_validate_alone, NULL, &doc, &test_err));
  assert_true(get(doc, "match", "n_catalogue") == 6 && get(doc, "match", "matched") == 6 && get(doc, "all", "n") == 3);
  assert_true(isnan(get(doc, "all", "bias_err")) && nsl_json_get(nsl_json_get(doc, "all"), "few"));
  nsl_json_free(doc);
  nsl_select_free(select);
  assert_ok(nsl_write_file(MATCHED, "ID,Z\n5,0.1\n", 11, &test_err)); /* by its content a CSV */
  rename(MATCHED, MATCHED ".csv");
  o = (nsl_validate_options){.catalogue = CATALOGUE, .truth = MATCHED ".csv"};
  assert_ok(nsl_validate(&o, &nsl_validate_alone, NULL, &doc, &test_err));
  assert_true(get(doc, "all", "n") == 0 && get(doc, "match", "unmatched") == 1);
  nsl_json_free(doc);
  unlink(MATCHED ".csv");
}

static void test_card(void **state)
{
  (void)state;
  nsl_catalogue *c;
  nsl_rows rows = {0};
  int64_t row, id;
  double z;
  assert_ok(nsl_catalogue_open(CATALOGUE, &c, &test_err));
  assert_int_equal(nsl_card_find(c, CATALOGUE, 5, &rows, &row, &test_err), NSL_E_NOTFOUND);
  assert_ok(nsl_card_find(c, CATALOGUE, 1007, &rows, &row, &test_err));
  assert_int_equal(row, 7);
  assert_ok(nsl_card_write(CARD, &rows, 0, 0.25, NULL, NULL, NULL, &test_err));
  nsl_rows_free(&rows);
  nsl_catalogue_close(c);
  nsl_h5 *f;
  float pdf[BINS];
  assert_ok(nsl_h5_open(CARD, &f, &test_err));
  assert_ok(nsl_h5_get_i64(f, "/", "object_id", &id, &test_err));
  assert_ok(nsl_h5_get_f64(f, "/", "z_mode", &z, &test_err));
  assert_ok(nsl_h5_read(f, "/pdf", NSL_H5_F32, BINS, pdf, &test_err));
  assert_true(id == 1007 && z == (double)(float)centre_z(7) && pdf[bin_of(7)] > 0 && pdf[bin_of(7) + 1] == 0);
  assert_false(nsl_h5_exists(f, "/flux"));
  nsl_h5_close(f, NULL);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_document),
      cmocka_unit_test(test_selection_and_no_match),
      cmocka_unit_test(test_card),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
