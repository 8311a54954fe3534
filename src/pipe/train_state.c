/* Checkpoints: all that a training run needs to go on as if it had never stopped. Random numbers are counter-based, so the step
 * number stands for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "noslit/base/fsio.h"
#include "pipe/train_internal.h"

#define FORMAT "noslit-checkpoint"
#define VERSION 1
enum { POINT_NUMBERS = sizeof(nsl_train_point) / sizeof(double) };

int nsl_train_state_add(nsl_train_state *s, const nsl_train_point *p)
{
  nsl_train_point *h = realloc(s->history, (s->n_history + 1) * sizeof *h);
  if (!h) { return 0; }
  h[s->n_history++] = *p;
  s->history = h;
  return 1;
}

void nsl_train_state_free(nsl_train_state *s)
{
  free(s->best);
  free(s->history);
  *s = (nsl_train_state){0};
}

static nsl_status write_floats(nsl_h5 *f, const char *path, const float *v, size_t n, nsl_error *err)
{
  const nsl_h5_layout layout = {.chunk_rows = n < 1 << 18 ? n : 1 << 18, .fletcher32 = 1};
  return nsl_h5_write(f, path, NSL_H5_F32, 1, &n, v, &layout, err);
}

static nsl_status write_content(nsl_h5 *f, const char *fingerprint, const nsl_train_state *s, const float *values, size_t n,
                                nsl_adamw *opt, nsl_error *err)
{
  nsl_status st = NSL_OK;
  const size_t dims[2] = {s->n_history, POINT_NUMBERS};
  NSL_TRY(nsl_h5_put_text(f, "/", "format", FORMAT, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "version", VERSION, err));
  NSL_TRY(nsl_h5_put_text(f, "/", "fingerprint", fingerprint, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "step", s->step, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "best_step", s->best_step, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "best_nll", s->best_nll, err));
  NSL_TRY(nsl_h5_put_f64(f, "/", "seconds", s->seconds, err));
  NSL_TRY(nsl_h5_put_i64(f, "/", "optimiser_steps", *nsl_adamw_step_count(opt), err));
  NSL_TRY(write_floats(f, "/values", values, n, err));
  NSL_TRY(write_floats(f, "/best", s->best, n, err));
  NSL_TRY(write_floats(f, "/moment1", nsl_adamw_moment(opt, 0), nsl_adamw_state_size(opt), err));
  NSL_TRY(write_floats(f, "/moment2", nsl_adamw_moment(opt, 1), nsl_adamw_state_size(opt), err));
  if (s->n_history > 0) { NSL_TRY(nsl_h5_write(f, "/history", NSL_H5_F64, 2, dims, s->history, NULL, err)); }
cleanup:
  return st;
}

nsl_status nsl_checkpoint_write(const char *path, const char *fingerprint, const nsl_train_state *s, nsl_net *net, nsl_adamw *opt,
                                nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  size_t n = nsl_vector_size(net);
  char *temp = nsl_temp_name(path, 0);
  float *values = malloc((n + 1) * sizeof *values);
  if (!temp || !values) { NSL_THROW(err, NSL_E_NOMEM, "checkpoint"); }
  nsl_vector_get_values(net, values);
  NSL_TRY(nsl_h5_create(temp, &f, err));
  NSL_TRY(write_content(f, fingerprint, s, values, n, opt, err));
  nsl_h5 *closing = f;
  f = NULL;
  NSL_TRY(nsl_h5_close(closing, err));
  NSL_TRY(nsl_publish(temp, path, err));
cleanup:
  nsl_h5_close(f, NULL);
  if (st != NSL_OK && temp) { remove(temp); }
  free(temp);
  free(values);
  return st == NSL_OK ? st : nsl_error_context(err, st, "checkpoint %s", path);
}

static nsl_status read_history(nsl_h5 *f, nsl_train_state *s, nsl_error *err)
{
  nsl_status st = NSL_OK;
  int rank = 0;
  size_t dims[NSL_H5_MAX_RANK];
  if (!nsl_h5_exists(f, "/history")) { return NSL_OK; }
  NSL_TRY(nsl_h5_dims(f, "/history", &rank, dims, err));
  if (rank != 2 || dims[1] != POINT_NUMBERS) { NSL_THROW(err, NSL_E_FORMAT, "history is not [n][%d]", POINT_NUMBERS); }
  s->history = malloc((dims[0] + 1) * sizeof *s->history);
  if (!s->history) { NSL_THROW(err, NSL_E_NOMEM, "history of %zu points", dims[0]); }
  NSL_TRY(nsl_h5_read(f, "/history", NSL_H5_F64, dims[0] * POINT_NUMBERS, s->history, err));
  s->n_history = dims[0];
cleanup:
  return st;
}

static nsl_status read_content(nsl_h5 *f, const char *fingerprint, nsl_train_state *s, float *values, size_t n, nsl_adamw *opt,
                               nsl_error *err)
{
  nsl_status st = NSL_OK;
  char *format = NULL, *found = NULL;
  int64_t version = 0, optimiser_steps = 0;
  if (nsl_h5_get_text(f, "/", "format", &format, NULL) != NSL_OK || strcmp(format, FORMAT) != 0 ||
      nsl_h5_get_i64(f, "/", "version", &version, NULL) != NSL_OK || version != VERSION) {
    NSL_THROW(err, NSL_E_FORMAT, "not a checkpoint of this program: remove it to start anew");
  }
  NSL_TRY(nsl_h5_get_text(f, "/", "fingerprint", &found, err));
  if (strcmp(found, fingerprint) != 0) {
    NSL_THROW(err, NSL_E_MISMATCH,
              "made with other training settings or stamps: remove it to start anew, or name another train.checkpoint");
  }
  NSL_TRY(nsl_h5_get_i64(f, "/", "step", &s->step, err));
  NSL_TRY(nsl_h5_get_i64(f, "/", "best_step", &s->best_step, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "best_nll", &s->best_nll, err));
  NSL_TRY(nsl_h5_get_f64(f, "/", "seconds", &s->seconds, err));
  NSL_TRY(nsl_h5_get_i64(f, "/", "optimiser_steps", &optimiser_steps, err));
  NSL_TRY(nsl_h5_read(f, "/values", NSL_H5_F32, n, values, err));
  NSL_TRY(nsl_h5_read(f, "/best", NSL_H5_F32, n, s->best, err));
  NSL_TRY(nsl_h5_read(f, "/moment1", NSL_H5_F32, nsl_adamw_state_size(opt), nsl_adamw_moment(opt, 0), err));
  NSL_TRY(nsl_h5_read(f, "/moment2", NSL_H5_F32, nsl_adamw_state_size(opt), nsl_adamw_moment(opt, 1), err));
  NSL_TRY(read_history(f, s, err));
  *nsl_adamw_step_count(opt) = optimiser_steps;
cleanup:
  free(format);
  free(found);
  return st;
}

nsl_status nsl_checkpoint_read(const char *path, const char *fingerprint, nsl_train_state *s, nsl_net *net, nsl_adamw *opt,
                               nsl_error *err)
{
  nsl_status st = NSL_OK;
  nsl_h5 *f = NULL;
  size_t n = nsl_vector_size(net);
  float *values = malloc((n + 1) * sizeof *values);
  if (!values) { NSL_THROW(err, NSL_E_NOMEM, "checkpoint"); }
  NSL_TRY(nsl_h5_open(path, &f, err));
  NSL_TRY(read_content(f, fingerprint, s, values, n, opt, err));
  nsl_vector_set_values(net, values);
cleanup:
  nsl_h5_close(f, NULL);
  free(values);
  return st == NSL_OK ? st : nsl_error_context(err, st, "checkpoint %s", path);
}
