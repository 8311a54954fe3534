/* Reads a spectrum library (docs/formats.md) into the mock. */
#include <stdlib.h>

#include "mock_format.h"
#include "mock_internal.h"
#include "noslit/io/h5.h"

#define FORMAT "noslit-spectra"
#define VERSION 1
/* Parts of the library: training five, validation, calibration, test (and survey) one each. */
#define PARTS 8

static nsl_status read_all(nsl_h5 *f, nsl_spectra *spectra, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank;
  size_t dims[NSL_H5_MAX_RANK];
  double *lambda = NULL;
  float *flux = NULL;
  int32_t *kind = NULL, *lines = NULL;
  NSL_TRY(nsl_mock_check_format(f, FORMAT, VERSION, "a spectrum library", "make_library.py", err));
  NSL_TRY(nsl_h5_dims(f, "/flux", &rank, dims, err));
  if (rank != 2 || dims[0] < 1 || dims[1] < 2) { NSL_THROW(err, NSL_E_FORMAT, "flux must have the shape [spectra][wavelengths]"); }
  size_t n = dims[0], m = dims[1];
  lambda = malloc(m * sizeof *lambda);
  flux = malloc(m * sizeof *flux);
  kind = malloc(n * sizeof *kind);
  lines = malloc(n * sizeof *lines);
  if (!lambda || !flux || !kind || !lines) { NSL_THROW(err, NSL_E_NOMEM, "%zu spectra", n); }
  NSL_TRY(nsl_h5_read(f, "/wavelength", NSL_H5_F64, m, lambda, err));
  NSL_TRY(nsl_h5_read(f, "/class", NSL_H5_I32, n, kind, err));
  NSL_TRY(nsl_h5_read(f, "/lines", NSL_H5_I32, n, lines, err));
  for (size_t i = 0; i < n; i++) {
    if (kind[i] < NSL_KIND_FIELD || kind[i] > NSL_KIND_STAR) {
      NSL_THROW(err, NSL_E_VALUE, "spectrum %zu is of class %d: it must be 0 field, 1 red, 2 emission lines, 3 quasar or 4 star", i,
                (int)kind[i]);
    }
    NSL_TRY(nsl_h5_read_rows(f, "/flux", NSL_H5_F32, m, i, 1, flux, err));
    st = nsl_spectra_add(spectra, (nsl_kind)kind[i], lines[i] != 0, m, lambda, flux, err);
    if (st != NSL_OK) {
      st = nsl_error_context(err, st, "spectrum %zu", i);
      goto cleanup;
    }
  }
cleanup:
  free(lambda);
  free(flux);
  free(kind);
  free(lines);
  return st;
}

nsl_status nsl_mock_read_library(const char *path, nsl_spectra *spectra, nsl_error *err)
{
  nsl_h5 *f = NULL;
  nsl_status st = nsl_h5_open(path, &f, err);
  if (st == NSL_OK) { st = read_all(f, spectra, err); }
  nsl_h5_close(f, NULL);
  return st == NSL_OK ? st : nsl_error_context(err, st, "%s", path);
}

void nsl_mock_sed(const nsl_mock *m, int64_t id, nsl_kind kind, double z, nsl_sed_params *p)
{
  nsl_sed_params_draw(m->seed, (uint64_t)id, kind, z, p);
  if (nsl_spectra_n_added(m->spectra) == 0) { return; }
  nsl_rng r = nsl_rng_make(m->seed, NSL_RNG_SPECTRUM, (uint64_t)id, 2);
  int set = (int)(id / NSL_MOCK_SET_STRIDE), train = (int)nsl_rng_below(&r, PARTS - 3);
  int from_library = nsl_rng_uniform(&r) < m->library_fraction;
  int part = set == NSL_SET_TRAIN         ? train
             : set == NSL_SET_VALIDATION  ? PARTS - 3
             : set == NSL_SET_CALIBRATION ? PARTS - 2
                                          : PARTS - 1;
  if (from_library) { nsl_spectra_mix(m->spectra, m->seed, (uint64_t)id, part, PARTS, p); }
}
