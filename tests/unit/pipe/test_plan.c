/* The plan of tiny surveys: which sources, neighbours and exposures a tile gets, and what changes when an input changes. */
#include "unit/test_support.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#include "noslit/base/fsio.h"
#include "noslit/base/rng.h"
#include "noslit/base/str.h"
#include "noslit/io/fits.h"
#include "noslit/io/yaml.h"
#include "noslit/pipe/plan.h"
#include "pipe/plan_internal.h"

enum { NX = 300, NY = 200, ORDER = 11 }; /* tiles of 1.7 arcmin, detectors of 10 x 6.7 arcmin */
#define SCALE_ARCSEC 2.0
#define RA0 359.99
#define DEC0 41.9

static char dir[128];
static nsl_instrument *inst;

/* --- making inputs --- */

static void write_exposure(const char *name, const char *obsid, int detector, double ra, double dec, double exptime)
{
  char path[400];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  static float plane[NX * NY];
  static int16_t dq[NX * NY];
  nsl_fits_writer *w;
  assert_ok(nsl_fits_create(path, 1, &w, &test_err));
  assert_ok(nsl_fits_put_text(w, "OBSID", obsid, NULL, &test_err));
  assert_ok(nsl_fits_put_i64(w, "DETECTOR", detector, NULL, &test_err));
  assert_ok(nsl_fits_put_f64(w, "EXPTIME", exptime, NULL, &test_err));
  assert_ok(nsl_fits_add_image(w, "SCI", NSL_FITS_F32, NX, NY, plane, 0, &test_err));
  assert_ok(nsl_fits_put_text(w, "CTYPE1", "RA---TAN", NULL, &test_err));
  assert_ok(nsl_fits_put_text(w, "CTYPE2", "DEC--TAN", NULL, &test_err));
  const struct {
    const char *key;
    double v;
  } wcs[] = {{"CRPIX1", 0.5 * (NX + 1)},
             {"CRPIX2", 0.5 * (NY + 1)},
             {"CRVAL1", ra},
             {"CRVAL2", dec},
             {"CD1_1", -SCALE_ARCSEC / 3600},
             {"CD1_2", 0},
             {"CD2_1", 0},
             {"CD2_2", SCALE_ARCSEC / 3600}};
  for (size_t i = 0; i < sizeof wcs / sizeof *wcs; i++) { assert_ok(nsl_fits_put_f64(w, wcs[i].key, wcs[i].v, NULL, &test_err)); }
  assert_ok(nsl_fits_add_image(w, "ERR", NSL_FITS_F32, NX, NY, plane, 0, &test_err));
  assert_ok(nsl_fits_add_image(w, "DQ", NSL_FITS_I16, NX, NY, dq, 0, &test_err));
  assert_ok(nsl_fits_finish(w, &test_err));
}

static void write_text(const char *name, const char *text)
{
  char path[400];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  assert_ok(nsl_write_file(path, text, strlen(text), &test_err));
}

typedef struct {
  int64_t id;
  double ra, dec, mag;
} row;

static void write_catalogue(const row *rows, size_t n)
{
  nsl_str s;
  nsl_str_init(&s);
  nsl_str_add(&s, "ID,RA,DEC,MAG\n");
  for (size_t i = 0; i < n; i++) {
    nsl_str_addf(&s, "%lld,", (long long)rows[i].id);
    if (isfinite(rows[i].ra)) { nsl_str_addf(&s, "%.10f", rows[i].ra); }
    nsl_str_addf(&s, ",%.10f,%.4f\n", rows[i].dec, rows[i].mag);
  }
  write_text("catalogue.csv", s.text);
  nsl_str_free(&s);
}

static nsl_config *config(const char *more)
{
  nsl_config *cfg;
  nsl_kvlist doc;
  char text[2000];
  snprintf(text, sizeof text,
           "survey: {workdir: %s/work}\ninput: {exposures: ['%s/*.fits'], catalogue: %s/catalogue.csv, mag_faint: 24}\n"
           "tiles: {order: %d}\nstamp: {neighbour_mag: 25}\n%s",
           dir, dir, dir, ORDER, more);
  assert_ok(nsl_yaml_parse(text, strlen(text), "test.yaml", &doc, &test_err));
  assert_ok(nsl_config_new(&doc, "/", &cfg, &test_err));
  nsl_kvlist_free(&doc);
  return cfg;
}

/* Spectra reach 30 px (60 arcsec) from the direct position; neighbours matter to about (30 + 30 + 64) px. */
static void make_instrument(void)
{
  inst = calloc(1, sizeof *inst);
  assert_non_null(inst);
  strcpy(inst->name, "toy");
  inst->pixel_scale_arcsec = SCALE_ARCSEC;
  inst->n_detectors = 2;
  for (int d = 0; d < 2; d++) {
    inst->detectors[d] = (nsl_detector){.id = d + 1, .nx = NX, .ny = NY, .n_gratings = 1, .gratings = {{1, NX + 1, 0}}};
  }
  inst->n_confs = 1;
  inst->confs[0].n_beams = 1;
  inst->confs[0].beams[0] = (nsl_beam){.name = 'A', .dx_min = -10, .dx_max = 30};
  inst->hash = (nsl_hash){1, 2};
}

static int setup(void **state)
{
  (void)state;
  snprintf(dir, sizeof dir, "%s/noslit_plan_XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
  if (!mkdtemp(dir)) { return 1; }
  make_instrument();
  return 0;
}

static int teardown(void **state)
{
  (void)state;
  free(inst);
  char *command = nsl_strf("rm -rf '%s'", dir);
  int rc = command ? system(command) : 1;
  free(command);
  return rc;
}

/* A field of sources round (RA0, DEC0), across RA = 0, over several tiles, and four exposures. */
enum { N_ROWS = 300 };
static row field[N_ROWS];

static void make_field(void)
{
  nsl_rng r = nsl_rng_make(5, NSL_RNG_TEST, 0, 0);
  for (int i = 0; i < N_ROWS; i++) {
    field[i] = (row){1000 - i, fmod(RA0 + nsl_rng_range(&r, -0.2, 0.2) + 360, 360), DEC0 + nsl_rng_range(&r, -0.15, 0.15),
                     nsl_rng_range(&r, 18, 26)};
  }
  write_catalogue(field, N_ROWS);
  char command[400];
  snprintf(command, sizeof command, "rm -rf '%s'/*.fits '%s/work'", dir, dir);
  assert_int_equal(system(command), 0);
  write_exposure("a1.fits", "100", 1, RA0, DEC0, 150);
  write_exposure("a2.fits", "100", 2, RA0 + 0.15, DEC0, 150);
  write_exposure("b1.fits", "101", 1, RA0 - 0.1, DEC0 + 0.1, 150);
  write_exposure("far.fits", "102", 1, RA0 - 90, DEC0, 150);
}

static nsl_plan make_plan(const char *more)
{
  nsl_plan plan;
  nsl_config *cfg = config(more);
  assert_ok(nsl_plan_make(cfg, inst, NULL, &test_err));
  assert_ok(nsl_plan_read(cfg, &plan, &test_err));
  nsl_config_free(cfg);
  return plan;
}

/* --- tests --- */

static int on_detector(const nsl_exposure_info *e, const row *s, double margin_px)
{
  double x, y;
  char cards[8 * 80 + 1];
  nsl_wcs *w;
  snprintf(cards, sizeof cards,
           "%-80s%-80sCRPIX1  = %20.6f%50sCRPIX2  = %20.6f%50sCRVAL1  = %20.10f%50sCRVAL2  = %20.10f%50s"
           "CDELT1  = %20.14f%50sCDELT2  = %20.14f%50s",
           "CTYPE1  = 'RA---TAN'", "CTYPE2  = 'DEC--TAN'", 0.5 * (NX + 1), "", 0.5 * (NY + 1), "", e->ra_deg, "", e->dec_deg, "",
           -SCALE_ARCSEC / 3600, "", SCALE_ARCSEC / 3600, "");
  assert_ok(nsl_wcs_new(cards, 8, "test", &w, &test_err));
  assert_ok(nsl_wcs_sky_to_pixel(w, 1, &s->ra, &s->dec, &x, &y, &test_err));
  nsl_wcs_free(w);
  return x > 0.5 - margin_px && x < NX + 0.5 + margin_px && y > 0.5 - margin_px && y < NY + 0.5 + margin_px;
}

static int task_has(const nsl_source *s, size_t n, int64_t id)
{
  for (size_t i = 0; i < n; i++) {
    if (s[i].id == id) { return 1; }
  }
  return 0;
}

static void check_task(const nsl_plan *plan, const nsl_tile_task *task)
{
  for (size_t i = 1; i < task->n_sources; i++) { assert_true(task->sources[i].id > task->sources[i - 1].id); }
  for (size_t i = 1; i < task->n_neighbours; i++) { assert_true(task->neighbours[i].id > task->neighbours[i - 1].id); }
  for (int i = 0; i < N_ROWS; i++) {
    const row *s = &field[i];
    int own = nsl_tile_of(ORDER, s->ra, s->dec) == task->tile && s->mag <= 24;
    assert_int_equal(task_has(task->sources, task->n_sources, s->id), own);
    double nearest = 1e9;
    for (size_t k = 0; k < task->n_sources; k++) {
      nearest = fmin(nearest, nsl_sky_distance_deg(s->ra, s->dec, task->sources[k].ra_deg, task->sources[k].dec_deg));
    }
    int near = nearest * 3600 <= (30 + 30 + 64) * SCALE_ARCSEC;
    assert_int_equal(task_has(task->neighbours, task->n_neighbours, s->id), !own && near && s->mag <= 25);
  }
  for (size_t e = 0; e < plan->n_exposures; e++) {
    const nsl_exposure_info *info = &plan->exposures[e];
    int needed = 0, allowed = 0, listed = 0;
    for (int i = 0; i < N_ROWS; i++) {
      if (!task_has(task->sources, task->n_sources, field[i].id)) { continue; }
      needed |= on_detector(info, &field[i], 30);
      allowed |= on_detector(info, &field[i], 2 * (30 + 64));
    }
    for (size_t k = 0; k < task->n_exposures; k++) { listed |= !strcmp(task->exposures[k].path, info->path); }
    assert_true(!needed || listed);
    assert_true(!listed || allowed);
  }
}

static void tiles_get_their_sources_neighbours_and_exposures(void **state)
{
  (void)state;
  make_field();
  nsl_plan plan = make_plan("");
  nsl_config *cfg = config("");
  int64_t expected = 0, faint = 0;
  for (int i = 0; i < N_ROWS; i++) {
    expected += field[i].mag <= 24;
    faint += field[i].mag > 24;
  }
  assert_int_equal(plan.n_sources, expected);
  assert_int_equal(plan.n_faint, faint);
  assert_int_equal(plan.n_exposures, 4);
  assert_int_equal(plan.n_lost, 0);
  assert_true(plan.n_tiles > 20);
  assert_ok(nsl_plan_read_exposures(cfg, &plan, &test_err));
  int64_t sources = 0;
  for (size_t t = 0; t < plan.n_tiles; t++) {
    nsl_tile_task task;
    assert_ok(nsl_plan_task(cfg, plan.tiles[t].tile, &task, &test_err));
    assert_true(nsl_hash_equal(task.input_hash, plan.tiles[t].input_hash));
    assert_int_equal(task.n_sources, plan.tiles[t].n_sources);
    assert_int_equal(task.n_exposures, plan.tiles[t].n_exposures);
    assert_true(plan.tiles[t].cost_s > 0);
    check_task(&plan, &task);
    sources += plan.tiles[t].n_sources;
    nsl_tile_task_free(&task);
  }
  assert_int_equal(sources, expected);
  nsl_tile_task task;
  assert_int_equal(nsl_plan_task(cfg, 0, &task, &test_err), NSL_E_NOTFOUND);
  nsl_plan_free(&plan);
  nsl_config_free(cfg);
}

static size_t count_changed(const nsl_plan *a, const nsl_plan *b)
{
  size_t changed = 0;
  assert_int_equal(a->n_tiles, b->n_tiles);
  for (size_t i = 0; i < a->n_tiles; i++) {
    assert_int_equal(a->tiles[i].tile, b->tiles[i].tile);
    changed += !nsl_hash_equal(a->tiles[i].input_hash, b->tiles[i].input_hash);
  }
  return changed;
}

static int is_fresh(const char *more, char *why, size_t size)
{
  nsl_config *cfg = config(more);
  nsl_plan plan;
  int fresh;
  assert_ok(nsl_plan_read(cfg, &plan, &test_err));
  assert_ok(nsl_plan_is_fresh(cfg, inst, &plan, &fresh, why, size, &test_err));
  nsl_plan_free(&plan);
  nsl_config_free(cfg);
  return fresh;
}

static void move_exposure(const char *from, const char *to)
{
  char a[400], b[400];
  snprintf(a, sizeof a, "%s/%s", dir, from);
  snprintf(b, sizeof b, "%s/%s", dir, to);
  assert_int_equal(rename(a, b), 0);
}

static void changed_exposures_are_named(void **state)
{
  (void)state;
  char why[NSL_ERROR_TEXT_MAX];
  make_field();
  write_exposure("empty.fits", "900", 1, RA0, DEC0, 150);
  nsl_plan plan = make_plan("");
  move_exposure("b1.fits", "c1.fits");
  move_exposure("a2.fits", "c2.fits");
  assert_false(is_fresh("", why, sizeof why));
  const char *added = strstr(why, "exposures were added: "), *removed = strstr(why, "; removed: ");
  if (!added || !removed || !strstr(added, "c1.fits and 1 more; ") || !strstr(removed, "a2.fits and 1 more")) {
    fail_msg("%s", why);
  }
  char small[30]; /* cut, not overrun */
  assert_false(is_fresh("", small, sizeof small));
  assert_true(strlen(small) < sizeof small);
  move_exposure("c1.fits", "b1.fits");
  move_exposure("c2.fits", "a2.fits");
  assert_true(is_fresh("", why, sizeof why));
  /* One that was left out is written again: nothing is known of its old state. */
  char path[400];
  snprintf(path, sizeof path, "%s/empty.fits", dir);
  for (int k = 0; k < 2; k++) {
    FILE *f = fopen(path, "w");
    fputs(k ? "still no FITS" : "no FITS", f);
    fclose(f);
    assert_false(is_fresh("", why, sizeof why));
    assert_non_null(strstr(why, k ? "an exposure that was left out has changed" : "changed: "));
    nsl_plan_free(&plan);
    plan = make_plan("");
  }
  nsl_plan_free(&plan);
  remove(path);
}

static void a_change_touches_just_its_tiles(void **state)
{
  (void)state;
  char why[NSL_ERROR_TEXT_MAX];
  make_field();
  nsl_plan before = make_plan("");
  assert_true(is_fresh("", why, sizeof why));
  assert_true(is_fresh("run: {lease_s: 5}\n", why, sizeof why));
  /* The same again is the same. */
  nsl_plan again = make_plan("");
  assert_int_equal(count_changed(&before, &again), 0);
  assert_true(nsl_hash_equal(before.hash, again.hash));
  nsl_plan_free(&again);
  /* One source gets brighter: its tile and those round it that see it. */
  row keep = field[7];
  field[7].mag = 18.5 + 0.125;
  write_catalogue(field, N_ROWS);
  assert_false(is_fresh("", why, sizeof why));
  assert_non_null(strstr(why, "catalogue"));
  again = make_plan("");
  size_t changed = count_changed(&before, &again);
  assert_true(changed >= 1 && changed <= 25 && changed < before.n_tiles / 2);
  nsl_plan_free(&again);
  field[7] = keep;
  write_catalogue(field, N_ROWS);
  again = make_plan("");
  assert_int_equal(count_changed(&before, &again), 0);
  nsl_plan_free(&again);
  /* One exposure is replaced: the tiles that use it, no others. */
  write_exposure("b1.fits", "101", 1, RA0 - 0.1, DEC0 + 0.1, 151);
  assert_false(is_fresh("", why, sizeof why));
  assert_non_null(strstr(why, "exposures were changed: "));
  assert_non_null(strstr(why, "b1.fits"));
  assert_null(strstr(why, "more"));
  again = make_plan("");
  nsl_config *cfg = config("");
  nsl_select *select;
  assert_ok(nsl_select_new(&select, &test_err));
  assert_ok(nsl_select_add(select, "--exposure", "101", &test_err));
  unsigned char *chosen = calloc(again.n_tiles, 1);
  assert_ok(nsl_plan_choose(cfg, &again, select, chosen, &test_err));
  size_t touched = 0;
  for (size_t i = 0; i < again.n_tiles; i++) {
    nsl_tile_task task;
    int uses = 0;
    assert_ok(nsl_plan_task(cfg, again.tiles[i].tile, &task, &test_err));
    for (size_t e = 0; e < task.n_exposures; e++) { uses |= !strcmp(task.exposures[e].obsid, "101"); }
    nsl_tile_task_free(&task);
    int differs = !nsl_hash_equal(before.tiles[i].input_hash, again.tiles[i].input_hash);
    assert_int_equal(differs, uses);
    assert_true(!uses || chosen[i]);
    touched += (size_t)uses;
  }
  assert_true(touched > 0 && touched < again.n_tiles);
  free(chosen);
  nsl_select_free(select);
  nsl_config_free(cfg);
  nsl_plan_free(&again);
  nsl_plan_free(&before);
}

/* The parts of a selection hold each of its tiles once, whatever runs have measured meanwhile, and cost about the same. */
static void parts(void **state)
{
  (void)state;
  make_field();
  nsl_plan plan = make_plan("");
  nsl_config *cfg = config("");
  unsigned char *all = calloc(plan.n_tiles, 1), *chosen = calloc(plan.n_tiles, 1);
  nsl_cost_model model;
  nsl_cost_model_default(&model);
  double total = 0, largest = 0;
  for (size_t i = 0; i < plan.n_tiles; i++) {
    total += nsl_cost_predict(&model, &plan.tiles[i]);
    largest = fmax(largest, nsl_cost_predict(&model, &plan.tiles[i]));
  }
  for (int part = 1; part <= 3; part++) {
    nsl_select *select;
    char text[16];
    double cost = 0;
    snprintf(text, sizeof text, "%d/3", part);
    assert_ok(nsl_select_new(&select, &test_err));
    assert_ok(nsl_select_add(select, "--part", text, &test_err));
    for (size_t i = 0; i < plan.n_tiles; i++) { plan.tiles[i].cost_s = part * (double)i; }
    assert_ok(nsl_plan_choose(cfg, &plan, select, chosen, &test_err));
    for (size_t i = 0; i < plan.n_tiles; i++) {
      all[i] += chosen[i];
      if (chosen[i]) { cost += nsl_cost_predict(&model, &plan.tiles[i]); }
    }
    assert_true(fabs(cost - total / 3) <= largest);
    assert_ok(nsl_select_add(select, "--stale", NULL, &test_err));
    assert_int_equal(nsl_plan_choose(cfg, &plan, select, chosen, &test_err), NSL_E_USAGE);
    nsl_select_free(select);
  }
  for (size_t i = 0; i < plan.n_tiles; i++) { assert_int_equal(all[i], 1); }
  free(all);
  free(chosen);
  nsl_plan_free(&plan);
  nsl_config_free(cfg);
}

static void selections(void **state)
{
  (void)state;
  make_field();
  nsl_plan plan = make_plan("");
  nsl_config *cfg = config("");
  nsl_select *select;
  unsigned char *chosen = calloc(plan.n_tiles, 1);
  assert_ok(nsl_select_new(&select, &test_err));
  assert_ok(nsl_plan_choose(cfg, &plan, select, chosen, &test_err));
  for (size_t i = 0; i < plan.n_tiles; i++) { assert_int_equal(chosen[i], 1); }
  int bright = 0;
  while (field[bright].mag > 24) { bright++; }
  char id[32];
  snprintf(id, sizeof id, "%lld", (long long)field[bright].id);
  assert_ok(nsl_select_add(select, "--source", id, &test_err));
  assert_ok(nsl_plan_choose(cfg, &plan, select, chosen, &test_err));
  for (size_t i = 0; i < plan.n_tiles; i++) {
    assert_int_equal(chosen[i], plan.tiles[i].tile == nsl_tile_of(ORDER, field[bright].ra, field[bright].dec));
  }
  assert_ok(nsl_select_add(select, "--source", "999999", &test_err));
  assert_int_equal(nsl_plan_choose(cfg, &plan, select, chosen, &test_err), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "999999"));
  nsl_select_free(select);
  assert_ok(nsl_select_new(&select, &test_err));
  assert_ok(nsl_select_add(select, "--exposure", "555", &test_err));
  assert_int_equal(nsl_plan_choose(cfg, &plan, select, chosen, &test_err), NSL_E_NOTFOUND);
  nsl_select_free(select);
  free(chosen);
  nsl_plan_free(&plan);
  nsl_config_free(cfg);
}

static nsl_status try_plan(const char *more)
{
  nsl_config *cfg = config(more);
  nsl_status st = nsl_plan_make(cfg, inst, NULL, &test_err);
  nsl_config_free(cfg);
  return st;
}

static void bad_inputs_are_named(void **state)
{
  (void)state;
  make_field();
  write_text("catalogue.csv", "ID,ALPHA,DEC,MAG\n1,10,20,21\n");
  assert_int_not_equal(try_plan(""), NSL_OK);
  assert_non_null(strstr(test_err.text, "RA"));
  assert_non_null(strstr(test_err.text, "catalogue.csv"));
  write_text("catalogue.csv", "ID,RA,DEC,MAG\n1,10,20,21\n7,10,20.1,21\n2,10,21,21\n7,11,21,22\n");
  assert_int_equal(try_plan(""), NSL_E_VALUE);
  assert_non_null(strstr(test_err.text, "duplicate ID 7 in rows 2 and 4"));
  /* Sources without a usable position are listed, the rest goes on. */
  row rows[] = {{1, RA0, DEC0, 20}, {2, NAN, DEC0, 20}, {3, RA0, 91, 20}, {4, RA0, DEC0 + 0.01, 25.5}};
  write_catalogue(rows, 4);
  write_text("broken.fits", "this is no FITS file");
  nsl_plan plan = make_plan("");
  assert_int_equal(plan.n_sources, 1);
  assert_int_equal(plan.n_tiles, 1);
  assert_int_equal(plan.n_rejected, 2);
  assert_int_equal(plan.rejected[0].id, 2);
  assert_int_equal(plan.rejected[0].row, 2);
  assert_int_equal(plan.rejected[1].reason, NSL_REJECT_DECLINATION);
  assert_int_equal(plan.n_lost, 1);
  assert_non_null(strstr(plan.lost_path[0], "broken.fits"));
  assert_non_null(strstr(plan.lost_reason[0], "broken.fits"));
  nsl_plan_free(&plan);
  /* A newer version of the same observation replaces the older one. */
  write_exposure("b1_v2.fits", "101", 1, RA0 - 0.1, DEC0 + 0.1, 150);
  plan = make_plan("");
  assert_int_equal(plan.n_exposures, 4);
  assert_int_equal(plan.n_lost, 2);
  nsl_plan_free(&plan);
  /* No source at all is a plan without tiles. */
  write_text("catalogue.csv", "ID,RA,DEC,MAG\n");
  plan = make_plan("");
  assert_int_equal(plan.n_tiles, 0);
  nsl_plan_free(&plan);
  char command[300];
  snprintf(command, sizeof command, "rm '%s'/*.fits", dir);
  assert_int_equal(system(command), 0);
  assert_int_equal(try_plan(""), NSL_E_NOTFOUND);
  assert_non_null(strstr(test_err.text, "input.exposures"));
}

static void spools_keep_everything_when_memory_is_short(void **state)
{
  (void)state;
  enum { N = 5000, BUCKETS = 7 };
  nsl_spool *s;
  assert_ok(nsl_spool_new(dir, "test", sizeof(int64_t), 2048, &s, &test_err));
  for (int64_t i = 0; i < N; i++) { assert_ok(nsl_spool_add(s, (i * i) % BUCKETS * 10, &i, &test_err)); }
  size_t n_buckets = nsl_spool_buckets(s), total = 0;
  int64_t last = -1;
  for (size_t b = 0; b < n_buckets; b++) {
    int64_t number;
    void *records;
    size_t n;
    assert_ok(nsl_spool_load(s, b, &number, &records, &n, &test_err));
    assert_true(number > last);
    last = number;
    const int64_t *v = records;
    for (size_t i = 0; i < n; i++) {
      assert_int_equal(v[i] * v[i] % BUCKETS * 10, number);
      assert_true(i == 0 || v[i] > v[i - 1]);
    }
    total += n;
    free(records);
  }
  assert_int_equal(total, N);
  nsl_spool_free(s);
  char **left;
  size_t n_left;
  char *pattern = nsl_strf("%s/.spool*", dir);
  assert_ok(nsl_glob(pattern, &left, &n_left, &test_err));
  assert_int_equal(n_left, 0);
  nsl_paths_free(left, n_left);
  free(pattern);
}

static void costs_are_learned(void **state)
{
  (void)state;
  enum { N = 200 };
  nsl_plan_tile tiles[N];
  double seconds[N];
  nsl_rng r = nsl_rng_make(3, NSL_RNG_TEST, 0, 0);
  for (int i = 0; i < N; i++) {
    int64_t sources = 1 + (int64_t)nsl_rng_below(&r, 300);
    int exposures = 4 + (int)nsl_rng_below(&r, 30);
    tiles[i] = (nsl_plan_tile){.n_sources = sources, .n_exposures = exposures, .n_visits = sources * exposures / 2};
    seconds[i] = 0.004 * (double)tiles[i].n_visits + 0.03 * (double)sources + 0.2 * exposures + 0.5;
    seconds[i] *= nsl_rng_range(&r, 0.95, 1.05);
  }
  nsl_cost_model m;
  nsl_cost_fit(tiles, seconds, N, &m);
  assert_int_equal(m.measured_tiles, N);
  double worst = 0;
  for (int i = 0; i < N; i++) { worst = fmax(worst, fabs(nsl_cost_predict(&m, &tiles[i]) / seconds[i] - 1)); }
  assert_true(worst < 0.15);
  /* Seconds on a busy machine scatter, but their sum is what nodes and hours are asked for by. */
  double measured = 0, predicted = 0;
  for (int i = 0; i < N; i++) { measured += seconds[i] *= exp(nsl_rng_range(&r, -1, 1)); }
  nsl_cost_fit(tiles, seconds, N, &m);
  for (int i = 0; i < N; i++) { predicted += nsl_cost_predict(&m, &tiles[i]); }
  assert_true(fabs(predicted / measured - 1) < 1e-9);
  nsl_cost_fit(tiles, seconds, 0, &m);
  assert_int_equal(m.measured_tiles, 0);
  assert_true(nsl_cost_predict(&m, &tiles[0]) > 0);
  nsl_cost_fit(tiles, seconds, 1, &m); /* one tile tells little but the scale */
  assert_true(fabs(nsl_cost_predict(&m, &tiles[0]) / seconds[0] - 1) < 0.3);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(tiles_get_their_sources_neighbours_and_exposures),
      cmocka_unit_test(changed_exposures_are_named),
      cmocka_unit_test(a_change_touches_just_its_tiles),
      cmocka_unit_test(selections),
      cmocka_unit_test(parts),
      cmocka_unit_test(bad_inputs_are_named),
      cmocka_unit_test(spools_keep_everything_when_memory_is_short),
      cmocka_unit_test(costs_are_learned),
  };
  return cmocka_run_group_tests(tests, setup, teardown);
}
