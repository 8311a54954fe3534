/* The numbers of a small survey, from exposures on disk to rows of a tile file, pinned: whoever changes them must raise
 * nsl_results_version (src/base/results_version.c), or tiles made before and after would be taken for equal. The exposures are
 * drawn by formula and the network is fixed, so that neither the mock nor a training moves anything here. unit_pipe_test_results
 * --print > tests/unit/pipe/results_numbers.h    makes the numbers anew, once the version is raised */
#include <math.h>

#include "noslit/base/program.h"
#include "noslit/io/yaml.h"
#include "noslit/model/flags.h"
#include "noslit/pipe/tile_run.h"
#include "unit/pipe/exposure_support.h"
#include "unit/pipe/results_numbers.h"
#include "unit/pipe/tiny_model.h"

enum { N_SOURCES = 8, N_DITHERS = 3, FIRST_COLUMN = 5 /* those before it are the catalogue's own */, N_PDF_NUMBERS = 2 };
#define RELATIVE 2e-4 /* processors and kernels differ by less, changes of an algorithm by more */
#define ABSOLUTE 3e-6

/* Pixel positions without dither. */
static const struct {
  int64_t id;
  double x, y, mag, re, rate; /* rate: electrons a second and column */
  int star;
} sky[N_SOURCES] = {
    {11, 87, 90, 20, 0.3, 6, 0},  {12, 91, 108, 17.5, 0.5, 12, 0}, {13, 300, 150, 21.5, 0.2, 2, 0}, {14, 420, 60, 20.5, 0, 4, 1},
    {15, 900, 50, 20, 0.3, 6, 0}, {16, 1100, 190, 22, 0.4, 1, 0},  {17, 640, 120, NAN, 0.1, 3, 0},  {18, 250, 215, 15, 1.5, 30, 0},
};

static char *dir;
static nsl_rows rows;

/* First-order light along a slanted line with three lines in emission, Gaussian across; the right grating disperses to the left. */
static void draw(float *sci, double x, double y, double rate, int sign)
{
  for (int dx = -116; dx <= 418; dx++) {
    long column = lround(x) + sign * dx - 1;
    if (column < 0 || column >= TOY_NX) { continue; }
    double light = rate * (1 + 0.3 * sin(0.02 * dx));
    for (int k = 0; k < 3; k++) { light += 4 * rate * exp(-0.125 * (dx - 40 - 130 * k) * (dx - 40 - 130 * k)); }
    double centre = y - 1 + 0.019 * dx;
    for (long row = lround(centre) - 8; row <= lround(centre) + 8; row++) {
      if (row < 0 || row >= TOY_NY) { continue; }
      double d = (row - centre) / 1.5;
      sci[row * TOY_NX + column] += (float)(light * exp(-0.5 * d * d) / (1.5 * sqrt(2 * M_PI)));
    }
  }
}

static void write_exposure(int dither, int detector)
{
  enum { N = TOY_NX * TOY_NY };
  const double exptime = 150, shift = 3.4 * dither;
  float *sci = malloc(N * sizeof *sci), *err = malloc(N * sizeof *err), *noise = malloc(N * sizeof *noise);
  int16_t *dq = calloc(N, sizeof *dq);
  for (int i = 0; i < N; i++) { sci[i] = 0.4f; }
  for (int i = 0; i < N_SOURCES; i++) { draw(sci, sky[i].x + shift, sky[i].y + shift, sky[i].rate, sky[i].x < 480.5 ? 1 : -1); }
  nsl_rng rng = nsl_rng_make(3, NSL_RNG_TEST, (uint64_t)dither, (uint64_t)detector);
  nsl_rng_normals_f32(&rng, noise, N);
  for (int i = 0; i < N; i++) {
    err[i] = (float)(sqrt(exptime * sci[i] + 25) / exptime);
    sci[i] += noise[i] * err[i];
  }
  for (int i = 0; i < 3000; i++) { /* cosmic rays that nobody flagged, of 2 to 40 sigma */
    uint32_t at = nsl_rng_below(&rng, N);
    sci[at] += (float)nsl_rng_range(&rng, 2, 40) * err[at];
  }
  for (int i = 0; i < 400; i++) { dq[nsl_rng_below(&rng, N)] = i % 2 ? 16 : 1; }
  for (int i = 0; i < 12; i++) { dq[150 * TOY_NX + 420 + i] = 8; }
  char name[64];
  snprintf(name, sizeof name, "CSST_MSC_MS_SCI_1_2_%09d_%02d_L1_1.fits", 1 + dither, detector);
  const toy_exposure t = {.name = name,
                          .exptime_s = exptime,
                          .crpix1 = 600.5 + shift,
                          .crpix2 = 120.5 + shift,
                          .unit = "e-/s",
                          .sci = sci,
                          .err = err,
                          .dq = dq};
  free(toy_write(dir, &t));
  free(sci);
  free(err);
  free(noise);
  free(dq);
}

static void write_catalogue(void)
{
  const double deg = 0.074 / 3600;
  nsl_str s;
  nsl_str_init(&s);
  nsl_str_add(&s, "ID,RA,DEC,MAG,RE,Q,PA,SERSIC_N,STAR\n");
  for (int i = 0; i < N_SOURCES; i++) {
    double dec = TOY_DEC + (sky[i].y - 120.5) * deg, ra = TOY_RA - (sky[i].x - 600.5) * deg / cos(dec * M_PI / 180);
    nsl_str_addf(&s, "%lld,%.10f,%.10f,", (long long)sky[i].id, ra, dec);
    if (isfinite(sky[i].mag)) { nsl_str_addf(&s, "%.3f", sky[i].mag); }
    nsl_str_addf(&s, ",%.3f,0.7,30,%d,%d\n", sky[i].re, 1 + i % 4, sky[i].star);
  }
  char *path = nsl_path_join(dir, "catalogue.csv");
  assert_ok(nsl_write_file(path, s.text, s.n, &test_err));
  free(path);
  nsl_str_free(&s);
}

static void write_model(const nsl_instrument *inst)
{
  nsl_model m;
  nsl_net *net;
  char *path = nsl_path_join(dir, "model.h5");
  assert_ok(tiny_model(16, &m, &test_err));
  for (int b = 0; b < 2; b++) { m.band[b] = inst->bands[inst->stamp_band[b]]; }
  assert_ok(nsl_net_new(&m.graph, 1, 1, 5, &net, &test_err));
  assert_ok(nsl_model_write(path, &m, net, &test_err));
  nsl_net_free(net);
  nsl_model_free(&m);
  free(path);
}

static nsl_config *configuration(void)
{
  nsl_config *cfg;
  nsl_kvlist doc;
  char *text = nsl_strf("survey: {workdir: work, seed: 5}\ninstrument: {file: toy.yaml}\n"
                        "input: {exposures: ['*.fits'], catalogue: catalogue.csv, column_re: RE, column_q: Q, column_pa: PA,\n"
                        "  column_sersic_n: SERSIC_N, column_star: STAR}\n"
                        "tiles: {order: 5}\nrun: {model: model.h5, samples: 24, batch: 5}\n");
  char *base = realpath(dir, NULL);
  assert_non_null(base);
  assert_ok(nsl_yaml_parse(text, strlen(text), "test.yaml", &doc, &test_err));
  assert_ok(nsl_config_new(&doc, base, &cfg, &test_err));
  nsl_kvlist_free(&doc);
  free(text);
  free(base);
  return cfg;
}

/* The survey is one tile of order 5. */
static int set_up(void **state)
{
  (void)state;
  nsl_plan plan;
  nsl_tile_runner *runner;
  nsl_tile_head head;
  dir = toy_directory("results");
  nsl_instrument *inst = toy_instrument(dir);
  for (int k = 0; k < N_DITHERS; k++) {
    write_exposure(k, 1);
    write_exposure(k, 2);
  }
  write_catalogue();
  write_model(inst);
  nsl_config *cfg = configuration();
  assert_ok(nsl_plan_make(cfg, inst, NULL, &test_err));
  assert_ok(nsl_plan_read(cfg, &plan, &test_err));
  assert_int_equal(plan.n_tiles, 1);
  assert_ok(nsl_tile_runner_new(cfg, NULL, &runner, &test_err));
  assert_ok(nsl_tile_run(runner, plan.tiles[0].tile, -1, 1, NULL, NULL, &head, &test_err));
  char *path = nsl_tile_file_path(nsl_tile_runner_expects(runner)->workdir, plan.order, plan.tiles[0].tile);
  assert_ok(nsl_tile_read(path, &head, &rows, &test_err));
  assert_int_equal(head.results_version, nsl_results_version);
  free(path);
  nsl_tile_runner_free(runner);
  nsl_plan_free(&plan);
  nsl_config_free(cfg);
  nsl_instrument_free(inst);
  free(inst);
  return 0;
}

static int tear_down(void **state)
{
  (void)state;
  int rc = toy_remove(dir);
  nsl_rows_free(&rows);
  return rc;
}

/* --- the numbers --- */

static int n_numbers(void) { return nsl_n_row_columns - FIRST_COLUMN + N_PDF_NUMBERS; }

static double column_value(int c, size_t i)
{
  const void *p = nsl_rows_column(&rows, c);
  switch (nsl_row_columns[c].type) {
  case NSL_COL_I64:
    return (double)((const int64_t *)p)[i];
  case NSL_COL_F64:
    return ((const double *)p)[i];
  case NSL_COL_F32:
    return (double)((const float *)p)[i];
  case NSL_COL_I32:
    return ((const int32_t *)p)[i];
  case NSL_COL_U32:
    return ((const uint32_t *)p)[i];
  }
  return NAN;
}

/* Column k of what is pinned of row i; after the columns the height of the PDF and its mean square. */
static double number(size_t i, int k)
{
  int c = FIRST_COLUMN + k;
  if (c < nsl_n_row_columns) { return column_value(c, i); }
  double highest = 0, squares = 0;
  for (int b = 0; b < rows.grid.n; b++) {
    double p = (double)rows.pdf[i * (size_t)rows.grid.n + (size_t)b];
    highest = p > highest ? p : highest;
    squares += p * p / rows.grid.n;
  }
  return c == nsl_n_row_columns ? highest : squares;
}

static const char *name_of(int k)
{
  static const char *const of_pdf[N_PDF_NUMBERS] = {"height of the PDF", "mean square of the PDF"};
  int c = FIRST_COLUMN + k;
  return c < nsl_n_row_columns ? nsl_row_columns[c].name : of_pdf[c - nsl_n_row_columns];
}

static int same(double is, double was) { return isnan(was) ? isnan(is) : fabs(is - was) <= ABSOLUTE + RELATIVE * fabs(was); }

/* The first number that is not as it was, as a text; "" when all are. */
static void find_difference(char *text, size_t size)
{
  text[0] = '\0';
  if (sizeof pinned[0].value / sizeof *pinned[0].value != (size_t)n_numbers()) {
    snprintf(text, size, "there are other columns than were pinned");
    return;
  }
  for (size_t i = 0; i < N_SOURCES; i++) {
    if (rows.object_id[i] != pinned[i].id) {
      snprintf(text, size, "there are other sources than were pinned");
      return;
    }
    for (int k = 0; k < n_numbers(); k++) {
      if (!same(number(i, k), pinned[i].value[k])) {
        snprintf(text, size, "source %lld: %s is %.7g, was %.7g", (long long)pinned[i].id, name_of(k), number(i, k),
                 pinned[i].value[k]);
        return;
      }
    }
  }
}

/* The survey is worth pinning only if it exercises what can change. */
static void test_the_survey_is_no_trivial_one(void **state)
{
  (void)state;
  uint32_t seen = 0;
  double most_contaminated = 0;
  assert_int_equal(rows.n, N_SOURCES);
  for (size_t i = 0; i < rows.n; i++) {
    seen |= rows.flags[i];
    if ((double)rows.contamination[i] > most_contaminated) { most_contaminated = (double)rows.contamination[i]; }
  }
  assert_true(seen & NSL_FLAG_STAR && seen & NSL_FLAG_BAD_INPUT);
  assert_true(most_contaminated > 0.1);
  assert_true(rows.snr_gi[0] > 3 && rows.snr_gv[0] > 3 && isfinite(rows.z_mode[0]) && rows.n_exp_gi[0] == N_DITHERS);
}

static void test_numbers_move_only_with_the_results_version(void **state)
{
  (void)state;
  char difference[256];
  find_difference(difference, sizeof difference);
  if (difference[0] && pinned_results_version == nsl_results_version) {
    fail_msg("results have changed (%s). If that is meant, raise nsl_results_version in src/base/results_version.c, then make the "
             "numbers anew with `unit_pipe_test_results --print`, and say in CHANGELOG.md what moved",
             difference);
  }
  if (pinned_results_version != nsl_results_version) {
    fail_msg(
        "the pinned numbers are of results version %d, the program has %d: make them anew with `unit_pipe_test_results --print`",
        pinned_results_version, nsl_results_version);
  }
}

/* Numbers that moved under the same version are not given away: it is to be raised first. */
static int print_numbers(void)
{
  char difference[256];
  set_up(NULL);
  find_difference(difference, sizeof difference);
  if (difference[0] && pinned_results_version == nsl_results_version) {
    fprintf(stderr, "%s; raise nsl_results_version in src/base/results_version.c first\n", difference);
    tear_down(NULL);
    return 1;
  }
  printf(
      "/* Made by unit_pipe_test_results --print, which also says what to do when they move. */\n"
      "/* clang-format off */\n"
      "static const int pinned_results_version = %d;\nstatic const struct {\n  int64_t id;\n  double value[%d];\n} pinned[] = {\n",
      nsl_results_version, n_numbers());
  for (size_t i = 0; i < rows.n; i++) {
    printf("    {%lld, {", (long long)rows.object_id[i]);
    for (int k = 0; k < n_numbers(); k++) { printf(isnan(number(i, k)) ? "%sNAN" : "%s%.7g", k ? ", " : "", number(i, k)); }
    printf("}},\n");
  }
  printf("};\n");
  return tear_down(NULL);
}

int main(int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_the_survey_is_no_trivial_one),
      cmocka_unit_test(test_numbers_move_only_with_the_results_version),
  };
  if (argc > 1 && !strcmp(argv[1], "--print")) { return print_numbers(); }
  return cmocka_run_group_tests(tests, set_up, tear_down);
}
