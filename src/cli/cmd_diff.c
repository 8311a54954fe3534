/* noslit diff: the same sources in two catalogues: what moved, and may it be published? */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/str.h"
#include "noslit/model/flags.h"
#include "noslit/pipe/catalogue_diff.h"

typedef struct {
  double max_sigma, max_moved; /* max_sigma NAN: the gate asks for identity */
  const char *require;
} gate;

static const char *const requirements[] = {"sources",    "redshifts", "flags",   "config", "model",
                                           "instrument", "plan",      "results", "version"};
enum { N_REQUIREMENTS = sizeof requirements / sizeof *requirements };

static nsl_status read_number(const char *option, const char *text, double max, double *out, nsl_error *err)
{
  if (!text) { return NSL_OK; }
  if (!nsl_parse_f64(text, out) || *out < 0 || *out > max) {
    return nsl_fail(err, NSL_E_USAGE, "%s wants a number from 0 to %g, not '%s'", option, max, text);
  }
  return NSL_OK;
}

static int has_word(const char *list, const char *word)
{
  size_t n = strlen(word);
  for (const char *p = list; p; p = strchr(p, ',')) {
    p += *p == ',';
    if (!strncmp(p, word, n) && (p[n] == ',' || !p[n])) { return 1; }
  }
  return 0;
}

static nsl_status check_requirements(const char *list, nsl_error *err)
{
  for (const char *p = list; p && *p;) {
    size_t n = strcspn(p, ",");
    char word[32];
    snprintf(word, sizeof word, "%.*s", (int)n, p);
    int known = 0;
    for (int i = 0; i < N_REQUIREMENTS; i++) { known |= !strcmp(word, requirements[i]); }
    if (!known) {
      return nsl_fail(err, NSL_E_USAGE,
                      "--require: '%s' is none of sources, redshifts, flags, config, model, instrument, plan, results, version",
                      word);
    }
    p += n + (p[n] == ',');
  }
  return NSL_OK;
}

/* Why B may not replace A; nothing when it may. */
static void judge(const gate *g, const nsl_catalogue_diff *d, const char *provenance, nsl_str *no)
{
  const char *r = g->require;
  if (isnan(g->max_sigma)) {
    if (d->changed || d->only_a || d->only_b) { nsl_str_add(no, "the catalogues are not identical\n"); }
  } else {
    if (d->only_a) { nsl_str_addf(no, "%lld sources were lost\n", (long long)d->only_a); }
    if ((double)d->beyond > g->max_moved * (double)d->common) {
      nsl_str_addf(no, "%lld redshifts were lost or moved by more than %g sigma\n", (long long)d->beyond, g->max_sigma);
    }
  }
  if (has_word(r, "sources") && (d->only_a || d->only_b)) { nsl_str_add(no, "required: the same sources\n"); }
  if (has_word(r, "redshifts") && (d->z_lost || d->z_gained)) { nsl_str_add(no, "required: redshifts for the same sources\n"); }
  if (has_word(r, "flags") && d->flags_changed) { nsl_str_add(no, "required: the same flags\n"); }
  static const char *const attributes[][2] = {
      {"config", "config_hash"},      {"model", "model_hash"},      {"instrument", "instrument_hash"}, {"plan", "plan_hash"},
      {"results", "results_version"}, {"version", "merge_version"}, {"version", "merge_commit"}};
  for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
    if (has_word(r, attributes[i][0]) && has_word(provenance, attributes[i][1])) {
      nsl_str_addf(no, "required: the same %s\n", attributes[i][1]);
    }
  }
}

static void print_text(const nsl_catalogue_diff *d, const char *provenance, const char *no)
{
  printf("rows        %lld -> %lld\n", (long long)d->rows_a, (long long)d->rows_b);
  printf("only in A   %lld\nonly in B   %lld\n", (long long)d->only_a, (long long)d->only_b);
  printf("in both     %lld, of them identical %lld, changed %lld\n", (long long)d->common, (long long)d->identical,
         (long long)d->changed);
  printf("redshifts   lost %lld, gained %lld\n", (long long)d->z_lost, (long long)d->z_gained);
  printf("moved by    ");
  for (int i = 0; i < NSL_DIFF_BINS; i++) { printf("%s%g+: %lld", i ? ", " : "", nsl_diff_edges[i], (long long)d->moved[i]); }
  printf(" sigma of A\nflags       changed on %lld\n", (long long)d->flags_changed);
#define FLAG_LINE(name, bit, word, text)                                                                                          \
  if (d->flag_set[bit] || d->flag_cleared[bit]) {                                                                                 \
    printf("            %s: set on %lld, cleared on %lld\n", word, (long long)d->flag_set[bit], (long long)d->flag_cleared[bit]); \
  }
  NSL_FLAG_LIST(FLAG_LINE)
#undef FLAG_LINE
  for (int i = 0; i < d->n_largest; i++) {
    const nsl_diff_mover *m = &d->largest[i];
    printf("%s  source %lld in tile %lld: z %.5f -> %.5f, %.2f sigma\n", i ? "         " : "largest  ", (long long)m->object_id,
           (long long)m->tile, m->z_a, m->z_b, m->n_sigma);
  }
  if (*provenance) { printf("provenance:\n%s", provenance); }
  printf(*no ? "DIFFERENT: %s" : "%s", *no ? no : "the gate is open\n");
}

static nsl_status print_json(const nsl_catalogue_diff *d, nsl_str *provenance, nsl_str *no, nsl_error *err)
{
  nsl_json *root = nsl_catalogue_diff_json(d);
  nsl_str *const lists[2] = {provenance, no};
  const char *const names[2] = {"provenance", "reasons"};
  nsl_json_set_bool(root, "pass", no->n == 0);
  for (int k = 0; k < 2; k++) {
    nsl_json *list = nsl_json_array();
    char *save = NULL;
    for (char *p = strtok_r(lists[k]->text, "\n", &save); p; p = strtok_r(NULL, "\n", &save)) { nsl_json_push_text(list, p); }
    nsl_json_set(root, names[k], list);
  }
  return nsl_cli_print_json(root, err);
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  const char *files[2] = {NULL, NULL}, *max_sigma = NULL, *max_moved = NULL;
  int json = 0, n = 0, different = 0;
  gate g = {NAN, 0, NULL};
  nsl_catalogue_diff *d = calloc(1, sizeof *d);
  nsl_str lines, what, no;
  nsl_str_init(&lines);
  nsl_str_init(&what);
  nsl_str_init(&no);
  const nsl_option options[] = {{"--json", NULL, &json},
                                {"--max-sigma", &max_sigma, NULL},
                                {"--max-moved", &max_moved, NULL},
                                {"--require", &g.require, NULL}};
  if (!d) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_cli_parse(cli, options, 4, NULL, files, 2, &n, &err));
  if (n != 2) { NSL_THROW(&err, NSL_E_USAGE, "which catalogues? noslit diff A B"); }
  NSL_TRY(read_number("--max-sigma", max_sigma, 1e9, &g.max_sigma, &err));
  NSL_TRY(read_number("--max-moved", max_moved, 1, &g.max_moved, &err));
  NSL_TRY(check_requirements(g.require, &err));
  NSL_TRY(nsl_catalogue_compare(files[0], files[1], isnan(g.max_sigma) ? INFINITY : g.max_sigma, d, &err));
  NSL_TRY(nsl_catalogue_compare_provenance(files[0], files[1], &lines, &what, &err));
  judge(&g, d, what.text, &no);
  different = no.n > 0;
  if (json) {
    NSL_TRY(print_json(d, &lines, &no, &err));
  } else {
    print_text(d, lines.text, no.text);
  }
cleanup:
  free(d);
  nsl_str_free(&lines);
  nsl_str_free(&what);
  nsl_str_free(&no);
  if (st != NSL_OK) { return nsl_cli_error(cli, &err); }
  return different ? NSL_EXIT_INTERNAL : NSL_EXIT_OK;
}

const nsl_command nsl_cmd_diff = {
    "diff",
    "A B",
    "same sources in two catalogues: what moved, by how many sigma",
    0,
    run,
    "  --json             as JSON\n"
    "  --max-sigma S      B may differ from A: no source lost, no redshift lost or moved by more than S sigma of A\n"
    "  --max-moved F      ... but for this fraction of the common sources (default 0)\n"
    "  --require LIST     besides, the same: sources, redshifts (which sources have one), flags, config, model, instrument, plan,\n"
    "                     version; comma-separated\n"
    "Exit code 0 when B may replace A (without --max-sigma: rows and PDFs identical bit by bit), 1 when not. Sigma is that of\n"
    "ln(1+z), epistemic and aleatoric together, in A.\n",
};
