/* Private to train_*.c: the parts of a training run. */
#ifndef NOSLIT_PIPE_TRAIN_INTERNAL_H
#define NOSLIT_PIPE_TRAIN_INTERNAL_H

#include "noslit/base/rng.h"
#include "noslit/nn/optim.h"
#include "noslit/pipe/infer.h"
#include "noslit/pipe/stamp_file.h"
#include "noslit/pipe/train.h"

/* --- train_batch.c: network inputs and targets of n stamps --- */

typedef struct {
  int capacity, n_bins;
  nsl_stamp stamp;    /* unpacked here */
  float *planes;      /* of stamp */
  float *scratch;     /* one plane */
  float *x, *v, *aux; /* [capacity] inputs */
  float *target;      /* [capacity][n_bins] soft labels, or [capacity] redshifts */
  uint64_t *keys;     /* [capacity] dropout keys */
} nsl_train_batch;

nsl_status nsl_train_batch_init(nsl_train_batch *b, int capacity, int n_bins, nsl_error *err);
void nsl_train_batch_free(nsl_train_batch *b);
/* Inputs of stamp i of the reader as element k. noise: NULL for the stamp as it is, or the stream to draw its missing noise from.
 */
void nsl_train_batch_load(nsl_train_batch *b, int k, const nsl_model *model, const nsl_stamp_reader *r, size_t i, nsl_rng *noise);
/* Mirrors and shifts element k, by the random stream of that name. Vacated pixels are without data. */
void nsl_train_batch_augment(nsl_train_batch *b, int k, const nsl_train_options *o, uint64_t name);
/* What the network shall answer for redshift z: probabilities of a Gaussian in ln(1+z), or z itself. A star (z NaN) may have any
 * redshift: all bins alike. */
void nsl_train_batch_label(nsl_train_batch *b, int k, const nsl_model *model, double z, double label_sigma);

/* --- train_data.c: which stamps make which group of which step --- */

typedef struct {
  int rank, size, n_groups, group; /* groups a step, stamps a group */
  int n_mine;                      /* groups of this rank: rank, rank + size, ... */
  uint64_t seed;
  nsl_stamp_reader **reader;           /* [n_mine] class of each of my groups */
  uint32_t **usable, **order;          /* [n_mine][n_usable]: stamps with a label that counts; the same, shuffled for `epoch` */
  size_t *n_usable;                    /* [n_mine] */
  int64_t steps_per_epoch, epoch;      /* epoch that order belongs to; -1 at first */
  int64_t n_total, n_stars, n_outside; /* of all ranks */
  int with_stars;
} nsl_train_data;

/* Collective. */
nsl_status nsl_train_data_open(nsl_train_data *d, const nsl_train_options *o, const nsl_train_comm *comm, nsl_error *err);
/* Collective. Chooses stamps whose label the model can be asked for, stars if wanted; says how many steps an epoch has. */
nsl_status nsl_train_data_choose(nsl_train_data *d, const nsl_pdf_grid *grid, int with_stars, const nsl_train_comm *comm,
                                 const nsl_log *log, nsl_error *err);
int64_t nsl_train_data_used(const nsl_train_data *d); /* stamps that are learned from */
void nsl_train_data_close(nsl_train_data *d);
/* Collective. Typical noise per pixel and band, in electrons: the network's unit of flux. */
nsl_status nsl_train_data_noise(const nsl_train_data *d, const nsl_train_comm *comm, double sigma[2], nsl_error *err);
/* Stamp j of my k-th group of a step: its reader and index. */
size_t nsl_train_data_pick(nsl_train_data *d, int64_t step, int k, int j);

/* --- train_model.c --- */

/* A fresh network for these bands, or the one of o->from. */
nsl_status nsl_train_model_new(const nsl_train_options *o, const nsl_band band[2], int max_batch, nsl_model *model, nsl_net **net,
                               nsl_error *err);

/* --- train_noise.c --- */

/* Adds noise of `missing` sigma to the flux, correlated as that of stamps is. scratch: two planes. */
void nsl_train_fresh_noise(nsl_stamp *s, float missing, nsl_rng *rng, float *scratch);

/* --- train_vector.c: all numbers of one group's backward pass, and of the network's state, as one flat vector --- */

/* Behind the parameters stand the loss, and flags of the rank that made the vector. */
enum { NSL_VECTOR_LOSS, NSL_VECTOR_STOP, NSL_VECTOR_ERROR, NSL_VECTOR_EXTRA };
size_t nsl_vector_size(nsl_net *net); /* of all parameters and states */
/* Values of all parameters and states, out and in. */
void nsl_vector_get_values(nsl_net *net, float *out);
void nsl_vector_set_values(nsl_net *net, const float *values);
/* Gradients of parameters, values of states. */
void nsl_vector_get_step(nsl_net *net, float *out);
/* Puts scale * vector back: into gradients, and into states when with_states. */
void nsl_vector_set_step(nsl_net *net, const float *vector, float scale, int with_states);
/* States only, from a vector of values. */
void nsl_vector_set_states(nsl_net *net, const float *values);

/* --- train_validate.c --- */

typedef struct {
  nsl_stamp_reader *reader; /* this rank's stripe */
  uint32_t *usable;
  size_t n_usable, n_total; /* n_total: usable ones of all ranks */
} nsl_train_check;

/* Collective. n_paths 0 is fine: nothing to check. */
nsl_status nsl_train_check_open(nsl_train_check *c, char *const *paths, size_t n_paths, const nsl_pdf_grid *grid,
                                const nsl_train_comm *comm, nsl_error *err);
void nsl_train_check_close(nsl_train_check *c);
/* Collective. Metrics of the network as it is (dropout off), for each of nsl_train_cuts. */
nsl_status nsl_train_validate(const nsl_train_check *c, const nsl_model *model, nsl_net *net, nsl_train_batch *b,
                              const nsl_train_comm *comm, nsl_metrics out[NSL_TRAIN_CUTS], nsl_error *err);
/* --- train_state.c: what a checkpoint holds --- */

typedef struct {
  double step, loss, nll, sigma_nmad[NSL_TRAIN_CUTS];
} nsl_train_point;

typedef struct {
  int64_t step, best_step;  /* next step to do */
  double best_nll, seconds; /* seconds: training time spent before */
  float *best;              /* [nsl_vector_size] values of the best step */
  size_t n_history;
  nsl_train_point *history;
} nsl_train_state;

int nsl_train_state_add(nsl_train_state *s, const nsl_train_point *p); /* 0 when out of memory */
void nsl_train_state_free(nsl_train_state *s);
nsl_status nsl_checkpoint_write(const char *path, const char *fingerprint, const nsl_train_state *s, nsl_net *net, nsl_adamw *opt,
                                nsl_error *err);
/* Restores weights, optimiser and state. NSL_E_MISMATCH when it belongs to another training run. */
nsl_status nsl_checkpoint_read(const char *path, const char *fingerprint, nsl_train_state *s, nsl_net *net, nsl_adamw *opt,
                               nsl_error *err);

/* --- train_card.c --- */

/* Training provenance and metrics as JSON; caller frees; NULL when out of memory. */
char *nsl_train_card(const nsl_train_options *o, const nsl_train_data *d, const nsl_train_state *s,
                     const nsl_metrics best[NSL_TRAIN_CUTS], const char *data_hash, double seconds);

#endif
