/* noslit audit: every source of the input catalogue is in the product, or has a reason. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "noslit/io/json.h"
#include "noslit/model/flags.h"
#include "noslit/par/audit.h"
#include "noslit/pipe/config_load.h"

static const char *const flag_words[16] = {
#define WORD(name, bit, word, text) [bit] = word,
    NSL_FLAG_LIST(WORD)
#undef WORD
};

/* The counts of an audit, named. */
enum { N_COUNTS = 10 };
typedef struct {
  const char *key, *text;
  int64_t n;
} named_count;

static void list_counts(const nsl_audit *a, named_count out[N_COUNTS])
{
  const named_count all[N_COUNTS] = {
      {"input", "sources in the input catalogue", a->input},
      {"with_pdf", "in the product with a PDF", a->with_pdf},
      {"without_pdf", "in the product without a PDF", a->without_pdf},
      {"rejected", "no usable position", a->rejected},
      {"faint", "fainter than input.mag_faint", a->faint},
      {"quarantined", "tile in quarantine", a->quarantined},
      {"not_done", "tile not done", a->not_done},
      {"not_merged", "tile done, but not merged", a->not_merged},
      {"lost", "LOST: no reason", a->lost},
      {"foreign", "rows of the product that are not in the input", a->foreign},
  };
  for (int i = 0; i < N_COUNTS; i++) { out[i] = all[i]; }
}

static int is_complete(const nsl_audit *a) { return !a->not_done && !a->not_merged && !a->lost && !a->foreign; }

static void print_text(const nsl_audit *a)
{
  named_count counts[N_COUNTS];
  list_counts(a, counts);
  for (int i = 0; i < N_COUNTS; i++) {
    printf("  %12lld  %s\n", (long long)counts[i].n, counts[i].text);
    for (int b = 1; i == 2 && b < 16; b++) {
      if (a->no_pdf_flag[b]) { printf("  %12s  flag %s: %lld\n", "", flag_words[b], (long long)a->no_pdf_flag[b]); }
    }
  }
  for (int i = 0; i < a->n_told; i++) {
    printf("source %lld (tile %lld): %s\n", (long long)a->told[i].id, (long long)a->told[i].tile, a->told[i].what);
  }
  printf("%s\n",
         is_complete(a) ? "every source is in the product or has a reason" : "NOT COMPLETE: there are sources without a reason");
}

static nsl_status print_json(const nsl_audit *a, nsl_error *err)
{
  named_count counts[N_COUNTS];
  nsl_json *root = nsl_json_object(), *flags = nsl_json_object(), *told = nsl_json_array();
  list_counts(a, counts);
  for (int i = 0; i < N_COUNTS; i++) { nsl_json_set_i64(root, counts[i].key, counts[i].n); }
  for (int b = 1; b < 16; b++) { nsl_json_set_i64(flags, flag_words[b], a->no_pdf_flag[b]); }
  nsl_json_set(root, "without_pdf_flags", flags);
  for (int i = 0; i < a->n_told; i++) {
    nsl_json *o = nsl_json_object();
    nsl_json_set_i64(o, "source", a->told[i].id);
    nsl_json_set_i64(o, "tile", a->told[i].tile);
    nsl_json_set_text(o, "why", a->told[i].what);
    nsl_json_push(told, o);
  }
  nsl_json_set(root, "first", told);
  nsl_json_set_bool(root, "complete", is_complete(a));
  char *text = nsl_json_text(root);
  nsl_json_free(root);
  if (!text) { return nsl_fail(err, NSL_E_NOMEM, "no memory"); }
  puts(text);
  free(text);
  return NSL_OK;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  nsl_config *cfg = NULL;
  nsl_instrument *inst = calloc(1, sizeof *inst);
  nsl_audit audit;
  const char *path = NULL;
  int n = 0, json = 0;
  const nsl_option options[] = {{"--json", NULL, &json}};
  if (!inst) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_cli_parse(cli, options, 1, NULL, &path, 1, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which configuration? noslit audit CONFIG"); }
  NSL_TRY(nsl_cli_config(cli, path, &cfg, &err));
  NSL_TRY(nsl_config_require(cfg, "instrument.file", &err));
  NSL_TRY(nsl_instrument_load(nsl_config_text(cfg, "instrument.file"), inst, &err));
  NSL_TRY(nsl_audit_survey(cfg, inst, 0, &audit, &err));
  if (json) {
    NSL_TRY(print_json(&audit, &err));
  } else {
    print_text(&audit);
  }
cleanup:
  nsl_config_free(cfg);
  if (inst) { nsl_instrument_free(inst); }
  free(inst);
  if (st != NSL_OK) { return nsl_cli_error(cli, &err); }
  if (!is_complete(&audit)) { return NSL_EXIT_INTERNAL; }
  return audit.quarantined ? NSL_EXIT_QUARANTINED : NSL_EXIT_OK;
}

const nsl_command nsl_cmd_audit = {
    "audit",
    "CONFIG",
    "is every source in the product, or why not",
    0,
    run,
    "Compares the input catalogue with output.catalogue, source by source, whatever the plan says. Exit code 0: all are in the\n"
    "product or were not to be measured; 3: the rest is in quarantined tiles; 1: some are missing without such a reason.\n"
    "  --json     as JSON\n",
};
