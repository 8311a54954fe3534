/* A tiny mock for tests: the CSST gratings over two detectors of 640 x 220 pixels. */
#ifndef MOCK_SUPPORT_H
#define MOCK_SUPPORT_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/config_load.h"

static inline nsl_status tiny_write(const char *dir, const char *name, const char *text, nsl_error *err)
{
  char *path = nsl_path_join(dir, name);
  nsl_status st = nsl_write_file(path, text, strlen(text), err);
  free(path);
  return st;
}

/* Writes instrument and configuration into dir and loads both. simulate: further lines of that section. */
static inline nsl_status tiny_mock(const char *dir, const char *simulate, nsl_config **cfg, nsl_instrument *inst, nsl_error *err)
{
  nsl_status st;
  const char *confs = TEST_SOURCE_DIR "/configs/instruments/csst";
  char *instrument = nsl_strf("name: tiny\npixel_scale_arcsec: 0.074\ncollecting_area_cm2: 31415.93\ndark_e_s: 0.02\n"
                              "read_noise_e: 5\ngain_e_adu: 1.1\nsaturation_e: 90000\n"
                              "dq: {bad: [1, 2, 8, 16, 32], saturated: 8, cosmic: 16}\nbands:\n"
                              "  - {name: GV, lambda0_a: 3494.76, dlambda_a: 7.12, lambda_min_a: 3900, lambda_max_a: 6400, "
                              "psf_ree80_arcsec: 0.19}\n"
                              "  - {name: GI, lambda0_a: 6257.065, dlambda_a: 8.53, lambda_min_a: 6250, lambda_max_a: 10000, "
                              "psf_ree80_arcsec: 0.19}\nstamp: [GV, GI]\ndetectors:\n"
                              "  - {id: 1, band: GI, nx: 640, ny: 220, offset_arcsec: [0, 0], gratings: [{columns: [-1000, 256.5], "
                              "conf: %s/GI_L.conf}, {columns: [256.5, 1700], conf: %s/GI_R.conf}]}\n"
                              "  - {id: 2, band: GV, nx: 640, ny: 220, offset_arcsec: [0, 0], gratings: [{columns: [-1000, 256.5], "
                              "conf: %s/GV_L.conf}, {columns: [256.5, 1700], conf: %s/GV_R.conf}]}\n",
                              confs, confs, confs, confs);
  char *config = nsl_strf("survey: {name: tiny, workdir: ., seed: 5}\ninstrument: {file: tiny.yaml}\nsimulate:\n"
                          "  pointings_x: 1\n  pointings_y: 1\n%s",
                          simulate);
  char *path = nsl_path_join(dir, "config.yaml"), *file = nsl_path_join(dir, "tiny.yaml");
  st = nsl_mkdirs(dir, err);
  if (st == NSL_OK) { st = tiny_write(dir, "tiny.yaml", instrument, err); }
  if (st == NSL_OK) { st = tiny_write(dir, "config.yaml", config, err); }
  if (st == NSL_OK) { st = nsl_config_load(path, NULL, 0, cfg, err); }
  if (st == NSL_OK) { st = nsl_instrument_load(file, inst, err); }
  free(instrument);
  free(config);
  free(path);
  free(file);
  return st;
}

#endif
