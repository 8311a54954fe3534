/* One catalogue row in words. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/model/flags.h"
#include "show_output.h"

enum { PEAKS = 4 };

typedef struct {
  double z, probability;
} peak;

/* Probability within 0.01 (1+z) of the highest bin left, then that stretch is taken out, and again. */
static int find_peaks(const nsl_pdf_grid *g, float *prob, peak *peaks)
{
  int n = 0, half = (int)(0.01 / g->du + 0.5);
  for (; n < PEAKS; n++) {
    int top = 0;
    for (int i = 1; i < g->n; i++) {
      if (prob[i] > prob[top]) { top = i; }
    }
    int first = top - half < 0 ? 0 : top - half, last = top + half >= g->n ? g->n - 1 : top + half;
    double sum = 0;
    for (int i = first; i <= last; i++) {
      sum += (double)prob[i];
      prob[i] = 0;
    }
    if (sum < 0.01) { break; }
    peaks[n] = (peak){expm1(g->u0 + (top + 0.5) * g->du), sum};
  }
  return n;
}

static void print_flags(uint32_t flags)
{
  static const struct {
    uint32_t bit;
    const char *word, *text;
  } list[] = {
#define ROW(name, bit, word, text) {name, word, text},
      NSL_FLAG_LIST(ROW)
#undef ROW
  };
  printf("flags         %s\n", flags ? "" : "none");
  for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
    if (flags & list[i].bit) { printf("  %-14s %s\n", list[i].word, list[i].text); }
  }
}

static void print_redshift(const nsl_rows *r, const float *prob)
{
  const nsl_pdf_grid *g = &r->grid;
  printf("redshift      %.5f (mode)   %.5f (median)   %.5f (mean)\n", (double)r->z_mode[0], (double)r->z_median[0],
         (double)r->z_mean[0]);
  printf("68 %%          %.5f .. %.5f\n", (double)r->z_lo68[0], (double)r->z_hi68[0]);
  printf("95 %%          %.5f .. %.5f\n", expm1(nsl_pdf_quantile_u(g, prob, 0.025)), expm1(nsl_pdf_quantile_u(g, prob, 0.975)));
  printf("odds          %.4f within 0.01 (1+z); calibrated probability %.4f\n", (double)r->odds[0], (double)r->p_good[0]);
  printf("E/(1+z)       %.5f between dropout samples, %.5f within; mutual information %.4f nat, %d samples\n",
         (double)r->sigma_epistemic[0], (double)r->sigma_aleatoric[0], (double)r->mutual_info[0], (int)r->n_samples[0]);
}

static void print_peaks(const nsl_pdf_grid *g, float *prob)
{
  peak peaks[PEAKS];
  int n = find_peaks(g, prob, peaks);
  printf("peaks        ");
  for (int i = 0; i < n; i++) { printf(" z = %.4f (%.1f %%)%s", peaks[i].z, 100 * peaks[i].probability, i + 1 < n ? "," : ""); }
  printf("\n");
}

static void print_attribute(nsl_h5 *f, const char *heading, const char *key)
{
  char *text = NULL;
  if (nsl_h5_get_text(f, "/", key, &text, NULL) == NSL_OK) { printf("  %-14s %s\n", heading, text); }
  free(text);
}

static void print_provenance(nsl_catalogue *c, int64_t row)
{
  nsl_h5 *f = nsl_catalogue_file(c);
  printf("provenance    row %lld of %lld\n", (long long)row, (long long)nsl_catalogue_rows(c));
  print_attribute(f, "survey", "survey");
  print_attribute(f, "content", "content_hash");
  print_attribute(f, "configuration", "config_hash");
  print_attribute(f, "model", "model_hash");
  print_attribute(f, "merged", "merge_date");
  print_attribute(f, "noslit", "merge_version");
  print_attribute(f, "commit", "merge_commit");
  print_attribute(f, "libraries", "merge_libraries");
}

nsl_status nsl_show_print(nsl_catalogue *c, const nsl_rows *r, int64_t row, double z_true, nsl_error *err)
{
  float *prob = malloc((size_t)r->grid.n * sizeof *prob);
  if (!prob) { return nsl_fail(err, NSL_E_NOMEM, "no memory for a PDF of %d bins", r->grid.n); }
  printf("source        %lld\n", (long long)r->object_id[0]);
  printf("position      %.6f %+.6f deg   tile %d:%lld   mag %.2f\n", r->ra[0], r->dec[0], nsl_catalogue_order(c),
         (long long)r->tile[0], (double)r->mag[0]);
  if (r->flags[0] & NSL_FLAG_NO_PDF) {
    printf("redshift      none: the source could not be measured\n");
  } else {
    nsl_pdf_from_density_z(&r->grid, r->pdf, prob);
    print_redshift(r, prob);
    print_peaks(&r->grid, prob);
  }
  if (isfinite(z_true)) {
    double e = ((double)r->z_mode[0] - z_true) / (1 + z_true);
    printf("truth         %.5f   (z - z_true)/(1+z_true) = %+.5f\n", z_true, e);
  }
  printf("GV            SNR %.2f   %d exposures   %.0f %% of the range seen\n", (double)r->snr_gv[0], (int)r->n_exp_gv[0],
         100 * (double)r->coverage_gv[0]);
  printf("GI            SNR %.2f   %d exposures   %.0f %% of the range seen\n", (double)r->snr_gi[0], (int)r->n_exp_gi[0],
         100 * (double)r->coverage_gi[0]);
  printf("neighbours    %.1f %% of the light in the aperture (worse band)\n", 100 * (double)r->contamination[0]);
  print_flags(r->flags[0]);
  print_provenance(c, row);
  free(prob);
  return NSL_OK;
}

void nsl_show_print_facts(const nsl_card_facts *facts)
{
  printf("exposures     %zu may hold it\n", facts->n_exposures);
  for (size_t i = 0; i < facts->n_exposures; i++) { printf("  %s\n", facts->exposures[i] ? facts->exposures[i] : "?"); }
}
