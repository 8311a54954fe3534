/* The meaning of an instrument file, from key/value lists as the YAML reader would give them. */
#include "noslit/base/str.h"
#include "noslit/model/instrument.h"
#include "unit/test_support.h"

/* clang-format off */
static const char *const good[] = {
    "name", "Toy",
    "pixel_scale_arcsec", "0.1",
    "collecting_area_cm2", "1000",
    "dark_e_s", "0.01",
    "read_noise_e", "4",
    "gain_e_adu", "1",
    "saturation_e", "50000",
    "dq.bad.0", "1",
    "dq.bad.1", "8",
    "dq.saturated", "8",
    "dq.cosmic", "16",
    "stamp.0", "V",
    "stamp.1", "I",
    "bands.0.name", "I",
    "bands.0.lambda0_a", "6000",
    "bands.0.dlambda_a", "8",
    "bands.0.lambda_min_a", "6100",
    "bands.0.lambda_max_a", "9000",
    "bands.0.psf_ree80_arcsec", "0.2",
    "bands.1.name", "V",
    "bands.1.lambda0_a", "3500",
    "bands.1.dlambda_a", "7",
    "bands.1.lambda_min_a", "3900",
    "bands.1.lambda_max_a", "6300",
    "bands.1.psf_ree80_arcsec", "0.2",
    "detectors.0.id", "7",
    "detectors.0.band", "I",
    "detectors.0.nx", "1000",
    "detectors.0.ny", "800",
    "detectors.0.offset_arcsec.0", "-50",
    "detectors.0.offset_arcsec.1", "3",
    "detectors.0.gratings.0.columns.0", "-20",
    "detectors.0.gratings.0.columns.1", "400.5",
    "detectors.0.gratings.0.conf", "left.conf",
    "detectors.0.gratings.1.columns.0", "400.5",
    "detectors.0.gratings.1.columns.1", "1021",
    "detectors.0.gratings.1.conf", "right.conf",
    "detectors.1.id", "9",
    "detectors.1.band", "V",
    "detectors.1.nx", "1000",
    "detectors.1.ny", "800",
    "detectors.1.offset_arcsec.0", "50",
    "detectors.1.offset_arcsec.1", "0",
    "detectors.1.gratings.0.columns.0", "0.5",
    "detectors.1.gratings.0.columns.1", "1000.5",
    "detectors.1.gratings.0.conf", "left.conf",
};
/* clang-format on */
enum { N_GOOD = sizeof good / sizeof *good / 2 };

/* The good document with one value replaced (new path: added; value NULL: left out). */
static nsl_kvlist document(const char *path, const char *value)
{
  nsl_kvlist doc = {.file = nsl_strdup("toy.yaml"), .items = calloc(N_GOOD + 1, sizeof(nsl_kv))};
  int replaced = 0;
  for (int i = 0; i <= N_GOOD; i++) {
    const char *p = i < N_GOOD ? good[2 * i] : path, *v = i < N_GOOD ? good[2 * i + 1] : value;
    if (!p || (i == N_GOOD && replaced)) { continue; }
    if (path && i < N_GOOD && !strcmp(p, path)) {
      v = value;
      replaced = 1;
    }
    if (!v) { continue; }
    doc.items[doc.n++] = (nsl_kv){.path = nsl_strdup(p), .value = nsl_strdup(v), .line = i + 1, .column = 3};
  }
  return doc;
}

static void a_good_document_is_understood(void **state)
{
  (void)state;
  nsl_kvlist doc = document(NULL, NULL);
  nsl_instrument *inst = calloc(1, sizeof *inst);
  assert_ok(nsl_instrument_parse(&doc, inst, &test_err));
  assert_string_equal(inst->name, "Toy");
  assert_int_equal(inst->n_bands, 2);
  assert_int_equal(inst->n_detectors, 2);
  assert_int_equal(inst->n_confs, 2); /* left.conf serves two detectors and is held once */
  assert_int_equal(inst->dq.bad, 9);
  assert_int_equal(inst->stamp_band[0], 1);
  assert_int_equal(inst->stamp_band[1], 0);
  assert_int_equal(nsl_instrument_stamp_slot(inst, 1), 0);
  assert_int_equal(nsl_instrument_stamp_slot(inst, 0), 1);
  assert_int_equal(nsl_instrument_stamp_slot(inst, 2), -1);
  const nsl_detector *det = nsl_instrument_detector(inst, 7);
  assert_non_null(det);
  assert_null(nsl_instrument_detector(inst, 8));
  assert_float_equal(det->offset_x_arcsec, -50, 0);
  assert_null(nsl_detector_grating(det, -21));
  assert_null(nsl_detector_grating(det, 1021));
  assert_string_equal(inst->confs[nsl_detector_grating(det, 400.4)->conf].name, "left.conf");
  assert_string_equal(inst->confs[nsl_detector_grating(det, 400.5)->conf].name, "right.conf");
  nsl_instrument_free(inst);
  free(inst);
  nsl_kvlist_free(&doc);
}

static void wrong_documents_say_what_and_where(void **state)
{
  (void)state;
  static const struct {
    const char *path, *value, *expect;
  } cases[] = {
      {"pixel_scale_arcsecs", "0.1", "unknown or misplaced key 'pixel_scale_arcsecs'; did you mean pixel_scale_arcsec"},
      {"detectors.0.colour", "red", "unknown or misplaced key 'detectors.0.colour'"},
      {"name", NULL, "'name' is missing"},
      {"dark_e_s", "-1", "toy.yaml:4:3: 'dark_e_s' is -1; it must lie between 0"},
      {"dark_e_s", "much", "'dark_e_s' must be a number"},
      {"stamp.0", "U", "names band 'U'"},
      {"detectors.1.id", "7", "detector 7 is there twice"},
      {"detectors.0.gratings.1.columns.0", "300", "grating 1 begins before grating 0 ends"},
      {"detectors.0.gratings.0.columns.1", "-30", "must be larger than the first column"},
      {"bands.0.lambda_max_a", "5000", "must be larger than lambda_min_a"},
      {"stamp.2", "I", "list 'stamp' has 3 elements"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    nsl_kvlist doc = document(cases[i].path, cases[i].value);
    nsl_instrument *inst = calloc(1, sizeof *inst);
    nsl_error err = NSL_ERROR_INIT;
    assert_int_equal(nsl_instrument_parse(&doc, inst, &err), NSL_E_CONFIG);
    if (!strstr(err.text, cases[i].expect)) { fail_msg("expected '%s', got '%s'", cases[i].expect, err.text); }
    free(inst);
    nsl_kvlist_free(&doc);
  }
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_good_document_is_understood),
      cmocka_unit_test(wrong_documents_say_what_and_where),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
