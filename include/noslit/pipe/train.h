/* Training: stamps and a network in, a model file out. Collective over a group of ranks that nsl_train_comm stands for.
 *
 * The global batch is a sequence of groups of `group` stamps, the same whatever the number of ranks: stamp i of the files belongs
 * to class i % n_groups, every group of a step is drawn from one class, and a class lives on one rank. Batch norm works on
 * groups; gradients and running statistics are summed over groups in their order. So the trained weights are the same bits for
 * any number of ranks (of one kind of processor). */
#ifndef NOSLIT_PIPE_TRAIN_H
#define NOSLIT_PIPE_TRAIN_H

#include "noslit/base/log.h"
#include "noslit/model/config.h"
#include "noslit/model/metrics.h"

/* How ranks talk: nsl_train_alone is one rank by itself, par/train_mpi.c the MPI twin. All calls but `stop` are collective. */
typedef struct {
  int rank, size;
  void *ctx;
  /* total[n] = sum of the vectors of groups 0, 1, ... n_groups-1, added in this order. mine: the vectors of this rank's groups
   * (rank, rank + size, ...), one after another. */
  nsl_status (*sum)(void *ctx, int n_groups, size_t n, const float *mine, float *total, nsl_error *err);
  /* all: what the ranks gave, in rank order; total_bytes in all. */
  nsl_status (*gather)(void *ctx, const void *mine, size_t bytes, void *all, size_t total_bytes, nsl_error *err);
  /* The worst status of all ranks, its text everywhere. */
  nsl_status (*agree)(void *ctx, nsl_status st, nsl_error *err);
  int (*stop)(void *ctx); /* this rank was asked to stop */
} nsl_train_comm;

extern const nsl_train_comm nsl_train_alone;

/* The keys train.* and survey.seed of a configuration, with file patterns expanded. */
typedef struct {
  char **stamps, **validation, **calibration;
  size_t n_stamps, n_validation, n_calibration;
  char *output, *from, *checkpoint, *architecture;
  int width, bins, epochs, batch, group, validate_steps, shift_y, flip;
  int squared;                                      /* loss of a Gaussian head: squared error of the mean alone */
  int shift_x_range, shift_bands_apart, shift_roll; /* x by whole pixels; each band by itself; edges come in at the other side */
  double dropout, lr, lr_min, warm_up, weight_decay, beta2, clip, label_sigma, shift_x, contamination_k, checkpoint_s;
  uint64_t seed;
} nsl_train_options;

nsl_status nsl_train_options_new(const nsl_config *cfg, nsl_train_options *out, nsl_error *err);
void nsl_train_options_free(nsl_train_options *o);

/* Selections that validation is reported for: snr_gi of the noisy stamp at least this. */
#define NSL_TRAIN_CUTS 5
extern const float nsl_train_cuts[NSL_TRAIN_CUTS]; /* 0, 1, 3, 5, 10 */

typedef struct {
  int64_t steps, first_step; /* first_step > 0: resumed there */
  int64_t best_step;
  double last_loss, stamps_per_s, wall_s;
  nsl_metrics best[NSL_TRAIN_CUTS]; /* of the best step, on the validation stamps; n = 0 without any */
} nsl_train_summary;

/* Collective. Writes the model file each time the validation NLL improves, and at the end with
 * the full card and, where there are calibration stamps, the calibration fitted on them.
 * NSL_E_DRAINED when asked to stop: the checkpoint is written, the same call goes on from there. Every rank fills summary. */
nsl_status nsl_train_run(const nsl_train_options *o, const nsl_train_comm *comm, const nsl_log *log, nsl_train_summary *summary,
                         nsl_error *err);

#endif
