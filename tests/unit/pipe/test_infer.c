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
    assert_true(fabs(sum - 1) < 1e-5);
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

int main(void)
{
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_rows_are_filled),
      cmocka_unit_test(test_the_batch_does_not_matter),
      cmocka_unit_test(test_bad_stamps_harm_no_other),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
