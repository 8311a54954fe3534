/* Files of training stamps: targets drawn, exposed (mock_studio.h), labelled, written. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "mock_studio.h"
#include "noslit/base/str.h"
#include "noslit/pipe/stamp_file.h"

nsl_status nsl_studio_make(nsl_studio *s, int64_t index, nsl_stamp *stamp, nsl_stamp_label *label, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_mock_source src;
  nsl_source entry;
  double snr[2];
  NSL_TRY(nsl_studio_draw_target(s, index, &src, snr, err));
  NSL_TRY(nsl_studio_draw_neighbours(s, &src, err));
  nsl_population_catalogue_entry(&s->m->population, s->m->seed, &src, &entry);
  stamp->source_id = src.id;
  stamp->flags = 0;
  stamp->sersic_n = (float)entry.shape.sersic_n;
  s->light_own = s->light_others = 0;
  s->met = (nsl_mock_met){0};
  for (int slot = 0; slot < NSL_STAMP_BANDS; slot++) { NSL_TRY(nsl_studio_make_band(s, &src, &entry, slot, stamp, err)); }
  double all = s->light_own + s->light_others;
  *label = (nsl_stamp_label){.source_id = src.id,
                             .z = src.z,
                             .mag = (float)src.mag,
                             .snr_gv = stamp->band[0].snr,
                             .snr_gi = stamp->band[1].snr,
                             .snr_gv_true = (float)snr[0],
                             .snr_gi_true = (float)snr[1],
                             .contamination = all > 0 ? (float)(s->light_others / all) : 0,
                             .type = (int32_t)s->type,
                             .subtype = (int32_t)src.kind,
                             .noise_missing = (float)sqrt(1 - s->m->detector.noise * s->m->detector.noise)};
  label->flux_oii = (float)s->lines.oii3728;
  label->flux_hb = (float)s->lines.hb;
  label->flux_oiii = (float)s->lines.oiii5008;
  label->flux_ha = (float)s->lines.ha;
  label->flux_nii = (float)s->lines.nii6585;
  label->re_arcsec = (float)src.shape.re_arcsec;
  label->axis_ratio = (float)(src.shape.re_arcsec > 0 ? src.shape.q : 1);
  label->pa_deg = (float)(src.shape.re_arcsec > 0 ? src.shape.pa_deg : 0);
  nsl_mock_met_mean(&s->met);
  label->wave_error_gv = (float)s->met.wave_px[0];
  label->wave_error_gi = (float)s->met.wave_px[1];
  label->dispersion_error = (float)s->met.dispersion;
  label->trace_error = (float)s->met.trace_px;
  label->psf_error = (float)s->met.psf;
  label->sky_error = (float)s->met.sky;
  label->astrometric_error = (float)nsl_mock_astrometric_error(&src, &entry);
cleanup:
  return st;
}

static char *provenance(const nsl_mock *m, int64_t first, int64_t n)
{
  return nsl_strf("{\"set\": \"%s\", \"seed\": %llu, \"first\": %lld, \"n\": %lld, \"instrument\": \"%s\", \"clean\": %s}",
                  nsl_config_text(m->cfg, "simulate.set"), (unsigned long long)m->seed, (long long)first, (long long)n,
                  m->inst->name, nsl_config_bool(m->cfg, "simulate.clean") ? "true" : "false");
}

nsl_status nsl_mock_make_stamps(nsl_mock *m, int64_t first, int64_t n, const char *path, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_studio s = {0};
  nsl_stamp_writer *writer = NULL;
  nsl_stamp_set set = {0};
  char *json = provenance(m, first, n);
  NSL_TRY(nsl_studio_open(m, &s, err));
  if (!json || !nsl_stamp_set_alloc(&set, 1)) { NSL_THROW(err, NSL_E_NOMEM, "stamps"); }
  NSL_TRY(nsl_stamp_writer_new(path, m->inst, json, &writer, err));
  for (int64_t i = first; i < first + n; i++) {
    nsl_stamp_label label;
    NSL_TRY(nsl_studio_make(&s, i, &set.stamps[0], &label, err));
    NSL_TRY(nsl_stamp_writer_add(writer, &set.stamps[0], &label, err));
  }
  st = nsl_stamp_writer_finish(writer, err);
  writer = NULL;
cleanup:
  nsl_stamp_writer_discard(writer);
  nsl_stamp_set_free(&set);
  nsl_studio_close(&s);
  free(json);
  return st;
}
