#include "noslit/pipe/survey_summary.h"

#include <math.h>

#include "noslit/model/flags.h"

#define Z_STEP 0.01
#define SNR_STEP 0.5
#define STACK_UNIT 4294967296.0

static int bin_of(double v, double step, int n)
{
  if (!(v > 0)) { return 0; }
  double b = v / step;
  return b >= n ? n - 1 : (int)b;
}

/* Shares a PDF bin's probability out among the z bins that it overlaps. */
static void stack_bin(nsl_survey_summary *s, double z0, double z1, double prob)
{
  int first = bin_of(z0, Z_STEP, NSL_SUMMARY_Z_BINS), last = bin_of(z1, Z_STEP, NSL_SUMMARY_Z_BINS);
  for (int b = first; b <= last; b++) {
    double low = b == first ? z0 : b * Z_STEP, high = b == last ? z1 : (b + 1) * Z_STEP;
    s->nz_stack[b] += llround(prob * (high - low) / (z1 - z0) * STACK_UNIT);
  }
}

void nsl_survey_summary_add(nsl_survey_summary *s, const nsl_rows *rows, size_t first, size_t n)
{
  for (size_t i = first; i < first + n; i++) {
    s->rows++;
    for (int b = 0; b < 32; b++) { s->flags[b] += rows->flags[i] >> b & 1; }
    s->snr_gv[bin_of((double)rows->snr_gv[i], SNR_STEP, NSL_SUMMARY_SNR_BINS)]++;
    s->snr_gi[bin_of((double)rows->snr_gi[i], SNR_STEP, NSL_SUMMARY_SNR_BINS)]++;
    if (rows->flags[i] & NSL_FLAG_NO_PDF) { continue; }
    s->with_pdf++;
    s->nz_mode[bin_of((double)rows->z_mode[i], Z_STEP, NSL_SUMMARY_Z_BINS)]++;
    const float *density = rows->pdf + i * (size_t)rows->grid.n;
    double e0 = exp(rows->grid.u0), step = exp(rows->grid.du); /* 1 + z of the edges, by recurrence: exp() per bin is slow */
    for (int b = 0; b < rows->grid.n; b++, e0 *= step) {
      double width = e0 * (step - 1);
      if (density[b] > 0) { stack_bin(s, e0 - 1, e0 - 1 + width, (double)density[b] * width); }
    }
  }
}

static nsl_json *counts(const int64_t *v, int n, double scale)
{
  nsl_json *a = nsl_json_array();
  for (int i = 0; i < n; i++) { nsl_json_push_f64(a, (double)v[i] * scale); }
  return a;
}

nsl_json *nsl_survey_summary_json(const nsl_survey_summary *s)
{
  nsl_json *root = nsl_json_object(), *flags = nsl_json_object(), *nz = nsl_json_object(), *snr = nsl_json_object();
  nsl_json_set_i64(root, "rows", s->rows);
  nsl_json_set_i64(root, "with_pdf", s->with_pdf);
#define FLAG_COUNT(name, bit, word, text) nsl_json_set_i64(flags, word, s->flags[bit]);
  NSL_FLAG_LIST(FLAG_COUNT)
#undef FLAG_COUNT
  nsl_json_set(root, "flags", flags);
  nsl_json_set_f64(nz, "z_step", Z_STEP);
  nsl_json_set(nz, "z_mode", counts(s->nz_mode, NSL_SUMMARY_Z_BINS, 1));
  nsl_json_set(nz, "pdf_stack", counts(s->nz_stack, NSL_SUMMARY_Z_BINS, 1 / STACK_UNIT));
  nsl_json_set(root, "nz", nz);
  nsl_json_set_f64(snr, "snr_step", SNR_STEP);
  nsl_json_set(snr, "snr_gv", counts(s->snr_gv, NSL_SUMMARY_SNR_BINS, 1));
  nsl_json_set(snr, "snr_gi", counts(s->snr_gi, NSL_SUMMARY_SNR_BINS, 1));
  nsl_json_set(root, "snr", snr);
  return root;
}
