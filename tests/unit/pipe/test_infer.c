/* Inference on stamps with a tiny network: independent of the batch, and one bad stamp harms no other. */
#include "unit/test_support.h"

#include "noslit/model/flags.h"
#include "unit/pipe/tiny_model.h"

#define PATH "infer.model.h5"
enum { N = 9, SAMPLES = 20 };

static void write_model(void)
{
  nsl_model m;
  nsl_net *net;
  assert_ok(tiny_model(16, &m, &test_err));
  assert_ok(nsl_net_new(&m.graph, 1, 1, 5, &net, &test_err));
  assert_ok(nsl_model_write(PATH, &m, net, &test_err));
  nsl_net_free(net);
  nsl_model_free(&m);
}

static void fill(nsl_stamp_set *set)
{
  nsl_stamp_label label;
  stamps_make(set, N);
  for (int i = 0; i < N; i++) { tiny_stamp(&set->stamps[i], &label, 7, 100 + i); }
}

static void infer(const nsl_stamp_set *set, int max_batch, nsl_rows *rows)
{
  nsl_instrument *inst = instrument_make();
  nsl_infer *inf;
  assert_ok(nsl_infer_new(PATH, inst, SAMPLES, max_batch, 3, &inf, &test_err));
  assert_true(nsl_rows_alloc(rows, N + 2, &nsl_infer_model(inf)->grid));
  assert_ok(nsl_infer_run(inf, set, rows, 2, &test_err));
  nsl_infer_free(inf);
  free(inst);
}

static void assert_same_row(const nsl_rows *a, size_t i, const nsl_rows *b, size_t j)
{
  assert_memory_equal(a->pdf + i * TINY_BINS, b->pdf + j * TINY_BINS, TINY_BINS * sizeof *a->pdf);
  for (int c = 0; c < nsl_n_row_columns; c++) {
    size_t size = nsl_col_size(nsl_row_columns[c].type);
    assert_memory_equal((char *)nsl_rows_column(a, c) + i * size, (char *)nsl_rows_column(b, c) + j * size, size);
  }
}

static void test_rows_are_filled(void **state)
{
  (void)state;
  nsl_stamp_set set;
  nsl_rows rows;
  write_model();
  fill(&set);
  set.stamps[1].band[1].snr = 0.4f;
  set.stamps[2].flags = NSL_FLAG_PARTIAL_GV;
  set.stamps[2].band[0].contamination = 0.5f;
  infer(&set, 4, &rows);
  assert_true(isnan(rows.z_mode[1]) && rows.n_samples[1] == 0); /* rows before `first` are left alone */
  for (size_t i = 0; i < N; i++) {
    size_t row = i + 2;
    double sum = 0;
    for (int b = 0; b < TINY_BINS; b++) {
      double width = nsl_pdf_edge_z(&rows.grid, b + 1) - nsl_pdf_edge_z(&rows.grid, b);
      sum += width * (double)rows.pdf[row * TINY_BINS + (size_t)b];
    }
    assert_true(fabs(sum - 1) < 1e-5 + ldexp(1, -NSL_PDF_MANTISSA_BITS - 1));
    assert_true(rows.z_lo68[row] < rows.z_median[row] && rows.z_median[row] < rows.z_hi68[row]);
    assert_true(rows.sigma_epistemic[row] > 0 && rows.sigma_aleatoric[row] > 0 && rows.mutual_info[row] > 0);
    assert_true(rows.odds[row] > 0 && rows.odds[row] <= 1);
    assert_int_equal(rows.n_samples[row], SAMPLES);
    assert_int_equal(rows.n_exp_gi[row], 4);
    assert_true(rows.snr_gi[row] == set.stamps[i].band[1].snr);
  }
  assert_int_equal(rows.flags[2], 0);
  assert_int_equal(rows.flags[3], NSL_FLAG_LOW_SNR);
  assert_int_equal(rows.flags[4], NSL_FLAG_PARTIAL_GV);
  assert_true(rows.contamination[4] == 0.5f);
  nsl_rows_free(&rows);
  stamps_drop(&set);
}

static void test_the_batch_does_not_matter(void **state)
{
  (void)state;
  nsl_stamp_set set;
  nsl_rows all, one, reversed;
  write_model();
  fill(&set);
  infer(&set, N, &all);
  infer(&set, 1, &one);
  for (int i = 0; i < N / 2; i++) {
    nsl_stamp swap = set.stamps[i];
    set.stamps[i] = set.stamps[N - 1 - i];
    set.stamps[N - 1 - i] = swap;
  }
  infer(&set, 5, &reversed);
  for (size_t i = 0; i < N; i++) {
    assert_same_row(&all, i + 2, &one, i + 2);
    assert_same_row(&all, i + 2, &reversed, N - 1 - i + 2);
  }
  nsl_rows_free(&all);
  nsl_rows_free(&one);
  nsl_rows_free(&reversed);
  stamps_drop(&set);
}

static void test_bad_stamps_harm_no_other(void **state)
{
  (void)state;
  nsl_stamp_set set;
  nsl_rows good, bad;
  write_model();
  fill(&set);
  infer(&set, N, &good);
  set.stamps[0].flux[1000] = NAN;
  set.stamps[3].variance[77] = INFINITY;
  set.stamps[5].contamination[20000] = NAN;
  memset(set.stamps[6].variance, 0, NSL_STAMP_PIXELS * sizeof(float)); /* no data at all */
  set.stamps[8].flags |= NSL_FLAG_NO_PDF;
  infer(&set, N, &bad);
  for (size_t i = 0; i < N; i++) {
    size_t row = i + 2;
    if (i == 0 || i == 3 || i == 5 || i == 6 || i == 8) {
      assert_true(bad.flags[row] & NSL_FLAG_NO_PDF);
      assert_true(isnan(bad.z_mode[row]) && isnan(bad.sigma_epistemic[row]) && bad.n_samples[row] == 0);
      for (int b = 0; b < TINY_BINS; b++) { assert_true(bad.pdf[row * TINY_BINS + (size_t)b] == 0); }
    } else {
      assert_same_row(&good, row, &bad, row);
    }
  }
  nsl_rows_free(&good);
  nsl_rows_free(&bad);
  stamps_drop(&set);
}

/* A source that is told to stop has the same bits as one that had so many samples from the start. */
static void test_samples_until_the_error_is_small(void **state)
{
  (void)state;
  enum { MOST = 160 };
  nsl_stamp_set set;
  nsl_rows full, some, same;
  nsl_infer *inf;
  write_model();
  fill(&set);
  assert_ok(nsl_infer_new(PATH, NULL, MOST, 4, 3, &inf, &test_err));
  const nsl_pdf_grid *grid = &nsl_infer_model(inf)->grid;
  assert_true(nsl_rows_alloc(&full, N, grid) && nsl_rows_alloc(&some, N, grid) && nsl_rows_alloc(&same, N, grid));
  assert_ok(nsl_infer_run(inf, &set, &full, 0, &test_err));
  double limit = 1e-9;
  for (size_t i = 0; i < N; i++) {
    assert_true(full.n_samples[i] == MOST && full.mc_error[i] > 0);
    limit = fmax(limit, 2.5 * (double)full.mc_error[i]); /* about the error of 64 */
  }
  nsl_infer_stop_at(inf, limit);
  assert_ok(nsl_infer_run(inf, &set, &some, 0, &test_err));
  int fewer = 0;
  for (size_t i = 0; i < N; i++) {
    assert_true(some.n_samples[i] % 32 == 0 && some.n_samples[i] <= MOST);
    assert_true((double)some.mc_error[i] < limit || some.n_samples[i] == MOST);
    fewer += some.n_samples[i] < MOST;
  }
  assert_true(fewer > 0);
  nsl_infer_free(inf);
  assert_ok(nsl_infer_new(PATH, NULL, some.n_samples[0], 2, 3, &inf, &test_err));
  assert_ok(nsl_infer_run(inf, &set, &same, 0, &test_err));
  assert_same_row(&some, 0, &same, 0);
  nsl_infer_free(inf);
  nsl_rows_free(&full);
  nsl_rows_free(&some);
  nsl_rows_free(&same);
  stamps_drop(&set);
}

/* Rows are moved back by the tilt, to whole pixels; a deeper stamp has larger weights, light of neighbours smaller ones. */
static void test_inputs_are_straight_and_weighted(void **state)
{
  (void)state;
  static float x[NSL_STAMP_PIXELS], v[NSL_STAMP_PIXELS], aux[NSL_AUX];
  nsl_model m;
  nsl_stamp_set set;
  assert_ok(tiny_model(16, &m, &test_err));
  m.flux_scale[0] = m.flux_scale[1] = 10;
  m.contamination_k = 0.5;
  stamps_make(&set, 1);
  nsl_stamp *s = &set.stamps[0];
  s->band[0].tilt = 1.5f;
  s->band[1].tilt = -3;
  for (size_t i = 0; i < NSL_STAMP_PIXELS; i++) { s->variance[i] = i < NSL_STAMP_PLANE ? 100 : 25; }
  for (int y = 0; y < NSL_STAMP_NY; y++) { /* a line that leans as the tilts say */
    s->flux[y * NSL_STAMP_NX + 240 + (int)lrintf(1.5f * ((float)y - 19.5f))] = 50;
    s->flux[NSL_STAMP_PLANE + (size_t)(y * NSL_STAMP_NX + 240 + (int)lrintf(-3 * ((float)y - 19.5f)))] = 50;
  }
  s->contamination[5 * NSL_STAMP_NX + 100] = 20; /* two sigma */
  nsl_infer_inputs(&m, s, x, v, aux);
  for (size_t y = 0; y < 2 * NSL_STAMP_NY; y++) {
    assert_true(x[y * NSL_STAMP_NX + 240] == 5);
    assert_true(fabsf(v[y * NSL_STAMP_NX + 240] - (y < NSL_STAMP_NY ? 1.f : 4.f)) < 1e-4f);
  }
  int moved = (int)lrintf(1.5f * (5 - 19.5f));
  assert_true(fabsf(x[5 * NSL_STAMP_NX + 100 - moved] + 2) < 1e-5f);
  assert_true(fabsf(v[5 * NSL_STAMP_NX + 100 - moved] - 0.5f) < 1e-4f); /* 1 / (1 + (0.5 * 2)^2) */
  assert_true(v[0] == 0 && v[20 * NSL_STAMP_NX] > 0);                   /* what was moved in from outside has no weight */
  stamps_drop(&set);
  nsl_model_free(&m);
}

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows_are_filled),
      cmocka_unit_test(test_the_batch_does_not_matter),
      cmocka_unit_test(test_bad_stamps_harm_no_other),
      cmocka_unit_test(test_samples_until_the_error_is_small),
      cmocka_unit_test(test_inputs_are_straight_and_weighted),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
