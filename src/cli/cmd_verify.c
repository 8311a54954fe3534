/* noslit verify: are these tile files and catalogues what was written? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/io/json.h"
#include "noslit/pipe/catalogue.h"

#define MAX_FILES 4096

static void set_hash(nsl_json *o, const char *key, nsl_hash h)
{
  char hex[NSL_HASH_HEX];
  nsl_hash_to_hex(h, hex);
  nsl_json_set_text(o, key, hex);
}

static int is_catalogue(const char *path)
{
  size_t n = strlen(path);
  if (n > 5 && strcmp(path + n - 5, ".hdf5") == 0) { return 1; }
  nsl_h5 *f = NULL;
  char *format = NULL;
  int yes = nsl_h5_open(path, &f, NULL) == NSL_OK && nsl_h5_get_text(f, "/", "format", &format, NULL) == NSL_OK &&
            strcmp(format, NSL_CATALOGUE_FORMAT) == 0;
  free(format);
  nsl_h5_close(f, NULL);
  return yes;
}

static nsl_status verify_tile(const char *path, nsl_json *o, char *line, size_t size, nsl_error *err)
{
  nsl_tile_head h;
  nsl_status st = nsl_tile_verify(path, &h, err);
  nsl_json_set_text(o, "kind", "tile");
  if (st != NSL_OK) { return st; }
  snprintf(line, size, "tile %d:%lld, %lld rows, attempt %d, noslit %s (results %d, %s) on %s (%s), %d ranks", h.order,
           (long long)h.tile, (long long)h.n_rows, h.attempts, h.code_version, h.results_version, h.code_commit, h.host,
           h.blas_core, h.ranks);
  nsl_json_set_i64(o, "order", h.order);
  nsl_json_set_i64(o, "tile", h.tile);
  nsl_json_set_i64(o, "rows", h.n_rows);
  nsl_json_set_i64(o, "attempts", h.attempts);
  set_hash(o, "content_hash", h.content_hash);
  set_hash(o, "config_hash", h.config_hash);
  set_hash(o, "model_hash", h.model_hash);
  set_hash(o, "instrument_hash", h.instrument_hash);
  set_hash(o, "input_hash", h.input_hash);
  nsl_json_set_i64(o, "seed", (int64_t)h.seed);
  nsl_json_set_i64(o, "results_version", h.results_version);
  nsl_json_set_text(o, "code_version", h.code_version);
  nsl_json_set_text(o, "code_commit", h.code_commit);
  nsl_json_set_text(o, "blas_core", h.blas_core);
  nsl_json_set_text(o, "libraries", h.libraries);
  nsl_json_set_text(o, "host", h.host);
  nsl_json_set_i64(o, "ranks", h.ranks);
  nsl_json_set_i64(o, "exposures_lost", h.n_exposures_lost);
  return NSL_OK;
}

/* Who merged it; catalogues of older releases lack some of this. */
static void add_merge(const char *path, nsl_json *o)
{
  static const char *const keys[] = {"merge_version", "merge_commit", "merge_libraries", "merge_host", "merge_date"};
  nsl_catalogue *c = NULL;
  int64_t number;
  if (nsl_catalogue_open(path, &c, NULL) != NSL_OK) { return; }
  nsl_h5 *f = nsl_catalogue_file(c);
  if (nsl_h5_get_i64(f, "/", "results_version", &number, NULL) == NSL_OK) { nsl_json_set_i64(o, "results_version", number); }
  if (nsl_h5_get_i64(f, "/", "merge_ranks", &number, NULL) == NSL_OK) { nsl_json_set_i64(o, "merge_ranks", number); }
  for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
    char *text = NULL;
    if (nsl_h5_get_text(f, "/", keys[k], &text, NULL) == NSL_OK) { nsl_json_set_text(o, keys[k], text); }
    free(text);
  }
  nsl_catalogue_close(c);
}

/* The first problem becomes the error, all of them go into the JSON and, after the first, into `more`. */
static nsl_status verify_catalogue(const char *path, nsl_json *o, char *line, size_t size, nsl_str *more, nsl_error *err)
{
  nsl_catalogue_report r;
  nsl_status st = nsl_catalogue_verify(path, &r, err);
  nsl_json_set_text(o, "kind", "catalogue");
  if (st != NSL_OK) {
    nsl_catalogue_report_free(&r);
    return st;
  }
  snprintf(line, size, "catalogue of %lld rows in %lld tiles%s, %s", (long long)r.info.n_rows, (long long)r.info.n_tiles,
           r.info.n_tiles_left_out ? ", PARTIAL" : "", r.has_index ? "compared with its index" : "without an index beside it");
  nsl_json_set_i64(o, "order", r.info.order);
  nsl_json_set_i64(o, "rows", r.info.n_rows);
  nsl_json_set_i64(o, "tiles", r.info.n_tiles);
  nsl_json_set_i64(o, "tiles_left_out", r.info.n_tiles_left_out);
  nsl_json_set_bool(o, "has_index", r.has_index);
  set_hash(o, "content_hash", r.info.content_hash);
  set_hash(o, "config_hash", r.info.config_hash);
  set_hash(o, "model_hash", r.info.model_hash);
  set_hash(o, "instrument_hash", r.info.instrument_hash);
  set_hash(o, "plan_hash", r.info.plan_hash);
  add_merge(path, o);
  if (r.n_problems) {
    nsl_json *list = nsl_json_array();
    char *save = NULL;
    int first = 1;
    for (char *p = strtok_r(r.problems.text, "\n", &save); p; p = strtok_r(NULL, "\n", &save), first = 0) {
      nsl_json_push_text(list, p);
      if (first && r.n_problems == 1) {
        st = nsl_fail(err, NSL_E_CORRUPT, "%s: %s", path, p);
      } else if (first) {
        st = nsl_fail(err, NSL_E_CORRUPT, "%s: %s (%d problems)", path, p, r.n_problems);
      } else {
        nsl_str_addf(more, "     %s\n", p);
      }
    }
    nsl_json_set(o, "problems", list);
  }
  nsl_catalogue_report_free(&r);
  return st;
}

static int verify_file(const char *path, int json, nsl_json *list)
{
  nsl_error err = NSL_ERROR_INIT;
  char line[512] = "";
  nsl_str more;
  nsl_str_init(&more);
  nsl_json *o = nsl_json_object();
  nsl_status st = is_catalogue(path) ? verify_catalogue(path, o, line, sizeof line, &more, &err)
                                     : verify_tile(path, o, line, sizeof line, &err);
  nsl_json_set_text(o, "file", path);
  nsl_json_set_bool(o, "ok", st == NSL_OK);
  if (st != NSL_OK) { nsl_json_set_text(o, "why", err.text); }
  nsl_json_push(list, o);
  if (!json && st == NSL_OK) { printf("ok   %s: %s\n", path, line); }
  if (!json && st != NSL_OK) { printf("BAD  %s\n%s", err.text, more.text); }
  nsl_str_free(&more);
  return st == NSL_OK;
}

static int run(nsl_cli *cli)
{
  nsl_status st = NSL_OK;
  nsl_error err = NSL_ERROR_INIT;
  int json = 0, n = 0, bad = 0;
  char *text = NULL;
  nsl_json *root = nsl_json_object(), *list = nsl_json_array();
  const char **files = calloc(MAX_FILES, sizeof *files);
  const nsl_option options[] = {{"--json", NULL, &json}};
  if (!files) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
  NSL_TRY(nsl_cli_parse(cli, options, 1, NULL, files, MAX_FILES, &n, &err));
  if (!n) { NSL_THROW(&err, NSL_E_USAGE, "which files? noslit verify FILE..."); }
  for (int i = 0; i < n; i++) { bad += !verify_file(files[i], json, list); }
  nsl_json_set_i64(root, "files", n);
  nsl_json_set_i64(root, "bad", bad);
  nsl_json_set(root, "results", list);
  list = NULL;
  if (json) {
    text = nsl_json_text(root);
    if (!text) { NSL_THROW(&err, NSL_E_NOMEM, "no memory"); }
    puts(text);
  } else if (n > 1) {
    printf("%d of %d files are whole\n", n - bad, n);
  }
cleanup:
  free(text);
  free(files);
  nsl_json_free(list);
  nsl_json_free(root);
  if (st != NSL_OK) { return nsl_cli_error(cli, &err); }
  return bad ? NSL_EXIT_INTERNAL : NSL_EXIT_OK;
}

const nsl_command nsl_cmd_verify = {
    "verify",
    "FILE...",
    "hashes, row counts, provenance of tile files or a catalogue",
    0,
    run,
    "  --json    as JSON, with the provenance\n"
    "Reads every byte. A catalogue is checked for its layout, its order, each tile's content and each PDF. Exit code 1 when "
    "anything\n"
    "is wrong.\n",
};
