/* The instrument file: what every key means is said in configs/instruments/csst.yaml and docs/instrument.md. */
#include "noslit/model/instrument.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"

/* ---- unknown keys are errors ---- */

/* '#' stands for a list index. */
static const char *const known_keys[] = {
    "name",
    "pixel_scale_arcsec",
    "collecting_area_cm2",
    "dark_e_s",
    "read_noise_e",
    "gain_e_adu",
    "saturation_e",
    "dq.bad.#",
    "dq.saturated",
    "dq.cosmic",
    "stamp.#",
    "bands.#.name",
    "bands.#.lambda0_a",
    "bands.#.dlambda_a",
    "bands.#.lambda_min_a",
    "bands.#.lambda_max_a",
    "bands.#.psf_ree80_arcsec",
    "bands.#.psf_exponent",
    "detectors.#.id",
    "detectors.#.band",
    "detectors.#.nx",
    "detectors.#.ny",
    "detectors.#.offset_arcsec.#",
    "detectors.#.gratings.#.columns.#",
    "detectors.#.gratings.#.conf",
};
enum { N_KNOWN_KEYS = sizeof known_keys / sizeof *known_keys };

static int matches_pattern(const char *path, const char *pattern)
{
  while (*pattern && *path) {
    if (*pattern == '#') {
      if (!isdigit((unsigned char)*path)) { return 0; }
      while (isdigit((unsigned char)*path)) { path++; }
      pattern++;
    } else if (*pattern++ != *path++) {
      return 0;
    }
  }
  return *pattern == *path;
}

static nsl_status check_keys(const nsl_kvlist *doc, nsl_error *err)
{
  for (size_t i = 0; i < doc->n; i++) {
    const nsl_kv *kv = &doc->items[i];
    int found = 0;
    for (int k = 0; k < N_KNOWN_KEYS && !found; k++) { found = matches_pattern(kv->path, known_keys[k]); }
    if (found) { continue; }
    int near = nsl_nearest_name(kv->path, known_keys, N_KNOWN_KEYS);
    return nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: unknown or misplaced key '%s'%s%s", doc->file, kv->line, kv->column, kv->path,
                    near >= 0 ? "; did you mean " : "", near >= 0 ? known_keys[near] : "");
  }
  return NSL_OK;
}

/* ---- typed reading with ranges ---- */

static nsl_status read_real(const nsl_kvlist *doc, const char *path, double min, double max, double *out, nsl_error *err)
{
  nsl_status st = nsl_kv_f64(doc, out, err, "%s", path);
  if (st == NSL_OK && !(*out >= min && *out <= max)) {
    const nsl_kv *kv = nsl_kv_find(doc, path);
    st = nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: '%s' is %s; it must lie between %g and %g", doc->file, kv->line, kv->column, path,
                  kv->value, min, max);
  }
  return st;
}

static nsl_status read_int(const nsl_kvlist *doc, const char *path, long min, long max, long *out, nsl_error *err)
{
  nsl_status st = nsl_kv_i64(doc, out, err, "%s", path);
  if (st == NSL_OK && (*out < min || *out > max)) {
    const nsl_kv *kv = nsl_kv_find(doc, path);
    st = nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: '%s' is %s; it must lie between %ld and %ld", doc->file, kv->line, kv->column, path,
                  kv->value, min, max);
  }
  return st;
}

static nsl_status read_name(const nsl_kvlist *doc, const char *path, char *out, size_t size, nsl_error *err)
{
  const char *text;
  nsl_status st = nsl_kv_text(doc, &text, err, "%s", path);
  if (st != NSL_OK) { return st; }
  if (*text == '\0' || strlen(text) >= size) {
    const nsl_kv *kv = nsl_kv_find(doc, path);
    return nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: '%s' must be a name of 1 to %zu characters", doc->file, kv->line, kv->column,
                    path, size - 1);
  }
  strcpy(out, text);
  return NSL_OK;
}

static nsl_status list_length(const nsl_kvlist *doc, const char *path, int min, int max, int *n, nsl_error *err)
{
  size_t length = nsl_kv_length(doc, path);
  if (length < (size_t)min || length > (size_t)max) {
    return nsl_fail(err, NSL_E_CONFIG, "%s: list '%s' has %zu elements; it must have %d to %d", doc->file, path, length, min, max);
  }
  *n = (int)length;
  return NSL_OK;
}

/* Index of the band that the value at path names. */
static nsl_status read_band(const nsl_kvlist *doc, const char *path, const nsl_instrument *inst, int *band, nsl_error *err)
{
  const char *text;
  nsl_status st = nsl_kv_text(doc, &text, err, "%s", path);
  if (st != NSL_OK) { return st; }
  for (int b = 0; b < inst->n_bands; b++) {
    if (!strcmp(inst->bands[b].name, text)) {
      *band = b;
      return NSL_OK;
    }
  }
  const nsl_kv *kv = nsl_kv_find(doc, path);
  return nsl_fail(err, NSL_E_CONFIG, "%s:%d:%d: '%s' names band '%s', which is not among 'bands'", doc->file, kv->line, kv->column,
                  path, text);
}

/* ---- the parts of the file ---- */

#define PATH(buffer, ...)                         \
  char buffer[128];                               \
  do {                                            \
    snprintf(buffer, sizeof buffer, __VA_ARGS__); \
  } while (0)

static nsl_status parse_dq(const nsl_kvlist *doc, nsl_dq_bits *dq, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int n = 0;
  long v = 0;
  NSL_TRY(list_length(doc, "dq.bad", 1, 32, &n, err));
  for (int i = 0; i < n; i++) {
    PATH(path, "dq.bad.%d", i);
    NSL_TRY(read_int(doc, path, 1, 0x40000000, &v, err));
    dq->bad |= (unsigned)v;
  }
  NSL_TRY(read_int(doc, "dq.saturated", 0, 0x40000000, &v, err));
  dq->saturated = (unsigned)v;
  NSL_TRY(read_int(doc, "dq.cosmic", 0, 0x40000000, &v, err));
  dq->cosmic = (unsigned)v;
cleanup:
  return st;
}

static nsl_status parse_band(const nsl_kvlist *doc, int i, nsl_band *band, nsl_error *err)
{
  nsl_status st = NSL_OK;
  PATH(name, "bands.%d.name", i);
  PATH(lambda0, "bands.%d.lambda0_a", i);
  PATH(dlambda, "bands.%d.dlambda_a", i);
  PATH(lambda_min, "bands.%d.lambda_min_a", i);
  PATH(lambda_max, "bands.%d.lambda_max_a", i);
  PATH(ree80, "bands.%d.psf_ree80_arcsec", i);
  PATH(exponent, "bands.%d.psf_exponent", i);
  NSL_TRY(read_name(doc, name, band->name, sizeof band->name, err));
  NSL_TRY(read_real(doc, lambda0, 100, 1e6, &band->lambda0_a, err));
  NSL_TRY(read_real(doc, dlambda, 1e-3, 1e4, &band->dlambda_a, err));
  NSL_TRY(read_real(doc, lambda_min, 100, 1e6, &band->lambda_min_a, err));
  NSL_TRY(read_real(doc, lambda_max, 100, 1e6, &band->lambda_max_a, err));
  NSL_TRY(read_real(doc, ree80, 1e-3, 10, &band->psf_ree80_arcsec, err));
  band->psf_exponent = 0;
  if (nsl_kv_find(doc, exponent)) { NSL_TRY(read_real(doc, exponent, -0.5, 0.5, &band->psf_exponent, err)); }
  if (band->lambda_min_a >= band->lambda_max_a) {
    const nsl_kv *kv = nsl_kv_find(doc, lambda_max);
    NSL_THROW(err, NSL_E_CONFIG, "%s:%d:%d: '%s' must be larger than lambda_min_a", doc->file, kv->line, kv->column, lambda_max);
  }
cleanup:
  return st;
}

static nsl_status find_or_add_conf(nsl_instrument *inst, const char *file, const char *name, int *index, nsl_error *err)
{
  for (int i = 0; i < inst->n_confs; i++) {
    if (!strcmp(inst->confs[i].name, name)) {
      *index = i;
      return NSL_OK;
    }
  }
  if (inst->n_confs == NSL_CONFS_MAX) { return nsl_fail(err, NSL_E_CONFIG, "%s: more than %d conf files", file, NSL_CONFS_MAX); }
  char *copy = nsl_strdup(name);
  if (!copy) { return nsl_fail(err, NSL_E_NOMEM, "%s: out of memory", file); }
  *index = inst->n_confs;
  inst->confs[inst->n_confs++].name = copy;
  return NSL_OK;
}

static nsl_status parse_grating(const nsl_kvlist *doc, int d, int g, nsl_instrument *inst, nsl_grating *grating, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const char *conf;
  PATH(first, "detectors.%d.gratings.%d.columns.0", d, g);
  PATH(last, "detectors.%d.gratings.%d.columns.1", d, g);
  NSL_TRY(read_real(doc, first, -1e6, 1e6, &grating->x_min, err));
  NSL_TRY(read_real(doc, last, -1e6, 1e6, &grating->x_max, err));
  if (grating->x_min >= grating->x_max) {
    const nsl_kv *kv = nsl_kv_find(doc, last);
    NSL_THROW(err, NSL_E_CONFIG, "%s:%d:%d: '%s' must be larger than the first column", doc->file, kv->line, kv->column, last);
  }
  NSL_TRY(nsl_kv_text(doc, &conf, err, "detectors.%d.gratings.%d.conf", d, g));
  NSL_TRY(find_or_add_conf(inst, doc->file, conf, &grating->conf, err));
cleanup:
  return st;
}

static nsl_status parse_detector(const nsl_kvlist *doc, int d, nsl_instrument *inst, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_detector *det = &inst->detectors[d];
  long id = 0;
  PATH(id_path, "detectors.%d.id", d);
  PATH(band, "detectors.%d.band", d);
  PATH(nx, "detectors.%d.nx", d);
  PATH(ny, "detectors.%d.ny", d);
  PATH(gratings, "detectors.%d.gratings", d);
  NSL_TRY(read_int(doc, id_path, 0, 999999, &id, err));
  for (int i = 0; i < d; i++) {
    if (inst->detectors[i].id == id) {
      const nsl_kv *kv = nsl_kv_find(doc, id_path);
      NSL_THROW(err, NSL_E_CONFIG, "%s:%d:%d: detector %ld is there twice", doc->file, kv->line, kv->column, id);
    }
  }
  det->id = (int)id;
  NSL_TRY(read_band(doc, band, inst, &det->band, err));
  NSL_TRY(read_int(doc, nx, 1, 1000000, &det->nx, err));
  NSL_TRY(read_int(doc, ny, 1, 1000000, &det->ny, err));
  PATH(offset_x, "detectors.%d.offset_arcsec.0", d);
  PATH(offset_y, "detectors.%d.offset_arcsec.1", d);
  NSL_TRY(read_real(doc, offset_x, -1e5, 1e5, &det->offset_x_arcsec, err));
  NSL_TRY(read_real(doc, offset_y, -1e5, 1e5, &det->offset_y_arcsec, err));
  NSL_TRY(list_length(doc, gratings, 1, NSL_GRATINGS_MAX, &det->n_gratings, err));
  for (int g = 0; g < det->n_gratings; g++) {
    NSL_TRY(parse_grating(doc, d, g, inst, &det->gratings[g], err));
    if (g > 0 && det->gratings[g].x_min < det->gratings[g - 1].x_max) {
      NSL_THROW(err, NSL_E_CONFIG,
                "%s: detector %d: grating %d begins before grating %d ends; list them by column, without overlap", doc->file,
                det->id, g, g - 1);
    }
  }
cleanup:
  return st;
}

nsl_status nsl_instrument_parse(const nsl_kvlist *doc, nsl_instrument *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int n_stamp = 0;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  if (!inst) { return nsl_fail(err, NSL_E_NOMEM, "%s: out of memory", doc->file); }
  NSL_TRY(check_keys(doc, err));
  NSL_TRY(read_name(doc, "name", inst->name, sizeof inst->name, err));
  NSL_TRY(read_real(doc, "pixel_scale_arcsec", 1e-4, 100, &inst->pixel_scale_arcsec, err));
  NSL_TRY(read_real(doc, "collecting_area_cm2", 1, 1e9, &inst->collecting_area_cm2, err));
  NSL_TRY(read_real(doc, "dark_e_s", 0, 1e6, &inst->dark_e_s, err));
  NSL_TRY(read_real(doc, "read_noise_e", 0, 1e6, &inst->read_noise_e, err));
  NSL_TRY(read_real(doc, "gain_e_adu", 1e-6, 1e6, &inst->gain_e_adu, err));
  NSL_TRY(read_real(doc, "saturation_e", 1, 1e12, &inst->saturation_e, err));
  NSL_TRY(parse_dq(doc, &inst->dq, err));
  NSL_TRY(list_length(doc, "bands", 1, NSL_BANDS_MAX, &inst->n_bands, err));
  for (int b = 0; b < inst->n_bands; b++) { NSL_TRY(parse_band(doc, b, &inst->bands[b], err)); }
  NSL_TRY(list_length(doc, "stamp", 2, 2, &n_stamp, err));
  NSL_TRY(read_band(doc, "stamp.0", inst, &inst->stamp_band[0], err));
  NSL_TRY(read_band(doc, "stamp.1", inst, &inst->stamp_band[1], err));
  NSL_TRY(list_length(doc, "detectors", 1, NSL_DETECTORS_MAX, &inst->n_detectors, err));
  for (int d = 0; d < inst->n_detectors; d++) { NSL_TRY(parse_detector(doc, d, inst, err)); }
  *out = *inst;
  free(inst);
  return NSL_OK;

cleanup:
  nsl_instrument_free(inst);
  free(inst);
  return st;
}

void nsl_instrument_free(nsl_instrument *inst)
{
  for (int i = 0; i < inst->n_confs; i++) { nsl_trace_conf_free(&inst->confs[i]); }
  *inst = (nsl_instrument){0};
}

const nsl_detector *nsl_instrument_detector(const nsl_instrument *inst, int id)
{
  for (int i = 0; i < inst->n_detectors; i++) {
    if (inst->detectors[i].id == id) { return &inst->detectors[i]; }
  }
  return NULL;
}

const nsl_grating *nsl_detector_grating(const nsl_detector *det, double x_px)
{
  for (int g = 0; g < det->n_gratings; g++) {
    if (x_px >= det->gratings[g].x_min && x_px < det->gratings[g].x_max) { return &det->gratings[g]; }
  }
  return NULL;
}

void nsl_band_columns(const nsl_band *band, int n, int *x0, int *x1)
{
  double first = ceil((band->lambda_min_a - band->lambda0_a) / band->dlambda_a);
  double last = floor((band->lambda_max_a - band->lambda0_a) / band->dlambda_a);
  *x0 = first < 0 ? 0 : first > n ? n : (int)first;
  *x1 = last + 1 < *x0 ? *x0 : last + 1 > n ? n : (int)last + 1;
}

int nsl_instrument_stamp_slot(const nsl_instrument *inst, int band)
{
  for (int s = 0; s < 2; s++) {
    if (inst->stamp_band[s] == band) { return s; }
  }
  return -1;
}
