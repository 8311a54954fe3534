/* Names and headers of mock frames, as the L1 files of the survey have them (facts A3). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mock_internal.h"
#include "noslit/base/str.h"
#include "noslit/pipe/made_by.h"

#define FIRST_EXPOSURE_UTC 1814041800 /* 2027-06-26T20:30:00 */
#define EXPOSURE_SPACING_S 240
#define FIRST_OBSID 100000001
#define DISTORTION 0.0015 /* second-order TPV terms, per degree */

typedef struct {
  const char *key;
  double value;
} number_card;

enum { WCS_NUMBERS = 20 };

/* The plate solution about the boresight, which lies off the detector as in the survey's files. */
static int wcs_numbers(const nsl_mock *m, const nsl_mock_frame *f, number_card out[WCS_NUMBERS])
{
  double scale = m->inst->pixel_scale_arcsec, s = scale / 3600, c = cos(f->rotation_deg * M_PI / 180),
         t = sin(f->rotation_deg * M_PI / 180);
  const number_card linear[] = {{"CRPIX1", 0.5 * ((double)f->det->nx + 1) - f->det->offset_x_arcsec / scale},
                                {"CRPIX2", 0.5 * ((double)f->det->ny + 1) - f->det->offset_y_arcsec / scale},
                                {"CRVAL1", f->ra_deg},
                                {"CRVAL2", f->dec_deg},
                                {"CD1_1", -s * c},
                                {"CD1_2", s * t},
                                {"CD2_1", s * t},
                                {"CD2_2", s * c}};
  const number_card distortion[] = {
      {"PV1_0", 0}, {"PV1_1", 1}, {"PV1_2", 0}, {"PV1_4", DISTORTION},  {"PV1_5", -DISTORTION}, {"PV1_6", DISTORTION / 2},
      {"PV2_0", 0}, {"PV2_1", 1}, {"PV2_2", 0}, {"PV2_4", -DISTORTION}, {"PV2_5", DISTORTION},  {"PV2_6", DISTORTION / 2}};
  memcpy(out, linear, sizeof linear);
  if (strcmp(nsl_config_text(m->cfg, "simulate.wcs"), "TPV")) { return 8; }
  memcpy(out + 8, distortion, sizeof distortion);
  return 20;
}

static const char *wcs_type(const nsl_mock *m, int axis)
{
  int tpv = !strcmp(nsl_config_text(m->cfg, "simulate.wcs"), "TPV");
  return axis ? tpv ? "DEC--TPV" : "DEC--TAN" : tpv ? "RA---TPV" : "RA---TAN";
}

char *nsl_mock_wcs_cards(const nsl_mock *m, const nsl_mock_frame *f, int *n_cards)
{
  number_card numbers[WCS_NUMBERS];
  int n = wcs_numbers(m, f, numbers);
  nsl_str s;
  nsl_str_init(&s);
  nsl_str_addf(&s, "%-8s= %20d%50s", "NAXIS", 2, "");
  nsl_str_addf(&s, "%-8s= %20ld%50s", "NAXIS1", f->det->nx, "");
  nsl_str_addf(&s, "%-8s= %20ld%50s", "NAXIS2", f->det->ny, "");
  nsl_str_addf(&s, "%-8s= '%s'%60s", "CTYPE1", wcs_type(m, 0), "");
  nsl_str_addf(&s, "%-8s= '%s'%60s", "CTYPE2", wcs_type(m, 1), "");
  nsl_str_addf(&s, "%-8s= '%-8s'%60s", "CUNIT1", "deg", "");
  nsl_str_addf(&s, "%-8s= '%-8s'%60s", "CUNIT2", "deg", "");
  nsl_str_addf(&s, "%-8s= '%-8s'%60s", "RADESYS", "ICRS", "");
  for (int i = 0; i < n; i++) { nsl_str_addf(&s, "%-8s= %20.13E%50s", numbers[i].key, numbers[i].value, ""); }
  nsl_str_addf(&s, "%-80s", "END");
  *n_cards = 8 + n + 1;
  char *cards = s.failed ? NULL : nsl_strdup(s.text);
  nsl_str_free(&s);
  return cards;
}

static time_t start_of(const nsl_mock *m, const nsl_mock_frame *f)
{
  return (time_t)(FIRST_EXPOSURE_UTC + EXPOSURE_SPACING_S * (f->pointing * m->n_exposures + f->exposure));
}

static long obsid_of(const nsl_mock *m, const nsl_mock_frame *f)
{
  return FIRST_OBSID + f->pointing * m->n_exposures + f->exposure;
}

char *nsl_mock_frame_name(const nsl_mock *m, const nsl_mock_frame *f)
{
  char begin[32], end[32];
  time_t a = start_of(m, f), b = a + (time_t)m->exptime_s;
  struct tm t;
  strftime(begin, sizeof begin, "%Y%m%d%H%M%S", gmtime_r(&a, &t));
  strftime(end, sizeof end, "%Y%m%d%H%M%S", gmtime_r(&b, &t));
  return nsl_strf("CSST_MSC_MS_SCI_%s_%s_%09ld_%02d_L1_1.fits%s", begin, end, obsid_of(m, f), f->det->id,
                  nsl_config_bool(m->cfg, "simulate.compress") ? ".fz" : "");
}

nsl_status nsl_mock_put_primary(const nsl_mock *m, const nsl_mock_frame *f, nsl_fits_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  char date[32], detector[8], obsid[16];
  time_t a = start_of(m, f);
  struct tm t;
  strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", gmtime_r(&a, &t));
  snprintf(detector, sizeof detector, "%02d", f->det->id);
  snprintf(obsid, sizeof obsid, "%09ld", obsid_of(m, f));
  char *name = nsl_mock_frame_name(m, f);
  if (!name) { NSL_THROW(err, NSL_E_NOMEM, "frame name"); }
  NSL_TRY(nsl_fits_put_i64(w, "NEXTEND", 3, "number of extensions", err));
  NSL_TRY(nsl_fits_put_text(w, "TELESCOP", "CSST", "mock data by noslit", err));
  NSL_TRY(nsl_fits_put_text(w, "INSTRUME", "MSC", NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "DETECTOR", detector, NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "FILTER", m->inst->bands[f->det->band].name, NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "OBSID", obsid, NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "DATE-OBS", date, "start, UTC", err));
  NSL_TRY(nsl_fits_put_f64(w, "EXPTIME", m->exptime_s, "seconds", err));
  NSL_TRY(nsl_fits_put_text(w, "FILENAME", name, NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "CREATOR", nsl_made_by_text(), NULL, err));
  NSL_TRY(nsl_fits_put_i64(w, "SEED", (int64_t)m->seed, "of the mock survey; simulate.json has the rest", err));
cleanup:
  free(name);
  return st;
}

nsl_status nsl_mock_put_wcs(const nsl_mock *m, const nsl_mock_frame *f, nsl_fits_writer *w, nsl_error *err)
{
  nsl_status st = NSL_OK;
  number_card numbers[WCS_NUMBERS];
  int n = wcs_numbers(m, f, numbers);
  NSL_TRY(nsl_fits_put_text(w, "CTYPE1", wcs_type(m, 0), NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "CTYPE2", wcs_type(m, 1), NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "CUNIT1", "deg", NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "CUNIT2", "deg", NULL, err));
  NSL_TRY(nsl_fits_put_text(w, "RADESYS", "ICRS", NULL, err));
  for (int i = 0; i < n; i++) { NSL_TRY(nsl_fits_put_f64(w, numbers[i].key, numbers[i].value, NULL, err)); }
cleanup:
  return st;
}

char *nsl_mock_outdir(const nsl_mock *m)
{
  const char *dir = nsl_config_text(m->cfg, "simulate.outdir");
  return nsl_strdup(*dir ? dir : nsl_config_text(m->cfg, "survey.workdir"));
}
