/* Training by one rank on a small set: it learns, resumes with the same bits, and refuses what does not fit. */
#include "unit/test_support.h"

#include <unistd.h>

#include "noslit/base/fsio.h"
#include "pipe/train_internal.h"
#include "unit/pipe/tiny_model.h"

#define TRAIN_A "train_a.h5"
#define TRAIN_B "train_b.h5"
#define CHECK "train_check.h5"
#define CALIBRATE "train_calibrate.h5"
#define START "train_start.model.h5"

static char *train_files[] = {(char *)TRAIN_A, (char *)TRAIN_B}, *check_files[] = {(char *)CHECK},
            *calibration_files[] = {(char *)CALIBRATE};

static nsl_train_options options_for(const char *output)
{
  static char checkpoint[64];
  snprintf(checkpoint, sizeof checkpoint, "%s.checkpoint", output);
  unlink(checkpoint);
  unlink(output);
  return (nsl_train_options){.stamps = train_files,
                             .n_stamps = 2,
                             .validation = check_files,
                             .n_validation = 1,
                             .calibration = calibration_files,
                             .n_calibration = 1,
                             .output = (char *)output,
                             .from = (char *)START,
                             .checkpoint = checkpoint,
                             .architecture = (char *)"eq",
                             .epochs = 10,
                             .batch = 24,
                             .group = 8,
                             .shift_y = 2,
                             .flip = 1,
                             .lr = 0.01,
                             .lr_min = 1e-5,
                             .warm_up = 0.1,
                             .weight_decay = 0.01,
                             .clip = 1,
                             .beta2 = 0.98,
                             .label_sigma = 0.01,
                             .checkpoint_s = 1e6,
                             .seed = 3};
}

static int set_up(void **state)
{
  (void)state;
  nsl_model m;
  nsl_net *net;
  assert_ok(tiny_stamp_file(TRAIN_A, 0, 61, &test_err));
  assert_ok(tiny_stamp_file(TRAIN_B, 61, 35, &test_err));
  assert_ok(tiny_stamp_file(CHECK, 1000, 40, &test_err));
  assert_ok(tiny_stamp_file(CALIBRATE, 2000, 230, &test_err));
  assert_ok(tiny_model(16, &m, &test_err));
  assert_ok(nsl_net_new(&m.graph, 1, 1, 5, &net, &test_err));
  assert_ok(nsl_model_write(START, &m, net, &test_err));
  nsl_net_free(net);
  nsl_model_free(&m);
  return 0;
}

static nsl_hash hash_of(const char *path)
{
  nsl_model m;
  nsl_net *net;
  assert_ok(nsl_model_read(path, 1, 0, &m, &net, &test_err));
  nsl_hash h = m.hash;
  nsl_net_free(net);
  nsl_model_free(&m);
  return h;
}

static void test_forty_steps_learn(void **state)
{
  (void)state;
  nsl_train_options o = options_for("train_learns.model.h5");
  nsl_train_summary s;
  assert_ok(nsl_train_run(&o, &nsl_train_alone, NULL, &s, &test_err));
  assert_int_equal(s.steps, 40); /* 96 stamps, the 8 stars among them too: 4 steps an epoch */
  assert_true(s.last_loss < 0.7 * log(TINY_BINS));
  assert_int_equal(s.best[0].n, 36); /* of 40, four are stars */
  assert_true(s.best[1].n == 36 && s.best[4].n > 5 && s.best[4].n < s.best[3].n);
  /* A PDF that says nothing has nll = ln of the grid's length in u. */
  assert_true(s.best[0].value[NSL_METRIC_NLL_U] < log(TINY_DU * TINY_BINS) - 0.7);
  assert_false(nsl_file_exists(o.checkpoint));
  nsl_model m;
  nsl_net *net;
  assert_ok(nsl_model_read(o.output, 1, 0, &m, &net, &test_err));
  assert_true(m.calibration.fitted);
  assert_non_null(strstr(m.card, "\"calibration\""));
  assert_non_null(strstr(m.card, "\"data_hash\""));
  assert_non_null(strstr(m.card, "\"snr_gi>=5\""));
  nsl_net_free(net);
  nsl_model_free(&m);
}

/* Says stop when it is asked for the n-th time. */
static int stop_after(void *ctx)
{
  int *left = ctx;
  return (*left)-- == 0;
}

static void test_a_stopped_training_goes_on_with_the_same_bits(void **state)
{
  (void)state;
  nsl_train_options o = options_for("train_whole.model.h5");
  nsl_train_summary s;
  assert_ok(nsl_train_run(&o, &nsl_train_alone, NULL, &s, &test_err));
  nsl_hash whole = hash_of(o.output);
  o = options_for("train_resumed.model.h5");
  const int stops[] = {7, 4, 100};
  for (int i = 0; i < 3; i++) {
    int left = stops[i];
    nsl_train_comm comm = nsl_train_alone;
    comm.stop = stop_after;
    comm.ctx = &left;
    nsl_status st = nsl_train_run(&o, &comm, NULL, &s, &test_err);
    assert_int_equal(st, i < 2 ? NSL_E_DRAINED : NSL_OK);
    assert_int_equal(s.first_step, i == 0 ? 0 : i == 1 ? 8 : 13);
  }
  assert_true(nsl_hash_equal(whole, hash_of(o.output)));
}

static void test_a_checkpoint_of_another_training_is_refused(void **state)
{
  (void)state;
  nsl_train_options o = options_for("train_other.model.h5");
  nsl_train_summary s;
  int left = 3;
  nsl_train_comm comm = nsl_train_alone;
  comm.stop = stop_after;
  comm.ctx = &left;
  assert_int_equal(nsl_train_run(&o, &comm, NULL, &s, &test_err), NSL_E_DRAINED);
  o.lr = 0.02;
  assert_int_equal(nsl_train_run(&o, &nsl_train_alone, NULL, &s, &test_err), NSL_E_MISMATCH);
  assert_non_null(strstr(test_err.text, "other training settings"));
  o.lr = 0.01;
  assert_ok(nsl_write_file(o.checkpoint, "rubbish", 7, &test_err));
  assert_int_not_equal(nsl_train_run(&o, &nsl_train_alone, NULL, &s, &test_err), NSL_OK);
  assert_non_null(strstr(test_err.text, o.checkpoint));
  unlink(o.checkpoint);
}

/* A communicator that spoils the gradients from the n-th exchange on. */
typedef struct {
  int at, count;
} spoiler;

static nsl_status spoil(void *ctx, int n_groups, size_t n, const float *mine, float *total, nsl_error *err)
{
  spoiler *s = ctx;
  nsl_status st = nsl_train_alone.sum(NULL, n_groups, n, mine, total, err);
  if (s->at-- <= 0 && s->count-- > 0) { total[5] = NAN; }
  return st;
}

static int never(void *ctx)
{
  (void)ctx;
  return 0;
}

static void test_bad_gradients_are_left_out_then_stop(void **state)
{
  (void)state;
  nsl_train_options o = options_for("train_spoilt.model.h5");
  nsl_train_summary s;
  spoiler few = {.at = 4, .count = 9}, many = {.at = 4, .count = 10};
  nsl_train_comm comm = nsl_train_alone;
  comm.sum = spoil;
  comm.stop = never;
  comm.ctx = &few;
  assert_ok(nsl_train_run(&o, &comm, NULL, &s, &test_err));
  assert_true(isfinite(s.last_loss) && isfinite(s.best[0].value[NSL_METRIC_NLL_U]));
  comm.ctx = &many;
  assert_int_equal(nsl_train_run(&o, &comm, NULL, &s, &test_err), NSL_E_NUMERIC);
  assert_non_null(strstr(test_err.text, "10 steps in a row, up to step 13: lower train.lr"));
}

static void test_too_few_stamps(void **state)
{
  (void)state;
  nsl_train_options o = options_for("train_few.model.h5");
  nsl_train_summary s;
  o.batch = 120;
  o.group = 120;
  assert_int_equal(nsl_train_run(&o, &nsl_train_alone, NULL, &s, &test_err), NSL_E_CONFIG);
  assert_non_null(strstr(test_err.text, "96 usable training stamps are not enough for a batch of 120"));
}

static void load_first(nsl_train_batch *b, nsl_model *m, nsl_stamp_reader **r)
{
  const char *path = CHECK;
  assert_ok(tiny_model(16, m, &test_err));
  assert_ok(nsl_stamp_reader_open(&path, 1, 0, 1, r, &test_err));
  assert_ok(nsl_train_batch_init(b, 2, TINY_BINS, &test_err));
  nsl_train_batch_load(b, 0, m, *r, 0, NULL);
}

static void test_augmentation_moves_pixels(void **state)
{
  (void)state;
  nsl_model m;
  nsl_stamp_reader *r;
  nsl_train_batch b;
  load_first(&b, &m, &r);
  float *x = b.x, *v = b.v, *x1 = b.x + NSL_STAMP_PIXELS, *v1 = b.v + NSL_STAMP_PIXELS;
  nsl_train_options o = {.shift_y = 3, .flip = 1};
  int flips = 0, shifts[7] = {0};
  for (uint64_t name = 0; name < 60; name++) {
    nsl_train_batch_load(&b, 1, &m, r, 0, NULL);
    nsl_train_batch_augment(&b, 1, &o, name);
    int found = 0;
    for (int flip = 0; flip < 2 && !found; flip++) {
      for (int dy = -3; dy <= 3 && !found; dy++) {
        int same = 1;
        for (int p = 0; p < (int)NSL_STAMP_PIXELS && same; p++) {
          int band = p / (int)NSL_STAMP_PLANE, y = p % (int)NSL_STAMP_PLANE / NSL_STAMP_NX, col = p % NSL_STAMP_NX, from = y - dy;
          int inside = from >= 0 && from < NSL_STAMP_NY;
          int source = band * (int)NSL_STAMP_PLANE + (flip ? NSL_STAMP_NY - 1 - from : from) * NSL_STAMP_NX + col;
          same = x1[p] == (inside ? x[source] : 0) && v1[p] == (inside ? v[source] : 0);
        }
        found = same;
        if (found) {
          flips += flip;
          shifts[dy + 3]++;
          assert_true(b.aux[NSL_AUX + 3] == (flip ? -b.aux[3] : b.aux[3]));
        }
      }
    }
    assert_true(found);
  }
  assert_true(flips > 15 && flips < 45);
  for (int k = 0; k < 7; k++) { assert_true(shifts[k] > 0); }
  nsl_train_batch_free(&b);
  nsl_stamp_reader_close(r);
  nsl_model_free(&m);
}

/* The line's centroid moves by the same normal deviate in both bands, weights stay between 0 and 1. */
static void test_shift_along_x(void **state)
{
  (void)state;
  nsl_model m;
  nsl_stamp_reader *r;
  nsl_train_batch b;
  load_first(&b, &m, &r);
  nsl_train_options o = {.shift_x = 4};
  double sum2 = 0;
  for (uint64_t name = 0; name < 100; name++) {
    double centre[2][2];
    nsl_train_batch_load(&b, 1, &m, r, 0, NULL);
    nsl_train_batch_augment(&b, 1, &o, name);
    for (size_t k = 0; k < 2; k++) {
      for (size_t band = 0; band < 2; band++) {
        const float *plane = b.x + k * NSL_STAMP_PIXELS + band * NSL_STAMP_PLANE;
        double flux = 0, moment = 0;
        for (size_t p = 0; p < NSL_STAMP_PLANE; p++) {
          double f = plane[p] > 5 ? (double)plane[p] : 0;
          flux += f;
          moment += f * (double)(p % NSL_STAMP_NX);
        }
        centre[k][band] = moment / flux;
      }
    }
    double moved = centre[1][0] - centre[0][0];
    assert_true(fabs(moved - (centre[1][1] - centre[0][1])) < 0.3);
    sum2 += moved * moved;
    for (size_t p = 0; p < NSL_STAMP_PIXELS; p++) {
      float v = b.v[NSL_STAMP_PIXELS + p];
      assert_true(v >= 0 && v < 1.0001f);
    }
  }
  assert_true(fabs(sqrt(sum2 / 100) - 4) < 1);
  nsl_train_batch_free(&b);
  nsl_stamp_reader_close(r);
  nsl_model_free(&m);
}

static float pixel_of(const nsl_train_batch *b, int k, int band, int y, int x)
{
  return b->x[(size_t)k * NSL_STAMP_PIXELS + (size_t)band * NSL_STAMP_PLANE + (size_t)(y * NSL_STAMP_NX + x)];
}

/* By how many whole pixels a band of element 1 was moved against element 0; edges rolled, or without data. 1000: by none. */
static int whole_shift(const nsl_train_batch *b, int band, int roll)
{
  for (int shift = -5; shift <= 5; shift++) {
    int same = 1;
    for (int y = 0; y < NSL_STAMP_NY && same; y++) {
      for (int x = 0; x < NSL_STAMP_NX && same; x++) {
        int from = x - shift, inside = from >= 0 && from < NSL_STAMP_NX;
        if (roll) { from = (from + NSL_STAMP_NX) % NSL_STAMP_NX; }
        same = pixel_of(b, 1, band, y, x) == (inside || roll ? pixel_of(b, 0, band, y, from) : 0);
      }
    }
    if (same) { return shift; }
  }
  return 1000;
}

/* Whole pixels, as the paper shifts: every one within the range comes, both bands alike unless they are asked to go apart. */
static void test_whole_pixel_shift_along_x(void **state)
{
  (void)state;
  nsl_model m;
  nsl_stamp_reader *r;
  nsl_train_batch b;
  load_first(&b, &m, &r);
  for (int variant = 0; variant < 4; variant++) {
    nsl_train_options o = {.shift_x_range = 4, .shift_roll = variant & 1, .shift_bands_apart = variant >> 1};
    int seen[9] = {0}, differ = 0;
    for (uint64_t name = 0; name < 80; name++) {
      nsl_train_batch_load(&b, 1, &m, r, 0, NULL);
      nsl_train_batch_augment(&b, 1, &o, name);
      int shift[2] = {whole_shift(&b, 0, o.shift_roll), whole_shift(&b, 1, o.shift_roll)};
      for (int band = 0; band < 2; band++) {
        assert_in_range(shift[band] + 4, 0, 8);
        seen[shift[band] + 4]++;
      }
      differ += shift[0] != shift[1];
    }
    for (int k = 0; k < 9; k++) { assert_true(seen[k] > 0); }
    assert_true(o.shift_bands_apart ? differ > 40 : differ == 0);
  }
  nsl_train_batch_free(&b);
  nsl_stamp_reader_close(r);
  nsl_model_free(&m);
}

/* Another draw each time, of the size and the correlation that the noise of stamps has; none is added to pixels without data. */
static void test_fresh_noise(void **state)
{
  (void)state;
  static float flux[NSL_STAMP_PIXELS], variance[NSL_STAMP_PIXELS], first[NSL_STAMP_PIXELS], scratch[2 * NSL_STAMP_PLANE];
  nsl_stamp s = {.flux = flux, .variance = variance};
  double sum2 = 0, neighbours = 0, draws = 0, total = 0;
  for (uint64_t name = 0; name < 3; name++) {
    nsl_rng r = nsl_rng_make(1, NSL_RNG_AUGMENT, name, 1);
    for (size_t i = 0; i < NSL_STAMP_PIXELS; i++) {
      flux[i] = 0;
      variance[i] = i % 7 == 0 ? 0 : 400;
    }
    nsl_train_fresh_noise(&s, 0.5f, &r, scratch);
    for (size_t i = 0; i + 1 < NSL_STAMP_PIXELS; i++) {
      double a = (double)flux[i] / 10, b = (double)flux[i + 1] / 10; /* half of sigma 20 */
      if (i % 7 == 0) { assert_true(flux[i] == 0 && variance[i] == 0); }
      sum2 += a * a * 7 / 6;
      neighbours += a * b * 7 / 5;
      total++;
      if (name > 0) { draws += a * (double)first[i] / 10; }
    }
    if (name == 0) { memcpy(first, flux, sizeof first); }
  }
  assert_true(fabs(sum2 / total - 0.44) < 0.02);
  assert_true(fabs(neighbours / sum2 - 0.24) < 0.03);
  assert_true(fabs(draws / total) < 0.01);
  nsl_rng r = nsl_rng_make(1, NSL_RNG_AUGMENT, 5, 1);
  memcpy(first, flux, sizeof first);
  nsl_train_fresh_noise(&s, 0, &r, scratch);
  assert_memory_equal(first, flux, sizeof first);
}

static void test_soft_labels(void **state)
{
  (void)state;
  nsl_model m = {.grid = {640, 0.01, 0.0015}};
  nsl_train_batch b;
  assert_ok(nsl_train_batch_init(&b, 1, 640, &test_err));
  const double us[] = {0.3, 0.0101, 0.9699, 0.5003};
  for (int k = 0; k < 4; k++) {
    double sum = 0, mean = 0, var = 0;
    nsl_train_batch_label(&b, 0, &m, expm1(us[k]), 0.0045);
    for (int i = 0; i < 640; i++) {
      double u = 0.01 + (i + 0.5) * 0.0015;
      sum += (double)b.target[i];
      mean += (double)b.target[i] * u;
      var += (double)b.target[i] * (u - us[k]) * (u - us[k]);
    }
    assert_true(fabs(sum - 1) < 1e-5);
    if (k == 0 || k == 3) {
      assert_true(fabs(mean - us[k]) < 2e-5);
      assert_true(fabs(sqrt(var) / sqrt(0.0045 * 0.0045 + 0.0015 * 0.0015 / 12) - 1) < 1e-3);
    }
  }
  nsl_train_batch_label(&b, 0, &m, expm1(0.3001), 0); /* a hard label */
  assert_true(b.target[(int)((0.3001 - 0.01) / 0.0015)] == 1);
  nsl_train_batch_label(&b, 0, &m, NAN, 0.0006); /* a star */
  for (int i = 0; i < 640; i++) { assert_true(b.target[i] == 1 / 640.f); }
  nsl_train_batch_free(&b);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_forty_steps_learn),
      cmocka_unit_test(test_a_stopped_training_goes_on_with_the_same_bits),
      cmocka_unit_test(test_a_checkpoint_of_another_training_is_refused),
      cmocka_unit_test(test_bad_gradients_are_left_out_then_stop),
      cmocka_unit_test(test_too_few_stamps),
      cmocka_unit_test(test_augmentation_moves_pixels),
      cmocka_unit_test(test_shift_along_x),
      cmocka_unit_test(test_whole_pixel_shift_along_x),
      cmocka_unit_test(test_fresh_noise),
      cmocka_unit_test(test_soft_labels),
  };
  return cmocka_run_group_tests(tests, set_up, NULL);
}
