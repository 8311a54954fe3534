/* Reads an instrument: the YAML file, its conf files, their sensitivity tables; model gives them meaning. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "noslit/base/hash.h"
#include "noslit/base/str.h"
#include "noslit/io/table.h"
#include "noslit/io/yaml.h"
#include "noslit/pipe/config_load.h"

enum { CONF_BYTES_MAX = 4 << 20, TEXT_TABLE_BYTES_MAX = 64 << 20 };
static const int64_t TABLE_ROWS_MAX = 1000000;

static nsl_status alloc_sensitivity(nsl_sensitivity *s, size_t n, const char *path, nsl_error *err)
{
  s->lambda_a = malloc((n ? n : 1) * sizeof(double));
  s->value = malloc((n ? n : 1) * sizeof(double));
  s->n = n;
  return s->lambda_a && s->value ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "%s: out of memory", path);
}

static nsl_status read_fits_sensitivity(const char *path, nsl_sensitivity *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_table *table = NULL;
  int wavelength, sensitivity;
  NSL_TRY(nsl_table_open(path, NULL, &table, err));
  NSL_TRY(nsl_table_require(table, "WAVELENGTH", &wavelength, err));
  NSL_TRY(nsl_table_require(table, "SENSITIVITY", &sensitivity, err));
  int64_t n = nsl_table_rows(table);
  if (n > TABLE_ROWS_MAX) { NSL_THROW(err, NSL_E_VALUE, "%s: %lld rows are too many for a sensitivity", path, (long long)n); }
  NSL_TRY(alloc_sensitivity(s, (size_t)n, path, err));
  NSL_TRY(nsl_table_read_f64(table, wavelength, 0, n, s->lambda_a, err));
  NSL_TRY(nsl_table_read_f64(table, sensitivity, 0, n, s->value, err));
cleanup:
  nsl_table_close(table);
  return st;
}

/* "wavelength sensitivity" a line, '#' for comments. */
static nsl_status parse_text_sensitivity(char *text, const char *path, nsl_sensitivity *s, nsl_error *err)
{
  size_t n_lines = 1, n = 0;
  for (const char *c = text; *c; c++) { n_lines += *c == '\n'; }
  nsl_status st = alloc_sensitivity(s, n_lines, path, err);
  if (st != NSL_OK) { return st; }
  int number = 0;
  for (char *line = text, *next; line; line = next) {
    next = strchr(line, '\n');
    if (next) { *next++ = '\0'; }
    number++;
    line[strcspn(line, "#\r")] = '\0';
    char *save = NULL, *a = strtok_r(line, " \t,", &save), *b = strtok_r(NULL, " \t,", &save);
    if (!a) { continue; }
    if (!b || strtok_r(NULL, " \t,", &save) || !nsl_parse_f64(a, &s->lambda_a[n]) || !nsl_parse_f64(b, &s->value[n])) {
      return nsl_fail(err, NSL_E_FORMAT, "%s:%d: expected two numbers, wavelength (Angstrom) and sensitivity", path, number);
    }
    n++;
  }
  s->n = n;
  return NSL_OK;
}

static nsl_status read_text_sensitivity(const char *path, nsl_sensitivity *s, nsl_error *err)
{
  char *text = NULL;
  size_t n;
  nsl_status st = nsl_read_file(path, TEXT_TABLE_BYTES_MAX, &text, &n, err);
  if (st == NSL_OK) { st = parse_text_sensitivity(text, path, s, err); }
  free(text);
  return st;
}

static nsl_status check_sensitivity(const nsl_sensitivity *s, const char *path, nsl_error *err)
{
  if (s->n < 2) { return nsl_fail(err, NSL_E_FORMAT, "%s: a sensitivity needs at least two rows", path); }
  for (size_t i = 0; i < s->n; i++) {
    if (!isfinite(s->lambda_a[i]) || !isfinite(s->value[i]) || s->value[i] < 0) {
      return nsl_fail(err, NSL_E_VALUE, "%s: row %zu: wavelength and sensitivity must be finite, sensitivity not negative", path,
                      i + 1);
    }
    if (i > 0 && s->lambda_a[i] <= s->lambda_a[i - 1]) {
      return nsl_fail(err, NSL_E_VALUE, "%s: row %zu: wavelengths must increase", path, i + 1);
    }
  }
  return NSL_OK;
}

static int is_fits_name(const char *path)
{
  size_t n = strlen(path);
  return (n > 5 && !strcmp(path + n - 5, ".fits")) || (n > 4 && !strcmp(path + n - 4, ".fit")) ||
         (n > 8 && !strcmp(path + n - 8, ".fits.gz"));
}

static nsl_status add_file_hash(nsl_hasher *hasher, const char *path, nsl_error *err)
{
  nsl_hash h;
  nsl_status st = nsl_hash_file(path, &h, err);
  if (st == NSL_OK) { nsl_hasher_add(hasher, &h, sizeof h); }
  return st;
}

static nsl_status load_sensitivity(nsl_beam *beam, const char *conf_dir, nsl_hasher *hasher, nsl_error *err)
{
  if (!beam->sensitivity_file || !*beam->sensitivity_file) { return NSL_OK; } /* a beam without light */
  nsl_status st = NSL_OK;
  char *path = nsl_path_join(conf_dir, beam->sensitivity_file);
  if (!path) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", conf_dir); }
  NSL_TRY(is_fits_name(path) ? read_fits_sensitivity(path, &beam->sensitivity, err)
                             : read_text_sensitivity(path, &beam->sensitivity, err));
  NSL_TRY(check_sensitivity(&beam->sensitivity, path, err));
  NSL_TRY(add_file_hash(hasher, path, err));
cleanup:
  free(path);
  return st;
}

/* conf->name holds the file's name as the instrument file says; afterwards the conf is whole and the name is its path. */
static nsl_status load_conf(nsl_trace_conf *conf, const char *base_dir, nsl_hasher *hasher, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_trace_conf parsed = {0};
  char *text = NULL, *dir = NULL, *path = nsl_path_join(base_dir, conf->name);
  size_t n;
  if (!path || !(dir = nsl_path_dir(path))) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", conf->name); }
  NSL_TRY(nsl_read_file(path, CONF_BYTES_MAX, &text, &n, err));
  NSL_TRY(nsl_trace_conf_parse(text, path, &parsed, err));
  if (!nsl_trace_conf_beam(&parsed, 'A')) { NSL_THROW(err, NSL_E_FORMAT, "%s: no first order: BEAMA is missing", path); }
  NSL_TRY(add_file_hash(hasher, path, err));
  for (int b = 0; b < parsed.n_beams; b++) { NSL_TRY(load_sensitivity(&parsed.beams[b], dir, hasher, err)); }
  nsl_trace_conf_free(conf);
  *conf = parsed;
  parsed = (nsl_trace_conf){0};
cleanup:
  nsl_trace_conf_free(&parsed);
  free(text);
  free(dir);
  free(path);
  return st;
}

nsl_status nsl_instrument_load(const char *path, nsl_instrument *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_kvlist doc = {0};
  int parsed = 0;
  char *dir = nsl_path_dir(path);
  nsl_hasher *hasher = nsl_hasher_new();
  if (!dir || !hasher) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", path); }
  NSL_TRY(nsl_yaml_read(path, &doc, err));
  NSL_TRY(nsl_instrument_parse(&doc, out, err));
  parsed = 1;
  NSL_TRY(add_file_hash(hasher, path, err));
  for (int i = 0; i < out->n_confs; i++) {
    st = load_conf(&out->confs[i], dir, hasher, err);
    if (st != NSL_OK) { st = nsl_error_context(err, st, "%s", path); }
    if (st != NSL_OK) { goto cleanup; }
  }
  out->hash = nsl_hasher_value(hasher);
cleanup:
  if (st != NSL_OK && parsed) { nsl_instrument_free(out); }
  nsl_kvlist_free(&doc);
  nsl_hasher_free(hasher);
  free(dir);
  return st;
}
