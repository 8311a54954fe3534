/* The training loop. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "noslit/base/clock.h"
#include "noslit/base/fsio.h"
#include "noslit/base/str.h"
#include "noslit/nn/loss.h"
#include "noslit/pipe/calibrate.h"
#include "pipe/band_attributes.h"
#include "pipe/train_internal.h"

#define BAD_STEPS_MAX 10
#define BETA1 0.9
#define ADAM_EPS 1e-8
#define CALIBRATION_SAMPLES 64

typedef struct {
  const nsl_train_options *o;
  const nsl_train_comm *comm;
  const nsl_log *log; /* NULL but on rank 0 */
  nsl_train_data data;
  nsl_train_check validation;
  nsl_model model;
  nsl_net *net;
  nsl_adamw *opt;
  nsl_train_batch batch;
  nsl_train_state state;
  nsl_metrics metrics[NSL_TRAIN_CUTS]; /* of the last validation */
  size_t n_values, n_vector;           /* parameters and states; and with the extra numbers */
  float *before, *mine, *total, *dout; /* values before the step; this rank's group vectors; their sum over all; loss gradient */
  char data_hash[NSL_HASH_HEX], fingerprint[NSL_HASH_HEX];
  int64_t total_steps, first_step;
  size_t n_calibration;
  int bad_steps;
  double started_s, checkpoint_s, loss, rate;
} run;

static void run_free(run *r)
{
  nsl_train_data_close(&r->data);
  nsl_train_check_close(&r->validation);
  nsl_adamw_free(r->opt);
  nsl_net_free(r->net);
  nsl_model_free(&r->model);
  nsl_train_batch_free(&r->batch);
  nsl_train_state_free(&r->state);
  free(r->before);
  free(r->mine);
  free(r->total);
  free(r->dout);
}

static nsl_status agree(const run *r, nsl_status st, nsl_error *err) { return r->comm->agree(r->comm->ctx, st, err); }

static double seconds_so_far(const run *r) { return r->state.seconds + nsl_clock_s() - r->started_s; }

/* --- setting up --- */

/* Rank 0 always holds class 0, so it knows the grids and the hash of the stamps. Collective. */
static nsl_status learn_from_rank0(run *r, nsl_band band[2], nsl_error *err)
{
  struct {
    nsl_band band[2];
    nsl_hash hash;
  } mine, *all = malloc((size_t)r->comm->size * sizeof *all);
  nsl_status st = agree(r, all ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "training"), err);
  if (st == NSL_OK) {
    memset(&mine, 0, sizeof mine);
    if (r->data.n_mine > 0) {
      memcpy(mine.band, nsl_stamp_reader_bands(r->data.reader[0]), sizeof mine.band);
      mine.hash = nsl_stamp_reader_hash(r->data.reader[0]);
    }
    st = r->comm->gather(r->comm->ctx, &mine, sizeof mine, all, (size_t)r->comm->size * sizeof mine, err);
  }
  if (st == NSL_OK) {
    memcpy(band, all[0].band, sizeof all[0].band);
    nsl_hash_to_hex(all[0].hash, r->data_hash);
  }
  free(all);
  return st;
}

/* What a checkpoint must agree with: settings, stamps, network and its first weights. */
static nsl_status make_fingerprint(run *r, nsl_error *err)
{
  const nsl_train_options *o = r->o;
  char *graph = nsl_graph_to_text(&r->model.graph);
  char *text = nsl_strf("%d %d %d %d %d %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %d %d %d %d %llu %s", r->data.group,
                        r->data.n_groups, o->epochs, o->shift_y, o->flip, o->lr, o->lr_min, o->warm_up, o->weight_decay, o->clip,
                        o->label_sigma, o->shift_x, o->beta2, o->squared, o->shift_x_range, o->shift_bands_apart, o->shift_roll,
                        (unsigned long long)o->seed, r->data_hash);
  nsl_hasher *h = nsl_hasher_new();
  nsl_status st = NSL_OK;
  if (graph && text && h) {
    nsl_hasher_add(h, text, strlen(text));
    nsl_hasher_add(h, graph, strlen(graph));
    nsl_hasher_add(h, r->before, r->n_values * sizeof *r->before);
    nsl_hash_to_hex(nsl_hasher_value(h), r->fingerprint);
  } else {
    st = nsl_fail(err, NSL_E_NOMEM, "fingerprint of the training");
  }
  if (h) { nsl_hasher_free(h); }
  free(text);
  free(graph);
  return st;
}

static nsl_status make_optimiser_and_memory(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const nsl_adamw_options options = {
      .beta1 = BETA1, .beta2 = r->o->beta2, .eps = ADAM_EPS, .weight_decay = r->o->weight_decay, .clip_norm = r->o->clip};
  size_t group = (size_t)r->data.group, out = r->model.head == NSL_HEAD_BINS ? (size_t)r->model.grid.n : 2;
  r->n_values = nsl_vector_size(r->net);
  r->n_vector = r->n_values + NSL_VECTOR_EXTRA;
  r->before = malloc(r->n_values * sizeof *r->before);
  r->mine = malloc(((size_t)r->data.n_mine * r->n_vector + 1) * sizeof *r->mine);
  r->total = malloc(r->n_vector * sizeof *r->total);
  r->dout = malloc(group * out * sizeof *r->dout);
  r->state.best = malloc(r->n_values * sizeof *r->state.best);
  if (!r->before || !r->mine || !r->total || !r->dout || !r->state.best) {
    NSL_THROW(err, NSL_E_NOMEM, "gradients of %zu weights", r->n_values);
  }
  NSL_TRY(nsl_train_batch_init(&r->batch, r->data.group, r->model.grid.n, err));
  NSL_TRY(nsl_adamw_new(r->net, &options, &r->opt, err));
  nsl_vector_get_values(r->net, r->before);
  memcpy(r->state.best, r->before, r->n_values * sizeof *r->before);
  r->state.best_nll = INFINITY;
  NSL_TRY(make_fingerprint(r, err));
cleanup:
  return st;
}

static nsl_status resume(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int found = nsl_file_exists(r->o->checkpoint);
  int *all = malloc((size_t)r->comm->size * sizeof *all);
  NSL_TRY(agree(r, all ? NSL_OK : nsl_fail(err, NSL_E_NOMEM, "training"), err));
  NSL_TRY(r->comm->gather(r->comm->ctx, &found, sizeof found, all, (size_t)r->comm->size * sizeof found, err));
  if (!all[0]) { goto cleanup; } /* what rank 0 sees counts, so that all do the same */
  NSL_TRY(agree(r, nsl_checkpoint_read(r->o->checkpoint, r->fingerprint, &r->state, r->net, r->opt, err), err));
  r->first_step = r->state.step;
  nsl_info(r->log, "resuming at step %lld from %s", (long long)r->state.step, r->o->checkpoint);
cleanup:
  free(all);
  return st;
}

/* Stamps that cannot be calibrated on are found before the training, not after. */
static nsl_status look_at_calibration(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_stamp_reader *reader = NULL;
  char *difference = NULL;
  if (r->o->n_calibration == 0) { return NSL_OK; }
  NSL_TRY(nsl_stamp_reader_open((const char *const *)r->o->calibration, r->o->n_calibration, 0, INT_MAX, &reader, err));
  r->n_calibration = nsl_stamp_reader_total(reader);
  difference = nsl_bands_difference(nsl_stamp_reader_bands(reader), r->model.band);
  if (difference) { NSL_THROW(err, NSL_E_MISMATCH, "train.calibration: %s as in the training stamps", difference); }
  if (r->n_calibration < NSL_CAL_MIN) {
    NSL_THROW(err, NSL_E_CONFIG, "train.calibration: %zu stamps are too few, give at least %d", r->n_calibration, NSL_CAL_MIN);
  }
cleanup:
  nsl_stamp_reader_close(reader);
  free(difference);
  return st;
}

static nsl_status set_up(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_band band[2];
  const nsl_train_options *o = r->o;
  NSL_TRY(nsl_train_data_open(&r->data, o, r->comm, err));
  NSL_TRY(learn_from_rank0(r, band, err));
  NSL_TRY(agree(r, nsl_train_model_new(o, band, r->data.group, &r->model, &r->net, err), err));
  r->model.temperature = 1;
  if (!o->from[0] && r->model.input == NSL_INPUT_WEIGHTED) {
    NSL_TRY(nsl_train_data_noise(&r->data, r->comm, r->model.flux_scale, err));
  }
  NSL_TRY(nsl_train_data_choose(&r->data, &r->model.grid, r->model.head == NSL_HEAD_BINS, r->comm, r->log, err));
  NSL_TRY(nsl_train_check_open(&r->validation, o->validation, o->n_validation, &r->model.grid, r->comm, err));
  NSL_TRY(agree(r, r->comm->rank == 0 ? look_at_calibration(r, err) : NSL_OK, err));
  NSL_TRY(agree(r, make_optimiser_and_memory(r, err), err));
  r->total_steps = r->data.steps_per_epoch * o->epochs;
  if (r->data.n_groups < r->comm->size) {
    nsl_warn(r->log, "%d groups a batch keep only %d of %d ranks busy: raise train.batch or lower train.group", r->data.n_groups,
             r->data.n_groups, r->comm->size);
  }
  nsl_info(r->log, "%lld training stamps, %zu for validation, %zu for calibration; %zu weights; %lld steps of %d x %d stamps",
           (long long)r->data.n_total, r->validation.n_total, r->n_calibration, r->n_values, (long long)r->total_steps,
           r->data.n_groups, r->data.group);
  NSL_TRY(resume(r, err));
cleanup:
  return st;
}

/* --- one step --- */

static double loss_of(run *r, const float *output)
{
  const nsl_train_batch *b = &r->batch;
  int n = r->data.group;
  if (r->model.head == NSL_HEAD_BINS) { return nsl_loss_cross_entropy(n, r->model.grid.n, output, b->target, r->dout); }
  return r->o->squared ? nsl_loss_squared(n, output, b->target, r->dout) : nsl_loss_gaussian_nll(n, output, b->target, r->dout);
}

/* Loss and gradients of my k-th group; the net's states move as well. */
static nsl_status group_gradient(run *r, int64_t step, int k, float *loss, nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_train_batch *b = &r->batch;
  int group = r->data.group;
  uint64_t name0 = (uint64_t)(step * r->data.n_groups + r->data.rank + (int64_t)k * r->data.size) * (uint64_t)group;
  const nsl_stamp_reader *reader = r->data.reader[k];
  const float *inputs[3], *output;
  for (int j = 0; j < group; j++) {
    size_t i = nsl_train_data_pick(&r->data, step, k, j);
    nsl_rng noise = nsl_rng_make(r->o->seed, NSL_RNG_AUGMENT, name0 + (uint64_t)j, 1);
    nsl_train_batch_load(b, j, &r->model, reader, i, &noise);
    const nsl_stamp_label *label = nsl_stamp_reader_label(reader, i);
    nsl_train_batch_label(b, j, &r->model, label->type == NSL_STAMP_STAR ? NAN : label->z, r->o->label_sigma);
    nsl_train_batch_augment(b, j, r->o, name0 + (uint64_t)j);
    b->keys[j] = name0 + (uint64_t)j;
  }
  const nsl_dropout_key drop = {.seed = r->o->seed, .key = b->keys, .sample = 0};
  nsl_model_inputs(&r->model, b->x, b->v, b->aux, inputs);
  nsl_net_zero_grad(r->net);
  NSL_TRY(nsl_net_forward(r->net, group, inputs, NSL_MODE_TRAIN, &drop, &output, err));
  *loss = (float)loss_of(r, output);
  NSL_TRY(nsl_net_backward(r->net, r->dout, err));
cleanup:
  return st;
}

static int all_finite(const float *v, size_t n)
{
  float sum = 0;
  for (size_t i = 0; i < n; i++) { sum += v[i] * 0; }
  return sum == 0;
}

/* The optimiser's step with the mean over all groups; one that is not finite is left out. */
static nsl_status apply(run *r, int64_t step, nsl_error *err)
{
  double lr = nsl_schedule_cosine(step, r->total_steps, r->o->warm_up, r->o->lr, r->o->lr_min), norm = 0;
  int good = all_finite(r->total, r->n_vector);
  if (good) {
    nsl_vector_set_step(r->net, r->total, 1 / (float)r->data.n_groups, 1);
    nsl_status st = nsl_adamw_step(r->opt, lr, &norm, err);
    if (st != NSL_OK && st != NSL_E_NUMERIC) { return st; }
    good = st == NSL_OK;
    if (!good) { nsl_vector_set_states(r->net, r->before); }
    nsl_net_weights_changed(r->net);
  }
  r->bad_steps = good ? 0 : r->bad_steps + 1;
  if (!good) { nsl_warn(r->log, "step %lld: loss or gradient is not finite; the step is left out", (long long)step); }
  if (r->bad_steps == BAD_STEPS_MAX) {
    return nsl_fail(err, NSL_E_NUMERIC, "loss or gradient not finite in %d steps in a row, up to step %lld: lower train.lr (%g)",
                    BAD_STEPS_MAX, (long long)step, r->o->lr);
  }
  return NSL_OK;
}

static nsl_status do_step(run *r, int64_t step, int *stop, nsl_error *err)
{
  nsl_status local = NSL_OK;
  nsl_vector_get_values(r->net, r->before);
  int asked = r->comm->stop(r->comm->ctx);
  for (int k = 0; k < r->data.n_mine; k++) {
    float *vector = r->mine + (size_t)k * r->n_vector, *extra = vector + r->n_values, loss = 0;
    nsl_vector_set_states(r->net, r->before); /* every group starts from the same running statistics */
    if (local == NSL_OK) { local = group_gradient(r, step, k, &loss, err); }
    nsl_vector_get_step(r->net, vector);
    extra[NSL_VECTOR_LOSS] = loss;
    extra[NSL_VECTOR_STOP] = asked ? 1 : 0;
    extra[NSL_VECTOR_ERROR] = local != NSL_OK ? 1 : 0;
  }
  nsl_status st = r->comm->sum(r->comm->ctx, r->data.n_groups, r->n_vector, r->mine, r->total, err);
  nsl_vector_set_states(r->net, r->before);
  if (st != NSL_OK) { return st; }
  const float *extra = r->total + r->n_values;
  if (extra[NSL_VECTOR_ERROR] > 0) { return agree(r, local, err); }
  r->loss = (double)extra[NSL_VECTOR_LOSS] / r->data.n_groups;
  *stop = extra[NSL_VECTOR_STOP] > 0;
  return apply(r, step, err);
}

/* --- validation, model file, checkpoint --- */

static nsl_status write_model(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (r->comm->rank == 0) {
    free(r->model.card);
    r->model.card = nsl_train_card(r->o, &r->data, &r->state, r->metrics, r->data_hash, seconds_so_far(r));
    st = r->model.card ? nsl_model_write(r->o->output, &r->model, r->net, err) : nsl_fail(err, NSL_E_NOMEM, "model card");
  }
  return agree(r, st, err);
}

static nsl_status validate(run *r, nsl_error *err)
{
  if (r->validation.n_total == 0) { return NSL_OK; }
  nsl_status st = NSL_OK;
  NSL_TRY(nsl_train_validate(&r->validation, &r->model, r->net, &r->batch, r->comm, r->metrics, err));
  nsl_train_point point = {.step = (double)r->state.step, .loss = r->loss, .nll = r->metrics[0].value[NSL_METRIC_NLL_U]};
  for (int c = 0; c < NSL_TRAIN_CUTS; c++) { point.sigma_nmad[c] = r->metrics[c].value[NSL_METRIC_SIGMA_NMAD]; }
  if (!nsl_train_state_add(&r->state, &point)) { NSL_THROW(err, NSL_E_NOMEM, "training history"); }
  /* Under the squared error nobody teaches the width, so that the likelihood says nothing of progress. */
  double score = r->o->squared && r->model.head == NSL_HEAD_GAUSSIAN ? point.sigma_nmad[0] : point.nll;
  int better = score < r->state.best_nll;
  nsl_info(r->log,
           "step %lld, epoch %.2f: loss %.4f, validation nll %.4f%s, sigma_nmad %.5f, at snr >= 1/3/5/10 %.5f %.5f %.5f %.5f",
           (long long)r->state.step, (double)r->state.step / (double)r->data.steps_per_epoch, r->loss, point.nll,
           better ? " (best)" : "", point.sigma_nmad[0], point.sigma_nmad[1], point.sigma_nmad[2], point.sigma_nmad[3],
           point.sigma_nmad[4]);
  if (better) {
    r->state.best_nll = score;
    r->state.best_step = r->state.step;
    nsl_vector_get_values(r->net, r->state.best);
    NSL_TRY(write_model(r, err));
  }
cleanup:
  return st;
}

static nsl_status write_checkpoint(run *r, nsl_error *err)
{
  nsl_train_state now = r->state;
  now.seconds = seconds_so_far(r);
  r->checkpoint_s = nsl_clock_s();
  return nsl_checkpoint_write(r->o->checkpoint, r->fingerprint, &now, r->net, r->opt, err);
}

/* A checkpoint in time; one that cannot be written is no reason to stop. */
static void maybe_checkpoint(run *r)
{
  nsl_error err = NSL_ERROR_INIT;
  if (r->comm->rank != 0 || nsl_clock_s() - r->checkpoint_s < r->o->checkpoint_s) { return; }
  if (write_checkpoint(r, &err) != NSL_OK) { nsl_warn(r->log, "%s: training goes on without", err.text); }
}

static nsl_status drain(run *r, nsl_error *err)
{
  nsl_status st = agree(r, r->comm->rank == 0 ? write_checkpoint(r, err) : NSL_OK, err);
  if (st != NSL_OK) { return st; }
  return nsl_fail(err, NSL_E_DRAINED, "stopped at step %lld of %lld: the same command goes on from %s", (long long)r->state.step,
                  (long long)r->total_steps, r->o->checkpoint);
}

static nsl_status loop(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int64_t batch = (int64_t)r->data.group * r->data.n_groups;
  int64_t every = r->o->validate_steps > 0 ? r->o->validate_steps : r->data.steps_per_epoch;
  nsl_progress progress;
  nsl_progress_start(&progress, r->log, "stamps", (long)((r->total_steps - r->first_step) * batch));
  double t0 = nsl_clock_s();
  while (r->state.step < r->total_steps) {
    char note[96];
    int stop = 0;
    int64_t step = r->state.step;
    NSL_TRY(do_step(r, step, &stop, err));
    r->state.step = step + 1;
    snprintf(note, sizeof note, "step %lld, loss %.4f, lr %.2e", (long long)step, r->loss,
             nsl_schedule_cosine(step, r->total_steps, r->o->warm_up, r->o->lr, r->o->lr_min));
    nsl_progress_update(&progress, (long)((step + 1 - r->first_step) * batch), note);
    r->rate = (double)((step + 1 - r->first_step) * batch) / (nsl_clock_s() - t0);
    if (r->state.step % every == 0 || r->state.step == r->total_steps) { NSL_TRY(validate(r, err)); }
    if (stop) { NSL_TRY(drain(r, err)); }
    maybe_checkpoint(r);
  }
  nsl_progress_end(&progress, (long)((r->total_steps - r->first_step) * batch), NULL);
cleanup:
  return st;
}

/* Rank 0 does it alone: the result must not depend on the number of ranks, and it takes seconds. */
static nsl_status calibrate(run *r, nsl_error *err)
{
  const nsl_train_options *o = r->o;
  const nsl_calibrate_job job = {.model = o->output,
                                 .out = o->output,
                                 .stamps = (const char *const *)o->calibration,
                                 .n_stamps = o->n_calibration,
                                 .samples = CALIBRATION_SAMPLES,
                                 .seed = o->seed};
  nsl_calibrate_summary summary;
  return nsl_model_calibrate(&job, r->log, &summary, err);
}

/* The best weights and their metrics into the model file, then its calibration. */
static nsl_status finish(run *r, nsl_error *err)
{
  nsl_status st = NSL_OK;
  if (r->validation.n_total > 0) {
    nsl_vector_set_values(r->net, r->state.best);
    NSL_TRY(nsl_train_validate(&r->validation, &r->model, r->net, &r->batch, r->comm, r->metrics, err));
  } else {
    r->state.best_step = r->state.step;
  }
  NSL_TRY(write_model(r, err));
  if (r->o->n_calibration > 0) { NSL_TRY(agree(r, r->comm->rank == 0 ? calibrate(r, err) : NSL_OK, err)); }
  if (r->comm->rank == 0) { unlink(r->o->checkpoint); }
cleanup:
  return st;
}

nsl_status nsl_train_run(const nsl_train_options *o, const nsl_train_comm *comm, const nsl_log *log, nsl_train_summary *summary,
                         nsl_error *err)
{
  nsl_status st = NSL_OK;
  run *r = calloc(1, sizeof *r);
  if (!r) { return nsl_fail(err, NSL_E_NOMEM, "training"); }
  *r = (run){.o = o, .comm = comm, .log = comm->rank == 0 ? log : NULL, .loss = NAN};
  r->started_s = r->checkpoint_s = nsl_clock_s();
  nsl_graph_init(&r->model.graph);
  NSL_TRY(set_up(r, err));
  NSL_TRY(loop(r, err));
  NSL_TRY(finish(r, err));
cleanup:
  *summary = (nsl_train_summary){.steps = r->state.step,
                                 .first_step = r->first_step,
                                 .best_step = r->state.best_step,
                                 .last_loss = r->loss,
                                 .stamps_per_s = r->rate,
                                 .wall_s = nsl_clock_s() - r->started_s};
  memcpy(summary->best, r->metrics, sizeof r->metrics);
  run_free(r);
  free(r);
  return st;
}
