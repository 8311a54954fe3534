#include <math.h>
#include <stdio.h>
#include <string.h>

#include "validate_output.h"

/* Columns of the table: key, heading, width. */
static const struct {
  const char *key, *heading;
  int width;
  const char *format;
} columns[] = {
    {"bias", "bias", 9, "%+.5f"},     {"outlier_0.02", ">0.02", 7, "%.4f"}, {"outlier_0.15", ">0.15", 7, "%.4f"},
    {"mean_e", "E/(1+z)", 8, "%.4f"}, {"pit_ks", "PIT KS", 7, "%.3f"},      {"crps", "CRPS", 8, "%.5f"},
    {"nll", "NLL", 7, "%.2f"},        {"coverage_68", "in 68%", 7, "%.3f"}, {"coverage_95", "in 95%", 7, "%.3f"},
};

static void print_number(int width, const char *format, double v)
{
  char text[32] = "-";
  if (isfinite(v)) { snprintf(text, sizeof text, format, v); }
  printf(" %*s", width, text);
}

static void print_header(void)
{
  printf("%-20s %8s %8s %8s %7s", "selection", "n", "NMAD", "+-", "paper");
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) { printf(" %*s", columns[c].width, columns[c].heading); }
  printf("\n");
}

static void print_selection(const nsl_json *metrics, const char *key)
{
  const nsl_json *s = nsl_json_get(metrics, key);
  if (!s) { return; }
  const nsl_json *paper = nsl_json_get(nsl_json_get(nsl_json_get(metrics, "meta"), "paper"), key);
  double n = nsl_json_get_f64(s, "n", 0);
  printf("%-20s %8.0f", key, n);
  print_number(8, "%.5f", nsl_json_get_f64(s, "sigma_nmad", NAN));
  print_number(8, "%.5f", nsl_json_get_f64(s, "sigma_nmad_err", NAN));
  print_number(7, "%.4f", paper ? nsl_json_get_f64(paper, "sigma_nmad", NAN) : NAN);
  for (size_t c = 0; c < sizeof columns / sizeof *columns; c++) {
    print_number(columns[c].width, columns[c].format, nsl_json_get_f64(s, columns[c].key, NAN));
  }
  printf("%s\n", nsl_json_get(s, "few") ? "  few" : "");
}

static void print_match(const nsl_json *metrics)
{
  const nsl_json *m = nsl_json_get(metrics, "match"), *meta = nsl_json_get(metrics, "meta");
  printf("%s\n%s\n", nsl_json_get_text(meta, "catalogue", ""), nsl_json_get_text(meta, "truth", ""));
  printf("matched by %s: %.0f of %.0f true redshifts, %.0f sources in the catalogue, %.0f ambiguous\n",
         nsl_json_get_text(m, "by", "?"), nsl_json_get_f64(m, "matched", 0), nsl_json_get_f64(m, "n_truth", 0),
         nsl_json_get_f64(m, "n_catalogue", 0), nsl_json_get_f64(m, "ambiguous", 0));
  printf("completeness (matched sources with a PDF): %.4f   SNR_GI from the %s\n\n", nsl_json_get_f64(m, "completeness", NAN),
         nsl_json_get_text(meta, "snr_gi", "?"));
}

void nsl_validate_print(const nsl_json *metrics)
{
  static const char *const fixed[] = {"all", "snr_gi>=1", "snr_gi>=3", "snr_gi>=5", "snr_gi>=10"};
  static const char *const bins[] = {"snr_gi[0,1)",  "snr_gi[1,1.5)", "snr_gi[1.5,2)",  "snr_gi[2,3)", "snr_gi[3,5)",
                                     "snr_gi[5,10)", "snr_gi[10,20)", "snr_gi[20,inf)", "flags==0"};
  print_match(metrics);
  print_header();
  for (size_t i = 0; i < sizeof fixed / sizeof *fixed; i++) { print_selection(metrics, fixed[i]); }
  printf("\n");
  for (size_t i = 0; i < sizeof bins / sizeof *bins; i++) { print_selection(metrics, bins[i]); }
  const nsl_json *pure = nsl_json_get(nsl_json_get(metrics, "confidence"), "purity_99");
  if (pure) {
    printf("\nodds >= %.4f: %.1f %% of the sources, 99 %% of them right to 0.02 (1+z)\n", nsl_json_get_f64(pure, "threshold", NAN),
           100 * nsl_json_get_f64(pure, "efficiency", NAN));
  }
}
