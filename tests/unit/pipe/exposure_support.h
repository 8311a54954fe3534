/* Small L1 exposures for tests, right or wrong in a chosen way, and an instrument of two small detectors with CSST's gratings. */
#ifndef EXPOSURE_SUPPORT_H
#define EXPOSURE_SUPPORT_H

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/io/fits.h"
#include "noslit/pipe/config_load.h"
#include "unit/test_support.h"

enum { TOY_NX = 1200, TOY_NY = 240 };

/* A fresh directory under the working directory; caller frees. */
static inline char *toy_directory(const char *name)
{
  char *dir = nsl_strf("toy_%s_%d", name, (int)getpid());
  assert_ok(nsl_mkdirs(dir, &test_err));
  return dir;
}

/* Removes it with all that is in it, and frees the name; the status of rm. */
static inline int toy_remove(char *dir)
{
  char *rm = nsl_strf("rm -rf %s", dir);
  int rc = system(rm);
  free(rm);
  free(dir);
  return rc;
}

/* Detector 1 (GI) and 2 (GV), whose gratings meet at a column; caller frees with nsl_instrument_free and free. */
static inline nsl_instrument *toy_instrument_split(const char *dir, double split)
{
  nsl_str s;
  nsl_str_init(&s);
  nsl_str_add(
      &s, "name: Toy\npixel_scale_arcsec: 0.074\ncollecting_area_cm2: 31415.93\ndark_e_s: 0.02\nread_noise_e: 5\n"
          "gain_e_adu: 1.1\nsaturation_e: 90000\ndq: {bad: [1, 8, 16], saturated: 8, cosmic: 16}\nbands:\n"
          "  - {name: GV, lambda0_a: 3494.76, dlambda_a: 7.12, lambda_min_a: 3900, lambda_max_a: 6400, psf_ree80_arcsec: 0.19}\n"
          "  - {name: GI, lambda0_a: 6257.065, dlambda_a: 8.53, lambda_min_a: 6300, lambda_max_a: 10000, psf_ree80_arcsec: 0.19}\n"
          "stamp: [GV, GI]\ndetectors:\n");
  for (int id = 1; id <= 2; id++) {
    const char *band = id == 1 ? "GI" : "GV", *confs = TEST_SOURCE_DIR "/configs/instruments/csst";
    nsl_str_addf(
        &s,
        "  - {id: %d, band: %s, nx: %d, ny: %d, offset_arcsec: [0, 0], gratings: [{columns: [-1000, %g], conf: %s/%s_L.conf}, "
        "{columns: [%g, 2200], conf: %s/%s_R.conf}]}\n",
        id, band, TOY_NX, TOY_NY, split, confs, band, split, confs, band);
  }
  char *path = nsl_path_join(dir, "toy.yaml");
  assert_ok(nsl_write_file(path, s.text, s.n, &test_err));
  nsl_instrument *inst = calloc(1, sizeof *inst);
  assert_ok(nsl_instrument_load(path, inst, &test_err));
  free(path);
  nsl_str_free(&s);
  return inst;
}

static inline nsl_instrument *toy_instrument(const char *dir) { return toy_instrument_split(dir, 480.5); }

typedef struct {
  const char *name; /* file name */
  int detector;     /* DETECTOR key; 0 leaves it out */
  const char *obsid, *unit;
  double exptime_s;       /* 0 leaves it out */
  double crpix1, crpix2;  /* 0, 0: no WCS at all */
  const char *without;    /* this extension is left out */
  int ny, compress;       /* ny 0: TOY_NY */
  const float *sci, *err; /* e-/s; NULL: 1 and 0.1 */
  const int16_t *dq;      /* NULL: 0 */
} toy_exposure;

#define TOY_RA 150.0
#define TOY_DEC 2.2

static inline void toy_wcs(nsl_fits_writer *w, const toy_exposure *t)
{
  if (t->crpix1 == 0 && t->crpix2 == 0) { return; }
  double cd = 0.074 / 3600;
  assert_ok(nsl_fits_put_text(w, "CTYPE1", "RA---TAN", NULL, &test_err));
  assert_ok(nsl_fits_put_text(w, "CTYPE2", "DEC--TAN", NULL, &test_err));
  assert_ok(nsl_fits_put_text(w, "RADESYS", "ICRS", NULL, &test_err));
  const struct {
    const char *key;
    double v;
  } keys[] = {{"CRPIX1", t->crpix1}, {"CRPIX2", t->crpix2}, {"CRVAL1", TOY_RA}, {"CRVAL2", TOY_DEC},
              {"CD1_1", -cd},        {"CD1_2", 0},          {"CD2_1", 0},       {"CD2_2", cd}};
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    assert_ok(nsl_fits_put_f64(w, keys[i].key, keys[i].v, NULL, &test_err));
  }
}

/* Writes it; the path is the caller's to free. */
static inline char *toy_write(const char *dir, const toy_exposure *t)
{
  long ny = t->ny ? t->ny : TOY_NY, n = TOY_NX * ny;
  float *one = malloc((size_t)n * sizeof *one), *tenth = malloc((size_t)n * sizeof *tenth);
  int16_t *zero = calloc((size_t)n, sizeof *zero);
  for (long i = 0; i < n; i++) {
    one[i] = 1;
    tenth[i] = 0.1f;
  }
  char *path = nsl_path_join(dir, t->name);
  nsl_fits_writer *w;
  assert_ok(nsl_fits_create(path, 1, &w, &test_err));
  if (t->detector) { assert_ok(nsl_fits_put_i64(w, "DETECTOR", t->detector, NULL, &test_err)); }
  if (t->obsid) { assert_ok(nsl_fits_put_text(w, "OBSID", t->obsid, NULL, &test_err)); }
  if (t->exptime_s != 0) { assert_ok(nsl_fits_put_f64(w, "EXPTIME", t->exptime_s, NULL, &test_err)); }
  const char *without = t->without ? t->without : "";
  if (strcmp(without, "SCI") != 0) {
    assert_ok(nsl_fits_add_image(w, "SCI", NSL_FITS_F32, TOY_NX, ny, t->sci ? t->sci : one, t->compress, &test_err));
    if (t->unit) { assert_ok(nsl_fits_put_text(w, "BUNIT", t->unit, NULL, &test_err)); }
    toy_wcs(w, t);
  }
  if (strcmp(without, "ERR") != 0) {
    assert_ok(nsl_fits_add_image(w, "ERR", NSL_FITS_F32, TOY_NX, ny, t->err ? t->err : tenth, t->compress, &test_err));
  }
  if (strcmp(without, "DQ") != 0) {
    assert_ok(nsl_fits_add_image(w, "DQ", NSL_FITS_I16, TOY_NX, ny, t->dq ? t->dq : zero, t->compress, &test_err));
  }
  assert_ok(nsl_fits_finish(w, &test_err));
  free(one);
  free(tenth);
  free(zero);
  return path;
}

static inline void toy_cut(const char *path, int64_t bytes_off)
{
  int64_t size, mtime;
  assert_ok(nsl_file_stat(path, &size, &mtime, &test_err));
  assert_int_equal(truncate(path, size - bytes_off), 0);
}

#endif
