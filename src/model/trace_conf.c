/* aXe configuration text: KEYWORD value..., comments after '#' or ';', one keyword a line. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/str.h"
#include "noslit/model/trace.h"

enum { WORDS_MAX = 16, LINE_SIZE = 1024 };

/* What the parser must remember to check a beam when the file has been read. */
typedef struct {
  int beam_line, dydx_line, dldp_line; /* of BEAMX, DYDX_ORDER_X, DISP_ORDER_X; 0 while not seen */
  int first_line;                      /* where the beam was first spoken of */
  unsigned dydx_seen, dldp_seen;       /* bit i: coefficient i was given */
} beam_notes;

typedef struct {
  const char *name; /* of the file */
  int line;
  nsl_trace_conf *conf;
  beam_notes notes[NSL_BEAMS_MAX];
} parser;

static nsl_status find_or_add_beam(parser *p, char name, int *index, nsl_error *err)
{
  nsl_trace_conf *conf = p->conf;
  for (int i = 0; i < conf->n_beams; i++) {
    if (conf->beams[i].name == name) {
      *index = i;
      return NSL_OK;
    }
  }
  if (conf->n_beams == NSL_BEAMS_MAX) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: beam %c is one too many; at most %d are understood", p->name, p->line, name,
                    NSL_BEAMS_MAX);
  }
  *index = conf->n_beams++;
  conf->beams[*index].name = name;
  p->notes[*index].first_line = p->line;
  return NSL_OK;
}

static nsl_status parse_numbers(const parser *p, const char *key, char **words, int n, double *out, nsl_error *err)
{
  for (int i = 0; i < n; i++) {
    if (!nsl_parse_f64(words[i], &out[i])) {
      return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s: '%s' is not a number", p->name, p->line, key, words[i]);
    }
  }
  return NSL_OK;
}

static nsl_status parse_field(const parser *p, const char *key, char **words, int n, nsl_field_poly *out, nsl_error *err)
{
  if (n != 1 && n != 3 && n != 6) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s has %d values; a field-dependent coefficient has 1, 3 or 6", p->name, p->line,
                    key, n);
  }
  *out = (nsl_field_poly){{0}};
  return parse_numbers(p, key, words, n, out->a, err);
}

/* DYDX_ORDER_A n: the polynomial has n + 1 coefficients. */
static nsl_status parse_order(const parser *p, const char *key, char **words, int n, int *n_coefficients, nsl_error *err)
{
  int64_t order = -1;
  if (n != 1 || !nsl_parse_i64(words[0], &order) || order < 0 || order >= NSL_TRACE_TERMS_MAX) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s must be one whole number from 0 to %d", p->name, p->line, key,
                    NSL_TRACE_TERMS_MAX - 1);
  }
  *n_coefficients = (int)order + 1;
  return NSL_OK;
}

static nsl_status parse_coefficient(const parser *p, const char *key, const char *index_text, char **words, int n,
                                    nsl_field_poly *polys, unsigned *seen, nsl_error *err)
{
  int64_t index = -1;
  if (!nsl_parse_i64(index_text, &index) || index < 0 || index >= NSL_TRACE_TERMS_MAX) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s: coefficients are numbered 0 to %d", p->name, p->line, key,
                    NSL_TRACE_TERMS_MAX - 1);
  }
  *seen |= 1u << index;
  return parse_field(p, key, words, n, &polys[index], err);
}

/* Matches "<prefix><letter><rest>" and gives the letter and where the rest begins. */
static int match(const char *key, const char *prefix, char *letter, const char **rest)
{
  size_t n = strlen(prefix);
  if (strncmp(key, prefix, n) != 0 || !isupper((unsigned char)key[n])) { return 0; }
  *letter = key[n];
  *rest = key + n + 1;
  return 1;
}

static nsl_status parse_beam_extent(parser *p, int b, const char *key, char **words, int n, nsl_error *err)
{
  double extent[2];
  if (n != 2) { return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s must have two values, dx_min and dx_max", p->name, p->line, key); }
  nsl_status st = parse_numbers(p, key, words, 2, extent, err);
  if (st != NSL_OK) { return st; }
  if (extent[0] > extent[1]) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s: dx_min is larger than dx_max; swap them", p->name, p->line, key);
  }
  p->conf->beams[b].dx_min = extent[0];
  p->conf->beams[b].dx_max = extent[1];
  p->notes[b].beam_line = p->line;
  return NSL_OK;
}

static nsl_status parse_sensitivity(const parser *p, nsl_beam *beam, const char *key, char **words, int n, nsl_error *err)
{
  if (n != 1) { return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s must name one file (or None)", p->name, p->line, key); }
  free(beam->sensitivity_file);
  int none = !strcmp(words[0], "None") || !strcmp(words[0], "NONE");
  beam->sensitivity_file = nsl_strdup(none ? "" : words[0]);
  return beam->sensitivity_file ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "%s: out of memory", p->name);
}

static nsl_status parse_keyword(parser *p, const char *key, char **words, int n, nsl_error *err)
{
  enum { BEAM, XOFF, YOFF, DYDX_ORDER, DISP_ORDER, DYDX, DLDP, SENSITIVITY };
  static const struct {
    const char *prefix;
    int kind, has_index;
  } known[] = {{"BEAM", BEAM, 0},
               {"XOFF_", XOFF, 0},
               {"YOFF_", YOFF, 0},
               {"DYDX_ORDER_", DYDX_ORDER, 0},
               {"DISP_ORDER_", DISP_ORDER, 0},
               {"DYDX_", DYDX, 1},
               {"DLDP_", DLDP, 1},
               {"SENSITIVITY_", SENSITIVITY, 0}};
  for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
    char letter;
    const char *rest;
    if (!match(key, known[k].prefix, &letter, &rest) || (*rest != '\0') != known[k].has_index) { continue; }
    if (known[k].has_index && *rest++ != '_') { continue; }
    int b = 0;
    nsl_status st = find_or_add_beam(p, letter, &b, err);
    if (st != NSL_OK) { return st; }
    nsl_beam *beam = &p->conf->beams[b];
    beam_notes *notes = &p->notes[b];
    switch (known[k].kind) {
    case BEAM:
      return parse_beam_extent(p, b, key, words, n, err);
    case XOFF:
      return parse_field(p, key, words, n, &beam->xoff, err);
    case YOFF:
      return parse_field(p, key, words, n, &beam->yoff, err);
    case DYDX_ORDER:
      notes->dydx_line = p->line;
      return parse_order(p, key, words, n, &beam->n_dydx, err);
    case DISP_ORDER:
      notes->dldp_line = p->line;
      return parse_order(p, key, words, n, &beam->n_dldp, err);
    case DYDX:
      return parse_coefficient(p, key, rest, words, n, beam->dydx, &notes->dydx_seen, err);
    case DLDP:
      return parse_coefficient(p, key, rest, words, n, beam->dldp, &notes->dldp_seen, err);
    case SENSITIVITY:
      return parse_sensitivity(p, beam, key, words, n, err);
    }
  }
  return NSL_OK; /* aXe files carry many keywords that do not concern us */
}

static nsl_status parse_line(parser *p, char *line, nsl_error *err)
{
  line[strcspn(line, "#;\r")] = '\0';
  char *words[WORDS_MAX], *save = NULL;
  int n = 0;
  for (char *w = strtok_r(line, " \t", &save); w; w = strtok_r(NULL, " \t", &save)) {
    if (n == WORDS_MAX) { break; } /* already more values than any keyword of ours may have */
    words[n++] = w;
  }
  return n ? parse_keyword(p, words[0], words + 1, n - 1, err) : NSL_OK;
}

static nsl_status check_coefficients(const parser *p, char beam, const char *order_key, const char *key, int line, int n,
                                     unsigned seen, nsl_error *err)
{
  for (int i = 0; i < n; i++) {
    if (!(seen & (1u << i))) {
      return nsl_fail(err, NSL_E_FORMAT, "%s:%d: %s_%c promises %s_%c_%d, which is missing", p->name, line, order_key, beam, key,
                      beam, i);
    }
  }
  return NSL_OK;
}

static nsl_status check_beam(const parser *p, int b, nsl_error *err)
{
  const nsl_beam *beam = &p->conf->beams[b];
  const beam_notes *notes = &p->notes[b];
  if (!notes->beam_line) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: beam %c has no BEAM%c line with its extent", p->name, notes->first_line, beam->name,
                    beam->name);
  }
  if (!notes->dldp_line) {
    return nsl_fail(err, NSL_E_FORMAT, "%s:%d: beam %c has no DISP_ORDER_%c (no wavelength solution)", p->name, notes->beam_line,
                    beam->name, beam->name);
  }
  nsl_status st = check_coefficients(p, beam->name, "DYDX_ORDER", "DYDX", notes->dydx_line, beam->n_dydx, notes->dydx_seen, err);
  if (st != NSL_OK) { return st; }
  return check_coefficients(p, beam->name, "DISP_ORDER", "DLDP", notes->dldp_line, beam->n_dldp, notes->dldp_seen, err);
}

nsl_status nsl_trace_conf_parse(const char *text, const char *name, nsl_trace_conf *out, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_trace_conf conf = {0};
  parser p = {.name = name, .conf = &conf};
  conf.name = nsl_strdup(name);
  if (!conf.name) { NSL_THROW(err, NSL_E_NOMEM, "%s: out of memory", name); }
  for (const char *at = text; *at;) {
    size_t n = strcspn(at, "\n");
    char line[LINE_SIZE];
    size_t kept = n < sizeof line ? n : sizeof line - 1;
    memcpy(line, at, kept);
    line[kept] = '\0';
    p.line++;
    NSL_TRY(parse_line(&p, line, err));
    at += n + (at[n] == '\n');
  }
  if (conf.n_beams == 0) { NSL_THROW(err, NSL_E_FORMAT, "%s: no BEAM line in it; is this an aXe configuration file?", name); }
  for (int b = 0; b < conf.n_beams; b++) { NSL_TRY(check_beam(&p, b, err)); }
  *out = conf;
  return NSL_OK;

cleanup:
  nsl_trace_conf_free(&conf);
  return st;
}

void nsl_trace_conf_free(nsl_trace_conf *conf)
{
  for (int i = 0; i < conf->n_beams; i++) {
    free(conf->beams[i].sensitivity_file);
    free(conf->beams[i].sensitivity.lambda_a);
    free(conf->beams[i].sensitivity.value);
  }
  free(conf->name);
  *conf = (nsl_trace_conf){0};
}

const nsl_beam *nsl_trace_conf_beam(const nsl_trace_conf *conf, char name)
{
  for (int i = 0; i < conf->n_beams; i++) {
    if (conf->beams[i].name == name) { return &conf->beams[i]; }
  }
  return NULL;
}
