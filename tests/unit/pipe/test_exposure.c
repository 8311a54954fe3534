/* Exposures: what is read from good ones, and one clear line for each way to be wrong. */
#include <math.h>

#include "noslit/pipe/exposure.h"
#include "pipe/exposure_name.h"
#include "unit/pipe/exposure_support.h"

static char *dir;
static nsl_instrument *inst;

static int set_up(void **state)
{
  (void)state;
  dir = toy_directory("exposure");
  inst = toy_instrument(dir);
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  int rc = toy_remove(dir);
  nsl_instrument_free(inst);
  free(inst);
  return rc;
}

static void names_are_parsed_leniently(void **state)
{
  (void)state;
  static const struct {
    const char *path, *obsid;
    int detector;
  } cases[] = {
      {"/a/CSST_MSC_MS_SCI_20270626203558_20270626203828_100000066_01_L1_1.fits", "100000066", 1},
      {"CSST_MSC_MS_SCI_20270626203558_20270626203828_10100300001_12_L0_V01.fits.gz", "10100300001", 12},
      {"CSST_MSC_MS_SCI_20270626203558_20270626203828_100000066_30_L1.fits.fz", "100000066", 30},
      {"exposure.fits", "", -1},
      {"a_L1_b.fits", "", -1},
      {"5_L1.fits", "", 5},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char obsid[32];
    int detector;
    nsl_exposure_name_parse(cases[i].path, obsid, sizeof obsid, &detector);
    assert_string_equal(obsid, cases[i].obsid);
    assert_int_equal(detector, cases[i].detector);
  }
  assert_int_equal(nsl_detector_number("01"), 1);
  assert_int_equal(nsl_detector_number("CCD12 "), 12);
  assert_int_equal(nsl_detector_number("none"), -1);
}

static void good_exposures_are_inspected_and_read(void **state)
{
  (void)state;
  float *sci = malloc(TOY_NX * TOY_NY * sizeof *sci);
  int16_t *dq = calloc(TOY_NX * TOY_NY, sizeof *dq);
  for (int i = 0; i < TOY_NX * TOY_NY; i++) { sci[i] = (float)(i % TOY_NX) + 0.001f * (float)(i / TOY_NX); }
  dq[7 * TOY_NX + 5] = 17;
  for (int compress = 0; compress <= 1; compress++) {
    /* detector and OBSID come from the name */
    toy_exposure t = {.name =
                          compress ? "CSST_MSC_MS_SCI_1_2_100000066_02_L1_1.fits.fz" : "CSST_MSC_MS_SCI_1_2_100000066_02_L1_1.fits",
                      .exptime_s = 150,
                      .crpix1 = 600.5,
                      .crpix2 = 120.5,
                      .unit = "e-/s",
                      .compress = compress,
                      .sci = sci,
                      .dq = dq};
    char *path = toy_write(dir, &t);
    nsl_exposure_info info = {0};
    assert_ok(nsl_exposure_inspect(path, inst, &info, &test_err));
    assert_string_equal(info.path, path);
    assert_string_equal(info.obsid, "100000066");
    assert_int_equal(info.detector_id, 2);
    assert_int_equal(inst->detectors[info.detector].id, 2);
    assert_true(info.nx == TOY_NX && info.ny == TOY_NY && info.exptime_s == 150);
    assert_float_equal(info.ra_deg, TOY_RA, 1e-9);
    assert_float_equal(info.dec_deg, TOY_DEC, 1e-9);
    double half_diagonal = 0.5 * hypot(TOY_NX, TOY_NY) * 0.074 / 3600;
    assert_float_equal(info.radius_deg, half_diagonal * 1.001, 1e-7);
    assert_true(info.corner_ra_deg[0] > TOY_RA && info.corner_dec_deg[0] < TOY_DEC); /* x grows to the west */

    nsl_exposure *e;
    assert_ok(nsl_exposure_open(path, inst, &e, &test_err));
    assert_int_equal(nsl_exposure_detector(e)->id, 2);
    assert_float_equal(nsl_exposure_time_s(e), 150, 0);
    float s[12], r[12];
    int32_t q[12];
    assert_ok(nsl_exposure_read(e, 3, 6, 4, 3, s, r, q, &test_err));
    for (int i = 0; i < 12; i++) {
      assert_float_equal(s[i], 3 + i % 4 + 0.001 * (6 + i / 4), compress ? 10 : 1e-4); /* fpack quantises floats */
      assert_float_equal(r[i], 0.1, 1e-3);
      assert_int_equal(q[i], i == 4 + 2 ? 17 : 0);
    }
    nsl_exposure_close(e);

    /* another header, another hash */
    nsl_exposure_info other = {0};
    t.exptime_s = 151;
    free(toy_write(dir, &t));
    assert_ok(nsl_exposure_inspect(path, inst, &other, &test_err));
    assert_false(nsl_hash_equal(info.header_hash, other.header_hash));
    nsl_exposure_info_free(&info);
    nsl_exposure_info_free(&other);
    free(path);
  }
  free(sci);
  free(dq);
}

static void wrong_exposures_say_what_is_wrong(void **state)
{
  (void)state;
#define GOOD .detector = 1, .obsid = "7", .exptime_s = 150, .crpix1 = 600, .crpix2 = 120
  static const struct {
    toy_exposure exposure;
    const char *expect;
    nsl_status status;
  } cases[] = {
      {{GOOD, .name = "sci.fits", .without = "SCI"}, "extension SCI is missing", NSL_E_FORMAT},
      {{GOOD, .name = "err.fits", .without = "ERR"}, "extension ERR is missing", NSL_E_FORMAT},
      {{GOOD, .name = "dq.fits", .without = "DQ"}, "extension DQ is missing", NSL_E_FORMAT},
      {{GOOD, .name = "size.fits", .ny = 100}, "SCI is 1200 x 100 pixels, but detector 1", NSL_E_MISMATCH},
      {{GOOD, .name = "adu.fits", .unit = "ADU"}, "SCI is in 'ADU'", NSL_E_MISMATCH},
      {{.name = "wcs.fits", .detector = 1, .obsid = "7", .exptime_s = 150}, "wcs.fits", NSL_E_FORMAT},
      {{.name = "time.fits", .detector = 1, .obsid = "7", .crpix1 = 600, .crpix2 = 120}, "EXPTIME is missing", NSL_E_FORMAT},
      {{.name = "minus.fits", .detector = 1, .obsid = "7", .exptime_s = -5, .crpix1 = 600, .crpix2 = 120},
       "EXPTIME is -5",
       NSL_E_VALUE},
      {{.name = "nn.fits", .detector = 17, .obsid = "7", .exptime_s = 150, .crpix1 = 600, .crpix2 = 120},
       "detector 17 is not in instrument Toy",
       NSL_E_MISMATCH},
      {{.name = "none.fits", .obsid = "7", .exptime_s = 150, .crpix1 = 600, .crpix2 = 120}, "no detector number", NSL_E_FORMAT},
      {{.name = "obs.fits", .detector = 1, .exptime_s = 150, .crpix1 = 600, .crpix2 = 120}, "no OBSID", NSL_E_FORMAT},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char *path = toy_write(dir, &cases[i].exposure);
    nsl_exposure_info info;
    nsl_error err = NSL_ERROR_INIT;
    nsl_status st = nsl_exposure_inspect(path, inst, &info, &err);
    if (st != cases[i].status || !strstr(err.text, cases[i].expect) || !strstr(err.text, cases[i].exposure.name) ||
        strchr(err.text, '\n')) {
      fail_msg("%s: expected %s '%s', got %s '%s'", path, nsl_status_name(cases[i].status), cases[i].expect, nsl_status_name(st),
               err.text);
    }
    free(path);
  }
}

/* Cut anywhere: in the data of each plane, in the headers, down to nothing. */
static void truncated_files_are_found(void **state)
{
  (void)state;
  const int64_t plane = (int64_t)TOY_NX * TOY_NY;
  const int64_t off[] = {2 * plane, 2 * plane + 5000, 2 * plane + 5 * plane, 10 * plane + 3000, 10 * plane + 15000};
  for (int compress = 0; compress <= 1; compress++) {
    for (size_t i = 0; i < sizeof off / sizeof *off; i++) {
      toy_exposure t = {GOOD, .name = "cut.fits", .compress = compress};
      char *path = toy_write(dir, &t);
      int64_t size, mtime;
      assert_ok(nsl_file_stat(path, &size, &mtime, &test_err));
      /* compressed files are small: cut shares of them */
      toy_cut(path, compress ? size * (int64_t)(i + 1) / 7 : off[i] < size ? off[i] : size);
      nsl_exposure_info info;
      nsl_error err = NSL_ERROR_INIT;
      assert_int_not_equal(nsl_exposure_inspect(path, inst, &info, &err), NSL_OK);
      assert_non_null(strstr(err.text, "cut.fits"));
      free(path);
    }
  }
  nsl_exposure_info info;
  nsl_error err = NSL_ERROR_INIT;
  assert_int_not_equal(nsl_exposure_inspect("nowhere/x.fits", inst, &info, &err), NSL_OK);
  assert_non_null(strstr(err.text, "nowhere/x.fits"));
}

static void open_exposures_are_kept_and_watched(void **state)
{
  (void)state;
  toy_exposure t = {.name = "kept.fits", .detector = 1, .obsid = "1", .exptime_s = 150, .crpix1 = 600, .crpix2 = 120};
  char *path = toy_write(dir, &t);
  t.name = "other.fits";
  char *other = toy_write(dir, &t);
  nsl_exposure_cache *cache;
  nsl_exposure *a, *b, *c;
  assert_ok(nsl_exposure_cache_new(1, &cache, &test_err));
  assert_ok(nsl_exposure_cache_open(cache, path, inst, &a, &test_err));
  nsl_exposure_cache_return(cache, a, 1);
  assert_ok(nsl_exposure_cache_open(cache, path, inst, &b, &test_err));
  assert_ptr_equal(a, b);
  assert_ok(nsl_exposure_cache_open(cache, other, inst, &c, &test_err)); /* more may be in use than are kept */
  assert_ptr_not_equal(b, c);
  nsl_exposure_cache_return(cache, c, 1);
  nsl_exposure_cache_return(cache, b, 1);
  /* A file that was written anew is opened anew. */
  t.name = "kept.fits";
  t.exptime_s = 300;
  free(toy_write(dir, &t));
  assert_ok(nsl_exposure_cache_open(cache, path, inst, &a, &test_err));
  assert_true(nsl_exposure_time_s(a) == 300);
  nsl_exposure_cache_return(cache, a, 0);
  assert_int_equal(unlink(path), 0);
  assert_int_equal(nsl_exposure_cache_open(cache, path, inst, &a, &test_err), NSL_E_NOTFOUND);
  nsl_exposure_cache_free(cache);
  free(path);
  free(other);
}

/* A tile that is measured and the next one, read ahead, share an exposure. */
static void two_users_share_an_open_exposure(void **state)
{
  (void)state;
  toy_exposure t = {.name = "shared.fits", .detector = 1, .obsid = "1", .exptime_s = 150, .crpix1 = 600, .crpix2 = 120};
  char *path = toy_write(dir, &t);
  nsl_exposure_cache *cache;
  nsl_exposure *a, *b, *c;
  assert_ok(nsl_exposure_cache_new(1, &cache, &test_err));
  assert_ok(nsl_exposure_cache_open(cache, path, inst, &a, &test_err));
  assert_ok(nsl_exposure_cache_open(cache, path, inst, &b, &test_err));
  assert_ptr_equal(a, b);
  nsl_exposure_cache_return(cache, a, 0); /* the first could not read it, the second may still try */
  float pixel;
  int32_t dq;
  assert_ok(nsl_exposure_read(b, 0, 0, 1, 1, &pixel, &pixel, &dq, &test_err));
  t.exptime_s = 300; /* repaired in the meantime: whoever comes now gets the new file */
  free(toy_write(dir, &t));
  assert_ok(nsl_exposure_cache_open(cache, path, inst, &c, &test_err));
  assert_ptr_not_equal(b, c);
  assert_true(nsl_exposure_time_s(b) == 150 && nsl_exposure_time_s(c) == 300);
  nsl_exposure_cache_return(cache, b, 1);
  nsl_exposure_cache_return(cache, c, 1);
  nsl_exposure_cache_free(cache);
  free(path);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_are_parsed_leniently),        cmocka_unit_test(good_exposures_are_inspected_and_read),
      cmocka_unit_test(wrong_exposures_say_what_is_wrong), cmocka_unit_test(truncated_files_are_found),
      cmocka_unit_test(two_users_share_an_open_exposure),  cmocka_unit_test(open_exposures_are_kept_and_watched),
  };
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
